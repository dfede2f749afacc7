// service_manager.hpp - cairn::service_manager: workers of services that are started again when they die, told to reload, and ended
// together: cotyledon's ServiceManager.
//
//   cairn::service_manager sm;
//   sm.add<printer>(2);
//   return sm.run();                  // blocks until SIGTERM or SIGINT
//
//   manager ── guardian ── nursery ── workers
//
// Manager       the process that calls run(): signals, hooks, systemd. Whatever hooks do, and while the manager is stopped, dead
//               workers are replaced: by the nursery.
// Nursery       forked by run(), with one thread: forks the workers, starts those again that die, ends those that are too many.
// Guardian      takes over when the nursery is killed; no worker ends for that.
// Name          services of a manager that has one can be looked at and given orders by others: service_control.hpp, `shmctl svc`.
// Death         of a worker: another one. Of the manager, by whatever: all workers are told to end, as by SIGTERM. Processes that a worker
//               leaves behind are killed.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <typeinfo>
#include <utility>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/service.hpp>

namespace cairn::inline CAIRN_ABI {

/// Which ends of a worker have another one started. What was told to end by the manager is never started again.
enum class restart : std::uint8_t {
    permanent,  ///< all
    transient,  ///< all but exit code 0
    temporary,  ///< none
};

/// How long a worker's place waits after its deaths, one after the other: nothing, `first`, twice that, and so on up to `most`; each a
/// tenth more or less at random. A worker that was ready and has lived ten times its last wait, and at least ten seconds, begins anew.
struct restart_backoff {
    time_limit first = std::chrono::milliseconds(100);
    time_limit most = std::chrono::seconds(30);
};

struct service_options {
    int workers = 1;  ///< 1 to 4096
    cairn::restart restart = cairn::restart::permanent;
    /// With more restarts of the service than that in any time of `within`, it is given up: its dead workers are not replaced any more,
    /// its living ones go on. No limit unless given; at most 1000.
    std::optional<int> max_restarts = {};
    time_limit within = std::chrono::seconds(10);
    restart_backoff backoff = {};
    /// How long terminate() may take; the manager's unless given. 0: for ever.
    time_limit graceful_shutdown_timeout = {};
    /// A ready worker that has not called beat() for so long is killed. None unless given.
    time_limit heartbeat = {};
    /// A worker that is not ready in that time is killed. None unless given; in a reload, a minute.
    time_limit ready_timeout = {};
};

struct service_manager_options {
    /// Of services that have none of their own; and of on_terminate hooks. 0: for ever.
    time_limit graceful_shutdown_timeout = std::chrono::seconds(60);
    /// Lines that workers write to stdout and stderr begin with "printer(0): ".
    bool prefix_output = false;
    /// No lines on stderr about dead workers, restarts, reloads.
    bool quiet = false;
    /// Of a segment in which the services can be looked at and given orders: `shmctl svc`, service_control. It is made when there is
    /// none, and may be one that has objects of the program's. While a living manager runs under a name, another one that wants it is
    /// refused. None unless given.
    std::string name = {};
};

namespace detail {
struct service_family;
class service_manager_state;
}  // namespace detail

/// A service of one manager.
class service_id {
public:
    friend auto operator<=>(const service_id&, const service_id&) = default;
    friend bool operator==(const service_id&, const service_id&) = default;
    friend CAIRN_API std::ostream& operator<<(std::ostream& out, const service_id& id);

private:
    friend class service_manager;
    friend struct detail::service_family;
    friend class detail::service_manager_state;
    service_id(std::uint64_t manager, std::uint32_t index) noexcept : manager_(manager), index_(index) {}
    std::uint64_t manager_;
    std::uint32_t index_;
};

/// What the program wants to be told. Each may be empty. An exception is printed on stderr, and stops nothing.
struct service_hooks {
    std::function<void()> on_terminate = {};  ///< in the manager, before workers are told to end
    std::function<void()> on_reload = {};     ///< in the manager, before workers are told
    /// In the worker, when its object is made, before run().
    std::function<void(service_id, int worker_id, service&)> on_new_worker = {};
    /// In the manager: exitcode is negative where a signal killed it.
    std::function<void(service_id, int worker_id, int exitcode)> on_dead_worker = {};
    std::function<void()> on_ready =
        {};  ///< in the manager, once, when all workers of all services are ready
};

namespace detail {

struct service_kind {
    std::string name;
    bool reloads_in_place;
    bool says_ready;
    std::function<std::unique_ptr<service>()> make;
};

/// Without namespaces.
CAIRN_API std::string plain_class_name(const std::type_info& type);

template <typename S>
std::string service_name() {
    if constexpr (requires {
                      { S::name } -> std::convertible_to<std::string_view>;
                  }) {
        return std::string(std::string_view(S::name));
    } else {
        return plain_class_name(typeid(S));
    }
}

template <typename S>
constexpr bool says_ready() {
    if constexpr (requires {
                      { S::says_ready } -> std::convertible_to<bool>;
                  }) {
        return S::says_ready;
    } else {
        return false;
    }
}

struct CAIRN_API drop_service_manager_state {
    void operator()(service_manager_state* state) const noexcept;
};

}  // namespace detail

/// Runs services in worker processes, until it is told to end.
///
/// | to the manager | what it does |
/// | --- | --- |
/// | SIGTERM, SIGINT, shutdown() | on_terminate, one SIGTERM to each worker, SIGKILL three seconds after its timeout; run() returns 0 |
/// | a second one, 50 ms later or more; SIGALRM | SIGKILL to all workers; run() returns 1, or the process ends with 1 if a hook does not return |
/// | SIGHUP, reload() | on_reload; then each worker reloads in place, or is replaced: one of each service at a time, the new one is ready before the old one is told. Where a new one does not get ready that is given up, and the old ones stay |
/// | SIGKILL | workers end as by SIGTERM |
///
/// Workers are copies of the program as it is when run() is called: its variables, descriptors and signal handlers are there. A lock that
/// another thread of the program holds at that moment stays locked in all workers, so threads are best made after it (on_ready) or in the
/// services; run() warns of them on stderr. start_nursery() makes no difference: the arguments of services are not in it.
///
/// With systemd (`Type=notify-reload`): READY=1 when all workers are ready, RELOADING=1 and READY=1 around a reload, STOPPING=1, and
/// WATCHDOG=1 for `WatchdogSec=` as long as run() and the nursery work and no worker is late with its heartbeat.
///
/// Safety: reconfigure(), shutdown() and reload() from any thread, and from hooks; the others from one thread at a time. In a forked child
/// all throw invalid_state. Not signal-safe.
class CAIRN_API service_manager {
public:
    explicit service_manager(const service_manager_options& options = {});
    service_manager(const service_manager&) = delete;
    service_manager& operator=(const service_manager&) = delete;
    ~service_manager();

    /// Adds a service: `workers` processes, in each of which S is made as S(args...). The arguments are copied (or moved) here once, and
    /// each worker makes its object from that copy, which it sees as it was when run() was called.
    ///
    /// @return  for reconfigure()
    /// @throws invalid_argument  workers is not 1 to 4096; another option makes no sense; the name is empty, or longer than 200 bytes
    /// @throws invalid_state     run() has been called, and has not returned
    template <typename S, typename... Args>
    service_id add(int workers, Args&&... args) {
        return add<S>(service_options{.workers = workers}, std::forward<Args>(args)...);
    }
    /// The same with one worker.
    template <typename S>
    service_id add() {
        return add<S>(service_options{});
    }
    template <typename S, typename... Args>
    service_id add(const service_options& options, Args&&... args) {
        static_assert(std::derived_from<S, service>,
                      "cairn::service_manager::add<S>: S is to be derived, publicly, from cairn::service");
        static_assert(!std::is_abstract_v<S>,
                      "cairn::service_manager::add<S>: S has a pure virtual function");
        static_assert(
            std::is_constructible_v<S, const std::decay_t<Args>&...>,
            "cairn::service_manager::add<S>: S cannot be made from these arguments: each worker makes "
            "one, from const copies of them");
        static_assert(
            requires { &S::reload; },
            "cairn::service_manager::add<S>: reload() of S is to be public, and not overloaded");
        const auto copies =
            std::make_shared<const std::tuple<std::decay_t<Args>...>>(std::forward<Args>(args)...);
        return add_service(
            options, {.name = detail::service_name<S>(),
                      .reloads_in_place = !std::is_same_v<decltype(&S::reload), void (service::*)()>,
                      .says_ready = detail::says_ready<S>(),
                      .make = [copies]() -> std::unique_ptr<service> {
                          return std::apply([](const auto&... each) { return std::make_unique<S>(each...); },
                                            *copies);
                      }});
    }

    /// How many workers the service is to have, from now on: more are started and surplus ones told to end at once. A service that was
    /// given up is started again.
    ///
    /// @param workers  0 to 4096
    /// @throws invalid_argument  another number; an id of another manager
    void reconfigure(service_id id, int workers);

    /// Adds hooks to those of before; they are called in this order.
    ///
    /// @throws invalid_state  run() has been called, and has not returned
    void register_hooks(service_hooks hooks);

    /// Runs the services until it is told to end, or none of them has a worker that runs or will be started (temporary and transient ones,
    /// and such that were given up).
    ///
    /// @return  the exit code for main: 0 after a graceful end, 1 after a second signal, and where a service was given up or guardian and
    ///          nursery were killed
    /// @throws invalid_state   no service was added; a manager runs in this process already
    /// @throws invalid_argument  there are more than 4096 services of a manager that has a name
    /// @throws segment_exists  a living manager runs under that name: says which process; and as manager::open_or_create. One that was
    ///                         killed is taken over, while its workers are still on their way out
    /// @throws timeout_error   somebody who is stopped has had the lock of the services of that name for two seconds: names the holder
    /// @throws system_failure  no process, descriptor or memory left; nothing was started
    /// Cost    three forks, and one for each worker
    int run();

    /// As SIGTERM. Returns at once. Before run(): that returns 0 without starting anything.
    void shutdown();

    /// As SIGHUP. Returns at once. Nothing unless it runs.
    void reload();

private:
    service_id add_service(const service_options& options, detail::service_kind kind);

    std::unique_ptr<detail::service_manager_state, detail::drop_service_manager_state> state_;
};

}  // namespace cairn::inline CAIRN_ABI
