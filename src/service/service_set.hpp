// service_set.hpp - the steps in the life of a set of services (service_set_layout.hpp), each inside a transaction on its root.
//
// Kept          a step that is not committed has not happened: recovery undoes it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "os/identity.hpp"
#include "service/service_set_layout.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/manager.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Of the object in the manager's segment.
constexpr std::string_view service_set_name = "services";

segment_offset create_service_set(root_transaction& tx);
/// Throws corrupt_segment, as all that follow.
service_set_node& service_set_at(const segment& s, segment_offset node);
service_entry& service_at(const segment& s, const service_set_node& node, std::uint32_t index);
service_place_entry& place_at(const segment& s, const service_entry& service, std::uint32_t index);
std::string_view name_of_service(const service_entry& service) noexcept;
std::string_view program_of_manager(const service_set_node& node) noexcept;
/// Empty when its words make sense by themselves.
std::string check_service_set_node(const segment& s, const service_set_node& node);
std::string check_service_set(const segment& s, service_set_node& node, arena_audit& audit);

// -- the manager ----------------------------------------------------------------------------------------------------

struct service_description {
    std::string_view name;
    std::uint32_t restart;
    std::uint64_t target;
};
/// Whether a living process runs it: that one; else 0.
os::process_identity running_manager(const service_set_node& node) noexcept;
/// For a manager that begins to run, in the place of what was there. Throws segment_full.
void begin_set(root_transaction& tx, service_set_node& node, os::process_identity manager,
               std::string_view program, std::span<const service_description> services);
/// No manager runs any more.
void end_set(root_transaction& tx, service_set_node& node);

// -- the supervisor -------------------------------------------------------------------------------------------------

void set_supervisor(root_transaction& tx, service_set_node& node, os::process_identity supervisor);
void set_generation(root_transaction& tx, service_set_node& node, std::uint64_t generation);

/// What is to be said of a service.
struct service_facts_to_store {
    std::uint64_t target;
    std::uint64_t has_given_up;
    friend bool operator==(const service_facts_to_store&, const service_facts_to_store&) = default;
};
service_facts_to_store stored_facts(const service_entry& service) noexcept;
void store_service(root_transaction& tx, service_entry& service, const service_facts_to_store& facts);
/// The same with one of its workers, whose restarts are counted for the service, too: a death and what it means are one step. Throws
/// segment_full where there is no room for so many.
void store_place(root_transaction& tx, service_entry& service, std::uint32_t index,
                 const service_place_entry& place, const service_facts_to_store& facts);
/// Whether what is stored says something else. `last_beat` does not count.
bool is_stored(const segment& s, const service_entry& service, std::uint32_t index,
               const service_place_entry& place);

// -- whoever gives orders -------------------------------------------------------------------------------------------

void order_target(root_transaction& tx, service_set_node& node, std::uint32_t service, std::uint64_t target);
/// Of those services, in one step.
void order_reload(root_transaction& tx, service_set_node& node, std::span<const std::uint32_t> services);
void order_restart(root_transaction& tx, service_set_node& node, std::span<const std::uint32_t> services);
/// Of the whole manager. It only grows: who is to be killed is not told to end gracefully afterwards.
void order_stop(root_transaction& tx, service_set_node& node, set_stop how);

/// How the root is made and found.
struct service_set_access {
    static root_reference make(const manager& m, std::string_view name = service_set_name);
    static std::optional<root_reference> find(const manager& m, std::string_view name = service_set_name);
};

}  // namespace cairn::inline CAIRN_ABI::detail
