// supervisor_workers.cpp - one service and its workers: who is started, watched, told to end, and killed.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <csignal>
#include <string>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/signal_pipe.hpp"
#include "os/supervision.hpp"
#include "service/supervisor.hpp"
#include "service/worker_death.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// What a worker that is told to end has beyond its own timeout, by which it ends itself.
constexpr std::uint64_t beyond_timeout = 3000 * nanoseconds_in_ms;
// `kill -HUP` to all processes of a control group reaches manager and workers at about the same time: that is one reload.
constexpr std::uint64_t before_single_reload = 100 * nanoseconds_in_ms;
constexpr std::uint64_t same_reload = 500 * nanoseconds_in_ms;
// So long a manager that has got the signal, too, may take to say so: on_reload hooks.
constexpr std::uint64_t longest_before_single_reload = 5000 * nanoseconds_in_ms;

}  // namespace

void service_supervisor::start(service_family::member& of, int id, service_place& place,
                               worker_record& record) {
    of.record->used_places =
        std::max<std::uint64_t>(of.record->used_places, static_cast<std::uint64_t>(id) + 1);
    record.pid = 0;
    record.identity = 0;
    record.generation = table_.generation;
    record.started = now_;
    record.seen_beats = 0;
    record.seen_at = 0;
    record.shown_beats = 0;
    record.beat_at = 0;
    record.told_reload = 0;
    record.was_told_to_end = 0;
    record.signalled_reload = 0;
    record.is_ready = 0;
    record.beats = 0;
    record.has_reloaded = 0;
    record.failed_reload = 0;
    record.asks_reload = 0;
    const time_limit& limit = of.options.ready_timeout;
    const bool is_replacement = &record != &place.current();
    record.deadline = limit.is_given() ? now_ + static_cast<std::uint64_t>(limit.nanoseconds().count())
                      : is_replacement ? now_ + usual_ready_timeout
                                       : 0;
    record.stage = service_stage::starting;
    pid_t child = 0;
    if (const auto error = os::fork_process(child)) {
        record.stage = service_stage::none;
        if (!has_said_no_fork_) family_.log("cannot fork a worker: " + error.message() + "; tried again");
        has_said_no_fork_ = true;
        place.not_before = now_ + soon;
        wake_at(place.not_before);
        return;
    }
    if (child == 0)
        run_service_worker(family_, static_cast<std::size_t>(&of - family_.services.data()), id, record);
    has_said_no_fork_ = false;
    if (record.deadline != 0) wake_at(record.deadline);
    record.pid = static_cast<std::uint64_t>(child);
    record.identity = os::identity_of(child);
}

void service_supervisor::tell_to_end(worker_record& record) noexcept {
    static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGTERM));
    record.was_told_to_end = 1;
}

void service_supervisor::tell_to_reload(worker_record& record) noexcept {
    static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGHUP));
    record.signalled_reload = record.told_reload;
}

void service_supervisor::tell_again(worker_record& record) noexcept {
    if (record.stage == service_stage::stopping && record.was_told_to_end == 0) tell_to_end(record);
    else if (record.stage >= service_stage::killed)
        static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGKILL));
    else if (record.signalled_reload < record.told_reload) tell_to_reload(record);
}

void service_supervisor::stop(service_family::member& of, worker_record& record) {
    if (!record.is_there() || record.is_leaving()) return;
    std::uint64_t longest = family_.graceful_nanoseconds(of);
    if (longest == 0 && is_manager_dead_) longest = longest_orphaned;
    record.deadline = longest == 0 ? 0 : now_ + longest + beyond_timeout;
    if (record.deadline != 0) wake_at(record.deadline);
    record.stage = service_stage::stopping;
    tell_to_end(record);
}

void service_supervisor::kill(worker_record& record, service_stage as) {
    if (!record.is_there()) return;
    if (record.stage < service_stage::killed) record.stage = as;
    record.deadline = 0;
    static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGKILL));
}

void service_supervisor::look_after(service_family::member& of) {
    service_record& record = *of.record;
    if (record.seen_revived != record.revived) {
        record.seen_revived = record.revived;
        revive(record, of.places);
    }
    begin_ordered_reload(of);
    const std::uint64_t target = std::min<std::uint64_t>(record.target, most_service_workers);
    const std::uint64_t places = std::max(target, record.used_places);
    for (std::uint64_t i = 0; i < places; ++i) {
        service_place& place = of.places[i];
        for (worker_record& each : place.records) watch(of, static_cast<int>(i), place, each);
        if (is_stopping() || i >= target) leave(of, place);
        else keep_up(of, static_cast<int>(i), place);
    }
    if (record.rolling != 0) {
        service_place& place = of.places[record.rolling - 1];
        if (place.reload_to == 0 && !place.other().is_there()) record.rolling = 0;
        // The next one.
        if (record.rolling == 0) wake_at(now_);
    }
}

void service_supervisor::leave(service_family::member& of, service_place& place) {
    place.is_done = 0;
    place.failures = 0;
    place.not_before = 0;
    forget_reload(place);
    for (worker_record& each : place.records) {
        if (table_.stop == stop_order::kill) kill(each, service_stage::killed);
        else stop(of, each);
    }
}

void service_supervisor::keep_up(service_family::member& of, int id, service_place& place) {
    worker_record& current = place.current();
    if (!current.is_there() && !place.other().is_there()) {
        forget_reload(place);
        if (place.is_done != 0 || of.record->has_given_up != 0) return;
        if (now_ < place.not_before) wake_at(place.not_before);
        else if (place.failures != 0 && is_manager_told_to_end()) wake_at(now_ + soon);
        else start(of, id, place, current);
        return;
    }
    reload(of, id, place);
}

void service_supervisor::watch(service_family::member& of, int id, service_place& place,
                               worker_record& record) {
    if (!record.is_there()) return;
    if (record.stage == service_stage::starting && record.is_ready != 0) {
        record.stage = service_stage::ready;
        record.deadline = 0;
        record.seen_beats = record.beats;
        record.seen_at = now_;
    }
    if (record.deadline != 0) {
        if (now_ < record.deadline) {
            wake_at(record.deadline);
        } else if (record.stage == service_stage::starting) {
            family_.log(service_family::describe(of, id, record.pid) + " is not ready in time, killed");
            if (&record != &place.current()) {
                give_up_reload(family_, of, id, "its new worker was not ready in time");
                kill(record, service_stage::killed);
            } else {
                kill(record, service_stage::failed);
            }
        } else if (record.stage == service_stage::stopping) {
            family_.log(service_family::describe(of, id, record.pid) + " does not end in time, killed");
            kill(record, service_stage::killed);
        }
    }
    if (record.stage != service_stage::ready) return;
    if (const std::uint64_t beats = record.beats; beats != record.shown_beats) {
        record.shown_beats = beats;
        record.beat_at = now_;
    }
    if (of.options.heartbeat.is_given()) {
        if (record.seen_beats != record.beats) {
            record.seen_beats = record.beats;
            record.seen_at = now_;
        }
        const std::uint64_t late = late_after(of, record);
        if (now_ >= late) {
            family_.log(service_family::describe(of, id, record.pid) + " has no heartbeat, killed");
            kill(record, service_stage::failed);
        } else {
            wake_at(late);
        }
    }
    // While one is under way that is for later.
    if (record.asks_reload != 0 && place.reload_at == 0 && place.reload_to == 0) {
        record.asks_reload = 0;
        if (&record == &place.current() &&
            (table_.reload_begun_at == 0 || now_ - table_.reload_begun_at > same_reload))
            place.reload_at = now_ + before_single_reload;
    }
    if (place.reload_at != 0) {
        if (now_ >= place.reload_at && now_ < place.reload_at + longest_before_single_reload &&
            has_manager_the_signal()) {
            wake_at(now_ + before_single_reload);
        } else if (now_ >= place.reload_at) {
            place.reload_at = 0;
            place.reload_to = ++table_.generation;
        } else {
            wake_at(place.reload_at);
        }
    }
}

bool service_supervisor::is_manager_told_to_end() const {
    if (is_manager_dead_) return false;
    if (table_.terminations != 0) return true;
    for (const int signal : {SIGTERM, SIGINT})
        if (os::has_pending_signal(family_.manager_pid, signal)) return true;
    return false;
}

bool service_supervisor::has_manager_the_signal() const {
    return !is_manager_dead_ && (table_.hangups != table_.covered_hangups ||
                                 table_.reload_asked != table_.reload_begun ||  // after it
                                 os::has_pending_signal(family_.manager_pid, SIGHUP));
}

std::uint64_t service_supervisor::late_after(const service_family::member& of,
                                             const worker_record& record) noexcept {
    const auto beat = static_cast<std::uint64_t>(of.options.heartbeat.nanoseconds().count());
    return record.seen_at > never - beat ? never : record.seen_at + beat;
}

bool service_supervisor::is_late(service_family::member& of) const {
    if (!of.options.heartbeat.is_given()) return false;
    for (std::size_t i = 0; i < of.record->used_places; ++i)
        for (const worker_record& each : of.places[i].records)
            if (each.stage == service_stage::failed && each.is_ready != 0) return true;
    return false;
}

bool service_supervisor::is_up(service_family::member& of) {
    const std::uint64_t target = of.record->target;
    if (of.record->has_given_up != 0) return false;
    for (std::size_t i = 0; i < target; ++i)
        if (of.places[i].is_done == 0 && of.places[i].current().stage != service_stage::ready) return false;
    return true;
}

bool service_supervisor::is_over(service_family::member& of) {
    const std::uint64_t target = of.record->target;
    if (target == 0 || of.record->seen_revived != of.record->revived) return false;
    for (std::size_t i = 0; i < std::max<std::uint64_t>(target, of.record->used_places); ++i) {
        service_place& place = of.places[i];
        if (place.current().is_there() || place.other().is_there()) return false;
        if (i < target && place.is_done == 0 && of.record->has_given_up == 0) return false;
    }
    return true;
}

}  // namespace cairn::inline CAIRN_ABI::detail
