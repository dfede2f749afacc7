// thread_pool.hpp - the threads and the queue of thread_pool_executor and dynamic_thread_pool_executor.
//
// Submit        while all threads are there, and there is no bound: one compare-and-swap puts the task on a stack (intake_), without the
//               lock. The next who takes a task, under the lock, appends what is there to the queue, in order.
// Order         by priority, and among equals the submitting threads in turn (fair_queue.hpp).
// Take          under mutex_; a worker looks for a while before it sleeps, each on a word of its own; the one that slept last is
//               woken first (its stack and caches are warm).
// Wake          by a submitter, unless a worker is looking (searching_) already: one that stops looking because it has found
//               a task looks at the intake once more, and wakes another if there are more. A worker that goes to sleep is listed first and looks at the
//               intake after; a submitter pushes first and looks at the list after (both seq_cst): one of them sees the other.
// Busy          a worker is, from the take until right before its task's future settles: who waits for a result and submits again finds
//               it free. What is waiting beyond the free ones, and those that may still be made, is the backlog.
// Waiting       a worker that waits inside a task counts as blocked: for each, one more thread may be there, up to twice as many.
// Ending        a thread that ends puts itself into ended_, from which the next one to pass by joins it. Who lets go of a pool from
//               inside (a worker, a callback) leaves that to the settling thread.
// User code     tasks, initializer, predicates and destructors of tasks run without mutex_.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <system_error>
#include <vector>

#include "executors/fair_queue.hpp"
#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "os/thread.hpp"
#include "os/ticks.hpp"
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Written by one thread, read by all.
class own_counter {
public:
    // relaxed: a sum is put together from several; the release that settles a future publishes what was counted before it
    void add(std::int64_t more) noexcept {
        value_.store(value_.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
    }
    [[nodiscard]] std::int64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<std::int64_t> value_{0};
};

struct task_counts {
    own_counter executed;
    own_counter failures;
    own_counter total_ticks;  // from submit to done
    own_counter run_ticks;
    own_counter retried;
    own_counter died;
};

struct pool_settings {
    std::string name;  // "thread_pool_executor-1"
    int max_workers = 1;
    int retries = 0;
    std::function<void()> initializer;
    std::int64_t max_tasks_per_worker = 0;  // 0: any number
    time_limit idle_timeout;
    rejection_check check_and_reject;
    std::int64_t max_pending = -1;  // -1: any number
    cairn::when_full when_full = cairn::when_full::block;
    time_limit timeout;
    // Of the dynamic one.
    bool is_dynamic = false;
    int min_workers = 0;
    double grow_threshold = 0;
    double shrink_threshold = 0;
};

class thread_pool final : public executor_core {
public:
    explicit thread_pool(pool_settings settings);
    ~thread_pool() override;

    void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) override;
    void submit_following(task_ptr task) override;
    void forget(local_state& task, bool is_cancelled) noexcept override;
    bool run_here(local_state& task) override;
    void worker_waits() noexcept override;
    void worker_goes_on() noexcept override;
    void run_one_if_stuck() override;

    void shutdown(const shutdown_options& options) override;
    void terminate() override;
    void let_go() noexcept override;
    [[nodiscard]] executor_statistics statistics() const override;
    [[nodiscard]] bool is_alive() const noexcept override;
    [[nodiscard]] std::size_t queue_size() const override;
    [[nodiscard]] std::size_t worker_count() const override;
    [[nodiscard]] std::size_t idle_worker_count() const override;

    /// Of the dynamic one.
    void maintain();

    // By timers.
    void start_due(local_state& task) noexcept;
    void end_by_timer(local_state& task, bool has_started) noexcept;

private:
    using lock = std::unique_lock<std::mutex>;

    struct alignas(64) worker {
        std::uint32_t wake = 0;  // futex; 1: told to look. Atomically
        std::atomic<bool> is_busy{false};
        bool is_in_use = false;     // below: under mutex_
        bool is_idle = false;       // in the list of sleepers
        bool is_searching = false;  // counted in searching_
        bool must_leave = false;
        bool is_up = false;
        int id = 0;
        worker* next_idle = nullptr;
        task_context* running = nullptr;  // innermost
        ended_thread* end = nullptr;
        thread_pool* pool = nullptr;
        std::int64_t tasks_done = 0;  // the worker's own
        std::int64_t now = 0;         // ticks at the end of the last task; 0: too long ago
        os::stack_range stack;        // of its thread, if that has asked
        task_context outermost{};     // running leads here
        task_counts counts;
    };
    class lifetime;

    static void* thread_body(void* self);
    void work(worker& self);
    bool initialize(worker& self);
    [[nodiscard]] bool makes_no_more() const noexcept;
    void count_initializer_failure() noexcept;
    local_state* take(worker& self, task_ptr& done);
    bool sleep(lock& held, worker& self);
    void stop_searching(worker& self) noexcept;
    void leave(worker& self) noexcept;

    // One run of a task, which has stepped to running.
    struct run_place {
        task_counts& counts;
        worker* of;  // null: not one of the pool's threads, and counts is under mutex_
        bool is_nested = false;
    };
    class death;
    // A submitter that runs its task itself, for as long as it is in it. Made under mutex_; its end takes mutex_.
    class caller_run {
    public:
        caller_run(thread_pool& pool, local_state& task) noexcept;
        caller_run(const caller_run&) = delete;
        caller_run& operator=(const caller_run&) = delete;
        ~caller_run();
        [[nodiscard]] local_state& task() const noexcept { return task_; }
        [[nodiscard]] const caller_run* next() const noexcept { return next_; }

    private:
        thread_pool& pool_;
        local_state& task_;
        caller_run* next_;
    };
    void attempt(local_state& task, const run_place& place);
    void begin_limits(local_state& task);
    bool try_again(local_state& task, const std::exception_ptr& error, std::int64_t run_ticks) noexcept;
    void run_nested(lock& held, const task_ptr& task);
    [[nodiscard]] static bool has_stack_for_more(std::size_t parts) noexcept;
    void run_in_caller(lock& held, const task_ptr& task);

    void check_open(const lock* held) const;
    void prepare(const task_ptr& task, const task_options* options, std::chrono::nanoseconds delay);
    void push_fast(task_ptr task);
    void submit_slowly(task_ptr task, std::chrono::nanoseconds delay);
    enum class admission { queued, run_by_caller, expired };
    admission wait_for_room(lock& held, const local_state& task);
    void ask_check(lock& held);
    void enqueue(task_ptr task) noexcept;
    void enqueue_and_attend(lock& held, task_ptr task);
    void drain_intake() noexcept;
    fair_queue* first_queue() noexcept;
    fair_queue& queue_of(const local_state& task) noexcept;
    local_state* pop() noexcept;
    void unlink(local_state& task) noexcept;
    local_state& take_from(fair_queue& queue) noexcept;
    void count_unlinked(local_state& task) noexcept;

    void attend(lock& held) noexcept;
    void wake_one(lock& held) noexcept;
    bool start_worker(lock& held) noexcept;
    ended_thread* take_ended() noexcept;
    bool end_one_idle() noexcept;
    void adjust() noexcept;
    void update_is_full() noexcept;
    void close(bool cancels) noexcept;
    void settle_all(lock& held, task_list& tasks, const std::exception_ptr& error) noexcept;
    void settle_stranded(lock& held) noexcept;
    void move_queued(task_list& to, word_stage stage) noexcept;
    void move_all(task_list& to, word_stage stage) noexcept;
    void fail(lock& held) noexcept;
    bool wait_until_gone(steady_time deadline) noexcept;
    void ask_all_to_stop();
    void orphan() noexcept;

    [[nodiscard]] bool is_bounded() const noexcept;
    [[nodiscard]] bool needs_thread() const noexcept;
    [[nodiscard]] int allowed() const noexcept;
    [[nodiscard]] int busy_count() const noexcept;
    [[nodiscard]] std::int64_t waiting_beyond_free(std::int64_t more) const noexcept;
    [[nodiscard]] double load() const noexcept;
    [[nodiscard]] bool is_own_thread() const noexcept;
    [[nodiscard]] bool would_wait_for_itself() const noexcept;

    const pool_settings settings_;
    const os::tick_rate rate_;
    const int exceptions_at_birth_;
    const int most_searching_;

    // Written by submitters.
    alignas(64) std::atomic<local_state*> intake_{nullptr};  // newest first; linked by next

    // Read by submitters, changed under mutex_.
    alignas(64) std::atomic<int> searching_{0};
    std::atomic<int> idle_{0};          // sleepers
    std::atomic<bool> is_full_{false};  // as many threads as there may be, and no bound: submit needs no lock
    std::atomic<bool> is_closed_{false};
    std::atomic<bool> watches_exit_{false};

    mutable std::mutex mutex_;
    // Below: under mutex_.
    fair_queue ready_;                              // of priority 0
    std::map<int, fair_queue> others_;              // of other priorities; entries stay, 1.5 KiB each
    task_list later_;                               // not due yet
    std::atomic<std::int64_t> queued_{0};           // in the first two; also read by workers that look
    std::int64_t reserved_ = 0;                     // places of tasks that are about to be queued
    std::int64_t delayed_ = 0;                      // in later_
    std::vector<std::unique_ptr<worker>> workers_;  // by id
    worker* sleepers_ = nullptr;                    // the last to go to sleep first
    int started_ = 0;                               // threads, without those told to leave
    int present_ = 0;                               // threads, with those
    int target_ = 0;  // started_ is to be at most this, and one for each blocked worker
    int blocked_ = 0;
    int up_ = 0;                     // threads that are initialized
    int initializer_failures_ = 0;   // in a row
    std::string initializer_error_;  // the last one
    std::exception_ptr failure_;     // initializer_failed: the pool is no use
    ended_thread* ended_ = nullptr;
    std::error_code last_start_error_;  // why no thread could be made
    bool is_orphaned_ = false;          // nobody will join but the settling thread
    int waiting_for_room_ = 0;
    caller_run* callers_ = nullptr;  // submitters that run their task themselves
    std::uint64_t rejected_ = 0;
    std::uint64_t cancelled_ = 0;
    task_counts others_counts_;  // of what ran or ended outside of workers
    std::condition_variable room_;
    std::condition_variable gone_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
