// SPDX-License-Identifier: BSL-1.0
#include "periodic/periodic_core.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "os/child.hpp"
#include "os/thread.hpp"
#include "pool/process_pool.hpp"
#include "process/bounded_text.hpp"
#include "process/describe_exception.hpp"
#include <cairn/detail/executors/call.hpp>
#include <cairn/detail/executors/map.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A submission that was refused is tried again after 0.9 to 1.1 s, as futurist does it; the first run of what is to run
// immediately, which futurist tries in a loop without a pause, after 1 ms first, and then twice as long each time.
constexpr std::chrono::nanoseconds retry_least = std::chrono::milliseconds(900);
constexpr std::chrono::nanoseconds retry_spread = std::chrono::milliseconds(200);
constexpr std::chrono::nanoseconds immediate_retry = std::chrono::milliseconds(1);

// For runs that go on once main has returned: the process ends without them. As the executors'.
constexpr std::chrono::seconds patience_for_runs_at_exit{1};

// One line on stderr, with one write.
void report_periodic(std::string_view name, std::string_view what, const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (...) {
        const exception_description thrown;
        std::array<char, 1792> line_room;
        bounded_text line(line_room.data(), line_room.size() - 1);
        line << "cairn: periodic '" << name << "' " << what << thrown.type() << ": " << thrown.text();
        line_room[line.size()] = '\n';
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line_room.data(), line.size() + 1);
    }
}

std::uint64_t random_seed(const void* object) noexcept {
    return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()) ^
           (reinterpret_cast<std::uintptr_t>(object) << 16U) ^ own_process_mark();
}

// What the executor calls: one run, by its ticket. Where it is destroyed before, the run is not made.
class one_run {
public:
    one_run(std::shared_ptr<periodic_core> core, work_ptr work, std::uint64_t ticket) noexcept
        : core_(std::move(core)), work_(std::move(work)), ticket_(ticket) {}
    one_run(one_run&&) noexcept = default;
    one_run& operator=(one_run&&) = delete;
    one_run(const one_run&) = delete;
    one_run& operator=(const one_run&) = delete;
    ~one_run() {
        if (core_ != nullptr) core_->drop(work_, ticket_);
    }
    void operator()() const { core_->perform(work_, ticket_); }

private:
    std::shared_ptr<periodic_core> core_;
    work_ptr work_;
    std::uint64_t ticket_;
};

// Of a run by a worker process.
class remote_end final : public callback {
public:
    remote_end(std::shared_ptr<periodic_core> core, work_ptr work, std::uint64_t ticket) noexcept
        : core_(std::move(core)), work_(std::move(work)), ticket_(ticket) {}
    void run(future_state& settled) override { core_->end_remote_run(work_, ticket_, settled); }
    void drop() noexcept override { core_->drop(work_, ticket_); }

private:
    std::shared_ptr<periodic_core> core_;
    work_ptr work_;
    std::uint64_t ticket_;
};

bool is_process_pool(const any_executor& ex) {
    return dynamic_cast<const process_pool*>(core_access::share(ex).get()) != nullptr;
}

}  // namespace

// While its callable is called. Also where that ends the thread.
class periodic_core::attempt {
public:
    attempt(periodic_core& core, const work_ptr& work) noexcept : core_(core), work_(work) {}
    attempt(const attempt&) = delete;
    attempt& operator=(const attempt&) = delete;
    ~attempt() {
        if (is_over_ || !core_.is_of_this_process()) return;
        if (!is_counted_) {
            core_.count_run(*work_, core_.look(), true, false);
            try {
                core_.tell_failure(
                    work_, std::make_exception_ptr(
                               worker_died("run periodic '" + work_->name +
                                           "': its thread ended in it (pthread_exit, or it was cancelled)")));
            } catch (...) {
                // No memory for the words.
            }
        }
        core_.end_run(work_, false);
    }
    void end(steady_time finished, bool is_last, const std::exception_ptr& error) {
        core_.count_run(*work_, finished, error != nullptr, is_last);
        is_counted_ = true;
        if (error != nullptr) core_.tell_failure(work_, error);
        is_over_ = true;
        core_.end_run(work_, is_last);
    }

private:
    periodic_core& core_;
    const work_ptr& work_;
    bool is_counted_ = false;
    bool is_over_ = false;
};

class periodic_core::loop_end {
public:
    explicit loop_end(periodic_core& core) noexcept : core_(core) {}
    loop_end(const loop_end&) = delete;
    loop_end& operator=(const loop_end&) = delete;
    ~loop_end() { core_.end_loop(); }

private:
    periodic_core& core_;
};

// -- made and let go ------------------------------------------------------------------------------------------------

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
        if (each->exclusive && when.options().exclusive && *each->exclusive == *when.options().exclusive)
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

// -- what is exclusive -----------------------------------------------------------------------------------------------

bool periodic_core::is_leader_of(const periodic_work& work) const {
    if (!is_of_this_process()) return false;
    const lock held(mutex_);
    require_present(work, "look at");
    return !work.exclusive || work.is_claimed;
}

// Under the lock; nothing where it is not exclusive.
std::error_code periodic_core::begin_claim(const work_ptr& work) noexcept {
    if (!work->exclusive || work->requested_stop || work->cannot_claim) return {};
    try {
        claims_.reserve(claims_.size() + 1);
        work->claim = std::make_shared<exclusive_claim>(*work->exclusive, shared_from_this(), work);
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    }
    if (const auto error = work->claim->begin()) {
        work->claim.reset();
        return error;
    }
    claims_.push_back(work->claim);
    return {};
}

std::error_code periodic_core::begin_claims() noexcept {
    for (const work_ptr& each : works_)
        if (const auto error = begin_claim(each)) return error;
    return {};
}

// Under the lock. No run of it is under way, and none is planned.
void periodic_core::give_up_claim(periodic_work& work) noexcept {
    if (work.claim == nullptr) return;
    work.is_claimed = false;
    work.claim->give_up();
    work.claim.reset();
}

// Also of those that were given up before, and not joined.
void periodic_core::end_claims() noexcept {
    {
        const lock held(mutex_);
        for (const work_ptr& each : works_) {
            if (each->claim != nullptr) unplan(*each);
            give_up_claim(*each);
        }
    }
    join_claims_given_up();
}

// What nobody has any more: their threads end, and would keep their stacks.
void periodic_core::join_claims_given_up() noexcept {
    for (;;) {
        std::shared_ptr<exclusive_claim> ended;
        {
            const lock held(mutex_);
            const auto found = std::find_if(claims_.begin(), claims_.end(),
                                            [](const auto& each) { return each->is_given_up(); });
            if (found == claims_.end()) return;
            ended = std::move(*found);
            claims_.erase(found);
        }
        ended->join();
    }
}

// By the thread that has the lock of it now.
void periodic_core::has_claimed(const work_ptr& work) noexcept {
    const steady_time now = look();
    const lock held(mutex_);
    if (work->claim == nullptr) return;  // given up
    work->is_claimed = true;
    if (const auto from = work->claim->said()) {
        const double part = has_jitter(strategy_) ? random_part() : 0;
        work->due = plan_after_take_over(strategy_, work->spacing, *from, now, part);
        work->kind = run_kind::periodic;
    } else {
        work->due = std::max(work->due, now);
    }
    plan(work, work->due);
}

void periodic_core::cannot_claim(const work_ptr& work, const std::exception_ptr& error) noexcept {
    {
        const lock held(mutex_);
        if (work->claim == nullptr) return;
        work->cannot_claim = true;
        give_up_claim(*work);
        has_lost_one_ = true;
        stir();
    }
    report_periodic(work->name, "waits for its lock no more: ", error);
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

// -- runs -----------------------------------------------------------------------------------------------------------

task_ptr periodic_core::make_task(const work_ptr& work, std::uint64_t ticket) {
    using call = call_state<void, calls::once, one_run>;
    if (uses_processes_) return work->call->make_remote_task();
    return task_ptr(new call(std::in_place, one_run(shared_from_this(), work, ticket)));
}

void periodic_core::submit(const work_ptr& work, std::uint64_t ticket) {
    try {
        std::unique_ptr<callback> told;
        if (uses_processes_) told = std::make_unique<remote_end>(shared_from_this(), work, ticket);
        task_ptr task = make_task(work, ticket);
        const state_ptr pending = state_ptr::sharing(task.get());
        {
            const lock held(mutex_);
            work->pending = pending;
        }
        core_access::share(runner_)->submit(std::move(task), nullptr, std::chrono::nanoseconds(0));
        if (!is_of_this_process()) return;
        // Does not throw: begin() has made the settling thread.
        if (told != nullptr) pending->call_when_settled(std::move(told));
        const lock held(mutex_);
        if (work->ticket == ticket && work->stage != run_stage::none) work->is_submitted = true;
    } catch (...) {
        const std::exception_ptr why = caught_exception();
        if (is_of_this_process()) not_taken(work, ticket, why);
    }
}

// `why` is null where the executor has taken it, and dropped it.
void periodic_core::not_taken(const work_ptr& work, std::uint64_t ticket,
                              const std::exception_ptr& why) noexcept {
    const steady_time now = look();
    bool is_first = false;
    std::chrono::nanoseconds delay{0};
    {
        leftovers gone;
        const lock held(mutex_);
        if (work->ticket != ticket || work->stage != run_stage::taken) return;
        gone = release(work);
        if (work->is_removed || is_stopped_) return;
        delay =
            retry_least + std::chrono::duration_cast<std::chrono::nanoseconds>(random_part() * retry_spread);
        if (work->kind == run_kind::immediate)
            delay = std::min(delay, immediate_retry * (1 << std::min(work->refusals, 20)));
        is_first = work->refusals++ == 0;
        ++work->refused;
        plan(work, later_by(now, delay));
    }
    if (!is_first || why == nullptr) return;
    std::array<char, 80> what;  // of those that follow each other only the first is told
    std::snprintf(what.data(), what.size(), "was refused by its executor, next try in %.2g s: ",
                  std::chrono::duration<double>(delay).count());
    report_periodic(work->name, what.data(), why);
}

void periodic_core::drop(const work_ptr& work, std::uint64_t ticket) noexcept {
    if (is_of_this_process()) not_taken(work, ticket, nullptr);
}

void periodic_core::perform(const work_ptr& work, std::uint64_t ticket) {
    if (!is_of_this_process()) return;
    const steady_time now = look();
    {
        leftovers gone;
        const lock held(mutex_);
        if (work->ticket != ticket || work->stage != run_stage::taken) return;
        if (is_stopped_ || work->is_removed) {
            gone = release(work);
            return;
        }
        work->stage = run_stage::started;
        work->runner = os::own_thread();
        work->started = now;
        work->refusals = 0;
        // Before the callable is called: a successor does not run this again.
        if (work->claim != nullptr)
            work->claim->say(strategy_ == strategy::fixed_rate ? work->due : work->started);
    }
    attempt here(*this, work);
    bool is_last = false;
    std::exception_ptr error;
    try {
        is_last = work->call->run();
    } catch (const never_again&) {
        is_last = true;
    } catch (...) {
        error = caught_exception();
    }
    if (is_of_this_process()) here.end(look(), is_last, error);
}

// In the settling thread.
void periodic_core::end_remote_run(const work_ptr& work, std::uint64_t ticket, future_state& settled) {
    const auto result = future_access::make<remote_run_report>(state_ptr::sharing(&settled));
    if (result.cancelled()) return drop(work, ticket);
    const std::exception_ptr error = result.exception();
    const remote_run_report report = error == nullptr ? result.result() : remote_run_report{};
    // When it started is known on the steady clock only, and not of a run that has thrown, or died.
    const bool is_known = clock_ == nullptr && error == nullptr;
    const auto at = [](std::int64_t time) { return steady_time(std::chrono::nanoseconds(time)); };
    const steady_time now = look();
    {
        const lock held(mutex_);
        if (work->ticket != ticket || work->stage != run_stage::taken) return;
        work->stage = run_stage::started;
        work->runner = os::own_thread();
        work->started = is_known ? std::max(work->submitted, at(report.started)) : work->submitted;
        work->refusals = 0;
    }
    attempt here(*this, work);
    here.end(is_known ? at(report.finished) : now, report.is_last != 0, error);
}

void periodic_core::count_run(periodic_work& work, steady_time finished, bool is_failure,
                              bool is_last) noexcept {
    constexpr std::chrono::nanoseconds none{0};
    const lock held(mutex_);
    ++work.runs;
    if (is_failure) ++work.failures;
    work.elapsed += std::max(none, finished - work.started);
    work.waiting += std::max(none, work.started - work.submitted);
    const std::chrono::nanoseconds late = std::max(none, work.started - work.due);
    work.late += late;
    work.longest_late = std::max(work.longest_late, late);
    if (is_last) return;
    const next_run next = plan_next_run(strategy_, work.spacing, {work.due, work.started, finished},
                                        has_jitter(strategy_) ? random_part() : 0);
    work.skipped += next.skipped;
    if (work.claim != nullptr && strategy_ != strategy::fixed_rate && !counts_from_start(strategy_))
        work.claim->say(finished);
    work.due = next.due;  // end_run() plans it, once on_failure has returned
}

void periodic_core::end_run(const work_ptr& work, bool is_last) noexcept {
    leftovers gone;
    const lock held(mutex_);
    gone = release(work);
    if (is_last) {
        give_up_claim(*work);
        work->requested_stop = true;
        has_lost_one_ = true;
    } else if (!work->is_removed) {
        work->kind = run_kind::periodic;
        plan(work, work->due);
    }
}

void periodic_core::tell_failure(const work_ptr& work, const std::exception_ptr& error) {
    if (!on_failure_) {
        std::array<char, 64> what;
        std::snprintf(what.data(), what.size(), "(it runs every %g s) threw ",
                      std::chrono::duration<double>(work->spacing).count());
        return report_periodic(work->name, what.data(), error);
    }
    try {
        on_failure_({periodic_watcher(shared_from_this(), work), work->kind, work->spacing, error});
    } catch (...) {
        const std::exception_ptr thrown = caught_exception();
        report_periodic(work->name, "failed, and its on_failure threw ", thrown);
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
