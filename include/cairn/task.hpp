// task.hpp - a task of an executor: its options, and what it can ask about itself while it runs.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/once_id.hpp>

namespace cairn::inline CAIRN_ABI {

/// How long to wait before a task is tried again: `first`, then twice as long each time, at most `longest`.
struct backoff_range {
    time_limit first = std::chrono::nanoseconds(0);
    time_limit longest = {};
};

/// What one task is given beside its callable: `ex.submit({.timeout = 1s, .retries = 3}, fn, args...)`.
struct task_options {
    /// Longest run, from its start; the executor's if not given. A thread cannot be ended from outside: the task is asked to stop
    /// (this_task::stop_requested()), its future settles with timeout_error, and the thread stays busy until the task returns.
    time_limit timeout = {};
    /// Between the request to stop and timeout_error: what the task returns or throws meanwhile still counts. None if not given.
    time_limit grace = {};
    /// Most further starts: after an exception that `retry_if` accepts, and after the task's thread has ended in it (pthread_exit).
    /// The executor's if not given, which is 0 unless told. Below 0: invalid_argument.
    std::optional<int> retries = {};
    /// Whether to try again after this exception. Called by the task's thread. Empty: never; nor after what is no std::exception.
    std::function<bool(const std::exception&)> retry_if = {};
    backoff_range backoff = {};  ///< `.backoff = {100ms, 30s}`
    /// May not start later than this after submit: settles with timeout_error. Never if not given.
    time_limit expires = {};
    /// Greater ones start first; of equal ones those of each submitter in order, and submitters in turn where the executor does that.
    int priority = 0;
    std::string name = {};  ///< for messages
};

/// About the task that the calling thread runs. Outside a task: nothing is requested, attempt() and id() are 0.
/// Safety  thread-safe, in the thread that runs the task
namespace this_task {

/// Whether the task is asked to end: its future was cancelled, its time is up, or its executor terminated. Cost: a load.
[[nodiscard]] CAIRN_API bool stop_requested() noexcept;
/// The same for what takes a std::stop_token. Callbacks registered with it run in the thread that asks.
/// @throws std::bad_alloc
[[nodiscard]] CAIRN_API std::stop_token stop_token();
/// 1 in the first run, 2 in the first retry.
[[nodiscard]] CAIRN_API int attempt() noexcept;
/// Different for each task of this process, the same in all its attempts.
/// @throws std::bad_alloc
[[nodiscard]] CAIRN_API std::uint64_t id();
/// For `.once` of push_back, set, put ...: the same in all attempts of this task, in whichever worker, and another one for each task; of a
/// map, for each item. So what the task does to an object with it is there once, however often it was begun. (Twice on the same object is
/// once, too: that is what transactions are for.)
/// Objects remember as many clients as a pool had tasks at the same time; of threads each task is one, until manager::forget(client).
/// @throws invalid_state  this thread runs no task; std::bad_alloc
[[nodiscard]] CAIRN_API once_id once();

}  // namespace this_task

/// About the worker that the calling thread is.
namespace this_worker {

/// 0 ... max_workers - 1, inherited by a thread that replaces this one; from max_workers on those that stand in for workers which
/// wait inside a task. -1 outside of workers.
[[nodiscard]] CAIRN_API int id() noexcept;
/// The process it is in.
[[nodiscard]] CAIRN_API pid_t pid() noexcept;

}  // namespace this_worker

}  // namespace cairn::inline CAIRN_ABI
