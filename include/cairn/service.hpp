// service.hpp - cairn::service, what runs in a worker of a service_manager: cotyledon's Service.
//
//   struct printer : cairn::service {
//       static constexpr auto name = "printer";
//       void run() override;           // the main loop
//       void terminate() override;     // told to end: in a thread of its own, beside run()
//   };
//
// Process       one for each worker, forked; the object is made in it, by its constructor, in the thread that then calls run().
// Threads       run() in one, terminate() and reload() in others, on_new_worker hooks in the first. What they share is the class's own
//               to protect.
// End           when terminate() has returned, without waiting for run(): see there.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <stop_token>
#include <string>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {
class service_worker;
}

/// Base of what service_manager::add<S>() runs. Made anywhere else (in a test, say) its functions do nothing: worker_id() is 0,
/// name() is "", pid() the process that made it.
///
/// | in the worker | what happens then |
/// | --- | --- |
/// | SIGTERM | stop_token() is asked to stop, terminate() is called; exit code 0 when it returns |
/// | SIGHUP | reload(), if the class has one; else the manager starts another worker in its place and ends this one |
/// | SIGINT, SIGQUIT | nothing: a terminal sends them to all, and the manager decides |
/// | SIGALRM | exit code 1 at once |
/// | the manager is dead | as SIGTERM |
/// | constructor, run() or terminate() throws | exit code 2, with the exception on stderr |
/// | `exit(n)` in any thread | n & 255; what the program had registered by atexit before run() of the manager does not run |
/// | terminate() takes longer than `.graceful_shutdown_timeout` | exit code 1 |
/// | run() returns | the process stays until it is told to end; with restart::transient and temporary exit code 0 |
///
/// Safety: the functions that a class calls are thread-safe.
class CAIRN_API service {
public:
    /// Made by the manager, in the worker: worker_id(), pid() and name() work in constructors of derived classes.
    service() noexcept;
    service(const service&) = delete;
    service& operator=(const service&) = delete;
    virtual ~service();

    /// The main loop. Unless overridden it returns at once: then all is done by threads that the constructor has made, or by reload().
    virtual void run();

    /// Told to end. It may take until the graceful timeout; when it has returned the process ends, wherever run() is. What run() must
    /// not be cut off from is waited for here: `wait_for_run()`. An operation on a Cairn object that is cut off has happened whole or
    /// not at all, and leases go back. Called once, also when the worker was told before run() had begun, which is not called then.
    virtual void terminate();

    /// SIGHUP, or service_manager::reload(): read the configuration again. A worker of a class that has one keeps its pid; never two
    /// calls at a time, and those that come during one are one more after it. It must be public.
    virtual void reload();

    /// Up: for the manager's on_ready, systemd's READY=1, and a reload that waits for this worker. Unless called before, the manager
    /// does it when the constructor has returned; not if the class says `static constexpr bool says_ready = true;`, whose run() calls it.
    void ready() noexcept;

    /// Alive: a worker with `.heartbeat` that has not called this for so long since it was ready is killed, and replaced.
    /// Cost    an atomic addition
    void beat() noexcept;

    /// 0 to workers - 1; the replacement of a dead worker has its number.
    [[nodiscard]] int worker_id() const noexcept;
    /// Of the worker's process.
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// `S::name`, or the class's name. Where a class has a member of that name: `service::name()`.
    [[nodiscard]] const std::string& name() const noexcept;

    /// Asked to stop when the worker is told to end, before terminate(): for waits, as `queue.get(stop_token())`.
    [[nodiscard]] std::stop_token stop_token() const noexcept;
    [[nodiscard]] bool stop_requested() const noexcept { return stop_token().stop_requested(); }

    /// Waits until run() has returned, or will not be called: for terminate(). The graceful timeout ends the process all the same.
    void wait_for_run() const;

private:
    detail::service_worker* worker_;
    pid_t pid_;
};

}  // namespace cairn::inline CAIRN_ABI
