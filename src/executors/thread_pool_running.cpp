// thread_pool_running.cpp - a task runs: once, again, inside another one that waits, in its submitter, until its time is up.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <utility>

#include "executors/thread_pool.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

// Settles the task if its thread ends in it (pthread_exit), which unwinds the stack.
class thread_pool::death {
public:
    death(thread_pool& pool, local_state& task, const run_place& place, std::int64_t start) noexcept
        : pool_(pool), task_(task), place_(place), start_(start) {}
    death(const death&) = delete;
    death& operator=(const death&) = delete;
    void has_returned() noexcept { has_returned_ = true; }
    ~death() {
        if (has_returned_) return;
        const std::int64_t end = os::ticks();
        task_access::stop_timers(task_);
        const bool again = pool_.try_again(task_, nullptr, end - start_);
        {
            const lock held(pool_.mutex_);
            if (place_.of != nullptr) place_.of->running = nullptr;
            task_counts& counts = pool_.others_counts_;
            counts.died.add(1);
            if (again) counts.retried.add(1);
        }
        if (again || !task_access::step(task_, word_stage::running, word_stage::settling)) return;
        {
            const lock held(pool_.mutex_);
            pool_.others_counts_.executed.add(1);
            pool_.others_counts_.failures.add(1);
        }
        task_access::drop_call(task_);
        task_access::settle_with(task_, std::make_exception_ptr(worker_died(
                                            "result of " + task_name(task_) + ": it ended its thread of " +
                                            pool_.settings_.name + " (pthread_exit)")));
    }

private:
    thread_pool& pool_;
    local_state& task_;
    const run_place& place_;
    std::int64_t start_;
    bool has_returned_ = false;
};

void thread_pool::begin_limits(local_state& task) {
    const task_extras* const extras = task_access::extras_if_any(task);
    if (extras == nullptr) return;
    if (extras->expiry) stop_timer(*extras->expiry);
    if (!extras->end) return;
    const auto timeout = extras->options.timeout.nanoseconds();
    const steady_time due = deadline_after(timeout);
    if (!extras->ask) return set_timer(*extras->end, due);
    set_timer(*extras->ask, due);
    const auto grace = extras->options.grace.nanoseconds();
    set_timer(*extras->end, steady_time::max() - due < grace ? steady_time::max() : due + grace);
}

void thread_pool::attempt(local_state& task, const run_place& place) {
    worker* const of = place.of;
    const std::int64_t start = of != nullptr && of->now != 0 ? of->now : os::ticks();
    if (of != nullptr) of->now = 0;
    attempt_end how = attempt_end::exception;
    // Only the state's once that is stepped to settling: its time may be up, and its future read, by then.
    std::exception_ptr error;
    {
        death guard(*this, task, place, start);
        const running_task here(task);
        try {
            begin_limits(task);
            how = task_access::call(task, error);
        } catch (const std::exception&) {  // no thread for time limits, or no memory
            error = std::current_exception();
        }
        guard.has_returned();
    }
    const std::int64_t end = os::ticks();
    worker* const freed = place.is_nested ? nullptr : of;  // null: goes on with what it was about
    std::int64_t run_ticks = end - start;
    // Extras may have been made while it ran, but limits and retries only come with the submit.
    if (task_extras* const extras = task_access::extras_if_any(task); extras != nullptr) {
        task_access::stop_timers(task);
        if (how == attempt_end::exception && try_again(task, error, run_ticks)) {
            lock held(mutex_, std::defer_lock);
            if (of == nullptr) held.lock();
            place.counts.retried.add(1);
            // release: pairs with busy_count()
            if (freed != nullptr) freed->is_busy.store(false, std::memory_order_release);
            return;
        }
        run_ticks += extras->run_ticks;
        if (!task_access::step(task, word_stage::running, word_stage::settling)) {
            // Its time was up first, and its future is settled.
            task_access::drop_call(task);
            if (freed != nullptr) freed->is_busy.store(false, std::memory_order_release);
            return;
        }
    }
    task_access::drop_call(task);
    {
        lock held(mutex_, std::defer_lock);
        if (of == nullptr) held.lock();
        place.counts.executed.add(1);
        if (how == attempt_end::exception) place.counts.failures.add(1);
        place.counts.total_ticks.add(std::max<std::int64_t>(0, end - task_access::submitted(task)));
        place.counts.run_ticks.add(std::max<std::int64_t>(0, run_ticks));
    }
    if (freed != nullptr) {
        freed->is_busy.store(false, std::memory_order_release);
        freed->now = end;
    }
    if (how == attempt_end::value) task_access::settle(task, word_stage::value);
    else task_access::settle_with(task, std::move(error));
}

// After an exception, or a death (null): queued again, now or later. The caller has stopped its timers; one that is about to act
// may settle the task, until it is stepped to pending.
bool thread_pool::try_again(local_state& task, const std::exception_ptr& error,
                            std::int64_t run_ticks) noexcept {
    task_extras* const extras = task_access::extras_if_any(task);
    if (extras == nullptr || extras->attempt > extras->options.retries.value_or(0) ||
        !task_access::is_repeatable(task) || task_access::is_asked_to_stop(task))
        return false;
    if (error != nullptr) {
        if (!extras->options.retry_if) return false;
        try {
            std::rethrow_exception(error);
        } catch (const std::exception& e) {
            try {
                if (!extras->options.retry_if(e)) return false;
            } catch (...) {
                return false;
            }
        } catch (...) {
            return false;
        }
    }
    const std::chrono::nanoseconds delay = backoff_delay(extras->options.backoff, extras->attempt);

    lock held(mutex_);
    if (failure_ != nullptr) return false;
    if (!task_access::step(task, word_stage::running, word_stage::pending)) return false;
    ++extras->attempt;
    extras->run_ticks += run_ticks;
    if (delay.count() > 0 && extras->start) {
        extras->is_delayed = true;
        later_.append(task);
        ++delayed_;
        try {
            set_timer(*extras->start, deadline_after(delay));
            return true;
        } catch (const std::exception&) {
            // Then at once.
            extras->is_delayed = false;
            later_.remove(task);
            --delayed_;
        }
    }
    drain_intake();
    enqueue(task_ptr::sharing(&task));
    attend(held);
    return true;
}

// Whether the calling worker may run a task on top of those that wait: one part in so many of its stack has to be left for that.
bool thread_pool::has_stack_for_more(std::size_t parts) noexcept {
    auto& self = *static_cast<worker*>(own_place.worker->worker);
    if (self.stack.size == 0) self.stack = os::own_stack();
    // Not known: there is no stack here.
    const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    return self.stack.size != 0 && here > self.stack.lowest + self.stack.size / parts;
}

// A task that is stepped to running, on the stack of a worker that waits.
void thread_pool::run_nested(lock& held, const task_ptr& task) {
    auto& self = *static_cast<worker*>(own_place.worker->worker);
    task_context here{task.get(), self.running};
    self.running = &here;
    held.unlock();
    self.now = 0;
    attempt(*task, {self.counts, &self, true});
    held.lock();
    self.running = here.outer;
    held.unlock();
}

bool thread_pool::run_here(local_state& task) {
    if (own_core() != this || !has_stack_for_more(2)) return false;
    lock held(mutex_);
    drain_intake();
    if (task_access::core(task) != this || !task_access::is_queued(task)) return false;
    unlink(task);
    const task_ptr taken(&task);
    if (!task_access::step(task, word_stage::pending, word_stage::running)) {
        held.unlock();
        return false;
    }
    run_nested(held, taken);
    return true;
}

void thread_pool::run_one_if_stuck() {
    if (own_core() != this) return;
    lock held(mutex_);
    drain_intake();
    if (queued_.load() == 0) return;
    if (started_ > blocked_) return attend(held);
    if (started_ < allowed() && start_worker(held)) return;
    if (!has_stack_for_more(8)) return;  // nobody else can run it
    if (!held.owns_lock()) held.lock();
    if (local_state* const next = pop()) run_nested(held, task_ptr(next));
}

thread_pool::caller_run::caller_run(thread_pool& pool, local_state& task) noexcept
    : pool_(pool), task_(task), next_(std::exchange(pool.callers_, this)) {}

thread_pool::caller_run::~caller_run() {
    const lock held(pool_.mutex_);
    caller_run** link = &pool_.callers_;
    while (*link != this) link = &(*link)->next_;
    *link = next_;
    if (pool_.callers_ == nullptr) pool_.gone_.notify_all();
}

void thread_pool::run_in_caller(lock& held, const task_ptr& task) {
    if (!task_access::step(*task, word_stage::pending, word_stage::running)) return;  // expired
    const caller_run here(*this, *task);
    held.unlock();
    attempt(*task, {others_counts_, nullptr});
}

void thread_pool::worker_waits() noexcept {
    lock held(mutex_);
    ++blocked_;
    update_is_full();
    drain_intake();
    attend(held);
}

void thread_pool::worker_goes_on() noexcept {
    const lock held(mutex_);
    --blocked_;
    if (started_ > allowed()) end_one_idle();
    update_is_full();
}

// -- timers ---------------------------------------------------------------------------------------------------------

// In a timer thread, and so is what of the user's is called: destructors of what the task has captured, callbacks of its stop token.
// The settling thread is no place for it: whoever waits there for this task would wait for ever.
void thread_pool::end_by_timer(local_state& task, bool has_started) noexcept {
    const task_extras& extras = *task_access::extras_if_any(task);
    if (!has_started) forget(task, false);
    const std::int64_t total = std::max<std::int64_t>(0, os::ticks() - task_access::submitted(task));
    std::int64_t run_ticks = extras.run_ticks;
    if (has_started) {
        // From its start to its limit; how late the timer is does not count.
        const std::chrono::duration<double> limit =
            std::chrono::duration<double>(extras.options.timeout.nanoseconds()) +
            (extras.ask ? extras.options.grace.nanoseconds() : std::chrono::nanoseconds(0));
        run_ticks += static_cast<std::int64_t>(
            std::min(limit.count() / rate_.seconds_per_tick(), static_cast<double>(total)));
    }
    {
        const lock held(mutex_);
        others_counts_.executed.add(1);
        others_counts_.failures.add(1);
        others_counts_.total_ticks.add(total);
        others_counts_.run_ticks.add(std::clamp<std::int64_t>(run_ticks, 0, total));
    }
    task_access::ask_to_stop(task);
    if (!has_started) task_access::drop_call(task);
    task_access::settle_with(
        task,
        std::make_exception_ptr(timeout_error(
            has_started ? "result of " + task_name(task) + ": it ran for longer than its timeout of " +
                              in_milliseconds(extras.options.timeout.nanoseconds())
                        : "result of " + task_name(task) + ": it had not started when it expired, after " +
                              in_milliseconds(extras.options.expires.nanoseconds()))));
}

}  // namespace cairn::inline CAIRN_ABI::detail
