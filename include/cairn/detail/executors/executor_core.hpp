// executor_core.hpp - what an executor's handle refers to: takes tasks, runs them, counts.
//
// References    counted: the handle, each of its threads, and each any_executor has one. So it outlives the handle that was
//               destroyed by one of its own workers.
// Fork          a core belongs to the process that made it: in a child, submit says so and the rest does nothing.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/executors/local_state.hpp>
#include <cairn/task.hpp>

namespace cairn::inline CAIRN_ABI {

struct executor_statistics;
struct shutdown_options;

namespace detail {

class CAIRN_API executor_core {
public:
    executor_core(const executor_core&) = delete;
    executor_core& operator=(const executor_core&) = delete;
    virtual ~executor_core();  // by drop_reference() only

    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    // acq_rel: what others did with it happened before it goes
    void drop_reference() noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
    }

    /// Takes over the task; what it throws, it has not taken. `options` may be null.
    virtual void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) = 0;
    /// The same for work that follows from settled futures: never blocks on a bound.
    virtual void submit_following(task_ptr task) = 0;
    /// After a pending task was cancelled or has expired, and before its future settles: unlinks and counts it.
    virtual void forget(local_state& task, bool is_cancelled) noexcept;
    /// Of a pending task that is remote, before it is cancelled: takes it out, if no worker has it yet. If one has, false.
    virtual bool withdraw(local_state& task);
    virtual bool cancel_by_kill(local_state& task);
    /// Whether a worker has the pending remote task.
    [[nodiscard]] virtual bool has_started(const local_state& task) const noexcept;
    virtual void ask_to_stop(local_state& task) noexcept;
    /// Somebody waits for a remote task, other than by help().
    virtual void somebody_waits() noexcept;
    /// A thread that would wait for a remote task looks for results itself, for a while. True when the task is settled.
    virtual bool help(local_state& task, steady_time deadline);
    /// Runs the task in the calling thread, if that is a worker of this executor and has it queued.
    virtual bool run_here(local_state& task);

    /// A worker of this executor is about to wait inside a task, and goes on: meanwhile another thread may stand in for it.
    virtual void worker_waits() noexcept;
    virtual void worker_goes_on() noexcept;
    /// Called by a waiting worker now and then: runs a task that waits if no thread is left that would.
    virtual void run_one_if_stuck();

    virtual void shutdown(const shutdown_options& options) = 0;
    virtual void terminate() = 0;
    /// As terminate() where threads are the workers.
    virtual void kill();
    /// What the destructor of the handle does; drops its reference.
    virtual void let_go() noexcept;
    [[nodiscard]] virtual executor_statistics statistics() const = 0;
    [[nodiscard]] virtual bool is_alive() const noexcept = 0;
    [[nodiscard]] virtual std::size_t queue_size() const = 0;
    [[nodiscard]] virtual std::size_t worker_count() const = 0;
    [[nodiscard]] virtual std::size_t idle_worker_count() const = 0;

    [[nodiscard]] bool is_of_this_process() const noexcept;

protected:
    executor_core() noexcept;

private:
    void destroy() noexcept;

    std::atomic<std::uint32_t> references_{1};
    std::uint64_t made_by_;  // *process_mark
};

using core_ptr = counted_ptr<executor_core>;

/// Throws invalid_argument for a negative or undefined delay.
template <typename Rep, typename Period>
std::chrono::nanoseconds checked_delay(const std::chrono::duration<Rep, Period>& delay);
CAIRN_API std::chrono::nanoseconds checked_delay(long_nanoseconds delay);

template <typename Rep, typename Period>
std::chrono::nanoseconds checked_delay(const std::chrono::duration<Rep, Period>& delay) {
    return checked_delay(long_nanoseconds(delay));
}

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
