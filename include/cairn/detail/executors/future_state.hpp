// future_state.hpp - what a future refers to, without its type: one interface, so that a state may lie in this process's memory
// (local_state.hpp) or elsewhere.
//
// Life          pending -> running -> settling -> one of the ends; pending -> settling where it is cancelled or expires. One
//               compare-and-swap decides each step; who loses it does nothing.
// References    counted; every future, the executor that has yet to run the task, and everybody who is about to settle it has one.
// Told          at the end, in this order: the executor's statistics, threads that wait, callbacks.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

/// Where a task stands, by Python's names.
enum class future_stage : unsigned char {
    pending,
    running,
    cancelled,               ///< cancelled; those who wait are being told
    cancelled_and_notified,  ///< cancelled for good
    finished,                ///< has a value or an exception
};

namespace detail {

class future_state;

/// Owns one reference of a counted object.
template <typename State>
class counted_ptr {
public:
    counted_ptr() noexcept = default;
    /// Takes over a reference that was counted already.
    explicit counted_ptr(State* adopted) noexcept : to_(adopted) {}
    static counted_ptr sharing(State* object) noexcept {
        if (object != nullptr) object->add_reference();
        return counted_ptr(object);
    }
    counted_ptr(const counted_ptr& other) noexcept : to_(other.to_) {
        if (to_ != nullptr) to_->add_reference();
    }
    counted_ptr(counted_ptr&& other) noexcept : to_(std::exchange(other.to_, nullptr)) {}
    counted_ptr& operator=(counted_ptr other) noexcept {
        std::swap(to_, other.to_);
        return *this;
    }
    ~counted_ptr() { reset(); }

    void reset() noexcept {
        if (State* const old = std::exchange(to_, nullptr); old != nullptr) old->drop_reference();
    }
    /// Gives the reference away.
    [[nodiscard]] State* release() noexcept { return std::exchange(to_, nullptr); }
    [[nodiscard]] State* get() const noexcept { return to_; }
    State* operator->() const noexcept { return to_; }
    State& operator*() const noexcept { return *to_; }
    explicit operator bool() const noexcept { return to_ != nullptr; }

private:
    State* to_ = nullptr;
};

/// Something that is told, once, that a state is settled: a thread that waits, or a callback.
class CAIRN_API observer {
public:
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;

protected:
    observer() noexcept = default;
    ~observer() = default;

private:
    friend class waiter;
    friend struct task_access;
    observer* next_ = nullptr;
    bool is_waiter_ = false;
};

/// A thread that waits. Told at once, by whoever settles, who holds the state's lock: nothing of the user's may run there.
class CAIRN_API waiter : public observer {
public:
    virtual ~waiter() = default;
    virtual void settled() noexcept = 0;

protected:
    waiter() noexcept { is_waiter_ = true; }
};

class callback;

class CAIRN_API future_state {
public:
    future_state(const future_state&) = delete;
    future_state& operator=(const future_state&) = delete;
    virtual ~future_state();  // by drop_reference() only

    // relaxed: who adds one has one
    void add_reference() noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void drop_reference() noexcept {
        // acq_rel: what others did with it happened before it goes
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
    }

    [[nodiscard]] virtual future_stage stage() const noexcept = 0;
    [[nodiscard]] virtual bool is_settled() const noexcept = 0;
    /// False when the time was up first. In a worker of the pool that has it queued, runs it.
    virtual bool wait_until(steady_time deadline) = 0;
    /// Runs it here and now, if this thread is a worker of the pool that has it queued.
    virtual bool run_if_queued_here() = 0;
    /// Whether it is not settled, and only the calling thread can do that: waiting would be for ever. The settling
    /// thread, and whoever runs the task.
    [[nodiscard]] virtual bool waits_for_caller() const noexcept = 0;
    virtual bool cancel() = 0;
    /// Where a worker process has it, that is killed. Waits until it is settled.
    virtual bool cancel_by_kill() = 0;
    virtual void call_when_settled(std::unique_ptr<callback> fn) = 0;

    /// False: it is settled already, and the waiter will not be told.
    virtual bool watch(waiter& who) = 0;
    virtual void stop_watching(waiter& who) noexcept = 0;

    // Below: settled.

    /// Null unless it ended by an exception, or was cancelled: then one cancelled_error.
    [[nodiscard]] virtual std::exception_ptr exception() const = 0;
    /// Where the value is; nothing that is needed when there is none, or it is void.
    [[nodiscard]] virtual void* value() = 0;
    /// Marks the value as moved away. False: it was already.
    virtual bool take_value() noexcept = 0;
    [[nodiscard]] virtual bool is_value_taken() const noexcept = 0;

protected:
    future_state() noexcept = default;

private:
    void destroy() noexcept;

    std::atomic<std::uint32_t> references_{1};
};

using state_ptr = counted_ptr<future_state>;

/// Work that the settling thread does once the state is settled, and then deletes.
class CAIRN_API callback : public observer {
public:
    virtual ~callback();
    /// In the settling thread. What it throws is reported on stderr.
    virtual void run(future_state& settled) = 0;
    /// Instead of run(), when the process is ending and there is no settling thread any more.
    virtual void drop() noexcept;

protected:
    callback() noexcept;

private:
    friend struct task_access;
    friend class settling_queue;
    state_ptr state_;  // once queued
    callback* next_queued_ = nullptr;
};

// What future<T> needs of its state and does not depend on T. `operation` is for messages: "result of".

/// Waits; throws what the task threw, cancelled_error, timeout_error, or invalid_state when there is no state or no value any more.
CAIRN_API void* wait_for_value(future_state* state, steady_time deadline, bool take);
CAIRN_API std::exception_ptr wait_for_exception(future_state* state, steady_time deadline);
/// Throws invalid_state when there is none.
CAIRN_API future_state& required(future_state* state, const char* operation);

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
