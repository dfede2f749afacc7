// SPDX-License-Identifier: BSL-1.0
#include "os/supervision.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/checked_call.hpp"
#include "os/child.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

void become_subreaper() noexcept {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
}

blocked_signals::blocked_signals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
}

blocked_signals::~blocked_signals() {
    ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

void block_all_signals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
    // A program that ignores it has its children reaped by the kernel, and nobody told how they ended.
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGCHLD, &action, nullptr);
}

std::error_code open_child_signal(unique_fd& fd) noexcept {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGCHLD);
    return take_over(
        checked_call("signalfd", [&] { return ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK); }), fd);
}

void drain_child_signal(int fd) noexcept {
    signalfd_siginfo info;
    while (::read(fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {}
}

void set_worker_signals() noexcept {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    for (int signal = 1; signal < NSIG; ++signal)
        if (signal != SIGKILL && signal != SIGSTOP && signal != SIGPIPE)
            ::sigaction(signal, &action, nullptr);
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    for (const int signal : {SIGINT, SIGHUP, SIGQUIT}) ::sigaction(signal, &action, nullptr);
    sigset_t none;
    ::sigemptyset(&none);
    ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

void raise_oom_score_adj(int least) noexcept {
    if (least <= 0) return;
    const uncancellable in_one_piece;
    const unique_fd fd(::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC));
    std::array<char, 8> text{};
    if (!fd.valid() || ::read(fd.get(), text.data(), text.size() - 1) <= 0) return;
    if (std::strtol(text.data(), nullptr, 10) >= least) return;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), least).ptr;
    [[maybe_unused]] const auto written =
        ::pwrite(fd.get(), text.data(), static_cast<std::size_t>(end - text.data()), 0);
}

std::error_code open_bell(unique_fd& fd) noexcept {
    return take_over(checked_call("eventfd", [] { return ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }), fd);
}

std::error_code try_two_descriptors() noexcept {
    unique_fd first;
    unique_fd second;
    if (const auto error = open_bell(first)) return error;
    return open_bell(second);
}

void ring(int bell) noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto written = ::write(bell, &one, sizeof one);  // full: it rings already
}

namespace {

// The number behind `key` at the beginning of a line; 0 where there is none. -1 is the largest.
std::optional<std::uint64_t> number_in_fdinfo(int fd, std::string_view key) noexcept {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fdinfo/%d", fd);
    const uncancellable in_one_piece;
    const int file = ::open(path.data(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return std::nullopt;
    std::array<char, 1024> text{};
    const ssize_t bytes = ::read(file, text.data(), text.size() - 1);
    ::close(file);
    if (bytes <= 0) return std::nullopt;
    const std::string_view all(text.data(), static_cast<std::size_t>(bytes));
    for (std::size_t line = 0; line != std::string_view::npos && line < all.size();) {
        if (all.substr(line).starts_with(key))
            return std::strtoull(text.data() + line + key.size(), nullptr, 10);
        line = all.find('\n', line);
        if (line != std::string_view::npos) ++line;
    }
    return 0;
}

}  // namespace

std::optional<std::uint64_t> number_of_bell(int fd) noexcept {
    return number_in_fdinfo(fd, "eventfd-id:");
}

std::optional<std::uint64_t> pid_of_pidfd(int fd) noexcept {
    return number_in_fdinfo(fd, "Pid:");
}

void silence(int bell) noexcept {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(bell, &count, sizeof count);
}

void wait_for_any(std::span<const int> fds, std::span<bool> is_readable,
                  std::chrono::milliseconds longest) noexcept {
    std::array<pollfd, 4> entries{};
    for (std::size_t i = 0; i < fds.size(); ++i) {
        entries[i] = {.fd = fds[i], .events = POLLIN, .revents = 0};
        is_readable[i] = false;
    }
    const uncancellable in_one_piece;
    if (::poll(entries.data(), fds.size(), static_cast<int>(longest.count())) <= 0) return;
    for (std::size_t i = 0; i < fds.size(); ++i) is_readable[i] = (entries[i].revents & POLLIN) != 0;
}

namespace {

// 0 when there is none; then errno is ECHILD where there are no children at all.
pid_t next_ended_child(int options, int& code) noexcept {
    siginfo_t info = {};
    errno = 0;
    if (checked_call("waitid", [&] { return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | options); }) != 0)
        return 0;
    if (info.si_pid == 0) return 0;
    code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return info.si_pid;
}

}  // namespace

pid_t reap_any(int& code, bool& has_children) noexcept {
    const pid_t dead = next_ended_child(0, code);
    has_children = dead != 0 || errno != ECHILD;
    return dead;
}

pid_t find_ended_child(int& code) noexcept {
    return next_ended_child(WNOWAIT, code);
}

bool for_each_child(void (*call)(pid_t child, void* context), void* context) noexcept {
    const int fd = ::open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    std::array<char, 4096> text{};
    pid_t child = 0;
    for (;;) {
        const ssize_t got = ::read(fd, text.data(), text.size());
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; ++i) {
            const char c = text[static_cast<std::size_t>(i)];
            if (c >= '0' && c <= '9') {
                child = child * 10 + (c - '0');
            } else if (child != 0) {
                call(child, context);
                child = 0;
            }
        }
    }
    if (child != 0) call(child, context);
    ::close(fd);
    return true;
}

void close_other_descriptors(std::span<int> kept) noexcept {
    std::sort(kept.begin(), kept.end());
    const auto close_between = [](unsigned first, unsigned last) {
        if (first > last) return;
        // By number: the C library has close_range only since 2.34.
        if (::syscall(436, first, last, 0U) == 0) return;
        const unsigned end = std::min<unsigned>(last, static_cast<unsigned>(::sysconf(_SC_OPEN_MAX)));
        for (unsigned fd = first; fd <= end; ++fd) ::close(static_cast<int>(fd));
    };
    unsigned next = 3;
    for (const int fd : kept) {
        if (fd < 3) continue;
        if (static_cast<unsigned>(fd) > next) close_between(next, static_cast<unsigned>(fd) - 1);
        next = static_cast<unsigned>(fd) + 1;
    }
    close_between(next, ~0U);
}

namespace {

// Of a worker.
int owner_to_watch = -1;
timer_t end_timer = {};
bool has_end_timer = false;

void* watch_owner(void* /*nothing*/) noexcept {
    name_own_thread("cairn-watch");
    pollfd owner = {.fd = owner_to_watch, .events = POLLIN, .revents = 0};
    // During the call the kernel keeps the file, whatever becomes of its number.
    while (::poll(&owner, 1, -1) < 0 && errno == EINTR) {}
    if ((owner.revents & POLLIN) != 0) kill_own_process();
    return nullptr;
}

std::error_code arm(timer_t timer, std::uint64_t nanoseconds, int flags) noexcept {
    itimerspec when = {};
    when.it_value.tv_sec = static_cast<time_t>(nanoseconds / 1'000'000'000);
    when.it_value.tv_nsec = static_cast<long>(nanoseconds % 1'000'000'000);
    return outcome(::timer_settime(timer, flags, &when, nullptr));
}

}  // namespace

std::error_code die_with(int owner_pidfd) noexcept {
    owner_to_watch = owner_pidfd;
    has_end_timer = false;
    return start_quiet_thread(&watch_owner, nullptr);
}

std::error_code set_own_end(std::uint64_t monotonic_nanoseconds) noexcept {
    if (!has_end_timer) {
        if (monotonic_nanoseconds == 0) return {};
        sigevent event = {};
        event.sigev_notify = SIGEV_SIGNAL;
        event.sigev_signo = SIGKILL;
        if (::timer_create(CLOCK_MONOTONIC, &event, &end_timer) != 0) return from_errno(errno);
        has_end_timer = true;
    }
    return arm(end_timer, monotonic_nanoseconds, TIMER_ABSTIME);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
