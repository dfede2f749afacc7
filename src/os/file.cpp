// SPDX-License-Identifier: BSL-1.0
#include "os/file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <limits>

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/checked_call.hpp"
#include "os/fault.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// Beyond the limit of a file's size (ulimit -f) the system does not only say EFBIG: SIGXFSZ ends the program. So it is not
// asked. Another thread that lowers the limit in between gets what it wanted.
bool is_beyond_file_limit(std::uint64_t bytes) noexcept {
    rlimit limit = {};
    return ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
           bytes > limit.rlim_cur;
}

file_facts facts_of(const struct stat& status) {
    file_facts facts;
    facts.device = status.st_dev;
    facts.inode = status.st_ino;
    facts.bytes = static_cast<std::uint64_t>(status.st_size);
    facts.allocated_bytes = static_cast<std::uint64_t>(status.st_blocks) * 512;
    facts.owner = status.st_uid;
    facts.mode = status.st_mode;
    facts.is_regular = S_ISREG(status.st_mode);
    facts.link_count = status.st_nlink;
    return facts;
}

// No std::string: it would be made when the program runs, and objects that are made earlier may ask.
constinit std::array<char, PATH_MAX> directory_setting = {"/dev/shm"};

}  // namespace

std::string shm_directory() {
    return directory_setting.data();
}

bool set_shm_directory(const std::string& path) {
    if (path.size() >= directory_setting.size()) return false;
    directory_setting = {};
    std::copy(path.begin(), path.end(), directory_setting.begin());
    return true;
}

std::error_code create_nameless(const std::string& directory, mode_t mode, unique_fd& fd) {
    const int result =
        checked_call("open", [&] { return ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode); });
    return take_over(result, fd);
}

std::error_code create_anonymous(const std::string& name, unique_fd& fd) {
    const int result = checked_call(
        "memfd_create", [&] { return ::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING); });
    return take_over(result, fd);
}

std::error_code link_file(const unique_fd& fd, const std::string& path) {
    // By way of /proc: linkat with AT_EMPTY_PATH wants CAP_DAC_READ_SEARCH.
    // By the thread: of a process whose first thread has ended /proc shows no descriptors.
    const std::string self = "/proc/thread-self/fd/" + std::to_string(fd.get());
    return outcome(checked_call("linkat", [&] {
        return ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW);
    }));
}

std::error_code open_existing(const std::string& path, bool writable, unique_fd& fd) {
    const int flags = (writable ? O_RDWR : O_RDONLY) | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    const int result = checked_call("open", [&] { return ::open(path.c_str(), flags); });
    return take_over(result, fd);
}

unique_fd open_following(const char* path) {
    return above_standard(checked_call("open", [&] { return ::open(path, O_RDWR | O_CLOEXEC); }));
}

std::error_code describe(int fd, file_facts& facts) {
    struct stat status = {};
    const int result = checked_call("fstat", [&] { return ::fstat(fd, &status); });
    if (result >= 0) facts = facts_of(status);
    return outcome(result);
}

std::error_code describe(const std::string& path, file_facts& facts) {
    struct stat status = {};
    const int result = checked_call("lstat", [&] { return ::lstat(path.c_str(), &status); });
    if (result >= 0) facts = facts_of(status);
    return outcome(result);
}

std::error_code remove_file(const std::string& path) {
    return outcome(checked_call("unlink", [&] { return ::unlink(path.c_str()); }));
}

std::error_code set_mode(const unique_fd& fd, mode_t mode) {
    return outcome(checked_call("fchmod", [&] { return ::fchmod(fd.get(), mode); }));
}

std::error_code allocate(int fd, std::uint64_t offset, std::uint64_t bytes) {
    if (is_beyond_file_limit(offset + bytes)) return from_errno(EFBIG);
    return outcome(checked_call("fallocate", [&] {
        return ::fallocate(fd, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes));
    }));
}

std::error_code write_zeros(int fd, std::uint64_t offset, std::uint64_t bytes) {
    if (is_beyond_file_limit(offset + bytes)) return from_errno(EFBIG);
    // One page again and again: it stays in the nearest cache. Never written; iovec knows no const.
    static char zeros[4096];
    constexpr std::size_t most_pieces = 64;
    std::array<iovec, most_pieces> pieces;
    for (std::uint64_t done = 0; done < bytes;) {
        std::size_t count = 0;
        for (std::uint64_t left = bytes - done; left > 0 && count < most_pieces; ++count) {
            pieces[count] = {static_cast<void*>(zeros), std::min<std::size_t>(left, sizeof zeros)};
            left -= pieces[count].iov_len;
        }
        const auto at = static_cast<off_t>(offset + done);
        ssize_t written = 0;
        const int result = checked_call("pwritev", [&] {
            written = ::pwritev(fd, pieces.data(), static_cast<int>(count), at);
            return written < 0 ? -1 : 0;
        });
        if (result < 0) return outcome(result);
        if (written == 0) return from_errno(ENOSPC);
        done += static_cast<std::uint64_t>(written);
    }
    return {};
}

std::uint64_t first_hole(int fd, std::uint64_t offset) {
    const off_t hole = ::lseek(fd, static_cast<off_t>(offset), SEEK_HOLE);
    if (hole >= 0) return static_cast<std::uint64_t>(hole);
    return errno == ENXIO ? offset : std::numeric_limits<std::uint64_t>::max();
}

std::error_code set_size(const unique_fd& fd, std::uint64_t bytes) {
    if (is_beyond_file_limit(bytes)) return from_errno(EFBIG);
    return outcome(
        checked_call("ftruncate", [&] { return ::ftruncate(fd.get(), static_cast<off_t>(bytes)); }));
}

std::error_code seal_against_shrinking(const unique_fd& fd) {
    return outcome(checked_call("fcntl", [&] { return ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK); }));
}

std::error_code punch(int fd, std::uint64_t offset, std::uint64_t bytes) {
    return outcome(checked_call("fallocate", [&] {
        return ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                           static_cast<off_t>(bytes));
    }));
}

bool may_have_holes(int fd) noexcept {
    struct statfs status = {};
    if (::fstatfs(fd, &status) != 0 || status.f_type != TMPFS_MAGIC || status.f_blocks != 0) return false;
    // 2: the system counts what could ever be touched, and refuses at the touch.
    const unique_fd policy(::open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC));
    char value = '0';
    return policy.valid() && ::read(policy.get(), &value, 1) == 1 && value != '2';
}

std::error_code list_directory(const std::string& path, std::vector<std::string>& names) {
    if (const int error = injected_fault("opendir"); error != 0) return from_errno(error);
    const uncancellable in_one_piece;
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return from_errno(errno);
    while (const dirent* entry = ::readdir(directory)) names.emplace_back(entry->d_name);
    ::closedir(directory);
    return {};
}

std::uint64_t free_bytes(const std::string& path) {
    struct statfs status = {};
    if (::statfs(path.c_str(), &status) != 0) return 0;
    return static_cast<std::uint64_t>(status.f_bavail) * static_cast<std::uint64_t>(status.f_bsize);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
