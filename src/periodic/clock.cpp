// SPDX-License-Identifier: BSL-1.0
#include "periodic/clock.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "periodic/next_run.hpp"
#include <cairn/error.hpp>
#include <cairn/periodic.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

void clock_source::stir(clock_user& /*user*/, std::condition_variable& news) noexcept {
    news.notify_all();
}

void function_time::sleep(std::unique_lock<std::mutex>& held, std::condition_variable& news,
                          clock_user& /*user*/, steady_time now, steady_time due, bool /*is_busy*/) {
    const bool is_near = later_by(now, look_every_) > due;
    news.wait_until(held, deadline_after(is_near ? due - now : look_every_));
}

std::shared_ptr<clock_source> source_of(clock_reader now, time_limit look_every) {
    if (!now) throw invalid_argument("make a periodic_clock: the function is empty");
    if (look_every.nanoseconds().count() <= 0)
        throw invalid_argument("make a periodic_clock: look_every is 0, expected more");
    return std::make_shared<function_time>(std::move(now), look_every.nanoseconds());
}

steady_time manual_time::now() noexcept {
    const std::lock_guard held(mutex_);
    return now_;
}

void manual_time::enter(clock_user& user) {
    const std::lock_guard held(mutex_);
    user.is_asleep = false;
    users_.push_back(&user);
}

void manual_time::leave(clock_user& user) noexcept {
    const std::lock_guard held(mutex_);
    users_.erase(std::find(users_.begin(), users_.end(), &user));
    change_.notify_all();
}

void manual_time::stir(clock_user& user, std::condition_variable& /*news*/) noexcept {
    const std::lock_guard held(mutex_);
    user.is_stirred = true;
    user.is_asleep = false;
    change_.notify_all();
}

// Whoever changes something holds the worker's mutex, so he has done so before this, or stirs after the user is marked asleep.
void manual_time::sleep(std::unique_lock<std::mutex>& held, std::condition_variable& /*news*/,
                        clock_user& user, steady_time /*now*/, steady_time due, bool is_busy) {
    std::unique_lock own(mutex_);
    user.is_stirred = false;
    if (now_ >= due) return;
    user.is_asleep = true;
    user.is_busy = is_busy;
    user.due = due;
    change_.notify_all();
    held.unlock();
    const std::uint64_t seen = changes_;
    change_.wait(own, [&] { return user.is_stirred || changes_ != seen; });
    user.is_asleep = false;
    own.unlock();
    held.lock();
}

void manual_time::set_locked(steady_time to) noexcept {
    now_ = to;
    ++changes_;
    for (clock_user* const each : users_) each->is_asleep = false;
    change_.notify_all();
}

void manual_time::advance(std::chrono::nanoseconds by) {
    const std::lock_guard held(mutex_);
    set_locked(by.count() < 0 ? now_ + by : later_by(now_, by));
}

void manual_time::set(steady_time to) {
    const std::lock_guard held(mutex_);
    set_locked(to);
}

bool manual_time::is_quiet() const noexcept {
    return std::all_of(users_.begin(), users_.end(),
                       [](const clock_user* each) { return each->is_asleep && !each->is_busy; });
}

void manual_time::run_for(std::chrono::nanoseconds time, std::chrono::nanoseconds watchdog) {
    std::unique_lock held(mutex_);
    const steady_time end = later_by(now_, time);
    for (;;) {
        if (!change_.wait_until(held, deadline_after(watchdog), [this] { return is_quiet(); })) {
            throw timeout_error(
                "run_for of a manual_clock: a run goes on for longer than " +
                std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(watchdog).count()) +
                " ms of real time");
        }
        if (now_ >= end) return;
        steady_time next = end;
        for (const clock_user* const each : users_) next = std::min(next, each->due);
        set_locked(next);
    }
}

}  // namespace detail

manual_clock::manual_clock(time_point start) : time_(std::make_shared<detail::manual_time>(start)) {}

manual_clock::time_point manual_clock::now() const {
    return time_->now();
}
void manual_clock::advance(duration by) const {
    time_->advance(by);
}
void manual_clock::set(time_point to) const {
    time_->set(to);
}
void manual_clock::run_for(duration time, time_limit watchdog) const {
    time_->run_for(time, watchdog.nanoseconds());
}

periodic_clock::periodic_clock(const manual_clock& clock) : source_(clock.time_) {}

}  // namespace cairn::inline CAIRN_ABI
