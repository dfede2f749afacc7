// future.hpp - cairn::future<T>, the result of a task that may not be there yet: concurrent.futures.Future.
//
// Stages        pending, running, then finished or cancelled (Python's five: a cancellation is first told, then "notified").
// Handle        one word; copies refer to the same state, which lives as long as one of them or the task does.
// Order         when a task ends: its executor's statistics, then those who wait, then callbacks. So what has waited for all futures
//               finds all of them counted.
// Callbacks     run in one thread of the process, the settling thread, one after the other; for one future in the order of
//               registration. It is made when the first callback is registered. What a callback throws is reported on stderr, in
//               one line, and the next one runs. When the program ends, those that are due are run first; the ones that
//               come after that are dropped.
// Fork          a forked child has no threads: what is settled can be read there, waiting for the rest is invalid_state.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <coroutine>
#include <cstddef>
#include <exception>
#include <initializer_list>
#include <iosfwd>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <typeinfo>
#include <utility>
#include <vector>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/owner.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/executors/call.hpp>
#include <cairn/detail/executors/future_state.hpp>
#include <cairn/detail/executors/local_state.hpp>
#include <cairn/detail/executors/multi_wait.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

/// f.cancel(cairn::kill)
struct kill_t {
    explicit constexpr kill_t() = default;
};
inline constexpr kill_t kill{};

template <typename T>
class future;

namespace detail {

template <typename T>
struct is_future : std::false_type {};
template <typename T>
struct is_future<future<T>> : std::true_type {};

CAIRN_API void print_future(std::ostream& to, future_state* state, const std::type_info& type);
CAIRN_API void resume_when_settled(future_state& state, std::coroutine_handle<> coroutine);

struct future_access {
    template <typename T>
    static future_state* state_of(const future<T>& f) noexcept {
        return f.state_.get();
    }
    template <typename T>
    static future<T> make(state_ptr state) noexcept {
        return future<T>(std::move(state));
    }
};

template <typename T, typename Fn>
class callback_of final : public callback {
public:
    explicit callback_of(Fn&& fn) : fn_(std::move(fn)) {}
    explicit callback_of(const Fn& fn) : fn_(fn) {}
    void run(future_state& settled) override {
        const future<T> finished = future_access::make<T>(state_ptr::sharing(&settled));
        static_cast<void>(fn_(finished));
    }

private:
    Fn fn_;
};

/// The core of an executor; null: this thread decides. Found for all that any_executor takes (executor.hpp).
template <typename Executor>
struct core_of;

}  // namespace detail

/// The result of a task: a value, an exception, or a cancellation, once it is there.
///
/// `T` is the type that the callable returns, without const; a callable that returns a reference gets a compile-time error (return a
/// pointer or a std::reference_wrapper). Futures come from `submit`; one that is default-constructed or moved from
/// refers to nothing (valid()), and everything else but << throws invalid_state then.
///
/// An exception is one object for all who read it, as with std::shared_future: treat it as constant, or copy it first.
///
/// Waiting inside a task of a pool, for another task of the same pool, does not deadlock: what is still queued is run in place, by
/// the waiting thread; otherwise a thread stands in for it. Locks that the waiting task holds are held meanwhile. result(timeout) and
/// exception(timeout) run nothing in place.
///
/// Safety  thread-safe: the functions of one object may be called from several threads (move, assignment and destruction may not),
///         and those of its copies from any. In a forked child: what is settled by the fork.
template <typename T>
class future {
    static_assert(
        !std::is_reference_v<T>,
        "cairn::future: a task cannot return a reference; return a pointer or std::reference_wrapper");
    static_assert(
        std::is_void_v<T> || (std::is_object_v<T> && !std::is_array_v<T> && !std::is_const_v<T>),
        "cairn::future: the result of a task is void, or an object that is neither const nor an array");

public:
    using value_type = T;

    future() noexcept = default;

    /// Whether this object refers to a task.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }

    /// Waits, and returns a copy of the value. For values that cannot be copied: `std::move(f).result()`.
    ///
    /// @throws what the task threw; cancelled_error; timeout_error where the task's own `.timeout` or `.expires` was up
    /// @throws invalid_state   refers to no task; the value was moved away; not settled and made by another process
    /// @throws would_deadlock  in the settling thread (callbacks), of what follows a future that it has yet to run or submit (then); in a
    ///                         task, of that task itself
    /// Cost    about 20 ns once it is there; one sleep, at most, before
    T result() const&
        requires(std::is_void_v<T> || std::is_copy_constructible_v<T>)
    {
        return copy_by(detail::no_deadline);
    }
    /// Moves the value out, also away from other copies of this future: their result() throws invalid_state from then on. No other
    /// thread may be copying it meanwhile.
    T result() && { return move_by(detail::no_deadline); }

    /// Waits at most `timeout` (steady clock); zero or less only looks. The task goes on.
    /// @throws timeout_error  not there yet; and as result()
    template <typename Rep, typename Period>
        requires(std::is_void_v<T> || std::is_copy_constructible_v<T>)
    T result(const std::chrono::duration<Rep, Period>& timeout) const& {
        return copy_by(detail::deadline_after(timeout));
    }
    template <typename Rep, typename Period>
    T result(const std::chrono::duration<Rep, Period>& timeout) && {
        return move_by(detail::deadline_after(timeout));
    }

    /// Waits, and returns what the task threw; null if it returned.
    /// @throws cancelled_error, invalid_state, would_deadlock  as result()
    [[nodiscard]] std::exception_ptr exception() const {
        return detail::wait_for_exception(state_.get(), detail::no_deadline);
    }
    /// @throws timeout_error  not there yet; and as exception()
    template <typename Rep, typename Period>
    [[nodiscard]] std::exception_ptr exception(const std::chrono::duration<Rep, Period>& timeout) const {
        return detail::wait_for_exception(state_.get(), detail::deadline_after(timeout));
    }

    /// Cancels a task that has not started; asks one that runs to stop (this_task::stop_requested()), which does not settle anything.
    /// Of a retried task, an earlier attempt may have run.
    ///
    /// @return  true: cancelled, now or before; it will not run (again)
    /// @throws  invalid_state  refers to no task; made by another process
    /// Cost     a few locks; callbacks run later, in the settling thread
    bool cancel() const { return state("cancel").cancel(); }
    /// The same, but where a worker process has the task, that worker is killed; waits until the task is settled. False where it was
    /// done first. A thread cannot be killed: as cancel().
    bool cancel(kill_t /*kill*/) const { return state("cancel").cancel_by_kill(); }

    /// Whether there is a result, an exception or a cancellation: result() will not wait.
    [[nodiscard]] bool done() const { return state("look at").is_settled(); }
    [[nodiscard]] bool running() const { return state("look at").stage() == future_stage::running; }
    [[nodiscard]] bool cancelled() const {
        const future_stage now = state("look at").stage();
        return now == future_stage::cancelled || now == future_stage::cancelled_and_notified;
    }
    [[nodiscard]] future_stage stage() const { return state("look at").stage(); }

    /// Has `fn(const future<T>&)` called in the settling thread once this is settled; also when it is already. (Python calls it in the
    /// thread that settles, or at once.) Its result is ignored.
    ///
    /// @throws system_failure  the settling thread cannot be made; nothing is registered
    /// @throws invalid_state   as cancel()
    template <typename Fn>
    void add_done_callback(Fn&& fn) const {
        static_assert(std::is_invocable_v<std::decay_t<Fn>&, const future<T>&>,
                      "cairn::future: a callback takes a const future<T>&");
        state("add a callback to")
            .call_when_settled(
                std::make_unique<detail::callback_of<T, std::decay_t<Fn>>>(std::forward<Fn>(fn)));
    }

    /// The future of `fn(finished)`, called in the settling thread once this is settled, however it ended: `finished` is this future,
    /// whose result() does not wait and may throw, which then is the exception of the new one. Cancelling the new one
    /// before `fn` starts keeps `fn` from being called, and does nothing to this one.
    ///
    /// `fn` should be short: callbacks of all futures wait for it. `then(ex, fn)` calls it in an executor instead.
    ///
    /// @throws as add_done_callback()
    template <typename Fn>
    auto then(Fn&& fn) const {
        return follow(nullptr, std::forward<Fn>(fn));
    }
    /// In `ex`, past its bounds (max_pending, check_and_reject). If it was shut down by then, the new future has that exception.
    /// In a worker process `fn` gets a future with the same value or exception; both have to travel, as with submit.
    template <typename Executor, typename Fn>
    auto then(Executor& ex, Fn&& fn) const {
        if constexpr (requires { ex.follow_remotely(*this, std::forward<Fn>(fn)); }) {
            return ex.follow_remotely(*this, std::forward<Fn>(fn));
        } else {
            const auto core = detail::core_of<Executor>::share(ex);
            return follow(core.get(), std::forward<Fn>(fn));
        }
    }

    /// `co_await f` suspends until f is settled, and goes on in the settling thread with its result (a copy; `co_await std::move(f)`
    /// moves it). Goes on at once where it is settled already. Coroutines that are suspended when the
    /// program ends are not resumed.
    auto operator co_await() const& { return awaiter<false>{*this}; }
    auto operator co_await() && { return awaiter<true>{std::move(*this)}; }

    /// Whether both refer to the same task.
    friend bool operator==(const future& a, const future& b) noexcept {
        return a.state_.get() == b.state_.get();
    }
    /// "<future at 0x7f5a8c0 state=finished returned long>", "... state=finished raised std::runtime_error>", "... state=pending>".
    friend std::ostream& operator<<(std::ostream& to, const future& f) {
        detail::print_future(to, f.state_.get(), typeid(T));
        return to;
    }

private:
    friend struct detail::future_access;
    explicit future(detail::state_ptr state) noexcept : state_(std::move(state)) {}

    template <bool Moves>
    struct awaiter {
        future f;
        [[nodiscard]] bool await_ready() const { return f.done(); }
        void await_suspend(std::coroutine_handle<> coroutine) const {
            // The coroutine may go on, and destroy this, before the call returns.
            const detail::state_ptr state = f.state_;
            detail::resume_when_settled(*state, coroutine);
        }
        T await_resume() {
            if constexpr (Moves) return std::move(f).result();
            else return f.result();
        }
    };

    detail::future_state& state(const char* operation) const {
        return detail::required(state_.get(), operation);
    }
    T copy_by(detail::steady_time deadline) const {
        void* const value = detail::wait_for_value(state_.get(), deadline, false);
        if constexpr (!std::is_void_v<T>) return *static_cast<const T*>(value);
        else static_cast<void>(value);
    }
    T move_by(detail::steady_time deadline) {
        void* const value = detail::wait_for_value(state_.get(), deadline, !std::is_void_v<T>);
        if constexpr (!std::is_void_v<T>) return std::move(*static_cast<T*>(value));
        else static_cast<void>(value);
    }

    template <typename Fn>
    auto follow(detail::executor_core* core, Fn&& fn) const {
        static_assert(std::is_invocable_v<std::decay_t<Fn>, future<T>>,
                      "cairn::future: what follows takes the finished future<T>");
        using result = std::remove_cv_t<std::invoke_result_t<std::decay_t<Fn>, future<T>>>;
        using call = detail::call_state<result, detail::calls::once, std::decay_t<Fn>, future<T>>;
        detail::future_state& before = state("continue");
        detail::task_ptr task(new call(std::in_place, std::forward<Fn>(fn), *this));
        auto after = detail::future_access::make<result>(detail::state_ptr::sharing(task.get()));
        detail::run_after(before, std::move(task), core);
        return after;
    }

    detail::state_ptr state_;
};

/// Until when wait() waits.
enum class wait_mode {
    all_completed,
    first_completed,
    first_exception,  ///< or all; a cancellation is no exception
};
inline constexpr wait_mode all_completed = wait_mode::all_completed;
inline constexpr wait_mode first_completed = wait_mode::first_completed;
inline constexpr wait_mode first_exception = wait_mode::first_exception;

/// `auto [done, not_done] = cairn::wait(fs)`: each different future once, in the order given.
template <typename T>
struct done_and_not_done {
    std::vector<future<T>> done;
    std::vector<future<T>> not_done;
};

namespace detail {

template <typename Range>
using future_in = std::remove_cvref_t<decltype(*std::begin(std::declval<const Range&>()))>;

template <typename Range>
concept range_of_futures = is_future<future_in<Range>>::value;

template <typename Future>
std::vector<future_state*> states_of(const std::vector<Future>& futures) {
    std::vector<future_state*> states;
    states.reserve(futures.size());
    for (const Future& each : futures) states.push_back(&required(future_access::state_of(each), "wait for"));
    return states;
}

/// Waits as `mode` says.
CAIRN_API void wait_for_some(multi_wait& all, const std::vector<future_state*>& states, wait_mode mode,
                             steady_time deadline);

template <typename Range>
auto wait_by(const Range& futures, wait_mode mode, steady_time deadline) {
    using element = future_in<Range>;
    const std::vector<element> copies(std::begin(futures), std::end(futures));
    const std::vector<future_state*> states = states_of(copies);
    multi_wait all(states);
    wait_for_some(all, states, mode, deadline);
    done_and_not_done<typename element::value_type> result;
    for (const std::size_t i : all.distinct())
        (states[i]->is_settled() ? result.done : result.not_done).push_back(copies[i]);
    return result;
}

}  // namespace detail

/// Waits until all futures of the range are done, or as `mode` says. A cancelled future is done.
///
/// @throws invalid_state   one refers to no task, or to a task of another process that is not done
/// @throws would_deadlock  in a callback that would wait for itself, as future::result()
/// Cost    one allocation, and a short lock for each future
/// Safety  thread-safe
template <detail::range_of_futures Range>
auto wait(const Range& futures, wait_mode mode = all_completed) {
    return detail::wait_by(futures, mode, detail::no_deadline);
}
/// At most `timeout` (steady clock): what is not done then is in `not_done`.
template <detail::range_of_futures Range, typename Rep, typename Period>
auto wait(const Range& futures, wait_mode mode, const std::chrono::duration<Rep, Period>& timeout) {
    return detail::wait_by(futures, mode, detail::deadline_after(timeout));
}

template <detail::range_of_futures Range, typename Rep, typename Period>
auto wait(const Range& futures, const std::chrono::duration<Rep, Period>& timeout) {
    return detail::wait_by(futures, all_completed, detail::deadline_after(timeout));
}
/// wait({a, b})
template <typename T>
auto wait(std::initializer_list<future<T>> futures, wait_mode mode = all_completed) {
    return detail::wait_by(futures, mode, detail::no_deadline);
}
template <typename T, typename Rep, typename Period>
auto wait(std::initializer_list<future<T>> futures, wait_mode mode,
          const std::chrono::duration<Rep, Period>& timeout) {
    return detail::wait_by(futures, mode, detail::deadline_after(timeout));
}

/// futurist.waiters: wait() for all, or for the first.
template <detail::range_of_futures Range>
auto wait_for_all(const Range& futures) {
    return detail::wait_by(futures, all_completed, detail::no_deadline);
}
template <detail::range_of_futures Range, typename Rep, typename Period>
auto wait_for_all(const Range& futures, const std::chrono::duration<Rep, Period>& timeout) {
    return detail::wait_by(futures, all_completed, detail::deadline_after(timeout));
}
template <detail::range_of_futures Range>
auto wait_for_any(const Range& futures) {
    return detail::wait_by(futures, first_completed, detail::no_deadline);
}
template <detail::range_of_futures Range, typename Rep, typename Period>
auto wait_for_any(const Range& futures, const std::chrono::duration<Rep, Period>& timeout) {
    return detail::wait_by(futures, first_completed, detail::deadline_after(timeout));
}

template <typename T>
auto wait_for_all(std::initializer_list<future<T>> futures) {
    return detail::wait_by(futures, all_completed, detail::no_deadline);
}
template <typename T>
auto wait_for_any(std::initializer_list<future<T>> futures) {
    return detail::wait_by(futures, first_completed, detail::no_deadline);
}

/// What as_completed() returns: an input range of futures, each once, as they become done. One pass; not for several threads.
template <typename T>
class [[nodiscard]] completed_futures {
public:
    completed_futures(std::vector<future<T>> futures, detail::steady_time deadline)
        : futures_(std::move(futures)), wait_(new detail::multi_wait(detail::states_of(futures_))),
          deadline_(deadline) {}
    completed_futures(completed_futures&&) noexcept = default;
    completed_futures& operator=(completed_futures&& other) noexcept {
        if (this == &other) return *this;
        wait_ = std::move(other.wait_);  // first: the old one is registered with the old futures
        futures_ = std::move(other.futures_);
        deadline_ = other.deadline_;
        current_ = std::move(other.current_);
        return *this;
    }
    completed_futures(const completed_futures&) = delete;
    completed_futures& operator=(const completed_futures&) = delete;
    ~completed_futures() = default;

    class iterator {
    public:
        using value_type = future<T>;
        using difference_type = std::ptrdiff_t;
        using iterator_concept = std::input_iterator_tag;
        iterator() noexcept = default;
        future<T>& operator*() const noexcept { return *from_->current_; }
        future<T>* operator->() const noexcept { return &*from_->current_; }
        iterator& operator++() {
            from_->advance();
            return *this;
        }
        void operator++(int) { from_->advance(); }
        friend bool operator==(const iterator& at, std::default_sentinel_t /*end*/) noexcept {
            return at.is_at_end();
        }

    private:
        friend class completed_futures;
        [[nodiscard]] bool is_at_end() const noexcept { return from_ == nullptr || !from_->current_; }
        explicit iterator(completed_futures* from) noexcept : from_(from) {}
        completed_futures* from_ = nullptr;
    };

    /// Waits for the first one.
    /// @throws timeout_error  "2 (of 5) futures unfinished"
    [[nodiscard]] iterator begin() {
        if (!current_) advance();
        return iterator(this);
    }
    [[nodiscard]] std::default_sentinel_t end() const noexcept { return std::default_sentinel; }

private:
    void advance() {
        current_.reset();
        if (wait_->left() == 0) return;
        const std::size_t at = wait_->next(deadline_);
        if (at == detail::no_index) detail::throw_unfinished(wait_->left(), wait_->distinct().size());
        // Not kept here: its result goes with the last who wants it. The state stays until all have been told.
        current_ = std::move(futures_[at]);
    }

    std::vector<future<T>> futures_;
    detail::owner<detail::multi_wait, detail::drop_multi_wait> wait_;  // goes first
    detail::steady_time deadline_;
    std::optional<future<T>> current_;
};

/// The futures of the range in the order in which they become done: `for (auto& f : cairn::as_completed(fs)) use(f.result());`.
/// Those that are done already come first. What was yielded is not kept, so that its result can go.
///
/// @throws invalid_state, would_deadlock  as wait(); the second while iterating
template <detail::range_of_futures Range>
auto as_completed(const Range& futures) {
    using element = detail::future_in<Range>;
    return completed_futures<typename element::value_type>(
        std::vector<element>(std::begin(futures), std::end(futures)), detail::no_deadline);
}
/// The iteration throws timeout_error when not all are done `timeout` after this call.
template <detail::range_of_futures Range, typename Rep, typename Period>
auto as_completed(const Range& futures, const std::chrono::duration<Rep, Period>& timeout) {
    using element = detail::future_in<Range>;
    return completed_futures<typename element::value_type>(
        std::vector<element>(std::begin(futures), std::end(futures)), detail::deadline_after(timeout));
}

/// as_completed({a, b})
template <typename T>
auto as_completed(std::initializer_list<future<T>> futures) {
    return completed_futures<T>(std::vector<future<T>>(futures), detail::no_deadline);
}

}  // namespace cairn::inline CAIRN_ABI
