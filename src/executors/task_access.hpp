// task_access.hpp - what executors, timers and the settling thread do with a task's state (local_state.hpp).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <stop_token>
#include <string>

#include "executors/per_process.hpp"
#include "executors/timers.hpp"
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/detail/executors/local_state.hpp>
#include <cairn/task.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class remote_part;
class remote_run;

/// What few tasks have. Made with the options, or by the running task that asks for its id or stop token.
struct task_extras {
    task_options options;
    int attempt = 1;  // written by whoever starts it
    std::atomic<std::uint64_t> id{0};
    std::atomic<std::stop_source*> stop{nullptr};
    std::int64_t run_ticks = 0;     // of attempts before this one
    std::unique_ptr<timer> start;   // when it is due: submit_after, back-off
    std::unique_ptr<timer> expiry;  // while it is pending for the first time
    std::unique_ptr<timer> ask;     // while it runs: to stop, where it has a grace
    std::unique_ptr<timer> end;     // while it runs: its time is up
    bool is_delayed = false;        // counted so by the executor, under its lock

    task_extras() = default;
    task_extras(const task_extras&) = delete;
    task_extras& operator=(const task_extras&) = delete;
    ~task_extras() { delete stop.load(); }
};

/// How one attempt ended.
enum class attempt_end { value, exception };

struct task_access {
    static constexpr std::uint32_t stage_mask = 7;
    static constexpr std::uint32_t locked = 8;          // the list of observers is being changed
    static constexpr std::uint32_t has_observers = 16;  // it is not empty
    static constexpr std::uint32_t has_sleepers = 32;   // threads sleep on the word
    static constexpr std::uint32_t stop_asked = 64;
    static constexpr std::uint32_t value_taken = 128;

    static word_stage stage_in(std::uint32_t word) noexcept {
        return static_cast<word_stage>(word & stage_mask);
    }
    static bool is_end(word_stage s) noexcept { return s >= word_stage::value; }

    static word_stage stage(const local_state& s) noexcept {
        // acquire: pairs with settle(); what it is settled with is there
        return stage_in(s.word_.load(std::memory_order_acquire));
    }
    /// One step of the stage, if it is still `from`.
    static bool step(local_state& s, word_stage from, word_stage to) noexcept;
    /// Asks the task to stop. Callbacks of its stop token run in here.
    static void ask_to_stop(local_state& s) noexcept;
    static bool is_asked_to_stop(const local_state& s) noexcept {
        // relaxed: a request, which orders nothing
        return (s.word_.load(std::memory_order_relaxed) & stop_asked) != 0;
    }

    /// Calls it. `error` gets its exception, and nothing else; the end of the thread (pthread_exit) is not caught. For what has a time
    /// limit: the state's own exception belongs to whoever has stepped to settling.
    static attempt_end call(local_state& s, std::exception_ptr& error);
    /// The same, where nobody else may settle it: the state gets the exception.
    static attempt_end call(local_state& s);
    /// Before settle(): the result is whole, so what it was made from may go.
    static void drop_call(local_state& s) noexcept { s.drop_call(); }

    /// The end: `end` is one of the stages that is_end(). Tells those who wait, then hands callbacks to the settling thread. From
    /// pending or running only where nobody else may settle it; else after a step to settling or cancelling.
    static void settle(local_state& s, word_stage end) noexcept;
    static void settle_with(local_state& s, std::exception_ptr error) noexcept;
    /// Steps from pending to cancelled, and settles. For what no executor has queued.
    static bool cancel_unqueued(local_state& s) noexcept;

    /// Runs a task that no pool has: settles it, counts nothing.
    static void run_unowned(local_state& s);

    static void stop_timers(local_state& s) noexcept;
    static task_extras& extras(local_state& s);  // makes them
    static task_extras* extras_if_any(const local_state& s) noexcept {
        return s.extras_.load(std::memory_order_acquire);
    }
    static std::exception_ptr& exception(local_state& s) noexcept { return s.exception_; }
    static executor_core*& core(local_state& s) noexcept { return s.core_; }
    static local_state*& next(local_state& s) noexcept { return s.next_; }
    static local_state*& previous(local_state& s) noexcept { return s.previous_; }
    static bool& is_queued(local_state& s) noexcept { return s.is_queued_; }
    static std::uint8_t& lane(local_state& s) noexcept { return s.lane_; }
    static std::uint32_t& submitter(local_state& s) noexcept { return s.submitter_; }
    static bool& is_continuation(local_state& s) noexcept { return s.is_continuation_; }
    static std::int64_t& submitted(local_state& s) noexcept { return s.submitted_; }
    static remote_part* remote(const local_state& s) noexcept { return s.remote_; }
    static bool is_repeatable(const local_state& s) noexcept { return s.is_repeatable(); }
    static bool is_of_this_process(const local_state& s) noexcept;
    /// Throws nothing, but lets the end of the thread (pthread_exit) through.
    static void run_callback(callback& c);

    static void lock_observers(local_state& s) noexcept;
    static void link(local_state& s, observer& o) noexcept;
    static void unlink(local_state& s, observer& o) noexcept;
    static void attach(callback& c, local_state& s) noexcept;
    static observer* next_observer(const observer& o) noexcept;
    static void delete_if_callback(observer& o) noexcept;

private:
    static void tell(local_state& s, word_stage end) noexcept;
};

/// For what waits_for_caller().
[[noreturn]] void throw_waits_for_caller();

/// How long a task waits that has failed so many times, before it is tried again: doubles from `.backoff`'s first to its longest.
std::chrono::nanoseconds backoff_delay(const backoff_range& backoff, std::int64_t failures) noexcept;

/// "task 'resize'", "a task": for messages.
std::string task_name(const local_state& s);

/// "50 ms", "0.25 ms": for messages.
std::string in_milliseconds(std::chrono::nanoseconds time);

/// What the calling thread runs, innermost first.
struct task_context {
    local_state* task;
    task_context* outer;
    remote_run* remote = nullptr;                // in a worker process: what knows more of it
    std::uint64_t made_by = own_process_mark();  // a child that the task forks is not in it
    // Whose results this thread has in hand, while something of the user's is asked about this one: they come when that returns.
    const executor_core* results_of = nullptr;
};

/// What a thread knows of its place in an executor.
struct worker_place {
    executor_core* core = nullptr;
    void* worker = nullptr;  // the executor's own idea of it
    int id = -1;
    std::uint64_t made_by = 0;  // own_process_mark(): a child that a worker forks is no worker
};

struct thread_place {
    task_context* task = nullptr;
    const worker_place* worker = nullptr;
    process_flag is_settling;
    std::uint8_t spin_halvings = 0;  // what waiting has learnt (spinning.hpp)
    std::uint8_t spins_skipped = 0;
    std::uint32_t submitter = 0;  // own_submitter(); 0: none yet
};

// initial-exec: as this_thread (thread_state.hpp)
extern constinit thread_local thread_place own_place __attribute__((tls_model("initial-exec")));

/// A number of this thread's own, by which its tasks are told from those of others.
std::uint32_t new_submitter() noexcept;
inline std::uint32_t own_submitter() noexcept {
    if (own_place.submitter == 0) [[unlikely]]
        own_place.submitter = new_submitter();
    return own_place.submitter;
}

/// What the calling thread runs, innermost first; null: nothing, in this process.
inline const task_context* own_task_context() noexcept {
    const task_context* const innermost = own_place.task;
    return innermost != nullptr && innermost->made_by == own_process_mark() ? innermost : nullptr;
}

/// While it lives, the calling thread runs that task.
class running_task {
public:
    explicit running_task(local_state& task, remote_run* remote = nullptr) noexcept
        : context_{&task, own_place.task, remote} {
        own_place.task = &context_;
    }
    running_task(const running_task&) = delete;
    running_task& operator=(const running_task&) = delete;
    ~running_task() { own_place.task = context_.outer; }
    [[nodiscard]] task_context& context() noexcept { return context_; }

private:
    task_context context_;
};

/// While it lives, a task is called that nobody would settle if its thread ended in it (pthread_exit), which unwinds the stack: this
/// does, then.
class settled_at_end_of_thread {
public:
    explicit settled_at_end_of_thread(local_state& task) noexcept : task_(task) {}
    settled_at_end_of_thread(const settled_at_end_of_thread&) = delete;
    settled_at_end_of_thread& operator=(const settled_at_end_of_thread&) = delete;
    ~settled_at_end_of_thread();
    void has_returned() noexcept { has_returned_ = true; }

private:
    local_state& task_;
    bool has_returned_ = false;
};

/// The executor that the calling thread is a worker of; null if none, or if that is of the process which this one was forked from.
executor_core* own_core() noexcept;

/// While it lives, the calling thread waits: if it is a worker, its executor may add another one.
class blocked_worker {
public:
    blocked_worker() noexcept;
    blocked_worker(const blocked_worker&) = delete;
    blocked_worker& operator=(const blocked_worker&) = delete;
    ~blocked_worker();
    /// When to look again: a worker whose executor may not add threads looks now and then whether it has to help itself.
    [[nodiscard]] steady_time next_look(steady_time deadline) const noexcept;
    /// Runs a waiting task if no other worker can.
    void look();

private:
    executor_core* core_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
