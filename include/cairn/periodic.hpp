// periodic.hpp - cairn::periodic_worker, which calls things again and again: futurist.periodics.
//
// Runs          start() runs the schedule in the calling thread, start_async() in a thread of its own. Each run is submitted to an
//               executor when it is due; without one it is called in place, one run after the other.
// Order         what is due first runs first; of several that are due at one instant, the one that was added first.
// Never         are two runs of one callable under way at a time: the next one is planned when a run has ended. Nor are missed runs
//               made up for: what is overdue runs once, at once, and `skipped` counts the others.
// User code     callables, on_failure and destructors of what callables have captured run without any lock of the worker held.
// Fork          a worker belongs to the process that made it. In a forked child its copy does nothing: functions that would
//               change something are invalid_state, counts are zeros, the destructor returns at once, and a start() that the child is
//               in returns after the callable that has forked it.
//
// docs/periodic.md says more.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/detail/periodic/periodic_call.hpp>
#include <cairn/error.hpp>
#include <cairn/executor.hpp>
#include <cairn/mutex.hpp>

namespace cairn::inline CAIRN_ABI {

/// Ends a periodic callable for good, which throws it or returns it: `throw cairn::never_again{}`, `return cairn::never_again{}`. That run
/// counts as a success. A callable whose runs do not all end so returns std::optional<cairn::never_again>.
class CAIRN_API never_again : public error {
public:
    never_again() : error("never again") {}
    never_again(const never_again&) = default;
    never_again& operator=(const never_again&) = default;
    ~never_again() override;
};

/// When the next run is due. Of the ones with `_jitter`: later by a random part of the spacing, less than 5 %, anew each time, so
/// that many of them do not run in step.
enum class strategy {
    last_started,  ///< one spacing after the last run started; its delay is kept, so it drifts by a wake-up a run
    last_started_jitter,   ///<
    last_finished,         ///< one spacing after the last run ended
    last_finished_jitter,  ///<
    aligned_last_finished,  ///< at the first multiple of the spacing, on the worker's clock, after the last run ended
    aligned_last_finished_jitter,  ///<
    /// One spacing after the last run was due: does not drift. Instants that have passed by the end of a run are skipped.
    fixed_rate,
};
/// Its name: "last_started".
CAIRN_API std::ostream& operator<<(std::ostream& to, strategy s);

/// When the first run is due. Not given: one spacing after add().
class periodic_phase {
public:
    constexpr periodic_phase() noexcept = default;
    /// True: at a random instant within the first spacing, so that what is started together does not run together for ever.
    template <std::same_as<bool> Flag>
    constexpr periodic_phase(Flag is_random) noexcept  // NOLINT(google-explicit-constructor)
        : is_random_(is_random) {}
    /// So long after add(): of any duration type; negative, or NaN, is invalid_argument (in `periodic`).
    template <typename Rep, typename Period>
    constexpr periodic_phase(  // NOLINT(google-explicit-constructor)
        const std::chrono::duration<Rep, Period>& after)
        : after_(after), is_given_(true) {}

    [[nodiscard]] constexpr bool is_random() const noexcept { return is_random_; }
    [[nodiscard]] constexpr bool is_given() const noexcept { return is_given_; }
    [[nodiscard]] constexpr detail::long_nanoseconds after() const noexcept { return after_; }

private:
    detail::long_nanoseconds after_{0};
    bool is_random_ = false;
    bool is_given_ = false;
};

/// All optional: `cairn::periodic{1s, {.run_immediately = true}}`.
struct periodic_options {
    bool run_immediately = false;  ///< the first run is due at once
    bool enabled = true;           ///< false: add() does nothing, and returns a watcher that is not valid()
    periodic_phase phase = {};     ///< of the first run; not together with run_immediately
    /// Of several processes (or workers) that have added it with this lock, one runs it: the one that has the lock, which it keeps until its
    /// worker ends, or the callable was removed or says never_again. The next one takes over at once when that one dies, and keeps the
    /// rhythm: what was due and had not started runs, what had started does not run again. One lock for each callable, and nothing else may
    /// take it. All of them have to go by the same clock.
    std::optional<mutex> exclusive = {};
    std::string name = {};  ///< for messages and the table; not given: "periodic-1", by the order of add()
};

/// How often something is to run: `w.add(cairn::periodic{1s}, fn)`.
class CAIRN_API periodic {
public:
    /// @param spacing  of any duration type, above 0; what is not a whole number of nanoseconds is rounded up
    /// @throws invalid_argument  the spacing is not above 0, and it is enabled; a phase that makes no sense
    template <typename Rep, typename Period>
    periodic(const std::chrono::duration<Rep, Period>& spacing,  // NOLINT(google-explicit-constructor)
             periodic_options options = {})
        : periodic(exact{spacing}, std::move(options)) {}

    [[nodiscard]] std::chrono::nanoseconds spacing() const noexcept { return spacing_; }
    [[nodiscard]] const periodic_options& options() const noexcept { return options_; }

private:
    struct exact {
        detail::long_nanoseconds spacing;
    };
    periodic(exact spacing, periodic_options options);

    std::chrono::nanoseconds spacing_;
    periodic_options options_;
};

/// A picture of what the runs of one callable have been.
struct periodic_metrics {
    using seconds = std::chrono::duration<double>;
    std::uint64_t runs = 0;              ///< that have ended
    seconds elapsed{0};                  ///< in which they ran
    seconds elapsed_waiting{0};          ///< from submit to start: the time in the executor's queue
    std::uint64_t failures = 0;          ///< of `runs`, those that ended by an exception
    std::uint64_t successes = 0;         ///< the others, with the one that said never_again
    bool requested_stop = false;         ///< it said never_again
    seconds average_elapsed{0};          ///< elapsed / runs; 0 when there are none
    seconds average_elapsed_waiting{0};  ///<
    seconds late{0};                     ///< from when they were due to when they started
    seconds longest_late{0};             ///< the largest of these
    std::uint64_t skipped =
        0;  ///< instants at which a run was due and the one before had not started or, with fixed_rate
            ///< and aligned_last_finished, not ended
    std::uint64_t refused = 0;  ///< submissions that the executor did not take, or dropped; tried again
};

/// What add() returns: a view of the runs of one callable; copies are of the same. Stays readable after the worker has gone.
///
/// All functions but valid() and name() throw invalid_state where it is not valid(), and object_gone once the callable was removed
/// from its worker. In a forked child the counts are zeros.
///
/// Safety  thread-safe
class CAIRN_API periodic_watcher {
public:
    using seconds = periodic_metrics::seconds;

    /// Of nothing; as add() returns of what is not enabled.
    periodic_watcher() noexcept;
    periodic_watcher(std::shared_ptr<detail::periodic_core> core,
                     std::shared_ptr<detail::periodic_work> work) noexcept;

    [[nodiscard]] bool valid() const noexcept { return work_ != nullptr; }
    explicit operator bool() const noexcept { return valid(); }
    /// Empty where it is not valid().
    [[nodiscard]] std::string name() const;
    [[nodiscard]] std::chrono::nanoseconds spacing() const;

    /// All numbers at one instant.
    [[nodiscard]] periodic_metrics metrics() const;
    [[nodiscard]] std::uint64_t runs() const { return metrics().runs; }
    [[nodiscard]] std::uint64_t successes() const { return metrics().successes; }
    [[nodiscard]] std::uint64_t failures() const { return metrics().failures; }
    [[nodiscard]] bool requested_stop() const { return metrics().requested_stop; }
    [[nodiscard]] seconds elapsed() const { return metrics().elapsed; }
    [[nodiscard]] seconds elapsed_waiting() const { return metrics().elapsed_waiting; }
    [[nodiscard]] seconds average_elapsed() const { return metrics().average_elapsed; }
    [[nodiscard]] seconds average_elapsed_waiting() const { return metrics().average_elapsed_waiting; }
    [[nodiscard]] seconds late() const { return metrics().late; }
    [[nodiscard]] seconds longest_late() const { return metrics().longest_late; }
    [[nodiscard]] std::uint64_t skipped() const { return metrics().skipped; }
    [[nodiscard]] std::uint64_t refused() const { return metrics().refused; }

    /// Whether a run is under way, or waits in the executor.
    [[nodiscard]] bool active() const;
    /// Whether it runs here: false for what is exclusive, and somebody else has the lock.
    [[nodiscard]] bool is_leader() const;
    /// Until the next run is due, on the worker's clock; 0 when it is overdue. Nothing while a run is under way, and after never_again.
    [[nodiscard]] std::optional<seconds> runs_in() const;

    /// "<Watcher(metrics={'runs': 3, 'elapsed': 0.00012, ...}, work=Work(name='every_one')) object at 0x7f5a8c0>", as futurist's.
    friend CAIRN_API std::ostream& operator<<(std::ostream& to, const periodic_watcher& w);
    /// Whether both are of the same callable.
    friend bool operator==(const periodic_watcher& a, const periodic_watcher& b) noexcept {
        return a.work_ == b.work_;
    }

private:
    friend class periodic_worker;
    std::shared_ptr<detail::periodic_core> core_;
    std::shared_ptr<detail::periodic_work> work_;
};

/// Why a run was made.
enum class run_kind {
    periodic,
    immediate,  ///< the first one of `.run_immediately`
};
/// "periodic", "immediate"
CAIRN_API std::ostream& operator<<(std::ostream& to, run_kind kind);

/// What on_failure is told. Converts to the exception, so that `.on_failure` may take that alone.
struct periodic_failure {
    periodic_watcher watcher;
    run_kind kind = run_kind::periodic;
    std::chrono::nanoseconds spacing{0};
    std::exception_ptr error;

    operator std::exception_ptr() const {  // NOLINT(google-explicit-constructor)
        return error;
    }
};

/// A clock that stands still until it is told to go on: for tests of what is periodic. Copies are of the same clock.
///
///     cairn::manual_clock clock;
///     cairn::periodic_worker w{{.clock = clock}};
///     auto watcher = w.add(cairn::periodic{1h}, fn);
///     w.start_async();
///     clock.run_for(24h);                          // 24 runs, each at its hour exactly
///
/// Safety  thread-safe
class CAIRN_API manual_clock {
public:
    using duration = std::chrono::nanoseconds;
    using time_point = std::chrono::steady_clock::time_point;

    explicit manual_clock(time_point start = time_point{});

    [[nodiscard]] time_point now() const;
    /// Sets it forward, or back, and returns at once: workers notice by themselves. A callable may call it, as if it took that long.
    void advance(duration by) const;
    void set(time_point to) const;
    /// Sets it forward in steps, as time would go: from one instant at which something is due to the next; at each it waits until all
    /// workers on this clock have nothing left to do. So each run starts exactly when it is due, and is over when this returns.
    ///
    /// @param watchdog  longest wait for one step, in real time
    /// @throws timeout_error  a run goes on for longer than that; the clock stays where it was then
    void run_for(duration time, time_limit watchdog = std::chrono::seconds(20)) const;

private:
    friend class periodic_clock;
    std::shared_ptr<detail::manual_time> time_;
};

/// Where a worker has the time from: the steady clock unless told; a manual_clock in tests; any function that says what time it is.
class CAIRN_API periodic_clock {
public:
    /// std::chrono::steady_clock, which stands still while the machine is suspended.
    periodic_clock() noexcept = default;
    periodic_clock(const manual_clock& clock);  // NOLINT(google-explicit-constructor)
    /// `now()` gives a time_point of any clock, or a duration: `.clock = &std::chrono::system_clock::now`. It must not throw, and is called
    /// by one thread at a time, that may hold up the others. A clock that is set back keeps nobody waiting: what was due in 3 s is due in
    /// 3 s. One that is set forward makes due what it passes, once.
    ///
    /// @param look_every  in real time: how often a worker that waits asks it, so how late it notices a clock that was set
    /// @throws invalid_argument  it is empty, or `look_every` is 0
    template <typename Now>
        requires(!std::same_as<Now, periodic_clock> && !std::same_as<Now, manual_clock> &&
                 std::is_invocable_v<Now&>)
    periodic_clock(Now now,  // NOLINT(google-explicit-constructor)
                   time_limit look_every = std::chrono::milliseconds(10))
        : source_(detail::source_of(detail::clock_function(std::move(now)), look_every)) {}

    [[nodiscard]] const std::shared_ptr<detail::clock_source>& source() const noexcept { return source_; }

private:
    std::shared_ptr<detail::clock_source> source_;  // none: the steady clock
};

/// Of periodic_worker; all optional.
struct periodic_worker_options {
    /// What runs the callables: `.executor = ex`, any one that any_executor takes. It has to take them until the worker has ended, and is not
    /// shut down by it. Where its workers are processes, callables and arguments are what travels to them (docs/pools.md). Not given: they are called in place, by the thread that start() was called in or start_async() has made.
    std::optional<any_executor> executor = {};
    cairn::strategy strategy = cairn::strategy::last_started;
    /// Called with each exception of a callable, but never_again, by the thread that ran it, before the next run is planned. Not given:
    /// one line on stderr. What it throws is reported there, and nothing else.
    std::function<void(const periodic_failure& failure)> on_failure = {};
    periodic_clock clock = {};
};

struct periodic_start_options {
    bool allow_empty = false;  ///< wait for add() where there is nothing to run; else that is invalid_state
    bool auto_stop_when_empty = false;  ///< end when the last callable has said never_again or was removed
};

/// Calls things again and again, each with a spacing of its own.
///
///     cairn::periodic_worker w;
///     w.add(cairn::periodic{1s}, every_one, started_at);
///     w.add(cairn::periodic{4s, {.run_immediately = true}}, [&] { std::cout << w; });
///     w.start();                                    // until something calls w.stop()
///
/// A callable that throws is counted and told to on_failure, and runs again. One that throws cairn::never_again{}, or returns it or a
/// std::optional of it that has one, does not.
///
/// A submission that the executor refuses (check_and_reject, max_pending, shut down) or drops is tried again after 0.9 to 1.1 s; the
/// first run of what is to run immediately after 1 ms, and then twice as long each time. The first refusal of several in a row is told in one
/// line on stderr. A submit that waits for room (when_full::block) holds up the other callables.
///
/// The destructor stops it, and waits until the runs that are under way have ended; what has not started is dropped. While an
/// exception unwinds the stack, and after main has returned, it asks them to stop (this_task::stop_requested()); after main it waits a second
/// at most. Run by a callable of its own, it does not wait.
///
/// Safety  thread-safe, but for the destructor
class CAIRN_API periodic_worker {
public:
    explicit periodic_worker(const periodic_worker_options& options = {});
    periodic_worker(const periodic_worker&) = delete;
    periodic_worker& operator=(const periodic_worker&) = delete;
    ~periodic_worker();

    /// Has `fn(args...)` called from now on, or from start() on, as `when` says: its first run is due one spacing after this call,
    /// unless the options say otherwise. Callable and arguments are copied (or moved) once, and passed as lvalues each time; std::ref
    /// passes a reference. The result is ignored, unless it is never_again. May be called while the worker runs, also by a callable.
    ///
    /// @throws invalid_argument  `fn` is empty: a null pointer, a std::function without a target; the executor's workers are processes,
    ///                           and it does not travel, or is exclusive, as a run could outlive the process that has the lock; it is
    ///                           exclusive by the lock of another one
    /// @throws invalid_state     the worker was stopped, and not reset; in a forked child
    /// @throws system_failure    it is exclusive, the worker runs, and no thread can be made that waits for the lock
    /// Cost    two allocations, and a wake-up where the worker sleeps
    template <typename Fn, typename... Args>
    periodic_watcher add(const periodic& when, Fn&& fn, Args&&... args) {
        static_assert(std::is_invocable_v<std::decay_t<Fn>&, std::decay_t<Args>&...>,
                      "cairn: the callable cannot be called, again and again, with (decayed copies of) these "
                      "arguments");
        const bool is_empty = detail::is_empty_callable(fn);
        return add_call(
            when, is_empty
                      ? nullptr
                      : std::make_unique<detail::periodic_call_of<std::decay_t<Fn>, std::decay_t<Args>...>>(
                            std::forward<Fn>(fn), std::forward<Args>(args)...));
    }
    /// It is not started again, and its watchers say object_gone. A run that is under way ends as usual.
    ///
    /// @throws invalid_argument  it is of another worker, or of nothing
    /// @throws object_gone       it was removed before
    /// @throws invalid_state     in a forked child
    void remove(const periodic_watcher& watcher);

    /// Runs until stop(), then waits for what is under way, and returns. After stop() it returns at once, until reset().
    ///
    /// @throws invalid_state   it runs already; there is nothing to run, and no `.allow_empty`; in a forked child
    /// @throws system_failure  no thread can be made that waits for the lock of what is exclusive; of start_async(): or that runs it
    void start(const periodic_start_options& options = {});
    /// The same in a thread of its own, which the destructor joins.
    /// @throws  as start()
    void start_async(const periodic_start_options& options = {});
    /// No run starts any more, also what waits in the executor. Does not wait: wait() does. From anywhere, any number of times.
    /// @throws invalid_state  in a forked child
    void stop();
    /// Waits until start() has ended, in whatever thread, also where it has yet to begin.
    ///
    /// @throws would_deadlock  by one of its own callables; invalid_state  in a forked child
    void wait();
    /// For at most `timeout` (steady clock); zero or less only looks.
    /// @return  whether start() has ended
    template <typename Rep, typename Period>
    bool wait(const std::chrono::duration<Rep, Period>& timeout) {
        return wait_until_ended(detail::deadline_after(timeout));
    }
    /// As if nothing had run: counts are 0, first runs are due as after add(), what has said never_again runs again, and so does start().
    /// @throws invalid_state  it runs; in a forked child
    void reset();

    /// Whether it is between start() and its end.
    [[nodiscard]] bool running() const;
    /// How many callables were added and not removed.
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] bool empty() const { return size() == 0; }
    /// In the order of add().
    [[nodiscard]] std::vector<periodic_watcher> watchers() const;
    /// The watchers as a table of text, one line for each, as futurist prints it. Columns: Name, Active, Periodicity, Runs in, Runs,
    /// Failures, Successes, Stop Requested, Average elapsed, Average elapsed waiting, Late, Skipped; all of them unless told.
    ///
    /// @throws invalid_argument  an unknown column, or none at all
    [[nodiscard]] std::string pformat() const;
    [[nodiscard]] std::string pformat(std::initializer_list<std::string_view> columns) const;
    [[nodiscard]] std::string pformat(const std::vector<std::string>& columns) const;
    /// pformat()
    friend CAIRN_API std::ostream& operator<<(std::ostream& to, const periodic_worker& w);

private:
    periodic_watcher add_call(const periodic& when, std::unique_ptr<detail::periodic_call> call);
    bool wait_until_ended(detail::steady_time deadline);

    detail::periodic_core* core_;  // keeps itself
};

}  // namespace cairn::inline CAIRN_ABI
