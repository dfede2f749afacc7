// SPDX-License-Identifier: BSL-1.0
#include "support/crash/private_directory.hpp"

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.hpp"
#include "os/file.hpp"
#include "os/unique_fd.hpp"
#include "support/guardian.hpp"

namespace cairn_test {

namespace os = cairn::detail::os;

private_directory::private_directory() : path_("/dev/shm/crash-laboratory.XXXXXX"), owner_(::getpid()) {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error("no directory for segments of a test");
    guard_path(path_);
}

private_directory::~private_directory() {
    if (::getpid() != owner_) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    unguard_path(path_);
}

std::vector<std::string> private_directory::entries() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(path_))
        names.push_back(entry.path().filename());
    return names;
}

void private_directory::clear() const {
    for (const std::string& name : entries()) std::filesystem::remove(path_ + "/" + name);
}

void private_directory::use() const {
    if (!os::set_shm_directory(path_)) throw std::runtime_error("the path of a test's directory is too long");
}

std::uint64_t named_image::id() const {
    if (!exists) return 0;
    std::uint64_t id = 1;
    for (const byte_range& range : bytes.backed())
        id = cairn::detail::hash_bytes(bytes.base() + range.begin, range.end - range.begin, id);
    return id;
}

void named_image::restore(const private_directory& to, const std::string& name) const {
    to.clear();
    if (!exists) return;
    const std::string path = to.path() + "/cairn." + name;
    const os::unique_fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!file.valid()) throw std::runtime_error("no file for an image");
    for (const byte_range& range : bytes.backed()) {
        const std::uint64_t count = range.end - range.begin;
        if (::pwrite(file.get(), bytes.base() + range.begin, count, static_cast<off_t>(range.begin)) !=
            static_cast<ssize_t>(count))
            throw std::runtime_error("an image cannot be written");
    }
}

name_watch::~name_watch() {
    unmap();
}

void name_watch::unmap() noexcept {
    if (base_ != nullptr) ::munmap(base_, bytes_);
    base_ = nullptr;
}

void name_watch::map_again() {
    unmap();
    const os::unique_fd file(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
    stored::segment_header header;
    if (!file.valid() ||
        ::pread(file.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
        throw std::runtime_error("a segment has a name before it has a header");
    bytes_ = header.max_bytes;
    void* at = ::mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, file.get(), 0);
    if (at == MAP_FAILED) throw std::runtime_error("a named segment cannot be mapped");
    base_ = static_cast<std::byte*>(at);
    known_ = segment_image(base_);
}

bool name_watch::look() {
    const bool was_first = std::exchange(first_, false);
    struct stat status = {};
    if (::lstat(path_.c_str(), &status) != 0) {
        const bool existed = std::exchange(exists_, false);
        inode_ = 0;
        return existed || was_first;
    }
    if (!exists_ || status.st_ino != inode_) {
        exists_ = true;
        inode_ = status.st_ino;
        map_again();
        return true;
    }
    bool changed = false;
    for (const byte_range& range : backed_ranges(base_)) {
        const std::uint64_t bytes = range.end - range.begin;
        if (std::memcmp(known_.base() + range.begin, base_ + range.begin, bytes) == 0) continue;
        std::memcpy(known_.base() + range.begin, base_ + range.begin, bytes);
        changed = true;
    }
    return changed || was_first;
}

named_image name_watch::seen() const {
    return {exists_, exists_ ? known_ : segment_image()};
}

}  // namespace cairn_test
