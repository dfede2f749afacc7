// SPDX-License-Identifier: BSL-1.0
#include "os/probe.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <limits>
#include <sstream>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/checked_call.hpp"
#include "os/fault.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

std::string read_small_file(const std::string& path) {
    const uncancellable in_one_piece;
    const unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    std::string text;
    if (!fd.valid()) return text;
    char part[4096];
    for (;;) {
        const ssize_t got = ::read(fd.get(), part, sizeof part);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return text;
        text.append(part, static_cast<std::size_t>(got));
    }
}

std::error_code open_for_reading(const std::string& path, bool follow_links, unique_fd& fd) {
    const int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow_links ? 0 : O_NOFOLLOW);
    const uncancellable in_one_piece;
    for (;;) {
        if (const int error = injected_fault("open"); error != 0 && error != EINTR) return from_errno(error);
        const int result = ::open(path.c_str(), flags);
        if (result >= 0) {
            fd = unique_fd(result);
            return {};
        }
        if (errno != EINTR) return from_errno(errno);
    }
}

std::error_code read_at(int fd, std::uint64_t offset, void* to, std::uint64_t bytes, std::uint64_t& got) {
    const uncancellable in_one_piece;
    got = 0;
    while (got < bytes) {
        const ssize_t part = ::pread(fd, static_cast<char*>(to) + got, static_cast<std::size_t>(bytes - got),
                                     static_cast<off_t>(offset + got));
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return from_errno(errno);
        if (part == 0) break;
        got += static_cast<std::uint64_t>(part);
    }
    return {};
}

std::uint64_t next_data(int fd, std::uint64_t from) noexcept {
    const off_t found = ::lseek(fd, static_cast<off_t>(from), SEEK_DATA);
    if (found >= 0) return static_cast<std::uint64_t>(found);
    // ENXIO: nothing but a hole up to the end. Anything else: this file system does not tell.
    return errno == ENXIO ? std::numeric_limits<std::uint64_t>::max() : from;
}

std::error_code private_memory::create(std::uint64_t bytes, private_memory& out) {
    if (const int error = injected_fault("mmap"); error != 0) return from_errno(error);
    void* memory = ::mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return from_errno(errno);
    ::madvise(memory, static_cast<std::size_t>(bytes), MADV_DONTDUMP);
    private_memory made;
    made.base_ = static_cast<std::byte*>(memory);
    made.bytes_ = bytes;
    out = std::move(made);
    return {};
}

private_memory::private_memory(private_memory&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

private_memory& private_memory::operator=(private_memory&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

private_memory::~private_memory() {
    if (base_ != nullptr) ::munmap(base_, static_cast<std::size_t>(bytes_));
}

std::string read_link(const std::string& path) {
    char target[4096];
    const ssize_t bytes = ::readlink(path.c_str(), target, sizeof target);
    return bytes <= 0 ? std::string() : std::string(target, static_cast<std::size_t>(bytes));
}

std::vector<pid_t> all_processes() {
    const uncancellable in_one_piece;
    std::vector<pid_t> pids;
    DIR* directory = ::opendir("/proc");
    if (directory == nullptr) return pids;
    while (const dirent* entry = ::readdir(directory)) {
        pid_t pid = 0;
        const char* at = entry->d_name;
        for (; *at >= '0' && *at <= '9'; ++at) pid = pid * 10 + (*at - '0');
        if (*at == '\0' && pid > 0) pids.push_back(pid);
    }
    ::closedir(directory);
    std::sort(pids.begin(), pids.end());
    return pids;
}

std::optional<std::vector<pid_t>> living_forks() {
    const uncancellable in_one_piece;
    DIR* const threads = ::opendir("/proc/self/task");
    if (threads == nullptr) return std::nullopt;
    const std::string program = read_link("/proc/self/exe");
    std::optional<std::vector<pid_t>> forks;
    while (const dirent* thread = ::readdir(threads)) {
        if (thread->d_name[0] == '.') continue;
        const std::string path = "/proc/self/task/" + std::string(thread->d_name) + "/children";
        if (::access(path.c_str(), R_OK) != 0) continue;
        if (!forks) forks.emplace();
        std::istringstream children(read_small_file(path));
        for (pid_t child = 0; children >> child;) {
            // Of one that has ended the link leads nowhere.
            if (read_link("/proc/" + std::to_string(child) + "/exe") == program) forks->push_back(child);
        }
    }
    ::closedir(threads);
    return forks;
}

std::size_t count_threads_but(std::string_view prefix) {
    const uncancellable in_one_piece;
    DIR* const threads = ::opendir("/proc/self/task");
    if (threads == nullptr) return 0;
    std::size_t count = 0;
    while (const dirent* thread = ::readdir(threads)) {
        if (thread->d_name[0] == '.') continue;
        const std::string name = read_small_file("/proc/self/task/" + std::string(thread->d_name) + "/comm");
        if (!name.empty() && !name.starts_with(prefix)) ++count;
    }
    ::closedir(threads);
    return count;
}

pid_t process_of_thread(pid_t thread) {
    const std::string status = read_small_file("/proc/" + std::to_string(thread) + "/status");
    const std::size_t at = status.find("\nTgid:");
    if (at == std::string::npos) return 0;
    pid_t pid = 0;
    for (std::size_t i = at + 6; i < status.size() && status[i] != '\n'; ++i)
        if (status[i] >= '0' && status[i] <= '9') pid = pid * 10 + (status[i] - '0');
    return pid;
}

std::string state_of_thread(pid_t thread) {
    const std::string status = read_small_file("/proc/" + std::to_string(thread) + "/status");
    const std::size_t at = status.find("\nState:");
    const std::size_t letter = at == std::string::npos ? at : status.find_first_not_of(" \t", at + 7);
    if (letter == std::string::npos) return {};
    switch (status[letter]) {
        case 'R': return "running";
        case 'S': return "sleeping";
        case 'D': return "waiting for a device";
        case 'T': return "stopped";
        case 't': return "stopped by a debugger";
        case 'Z':
        case 'X': return "ended";
        default: return "idle";
    }
}

std::string program_of(pid_t pid) {
    std::string name = read_small_file("/proc/" + std::to_string(pid) + "/comm");
    if (!name.empty() && name.back() == '\n') name.pop_back();
    return name;
}

std::uint64_t own_memory_bytes() {
    // "size resident shared ...", in pages
    const std::string text = read_small_file("/proc/self/statm");
    const std::size_t at = text.find(' ');
    std::uint64_t pages = 0;
    if (at != std::string::npos) std::from_chars(text.data() + at + 1, text.data() + text.size(), pages);
    return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
