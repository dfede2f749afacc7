// local_state.hpp - a task of this process and its future's state, in one block of memory.
//
// Stored        the word (stage and flags), what is told at the end, the exception, and where the task is queued; the derived
//               classes (call.hpp) add the value and the callable.
// Protected by  the word: each step of its stage is one compare-and-swap, and its lock bit guards the list of observers. Links and
//               the executor's fields belong to the executor, under its own lock.
// Fork          the state belongs to the process that made it. In a child, one that is settled can be read, the others say so.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/executors/future_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class executor_core;
class remote_part;
struct task_extras;

/// Stages of the word, in its low bits.
enum class word_stage : std::uint32_t {
    pending,
    running,
    settling,    // somebody has decided how it ends, and is counting it
    cancelling,  // the same, where that end is a cancellation
    value,
    exception,
    cancelled,
};

class CAIRN_API local_state : public future_state {
public:
    [[nodiscard]] future_stage stage() const noexcept final;
    [[nodiscard]] bool is_settled() const noexcept final;
    bool wait_until(steady_time deadline) final;
    bool run_if_queued_here() final;
    [[nodiscard]] bool waits_for_caller() const noexcept final;
    bool cancel() final;
    bool cancel_by_kill() final;
    void call_when_settled(std::unique_ptr<callback> fn) final;
    bool watch(waiter& who) final;
    void stop_watching(waiter& who) noexcept final;
    [[nodiscard]] std::exception_ptr exception() const final;
    [[nodiscard]] void* value() override;
    bool take_value() noexcept final;
    [[nodiscard]] bool is_value_taken() const noexcept final;

    ~local_state() override;

protected:
    local_state() noexcept;

    /// Calls what the task is to call, and keeps its result.
    virtual void invoke() = 0;
    /// Destroys the callable and its arguments: whoever sees the result sees them gone.
    virtual void drop_call() noexcept = 0;
    /// Whether invoke() may be called again after it has thrown.
    [[nodiscard]] virtual bool is_repeatable() const noexcept { return false; }

    /// Another process does what is to be done: invoke() then decodes what has come back. `part` belongs to this.
    void be_remote(remote_part& part) noexcept { remote_ = &part; }

private:
    [[nodiscard]] counted_ptr<executor_core> core_if_pending() const noexcept;

    friend struct task_access;  // src/executors/task_access.hpp: what executors do with it

    std::atomic<std::uint32_t> word_{0};
    bool is_continuation_ = false;  // the settling thread has yet to run it, or to submit it; read there only
    bool is_queued_ = false;        // linked; under the executor's lock, also the next
    std::uint8_t lane_ = 0;         // where (fair_queue.hpp)
    std::uint32_t submitter_ = 0;   // own_submitter() of the thread it comes from
    observer* observers_ = nullptr;  // newest last; under the lock bit, and then the settler's
    std::exception_ptr exception_;   // before the stage that says so
    std::uint64_t made_by_;          // *process_mark
    executor_core* core_ = nullptr;  // that will run it; valid while it is pending
    local_state* next_ = nullptr;
    local_state* previous_ = nullptr;
    std::int64_t submitted_ = 0;     // ticks
    remote_part* remote_ = nullptr;  // what of it travels to another process
    std::atomic<task_extras*> extras_{nullptr};
};

using task_ptr = counted_ptr<local_state>;

/// Has `task` run once `after` is settled: in `core`, or in the settling thread where that is null.
CAIRN_API void run_after(future_state& after, task_ptr task, executor_core* core);

}  // namespace cairn::inline CAIRN_ABI::detail
