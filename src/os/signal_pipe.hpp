// signal_pipe.hpp - signals as messages, for processes that run a user's code.
//
// Handlers, and not blocked signals with a signalfd: a program that a user's code starts inherits what is blocked, and could not be
// ended by SIGTERM; a handler it does not inherit. A handler here does nothing but write the signal's number into a pipe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>
#include <system_error>

#include <signal.h>
#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// From here on these signals are read from the pipe, whatever thread they come to. One pipe for each process; a forked child has
/// none: there they have their default action, until it opens one of its own.
std::error_code open_signal_pipe(std::span<const int> signals) noexcept;

/// Each arrival of that signal, which is one of the pipe's, adds 1: before it can be read. Null: none any more. Until the pipe is closed.
void count_arrivals(int signal, std::atomic<std::uint64_t>* count) noexcept;

/// Whether that signal has been sent to the process, and has not come to a thread of it yet. False when that cannot be told.
[[nodiscard]] bool has_pending_signal(pid_t process, int signal) noexcept;

/// Puts the handlers of before back. What is not read yet is lost.
void close_signal_pipe() noexcept;

/// Polls readable when there is one to be read.
[[nodiscard]] int signal_pipe_descriptor() noexcept;

/// The next; 0 when there is none.
[[nodiscard]] int read_signal() noexcept;

/// By one write, of which as much as goes: a reader that has ended is no SIGPIPE.
void write_without_signal(int fd, std::string_view text) noexcept;

/// Signals that do nothing here and are not ignored, which programs that are started would inherit.
void disregard_signals(std::span<const int> signals) noexcept;

/// What is blocked in the calling thread.
sigset_t blocked_in_thread() noexcept;
void block_in_thread(const sigset_t& blocked) noexcept;
/// The same less these.
void unblock_in_thread(std::span<const int> signals) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
