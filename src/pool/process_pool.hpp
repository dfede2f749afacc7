// process_pool.hpp - a submitter's side of a pool of worker processes: what process_pool_executor and pool refer to.
//
// Submitters     the owner, which has made the pool; and each of the workers, whose tasks may submit to their own pool: a process_pool of
//                their own, with futures and results of its own, which neither makes nor ends anything.
// Futures        are those of this process (local_state.hpp). A task's record in the segment has a token, by which its state is found when
//                it comes back.
// Collecting     takes finished tasks over, decodes them, settles their futures. Whoever waits for a result does it himself for a while
//                (help), so that a round trip costs no further thread; else the collector thread does, which sleeps on the pool's event.
// Collector      stands by while others collect, and parks when nothing is pending. It is also who tells waiting tasks when the pool is
//                broken, and, in the owner, closes the pool when it is shut down and done, and takes over where guardian and nursery were
//                killed. A worker has one from its first submission on.
// Waiting        in a worker, for a task of its own that nobody has begun, is running it: a pool of one can wait for itself.
// Locks          mutex_ is of this process, and is not held over user code, nor while the pool's root is locked or waited for.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include <pthread.h>

#include "executors/task_access.hpp"
#include "pool/family.hpp"
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/detail/pool/remote_call.hpp>
#include <cairn/manager.hpp>
#include <cairn/process_pool_executor.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What the handles of a pool share; it ends with the last of them.
struct process_pool_life {
    explicit process_pool_life(core_ptr c) noexcept : core(std::move(c)) {}
    process_pool_life(const process_pool_life&) = delete;
    process_pool_life& operator=(const process_pool_life&) = delete;
    ~process_pool_life() { core.release()->let_go(); }
    core_ptr core;
};

struct process_pool_settings {
    std::string name;
    std::uint32_t max_workers = 1;
    int retries = 0;
    std::function<void()> initializer;
    std::uint64_t max_tasks_per_worker = 0;
    std::uint64_t max_worker_memory = 0;
    time_limit idle_timeout;
    rejection_check check_and_reject;
    std::int64_t max_pending = -1;  // no bound
    enum when_full when_full = when_full::block;
    time_limit timeout;
    bool keep_orphans = false;
    int oom_score_adj = 0;
};

class process_pool final : public executor_core {
public:
    /// Makes it: this process is its owner.
    explicit process_pool(const process_pool_settings& settings);
    /// In its worker at that place, which has it from its birth to its end.
    process_pool(pool_family& family, std::uint32_t place);
    ~process_pool() override;

    /// Of a result that a user kept where it was: nobody reads the record any more.
    void let_go_of(segment_offset record) noexcept;

    [[nodiscard]] const pool_id& id() const noexcept { return family_->id; }
    /// What the handles share of the pool of that number, where this process has it: as its owner, or as a worker. Else null.
    static std::shared_ptr<process_pool_life> find(const pool_id& id);
    /// For its first handle.
    std::weak_ptr<process_pool_life>& handles() noexcept { return handles_; }

    void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) override;
    void submit_following(task_ptr task) override;
    bool withdraw(local_state& task) override;
    void forget(local_state& task, bool is_cancelled) noexcept override;
    [[nodiscard]] bool has_started(const local_state& task) const noexcept override;
    void ask_to_stop(local_state& task) noexcept override;
    void somebody_waits() noexcept override;
    bool help(local_state& task, steady_time deadline) override;
    bool run_here(local_state& task) override;
    void run_one_if_stuck() override;
    void worker_waits() noexcept override;
    void worker_goes_on() noexcept override;

    void shutdown(const shutdown_options& options) override;
    void terminate() override;
    void kill() override;
    void let_go() noexcept override;
    [[nodiscard]] executor_statistics statistics() const override;
    [[nodiscard]] bool is_alive() const noexcept override;
    [[nodiscard]] std::size_t queue_size() const override;
    [[nodiscard]] std::size_t worker_count() const override;
    [[nodiscard]] std::size_t idle_worker_count() const override;

    /// As cancel(), but a worker that has the task is killed for it. Waits until the task is settled.
    bool cancel_by_kill(local_state& task) override;
    [[nodiscard]] int max_workers() const noexcept { return static_cast<int>(settings_.max_workers); }

private:
    using lock = std::unique_lock<std::mutex>;
    class pool_timer;
    class submitter_run;

    struct entry {
        task_ptr task;  // null: the place is free
    };

    [[nodiscard]] root_transaction begin() const;
    [[nodiscard]] pool_node& node() const noexcept { return family_->pool(); }
    [[nodiscard]] bool is_owner() const noexcept { return self_ == nullptr; }
    /// Of a worker that ends: its place is another's by now. Under the root's lock, before anything of its own is touched.
    [[nodiscard]] bool has_left() const noexcept {
        return !is_owner() && load_word(self_->incarnation) != incarnation_;
    }
    [[nodiscard]] result_lists& lists() const noexcept { return is_owner() ? node().lists : self_->lists; }
    void make_root();
    void start_guardian();
    void start_collector();
    void need_collector();

    void check_open(const char* operation) const;
    void check_owner(const char* operation) const;
    void check_code(const remote_part& part);
    void prepare(local_state& task, const task_options* options, std::chrono::nanoseconds delay);
    /// `input` gets back what the task was submitted with.
    bool withdraw_for(local_state& task, withdrawal why, std::vector<std::byte>* input = nullptr);
    void submit_now(const task_ptr& task);
    [[nodiscard]] bool runs_in_caller();
    [[nodiscard]] std::int64_t backlog(std::int64_t more) const;
    void ask_check();
    void enter(const task_ptr& task);
    void push(const task_ptr& task);
    void wake_collector() noexcept;
    void call_for_workers() noexcept;
    void start_due(local_state& task) noexcept;
    void expire(local_state& task) noexcept;
    void run_in_caller(local_state& task);

    bool collect();
    [[nodiscard]] root_transaction begin_with(std::vector<segment_offset>& to_free);
    [[nodiscard]] task_ptr task_of(segment_offset at);
    bool deliver(local_state& task, segment_offset at);
    void fail_delivery(local_state& task, segment_offset at, const std::exception_ptr& error) noexcept;
    void give_up(const std::exception_ptr& error) noexcept;
    [[nodiscard]] bool may_try_again(const local_state& task, const std::exception_ptr& error,
                                     std::uint32_t attempt) const;
    bool try_again(local_state& task, segment_offset at, const std::exception_ptr& error);
    void settle_as(local_state& task, std::exception_ptr error) noexcept;
    void end_of(bool is_failure, std::uint64_t total, std::uint64_t queued) noexcept;
    void count_end(bool is_failure, std::uint64_t total, std::uint64_t queued) noexcept;
    void some_less(std::size_t count) noexcept;
    void want_collector() noexcept;
    [[nodiscard]] bool has_had_workers() noexcept;
    void signal_workers(int signal);
    [[nodiscard]] bool can_lock_soon();
    void kill_if_locked_out();
    void kill_stopped_lock_holders(bool (*is_meant)(const worker_slot& holder, segment_offset task),
                                   segment_offset task);
    void cancel_waiting();
    void cancel_waiting_of_workers();

    static void* collector_body(void* pool) noexcept;
    void collect_until_end();
    void wait_for_results(std::uint64_t seen);
    void stand_by(lock& held);
    void look_after_family();
    void settle_waiting_as_broken();
    [[nodiscard]] std::exception_ptr why_broken(const local_state& task) const;
    void end_family();
    [[nodiscard]] bool has_guardians_pidfd() const noexcept;
    [[nodiscard]] bool has_bell() const noexcept;
    void leave_lost_descriptors() noexcept;
    void notice_end_of_guardian() noexcept;
    [[nodiscard]] bool is_own_helper() const noexcept;

    process_pool_settings settings_;
    std::optional<manager> manager_;
    std::unique_ptr<pool_family> own_family_;  // the owner's
    pool_family* family_;
    worker_slot* self_ = nullptr;    // of the worker that this is in; null in the owner
    std::uint32_t place_ = 0;        // its place
    std::uint64_t incarnation_ = 0;  // its own
    std::uint32_t waits_ = 0;        // threads of it that wait for a task, under mutex_
    std::weak_ptr<process_pool_life> handles_;
    pid_t guardian_ = 0;              // 0: it has ended
    pid_t guardian_pid_ = 0;          // what it was
    bool is_guardian_child_ = false;  // else its parent is the ancestor (ancestor.hpp), who reaps it
    os::process_identity guardian_identity_ = 0;
    os::unique_fd guardian_pidfd_;
    std::atomic<bool> watches_exit_{false};
    std::atomic<bool> has_had_workers_{false};
    std::atomic<const void*> last_checked_[2] = {nullptr, nullptr};  // code of the program itself

    mutable std::mutex mutex_;
    std::condition_variable wake_;         // the collector
    std::condition_variable all_settled_;  // who waits in shutdown()
    std::vector<entry> entries_;           // by token
    std::vector<std::uint32_t> free_entries_;
    std::vector<segment_offset> to_free_;               // collected and settled
    std::unordered_map<local_state*, task_ptr> later_;  // not due yet
    std::size_t pending_ = 0;                           // accepted and not settled
    bool is_closed_ = false;
    bool is_parked_ = false;
    bool is_wanted_ = false;  // somebody waits who does not help
    bool stands_by_ = false;  // the collector
    bool has_ended_ = false;  // family and collector are gone, or about to be
    int helpers_ = 0;
    executor_statistics counts_;
    std::uint64_t runtime_ = 0;  // nanoseconds, of all executed
    std::uint64_t queue_time_ = 0;
    std::mutex start_mutex_;
    bool has_collector_ = false;
    bool is_collector_joined_ = false;
    pthread_t collector_{};
};

}  // namespace cairn::inline CAIRN_ABI::detail
