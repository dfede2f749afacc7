// clock.hpp - where a periodic worker has the time from, and how it sleeps by it.
//
// Locks         a worker's mutex is taken first, a clock's own second; a clock takes no other. A function of the user's is called
//               without the worker's mutex.
// Sleep         ends when the instant has come, when the worker was stirred, or for no reason.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/periodic/periodic_call.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What a clock knows of a worker that runs by it. Under the clock's lock.
struct clock_user {
    steady_time due = no_deadline;
    bool is_asleep = false;   // has nothing to do before `due`
    bool is_busy = false;     // but a run is under way
    bool is_stirred = false;  // and it does not know yet
};

class clock_source {
public:
    clock_source() = default;
    clock_source(const clock_source&) = delete;
    clock_source& operator=(const clock_source&) = delete;
    virtual ~clock_source() = default;

    virtual steady_time now() noexcept = 0;
    virtual void enter(clock_user& /*user*/) {}
    virtual void leave(clock_user& /*user*/) noexcept {}
    /// Under the worker's mutex: something has changed.
    virtual void stir(clock_user& user, std::condition_variable& news) noexcept;
    /// `held` is the worker's mutex; given back meanwhile. `now` is what the worker has seen last.
    virtual void sleep(std::unique_lock<std::mutex>& held, std::condition_variable& news, clock_user& user,
                       steady_time now, steady_time due, bool is_busy) = 0;
};

/// A function of the user's.
class function_time final : public clock_source {
public:
    function_time(clock_reader now, std::chrono::nanoseconds look_every)
        : now_(std::move(now)), look_every_(look_every) {}
    steady_time now() noexcept override { return now_(); }
    void sleep(std::unique_lock<std::mutex>& held, std::condition_variable& news, clock_user& user,
               steady_time now, steady_time due, bool is_busy) override;

private:
    const clock_reader now_;
    const std::chrono::nanoseconds look_every_;
};

class manual_time final : public clock_source {
public:
    explicit manual_time(steady_time start) noexcept : now_(start) {}
    steady_time now() noexcept override;
    void enter(clock_user& user) override;
    void leave(clock_user& user) noexcept override;
    void stir(clock_user& user, std::condition_variable& news) noexcept override;
    void sleep(std::unique_lock<std::mutex>& held, std::condition_variable& news, clock_user& user,
               steady_time now, steady_time due, bool is_busy) override;

    void advance(std::chrono::nanoseconds by);
    void set(steady_time to);
    void run_for(std::chrono::nanoseconds time, std::chrono::nanoseconds watchdog);

private:
    void set_locked(steady_time to) noexcept;
    [[nodiscard]] bool is_quiet() const noexcept;

    std::mutex mutex_;
    std::condition_variable change_;
    steady_time now_;            // under mutex_, also below
    std::uint64_t changes_ = 0;  // of now_
    std::vector<clock_user*> users_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
