// process.hpp - cairn::process, a child process that runs a callable: std::jthread's manners, multiprocessing's Process.
//
// Child         a fork: everything the callable captures or refers to is there as it was at the fork, but private;
//               what both sides shall see belongs into a cairn::manager. It runs the callable, flushes its output and
//               ends. Destructors of the parent's objects and the parent's atexit handlers do not run in it.
// Handle        process is one word, movable; it owns the child. Its destructor joins (a daemon: ends it).
// Waiting       by a descriptor for this one child (pidfd): no SIGCHLD handler, and the program's other children,
//               made by whatever means, are left alone. No zombie stays behind.
// Death         of the child: exitcode() and error() tell. Of the parent: daemons are killed at once, others live on.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <iosfwd>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <sys/types.h>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/owner.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/process/task.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {
class process_state;
struct CAIRN_API drop_process_state {  // so that users' code never needs the state's definition
    void operator()(process_state* state) const noexcept;
};
}  // namespace detail

struct process_options {
    std::string name = {};  ///< for messages; empty: "process-1", "process-2" ... as the parent counts
    bool daemon = false;    ///< dies with the parent process, and with this object
};

/// A child process running a callable. Starts at once, is joined by the destructor.
///
/// For many short tasks cairn::pool or an executor fits better: they keep their processes. A daemon is for work that
/// makes no sense without its parent: when that ends, however it ends, the daemon is killed (by a thread of its own
/// that watches for it, so not any more after exec). A daemon may start processes of its own.
///
/// How a child ends, and what exitcode() says then:
///
/// | the callable | exitcode() |
/// | --- | --- |
/// | returns (its result is ignored) | 0 |
/// | calls `exit(n)` or `_exit(n)` | n & 255 |
/// | lets an exception escape | 1; the child prints it on stderr, and error() has its type and text |
/// | is killed by signal s (`abort()`: SIGABRT) | -s |
/// | ends by `pthread_exit` | 0 |
/// | ended, but somebody else took the status | unknown_exitcode |
///
/// Returning, throwing and `exit(n)` write out stdio and std::cout, wcout, clog; `_exit` and signals do not, and a
/// std::ofstream made outside the callable is never flushed in the child. `exit(n)` also runs the atexit handlers and
/// destroys the static objects that came to be *in the child*, and, as exit always does, destroys the thread_local
/// objects of the thread that calls it, which includes those it had before the fork. The callable's own locals are
/// destroyed when it returns or throws.
///
/// "Somebody else took the status" is a program that ignores SIGCHLD, or calls wait() for any child. What the child
/// could say itself (the first three rows, but `_exit`) is still reported then.
///
/// Safety: the functions of one object may be called from several threads at once (move, assignment and destruction
/// may not). Only the process that started the child may use it: in others, name() and pid() work, the rest
/// throws invalid_state, and the destructor leaves the child alone. None is signal-safe.
class CAIRN_API process {
public:
    /// exitcode() of a child whose status was lost; 255, as multiprocessing has it.
    static constexpr int unknown_exitcode = 255;

    /// Owns no child, as after a move.
    process() noexcept = default;

    /// Starts a child that runs `fn(args...)`.
    ///
    /// Callable and arguments are copied (or moved) as by std::thread; std::ref passes a reference, to the child's
    /// copy of the object. Standard output is flushed first. Where std::cout is not synchronised with stdio, no other
    /// thread may be writing to it meanwhile.
    ///
    /// The child gets the calling thread and no other, its signal mask, and all descriptors. A lock that another
    /// thread held at that moment stays locked in the child for ever: fork before starting threads, or share only
    /// Cairn's objects.
    ///
    /// @throws system_failure  no memory or no further process (EAGAIN: ulimit -u, or the pids limit of the cgroup);
    ///                         nothing was started
    /// Cost    a fork: 0.2 ms for a small parent, and some 30 us for each MiB of memory it has touched (two-core virtual
    ///         machine); a daemon 0.1 ms more
    /// Safety  thread-safe, fork-safe
    template <typename Fn, typename... Args>
        requires(!std::is_same_v<std::remove_cvref_t<Fn>, process> &&
                 !std::is_same_v<std::remove_cvref_t<Fn>, process_options>)
    explicit process(Fn&& fn, Args&&... args)
        : process(process_options{}, std::forward<Fn>(fn), std::forward<Args>(args)...) {}

    /// The same, with a name or as a daemon: `cairn::process p{{.name = "worker-1", .daemon = true}, fn, args...}`.
    template <typename Fn, typename... Args>
    process(const process_options& options, Fn&& fn, Args&&... args) {
        static_assert(
            std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>,
            "cairn::process: the callable cannot be called with (decayed copies of) these arguments");
        detail::bound_call<std::decay_t<Fn>, std::decay_t<Args>...> call(std::in_place, std::forward<Fn>(fn),
                                                                         std::forward<Args>(args)...);
        start(options, call.task());
    }

    process(process&& other) noexcept;
    /// Ends its own child as the destructor would, then takes over the other.
    process& operator=(process&& other) noexcept;
    process(const process&) = delete;
    process& operator=(const process&) = delete;

    /// Waits for the child to end. A daemon is sent SIGTERM first, and SIGKILL one second later.
    ~process();

    /// Whether this object owns a child, running or ended; all functions but this one and << throw invalid_state if not.
    [[nodiscard]] bool valid() const noexcept { return static_cast<bool>(state_); }

    /// Waits until the child has ended; returns at once when it has. May be called again.
    ///
    /// @throws invalid_state  owns no child; or called in another process than the one that started it (the child)
    /// Cost    one sleep
    /// Safety  thread-safe
    void join();

    /// Waits at most `timeout` (steady clock); zero or less only looks.
    ///
    /// @return  true when the child has ended
    /// @throws  as join()
    template <typename Rep, typename Period>
    bool join_for(const std::chrono::duration<Rep, Period>& timeout) {
        return wait_until(detail::deadline_after(timeout));
    }

    /// Waits at most until `time` of any clock.
    ///
    /// @return  true when the child has ended
    /// @throws  as join()
    template <typename Clock, typename Duration>
    bool join_until(const std::chrono::time_point<Clock, Duration>& time) {
        return detail::attempt_until_time(
            time, [] { return false; }, [this](detail::steady_time until) { return wait_until(until); });
    }

    /// The exit code as in the table above; empty while the child runs.
    ///
    /// @throws invalid_state  as join()
    /// Cost    two system calls until the child has ended
    /// Safety  thread-safe
    [[nodiscard]] std::optional<int> exitcode() const;

    /// The exception that ended the child: type_name() and text(), the latter cut at 3.5 KiB, with the texts of nested
    /// exceptions. Empty while the child runs and when it ended otherwise.
    ///
    /// @throws invalid_state  as join()
    /// Safety  thread-safe
    [[nodiscard]] std::optional<remote_error> error() const;

    /// Whether the child has not ended yet. A stopped child (SIGSTOP) is alive.
    ///
    /// @throws invalid_state  as join()
    /// Safety  thread-safe
    [[nodiscard]] bool alive() const;

    /// The child's process id; may belong to a stranger once the child has ended.
    ///
    /// @throws invalid_state  owns no child
    /// Safety  thread-safe, fork-safe
    [[nodiscard]] pid_t pid() const;

    /// The name given, or "process-N".
    ///
    /// @throws invalid_state  owns no child
    /// Safety  thread-safe, fork-safe
    [[nodiscard]] const std::string& name() const;

    /// Sends SIGTERM, SIGKILL or SIGINT to the child, without waiting for an effect. Nothing happens when it has
    /// ended; a stranger that got its pid is never hit.
    ///
    /// @throws invalid_state   as join()
    /// @throws system_failure  not allowed, as when the child has changed its user
    /// Safety  thread-safe
    void terminate();
    void kill();
    void interrupt();

    /// A descriptor that polls readable (POLLIN) once the child has ended, for poll, epoll or an event loop. It is the
    /// child's pidfd, stays open until this object goes, and must not be closed.
    ///
    /// @throws invalid_state   as join()
    /// @throws system_failure  there is none: descriptors had run out at the start, the program closed it, or the
    ///                         kernel has no pidfds; everything else works without
    /// Safety  thread-safe
    [[nodiscard]] int sentinel() const;

    void swap(process& other) noexcept { state_.swap(other.state_); }
    friend void swap(process& a, process& b) noexcept { a.swap(b); }

    /// "<process 'worker-1' pid=4711 running>", "<process 'worker-1' pid=4711 exitcode=-9>".
    friend CAIRN_API std::ostream& operator<<(std::ostream& out, const process& p);

private:
    void start(const process_options& options, detail::process_task task);
    bool wait_until(detail::steady_time deadline);
    void send(int signal, const char* operation);
    detail::process_state& state(const char* operation) const;
    detail::process_state& own_child(const char* operation) const;
    void end() noexcept;

    detail::owner<detail::process_state, detail::drop_process_state> state_;
};

}  // namespace cairn::inline CAIRN_ABI
