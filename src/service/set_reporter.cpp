// SPDX-License-Identifier: BSL-1.0
#include "service/set_reporter.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <new>
#include <string>
#include <utility>

#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Longer than a step of somebody who runs; shorter than what a dead worker's successor may wait.
constexpr std::chrono::milliseconds set_lock_patience{20};
// In a full segment, for workers that it has no place for yet. Chosen freely.
constexpr std::uint64_t between_looks_for_room = 2'000'000'000;

service_process_entry entry_of(const worker_record& record) noexcept {
    const service_stage stage = record.stage;
    if (stage == service_stage::none) return {};
    return {.identity = record.identity,
            .generation = record.generation,
            .started = record.started,
            .stage = static_cast<std::uint64_t>(stage),
            .last_beat = record.beat_at};
}

service_place_entry entry_of(service_place& place) noexcept {
    return {.current = entry_of(place.current()),
            .next = entry_of(place.other()),
            .restarts = place.restarts,
            .failures = place.failures,
            .not_before = place.not_before,
            .reserved_ = 0};
}

service_facts_to_store facts_of(const service_record& record) noexcept {
    return {.target = record.target, .has_given_up = record.has_given_up};
}

}  // namespace

void set_reporter::log(const char* what, const char* why) noexcept {
    try {
        family_.log(std::string(what) + why);
    } catch (const std::bad_alloc&) {
        // Then without words.
    }
}

void set_reporter::give_up(const char* why) noexcept {
    is_on_ = false;
    log("services can no longer be looked at or ordered about: ", why);
}

// True where there is nothing to try again.
template <typename Step>
bool set_reporter::try_step(const Step& step) {
    const operation_limit limit{.deadline = deadline_after(set_lock_patience)};
    const limited_locks in_time(limit);
    try {
        root_transaction tx(*family_.set.in, *family_.set.slot, family_.set.generation);
        service_set_node& node = service_set_at(tx.in(), family_.set.node);
        if (node.incarnation == family_.incarnation) {
            step(tx, node);
        } else {
            // Another manager has taken over.
            is_on_ = false;
        }
        return true;
    } catch (const limit_reached&) {
        return false;
    } catch (const segment_full& e) {
        if (!std::exchange(has_said_full_, true)) log("what services do is not shown in full: ", e.what());
        room_again_at_ = service_clock() + between_looks_for_room;
        return true;
    } catch (const timeout_error&) {
        return false;
    } catch (const std::bad_alloc&) {
        return false;
    } catch (const std::exception& e) {
        give_up(e.what());
        return true;
    }
}

bool set_reporter::has_orders_after(std::uint64_t number) const noexcept {
    if (!is_on_) return false;
    const auto* const node = family_.set.in->find<service_set_node>(family_.set.node);
    return node != nullptr && load_word(node->orders) != number;
}

bool set_reporter::read_orders(service_orders& to) {
    return try_step([&](root_transaction& tx, service_set_node& node) {
        to.services.clear();
        for (std::uint32_t i = 0; i < family_.services.size(); ++i) {
            const service_entry& each = service_at(tx.in(), node, i);
            to.services.push_back({each.target, each.target_orders, each.reload_orders, each.restart_orders});
        }
        to.stop = node.stop;
        to.number = node.orders;
    });
}

// An order that has come meanwhile is not overwritten.
service_facts_to_store set_reporter::facts_now(const service_family::member& of, const service_set_node& node,
                                               const service_entry& service) const noexcept {
    service_facts_to_store facts = facts_of(*of.record);
    if (node.orders != family_.table->seen_orders) facts.target = service.target;
    return facts;
}

bool set_reporter::report_service(service_family::member& of, const service_set_node& node) {
    const segment& s = *family_.set.in;
    service_entry& service = service_at(s, node, of.index);
    for (std::uint32_t i = 0; i < of.record->used_places; ++i) {
        const service_place_entry place = entry_of(of.places[i]);
        if (is_stored(s, service, i, place)) {
            if (i < load_word(service.place_capacity)) {
                service_place_entry& stored = place_at(s, service, i);
                store_word(stored.current.last_beat, place.current.last_beat);
                store_word(stored.next.last_beat, place.next.last_beat);
            }
            continue;
        }
        if (service_clock() < room_again_at_ && i >= load_word(service.place_capacity)) continue;
        if (!try_step([&](root_transaction& tx, service_set_node& locked) {
                service_entry& to = service_at(tx.in(), locked, of.index);
                store_place(tx, to, i, place, facts_now(of, locked, to));
            }))
            return false;
        if (!is_on_) return true;
    }
    if (stored_facts(service) == facts_of(*of.record)) return true;
    return try_step([&](root_transaction& tx, service_set_node& locked) {
        service_entry& to = service_at(tx.in(), locked, of.index);
        store_service(tx, to, facts_now(of, locked, to));
    });
}

bool set_reporter::report(std::uint64_t now) {
    if (!is_on_) return true;
    try {
        service_set_node& node = service_set_at(*family_.set.in, family_.set.node);
        if (load_word(node.incarnation) != family_.incarnation) {
            is_on_ = false;
            return true;
        }
        store_word(node.looked_at, now);
        store_word(node.obeyed, family_.table->seen_orders);
        if (!is_supervisor_known_) {
            if (!try_step([&](root_transaction& tx, service_set_node& locked) {
                    set_supervisor(tx, locked, os::own_identity());
                }))
                return false;
            is_supervisor_known_ = true;
        }
        const std::uint64_t generation = family_.table->generation;
        if (is_on_ && load_word(node.generation) != generation &&
            !try_step([&](root_transaction& tx, service_set_node& locked) {
                set_generation(tx, locked, generation);
            }))
            return false;
        // Who did not get the lock for one would not get it for the next: workers are looked after meanwhile.
        bool is_done = true;
        for (service_family::member& each : family_.services)
            if (is_on_ && is_done) is_done = report_service(each, node);
        return is_done;
    } catch (const std::exception& e) {
        give_up(e.what());
        return true;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
