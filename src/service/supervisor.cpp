// supervisor.cpp - the loop of a supervisor, its children, its take-over, and its end.
// SPDX-License-Identifier: BSL-1.0
#include "service/supervisor.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>

#include "os/child.hpp"
#include "os/fork_count.hpp"
#include "os/identity.hpp"
#include "os/process_title.hpp"
#include "os/supervision.hpp"
#include "pool/inherited.hpp"
#include "process/stdio.hpp"
#include "segment/farewell.hpp"
#include "service/worker_death.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

// How long it waits for news at most: what the manager's watchdog goes by.
constexpr milliseconds longest_service_sleep{1000};
// Of the guardian, which a signal wakes.
constexpr milliseconds guardian_sleep{10'000};

}  // namespace

service_supervisor::service_supervisor(service_family& family)
    : family_(family), table_(*family.table), reporter_(family) {
    os::become_subreaper();
    os::block_all_signals();
    leave_other_segments(family.set.in.get());
    static_cast<void>(os::open_child_signal(child_signal_));
}

void service_supervisor::run() {
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

void service_supervisor::take_over(pid_t nursery) {
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

bool service_supervisor::has_workers() {
    bool has = false;
    for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
        has = has || record.is_there();
    });
    return has;
}

std::vector<pid_t> service_supervisor::own_children() {
    std::vector<pid_t> all;
    os::for_each_child([](pid_t child, void* to) { static_cast<std::vector<pid_t>*>(to)->push_back(child); },
                       &all);
    return all;
}

void service_supervisor::reap() {
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

void service_supervisor::kill_orphans() {
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

void service_supervisor::finish() {
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

void service_supervisor::look_after_manager() {
    if (is_manager_dead_) return;
    bool readable = false;
    static_cast<void>(os::wait_readable(family_.manager_pidfd.get(), std::chrono::nanoseconds(0), readable));
    if (!readable) return;
    is_manager_dead_ = true;
    stop_order none = stop_order::none;
    table_.stop.compare_exchange_strong(none, stop_order::graceful);
    for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
        if (record.stage == service_stage::stopping && record.deadline == 0)
            record.deadline = now_ + longest_orphaned;
    });
}

void service_supervisor::sleep() noexcept {
    const std::uint64_t from = service_clock();
    planned_sleep_ = static_cast<std::uint64_t>(longest_service_sleep.count()) * nanoseconds_in_ms;
    if (wake_at_ != never) planned_sleep_ = wake_at_ <= from ? 0 : std::min(planned_sleep_, wake_at_ - from);
    const auto wait = milliseconds((planned_sleep_ + nanoseconds_in_ms - 1) / nanoseconds_in_ms);
    const std::array<int, 3> fds{child_signal_.get(), family_.nursery_bell.get(),
                                 is_manager_dead_ ? -1 : family_.manager_pidfd.get()};
    std::array<bool, 3> readable{};
    os::wait_for_any(fds, readable, wait);
    if (readable[1]) os::silence(family_.nursery_bell.get());
}

void service_supervisor::look_at_clock() noexcept {
    const std::uint64_t before = now_;
    now_ = service_clock();
    const std::uint64_t passed = now_ - before;
    if (before == 0 || passed < planned_sleep_ + soon) return;
    for_each_record([&](service_family::member&, int, service_place&, worker_record& record) {
        record.seen_at += passed;
    });
}

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
