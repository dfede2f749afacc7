// settling.hpp - the settling thread: runs callbacks, continuations and coroutines of settled futures, one after the other.
//
// Made          when the first callback is registered, so that settling never fails.
// Joined        at the exit of the process, by an exit handler registered with it: it runs what is queued by then, and what that
//               queues. Later callbacks are dropped. exit() in a callback does not wait for itself.
// Ended         by a callback (pthread_exit): it says so, and another thread goes on with the next one.
// Also          joins threads of executors that could not be joined by whoever let go of them.
// Fork          a child starts with none, and makes its own.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>

#include <pthread.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/executors/future_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// @throws system_failure, std::bad_alloc
void require_settling_thread();

/// Queues a chain of callbacks, linked by next_queued_, whose states have a reference counted for each.
void queue_callbacks(callback* first, callback* last) noexcept;

/// A thread that is about to end, to be joined. Chained; made while nothing is lost if that fails.
struct ended_thread {
    pthread_t thread;
    ended_thread* next = nullptr;
};
/// Joins them here.
void join_all(ended_thread* chain) noexcept;
/// Has the settling thread join them, for who cannot; without one, nobody does.
void join_later(ended_thread* chain) noexcept;

/// Whether exit() has begun, or main has returned, as far as handlers have been told (watch_for_exit()).
[[nodiscard]] bool is_exiting() noexcept;
/// Has is_exiting() become true before objects are destroyed which exist by now. May be called often.
void watch_for_exit() noexcept;

/// Held by cancel() while it uses the executor of a pending task, and, for a moment, by an executor before it goes. One for each
/// process: a forked child makes its own.
std::mutex& cancel_mutex();

}  // namespace cairn::inline CAIRN_ABI::detail
