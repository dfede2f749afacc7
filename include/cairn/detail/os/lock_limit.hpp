// lock_limit.hpp - how long an operation of this thread waits for the locks that it needs.
//
// Rule: an operation that has a limit keeps it, whoever holds a lock (a stopped process, a slow callback, one that gets no
// processor). It gives up a lock wait at its limit. What it cannot finish by then without another lock, it leaves as its own
// death would leave it, and gives its lock back as a dead owner's: the next locker finishes it. So giving up needs no
// protocol of its own.
//
//   form                    a lock is waited for                       then
//   get()                   for as long as it takes, or lock_timeout   timeout_error, which names the holder
//   try_get()               try_lock_patience at most                  timeout_error, which names the holder
//   get_for(), get(stop)    until the limit; lock_grace if that is     nothing, as when no item came
//                           over already
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <stop_token>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// How long a `try_` form waits for a lock: API.md's "a second at most".
constexpr std::chrono::nanoseconds try_lock_patience = std::chrono::seconds(1);
/// How long a lock is waited for at most once the limit is over: by who finds it over when it comes to the lock, and by who has to
/// finish what it has begun. A holder that runs is through by then.
constexpr std::chrono::nanoseconds lock_grace = std::chrono::milliseconds(20);
constexpr std::chrono::nanoseconds endless_patience = std::chrono::nanoseconds::max();

/// What limits an operation. Two words, since every get() has one on its stack.
struct operation_limit {
    steady_time deadline = no_deadline;     // at_once: of a `try_` form
    const std::stop_token* stop = nullptr;  // or null
};

/// What limits one wait for a lock. Nothing of it: it waits.
struct lock_limit {
    steady_time deadline = no_deadline;
    const std::stop_token* stop = nullptr;                 // or null
    std::chrono::nanoseconds patience = endless_patience;  // from when the lock is first waited for

    [[nodiscard]] bool is_any() const noexcept {
        return deadline != no_deadline || patience != endless_patience || stop != nullptr;
    }
};

/// Ends an operation at its deadline or stop. Never reaches a user: whoever sets a deadline or a stop catches it.
struct limit_reached {};

/// While it lives, lock waits of this thread end at `limit`. Set only around operations on locks: a signal handler that
/// interrupts a sleep is not bound by it.
class limited_locks {
public:
    CAIRN_INLINE explicit limited_locks(const operation_limit& limit) noexcept { this_thread.limit = &limit; }
    limited_locks(const limited_locks&) = delete;
    limited_locks& operator=(const limited_locks&) = delete;
    CAIRN_INLINE ~limited_locks() { this_thread.limit = nullptr; }
};

/// What ends a wait that has not succeeded.
enum class wait_end {
    none,
    limit,    // the deadline has passed, or a stop was requested
    patience  // longer than `patience`
};

/// The clock of one wait under a limit. `begin` is read at the first question.
class limited_wait {
public:
    explicit limited_wait(const lock_limit& limit) noexcept : limit_(limit) {}
    /// Whether the wait is to end now.
    [[nodiscard]] CAIRN_API wait_end is_over() noexcept;
    /// Until when to sleep: no longer than `most` from now.
    [[nodiscard]] CAIRN_API steady_time next_look(std::chrono::nanoseconds most) const noexcept;
    /// How long it has taken so far.
    [[nodiscard]] CAIRN_API std::chrono::nanoseconds so_far() const noexcept;

private:
    [[nodiscard]] bool is_limit_over(steady_time now) const noexcept;

    const lock_limit& limit_;
    std::optional<steady_time> begin_;
    bool is_late_ = false;  // the limit was over when the wait began
};

}  // namespace cairn::inline CAIRN_ABI::detail
