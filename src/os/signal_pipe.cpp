// SPDX-License-Identifier: BSL-1.0
#include "os/signal_pipe.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "os/checked_call.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr std::size_t most_signals = 8;

struct replaced_action {
    int signal = 0;  // 0: none
    struct sigaction before = {};
};

// Read by the handler: changed while the signals are blocked, or have other handlers.
std::atomic<int> write_end{-1};
std::atomic<pid_t> pipe_owner{0};

std::array<std::atomic<std::atomic<std::uint64_t>*>, NSIG> arrivals{};

unique_fd read_end;
unique_fd write_end_owned;
std::array<replaced_action, most_signals> replaced;

void write_down(int signal) {
    const int error = errno;
    // relaxed: set before the handler was
    if (::getpid() == pipe_owner.load(std::memory_order_relaxed)) {
        std::atomic<std::uint64_t>* const count =
            arrivals[static_cast<std::size_t>(signal)].load(std::memory_order_relaxed);
        if (count != nullptr) ++*count;
        const auto number = static_cast<std::uint8_t>(signal);
        // Full: there is plenty to be read already.
        [[maybe_unused]] const ssize_t written =
            ::write(write_end.load(std::memory_order_relaxed), &number, 1);
    } else {
        // A child that was forked without exec: the pipe is its parent's. It is delivered when this handler returns.
        struct sigaction action = {};
        action.sa_handler = SIG_DFL;
        ::sigaction(signal, &action, nullptr);
        ::raise(signal);
    }
    errno = error;
}

}  // namespace

std::error_code open_signal_pipe(std::span<const int> signals) noexcept {
    std::array<int, 2> ends{-1, -1};
    const int made = checked_call("pipe2", [&] { return ::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK); });
    if (made < 0) return outcome(made);
    // An inherited pair is the parent's: this process's copies of it are closed here.
    unique_fd rest(ends[1]);
    if (const auto error = take_over(ends[0], read_end)) return error;
    if (const auto error = take_over(rest.release(), write_end_owned)) return error;
    write_end.store(write_end_owned.get(), std::memory_order_relaxed);
    pipe_owner.store(::getpid(), std::memory_order_relaxed);
    replaced = {};
    for (auto& each : arrivals) each.store(nullptr, std::memory_order_relaxed);
    struct sigaction action = {};
    action.sa_handler = &write_down;
    action.sa_flags = SA_RESTART;
    ::sigfillset(&action.sa_mask);
    for (std::size_t i = 0; i < signals.size() && i < most_signals; ++i) {
        replaced[i].signal = signals[i];
        ::sigaction(signals[i], &action, &replaced[i].before);
    }
    return {};
}

void count_arrivals(int signal, std::atomic<std::uint64_t>* count) noexcept {
    arrivals[static_cast<std::size_t>(signal)].store(count, std::memory_order_relaxed);
}

bool has_pending_signal(pid_t process, int signal) noexcept {
    std::array<char, 4096> text{};
    std::snprintf(text.data(), text.size(), "/proc/%d/status", static_cast<int>(process));
    const uncancellable in_one_piece;
    const unique_fd file(::open(text.data(), O_RDONLY | O_CLOEXEC));
    if (!file.valid()) return false;
    const ssize_t bytes = ::read(file.get(), text.data(), text.size() - 1);
    if (bytes <= 0) return false;
    text[static_cast<std::size_t>(bytes)] = '\0';
    for (const char* const key : {"\nSigPnd:", "\nShdPnd:"}) {
        const char* const at = std::strstr(text.data(), key);
        if (at != nullptr && (std::strtoull(at + 8, nullptr, 16) >> (signal - 1) & 1U) != 0) return true;
    }
    return false;
}

void close_signal_pipe() noexcept {
    for (replaced_action& each : replaced)
        if (each.signal != 0) ::sigaction(std::exchange(each.signal, 0), &each.before, nullptr);
    for (auto& each : arrivals) each.store(nullptr, std::memory_order_relaxed);
    pipe_owner.store(0, std::memory_order_relaxed);
    write_end.store(-1, std::memory_order_relaxed);
    read_end.reset();
    write_end_owned.reset();
}

int signal_pipe_descriptor() noexcept {
    return read_end.get();
}

int read_signal() noexcept {
    std::uint8_t number = 0;
    const ssize_t got = checked_call("read", [&] { return ::read(read_end.get(), &number, 1); });
    return got == 1 ? number : 0;
}

void write_without_signal(int fd, std::string_view text) noexcept {
    sigset_t pipe;
    sigset_t before;
    sigset_t pending;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, &before);
    ::sigpending(&pending);
    const bool was_pending = ::sigismember(&pending, SIGPIPE) == 1;
    const ssize_t written = checked_call("write", [&] { return ::write(fd, text.data(), text.size()); });
    if (written < 0 && errno == EPIPE && !was_pending) {
        const timespec at_once{};
        while (::sigtimedwait(&pipe, nullptr, &at_once) < 0 && errno == EINTR) {}
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void disregard_signals(std::span<const int> signals) noexcept {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    for (const int signal : signals) ::sigaction(signal, &action, nullptr);
}

sigset_t blocked_in_thread() noexcept {
    sigset_t now;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    return now;
}

void block_in_thread(const sigset_t& blocked) noexcept {
    ::pthread_sigmask(SIG_SETMASK, &blocked, nullptr);
}

void unblock_in_thread(std::span<const int> signals) noexcept {
    sigset_t these;
    ::sigemptyset(&these);
    for (const int signal : signals) ::sigaddset(&these, signal);
    ::pthread_sigmask(SIG_UNBLOCK, &these, nullptr);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
