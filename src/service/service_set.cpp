// SPDX-License-Identifier: BSL-1.0
#include "service/service_set.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include "service/service_table.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t bytes_of_services(std::uint64_t count) noexcept {
    return count * sizeof(service_entry);
}
constexpr std::uint64_t bytes_of_places(std::uint64_t count) noexcept {
    return count * sizeof(service_place_entry);
}

template <word T>
void store_if_other(root_transaction& tx, T& to, std::type_identity_t<T> value) {
    if (load_word(to) != value) tx.store(to, value);
}

void store_process(root_transaction& tx, service_process_entry& to, const service_process_entry& from) {
    store_if_other(tx, to.identity, from.identity);
    store_if_other(tx, to.generation, from.generation);
    store_if_other(tx, to.started, from.started);
    store_if_other(tx, to.stage, from.stage);
    store_word(to.last_beat, from.last_beat);
}

bool is_same(const service_process_entry& a, const service_process_entry& b) noexcept {
    return load_word(a.identity) == b.identity && load_word(a.generation) == b.generation &&
           load_word(a.started) == b.started && load_word(a.stage) == b.stage;
}

void store_facts(root_transaction& tx, service_entry& service, const service_facts_to_store& facts) {
    store_if_other(tx, service.target, facts.target);
    store_if_other(tx, service.has_given_up, facts.has_given_up);
}

void free_places(root_transaction& tx, const service_entry& service) {
    if (service.places != 0) deallocate(tx, service.places, bytes_of_places(service.place_capacity));
}

// Room for one more place than `index`, and some to come.
void make_room(root_transaction& tx, service_entry& service, std::uint32_t index) {
    const std::uint32_t before = service.place_capacity;
    if (index < before) return;
    const auto wanted = static_cast<std::uint32_t>(std::min<std::uint64_t>(
        std::max<std::uint64_t>({index + std::uint64_t{1}, 2 * std::uint64_t{before}, 4}),
        most_service_workers));
    const segment& s = tx.in();
    const auto* const old =
        before == 0 ? nullptr : s.find<service_place_entry>(service.places, bytes_of_places(before));
    if (before != 0 && old == nullptr) throw_corrupt(s, "the workers of a service lie outside");
    const segment_offset at = allocate(tx, bytes_of_places(wanted));
    auto* const places = s.at<service_place_entry>(at);
    if (before != 0) copy_in(places, old, bytes_of_places(before));
    zero_shared(places + before, bytes_of_places(wanted - before));
    free_places(tx, service);
    tx.store(service.places, at);
    tx.store(service.place_capacity, wanted);
}

void count_order(root_transaction& tx, service_set_node& node) {
    tx.store(node.orders, node.orders + 1);
}

}  // namespace

segment_offset create_service_set(root_transaction& tx) {
    const segment_offset at = allocate(tx, sizeof(service_set_node));
    zero_shared(tx.in().at<service_set_node>(at), sizeof(service_set_node));
    return at;
}

service_set_node& service_set_at(const segment& s, segment_offset node) {
    auto* found = s.find<service_set_node>(node);
    if (found == nullptr || !check_service_set_node(s, *found).empty())
        throw_corrupt(s, "the node of a set of services makes no sense");
    return *found;
}

service_entry& service_at(const segment& s, const service_set_node& node, std::uint32_t index) {
    auto* found = index < load_word(node.service_count)
                      ? s.find<service_entry>(load_word(node.services) + bytes_of_services(index))
                      : nullptr;
    if (found == nullptr || load_word(found->place_capacity) > most_service_workers)
        throw_corrupt(s, "a service of a set lies outside");
    return *found;
}

service_place_entry& place_at(const segment& s, const service_entry& service, std::uint32_t index) {
    auto* found = index < load_word(service.place_capacity)
                      ? s.find<service_place_entry>(load_word(service.places) + bytes_of_places(index))
                      : nullptr;
    if (found == nullptr) throw_corrupt(s, "a worker of a service lies outside");
    return *found;
}

std::string_view name_of_service(const service_entry& service) noexcept {
    return {reinterpret_cast<const char*>(service.name),
            std::min<std::size_t>(load_word(service.name_bytes), service_name_room)};
}

std::string_view program_of_manager(const service_set_node& node) noexcept {
    return {node.program, ::strnlen(node.program, sizeof node.program)};
}

// -- the manager ----------------------------------------------------------------------------------------------------

os::process_identity running_manager(const service_set_node& node) noexcept {
    const os::process_identity manager = load_word(node.manager);
    return manager != 0 && os::is_alive(manager) ? manager : 0;
}

void begin_set(root_transaction& tx, service_set_node& node, os::process_identity manager,
               std::string_view program, std::span<const service_description> services) {
    const segment& s = tx.in();
    tx.begin_change();
    segment_offset at = 0;
    if (!services.empty()) {
        at = allocate(tx, bytes_of_services(services.size()));
        auto* const made = s.at<service_entry>(at);
        zero_shared(made, bytes_of_services(services.size()));
        for (std::size_t i = 0; i < services.size(); ++i) {
            const std::string_view name = services[i].name.substr(0, service_name_room);
            copy_in(made[i].name, name.data(), name.size());
            store_word(made[i].name_bytes, static_cast<std::uint32_t>(name.size()));
            store_word(made[i].restart, services[i].restart);
            store_word(made[i].target, services[i].target);
        }
    }
    for (std::uint32_t i = 0; i < node.service_count; ++i) free_places(tx, service_at(s, node, i));
    if (node.services != 0) deallocate(tx, node.services, bytes_of_services(node.service_count));
    tx.store(node.incarnation, node.incarnation + 1);
    tx.store(node.manager, manager);
    tx.store(node.supervisor, 0);
    store_word(node.looked_at, 0);
    store_word(node.obeyed, 0);
    tx.store(node.orders, 0);
    tx.store(node.stop, set_stop::none);
    tx.store(node.generation, 0);
    tx.store(node.services, at);
    tx.store(node.service_count, static_cast<std::uint32_t>(services.size()));
    tx.log(node.program, sizeof node.program);
    zero_shared(node.program, sizeof node.program);
    copy_in(node.program, program.data(), std::min(program.size(), sizeof node.program));
    tx.commit();
}

void end_set(root_transaction& tx, service_set_node& node) {
    tx.begin_change();
    tx.store(node.manager, 0);
    tx.store(node.supervisor, 0);
    tx.commit();
}

// -- the supervisor -------------------------------------------------------------------------------------------------

void set_supervisor(root_transaction& tx, service_set_node& node, os::process_identity supervisor) {
    tx.begin_change();
    tx.store(node.supervisor, supervisor);
    tx.commit();
}

void set_generation(root_transaction& tx, service_set_node& node, std::uint64_t generation) {
    tx.begin_change();
    tx.store(node.generation, generation);
    tx.commit();
}

service_facts_to_store stored_facts(const service_entry& service) noexcept {
    return {load_word(service.target), load_word(service.has_given_up)};
}

void store_service(root_transaction& tx, service_entry& service, const service_facts_to_store& facts) {
    tx.begin_change();
    store_facts(tx, service, facts);
    tx.commit();
}

void store_place(root_transaction& tx, service_entry& service, std::uint32_t index,
                 const service_place_entry& place, const service_facts_to_store& facts) {
    tx.begin_change();
    make_room(tx, service, index);
    service_place_entry& to = place_at(tx.in(), service, index);
    store_process(tx, to.current, place.current);
    store_process(tx, to.next, place.next);
    if (to.restarts != place.restarts) {
        tx.store(service.restarts, service.restarts + (place.restarts - to.restarts));
        tx.store(to.restarts, place.restarts);
    }
    store_if_other(tx, to.failures, place.failures);
    store_if_other(tx, to.not_before, place.not_before);
    store_facts(tx, service, facts);
    tx.commit();
}

bool is_stored(const segment& s, const service_entry& service, std::uint32_t index,
               const service_place_entry& place) {
    if (index >= load_word(service.place_capacity))
        return place.current.identity == 0 && place.next.identity == 0 && place.current.stage == 0 &&
               place.restarts == 0 && place.failures == 0;
    const service_place_entry& stored = place_at(s, service, index);
    return is_same(stored.current, place.current) && is_same(stored.next, place.next) &&
           load_word(stored.restarts) == place.restarts && load_word(stored.failures) == place.failures &&
           load_word(stored.not_before) == place.not_before;
}

// -- whoever gives orders -------------------------------------------------------------------------------------------

void order_target(root_transaction& tx, service_set_node& node, std::uint32_t service, std::uint64_t target) {
    service_entry& of = service_at(tx.in(), node, service);
    tx.begin_change();
    tx.store(of.target, target);
    tx.store(of.target_orders, of.target_orders + 1);
    count_order(tx, node);
    tx.commit();
}

void order_reload(root_transaction& tx, service_set_node& node, std::span<const std::uint32_t> services) {
    tx.begin_change();
    for (const std::uint32_t each : services) {
        service_entry& of = service_at(tx.in(), node, each);
        tx.store(of.reload_orders, of.reload_orders + 1);
    }
    count_order(tx, node);
    tx.commit();
}

void order_restart(root_transaction& tx, service_set_node& node, std::span<const std::uint32_t> services) {
    tx.begin_change();
    for (const std::uint32_t each : services) {
        service_entry& of = service_at(tx.in(), node, each);
        tx.store(of.restart_orders, of.restart_orders + 1);
    }
    count_order(tx, node);
    tx.commit();
}

void order_stop(root_transaction& tx, service_set_node& node, set_stop how) {
    if (load_word(node.stop) >= how) return;
    tx.begin_change();
    tx.store(node.stop, how);
    count_order(tx, node);
    tx.commit();
}

// -- the root -------------------------------------------------------------------------------------------------------

root_reference service_set_access::make(const manager& m, std::string_view name) {
    const manager::request wanted{
        object_kind::service_set, "service_set",
        [](const segment& s, segment_offset node) { static_cast<void>(service_set_at(s, node)); }};
    return m.create_root(name, wanted, {[](root_transaction& tx) { return create_service_set(tx); }});
}

std::optional<root_reference> service_set_access::find(const manager& m, std::string_view name) {
    const manager::request wanted{
        object_kind::service_set, "service_set",
        [](const segment& s, segment_offset node) { static_cast<void>(service_set_at(s, node)); }};
    return m.find_root(name, wanted);
}

}  // namespace cairn::inline CAIRN_ABI::detail
