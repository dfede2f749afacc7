// supervisor_orders.cpp - what others have ordered, by the set of services in a segment.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "os/supervision.hpp"
#include "service/supervisor.hpp"

namespace cairn::inline CAIRN_ABI::detail {

void service_supervisor::look_at_orders() {
    if (!reporter_.has_orders_after(table_.seen_orders)) return;
    service_orders orders;
    if (!reporter_.read_orders(orders)) return wake_at(now_ + soon);
    for (std::size_t i = 0; i < orders.services.size(); ++i) obey(family_.services[i], orders.services[i]);
    if (orders.stop != set_stop::none) {
        table_.is_ordered_to_end = 1;
        stop_order none = stop_order::none;
        if (orders.stop == set_stop::kill) table_.stop = stop_order::kill;
        else table_.stop.compare_exchange_strong(none, stop_order::graceful);
        os::ring(family_.manager_bell.get());
    }
    // Last: whoever comes after a nursery that is killed before obeys them again, which does no harm.
    if (orders.number != 0) table_.seen_orders = orders.number;
}

void service_supervisor::obey(service_family::member& of, const service_orders::of_one& orders) {
    service_record& record = *of.record;
    if (orders.target_orders != record.seen_target_orders) {
        // Where the program wants another number at the same time, that is it.
        if (record.seen_revived == record.revived) {
            record.target = std::min<std::uint64_t>(orders.target, most_service_workers);
            revive(record, of.places);
        }
        record.seen_target_orders = orders.target_orders;
    }
    if (orders.reload_orders != record.seen_reload_orders) {
        record.is_to_reload = 1;
        record.seen_reload_orders = orders.reload_orders;
    }
    if (orders.restart_orders != record.seen_restart_orders) {
        revive(record, of.places);
        record.is_to_restart = 1;
        record.seen_restart_orders = orders.restart_orders;
    }
}

void service_supervisor::begin_ordered_reload(service_family::member& of) {
    service_record& record = *of.record;
    if ((record.is_to_reload | record.is_to_restart) == 0 || is_stopping()) return;
    for (std::size_t i = 0; i < record.used_places; ++i)
        if (of.places[i].reload_to != 0) return;
    const std::uint64_t generation = ++table_.generation;
    for (std::size_t i = 0; i < std::min<std::uint64_t>(record.used_places, record.target); ++i) {
        service_place& place = of.places[i];
        if (!place.current().is_there()) continue;
        place.is_ousted = record.is_to_restart;
        place.reload_to = generation;
    }
    record.is_to_reload = 0;
    record.is_to_restart = 0;
}

void service_supervisor::revive(service_record& record, service_place* places) {
    record.has_given_up = 0;
    record.restart_count = 0;
    for (std::size_t i = 0; i < record.used_places; ++i) {
        places[i].is_done = 0;
        places[i].failures = 0;
        places[i].not_before = 0;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
