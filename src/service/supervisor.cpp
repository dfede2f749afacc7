// supervisor.cpp - guardian and nursery of a service manager.
//
// The supervisor makes the world equal to what the table says: it is told nothing, it looks. So it can be killed at any instruction, and
// another one goes on.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "os/child.hpp"
#include "os/fork_count.hpp"
#include "os/identity.hpp"
#include "os/process_title.hpp"
#include "os/signal_pipe.hpp"
#include "os/supervision.hpp"
#include "pool/inherited.hpp"
#include "process/stdio.hpp"
#include "segment/farewell.hpp"
#include "service/service_table.hpp"
#include "service/set_reporter.hpp"
#include "service/worker_death.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

constexpr std::uint64_t nanoseconds_in_ms = 1'000'000;
constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

// How long it waits for news at most: what the manager's watchdog goes by.
constexpr milliseconds longest_service_sleep{1000};
// Of the guardian, which a signal wakes.
constexpr milliseconds guardian_sleep{10'000};
// After a fork that failed, or a kill that has no effect yet.
constexpr std::uint64_t soon = 100 * nanoseconds_in_ms;
// What a worker that is told to end has beyond its own timeout, by which it ends itself.
constexpr std::uint64_t beyond_timeout = 3000 * nanoseconds_in_ms;
// Of workers that may take for ever, when the manager is dead.
constexpr std::uint64_t longest_orphaned = 60'000 * nanoseconds_in_ms;
constexpr std::uint64_t usual_ready_timeout = 60'000 * nanoseconds_in_ms;
// `kill -HUP` to all processes of a control group reaches manager and workers at about the same time: that is one reload.
constexpr std::uint64_t before_single_reload = 100 * nanoseconds_in_ms;
constexpr std::uint64_t same_reload = 500 * nanoseconds_in_ms;
// So long a manager that has got the signal, too, may take to say so: on_reload hooks.
constexpr std::uint64_t longest_before_single_reload = 5000 * nanoseconds_in_ms;

class service_supervisor {
public:
    explicit service_supervisor(service_family& family)
        : family_(family), table_(*family.table), reporter_(family) {
        os::become_subreaper();
        os::block_all_signals();
        leave_other_segments(family.set.in.get());
        static_cast<void>(os::open_child_signal(child_signal_));
    }
    service_supervisor(const service_supervisor&) = delete;
    service_supervisor& operator=(const service_supervisor&) = delete;

    [[noreturn]] void run() {
        table_.supervisor = os::own_identity();
        os::name_own_thread("cairn-nursery");
        static_cast<void>(os::set_process_title(family_.program + ": nursery"));
        for (;;) {
            look_at_clock();
            table_.looked_at = now_;
            wake_at_ = never;
            look_after_manager();
            reap();
            look_at_orders();
            begin_reload();
            bool are_all_ready = true;
            bool is_somebody_late = false;
            bool is_anything_left = false;
            bool has_given_up = false;
            for (service_family::member& each : family_.services) {
                look_after(each);
                are_all_ready = are_all_ready && is_up(each);
                is_somebody_late = is_somebody_late || is_late(each);
                is_anything_left = is_anything_left || !is_over(each);
                has_given_up = has_given_up || each.record->has_given_up != 0;
            }
            if (are_all_ready && table_.are_all_ready == 0) {
                table_.are_all_ready = 1;
                os::ring(family_.manager_bell.get());
            }
            table_.is_somebody_late = is_somebody_late ? 1 : 0;
            table_.has_given_up = has_given_up ? 1 : 0;
            end_reload();
            if (may_have_orphans_) kill_orphans();
            if (!reporter_.report(now_)) wake_at(now_ + soon);
            if ((table_.stop != stop_order::none || !is_anything_left) && !has_workers()) finish();
            sleep();
        }
    }

    // After a nursery that was killed: its children are this process's, also those that have ended and that it had not reaped.
    void take_over(pid_t nursery) {
        nursery_before_ = nursery;
        family_.log("the nursery was killed; its guardian goes on");
        now_ = service_clock();
        carry_out_decided_death(family_);
        may_have_orphans_ = true;
        for (int round = 0; round < 100 && may_have_orphans_; ++round) {
            reap();
            kill_orphans();
            if (may_have_orphans_) os::sleep_for(milliseconds(1));
        }
        const std::vector<pid_t> children = own_children();
        for_each_record([&](service_family::member& of, int id, service_place&, worker_record& record) {
            if (!record.is_there()) return;
            const auto pid = static_cast<pid_t>(record.pid.load());
            const bool is_child = std::find(children.begin(), children.end(), pid) != children.end();
            if (pid == 0) forget_worker(record);  // killed above, if it was forked at all
            else if (!is_child) settle_death(family_, of, id, record, -SIGKILL, now_, random_);
            else tell_again(record);
        });
    }

private:
    // -- who is there -----------------------------------------------------------------------------------------------

    template <typename Fn>
    void for_each_record(const Fn& fn) {
        for (service_family::member& of : family_.services)
            for (std::size_t i = 0; i < of.record->used_places; ++i)
                for (worker_record& record : of.places[i].records)
                    fn(of, static_cast<int>(i), of.places[i], record);
    }

    [[nodiscard]] bool has_workers() {
        bool has = false;
        for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
            has = has || record.is_there();
        });
        return has;
    }

    [[nodiscard]] static std::vector<pid_t> own_children() {
        std::vector<pid_t> all;
        os::for_each_child(
            [](pid_t child, void* to) { static_cast<std::vector<pid_t>*>(to)->push_back(child); }, &all);
        return all;
    }

    void reap() {
        if (child_signal_.valid()) os::drain_child_signal(child_signal_.get());
        int code = 0;
        while (const pid_t dead = os::find_ended_child(code)) {
            may_have_orphans_ = true;
            // Killed as one whose nursery was killed before it had written it down, and it has done that itself since.
            const bool was_orphan = std::erase(killed_orphans_, dead) != 0;
            for_each_record([&](service_family::member& of, int id, service_place&, worker_record& record) {
                if (!record.is_there() || record.pid != static_cast<std::uint64_t>(dead)) return;
                if (was_orphan) forget_worker(record);
                else settle_death(family_, of, id, record, code, now_, random_);
            });
            // Last: until then a guardian that takes over finds it, and how it has ended.
            os::child_status status;
            if (os::try_reap_by_pid(dead, status)) return wake_at(now_ + soon);
        }
    }

    // Children that no record knows: what workers have left behind. Their children come when they have gone.
    void kill_orphans() {
        std::vector<pid_t> known;
        for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
            if (record.is_there()) known.push_back(static_cast<pid_t>(record.pid.load()));
        });
        may_have_orphans_ = false;
        for (const pid_t child : own_children()) {
            if (std::find(known.begin(), known.end(), child) != known.end()) continue;
            // Not reaped, so the pid is its own. Its end is seen as any child's.
            static_cast<void>(os::signal_by_pid(child, SIGKILL));
            if (std::find(killed_orphans_.begin(), killed_orphans_.end(), child) == killed_orphans_.end())
                killed_orphans_.push_back(child);
            may_have_orphans_ = true;
        }
        if (may_have_orphans_) wake_at(now_ + soon);
    }

    [[noreturn]] void finish() {
        for (;;) {
            reap();
            kill_orphans();
            if (!may_have_orphans_) break;
            os::sleep_for(milliseconds(1));
        }
        // A segment that a dead manager has left goes with the last of its family. One that lives is the last itself: not held up by this
        // process, which may be there for a moment longer.
        // Workers that were killed before their first instruction: nobody who leaves a segment is to wait for them.
        os::forget_forks_of(os::own_pid());
        if (nursery_before_ != 0) os::forget_forks_of(nursery_before_);
        if (family_.set.in) {
            say_farewell();
            leave_other_segments(nullptr);
        }
        table_.is_finished = 1;
        os::ring(family_.manager_bell.get());
        os::end_process(0);
    }

    // -- orders of others -------------------------------------------------------------------------------------------

    void look_at_orders() {
        if (!reporter_.has_orders_after(table_.seen_orders)) return;
        service_orders orders;
        if (!reporter_.read_orders(orders)) return wake_at(now_ + soon);
        for (std::size_t i = 0; i < orders.services.size(); ++i)
            obey(family_.services[i], orders.services[i]);
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

    void obey(service_family::member& of, const service_orders::of_one& orders) {
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

    // What it was ordered to, once no other reload of it is under way: a worker may have read its files before the order.
    void begin_ordered_reload(service_family::member& of) {
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

    // Whatever its workers have done before, they are to be there.
    static void revive(service_record& record, service_place* places) {
        record.has_given_up = 0;
        record.restart_count = 0;
        for (std::size_t i = 0; i < record.used_places; ++i) {
            places[i].is_done = 0;
            places[i].failures = 0;
            places[i].not_before = 0;
        }
    }

    // -- the manager ------------------------------------------------------------------------------------------------

    void look_after_manager() {
        if (is_manager_dead_) return;
        bool readable = false;
        static_cast<void>(
            os::wait_readable(family_.manager_pidfd.get(), std::chrono::nanoseconds(0), readable));
        if (!readable) return;
        is_manager_dead_ = true;
        stop_order none = stop_order::none;
        table_.stop.compare_exchange_strong(none, stop_order::graceful);
        for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
            if (record.stage == service_stage::stopping && record.deadline == 0)
                record.deadline = now_ + longest_orphaned;
        });
    }

    [[nodiscard]] bool is_stopping() const noexcept { return table_.stop != stop_order::none; }

    // -- one worker -------------------------------------------------------------------------------------------------

    void start(service_family::member& of, int id, service_place& place, worker_record& record) {
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

    static void tell_to_end(worker_record& record) noexcept {
        static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGTERM));
        record.was_told_to_end = 1;
    }
    static void tell_to_reload(worker_record& record) noexcept {
        static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGHUP));
        record.signalled_reload = record.told_reload;
    }
    // After a nursery that may have been killed between a decision and its signal. A second SIGTERM does nothing in a worker.
    static void tell_again(worker_record& record) noexcept {
        if (record.stage == service_stage::stopping && record.was_told_to_end == 0) tell_to_end(record);
        else if (record.stage >= service_stage::killed)
            static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGKILL));
        else if (record.signalled_reload < record.told_reload) tell_to_reload(record);
    }

    // SIGTERM, once.
    void stop(service_family::member& of, worker_record& record) {
        if (!record.is_there() || record.is_leaving()) return;
        std::uint64_t longest = family_.graceful_nanoseconds(of);
        if (longest == 0 && is_manager_dead_) longest = longest_orphaned;
        record.deadline = longest == 0 ? 0 : now_ + longest + beyond_timeout;
        if (record.deadline != 0) wake_at(record.deadline);
        record.stage = service_stage::stopping;
        tell_to_end(record);
    }

    void kill(worker_record& record, service_stage as) {
        if (!record.is_there()) return;
        if (record.stage < service_stage::killed) record.stage = as;
        record.deadline = 0;
        static_cast<void>(os::signal_by_pid(static_cast<pid_t>(record.pid.load()), SIGKILL));
    }

    // -- one service ------------------------------------------------------------------------------------------------

    void look_after(service_family::member& of) {
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

    // Nobody is wanted there.
    void leave(service_family::member& of, service_place& place) {
        place.is_done = 0;
        place.failures = 0;
        place.not_before = 0;
        forget_reload(place);
        for (worker_record& each : place.records) {
            if (table_.stop == stop_order::kill) kill(each, service_stage::killed);
            else stop(of, each);
        }
    }

    void keep_up(service_family::member& of, int id, service_place& place) {
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

    // What has changed with it, and what is due.
    void watch(service_family::member& of, int id, service_place& place, worker_record& record) {
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

    // `kill -TERM` to all processes, as systemd does it: workers end before the manager has said so.
    [[nodiscard]] bool is_manager_told_to_end() const {
        if (is_manager_dead_) return false;
        if (table_.terminations != 0) return true;
        for (const int signal : {SIGTERM, SIGINT})
            if (os::has_pending_signal(family_.manager_pid, signal)) return true;
        return false;
    }

    // Then all are going to be reloaded.
    [[nodiscard]] bool has_manager_the_signal() const {
        return !is_manager_dead_ && (table_.hangups != table_.covered_hangups ||
                                     table_.reload_asked != table_.reload_begun ||  // after it
                                     os::has_pending_signal(family_.manager_pid, SIGHUP));
    }

    [[nodiscard]] static std::uint64_t late_after(const service_family::member& of,
                                                  const worker_record& record) noexcept {
        const auto beat = static_cast<std::uint64_t>(of.options.heartbeat.nanoseconds().count());
        return record.seen_at > never - beat ? never : record.seen_at + beat;
    }

    [[nodiscard]] bool is_late(service_family::member& of) const {
        if (!of.options.heartbeat.is_given()) return false;
        for (std::size_t i = 0; i < of.record->used_places; ++i)
            for (const worker_record& each : of.places[i].records)
                if (each.stage == service_stage::failed && each.is_ready != 0) return true;
        return false;
    }

    [[nodiscard]] static bool is_up(service_family::member& of) {
        const std::uint64_t target = of.record->target;
        if (of.record->has_given_up != 0) return false;
        for (std::size_t i = 0; i < target; ++i)
            if (of.places[i].is_done == 0 && of.places[i].current().stage != service_stage::ready)
                return false;
        return true;
    }

    // None of its workers runs, and none will be started.
    [[nodiscard]] static bool is_over(service_family::member& of) {
        const std::uint64_t target = of.record->target;
        if (target == 0 || of.record->seen_revived != of.record->revived) return false;
        for (std::size_t i = 0; i < std::max<std::uint64_t>(target, of.record->used_places); ++i) {
            service_place& place = of.places[i];
            if (place.current().is_there() || place.other().is_there()) return false;
            if (i < target && place.is_done == 0 && of.record->has_given_up == 0) return false;
        }
        return true;
    }

    // -- reloads ----------------------------------------------------------------------------------------------------

    void begin_reload() {
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

    void end_reload() {
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

    void reload(service_family::member& of, int id, service_place& place) {
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

    // -- sleep ------------------------------------------------------------------------------------------------------

    void wake_at(std::uint64_t time) noexcept { wake_at_ = std::min(wake_at_, time); }

    void sleep() noexcept {
        const std::uint64_t from = service_clock();
        planned_sleep_ = static_cast<std::uint64_t>(longest_service_sleep.count()) * nanoseconds_in_ms;
        if (wake_at_ != never)
            planned_sleep_ = wake_at_ <= from ? 0 : std::min(planned_sleep_, wake_at_ - from);
        const auto wait = milliseconds((planned_sleep_ + nanoseconds_in_ms - 1) / nanoseconds_in_ms);
        const std::array<int, 3> fds{child_signal_.get(), family_.nursery_bell.get(),
                                     is_manager_dead_ ? -1 : family_.manager_pidfd.get()};
        std::array<bool, 3> readable{};
        os::wait_for_any(fds, readable, wait);
        if (readable[1]) os::silence(family_.nursery_bell.get());
    }

    // All processes were stopped (^Z), or the machine was: those whose heartbeats it did not see are not late for that.
    void look_at_clock() noexcept {
        const std::uint64_t before = now_;
        now_ = service_clock();
        const std::uint64_t passed = now_ - before;
        if (before == 0 || passed < planned_sleep_ + soon) return;
        for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
            record.seen_at += passed;
        });
    }

    service_family& family_;
    service_table& table_;
    set_reporter reporter_;
    os::unique_fd child_signal_;
    std::uint64_t now_ = 0;
    std::uint64_t wake_at_ = never;
    std::uint64_t planned_sleep_ = 0;
    pid_t nursery_before_ = 0;  // that was killed
    bool is_manager_dead_ = false;
    bool may_have_orphans_ = false;
    bool has_said_no_fork_ = false;
    std::vector<pid_t> killed_orphans_;  // and not reaped yet
    std::minstd_rand random_{static_cast<unsigned>(service_clock())};
};

}  // namespace

void run_service_guardian(service_family& family) noexcept {
    os::become_subreaper();
    os::block_all_signals();
    os::name_own_thread("cairn-guardian");
    static_cast<void>(os::set_process_title(family.program + ": guardian"));
    forget_inherited_output();
    leave_other_segments(family.set.in.get());
    // They are the manager's alone.
    for (const char* each : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) ::unsetenv(each);
    os::unique_fd child_signal;
    static_cast<void>(os::open_child_signal(child_signal));
    pid_t nursery = 0;
    if (os::fork_process(nursery)) nursery = -1;
    if (nursery == 0) service_supervisor(family).run();
    while (nursery > 0) {
        const std::array<int, 1> fds{child_signal.get()};
        std::array<bool, 1> readable{};
        os::wait_for_any(fds, readable, guardian_sleep);
        if (readable[0]) os::drain_child_signal(child_signal.get());
        os::child_status status;
        if (os::try_reap_by_pid(nursery, status) || !status.ended) continue;
        if (status.code == 0 && family.table->is_finished != 0) {
            if (family.set.in) say_farewell();
            os::end_process(0);
        }
        break;
    }
    service_supervisor self(family);
    if (nursery > 0) self.take_over(nursery);
    self.run();
}

}  // namespace cairn::inline CAIRN_ABI::detail
