// periodic_runs.cpp - one run: it is submitted, refused or dropped, called, counted, and what it throws is told.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <utility>

#include <unistd.h>

#include "executors/task_access.hpp"
#include "os/thread.hpp"
#include "periodic/periodic_core.hpp"
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

}  // namespace

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
