// thread_pool_submit.cpp - how tasks come into a pool, and out of its queue.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <system_error>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/task_timer.hpp"
#include "executors/thread_pool.hpp"
#include "process/describe_exception.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

void thread_pool::check_open(const lock* held) const {
    if (!is_of_this_process()) {
        throw invalid_state(
            "submit to " + settings_.name +
            ": it belongs to the process that this one was forked from, and a forked child has "
            "none of its threads; make an executor here");
    }
    if (held != nullptr && failure_ != nullptr) std::rethrow_exception(failure_);
    if (is_closed_.load()) {
        throw invalid_state("submit to " + settings_.name + ": cannot schedule new futures after shutdown");
    }
}

void thread_pool::prepare(const task_ptr& task, const task_options* options, std::chrono::nanoseconds delay) {
    task_access::core(*task) = this;
    task_access::submitter(*task) = own_submitter();
    task_access::submitted(*task) = os::ticks();
    if (options == nullptr && !settings_.timeout.is_given() && delay.count() == 0) return;
    task_extras& extras = task_access::extras(*task);
    if (options != nullptr) {
        if (const int retries = options->retries.value_or(0); retries < 0) {
            throw invalid_argument("submit to " + settings_.name + ": .retries is " +
                                   std::to_string(retries) + ", expected 0 or more");
        }
        if (options->retry_if && !task_access::is_repeatable(*task)) {
            throw invalid_argument(
                "submit to " + settings_.name +
                ": .retry_if, but the callable can be called only once: it takes its arguments by "
                "rvalue; take them by value or reference");
        }
        extras.options = *options;
    }
    if (!extras.options.timeout.is_given()) extras.options.timeout = settings_.timeout;
    if (!extras.options.retries) extras.options.retries = settings_.retries;
    if (extras.options.priority != 0) {
        const std::lock_guard held(mutex_);
        others_.try_emplace(extras.options.priority);
    }
    if (extras.options.timeout.is_given()) {
        extras.end = std::make_unique<task_timer>(*task, *this, task_timer::kind::end);
        if (extras.options.grace.is_given())
            extras.ask = std::make_unique<task_timer>(*task, *this, task_timer::kind::ask);
    }
    if (delay.count() != 0 || extras.options.retry_if)
        extras.start = std::make_unique<task_timer>(*task, *this, task_timer::kind::start);
    if (extras.options.expires.is_given()) {
        extras.expiry = std::make_unique<task_timer>(*task, *this, task_timer::kind::expiry);
        set_timer(*extras.expiry, deadline_after(extras.options.expires.nanoseconds()));
    }
}

void thread_pool::submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) {
    check_open(nullptr);
    // The task may destroy its executor before this returns.
    const core_ptr kept_pool = core_ptr::sharing(this);
    prepare(task, options, delay);
    if (!watches_exit_.load(std::memory_order_relaxed)) {
        // Objects that are static were made by now, so they are destroyed after what is registered here has run.
        watches_exit_.store(true, std::memory_order_relaxed);
        watch_for_exit();
    }
    const bool is_fast = is_full_.load(std::memory_order_acquire) && delay.count() == 0 &&
                         (options == nullptr || options->priority == 0);
    if (is_fast && options == nullptr) return push_fast(std::move(task));  // no timer is set
    const task_ptr kept = task;
    try {
        if (is_fast) push_fast(std::move(task));
        else submit_slowly(std::move(task), delay);
    } catch (...) {
        task_access::stop_timers(*kept);
        throw;
    }
}

void thread_pool::push_fast(task_ptr task) {
    local_state* const pushed = task.release();
    local_state* newest = intake_.load(std::memory_order_relaxed);
    do {
        task_access::next(*pushed) = newest;
        // seq_cst: see the file's head, Wake
    } while (!intake_.compare_exchange_weak(newest, pushed));
    if (is_closed_.load()) {
        lock held(mutex_);
        drain_intake();
        if (present_ == 0 && task_access::is_queued(*pushed)) {
            unlink(*pushed);
            task = task_ptr(pushed);
            check_open(&held);
        }
    }
    if (searching_.load() == 0 && (idle_.load() != 0 || !is_full_.load())) {
        lock held(mutex_);
        drain_intake();
        attend(held);
    }
}

void thread_pool::submit_slowly(task_ptr task, std::chrono::nanoseconds delay) {
    std::unique_ptr<blocked_worker> blocked;
    if (settings_.max_pending >= 0 && settings_.when_full == when_full::block && !is_own_thread())
        blocked = std::make_unique<blocked_worker>();
    lock held(mutex_);
    check_open(&held);
    drain_intake();
    if (delay.count() == 0) {
        switch (wait_for_room(held, *task)) {
            case admission::queued: break;
            case admission::run_by_caller: return run_in_caller(held, task);
            case admission::expired: return;  // its future is settled by the timer
        }
        if (settings_.check_and_reject) ask_check(held);
    } else {
        task_extras& extras = task_access::extras(*task);
        extras.is_delayed = true;
        later_.append(*task);
        ++delayed_;
        try {
            set_timer(*extras.start, deadline_after(delay));
        } catch (...) {
            later_.remove(*task);
            extras.is_delayed = false;
            --delayed_;
            throw;
        }
        return;
    }
    // The thread first: if none can be made, and there is none, nothing was submitted.
    ++reserved_;
    adjust();
    bool has_threads = true;
    if (failure_ == nullptr && started_ < allowed() && queued_.load() + reserved_ > started_ - busy_count())
        has_threads = start_worker(held) || started_ > 0;
    --reserved_;
    check_open(&held);
    if (!has_threads) {
        throw system_failure("submit to " + settings_.name +
                                 ": no thread can be made, and there is none yet; nothing was submitted: "
                                 "pthread_create: " +
                                 last_start_error_.message(),
                             last_start_error_);
    }
    enqueue_and_attend(held, std::move(task));
}

// What is to become of a task: waits for room where that is asked for, but no longer than until the task expires.
thread_pool::admission thread_pool::wait_for_room(lock& held, const local_state& task) {
    while (settings_.max_pending >= 0 && waiting_beyond_free(1) > settings_.max_pending) {
        if (is_own_thread()) return admission::queued;  // would wait for itself
        switch (settings_.when_full) {
            case when_full::run_here: return admission::run_by_caller;
            case when_full::reject:
                ++rejected_;
                throw rejected_submission("submit to " + settings_.name + ": " +
                                          std::to_string(settings_.max_pending) +
                                          " tasks wait already, which is .max_pending");
            case when_full::block: break;
        }
        // The timer steps it first, and notifies under the lock after (forget()).
        if (task_access::stage(task) != word_stage::pending) return admission::expired;
        ++waiting_for_room_;
        room_.wait(held);
        --waiting_for_room_;
        check_open(&held);
        drain_intake();
    }
    return admission::queued;
}

// The place is reserved meanwhile, so that of several submitters each sees the others' tasks.
void thread_pool::ask_check(lock& held) {
    const std::int64_t backlog = waiting_beyond_free(0);
    ++reserved_;
    held.unlock();
    std::exception_ptr refusal;
    try {
        settings_.check_and_reject(any_executor(core_ptr::sharing(this)), static_cast<std::size_t>(backlog));
    } catch (...) {
        refusal = caught_exception();
    }
    held.lock();
    --reserved_;
    if (refusal != nullptr) ++rejected_;
    if (waiting_for_room_ != 0) room_.notify_all();
    if (refusal != nullptr) std::rethrow_exception(refusal);
    check_open(&held);
}

// Under the lock, also those below. Takes over the reference.
void thread_pool::enqueue(task_ptr task) noexcept {
    local_state& queued = *task;
    if (task_access::stage(queued) != word_stage::pending) return;  // cancelled or expired meanwhile
    queue_of(queued).append(*task.release());
    task_access::is_queued(queued) = true;
    queued_.fetch_add(1);
}

void thread_pool::enqueue_and_attend(lock& held, task_ptr task) {
    const task_ptr kept = task;  // dropped by the caller's reference at the latest: not under the lock
    enqueue(std::move(task));
    attend(held);
}

void thread_pool::drain_intake() noexcept {
    // seq_cst: after stop_searching() and update_is_full(), see the file's head, Wake
    if (intake_.load() == nullptr) return;
    // acquire: pairs with the push
    local_state* newest = intake_.exchange(nullptr, std::memory_order_acquire);
    local_state* oldest = nullptr;
    while (newest != nullptr) {
        local_state* const each = std::exchange(newest, task_access::next(*newest));
        task_access::next(*each) = oldest;
        oldest = each;
    }
    while (oldest != nullptr) {
        local_state* const each = std::exchange(oldest, task_access::next(*oldest));
        enqueue(task_ptr(each));
    }
}

fair_queue& thread_pool::queue_of(const local_state& task) noexcept {
    const task_extras* const extras = task_access::extras_if_any(task);
    const int priority = extras != nullptr ? extras->options.priority : 0;
    return priority == 0 ? ready_ : others_.find(priority)->second;
}

// Where the next task is; null if there is none.
fair_queue* thread_pool::first_queue() noexcept {
    fair_queue* of_less = nullptr;
    if (!others_.empty()) {
        for (auto each = others_.rbegin(); each != others_.rend(); ++each) {
            if (each->second.is_empty()) continue;
            if (each->first > 0) return &each->second;
            of_less = &each->second;
            break;
        }
    }
    return !ready_.is_empty() ? &ready_ : of_less;
}

// Steps it to running. The reference of the queue goes to the caller.
local_state* thread_pool::pop() noexcept {
    drain_intake();
    while (fair_queue* const queue = first_queue()) {
        local_state& task = take_from(*queue);
        if (task_access::step(task, word_stage::pending, word_stage::running)) return &task;
        // Who cancels it holds a reference, and is waiting for this lock: not the last one.
        task.drop_reference();
    }
    return nullptr;
}

void thread_pool::unlink(local_state& task) noexcept {
    queue_of(task).remove(task);
    count_unlinked(task);
}

local_state& thread_pool::take_from(fair_queue& queue) noexcept {
    local_state& task = queue.take_next();
    count_unlinked(task);
    return task;
}

void thread_pool::count_unlinked(local_state& task) noexcept {
    task_access::is_queued(task) = false;
    queued_.fetch_sub(1);
    if (waiting_for_room_ != 0) room_.notify_all();
    if (present_ == 0) gone_.notify_all();  // who waits for the end may have seen it queued
}

void thread_pool::submit_following(task_ptr task) {
    lock held(mutex_, std::defer_lock);
    {
        // Its future is known by now, and may be cancelled: as in local_state::cancel(). enqueue() leaves out one that was.
        const std::lock_guard first(cancel_mutex());
        held.lock();
        check_open(&held);
        task_access::core(*task) = this;
        task_access::submitted(*task) = os::ticks();
        drain_intake();
        enqueue(task);
    }
    if (settings_.is_dynamic) adjust();
    attend(held);
}

void thread_pool::start_due(local_state& task) noexcept {
    task_ptr kept = task_ptr::sharing(&task);
    lock held(mutex_);
    task_extras& extras = *task_access::extras_if_any(task);
    if (!extras.is_delayed) return;  // cancelled
    extras.is_delayed = false;
    later_.remove(task);
    --delayed_;
    drain_intake();
    enqueue(kept);
    if (settings_.is_dynamic) adjust();
    attend(held);
    if (!held.owns_lock()) held.lock();
    gone_.notify_all();
}

void thread_pool::forget(local_state& task, bool is_cancelled) noexcept {
    const lock held(mutex_);
    drain_intake();
    if (is_cancelled) ++cancelled_;
    if (task_access::is_queued(task)) {
        unlink(task);
        task.drop_reference();  // the caller has another one
    }
    task_extras* const extras = task_access::extras_if_any(task);
    if (extras != nullptr && extras->is_delayed) {
        extras->is_delayed = false;
        later_.remove(task);
        --delayed_;
    }
    if (waiting_for_room_ != 0) room_.notify_all();  // its submitter may wait
    if (queued_.load() == 0 && delayed_ == 0) gone_.notify_all();
}

}  // namespace cairn::inline CAIRN_ABI::detail
