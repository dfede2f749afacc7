// child.hpp - the system calls behind cairn::process: making children, waiting for them, signalling them.
//
// Nothing throws here: calls return the system's error code, and the process layer puts the child's name to it.
// EINTR is retried here, except where a wait with a limit may as well return early.
//
// Children are waited for one by one, by descriptor or pid and never "any child", and no SIGCHLD handler is involved:
// the program's other children are none of our business.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <system_error>

#include <sys/types.h>

#include "os/identity.hpp"
#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// fork(2) by way of the C library, so that its fork handlers run. `child` is 0 in the child.
std::error_code fork_process(pid_t& child) noexcept;

pid_t own_pid() noexcept;
/// 0 when the parent is in another pid namespace.
pid_t parent_pid() noexcept;

/// Ends the process at once: no handlers, no destructors, nothing flushed.
[[noreturn]] void end_process(int code) noexcept;
/// SIGKILL to oneself; falls back to ending with the code a shell shows for it, since the first process of a pid
/// namespace is immune to its own signals.
[[noreturn]] void kill_own_process() noexcept;

/// A descriptor that polls readable once the process has ended. ESRCH: there is no such process.
std::error_code open_pidfd(pid_t pid, unique_fd& fd) noexcept;
/// A descriptor that polls readable always: stands in for the pidfd of a child that is gone already.
std::error_code open_always_readable(unique_fd& fd) noexcept;

/// ESRCH: ended and reaped already.
std::error_code signal_by_pidfd(int fd, int signal) noexcept;
/// Only for a child that is not reaped yet: its pid cannot have passed to somebody else.
std::error_code signal_by_pid(pid_t pid, int signal) noexcept;
/// Of any process, and not of another that has its pid by now; also where this process has no descriptor left. ESRCH: it has ended.
std::error_code signal_process(process_identity whom, int signal) noexcept;

/// What reaping found.
struct child_status {
    bool ended = false;
    int code = 0;  // exit code; negative: the signal that killed it
};

/// Reaps the child if it has ended, without waiting. ECHILD: somebody else reaped it, or SIGCHLD is ignored.
std::error_code try_reap_by_pidfd(int fd, child_status& status) noexcept;
std::error_code try_reap_by_pid(pid_t pid, child_status& status) noexcept;

/// Waits for `fd` to become readable; may return early with `readable` false. EBADF: not an open descriptor.
std::error_code wait_readable(int fd, std::chrono::nanoseconds longest, bool& readable) noexcept;
void sleep_for(std::chrono::nanoseconds time) noexcept;

/// Zeroed memory that this process shares with the children it forks later.
std::error_code map_shared_with_children(std::size_t bytes, void*& memory) noexcept;
void unmap_shared(void* memory, std::size_t bytes) noexcept;

/// Starts a thread in which no signal is ever handled, with a small stack, that nobody joins.
std::error_code start_quiet_thread(void* (*body)(void*), void* argument) noexcept;
/// What ps and debuggers call the calling thread; 15 bytes of it.
void name_own_thread(const char* name) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
