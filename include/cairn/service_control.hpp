// service_control.hpp - orders to the services of another program: what `shmctl svc` does.
//
//   cairn::service_control services("web");      // service_manager sm{{.name = "web"}} of some program
//   services.scale("printer", 4);
//
// How           an order is written into the segment, where it waits until the manager's nursery acts on it: also while the manager itself
//               is stopped, or in a hook that does not return. Workers are started and ended by the nursery.
// Death         of whoever gives an order: it was given, or not at all.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <optional>
#include <string>
#include <string_view>

#include <cairn/detail/base/export.hpp>
#include <cairn/manager.hpp>

namespace cairn::inline CAIRN_ABI {

/// Gives orders to the services of a manager that has a name (service_manager_options::name). All return at once: `inspection` and
/// `shmctl svc status` show what has come of it.
///
/// Safety: thread-safe, process-shared, crash-atomic, fork-safe.
class CAIRN_API service_control {
public:
    /// Of the manager of that name.
    /// @throws no_such_segment, no_such_object  there is none of that name
    /// @throws permission_denied, refused, corrupt_segment, version_mismatch  as manager::open
    explicit service_control(std::string_view name, const open_options& options = {});
    /// Of the manager whose services are in that segment.
    explicit service_control(const manager& in);

    /// The number of workers of the service, as by service_manager::reconfigure(): a service that was given up is started again.
    /// @param workers  0 to 4096
    /// @throws invalid_argument  another number; several services have that name
    /// @throws no_such_object    no service has that name
    /// @throws invalid_state     no manager runs
    void scale(std::string_view service, int workers) const;

    /// As SIGHUP for the workers of that service, or of all services: each reloads in place, or is replaced. Where several have that name, all
    /// of them are meant. The manager's on_reload hooks are not called; SIGHUP to the manager does that.
    /// @throws no_such_object, invalid_state  as scale()
    void reload(std::optional<std::string_view> service = {}) const;

    /// Other processes instead of those of that service, or of all services, one of each service at a time: the new one is ready before the
    /// old one is told to end. Also for classes that reload in place, for services that were given up, and for workers that were not
    /// to be started again, or not yet.
    /// @throws no_such_object, invalid_state  as scale()
    void restart(std::optional<std::string_view> service = {}) const;

    /// As SIGTERM to the manager: all workers are told to end, and run() returns 0. The manager's on_terminate hooks are called meanwhile. With
    /// `kills` they are killed, and run() returns 1.
    /// @throws invalid_state  as scale()
    void stop(bool kills = false) const;

private:
    template <typename Step>
    void order(const char* operation, const Step& step) const;
    [[nodiscard]] std::string described(const char* operation) const;

    manager in_;
    detail::root_reference root_;
};

}  // namespace cairn::inline CAIRN_ABI
