// supervisor_reloads.cpp - reloads: in place, or by another worker that is ready before the old one is told.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "os/supervision.hpp"
#include "service/supervisor.hpp"
#include "service/worker_death.hpp"

namespace cairn::inline CAIRN_ABI::detail {

void service_supervisor::begin_reload() {
    if (is_stopping() || table_.reload_begun != table_.reload_done) return;
    const std::uint64_t asked = table_.reload_asked;
    if (asked == table_.reload_begun) return;
    const std::uint64_t generation = ++table_.generation;
    table_.reload_begun_at = now_;
    for (service_family::member& of : family_.services) {
        for (std::size_t i = 0; i < of.record->used_places; ++i) {
            service_place& place = of.places[i];
            for (worker_record& each : place.records) each.asks_reload = 0;
            place.reload_at = 0;
            if (i < of.record->target && place.current().is_there()) place.reload_to = generation;
        }
    }
    table_.reload_begun = asked;
}

void service_supervisor::end_reload() {
    if (table_.reload_begun == table_.reload_done) return;
    for (service_family::member& of : family_.services) {
        if (of.record->rolling != 0) return;
        for (std::size_t i = 0; i < of.record->used_places; ++i)
            if (of.places[i].reload_to != 0) return;
    }
    table_.reload_done = table_.reload_begun.load();
    os::ring(family_.manager_bell.get());
    wake_at(now_);  // another one may have been asked for
}

void service_supervisor::reload(service_family::member& of, int id, service_place& place) {
    if (place.reload_to == 0) return;
    worker_record& current = place.current();
    // One that was started since then has read it all anyway. One that is leaving is going to be replaced.
    if (!current.is_there() || current.generation >= place.reload_to ||
        (current.is_leaving() && !place.other().is_there())) {
        forget_reload(place);
        return;
    }
    if (of.kind.reloads_in_place && place.is_ousted == 0) {
        if (current.told_reload < place.reload_to) {
            current.told_reload = place.reload_to;
            current.reload_until = now_ + usual_ready_timeout;
            tell_to_reload(current);
            wake_at(current.reload_until);
        } else if (current.has_reloaded >= place.reload_to) {
            if (current.failed_reload >= place.reload_to) ++table_.reload_failed;
            forget_reload(place);
            wake_at(now_);
        } else if (now_ >= current.reload_until) {
            give_up_reload(family_, of, id, "its reload() does not return");
        } else {
            wake_at(current.reload_until);
        }
        return;
    }
    const auto own = static_cast<std::uint64_t>(id) + 1;
    if (of.record->rolling != 0 && of.record->rolling != own) return;
    of.record->rolling = own;
    worker_record& next = place.other();
    if (!next.is_there()) {
        if (now_ < place.not_before) {
            wake_at(place.not_before);
            return;
        }
        start(of, id, place, next);
    } else if (next.stage == service_stage::ready) {
        // It is the worker from here on; the other one is on its way.
        forget_reload(place);
        place.failures = 0;
        place.active = (place.active & 1) ^ 1;
        stop(of, current);
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
