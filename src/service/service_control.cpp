// SPDX-License-Identifier: BSL-1.0
#include "cairn/service_control.hpp"

#include <csignal>
#include <utility>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "service/service_set.hpp"
#include "service/service_table.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;

namespace {

root_reference find_services(const manager& in) {
    if (auto found = service_set_access::find(in)) return *std::move(found);
    throw no_such_object(
        "order services in segment '" + in.name() +
        "': no service manager has that name; `shmctl svc status` lists those that have one");
}

// Those of that name; all of them where none is given.
std::vector<std::uint32_t> services_called(const segment& s, const service_set_node& node,
                                           std::optional<std::string_view> name) {
    std::vector<std::uint32_t> all;
    for (std::uint32_t i = 0; i < node.service_count; ++i)
        if (!name || name_of_service(service_at(s, node, i)) == *name) all.push_back(i);
    return all;
}

}  // namespace

service_control::service_control(std::string_view name, const open_options& options)
    : service_control(manager::open(name, options)) {}

service_control::service_control(const manager& in) : in_(in), root_(find_services(in)) {}

std::string service_control::described(const char* operation) const {
    return std::string(operation) + " services '" + in_.name() + "'";
}

template <typename Step>
void service_control::order(const char* operation, const Step& step) const {
    if (!root_.in->is_writable())
        throw permission_denied(described(operation) + ": the segment is open for reading only");
    os::process_identity supervisor = 0;
    {
        root_transaction tx(*root_.in, *root_.slot, root_.generation);
        service_set_node& node = service_set_at(tx.in(), root_.node);
        if (running_manager(node) == 0)
            throw invalid_state(described(operation) + (node.manager == 0
                                                            ? ": no manager runs"
                                                            : ": their manager, process " +
                                                                  std::to_string(os::pid_of(node.manager)) +
                                                                  ", is dead; start the program again"));
        step(tx, node);
        supervisor = node.supervisor;
    }
    // Which makes it look. It looks each second anyway, for the sake of those who are killed just here.
    if (supervisor != 0) static_cast<void>(os::signal_process(supervisor, SIGCHLD));
}

void service_control::scale(std::string_view service, int workers) const {
    const std::string what = "scale service '" + std::string(service) + "' of '" + in_.name() + "'";
    if (workers < 0 || workers > most_service_workers)
        throw invalid_argument(what + ": workers is " + std::to_string(workers) + ", expected 0 to " +
                               std::to_string(most_service_workers));
    order("scale", [&](root_transaction& tx, service_set_node& node) {
        const std::vector<std::uint32_t> found = services_called(tx.in(), node, service);
        if (found.empty()) throw no_such_object(what + ": no service of that name");
        if (found.size() > 1)
            throw invalid_argument(what + ": " + std::to_string(found.size()) + " services have that name");
        order_target(tx, node, found.front(), static_cast<std::uint64_t>(workers));
    });
}

void service_control::reload(std::optional<std::string_view> service) const {
    order("reload", [&](root_transaction& tx, service_set_node& node) {
        const std::vector<std::uint32_t> found = services_called(tx.in(), node, service);
        if (service && found.empty())
            throw no_such_object(described("reload") + ": no service '" + std::string(*service) + "'");
        order_reload(tx, node, found);
    });
}

void service_control::restart(std::optional<std::string_view> service) const {
    order("restart", [&](root_transaction& tx, service_set_node& node) {
        const std::vector<std::uint32_t> found = services_called(tx.in(), node, service);
        if (service && found.empty())
            throw no_such_object(described("restart") + ": no service '" + std::string(*service) + "'");
        order_restart(tx, node, found);
    });
}

void service_control::stop(bool kills) const {
    order("stop", [&](root_transaction& tx, service_set_node& node) {
        order_stop(tx, node, kills ? set_stop::kill : set_stop::graceful);
    });
}

}  // namespace cairn::inline CAIRN_ABI
