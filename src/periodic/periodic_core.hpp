// periodic_core.hpp - what a periodic_worker refers to: the callables, their schedule, and the loop that submits what is due.
//
// A run         due -> taken by the loop (under way) -> submitted -> started -> ended -> due again. From taken to ended it has a
//               ticket; a submission that was refused, dropped or cancelled has lost its own, and does nothing when it is called
//               after all.
// Protected by  mutex_. No function of the user's is called, and nothing that he gave is destroyed, while it is held; nor is
//               an executor called.
// Exclusive     callables are in the schedule only while a thread of their own has their lock (exclusive_claim.hpp).
// Sleeps        the loop by its clock (clock.hpp), which whoever changes the schedule stirs under mutex_; whoever waits for an end
//               on done_.
// References    the handle's (self_), the loop's, one of each run, and the watchers'. So it outlives a handle that one of its own
//               callables has destroyed.
// Fork          it belongs to the process that made it. A child touches neither its lock nor its memory: self_ stays.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <pthread.h>

#include "executors/per_process.hpp"
#include "periodic/clock.hpp"
#include "periodic/exclusive_claim.hpp"
#include "periodic/next_run.hpp"
#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/periodic/periodic_call.hpp>
#include <cairn/executor.hpp>
#include <cairn/future.hpp>
#include <cairn/periodic.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class run_stage : unsigned char {
    none,     // in the schedule, or over for good
    taken,    // with the executor
    started,  // its callable is called, or on_failure
};

/// One callable. Constant: name, spacing, options, number; the rest is under the core's mutex.
struct periodic_work {
    periodic_work(const periodic& how, std::string called, std::uint64_t count) noexcept
        : name(std::move(called)), spacing(how.spacing()), phase(how.options().phase),
          is_immediate(how.options().run_immediately), exclusive(how.options().exclusive), number(count) {}

    const std::string name;
    const std::chrono::nanoseconds spacing;
    const periodic_phase phase;
    const bool is_immediate;
    const std::optional<mutex> exclusive;
    const std::uint64_t number;  // by the order of add()

    std::unique_ptr<periodic_call>
        call;  // destroyed when it was removed and no run is under way, and by the worker's end
    run_stage stage = run_stage::none;
    run_kind kind = run_kind::periodic;  // of the next run, or the one under way
    std::uint64_t ticket = 0;            // of the last run that was taken
    bool is_removed = false;
    steady_time due{};  // of that run
    std::optional<steady_time>
        planned;  // when the loop takes it: due, or the next try; none: it is not in the schedule
    steady_time submitted{};
    steady_time started{};
    pthread_t runner{};         // while it is started
    state_ptr pending;          // of its task, while it is taken or started
    bool is_submitted = false;  // the executor's submit has returned: the task may be cancelled
    int refusals = 0;           // in a row
    // Of what is exclusive: from begin() to the end of the loop, or until it was given up.
    std::shared_ptr<exclusive_claim> claim;
    bool is_claimed = false;    // the lock is held
    bool cannot_claim = false;  // never will be: the lock was removed

    std::uint64_t runs = 0;
    std::uint64_t failures = 0;
    std::uint64_t skipped = 0;
    std::uint64_t refused = 0;
    std::chrono::nanoseconds elapsed{0};
    std::chrono::nanoseconds waiting{0};
    std::chrono::nanoseconds late{0};
    std::chrono::nanoseconds longest_late{0};
    bool requested_stop = false;
};

using work_ptr = std::shared_ptr<periodic_work>;

// One line on stderr, with one write.
void report_periodic(std::string_view name, std::string_view what, const std::exception_ptr& error) noexcept;

class periodic_core final : public std::enable_shared_from_this<periodic_core> {
public:
    static periodic_core* make(const periodic_worker_options& options);
    periodic_core(const periodic_worker_options& options, std::shared_ptr<clock_source> clock);
    periodic_core(const periodic_core&) = delete;
    periodic_core& operator=(const periodic_core&) = delete;
    ~periodic_core() = default;

    // What handles do.
    [[nodiscard]] work_ptr add(const periodic& when, std::unique_ptr<periodic_call> call);
    void remove(const work_ptr& work);
    void start(const periodic_start_options& options);
    void start_async(const periodic_start_options& options);
    void stop();
    bool wait_until_ended(steady_time deadline);
    void reset();
    void let_go() noexcept;

    [[nodiscard]] bool is_active() const;
    [[nodiscard]] std::vector<work_ptr> works() const;
    [[nodiscard]] periodic_metrics metrics_of(const periodic_work& work) const;
    [[nodiscard]] bool is_under_way(const periodic_work& work) const;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> time_until_next(const periodic_work& work);
    [[nodiscard]] bool is_leader_of(const periodic_work& work) const;

    // What threads that wait for the lock of an exclusive callable do.
    void has_claimed(const work_ptr& work) noexcept;
    void cannot_claim(const work_ptr& work, const std::exception_ptr& error) noexcept;

    // What runs do (one_run in periodic_runs.cpp).
    void perform(const work_ptr& work, std::uint64_t ticket);
    void drop(const work_ptr& work, std::uint64_t ticket) noexcept;
    void end_remote_run(const work_ptr& work, std::uint64_t ticket, future_state& settled);

    [[nodiscard]] bool is_of_this_process() const noexcept { return made_by_ == own_process_mark(); }

private:
    using lock = std::unique_lock<std::mutex>;
    class attempt;
    class loop_end;

    void require_own_process(const char* operation) const;
    void require_present(const periodic_work& work, const char* operation) const;

    // What is destroyed without the lock.
    struct leftovers {
        state_ptr pending;
        std::unique_ptr<periodic_call> call;
    };

    void begin(const periodic_start_options& options, const char* operation);
    void not_begun() noexcept;
    std::error_code begin_claim(const work_ptr& work) noexcept;
    std::error_code begin_claims() noexcept;
    static void give_up_claim(periodic_work& work) noexcept;
    void end_claims() noexcept;
    void join_claims_given_up() noexcept;
    static void* thread_body(void* core);
    void run();
    void loop();
    void end_loop() noexcept;
    void submit(const work_ptr& work, std::uint64_t ticket);
    [[nodiscard]] task_ptr make_task(const work_ptr& work, std::uint64_t ticket);
    void not_taken(const work_ptr& work, std::uint64_t ticket, const std::exception_ptr& why) noexcept;
    void count_run(periodic_work& work, steady_time finished, bool is_failure, bool is_last) noexcept;
    void end_run(const work_ptr& work, bool is_last) noexcept;
    void tell_failure(const work_ptr& work, const std::exception_ptr& error);
    void drop_calls() noexcept;
    void require_joiner() noexcept;
    void join_thread_if_ended() noexcept;

    steady_time look() noexcept;
    void shift(std::chrono::nanoseconds by) noexcept;
    void sleep(lock& held, steady_time now, steady_time due);
    void stir() noexcept;
    double random_part() noexcept;

    void plan_first(const work_ptr& work, steady_time now) noexcept;
    void plan(const work_ptr& work, steady_time at) noexcept;
    void unplan(periodic_work& work) noexcept;
    work_ptr take_first(steady_time now) noexcept;
    leftovers release(const work_ptr& work) noexcept;
    [[nodiscard]] bool is_own_thread() const noexcept;
    [[nodiscard]] bool has_work() const noexcept;
    [[nodiscard]] bool may_be_claimed() const noexcept;
    void cancel_runs(bool also_started) noexcept;
    [[nodiscard]] bool is_going_on() const noexcept { return is_active_; }
    [[nodiscard]] bool is_to_end() const noexcept { return !has_ended_; }
    [[nodiscard]] bool has_runs() const noexcept { return under_way_ != 0; }
    bool wait_while(lock& held, bool (periodic_core::*holds)() const noexcept, steady_time deadline);

    struct entry {
        steady_time at;
        work_ptr work;
    };
    static bool is_later(const entry& a, const entry& b) noexcept;

    const std::uint64_t made_by_ = own_process_mark();
    const int exceptions_at_birth_;
    const strategy strategy_;
    const std::function<void(const periodic_failure&)> on_failure_;
    const std::shared_ptr<clock_source> clock_;  // none: the steady clock
    std::unique_ptr<synchronous_executor> in_place_;
    any_executor runner_;
    const bool uses_processes_;  // its callables are called by workers of a process pool

    std::mutex clock_mutex_;  // outside of mutex_: whoever reads the clock notes what he has read
    mutable std::mutex mutex_;
    std::condition_variable news_;
    std::condition_variable done_;
    std::shared_ptr<periodic_core> self_;  // while the handle is there. Under mutex_, also all below
    std::vector<work_ptr> works_;          // not removed, in the order of add()
    std::vector<entry> schedule_;          // a heap; room for all works
    std::vector<std::shared_ptr<exclusive_claim>> claims_;  // begun and not joined
    std::uint64_t last_number_ = 0;
    std::uint64_t random_;
    steady_time last_look_ = steady_time::min();
    clock_user user_;
    std::size_t under_way_ = 0;
    bool is_stopped_ = false;
    bool is_active_ = false;
    bool has_ended_ = false;
    bool ends_when_empty_ = false;
    bool has_lost_one_ = false;  // since start: said never_again, or removed
    bool is_orphaned_ = false;   // the handle went in a callable of its own, or the program ends
    pthread_t looping_{};        // while it is active and the loop has begun
    bool is_looping_ = false;
    pthread_t thread_{};  // of start_async, to be joined
    bool has_thread_ = false;
    bool watches_exit_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail
