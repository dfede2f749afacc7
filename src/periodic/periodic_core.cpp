// periodic_core.cpp - what handles and watchers do: a worker is made, filled, started, stopped and let go.
// SPDX-License-Identifier: BSL-1.0
#include "periodic/periodic_core.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "os/child.hpp"
#include "os/thread.hpp"
#include "pool/process_pool.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// For runs that go on once main has returned: the process ends without them. As the executors'.
constexpr std::chrono::seconds patience_for_runs_at_exit{1};

std::uint64_t random_seed(const void* object) noexcept {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) ^
           (reinterpret_cast<std::uintptr_t>(object) << 16U) ^ own_process_mark();
}

bool is_process_pool(const any_executor& ex) {
    return dynamic_cast<const process_pool*>(core_access::share(ex).get()) != nullptr;
}

}  // namespace

periodic_core* periodic_core::make(const periodic_worker_options& options) {
    auto core = std::make_shared<periodic_core>(options, options.clock.source());
    periodic_core* const made = core.get();
    made->self_ = std::move(core);
    return made;
}

periodic_core::periodic_core(const periodic_worker_options& options, std::shared_ptr<clock_source> clock)
    : exceptions_at_birth_(std::uncaught_exceptions()), strategy_(options.strategy),
      on_failure_(options.on_failure), clock_(std::move(clock)),
      in_place_(options.executor ? nullptr : std::make_unique<synchronous_executor>()),
      runner_(options.executor ? *options.executor : any_executor(*in_place_)),
      uses_processes_(is_process_pool(runner_)), random_(random_seed(this)) {
    look();
}

void periodic_core::let_go() noexcept {
    if (!is_of_this_process()) return;  // all of it is the parent's
    const bool is_ending = is_exiting();
    const bool asks_to_stop = is_ending || std::uncaught_exceptions() > exceptions_at_birth_;
    std::shared_ptr<periodic_core> kept;
    bool is_own = false;
    {
        lock held(mutex_);
        kept = std::move(self_);
        is_stopped_ = true;
        // The end of a run by a process comes to the settling thread.
        is_own = is_own_thread() || (uses_processes_ && is_active_ && own_place.is_settling);
        stir();
    }
    if (asks_to_stop) cancel_runs(true);
    if (is_own) {
        // The loop waits for this run, or for what this thread is to tell it, and then does the rest.
        require_joiner();
        const lock held(mutex_);
        is_orphaned_ = true;
        if (is_active_) return;
    } else {
        lock held(mutex_);
        const steady_time deadline =
            is_ending ? std::chrono::steady_clock::now() + patience_for_runs_at_exit : no_deadline;
        if (!wait_while(held, &periodic_core::is_going_on, deadline)) {
            is_orphaned_ = true;
            return;
        }
    }
    join_thread_if_ended();
    drop_calls();
}

void periodic_core::drop_calls() noexcept {
    std::vector<work_ptr> all;
    std::vector<entry> planned;
    {
        const lock held(mutex_);
        all.swap(works_);
        planned.swap(schedule_);
        for (const work_ptr& each : all) each->planned.reset();
    }
    // Watchers may keep the rest of it.
    for (const work_ptr& each : all) each->call.reset();
}

// The loop's thread is joined by the settling thread, when it ends.
void periodic_core::require_joiner() noexcept {
    try {
        require_settling_thread();
    } catch (const std::exception&) {
        // Then nobody joins it: it ends all the same.
    }
}

void periodic_core::join_thread_if_ended() noexcept {
    pthread_t ended{};
    {
        const lock held(mutex_);
        if (!has_thread_ || is_active_) return;
        has_thread_ = false;
        ended = thread_;
    }
    os::join_thread(ended);
}

void periodic_core::require_own_process(const char* operation) const {
    if (is_of_this_process()) return;
    throw invalid_state(
        std::string(operation) +
        " periodic_worker: it belongs to the process that this one was forked from; make one here");
}

void periodic_core::require_present(const periodic_work& work, const char* operation) const {
    if (!work.is_removed) return;
    throw object_gone(std::string(operation) + " periodic '" + work.name +
                      "': it was removed from its worker");
}

// -- what handles do ------------------------------------------------------------------------------------------------

work_ptr periodic_core::add(const periodic& when, std::unique_ptr<periodic_call> call) {
    require_own_process("add to");
    const std::string& given = when.options().name;
    if (call == nullptr) {
        throw invalid_argument("add " + (given.empty() ? std::string() : "'" + given + "' ") +
                               "to periodic_worker: the callable is empty");
    }
    if (uses_processes_ && !call->travels()) {
        throw invalid_argument(
            "add " + (given.empty() ? std::string() : "'" + given + "' ") +
            "to periodic_worker: its executor's workers are processes, and this callable does "
            "not travel: give a function, or a lambda without captures, and what it needs as "
            "arguments of element types; or a lambda that submits to the executor, and waits");
    }
    if (uses_processes_ && when.options().exclusive) {
        throw invalid_argument("add " + (given.empty() ? std::string() : "'" + given + "' ") +
                               "to periodic_worker: it is exclusive, and its executor's workers are "
                               "processes, in which a run could "
                               "outlive the process that has the lock");
    }
    join_claims_given_up();
    const steady_time now = look();
    const lock held(mutex_);
    if (is_stopped_)
        throw invalid_state(
            "add to periodic_worker: it was stopped, and runs nothing any more; reset() it first");
    if (!when.options().enabled) return nullptr;
    for (const work_ptr& each : works_) {
        if (each->exclusive && each->exclusive == when.options().exclusive)
            throw invalid_argument("add " + (given.empty() ? std::string() : "'" + given + "' ") +
                                   "to periodic_worker: '" + each->name +
                                   "' is exclusive by the same lock; each needs one of its own");
    }
    const std::uint64_t number = last_number_ + 1;
    auto work = std::make_shared<periodic_work>(
        when, given.empty() ? "periodic-" + std::to_string(number) : given, number);
    schedule_.reserve(works_.size() + 1);
    works_.push_back(work);
    if (is_active_) {
        if (const auto error = begin_claim(work)) {
            works_.pop_back();
            throw system_failure("add '" + work->name +
                                     "' to periodic_worker: no thread can be made that waits for its lock: "
                                     "pthread_create: " +
                                     error.message(),
                                 error);
        }
    }
    last_number_ = number;
    work->call = std::move(call);
    plan_first(work, now);
    return work;
}

void periodic_core::remove(const work_ptr& work) {
    require_own_process("remove from");
    std::unique_ptr<periodic_call> gone;
    const lock held(mutex_);
    require_present(*work, "remove");
    work->is_removed = true;
    unplan(*work);
    has_lost_one_ = true;
    stir();
    if (work->stage != run_stage::none) return;  // release() does the rest
    give_up_claim(*work);
    gone = std::move(work->call);
    std::erase(works_, work);
}

void periodic_core::begin(const periodic_start_options& options, const char* operation) {
    require_own_process(operation);
    if (uses_processes_) require_settling_thread();
    const steady_time now = look();
    lock held(mutex_);
    if (is_active_) throw invalid_state(std::string(operation) + " periodic_worker: it runs already");
    if (!has_work() && !options.allow_empty) {
        throw invalid_state(
            std::string(operation) +
            " periodic_worker: there is nothing to run; add() something first, or give .allow_empty");
    }
    if (clock_ != nullptr) clock_->enter(user_);
    // Objects that are static were made by now, so they are destroyed after what is registered here has run.
    if (!std::exchange(watches_exit_, true)) watch_for_exit();
    is_active_ = true;
    has_ended_ = false;
    ends_when_empty_ = options.auto_stop_when_empty;
    has_lost_one_ = false;
    // What has become due before it could run is not late.
    for (const work_ptr& each : works_) each->due = std::max(each->due, now);
    const auto error = begin_claims();
    held.unlock();
    if (!error) return;
    not_begun();
    throw system_failure(std::string(operation) +
                             " periodic_worker: no thread can be made that waits for the lock of what is "
                             "exclusive: pthread_create: " +
                             error.message(),
                         error);
}

// After begin(), and before anything was run.
void periodic_core::not_begun() noexcept {
    end_claims();
    const lock held(mutex_);
    is_active_ = false;
    if (clock_ != nullptr) clock_->leave(user_);
}

void periodic_core::start(const periodic_start_options& options) {
    if (is_of_this_process()) join_thread_if_ended();
    begin(options, "start");
    run();
}

void periodic_core::start_async(const periodic_start_options& options) {
    if (is_of_this_process()) join_thread_if_ended();
    auto kept = std::make_unique<std::shared_ptr<periodic_core>>(shared_from_this());
    begin(options, "start_async");
    std::error_code error;
    {
        // The thread may end, and be joined, before it is known here.
        const lock held(mutex_);
        error = os::start_thread(thread_, &thread_body, kept.get());
        has_thread_ = !error;
    }
    if (error) {
        not_begun();
        throw system_failure(
            "start_async periodic_worker: no thread can be made: pthread_create: " + error.message(), error);
    }
    static_cast<void>(kept.release());
}

void* periodic_core::thread_body(void* core) {
    os::name_own_thread("cairn-periodic");
    const std::unique_ptr<std::shared_ptr<periodic_core>> kept(
        static_cast<std::shared_ptr<periodic_core>*>(core));
    (*kept)->run();
    return nullptr;
}

void periodic_core::stop() {
    require_own_process("stop");
    {
        const lock held(mutex_);
        is_stopped_ = true;
        stir();
    }
}

bool periodic_core::wait_until_ended(steady_time deadline) {
    require_own_process("wait for");
    lock held(mutex_);
    if (!has_ended_ && is_own_thread()) {
        throw would_deadlock("wait for periodic_worker: this is one of its own callables, which it waits "
                             "for; stop() it and return");
    }
    return wait_while(held, &periodic_core::is_to_end, deadline);
}

void periodic_core::reset() {
    require_own_process("reset");
    join_thread_if_ended();
    const steady_time now = look();
    const lock held(mutex_);
    if (is_active_) throw invalid_state("reset periodic_worker: it runs; stop() it and wait() first");
    is_stopped_ = false;
    has_ended_ = false;
    schedule_.clear();
    for (const work_ptr& each : works_) {
        each->runs = each->failures = each->skipped = each->refused = 0;
        each->elapsed = each->waiting = each->late = each->longest_late = std::chrono::nanoseconds(0);
        each->requested_stop = false;
        each->cannot_claim = false;
        each->refusals = 0;
        plan_first(each, now);
    }
}

bool periodic_core::wait_while(lock& held, bool (periodic_core::*holds)() const noexcept,
                               steady_time deadline) {
    held.unlock();
    blocked_worker blocked;
    held.lock();
    while ((this->*holds)()) {
        if (deadline != no_deadline && std::chrono::steady_clock::now() >= deadline) return false;
        const steady_time next = blocked.next_look(deadline);
        if (next == no_deadline) done_.wait(held);
        else done_.wait_until(held, next);
        if (deadline != no_deadline) continue;  // a task that is run in place has no limit
        held.unlock();
        blocked.look();
        held.lock();
    }
    return true;
}

bool periodic_core::is_active() const {
    if (!is_of_this_process()) return false;  // the lock may have been held at the fork; also below
    const lock held(mutex_);
    return is_active_;
}

std::vector<work_ptr> periodic_core::works() const {
    std::vector<work_ptr> present;
    if (!is_of_this_process()) return present;
    const lock held(mutex_);
    present.reserve(works_.size());
    for (const work_ptr& each : works_)
        if (!each->is_removed) present.push_back(each);
    return present;
}

periodic_metrics periodic_core::metrics_of(const periodic_work& work) const {
    periodic_metrics all;
    if (!is_of_this_process()) return all;
    const lock held(mutex_);
    require_present(work, "look at");
    all.runs = work.runs;
    all.elapsed = work.elapsed;
    all.elapsed_waiting = work.waiting;
    all.failures = work.failures;
    all.successes = work.runs - work.failures;
    all.requested_stop = work.requested_stop;
    if (work.runs != 0) {
        all.average_elapsed = all.elapsed / static_cast<double>(work.runs);
        all.average_elapsed_waiting = all.elapsed_waiting / static_cast<double>(work.runs);
    }
    all.late = work.late;
    all.longest_late = work.longest_late;
    all.skipped = work.skipped;
    all.refused = work.refused;
    return all;
}

bool periodic_core::is_under_way(const periodic_work& work) const {
    if (!is_of_this_process()) return false;
    const lock held(mutex_);
    require_present(work, "look at");
    return work.stage != run_stage::none;
}

std::optional<std::chrono::nanoseconds> periodic_core::time_until_next(const periodic_work& work) {
    if (!is_of_this_process()) return std::nullopt;
    const steady_time now = look();
    const lock held(mutex_);
    require_present(work, "look at");
    if (!work.planned) return std::nullopt;
    return std::max(*work.planned - now, std::chrono::nanoseconds(0));
}

}  // namespace cairn::inline CAIRN_ABI::detail
