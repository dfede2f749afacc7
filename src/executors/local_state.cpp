// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/executors/local_state.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>

#include <cxxabi.h>
#include <unistd.h>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "executors/spinning.hpp"
#include "executors/task_access.hpp"
#include "os/futex.hpp"
#include "os/processors.hpp"
#include "process/bounded_text.hpp"
#include "process/describe_exception.hpp"
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/detail/executors/map.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr int pauses_before_a_yield = 64;  // about 2 us
constexpr int every_sleeper = 0x7fffffff;
// How often a worker that waits looks whether it has to help itself: only where no further thread may be added.
constexpr std::chrono::milliseconds help_tick{10};

std::uint32_t* futex_of(std::atomic<std::uint32_t>& word) noexcept {
    static_assert(sizeof(word) == sizeof(std::uint32_t) && std::atomic<std::uint32_t>::is_always_lock_free);
    return reinterpret_cast<std::uint32_t*>(&word);
}

void require_own(const local_state& s, const char* operation) {
    if (task_access::is_of_this_process(s)) return;
    throw invalid_state(std::string(operation) + " " + task_name(s) +
                        ": it was submitted by another process, which this one was forked from, and had not "
                        "ended by then; a forked child has none of the threads that could end it");
}

}  // namespace

constinit thread_local thread_place own_place;

std::uint32_t new_submitter() noexcept {
    static constinit std::atomic<std::uint32_t> last{0};
    // relaxed: a number. Those of 4 billion threads before may come again: such share their turns.
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

executor_core* own_core() noexcept {
    const worker_place* const place = own_place.worker;
    return place != nullptr && place->made_by == own_process_mark() ? place->core : nullptr;
}

blocked_worker::blocked_worker() noexcept : core_(own_core()) {
    if (core_ != nullptr) core_->worker_waits();
}

blocked_worker::~blocked_worker() {
    if (core_ != nullptr) core_->worker_goes_on();
}

steady_time blocked_worker::next_look(steady_time deadline) const noexcept {
    return core_ == nullptr ? deadline : std::min(deadline, std::chrono::steady_clock::now() + help_tick);
}

void blocked_worker::look() {
    if (core_ != nullptr) core_->run_one_if_stuck();
}

std::exception_ptr caught_exception() {
    // What pthread_exit and pthread_cancel unwind with has no type of C++'s.
    if (abi::__cxa_current_exception_type() == nullptr) throw;
    return std::current_exception();
}

void throw_waits_for_caller() {
    const task_context* const innermost = own_task_context();
    if (innermost != nullptr && innermost->results_of != nullptr)
        throw would_deadlock(
            "wait for a task: .retry_if is asked between the results of its pool, which this thread brings");
    if (!own_place.is_settling)
        throw would_deadlock("wait for a task: this thread runs it, and is inside of it");
    throw would_deadlock("wait for what follows a future: this is the settling thread, which has to run or "
                         "submit it; continue "
                         "with then()");
}

std::chrono::nanoseconds backoff_delay(const backoff_range& backoff, std::int64_t failures) noexcept {
    std::chrono::nanoseconds delay = backoff.first.nanoseconds();
    const std::chrono::nanoseconds longest = backoff.longest.nanoseconds();
    // A year: twice that does not overflow.
    for (std::int64_t i = 1; i < failures && delay < longest && delay < std::chrono::hours(24 * 365); ++i)
        delay *= 2;
    return std::min(delay, longest);
}

std::string task_name(const local_state& s) {
    const task_extras* const extras = task_access::extras_if_any(s);
    return extras == nullptr || extras->options.name.empty() ? "a task"
                                                             : "task '" + extras->options.name + "'";
}

settled_at_end_of_thread::~settled_at_end_of_thread() {
    if (has_returned_) return;
    task_access::drop_call(task_);
    task_access::settle_with(task_,
                             std::make_exception_ptr(worker_died("result of " + task_name(task_) +
                                                                 ": it ended its thread (pthread_exit)")));
}

std::string in_milliseconds(std::chrono::nanoseconds time) {
    std::array<char, 48> text{};
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(time);
    if (whole == time)
        std::snprintf(text.data(), text.size(), "%lld ms", static_cast<long long>(whole.count()));
    else std::snprintf(text.data(), text.size(), "%.10g ms", static_cast<double>(time.count()) / 1e6);
    return text.data();
}

// -- steps of the stage ---------------------------------------------------------------------------------------------

bool task_access::step(local_state& s, word_stage from, word_stage to) noexcept {
    std::uint32_t word = s.word_.load(std::memory_order_relaxed);
    while (stage_in(word) == from) {
        const std::uint32_t wanted = (word & ~stage_mask) | static_cast<std::uint32_t>(to);
        // seq_cst: a start is one side of "asked to stop before or after"; costs the same here
        if (s.word_.compare_exchange_weak(word, wanted)) return true;
    }
    return false;
}

void task_access::ask_to_stop(local_state& s) noexcept {
    // seq_cst: pairs with this_task::stop_token(), which stores the source and then looks at the flag
    s.word_.fetch_or(stop_asked);
    if (const task_extras* const extras = s.extras_.load(); extras != nullptr)
        if (std::stop_source* const source = extras->stop.load(); source != nullptr) source->request_stop();
}

attempt_end task_access::call(local_state& s, std::exception_ptr& error) {
    try {
        s.invoke();
        return attempt_end::value;
    } catch (...) {
        error = caught_exception();
        return attempt_end::exception;
    }
}

attempt_end task_access::call(local_state& s) {
    return call(s, s.exception_);
}

void task_access::settle(local_state& s, word_stage end) noexcept {
    std::uint32_t word = s.word_.load(std::memory_order_relaxed);
    while ((word & (locked | has_observers)) == 0) {
        const std::uint32_t wanted = (word & ~(stage_mask | has_sleepers)) | static_cast<std::uint32_t>(end);
        // release: value, exception, and the statistics counted before are seen by who sees the stage
        if (!s.word_.compare_exchange_weak(word, wanted, std::memory_order_acq_rel)) continue;
        if ((word & has_sleepers) != 0) os::futex_wake_private(futex_of(s.word_), every_sleeper);
        return;
    }
    tell(s, end);
}

// In the order of registration, threads that wait first.
void task_access::tell(local_state& s, word_stage end) noexcept {
    lock_observers(s);
    observer* newest = std::exchange(s.observers_, nullptr);
    std::uint32_t word = s.word_.load(std::memory_order_relaxed);
    // As in settle(). Still locked: who registers now has to come after those that are told here.
    while (!s.word_.compare_exchange_weak(
        word, (word & ~(stage_mask | has_sleepers | has_observers)) | static_cast<std::uint32_t>(end),
        std::memory_order_acq_rel)) {}
    if ((word & has_sleepers) != 0) os::futex_wake_private(futex_of(s.word_), every_sleeper);

    callback* first = nullptr;
    callback* last = nullptr;
    while (newest != nullptr) {
        observer* const each = std::exchange(newest, newest->next_);
        if (each->is_waiter_) {
            static_cast<waiter*>(each)->settled();
            continue;
        }
        auto* const due = static_cast<callback*>(each);
        due->state_ = state_ptr::sharing(&s);
        due->next_queued_ = first;
        first = due;
        if (last == nullptr) last = due;
    }
    if (first != nullptr) queue_callbacks(first, last);
    s.word_.fetch_and(~locked, std::memory_order_release);
}

void task_access::settle_with(local_state& s, std::exception_ptr error) noexcept {
    s.exception_ = std::move(error);
    settle(s, word_stage::exception);
}

bool task_access::cancel_unqueued(local_state& s) noexcept {
    if (!step(s, word_stage::pending, word_stage::cancelling)) return false;
    s.drop_call();
    settle(s, word_stage::cancelled);
    return true;
}

void task_access::run_unowned(local_state& s) {
    if (!step(s, word_stage::pending, word_stage::running)) return;
    attempt_end end = attempt_end::exception;
    {
        settled_at_end_of_thread otherwise(s);
        const running_task here(s);
        end = call(s);
        otherwise.has_returned();
    }
    s.drop_call();
    settle(s, end == attempt_end::value ? word_stage::value : word_stage::exception);
}

task_extras& task_access::extras(local_state& s) {
    task_extras* now = s.extras_.load(std::memory_order_acquire);
    if (now != nullptr) return *now;
    auto fresh = std::make_unique<task_extras>();
    // seq_cst: see ask_to_stop()
    if (s.extras_.compare_exchange_strong(now, fresh.get())) return *fresh.release();
    return *now;
}

void task_access::stop_timers(local_state& s) noexcept {
    task_extras* const extras = extras_if_any(s);
    if (extras == nullptr) return;
    for (const auto* each : {&extras->start, &extras->expiry, &extras->ask, &extras->end})
        if (*each) stop_timer(**each);
}

bool task_access::is_of_this_process(const local_state& s) noexcept {
    return s.made_by_ == own_process_mark();
}

// The lock is held for some instructions, and for a wake-up by whoever settles.
void task_access::lock_observers(local_state& s) noexcept {
    int tries = 0;
    std::uint32_t word = s.word_.load(std::memory_order_relaxed);
    for (;;) {
        if ((word & locked) == 0) {
            // acquire: pairs with the release of the unlock
            if (s.word_.compare_exchange_weak(word, word | locked, std::memory_order_acquire)) return;
            continue;
        }
        if (++tries % pauses_before_a_yield == 0) os::yield_processor();
        else pause_reader();
        word = s.word_.load(std::memory_order_relaxed);
    }
}

void task_access::run_callback(callback& c) {
    const state_ptr state = std::move(c.state_);
    try {
        c.run(*state);
    } catch (const abi::__forced_unwind&) {
        throw;
    } catch (...) {
        const exception_description thrown;
        std::array<char, 1536> line_room;
        bounded_text line(line_room.data(), line_room.size() - 1);
        line << "cairn: a callback of a future threw " << thrown.type() << ": " << thrown.text();
        line_room[line.size()] = '\n';
        [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line_room.data(), line.size() + 1);
    }
}

// -- what futures do with it ----------------------------------------------------------------------------------------

local_state::local_state() noexcept : made_by_(own_process_mark()) {}

local_state::~local_state() {
    // In a process that ends, or a forked child, callbacks may be left.
    for (observer* each = observers_; each != nullptr;) {
        observer* const next = task_access::next_observer(*each);
        task_access::delete_if_callback(*each);
        each = next;
    }
    delete extras_.load();
}

// What is pending has an executor, which lives as long as that: before it goes, it settles what it has, and then takes this lock.
core_ptr local_state::core_if_pending() const noexcept {
    const std::lock_guard held(cancel_mutex());
    if (task_access::stage(*this) != word_stage::pending) return {};
    return core_ptr::sharing(core_);
}

future_stage local_state::stage() const noexcept {
    switch (task_access::stage(*this)) {
        case word_stage::pending:
            if (remote_ != nullptr && task_access::is_of_this_process(*this)) {
                const core_ptr core = core_if_pending();
                if (core && core->has_started(*this)) return future_stage::running;
            }
            return future_stage::pending;
        case word_stage::running:
        case word_stage::settling: return future_stage::running;
        case word_stage::cancelling: return future_stage::cancelled;
        case word_stage::cancelled: return future_stage::cancelled_and_notified;
        case word_stage::value:
        case word_stage::exception: break;
    }
    return future_stage::finished;
}

bool local_state::is_settled() const noexcept {
    return task_access::is_end(task_access::stage(*this));
}

bool local_state::run_if_queued_here() {
    executor_core* const own = own_core();
    // The pool it is queued in is compared under its lock again.
    if (own == nullptr || task_access::stage(*this) != word_stage::pending) return false;
    return own->run_here(*this);
}

// The flag second: the settling thread writes it, and others may not read it then.
bool local_state::waits_for_caller() const noexcept {
    if (static_cast<bool>(own_place.is_settling) && is_continuation_ && !is_settled()) return true;
    const task_context* const innermost = own_task_context();
    if (innermost == nullptr) return false;
    const bool is_running = task_access::stage(*this) == word_stage::running;
    for (const task_context* each = innermost; each != nullptr; each = each->outer) {
        if (each->results_of != nullptr && core_if_pending().get() == each->results_of) return true;
        if (is_running && each->task == this) return true;
    }
    return false;
}

bool local_state::wait_until(steady_time deadline) {
    if (is_settled()) return true;
    require_own(*this, "wait for");
    if (waits_for_caller()) throw_waits_for_caller();
    // A wait with a limit runs nothing here, neither this nor another task: that could take longer.
    if (deadline == no_deadline && run_if_queued_here() && is_settled()) return true;
    if (remote_ != nullptr) {
        if (const core_ptr core = core_if_pending(); core && core->help(*this, deadline)) return true;
    }
    if (deadline != no_deadline && std::chrono::steady_clock::now() >= deadline) return is_settled();
    if (look_for_a_while([this] { return is_settled(); })) return true;

    blocked_worker blocked;
    for (;;) {
        std::uint32_t word = word_.load(std::memory_order_acquire);
        if (task_access::is_end(task_access::stage_in(word))) return true;
        if (deadline != no_deadline && std::chrono::steady_clock::now() >= deadline) return false;
        const std::uint32_t asleep = word | task_access::has_sleepers;
        // relaxed: the settler's exchange sees the bit, or this fails
        if (word != asleep && !word_.compare_exchange_weak(word, asleep, std::memory_order_relaxed)) continue;
        if (deadline != no_deadline) {
            os::futex_wait_private(futex_of(word_), asleep, deadline);
            continue;
        }
        os::futex_wait_private(futex_of(word_), asleep, blocked.next_look(deadline));
        blocked.look();
    }
}

bool local_state::cancel() {
    if (is_settled()) return task_access::stage(*this) == word_stage::cancelled;
    require_own(*this, "cancel");
    bool is_mine = false;
    for (bool is_asked = false; !is_asked;) {
        core_ptr core;
        if (remote_ != nullptr) {
            core = core_if_pending();
            if (core && !core->withdraw(*this)) {
                core->ask_to_stop(*this);
                return false;
            }
        }
        // The executor of a pending task is there: before it goes, it settles what it has, and then takes this lock.
        const std::lock_guard held(cancel_mutex());
        // What follows another future may have come to its executor only now: that is asked first.
        is_asked = remote_ == nullptr || core || core_ == nullptr ||
                   task_access::stage(*this) != word_stage::pending;
        if (!is_asked) continue;
        is_mine = task_access::step(*this, word_stage::pending, word_stage::cancelling);
        if (is_mine && core_ != nullptr) core_->forget(*this, true);
    }
    if (is_mine) {
        task_access::stop_timers(*this);
        drop_call();
        task_access::settle(*this, word_stage::cancelled);
        return true;
    }
    const word_stage now = task_access::stage(*this);
    if (now == word_stage::running) task_access::ask_to_stop(*this);
    return now == word_stage::cancelling || now == word_stage::cancelled;
}

bool local_state::cancel_by_kill() {
    if (remote_ != nullptr && !is_settled()) {
        require_own(*this, "cancel");
        if (const core_ptr core = core_if_pending(); core) return core->cancel_by_kill(*this);
    }
    return cancel();
}

void local_state::call_when_settled(std::unique_ptr<callback> fn) {
    if (!task_access::is_of_this_process(*this) && !is_settled()) require_own(*this, "add a callback to");
    require_settling_thread();
    if (remote_ != nullptr)
        if (const core_ptr core = core_if_pending(); core) core->somebody_waits();
    task_access::lock_observers(*this);
    if (task_access::is_end(task_access::stage_in(word_.load(std::memory_order_relaxed)))) {
        // Still locked: behind those that are registered before it.
        task_access::attach(*fn, *this);
        callback* const due = fn.release();
        queue_callbacks(due, due);
        word_.fetch_and(~task_access::locked, std::memory_order_release);
    } else {
        task_access::link(*this, *fn.release());
    }
}

bool local_state::watch(waiter& who) {
    if (is_settled()) return false;
    require_own(*this, "wait for");
    if (remote_ != nullptr)
        if (const core_ptr core = core_if_pending(); core) core->somebody_waits();
    task_access::lock_observers(*this);
    if (task_access::is_end(task_access::stage_in(word_.load(std::memory_order_relaxed)))) {
        word_.fetch_and(~task_access::locked, std::memory_order_release);
        return false;
    }
    task_access::link(*this, who);
    return true;
}

void local_state::stop_watching(waiter& who) noexcept {
    task_access::lock_observers(*this);
    task_access::unlink(*this, who);
}

// Adds it, and unlocks.
void task_access::link(local_state& s, observer& o) noexcept {
    o.next_ = s.observers_;
    s.observers_ = &o;
    s.word_.fetch_or(has_observers, std::memory_order_relaxed);
    s.word_.fetch_and(~locked, std::memory_order_release);
}

// Takes it out if it is there, and unlocks.
void task_access::unlink(local_state& s, observer& o) noexcept {
    observer** link = &s.observers_;
    while (*link != nullptr && *link != &o) link = &(*link)->next_;
    if (*link != nullptr) *link = o.next_;
    if (s.observers_ == nullptr) s.word_.fetch_and(~has_observers, std::memory_order_relaxed);
    s.word_.fetch_and(~locked, std::memory_order_release);
}

void task_access::attach(callback& c, local_state& s) noexcept {
    c.state_ = state_ptr::sharing(&s);
}

observer* task_access::next_observer(const observer& o) noexcept {
    return o.next_;
}

void task_access::delete_if_callback(observer& o) noexcept {
    if (!o.is_waiter_) delete static_cast<callback*>(&o);
}

std::exception_ptr local_state::exception() const {
    if (task_access::stage(*this) == word_stage::cancelled) {
        return std::make_exception_ptr(cancelled_error(
            "result of " + task_name(*this) +
            (remote_ != nullptr ? ": it was cancelled" : ": it was cancelled before it started")));
    }
    return exception_;
}

void* local_state::value() {
    return nullptr;
}

bool local_state::take_value() noexcept {
    // acq_rel: the second one sees what the first has made of it
    return (word_.fetch_or(task_access::value_taken, std::memory_order_acq_rel) & task_access::value_taken) ==
           0;
}

bool local_state::is_value_taken() const noexcept {
    return (word_.load(std::memory_order_acquire) & task_access::value_taken) != 0;
}

}  // namespace cairn::inline CAIRN_ABI::detail
