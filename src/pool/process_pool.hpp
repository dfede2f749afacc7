// process_pool.hpp - the owner's side of a pool of worker processes: what process_pool_executor and pool refer to.
//
// Futures        are those of this process (local_state.hpp). A task's record in the segment has a token, by which its state is found when
//                it comes back.
// Collecting     takes finished tasks over, decodes them, settles their futures. Whoever waits for a result does it himself for a while
//                (help), so that a round trip costs no further thread; else the collector thread does, which sleeps on the pool's event.
// Collector      stands by while others collect, and parks when nothing is pending. It is also who tells waiting tasks when the pool is
//                broken, closes the pool when it is shut down and done, and takes over where guardian and nursery were killed.
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

struct process_pool_settings {
    std::string name;
    std::uint32_t max_workers = 1;
    int retries = 0;
    std::function<void()> initializer;
    std::uint64_t max_tasks_per_worker = 0;
    std::uint64_t max_worker_memory = 0;
    rejection_check check_and_reject;
    std::int64_t max_pending = -1;  // no bound
    enum when_full when_full = when_full::block;
    time_limit timeout;
    bool keep_orphans = false;
};

/// A library, by where it was loaded.
struct loaded_object {
    std::uintptr_t address;
    std::string name;  // the program's own is empty
    friend bool operator==(const loaded_object&, const loaded_object&) = default;
};

class process_pool final : public executor_core {
public:
    explicit process_pool(const process_pool_settings& settings);
    ~process_pool() override;

    void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) override;
    void submit_following(task_ptr task) override;
    bool withdraw(local_state& task) override;
    void forget(local_state& task, bool is_cancelled) noexcept override;
    [[nodiscard]] bool has_started(const local_state& task) const noexcept override;
    void ask_to_stop(local_state& task) noexcept override;
    void somebody_waits() noexcept override;
    bool help(local_state& task, steady_time deadline) override;

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
    [[nodiscard]] pool_node& node() const noexcept { return family_.pool(); }
    void make_root();
    void start_guardian();
    void start_collector();

    void check_open(const char* operation) const;
    void check_code(const remote_part& part);
    void prepare(local_state& task, const task_options* options, std::chrono::nanoseconds delay);
    bool withdraw_for(local_state& task, withdrawal why);
    void submit_now(const task_ptr& task);
    [[nodiscard]] bool runs_in_caller(const local_state& task);
    [[nodiscard]] std::int64_t backlog(std::int64_t more) const;
    void ask_check();
    void push(const task_ptr& task);
    void start_due(local_state& task) noexcept;
    void expire(local_state& task) noexcept;
    void run_in_caller(local_state& task);

    bool collect();
    void deliver(segment_offset record);
    void fail_delivery(segment_offset record, const std::exception_ptr& error) noexcept;
    void give_up(const std::exception_ptr& error) noexcept;
    bool try_again(local_state& task, segment_offset record, const std::exception_ptr& error);
    void settle_as(local_state& task, std::exception_ptr error) noexcept;
    void end_of(local_state& task, bool is_failure, std::uint64_t total, std::uint64_t queued) noexcept;
    void one_less() noexcept;
    void want_collector() noexcept;
    void signal_workers(int signal);
    void cancel_waiting();

    static void* collector_body(void* pool) noexcept;
    void collect_until_end();
    void wait_for_results(std::uint64_t seen);
    void stand_by(lock& held);
    void look_after_family();
    void settle_waiting_as_broken();
    [[nodiscard]] std::exception_ptr why_broken(const local_state& task) const;
    void end_family();
    void notice_end_of_guardian() noexcept;
    [[nodiscard]] bool is_own_helper() const noexcept;

    process_pool_settings settings_;
    std::optional<manager> manager_;
    pool_family family_;
    pid_t guardian_ = 0;
    os::unique_fd guardian_pidfd_;
    std::atomic<bool> watches_exit_{false};
    std::vector<loaded_object> loaded_;                              // the libraries that the workers have
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
    bool is_collector_joined_ = false;
    pthread_t collector_{};
};

}  // namespace cairn::inline CAIRN_ABI::detail
