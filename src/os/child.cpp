// SPDX-License-Identifier: BSL-1.0
#include "os/child.hpp"

#include <cerrno>
#include <ctime>

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/checked_call.hpp"
#include "os/fault.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr auto by_pidfd = static_cast<idtype_t>(3);  // P_PIDFD, which older C libraries do not name

// Enough for a loop of system calls, with room for the C library's thread data. A program with much static
// thread-local data needs more; it gets the default stack then.
constexpr std::size_t quiet_stack_bytes = std::size_t{256} * 1024;

std::error_code try_reap(idtype_t kind, id_t id, child_status& status) noexcept {
    siginfo_t info = {};  // si_pid stays 0 when nobody has ended
    const long result = checked_call("waitid", [&] { return ::waitid(kind, id, &info, WEXITED | WNOHANG); });
    if (result < 0) return outcome(result);
    status.ended = info.si_pid != 0;
    if (status.ended) status.code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return {};
}

std::error_code signal_with_descriptors(process_identity whom, int signal) noexcept {
    unique_fd pidfd;
    // Opened, then compared: the pid may be somebody else's by now.
    if (const auto error = open_pidfd(pid_of(whom), pidfd)) return error;
    if (!is_alive(whom)) return from_errno(ESRCH);
    return signal_by_pidfd(pidfd.get(), signal);
}

timespec to_timespec(std::chrono::nanoseconds time) noexcept {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
    timespec result = {};
    result.tv_sec = seconds.count();
    result.tv_nsec = (time - seconds).count();
    return result;
}

}  // namespace

std::error_code fork_process(pid_t& child) noexcept {
    const long result = checked_call("fork", [] { return ::fork(); });
    if (result >= 0) child = static_cast<pid_t>(result);
    return outcome(result);
}

pid_t own_pid() noexcept {
    return ::getpid();
}

pid_t parent_pid() noexcept {
    return ::getppid();
}

void end_process(int code) noexcept {
    ::_exit(code);
}

void kill_own_process() noexcept {
    ::kill(::getpid(), SIGKILL);
    ::_exit(128 + SIGKILL);
}

// By number: the C library has pidfd_open and pidfd_send_signal only since 2.36.
std::error_code open_pidfd(pid_t pid, unique_fd& fd) noexcept {
    const long result = checked_call("pidfd_open", [&] { return ::syscall(SYS_pidfd_open, pid, 0); });
    return take_over(result, fd);
}

std::error_code open_always_readable(unique_fd& fd) noexcept {
    const long result = checked_call("eventfd", [] { return ::eventfd(1, EFD_CLOEXEC); });
    return take_over(result, fd);
}

std::error_code signal_by_pidfd(int fd, int signal) noexcept {
    return outcome(checked_call("pidfd_send_signal",
                                [&] { return ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0); }));
}

std::error_code signal_by_pid(pid_t pid, int signal) noexcept {
    return outcome(checked_call("kill", [&] { return ::kill(pid, signal); }));
}

std::error_code signal_process(process_identity whom, int signal) noexcept {
    const std::error_code error = signal_with_descriptors(whom, signal);
    if (error != from_errno(EMFILE)) return error;
    // A child has a table of its own, in which it makes room. It runs nothing of the program's: no handlers of a fork or of a signal, and
    // as its end is no signal, the program does not hear of it.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    const long child = checked_call("clone", [] { return ::syscall(SYS_clone, 0, nullptr, nullptr, 0, 0); });
    const std::error_code why = outcome(child);
    if (child != 0) ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (child < 0) return why;
    if (child == 0) {
        for (int fd = 0; fd < 8; ++fd) ::close(fd);
        end_process(signal_with_descriptors(whom, signal).value());
    }
    int status = 0;
    const long reaped =
        checked_call("waitpid", [&] { return ::waitpid(static_cast<pid_t>(child), &status, __WALL); });
    if (reaped < 0) return outcome(reaped);
    return WIFEXITED(status) ? from_errno(WEXITSTATUS(status)) : from_errno(ESRCH);
}

std::error_code try_reap_by_pidfd(int fd, child_status& status) noexcept {
    return try_reap(by_pidfd, static_cast<id_t>(fd), status);
}

std::error_code try_reap_by_pid(pid_t pid, child_status& status) noexcept {
    return try_reap(P_PID, static_cast<id_t>(pid), status);
}

std::error_code wait_readable(int fd, std::chrono::nanoseconds longest, bool& readable) noexcept {
    readable = false;
    if (const int error = injected_fault("poll"); error != 0) {
        return error == EINTR ? std::error_code{} : from_errno(error);
    }
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    const timespec limit = to_timespec(longest);
    const uncancellable in_one_piece;
    const int count = ::ppoll(&entry, 1, &limit, nullptr);
    if (count < 0) return errno == EINTR ? std::error_code{} : from_errno(errno);
    if (count > 0 && (entry.revents & POLLNVAL) != 0) return from_errno(EBADF);
    readable = count > 0;
    return {};
}

void sleep_for(std::chrono::nanoseconds time) noexcept {
    const timespec limit = to_timespec(time);
    const uncancellable in_one_piece;
    ::nanosleep(&limit, nullptr);
}

std::error_code map_shared_with_children(std::size_t bytes, void*& memory) noexcept {
    if (const int error = injected_fault("mmap"); error != 0) return from_errno(error);
    void* const mapped = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) return from_errno(errno);
    memory = mapped;
    return {};
}

void unmap_shared(void* memory, std::size_t bytes) noexcept {
    ::munmap(memory, bytes);
}

std::error_code start_quiet_thread(void* (*body)(void*), void* argument) noexcept {
    if (const int error = injected_fault("pthread_create"); error != 0) return from_errno(error);
    // Attributes of our own also keep the C library from taking the lock of the default ones, which a thread of the
    // parent may have held at the fork.
    pthread_attr_t attributes;
    ::pthread_attr_init(&attributes);
    ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    ::pthread_attr_setstacksize(&attributes, quiet_stack_bytes);
    // A thread starts with its maker's mask.
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    int error = ::pthread_create(&thread, &attributes, body, argument);
    if (error == EINVAL) {
        ::pthread_attr_destroy(&attributes);
        ::pthread_attr_init(&attributes);
        ::pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
        error = ::pthread_create(&thread, &attributes, body, argument);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_attr_destroy(&attributes);
    return error != 0 ? from_errno(error) : std::error_code{};
}

void name_own_thread(const char* name) noexcept {
    ::prctl(PR_SET_NAME, name);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
