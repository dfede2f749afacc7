// SPDX-License-Identifier: BSL-1.0
#include "service/worker_death.hpp"

#include <algorithm>
#include <atomic>
#include <string>

#include "os/supervision.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A worker that was ready and has lived so long, and ten times its last wait, begins anew.
constexpr std::uint64_t healthy_life = 10'000'000'000;

std::uint64_t nanoseconds_of(const time_limit& limit) noexcept {
    return static_cast<std::uint64_t>(limit.nanoseconds().count());
}

// Counts a restart. True where there were too many.
bool count_restart(const service_family::member& of, std::uint64_t most, std::uint64_t now,
                   decided_death& to) {
    const service_record& record = *of.record;
    const std::uint64_t room = record.restarts.size();
    to.restart_at = record.restart_count % room;
    to.restarted = now;
    to.restart_count = record.restart_count + 1;
    if (to.restart_count <= most) return false;
    if (!of.options.within.is_given()) return true;
    const std::uint64_t first = most == 0 ? now : record.restarts[(record.restart_count - most) % room];
    return now - first <= nanoseconds_of(of.options.within);
}

// Whether and when it is started again.
void plan_restart(const service_family::member& of, const worker_record& record, int code, std::uint64_t now,
                  std::minstd_rand& random, decided_death& to) {
    const bool has_failed = code != 0 || record.stage == service_stage::failed;
    if (of.options.restart == restart::temporary ||
        (of.options.restart == restart::transient && !has_failed)) {
        to.is_done = 1;
        return;
    }
    if (const auto most = of.options.max_restarts;
        most && count_restart(of, static_cast<std::uint64_t>(*most), now, to)) {
        to.has_given_up = 1;
        return;
    }
    const std::uint64_t lived = now - record.started;
    if (record.is_ready != 0 && lived >= std::max(healthy_life, 10 * to.last_wait)) to.failures = 0;
    to.last_wait = 0;
    if (to.failures > 0) {
        const std::uint64_t most = nanoseconds_of(of.options.backoff.most);
        std::uint64_t wait = std::min(nanoseconds_of(of.options.backoff.first), most);
        for (std::uint64_t i = 1; i < to.failures && wait < most; ++i)
            wait = wait > most / 2 ? most : wait * 2;
        std::uniform_real_distribution<double> around(0.9, 1.1);
        to.last_wait = static_cast<std::uint64_t>(static_cast<double>(wait) * around(random));
    }
    ++to.failures;
    ++to.restarts;
    to.not_before = now + to.last_wait;
}

// The words as they are: a death that changes nothing of them.
decided_death unchanged(const service_family& family, const service_family::member& of, int worker_id,
                        const worker_record& record, int code) {
    const service_place& place = of.places[worker_id];
    const service_table& table = *family.table;
    decided_death same{};
    same.told = {of.index, worker_id, code};
    same.record = static_cast<std::uint64_t>(&record - place.records.data());
    same.pid = record.pid;
    same.active = place.active;
    same.is_done = place.is_done;
    same.failures = place.failures;
    same.last_wait = place.last_wait;
    same.not_before = place.not_before;
    same.restarts = place.restarts;
    same.has_given_up = of.record->has_given_up;
    same.restart_count = of.record->restart_count;
    same.restart_at = of.record->restart_count % of.record->restarts.size();
    same.restarted = of.record->restarts[same.restart_at];
    same.reload_failed = table.reload_failed;
    same.deaths = table.deaths;
    same.deaths_lost = table.deaths_lost;
    return same;
}

decided_death decide(const service_family& family, service_family::member& of, int worker_id,
                     const worker_record& record, int code, std::uint64_t now, std::minstd_rand& random) {
    decided_death death = unchanged(family, of, worker_id, record, code);
    service_place& place = of.places[worker_id];
    const service_stage stage = record.stage;
    const bool was_planned = stage == service_stage::stopping || stage == service_stage::killed;
    const bool was_current = &record == &place.current();
    if (!was_planned && family.table->stop == stop_order::none) {
        if (was_current) {
            plan_restart(of, record, code, now, random, death);
        } else {
            death.ends_reload = 1;
            ++death.reload_failed;
        }
    }
    if (was_current && place.other().is_there()) death.active = (place.active & 1) ^ 1;
    if (family.table->deaths - family.table->deaths_read >= death_room) ++death.deaths_lost;
    else ++death.deaths;
    return death;
}

void log_death(const service_family& family, const service_family::member& of, const decided_death& death) {
    if (family.options.quiet) return;
    if (death.has_given_up != of.record->has_given_up)
        family.log("service " + of.kind.name + " is given up: more than " +
                   std::to_string(of.options.max_restarts.value_or(0)) + " restarts in a short time");
    if (death.ends_reload != 0)
        family.log("reload of " + of.kind.name + '(' + std::to_string(death.told.worker_id) +
                   ") is given up: its new worker ended before it was ready");
    if (death.told.code == 0) return;
    const std::string who = service_family::describe(of, death.told.worker_id, death.pid);
    if (death.told.code > 0) family.log(who + " exited with status " + std::to_string(death.told.code));
    else family.log(who + " killed by signal " + std::to_string(-death.told.code));
}

}  // namespace

void settle_death(service_family& family, service_family::member& of, int worker_id,
                  const worker_record& record, int code, std::uint64_t now, std::minstd_rand& random) {
    family.table->decided = decide(family, of, worker_id, record, code, now, random);
    family.table->has_decided = 1;
    carry_out_decided_death(family);
}

void carry_out_decided_death(service_family& family) {
    service_table& table = *family.table;
    if (table.has_decided == 0) return;
    const decided_death& death = table.decided;
    service_family::member& of = family.services[death.told.service];
    service_place& place = of.places[death.told.worker_id];
    log_death(family, of, death);
    place.active = death.active;
    place.is_done = death.is_done;
    place.failures = death.failures;
    place.last_wait = death.last_wait;
    place.not_before = death.not_before;
    place.restarts = death.restarts;
    of.record->restarts[death.restart_at] = death.restarted;
    of.record->restart_count = death.restart_count;
    of.record->has_given_up = death.has_given_up;
    table.reload_failed = death.reload_failed;
    if (death.ends_reload != 0)
        for (std::size_t i = 0; i < of.record->used_places; ++i) forget_reload(of.places[i]);
    // Told of already where the count is as it will be: also where there was no room.
    if (death.deaths != table.deaths) table.death_ring[(death.deaths - 1) % death_room] = death.told;
    table.deaths_lost = death.deaths_lost;
    table.deaths = death.deaths;  // after what it counts
    forget_worker(place.records[death.record]);
    os::ring(family.manager_bell.get());
    table.has_decided = 0;
}

void forget_worker(worker_record& record) noexcept {
    record.identity = 0;
    record.stage = service_stage::none;
    record.pid = 0;
}

void forget_reload(service_place& place) noexcept {
    place.reload_to = 0;
    place.is_ousted = 0;
}

void give_up_reload(service_family& family, service_family::member& of, int worker_id, const char* why) {
    family.log("reload of " + of.kind.name + '(' + std::to_string(worker_id) + ") is given up: " + why);
    ++family.table->reload_failed;
    for (std::size_t i = 0; i < of.record->used_places; ++i) forget_reload(of.places[i]);
}

}  // namespace cairn::inline CAIRN_ABI::detail
