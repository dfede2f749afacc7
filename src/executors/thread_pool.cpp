// thread_pool.cpp - a pool is made, told to end, and looked at. Tasks come in by thread_pool_submit.cpp, threads come and go in
// thread_pool_workers.cpp, and run tasks in thread_pool_running.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include "executors/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "executors/per_process.hpp"
#include "os/processors.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// For tasks that go on after they were asked to stop, once main has returned: the process ends without them.
constexpr std::chrono::seconds patience_at_exit{1};

}  // namespace

thread_pool::thread_pool(pool_settings settings)
    : settings_(std::move(settings)), exceptions_at_birth_(std::uncaught_exceptions()),
      // More than one that looks takes processors away from those that work.
      most_searching_(std::max(1, os::processor_count() / 4)),
      target_(settings_.is_dynamic ? 0 : settings_.max_workers) {
    watch_for_exit();
}

thread_pool::~thread_pool() {
    // Nobody refers to it any more, so there are no threads and no tasks. One that cancelled the last of them may still be about it.
    const std::lock_guard last_one(cancel_mutex());
}

// -- counts, all under mutex_ ---------------------------------------------------------------------------------------

bool thread_pool::is_bounded() const noexcept {
    return settings_.max_pending >= 0 || static_cast<bool>(settings_.check_and_reject);
}

int thread_pool::allowed() const noexcept {
    const int most = target_ + std::min(blocked_, settings_.max_workers);
    return makes_no_more() ? std::min(most, std::max(1, started_)) : most;
}

int thread_pool::busy_count() const noexcept {
    int busy = 0;
    for (const auto& each : workers_)
        // acquire: pairs with the store before a future settles; who has waited for that sees it
        if (each->is_in_use && each->is_busy.load(std::memory_order_acquire)) ++busy;
    return busy;
}

// How many tasks would wait that no thread is free for, made or yet to be made.
std::int64_t thread_pool::waiting_beyond_free(std::int64_t more) const noexcept {
    const std::int64_t free = std::max(0, settings_.max_workers - busy_count());
    return std::max<std::int64_t>(0, queued_.load() + reserved_ + more - free);
}

double thread_pool::load() const noexcept {
    return started_ == 0 ? 1.0 : static_cast<double>(busy_count() + queued_.load()) / started_;
}

bool thread_pool::needs_thread() const noexcept {
    return failure_ == nullptr && started_ < allowed() && queued_.load() > started_ - busy_count();
}

void thread_pool::update_is_full() noexcept {
    is_full_.store(started_ >= allowed() && !is_bounded() && !settings_.is_dynamic && failure_ == nullptr);
}

bool thread_pool::is_own_thread() const noexcept {
    return own_core() == this || static_cast<bool>(own_place.is_settling);
}

// A worker, the settling thread, or a submitter that runs its task itself and is in it.
bool thread_pool::would_wait_for_itself() const noexcept {
    if (is_own_thread()) return true;
    for (const task_context* each = own_task_context(); each != nullptr; each = each->outer)
        if (task_access::core(*each->task) == this) return true;
    return false;
}

// -- the end --------------------------------------------------------------------------------------------------------

// By stepping them to `stage`. Each has one reference for its place there.
void thread_pool::move_queued(task_list& to, word_stage stage) noexcept {
    drain_intake();
    while (fair_queue* const queue = first_queue()) {
        local_state& task = take_from(*queue);
        if (task_access::step(task, word_stage::pending, stage)) to.append(task);
        else task.drop_reference();  // as in pop()
    }
}

// All that has not started.
void thread_pool::move_all(task_list& to, word_stage stage) noexcept {
    move_queued(to, stage);
    while (local_state* const task = later_.first()) {
        later_.remove(*task);
        task_access::extras_if_any(*task)->is_delayed = false;
        --delayed_;
        task->add_reference();
        if (task_access::step(*task, word_stage::pending, stage)) to.append(*task);
        else task->drop_reference();
    }
}

// With `error`; cancelled if that is null. Counts, and gives the lock back.
void thread_pool::settle_all(lock& held, task_list& tasks, const std::exception_ptr& error) noexcept {
    for (local_state* each = tasks.first(); each != nullptr; each = task_access::next(*each)) {
        if (error == nullptr) {
            ++cancelled_;
        } else {
            others_counts_.executed.add(1);
            others_counts_.failures.add(1);
        }
    }
    gone_.notify_all();
    held.unlock();
    while (local_state* const task = tasks.first()) {
        tasks.remove(*task);
        task_access::stop_timers(*task);
        task_access::drop_call(*task);
        if (error == nullptr) task_access::settle(*task, word_stage::cancelled);
        else task_access::settle_with(*task, error);
        task->drop_reference();
    }
}

// No thread comes up.
void thread_pool::fail(lock& held) noexcept {
    update_is_full();
    room_.notify_all();
    task_list left;
    move_all(left, word_stage::settling);
    settle_all(held, left, failure_);
}

void thread_pool::close(bool cancels) noexcept {
    lock held(mutex_);
    is_closed_.store(true);
    room_.notify_all();
    while (sleepers_ != nullptr) {
        wake_one(held);
        held.lock();
    }
    if (!cancels) return;
    task_list left;
    move_all(left, word_stage::cancelling);
    settle_all(held, left, nullptr);
}

bool thread_pool::wait_until_gone(steady_time deadline) noexcept {
    const blocked_worker blocked;
    lock held(mutex_);
    const auto is_gone = [this] {
        drain_intake();
        return present_ == 0 && callers_ == nullptr && queued_.load() == 0 && delayed_ == 0;
    };
    while (!is_gone()) {
        if (deadline == no_deadline) gone_.wait(held);
        else if (gone_.wait_until(held, deadline) == std::cv_status::timeout) return is_gone();
    }
    ended_thread* const ended = take_ended();
    held.unlock();
    join_all(ended);
    return true;
}

void thread_pool::shutdown(const shutdown_options& options) {
    if (!is_of_this_process()) {
        throw invalid_state("shut down " + settings_.name +
                            ": it belongs to the process that this one was forked from");
    }
    close(options.cancel_futures);
    if (options.wait && !would_wait_for_itself()) wait_until_gone(no_deadline);
}

void thread_pool::ask_all_to_stop() {
    std::vector<task_ptr> running;
    {
        const lock held(mutex_);
        for (const auto& each : workers_) {
            if (!each->is_in_use) continue;
            for (const task_context* task = each->running; task != nullptr; task = task->outer)
                running.push_back(task_ptr::sharing(task->task));
        }
        for (const caller_run* each = callers_; each != nullptr; each = each->next())
            running.push_back(task_ptr::sharing(&each->task()));
    }
    for (const task_ptr& each : running) task_access::ask_to_stop(*each);
}

void thread_pool::terminate() {
    if (!is_of_this_process()) {
        throw invalid_state("terminate " + settings_.name +
                            ": it belongs to the process that this one was forked from");
    }
    {
        lock held(mutex_);
        task_list left;
        move_all(left, word_stage::cancelling);
        settle_all(held, left, nullptr);
    }
    ask_all_to_stop();
}

void thread_pool::orphan() noexcept {
    try {
        require_settling_thread();
    } catch (const std::exception&) {
        // Then nobody joins them: they end all the same.
    }
    lock held(mutex_);
    is_orphaned_ = true;
    ended_thread* const ended = std::exchange(ended_, nullptr);
    held.unlock();
    join_later(ended);
}

void thread_pool::let_go() noexcept {
    if (!is_of_this_process()) return;  // all of it is the parent's
    const bool is_ending = is_exiting();
    const bool terminates = is_ending || std::uncaught_exceptions() > exceptions_at_birth_;
    close(terminates);
    if (terminates) {
        try {
            ask_all_to_stop();
        } catch (const std::bad_alloc&) {
            // Then they are waited for all the same.
        }
    }
    if (would_wait_for_itself() ||
        !wait_until_gone(is_ending ? std::chrono::steady_clock::now() + patience_at_exit : no_deadline))
        orphan();
    drop_reference();
}

// -- looking at it --------------------------------------------------------------------------------------------------

executor_statistics thread_pool::statistics() const {
    executor_statistics sum;
    if (!is_of_this_process()) return sum;  // the lock may have been held at the fork; also below
    const double seconds = rate_.seconds_per_tick();
    std::int64_t total = 0;
    std::int64_t run = 0;
    const lock held(mutex_);
    const auto add = [&](const task_counts& counts) {
        sum.executed += static_cast<std::uint64_t>(counts.executed.get());
        sum.failures += static_cast<std::uint64_t>(counts.failures.get());
        sum.retried += static_cast<std::uint64_t>(counts.retried.get());
        sum.died += static_cast<std::uint64_t>(counts.died.get());
        total += counts.total_ticks.get();
        run += counts.run_ticks.get();
    };
    for (const auto& each : workers_) add(each->counts);
    add(others_counts_);
    sum.cancelled = cancelled_;
    sum.rejected = rejected_;
    sum.runtime = executor_statistics::seconds(static_cast<double>(total) * seconds);
    sum.run_time = executor_statistics::seconds(static_cast<double>(std::min(run, total)) * seconds);
    sum.queue_time = sum.runtime - sum.run_time;
    if (sum.executed != 0) sum.average_runtime = sum.runtime / static_cast<double>(sum.executed);
    return sum;
}

bool thread_pool::is_alive() const noexcept {
    if (!is_of_this_process() || is_closed_.load()) return false;
    const lock held(mutex_);
    return failure_ == nullptr;
}

namespace {

// Newest first, and not in the queue yet.
std::int64_t length_of(const local_state* newest) noexcept {
    std::int64_t length = 0;
    for (; newest != nullptr; newest = task_access::next(const_cast<local_state&>(*newest))) ++length;
    return length;
}

}  // namespace

std::size_t thread_pool::queue_size() const {
    if (!is_of_this_process()) return 0;
    const lock held(mutex_);
    // Taken from the intake only under the lock, so what is there stays.
    return static_cast<std::size_t>(queued_.load() + length_of(intake_.load(std::memory_order_acquire)));
}

std::size_t thread_pool::worker_count() const {
    if (!is_of_this_process()) return 0;
    const lock held(mutex_);
    return static_cast<std::size_t>(started_);
}

std::size_t thread_pool::idle_worker_count() const {
    if (!is_of_this_process()) return 0;
    const lock held(mutex_);
    return static_cast<std::size_t>(std::max(0, started_ - busy_count()));
}

}  // namespace cairn::inline CAIRN_ABI::detail
