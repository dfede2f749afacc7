// timers.hpp - threads of the process that act when a time has come: tasks that are due, time limits.
//
// Protected by  a lock of its own, inside of no other but what claim() says. A heap of pointers, each timer knows its place: a task that
//               is done takes its timer out at once.
// Race          claim() is called under the lock, act() after it. Who takes a timer out knows afterwards: it was claimed, or
//               never will be.
// Threads       one is made with the first timer. It watches the time, and acts. Before it runs something of the user's, which may be slow,
//               another one takes over the watch: a spare one, or a new one, up to most_timer_threads. All are joined at the exit
//               of the process: what is due later does not come.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class timer {
public:
    timer() noexcept = default;
    timer(const timer&) = delete;
    timer& operator=(const timer&) = delete;
    virtual ~timer();

protected:
    /// Whether act() or let_go() may run something of the user's. Those that do not act one after the other, as they become due.
    [[nodiscard]] virtual bool runs_user_code() const noexcept { return false; }
    /// Its time has come. False: nothing to do. Takes no lock, and runs nothing of the user's.
    virtual bool claim() noexcept = 0;
    virtual void act() noexcept = 0;
    /// While it is set, the timer keeps alive what it belongs to.
    virtual void keep() noexcept = 0;
    virtual void let_go() noexcept = 0;

private:
    friend class timer_queue;
    static constexpr std::size_t not_set = static_cast<std::size_t>(-1);
    steady_time due_{};
    std::size_t place_ = not_set;
};

/// Chosen freely: more that are slow at once hold up all timers.
constexpr std::size_t most_timer_threads = 16;

/// @throws system_failure  no thread can be made;  std::bad_alloc
void set_timer(timer& t, steady_time due);
/// Nothing if it is not set.
void stop_timer(timer& t) noexcept;
/// At exit: joins the threads.
void end_timers() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
