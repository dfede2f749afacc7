// SPDX-License-Identifier: BSL-1.0
#include "os/identity.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/checked_call.hpp"
#include "os/fault.hpp"
#include "os/uncancellable.hpp"
#include "os/unique_fd.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// Reads a short file of /proc whole; returns the number of bytes, -1 when it cannot be read. No allocation: a forked child
// of a program with threads calls it.
ssize_t read_file(const char* path, char* buffer, std::size_t bytes) noexcept {
    const uncancellable in_one_piece;
    const unique_fd fd(::open(path, O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return -1;
    // One read: what fits comes in one piece.
    ssize_t got = 0;
    do got = ::read(fd.get(), buffer, bytes);
    while (got < 0 && errno == EINTR);
    return got;
}

void write_number(char*& to, std::uint64_t value) noexcept {
    char digits[20];
    int count = 0;
    do digits[count++] = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    while (count > 0) *to++ = digits[--count];
}

// "/proc/PID/stat" without the allocations of the usual ways to print.
void stat_path(char (&path)[40], pid_t pid) noexcept {
    constexpr std::string_view before = "/proc/";
    constexpr std::string_view after = "/stat";
    char* to = std::copy(before.begin(), before.end(), path);
    write_number(to, static_cast<std::uint64_t>(pid));
    *std::copy(after.begin(), after.end(), to) = '\0';
}

struct stat_facts {
    pid_t pid = 0;
    char state = '?';
    std::uint64_t start_time = 0;
    std::uint64_t stack = 0;  // 0: not ours to know
    std::array<char, 32> program{};
};

std::uint64_t read_number(const char* field) noexcept {
    std::uint64_t value = 0;
    for (; *field >= '0' && *field <= '9'; ++field)
        value = value * 10 + static_cast<std::uint64_t>(*field - '0');
    return value;
}

bool read_stat(const char* path, stat_facts& facts) noexcept {
    char text[1024];
    const ssize_t bytes = read_file(path, text, sizeof text - 1);
    if (bytes <= 0) return false;
    text[bytes] = '\0';
    facts.pid = 0;
    for (const char* at = text; *at >= '0' && *at <= '9'; ++at) facts.pid = facts.pid * 10 + (*at - '0');
    // The second field is the program's name in parentheses and may hold anything; the last ')' ends it.
    const char* name = std::strchr(text, '(');
    const char* field = std::strrchr(text, ')');
    if (name == nullptr || field == nullptr || field < name || field[1] == '\0') return false;
    ++name;
    std::copy(name, std::min(field, name + facts.program.size()), facts.program.begin());
    field += 2;
    facts.state = *field;
    for (int number = 3; number < 28; ++number) {
        field = std::strchr(field, ' ');
        if (field == nullptr) return false;
        ++field;
        if (number + 1 == 22) facts.start_time = read_number(field);
    }
    facts.stack = read_number(field);  // field 28
    return true;
}

constexpr std::uint64_t stack_mask = (std::uint64_t{1} << stack_bits) - 1;

process_identity make_identity(pid_t pid, const stat_facts& facts) noexcept {
    // Stacks are aligned to 16 and random above that; 0 is kept for those that cannot be seen.
    const std::uint64_t folded = facts.stack >> 4 ^ facts.stack >> 20;
    const std::uint64_t stack = facts.stack == 0 ? 0 : std::max<std::uint64_t>(1, folded & stack_mask);
    return facts.start_time << (stack_bits + pid_bits) | stack << pid_bits | static_cast<std::uint64_t>(pid);
}

bool same_process(process_identity a, process_identity b) noexcept {
    constexpr std::uint64_t stack_part = stack_mask << pid_bits;
    if ((a & stack_part) == 0 || (b & stack_part) == 0) return ((a ^ b) & ~stack_part) == 0;
    return a == b;
}

std::uint64_t inode_of(const char* path) noexcept {
    struct stat status = {};
    return ::stat(path, &status) == 0 ? static_cast<std::uint64_t>(status.st_ino) : 0;
}

}  // namespace

process_identity own_identity() noexcept {
    std::array<char, 32> program;
    return own_identity(program);
}

process_identity own_identity(std::array<char, 32>& program) noexcept {
    stat_facts facts;
    if (!read_stat("/proc/self/stat", facts)) return 0;
    program = facts.program;
    return make_identity(::getpid(), facts);
}

process_identity identity_of(pid_t pid) noexcept {
    char path[40];
    stat_path(path, pid);
    stat_facts facts;
    if (!read_stat(path, facts)) return 0;
    const process_identity identity = make_identity(pid, facts);
    return is_alive(identity) ? identity : 0;
}

bool is_alive(process_identity identity) noexcept {
    const pid_t pid = pid_of(identity);
    if (pid <= 0) return false;
    const uncancellable in_one_piece;
    const int injected = injected_fault("pidfd_open");
    const unique_fd fd(injected != 0 ? -1 : static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const int reason = injected != 0 ? injected : errno;
    if (!fd.valid() && reason == ESRCH) return false;
    // The pid is not a process's any more but a thread's: EINVAL, since Linux 6.15 ENOENT.
    if (!fd.valid() && (reason == EINVAL || reason == ENOENT)) return false;
    if (fd.valid()) {
        pollfd ready = {fd.get(), POLLIN, 0};
        // Readable once all threads have ended; the state in /proc is that of the first thread alone.
        if (::poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0) return false;
    }
    char path[40];
    stat_path(path, pid);
    stat_facts facts;
    // Unreadable (hidepid, or gone this instant): what the pidfd said stands.
    if (!read_stat(path, facts)) return fd.valid() || ::kill(pid, 0) == 0 || errno == EPERM;
    if (!fd.valid() && (facts.state == 'Z' || facts.state == 'X')) return false;
    return same_process(make_identity(pid, facts), identity);
}

bool has_thread(pid_t process, pid_t thread) noexcept {
    return ::syscall(SYS_tgkill, process, thread, 0) == 0 || errno == EPERM;
}

std::uint64_t pid_namespace() noexcept {
    return inode_of("/proc/thread-self/ns/pid");
}

std::uint64_t time_namespace() noexcept {
    return inode_of("/proc/thread-self/ns/time");
}

std::error_code boot_id(std::array<std::uint64_t, 2>& id) noexcept {
    id = {};
    if (const int error = injected_fault("boot_id"); error != 0) return from_errno(error);
    char text[64] = {};
    if (read_file("/proc/sys/kernel/random/boot_id", text, sizeof text - 1) < 0) return from_errno(errno);
    unsigned digits = 0;
    for (const char* at = text; *at != '\0' && digits < 32; ++at) {
        unsigned value = 0;
        if (*at >= '0' && *at <= '9') value = static_cast<unsigned>(*at - '0');
        else if (*at >= 'a' && *at <= 'f') value = static_cast<unsigned>(*at - 'a' + 10);
        else continue;
        id[digits / 16] = id[digits / 16] << 4 | value;
        ++digits;
    }
    return digits == 32 ? std::error_code{} : from_errno(ENODATA);
}

pid_t thread_id() noexcept {
    return static_cast<pid_t>(::syscall(SYS_gettid));
}

std::int64_t now_since_epoch_nanoseconds() noexcept {
    timespec now = {};
    ::clock_gettime(CLOCK_REALTIME, &now);
    return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
