// service_set_check.cpp - what must hold of a set of services, for recovery's tests and for shmctl.
// SPDX-License-Identifier: BSL-1.0
#include "service/service_set.hpp"
#include "service/service_table.hpp"

namespace cairn::inline CAIRN_ABI::detail {

std::string check_service_set_node(const segment& s, const service_set_node& node) {
    const std::uint32_t count = load_word(node.service_count);
    if (count > most_services) return "service_set: it has more services than one can have";
    if (count != 0 && s.find<service_entry>(load_word(node.services),
                                            std::uint64_t{count} * sizeof(service_entry)) == nullptr)
        return "service_set: its services lie outside";
    if (load_word(node.stop) > set_stop::kill) return "service_set: it is to stop in no known way";
    return {};
}

std::string check_service_set(const segment& s, service_set_node& node, arena_audit& audit) {
    if (std::string problem = check_service_set_node(s, node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    if ((node.services == 0) != (node.service_count == 0)) return "service_set: its services have no place";
    if (node.service_count != 0)
        audit.reached(node.services, std::uint64_t{node.service_count} * sizeof(service_entry));
    if (node.manager == 0 && node.supervisor != 0) return "service_set: workers are looked after for nobody";
    for (std::uint32_t i = 0; i < node.service_count; ++i) {
        const auto& service = *s.at<service_entry>(node.services + std::uint64_t{i} * sizeof(service_entry));
        if (service.name_bytes == 0 || service.name_bytes > service_name_room)
            return "service_set: a service has no name";
        if (service.restart > static_cast<std::uint32_t>(restart::temporary))
            return "service_set: a service is started again in no known way";
        if (service.target > most_service_workers) return "service_set: a service wants too many workers";
        if (service.place_capacity > most_service_workers ||
            (service.places == 0) != (service.place_capacity == 0))
            return "service_set: a service has more workers than one can have";
        const std::uint64_t bytes = std::uint64_t{service.place_capacity} * sizeof(service_place_entry);
        if (service.places == 0) continue;
        const auto* const places = s.find<service_place_entry>(service.places, bytes);
        if (places == nullptr) return "service_set: the workers of a service lie outside";
        audit.reached(service.places, bytes);
        std::uint64_t restarts = 0;
        for (std::uint32_t k = 0; k < service.place_capacity; ++k) {
            restarts += places[k].restarts;
            for (const service_process_entry* each : {&places[k].current, &places[k].next}) {
                if (each->stage > static_cast<std::uint64_t>(service_stage::failed))
                    return "service_set: a worker is in no known state";
                if (each->identity != 0 && each->stage == static_cast<std::uint64_t>(service_stage::none))
                    return "service_set: a worker that is not there has a process";
            }
        }
        if (restarts != service.restarts)
            return "service_set: a service counts " + std::to_string(service.restarts) +
                   " restarts, its workers " + std::to_string(restarts);
    }
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail
