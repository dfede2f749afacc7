// SPDX-License-Identifier: BSL-1.0
#include "cairn/descriptor.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "os/child.hpp"
#include "os/descriptor_passing.hpp"
#include "os/file.hpp"
#include "os/identity.hpp"
#include "os/unique_fd.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

class owned_descriptor {
public:
    owned_descriptor(os::unique_fd fd, const os::file_facts& file) noexcept
        : fd_(std::move(fd)), file_(file) {}
    owned_descriptor(const owned_descriptor&) = delete;
    owned_descriptor& operator=(const owned_descriptor&) = delete;
    // A program that closes what it does not know may have another file there by now.
    ~owned_descriptor() {
        os::file_facts now;
        if (os::describe(fd_.get(), now) || !now.same_file(file_)) static_cast<void>(fd_.release());
    }

    [[nodiscard]] int get() const noexcept { return fd_.get(); }

private:
    os::unique_fd fd_;
    os::file_facts file_;
};

namespace {

// What is stored; all zeros but for the number, which is -1: none.
struct stored_descriptor {
    std::int32_t number;
    std::uint32_t reserved_;
    os::process_identity owner;
    std::uint64_t device;
    std::uint64_t inode;
};
static_assert(sizeof(stored_descriptor) == codec<descriptor>::encoded_bytes);

constexpr int first_passed_descriptor = 3;
constexpr int most_passed_by_systemd = 4096;

os::file_facts require_open(int fd) {
    os::file_facts file;
    if (os::describe(fd, file)) throw invalid_argument("descriptor: " + std::to_string(fd) + " is not open");
    return file;
}

bool is_file(int fd, const stored_descriptor& wanted, os::file_facts& file) {
    return !os::describe(fd, file) && file.device == wanted.device && file.inode == wanted.inode;
}

// eventfd, epoll, pidfd and the like are all of one inode: of these none can be told from another.
bool has_own_inode(const os::file_facts& file) noexcept {
    return os::has_file_type(file.mode);
}

}  // namespace

}  // namespace detail

using namespace detail;  // this file is the border between the two

descriptor::descriptor(int fd) {
    const os::file_facts file = require_open(fd);
    os::close_by_exec(fd);
    file_ = std::make_shared<owned_descriptor>(os::unique_fd(fd), file);
}

descriptor descriptor::copy_of(int fd) {
    const os::file_facts file = require_open(fd);
    os::unique_fd copy;
    if (const auto error = os::copy_descriptor(fd, copy))
        throw system_failure("copy descriptor " + std::to_string(fd) + ": " + error.message(), error);
    descriptor made;
    made.file_ = std::make_shared<owned_descriptor>(std::move(copy), file);
    return made;
}

int descriptor::get() const noexcept {
    return file_ != nullptr ? file_->get() : -1;
}

std::ostream& operator<<(std::ostream& out, const descriptor& fd) {
    return out << "descriptor(" << fd.get() << ')';
}

std::vector<passed_descriptor> passed_descriptors() {
    std::vector<passed_descriptor> all;
    const char* const pid = std::getenv("LISTEN_PID");
    const char* const count = std::getenv("LISTEN_FDS");
    const char* const names = std::getenv("LISTEN_FDNAMES");
    if (pid == nullptr || count == nullptr || std::to_string(os::own_pid()) != pid) return all;
    const long number = std::strtol(count, nullptr, 10);
    if (number <= 0 || number > most_passed_by_systemd) return all;
    std::string_view rest = names != nullptr ? names : "";
    for (int fd = first_passed_descriptor; fd < first_passed_descriptor + number; ++fd) {
        const std::string_view name = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), name.size() + 1));
        os::file_facts file;
        if (os::describe(fd, file)) continue;  // the program has closed it
        os::close_by_exec(fd);
        all.push_back({std::string(name.empty() ? "unknown" : name), descriptor::copy_of(fd)});
    }
    return all;
}

void codec<descriptor>::encode(const descriptor& value, std::byte* to) {
    stored_descriptor stored{};
    stored.number = value.get();
    if (value) {
        const os::file_facts file = require_open(value.get());
        stored.owner = os::own_identity();
        stored.device = file.device;
        stored.inode = file.inode;
    }
    std::memcpy(to, &stored, sizeof stored);
}

descriptor codec<descriptor>::decode(std::span<const std::byte> bytes) {
    stored_descriptor stored{};
    if (bytes.size() != sizeof stored)
        throw corrupt_segment("a descriptor of " + std::to_string(bytes.size()) + " bytes");
    std::memcpy(&stored, bytes.data(), sizeof stored);
    if (stored.number == -1) return {};
    if (stored.number < -1)
        throw corrupt_segment("a descriptor with the number " + std::to_string(stored.number));
    os::file_facts file;
    const pid_t owner = os::pid_of(stored.owner);
    const bool is_own = stored.owner == os::own_identity();
    std::error_code error;
    if (!is_own) {
        os::unique_fd process;
        os::unique_fd copy;
        error = os::open_pidfd(owner, process);
        // Opened, then compared: the pid may be somebody else's by now.
        if (!error && !os::is_alive(stored.owner)) error = std::make_error_code(std::errc::no_such_process);
        if (!error) error = os::copy_descriptor_of(process.get(), stored.number, copy);
        if (!error && is_file(copy.get(), stored, file)) return descriptor(copy.release());
        if (!error) error = std::make_error_code(std::errc::bad_file_descriptor);
    }
    // One's own, or inherited.
    if (is_file(stored.number, stored, file) && (is_own || has_own_inode(file)))
        return descriptor::copy_of(stored.number);
    throw refused(
        "descriptor " + std::to_string(stored.number) + " of process " + std::to_string(owner) +
            (is_own ? " was closed" : " cannot be had from there, and is not inherited: " + error.message()),
        error);
}

void codec<descriptor>::append_repr(std::string& to, const descriptor& value) {
    to += "descriptor(" + std::to_string(value.get()) + ')';
}

}  // namespace cairn::inline CAIRN_ABI
