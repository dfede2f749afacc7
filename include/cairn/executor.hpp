// executor.hpp - what executors have in common: the concept, options, statistics; any_executor and synchronous_executor.
//
// Which one     thread_pool_executor (thread_pool_executor.hpp) for most; dynamic_thread_pool_executor where the load comes and goes;
//               synchronous_executor, which calls in place, for tests and for code that may be given any. docs/executors.md says more.
// Handle        executors own their threads; they are neither copied nor moved. any_executor refers to one, and can be copied.
// User code     runs without any lock of the executor held: tasks, callbacks, predicates, destructors of what tasks capture.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <type_traits>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/executors/call.hpp>
#include <cairn/detail/executors/executor_core.hpp>
#include <cairn/detail/executors/map.hpp>
#include <cairn/error.hpp>
#include <cairn/future.hpp>
#include <cairn/task.hpp>

namespace cairn::inline CAIRN_ABI {

/// A picture of what an executor has done, as futurist counts it, and more. Rejected tasks, those that wait and those that run are not
/// in the first five.
struct executor_statistics {
    using seconds = std::chrono::duration<double>;
    std::uint64_t failures = 0;   ///< of `executed`, those that ended by an exception
    std::uint64_t executed = 0;   ///< tasks that are done and not cancelled
    seconds runtime{0};           ///< of all executed, from submit to done: the time in the queue included
    std::uint64_t cancelled = 0;  ///< counted at once, in cancel()
    seconds average_runtime{0};   ///< runtime / executed; 0 when there is none
    seconds queue_time{0};        ///< the part of `runtime` before tasks were started, and between attempts
    seconds run_time{0};          ///< the part in which they ran
    std::uint64_t rejected = 0;   ///< by check_and_reject, or when_full::reject
    std::uint64_t retried = 0;    ///< further starts
    std::uint64_t died = 0;       ///< tasks whose thread ended in them (pthread_exit)

    /// "<ExecutorStatistics object at 0x7f471af5d948 (failures=0, executed=7, runtime=0.09, cancelled=0)>"
    friend CAIRN_API std::ostream& operator<<(std::ostream& to, const executor_statistics& s);
};

struct shutdown_options {
    bool wait = true;             ///< until all accepted tasks are done and the threads have ended
    bool cancel_futures = false;  ///< those that have not started
};

/// What takes tasks: has `submit`, which gives a future, and `shutdown`.
template <typename E>
concept executor = requires(E& ex, void (*work)()) {
    { ex.submit(work) } -> std::same_as<future<void>>;
    ex.shutdown();
};

class any_executor;

/// Asked before a task is accepted, with the executor and its backlog: tasks that wait for a thread. Refuses by throwing
/// (rejected_submission; whatever it throws comes out of submit). Runs in the submitting thread, without a lock.
using rejection_check = std::function<void(const any_executor& ex, std::size_t backlog)>;

/// futurist.rejection: refuses when the backlog is `limit` or more.
/// @throws rejected_submission  (later, in submit) "Current backlog 16 is not allowed to go beyond 16"
CAIRN_API rejection_check reject_when_reached(std::size_t limit);

namespace detail {

struct core_access;

// any_executor, in templates that come before it.
template <typename>
struct complete_any_executor {
    using type = any_executor;
};

/// What all handles of executors offer.
class CAIRN_API executor_handle {
public:
    executor_handle(const executor_handle&) = delete;
    executor_handle& operator=(const executor_handle&) = delete;

    /// Has `fn(args...)` called by the executor. Callable and arguments are copied (or moved) as by std::thread; std::ref passes a
    /// reference. They are destroyed before the future is done.
    ///
    /// @return the future of its result; the task runs also when that is thrown away
    /// @throws invalid_state        after shutdown; in a forked child
    /// @throws rejected_submission  check_and_reject, or when_full::reject; nothing was submitted
    /// @throws initializer_failed   no thread could be initialised
    /// @throws system_failure       there is no thread yet, and none can be made; nothing was submitted
    /// Cost    one allocation; 100 to 300 ns while the threads are busy, a wake-up where one sleeps
    /// Safety  thread-safe
    template <typename Fn, typename... Args>
        requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
    auto submit(Fn&& fn, Args&&... args) {
        using result = std::remove_cv_t<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>;
        using call = call_state<result, calls::once, std::decay_t<Fn>, std::decay_t<Args>...>;
        return give<result>(
            task_ptr(new call(std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...)), nullptr,
            std::chrono::nanoseconds(0));
    }
    /// The same with options: `ex.submit({.timeout = 1s, .retries = 3}, fn, args...)`. A callable that can be called with lvalues of its
    /// arguments is, so that it can be called again.
    ///
    /// @throws invalid_argument  negative `.retries`; `.retry_if` for what can be called once only
    template <typename Fn, typename... Args>
    auto submit(const task_options& options, Fn&& fn, Args&&... args) {
        return submit_later(std::chrono::nanoseconds(0), options, std::forward<Fn>(fn),
                            std::forward<Args>(args)...);
    }

    /// Has it submitted after `delay` (steady clock). The future is pending until then and can be cancelled. An executor that is shut
    /// down still runs it, and waits for that, unless it cancels futures.
    ///
    /// @throws invalid_argument  negative delay, or NaN; and as submit()
    template <typename Rep, typename Period, typename Fn, typename... Args>
        requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
    auto submit_after(const std::chrono::duration<Rep, Period>& delay, Fn&& fn, Args&&... args) {
        using result = std::remove_cv_t<std::invoke_result_t<std::decay_t<Fn>, std::decay_t<Args>...>>;
        using call = call_state<result, calls::once, std::decay_t<Fn>, std::decay_t<Args>...>;
        const auto checked = checked_delay(delay);
        return give<result>(
            task_ptr(new call(std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...)), nullptr,
            checked);
    }
    template <typename Rep, typename Period, typename Fn, typename... Args>
    auto submit_after(const std::chrono::duration<Rep, Period>& delay, const task_options& options, Fn&& fn,
                      Args&&... args) {
        return submit_later(checked_delay(delay), options, std::forward<Fn>(fn), std::forward<Args>(args)...);
    }

    /// Calls `fn` with the items of the ranges, one of each, until the shortest ends. The results come in that order:
    /// `for (long r : ex.map(fn, inputs))`.
    ///
    /// Items and `fn` are copied into the tasks. A container given as an lvalue has to live as long as its items are read: until map
    /// returns, or, with `.buffer_size`, as long as the results.
    ///
    /// @throws as submit(); invalid_argument for a range without end (std::views::iota(0)) and no `.buffer_size`
    template <typename Fn, typename... Ranges>
        requires(sizeof...(Ranges) > 0 && !std::is_same_v<std::remove_cvref_t<Fn>, map_options>)
    auto map(Fn&& fn, Ranges&&... ranges) {
        return map(map_options{}, std::forward<Fn>(fn), std::forward<Ranges>(ranges)...);
    }
    /// @throws invalid_argument  chunk_size or buffer_size below 1
    template <typename Fn, typename... Ranges>
        requires(sizeof...(Ranges) > 0)
    auto map(const map_options& options, Fn&& fn, Ranges&&... ranges) {
        static_assert(std::is_invocable_v<std::decay_t<Fn>&, item_of<Ranges>...>,
                      "cairn: map cannot call this with an item of each range");
        using result = mapped_result<Fn, Ranges...>;
        using shared = typename complete_any_executor<std::decay_t<Fn>>::type;
        using source = mapped_source<shared, result, std::decay_t<Fn>, Ranges...>;
        check_map_options(options, (... && knows_no_end<end_of<Ranges>>));
        return map_results<result>(std::make_unique<source>(shared(core_), options.chunk_size,
                                                            std::forward<Fn>(fn),
                                                            std::forward<Ranges>(ranges)...),
                                   options);
    }

    /// Takes no further tasks; may be called any number of times, from anywhere. One of the executor's own threads, and a callback of
    /// a future, does not wait.
    ///
    /// @throws invalid_state  in a forked child
    void shutdown(const shutdown_options& options = {});
    /// Cancels what has not started and asks what runs to stop; does not wait. The executor stays usable. A thread cannot be killed:
    /// for the executors of this process both do the same.
    ///
    /// @throws invalid_state  in a forked child
    void terminate();
    void kill();

    /// In a forked child zeros, here and below.
    [[nodiscard]] executor_statistics statistics() const;
    /// Whether it takes tasks: neither shut down nor without initialised threads.
    [[nodiscard]] bool alive() const noexcept;
    /// Tasks that wait, not those that run; without those of submit_after that are not due.
    [[nodiscard]] std::size_t queue_size() const;
    [[nodiscard]] std::size_t num_workers() const;
    [[nodiscard]] std::size_t get_num_idle_workers() const;

protected:
    explicit executor_handle(core_ptr core) noexcept : core_(std::move(core)) {}
    ~executor_handle() = default;
    [[nodiscard]] executor_core& core() const noexcept { return *core_; }

    core_ptr core_;

private:
    friend struct core_access;

    // any_executor, in templates that come before it.
    template <typename>
    struct complete_any_executor {
        using type = any_executor;
    };

    template <typename Fn, typename... Args>
    auto submit_later(std::chrono::nanoseconds delay, const task_options& options, Fn&& fn, Args&&... args) {
        using function = std::decay_t<Fn>;
        if constexpr (std::is_invocable_v<function&, std::decay_t<Args>&...>) {
            using result = std::remove_cv_t<std::invoke_result_t<function&, std::decay_t<Args>&...>>;
            using call = call_state<result, calls::repeatedly, function, std::decay_t<Args>...>;
            return give<result>(
                task_ptr(new call(std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...)),
                &options, delay);
        } else {
            static_assert(std::is_invocable_v<function, std::decay_t<Args>...>,
                          "cairn: the callable cannot be called with (decayed copies of) these arguments");
            using result = std::remove_cv_t<std::invoke_result_t<function, std::decay_t<Args>...>>;
            using call = call_state<result, calls::once, function, std::decay_t<Args>...>;
            return give<result>(
                task_ptr(new call(std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...)),
                &options, delay);
        }
    }
    template <typename T>
    future<T> give(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) {
        future<T> result = future_access::make<T>(state_ptr::sharing(task.get()));
        core_->submit(std::move(task), options, delay);
        return result;
    }
};

struct core_access {
    static core_ptr share(const executor_handle& handle) noexcept { return handle.core_; }
};

/// Runs tasks in an executor that is not one of ours.
CAIRN_API void run_for_stranger(local_state& task);

/// Cancels a task that such an executor drops undone. Shared, as it may copy callables.
class CAIRN_API stranger_task {
public:
    explicit stranger_task(task_ptr task) noexcept : task_(std::move(task)) {}
    stranger_task(const stranger_task&) = delete;
    stranger_task& operator=(const stranger_task&) = delete;
    ~stranger_task();
    void run() { run_for_stranger(*task_); }
    void was_refused() noexcept { is_refused_ = true; }

private:
    task_ptr task_;
    bool is_refused_ = false;
};

template <typename E>
class foreign_core final : public executor_core {
public:
    explicit foreign_core(E& ex) noexcept : ex_(&ex) {}
    explicit foreign_core(std::shared_ptr<E> owned) noexcept : owned_(std::move(owned)), ex_(owned_.get()) {}

    void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) override {
        if (options != nullptr || delay.count() != 0)
            throw invalid_argument("submit to any_executor: this executor takes no options and no delay");
        submit_following(std::move(task));
    }
    void submit_following(task_ptr task) override {
        const auto given = std::make_shared<stranger_task>(std::move(task));
        try {
            static_cast<void>(ex_->submit([given] { given->run(); }));
        } catch (...) {
            given->was_refused();
            throw;
        }
    }
    void shutdown(const shutdown_options& options) override {
        if constexpr (requires { ex_->shutdown(options); }) ex_->shutdown(options);
        else ex_->shutdown();
    }
    void terminate() override {
        if constexpr (requires { ex_->terminate(); }) ex_->terminate();
        else throw invalid_state("terminate any_executor: this executor cannot");
    }
    [[nodiscard]] executor_statistics statistics() const override {
        if constexpr (std::is_convertible_v<decltype(statistics_of(*ex_)), executor_statistics>)
            return statistics_of(*ex_);
        else return {};
    }
    [[nodiscard]] bool is_alive() const noexcept override { return true; }
    [[nodiscard]] std::size_t queue_size() const override { return 0; }
    [[nodiscard]] std::size_t worker_count() const override { return 0; }
    [[nodiscard]] std::size_t idle_worker_count() const override { return 0; }

private:
    template <typename Other>
    static auto statistics_of(Other& ex) {
        if constexpr (requires { ex.statistics(); }) return ex.statistics();
    }

    std::shared_ptr<E> owned_;
    E* ex_;
};

template <typename Executor>
struct core_of {
    static core_ptr share(Executor& ex) {
        if constexpr (std::is_base_of_v<executor_handle, Executor>) {
            return core_access::share(ex);
        } else {
            static_assert(executor<Executor>, "cairn: this is no executor: it has no submit or no shutdown");
            return core_ptr(new foreign_core<Executor>(ex));
        }
    }
};

}  // namespace detail

/// Refers to any executor, ours or what satisfies the concept: for interfaces that are not templates.
///
/// Made from an executor of this library, it may outlive that one: submit is then invalid_state. Another one has to live as long, or is
/// given as a std::shared_ptr; a task that it drops undone is cancelled. Copies refer to the same executor. Destroying it shuts nothing
/// down.
class CAIRN_API any_executor : public detail::executor_handle {
public:
    template <typename E>
        requires(!std::is_same_v<std::remove_const_t<E>, any_executor> &&
                 (std::is_base_of_v<detail::executor_handle, E> || executor<E>))
    any_executor(E& ex)  // NOLINT(google-explicit-constructor): where any executor is taken, this one is
        : executor_handle(detail::core_of<E>::share(ex)) {}
    template <executor E>
    explicit any_executor(std::shared_ptr<E> ex)
        : executor_handle(detail::core_ptr(new detail::foreign_core<E>(std::move(ex)))) {}
    explicit any_executor(detail::core_ptr core) noexcept : executor_handle(std::move(core)) {}
    any_executor(const any_executor& other) noexcept : executor_handle(other.core_) {}
    any_executor& operator=(const any_executor& other) noexcept {
        core_ = other.core_;
        return *this;
    }
    ~any_executor() = default;
};

/// Calls in the thread that submits, before submit returns: futures are done at once. submit_after sleeps first. The runtime in its
/// statistics is the true one: nothing waits in a queue.
class CAIRN_API synchronous_executor : public detail::executor_handle {
public:
    synchronous_executor();
    ~synchronous_executor();

    /// Takes tasks again after shutdown, with statistics of 0.
    void restart();
};

}  // namespace cairn::inline CAIRN_ABI
