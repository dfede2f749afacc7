// periodic_loop.cpp - the clock, the schedule, and the loop that submits what is due.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <utility>
#include <vector>

#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "os/thread.hpp"
#include "periodic/periodic_core.hpp"

namespace cairn::inline CAIRN_ABI::detail {

class periodic_core::loop_end {
public:
    explicit loop_end(periodic_core& core) noexcept : core_(core) {}
    loop_end(const loop_end&) = delete;
    loop_end& operator=(const loop_end&) = delete;
    ~loop_end() { core_.end_loop(); }

private:
    periodic_core& core_;
};

// -- the clock ------------------------------------------------------------------------------------------------------

steady_time periodic_core::look() noexcept {
    if (clock_ == nullptr) return std::chrono::steady_clock::now();
    // What is read later is also noted later.
    const std::lock_guard reading(clock_mutex_);
    const steady_time now = clock_->now();
    const lock held(mutex_);
    if (now < last_look_) shift(now - last_look_);
    last_look_ = now;
    return now;
}

// The clock was set back: what was to come is as far ahead as it was.
void periodic_core::shift(std::chrono::nanoseconds by) noexcept {
    const auto move = [by](steady_time& time) {
        if (time != no_deadline) time += by;
    };
    for (entry& each : schedule_) move(each.at);
    for (const work_ptr& each : works_) {
        if (auto& planned = each->planned) move(*planned);
        move(each->due);
        move(each->submitted);
        move(each->started);
    }
}

void periodic_core::sleep(lock& held, steady_time now, steady_time due) {
    if (clock_ != nullptr) clock_->sleep(held, news_, user_, now, due, under_way_ != 0);
    else if (due == no_deadline) news_.wait(held);
    else news_.wait_until(held, due);
}

void periodic_core::stir() noexcept {
    if (clock_ != nullptr) clock_->stir(user_, news_);
    else news_.notify_all();
}

// From 0 up to 1, without 1. Under the lock.
double periodic_core::random_part() noexcept {
    random_ += 0x9e3779b97f4a7c15U;
    std::uint64_t mixed = random_;
    mixed = (mixed ^ (mixed >> 30U)) * 0xbf58476d1ce4e5b9U;
    mixed = (mixed ^ (mixed >> 27U)) * 0x94d049bb133111ebU;
    mixed ^= mixed >> 31U;
    return static_cast<double>(mixed >> 11U) * 0x1p-53;
}

// -- the schedule, all under the lock -------------------------------------------------------------------------------

// For the functions of the standard library, whose heaps have the greatest on top.
bool periodic_core::is_later(const entry& a, const entry& b) noexcept {
    return a.at != b.at ? a.at > b.at : a.work->number > b.work->number;
}

void periodic_core::plan_first(const work_ptr& work, steady_time now) noexcept {
    std::chrono::nanoseconds after = work->spacing;
    if (work->is_immediate) {
        after = std::chrono::nanoseconds(0);
    } else if (work->phase.is_random()) {
        after = std::chrono::duration_cast<std::chrono::nanoseconds>(random_part() * work->spacing);
    } else if (work->phase.is_given()) {
        after = std::chrono::nanoseconds(time_limit(work->phase.after()).nanoseconds());
    }
    work->kind = work->is_immediate ? run_kind::immediate : run_kind::periodic;
    work->due = later_by(now, after);
    if (!work->exclusive) plan(work, work->due);  // else has_claimed() does
}

void periodic_core::plan(const work_ptr& work, steady_time at) noexcept {
    work->planned = at;
    schedule_.push_back({at, work});  // there is room: add() has seen to it
    std::push_heap(schedule_.begin(), schedule_.end(), &is_later);
    stir();
}

void periodic_core::unplan(periodic_work& work) noexcept {
    if (!work.planned) return;
    work.planned.reset();
    std::erase_if(schedule_, [&](const entry& each) { return each.work.get() == &work; });
    std::make_heap(schedule_.begin(), schedule_.end(), &is_later);
}

work_ptr periodic_core::take_first(steady_time now) noexcept {
    if (schedule_.empty() || schedule_.front().at > now) return nullptr;
    std::pop_heap(schedule_.begin(), schedule_.end(), &is_later);
    work_ptr work = std::move(schedule_.back().work);
    schedule_.pop_back();
    work->planned.reset();
    work->stage = run_stage::taken;
    work->submitted = now;
    ++work->ticket;
    ++under_way_;
    return work;
}

// Its run is over, or is not made.
periodic_core::leftovers periodic_core::release(const work_ptr& work) noexcept {
    leftovers gone;
    work->stage = run_stage::none;
    gone.pending = std::move(work->pending);
    work->is_submitted = false;
    if (work->is_removed) {
        gone.call = std::move(work->call);
        std::erase(works_, work);
        give_up_claim(*work);
    }
    if (--under_way_ == 0) done_.notify_all();
    stir();
    return gone;
}

// An exclusive callable that somebody else runs now.
bool periodic_core::may_be_claimed() const noexcept {
    return std::any_of(works_.begin(), works_.end(), [](const work_ptr& each) {
        return each->exclusive && !each->is_removed && !each->requested_stop && !each->cannot_claim;
    });
}

bool periodic_core::has_work() const noexcept {
    return std::any_of(works_.begin(), works_.end(), [](const work_ptr& each) { return !each->is_removed; });
}

// -- the loop -------------------------------------------------------------------------------------------------------

// In the thread that start() was called in, or in thread_.
bool periodic_core::is_own_thread() const noexcept {
    const pthread_t own = os::own_thread();
    if (is_looping_ && ::pthread_equal(looping_, own) != 0) return true;
    return std::any_of(works_.begin(), works_.end(), [own](const work_ptr& each) {
        return each->stage == run_stage::started && ::pthread_equal(each->runner, own) != 0;
    });
}

void periodic_core::run() {
    const std::shared_ptr<periodic_core> kept = shared_from_this();
    const loop_end ending(*this);
    loop();
}

void periodic_core::loop() {
    // Where start() was called by a task of an executor, another thread may stand in for this one, which sleeps.
    std::optional<blocked_worker> blocked;
    if (in_place_ == nullptr) blocked.emplace();
    lock held(mutex_);
    looping_ = os::own_thread();
    is_looping_ = true;
    while (!is_stopped_) {
        if (schedule_.empty()) {
            if (ends_when_empty_ && has_lost_one_ && under_way_ == 0 && !may_be_claimed()) return;
            sleep(held, last_look_, no_deadline);
            continue;
        }
        held.unlock();
        const steady_time now = look();
        held.lock();
        if (is_stopped_) return;
        work_ptr work = take_first(now);
        if (work == nullptr) {
            if (!schedule_.empty()) sleep(held, now, schedule_.front().at);
            continue;
        }
        const std::uint64_t ticket = work->ticket;
        held.unlock();
        submit(work, ticket);
        if (!is_of_this_process()) return;  // the callable has forked, and returned in the child
        work.reset();                       // perhaps the last reference, if it was removed
        held.lock();
    }
}

void periodic_core::end_loop() noexcept {
    if (!is_of_this_process()) return;
    {
        const lock held(mutex_);
        is_stopped_ = true;
    }
    cancel_runs(false);
    bool drops_calls = false;
    {
        lock held(mutex_);
        wait_while(held, &periodic_core::has_runs, no_deadline);
        if (clock_ != nullptr) clock_->leave(user_);
        is_looping_ = false;
        drops_calls = is_orphaned_;
    }
    end_claims();
    if (drops_calls) drop_calls();
    ended_thread* joined_later = nullptr;
    {
        const lock held(mutex_);
        if (is_orphaned_ && has_thread_) {
            has_thread_ = false;
            joined_later = new (std::nothrow) ended_thread{thread_};
        }
        is_active_ = false;
        has_ended_ = true;
        done_.notify_all();
    }
    join_later(joined_later);
}

// Those that wait in the executor; those that were started are asked to stop. A task that is being submitted is left alone: the
// loop, which submits it, comes here at its end.
void periodic_core::cancel_runs(bool also_started) noexcept {
    std::vector<state_ptr> tasks;
    try {
        const lock held(mutex_);
        for (const work_ptr& each : works_) {
            const bool waits = each->stage == run_stage::taken && each->is_submitted;
            if (each->pending && (waits || (also_started && each->stage == run_stage::started)))
                tasks.push_back(each->pending);
        }
    } catch (const std::bad_alloc&) {
        // Then they are waited for all the same.
    }
    for (const state_ptr& each : tasks) {
        try {
            // A worker process may have started it.
            if (also_started || !uses_processes_ || each->stage() == future_stage::pending) each->cancel();
        } catch (const std::exception&) {
            // As above.
        }
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
