// meeting_rows.cpp - conditions, barriers and latches: what is done with them, and what those find who come after a death.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/sync_experiment.hpp"
#include "support/opened_sync.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

// ---- conditions --------------------------------------------------------------------------------------------------------

using cairn::detail::condition_node;

std::span<cairn::detail::condition_waiter> waiters_of(const opened_sync<cairn::condition>& open) {
    return cairn::detail::find_condition_waiters(open.in(), open.stored<condition_node>());
}

cairn::condition condition_in(const cairn::manager& m) {
    return m.condition("condition");
}

constexpr std::uint32_t planted_thread =
    1;  // and the numbers after it: none of the system's that could be met here

// A waiter that nobody can wake, of a process that lives until the victim dies, or of a dead one.
void plant_waiter(const cairn::condition& c, bool is_dead = false) {
    const opened_sync open(c);
    condition_node& node = open.stored<condition_node>();
    const auto index = static_cast<std::uint32_t>(node.began);
    const std::uint64_t process = is_dead ? 1'000'000 : open.in().participant_number();
    waiters_of(open)[index] = {cairn::detail::make_thread_token(process, planted_thread + index), node.began};
    ++node.began;
}

// How many of the planted ones, not of the dead, still wait. Takes both locks.
std::string count_planted(const cairn::manager& m) {
    const auto l = m.lock("lock");
    l.lock();
    l.unlock();
    const opened_sync open(condition_in(m));
    const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    int count = 0;
    for (const cairn::detail::condition_waiter& each : waiters_of(open)) {
        const std::uint32_t thread = cairn::detail::thread_of(each.thread);
        if (each.thread != 0 && each.ticket >= open.stored<condition_node>().released &&
            thread < planted_thread + 4 && cairn::detail::participant_of(each.thread) != 1'000'000)
            ++count;
    }
    return std::to_string(count) + " waiting";
}

// Waits for a moment, as somebody does who polls.
void wait_in_vain(const cairn::manager& m) {
    const auto l = m.lock("lock");
    std::unique_lock lock(l);
    static_cast<void>(condition_in(m).wait_for(lock, std::chrono::seconds(0)));
}

void add_condition_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::condition&, std::unique_lock<const cairn::mutex>&)>;
    const auto add = [&](const std::string& member, const std::string& state, int before, int after,
                         const operation& what, const std::function<void(const cairn::condition&)>& shape) {
        sync_row row;
        row.name = "condition " + member + ", " + state;
        row.covers = {"condition::" + member};
        row.before = std::to_string(before) + " waiting";
        row.after = std::to_string(after) + " waiting";
        row.prepare = [shape](const cairn::manager& m) {
            if (shape) wait_in_vain(m);  // there are places then
            static_cast<void>(m.lock("lock"));
            const auto c = condition_in(m);
            if (shape) shape(c);
        };
        row.operation = [what](const cairn::manager& m) {
            const auto l = m.lock("lock");
            std::unique_lock lock(l, std::defer_lock);
            what(condition_in(m), lock);
        };
        row.read = count_planted;
        row.neighbour = wait_in_vain;
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto c = condition_in(m);
            c.notify_all();
            for (int i = 0; i < 3; ++i) wait_in_vain(m);
            if (c.waiting() != 0) throw lab_failure("going on: somebody waits who was notified");
        };
        add_sync_row(table, std::move(row));
    };
    const auto two = [](const cairn::condition& c) {
        opened_sync(c).stored<condition_node>().released = opened_sync(c).stored<condition_node>().began;
        plant_waiter(c);
        plant_waiter(c);
    };
    const auto dead_one_first = [](const cairn::condition& c) {
        opened_sync(c).stored<condition_node>().released = opened_sync(c).stored<condition_node>().began;
        plant_waiter(c, true);
        plant_waiter(c);
    };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::condition& c) {
        const auto l = c.manager().lock("lock");
        std::thread([&] {
            std::unique_lock lock(l);
            static_cast<void>(c.wait_for(lock, std::chrono::milliseconds(5)));
        }).join();
        two(c);
    };
    const auto hour = std::chrono::hours(1);
    const auto moment = std::chrono::milliseconds(5);
    add("notify_one", "nobody waits", 0, 0, [](const auto& c, auto&) { c.notify_one(); }, {});
    add(
        "notify_one", "two wait", 2, 1, [](const auto& c, auto&) { c.notify_one(); }, two);
    add(
        "notify_one", "somebody slept", 2, 1, [](const auto& c, auto&) { c.notify_one(); }, with_sleeper);
    add(
        "notify_one", "who has waited longest is dead", 1, 0, [](const auto& c, auto&) { c.notify_one(); },
        dead_one_first);
    add(
        "notify", "as many as wait", 2, 0, [](const auto& c, auto&) { c.notify(2); }, two);
    add(
        "notify_all", "somebody slept", 2, 0, [](const auto& c, auto&) { c.notify_all(); }, with_sleeper);
    add("wait_for", "the first ever, until its limit", 0, 0,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_for(lock, moment));
        },
        {});
    add(
        "wait_for", "behind two, until its limit", 2, 2,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_for(lock, moment));
            lock.unlock();
        },
        two);
    add(
        "wait_until", "behind two, until its limit", 2, 2,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_until(lock, std::chrono::steady_clock::now() + moment));
        },
        two);
    add(
        "wait", "and a stop", 2, 2,
        [=](const auto& c, auto& lock) {
            std::stop_source source;
            source.request_stop();
            lock.lock();
            static_cast<void>(c.wait(lock, source.get_token()));
            static_cast<void>(c.wait_for(lock, hour, [] { return true; }));
        },
        two);

    sync_row made;
    made.name = "manager condition";
    made.covers = {"manager::condition"};
    made.before = "none";
    made.after = "one";
    made.operation = [](const cairn::manager& m) { static_cast<void>(condition_in(m)); };
    made.read = [](const cairn::manager& m) {
        if (!m.contains("condition")) return "none";
        condition_in(m).notify_all();
        return "one";
    };
    made.neighbour = [](const cairn::manager& m) { condition_in(m).notify_one(); };
    made.with_neighbour = [](const std::string&) { return std::string("one"); };
    made.go_on = wait_in_vain;
    add_sync_row(table, std::move(made));
}

// ---- barriers ----------------------------------------------------------------------------------------------------------

using cairn::detail::barrier_node;

cairn::barrier barrier_in(const cairn::manager& m) {
    return m.barrier("barrier", 2);
}

constexpr std::uint64_t first_round = 1000;

// Takes its lock. The victim does not count where it has come and died: whoever waits finds that out, and breaks the barrier.
std::string read_barrier(const cairn::manager& m, std::uint32_t planted) {
    const opened_sync open(barrier_in(m));
    const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    const barrier_node& node = open.stored<barrier_node>();
    return "round " + std::to_string(node.round - first_round) + ", " +
           (node.is_broken != 0 ? "broken" : std::to_string(std::min(node.arrived, planted)) + " come");
}

void enroll_if_whole(const cairn::manager& m) {
    try {
        barrier_in(m).enroll();
    } catch (const cairn::broken_barrier&) {
        // By the victim.
    }
}

void add_barrier_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::barrier&)>;
    const auto add = [&](const std::string& member, const std::string& state, std::uint32_t planted,
                         const std::string& before, const std::string& after, const operation& what,
                         const operation& shape = {}) {
        sync_row row;
        row.name = "barrier " + member + ", " + state;
        row.covers = {"barrier::" + member};
        row.before = before;
        row.after = after;
        row.prepare = [shape, planted](const cairn::manager& m) {
            const opened_sync open(barrier_in(m));
            open.stored<barrier_node>().round = first_round;
            open.stored<barrier_node>().arrived = planted;
            if (shape) shape(open);
        };
        row.operation = [what](const cairn::manager& m) { what(barrier_in(m)); };
        row.read = [planted](const cairn::manager& m) { return read_barrier(m, planted); };
        row.neighbour = enroll_if_whole;
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto b = barrier_in(m);
            b.reset();
            for (int i = 0; i < 3; ++i) {
                std::thread other([&] { static_cast<void>(b.arrive_and_wait()); });
                static_cast<void>(b.arrive_and_wait());
                other.join();
            }
            if (b.broken() || b.waiting() != 0)
                throw lab_failure("going on: a barrier of the living is broken");
        };
        add_sync_row(table, std::move(row));
    };
    const auto moment = std::chrono::milliseconds(5);
    const auto hour = std::chrono::hours(1);
    const auto in_vain = [](const auto& wait) {
        try {
            static_cast<void>(wait());
        } catch (const cairn::broken_barrier&) {
            // Its time was up.
        }
    };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::barrier& b) {
        std::thread([&] { in_vain([&] { return b.wait_for(moment); }); }).join();
        b.reset();
        opened_sync(b).stored<barrier_node>().round = first_round;
        opened_sync(b).stored<barrier_node>().arrived = 1;
    };
    const auto arrive = [](const cairn::barrier& b) { static_cast<void>(b.arrive_and_wait()); };
    add("arrive_and_wait", "as the last", 1, "round 0, 1 come", "round 1, 0 come", arrive);
    add("arrive_and_wait", "as the last, and somebody slept", 1, "round 0, 1 come", "round 1, 0 come", arrive,
        with_sleeper);
    add("wait_for", "as the last", 1, "round 0, 1 come", "round 1, 0 come",
        [=](const cairn::barrier& b) { static_cast<void>(b.wait_for(hour)); });
    add("wait_for", "as the first, until its limit", 0, "round 0, 0 come", "round 1, broken",
        [=](const cairn::barrier& b) { in_vain([&] { return b.wait_for(moment); }); });
    add("wait_until", "as the first, until its limit", 0, "round 0, 0 come", "round 1, broken",
        [=](const cairn::barrier& b) {
            in_vain([&] { return b.wait_until(std::chrono::steady_clock::now() + moment); });
        });
    add("abort", "one has come", 1, "round 0, 1 come", "round 1, broken",
        [](const cairn::barrier& b) { b.abort(); });
    add(
        "reset", "broken", 0, "round 1, broken", "round 1, 0 come",
        [](const cairn::barrier& b) { b.reset(); }, [](const cairn::barrier& b) { b.abort(); });
    add(
        "reset", "one has come, and processes take part", 1, "round 0, 1 come", "round 1, 0 come",
        [](const cairn::barrier& b) { b.reset(); }, [](const cairn::barrier& b) { b.enroll(); });
    add("enroll", "the first", 1, "round 0, 1 come", "round 0, 1 come",
        [](const cairn::barrier& b) { b.enroll(); });

    sync_row made;
    made.name = "manager barrier";
    made.covers = {"manager::barrier"};
    made.before = "none";
    made.after = "one";
    made.operation = [](const cairn::manager& m) { static_cast<void>(barrier_in(m)); };
    made.read = [](const cairn::manager& m) {
        if (!m.contains("barrier")) return "none";
        const opened_sync open(barrier_in(m));
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        return "one";
    };
    made.neighbour = enroll_if_whole;
    made.with_neighbour = [](const std::string&) { return std::string("one"); };
    made.go_on = [](const cairn::manager& m) { barrier_in(m).abort(); };
    add_sync_row(table, std::move(made));
}

// ---- latches -----------------------------------------------------------------------------------------------------------

cairn::latch latch_in(const cairn::manager& m) {
    return m.latch("latch", 3);
}

// Takes its lock, too.
std::string read_latch(const cairn::manager& m) {
    const auto l = latch_in(m);
    l.count_down(0);
    return std::to_string(l.remaining()) + " to come";
}

void add_latch_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::latch&)>;
    const auto add = [&](const std::string& member, const std::string& state, int before, int after,
                         const operation& what, const operation& shape = {}) {
        sync_row row;
        row.name = "latch " + member + ", " + state;
        row.covers = {"latch::" + member};
        row.before = std::to_string(before) + " to come";
        row.after = std::to_string(after) + " to come";
        row.prepare = [shape](const cairn::manager& m) {
            const auto l = latch_in(m);
            if (shape) shape(l);
        };
        row.operation = [what](const cairn::manager& m) { what(latch_in(m)); };
        row.read = read_latch;
        // Waits for its lock, and counts nothing.
        row.neighbour = [](const cairn::manager& m) { static_cast<void>(read_latch(m)); };
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto l = latch_in(m);
            l.count_down(static_cast<std::int64_t>(l.remaining()));
            l.wait();
            if (!l.try_wait()) throw lab_failure("going on: a latch that was counted down is not at 0");
        };
        add_sync_row(table, std::move(row));
    };
    const auto moment = std::chrono::milliseconds(5);
    const auto hour = std::chrono::hours(1);
    const auto to_one = [](const cairn::latch& l) { l.count_down(2); };
    const auto to_zero = [](const cairn::latch& l) { l.count_down(3); };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::latch& l) {
        to_one(l);
        std::thread([&] { static_cast<void>(l.wait_for(moment)); }).join();
    };
    add("count_down", "by one", 3, 2, [](const cairn::latch& l) { l.count_down(); });
    add(
        "count_down", "the last one, and somebody slept", 1, 0, [](const cairn::latch& l) { l.count_down(); },
        with_sleeper);
    add(
        "arrive_and_wait", "the last one", 1, 0, [](const cairn::latch& l) { l.arrive_and_wait(); }, to_one);
    add(
        "wait", "at 0", 0, 0, [](const cairn::latch& l) { l.wait(); }, to_zero);
    add("wait_for", "until its limit", 3, 3,
        [=](const cairn::latch& l) { static_cast<void>(l.wait_for(moment)); });
    add(
        "wait_until", "at 0", 0, 0,
        [=](const cairn::latch& l) {
            static_cast<void>(l.wait_until(std::chrono::steady_clock::now() + hour));
        },
        to_zero);

    sync_row made;
    made.name = "manager latch";
    made.covers = {"manager::latch"};
    made.before = "none";
    made.after = "3 to come";
    made.operation = [](const cairn::manager& m) { static_cast<void>(latch_in(m)); };
    made.read = [](const cairn::manager& m) {
        return m.contains("latch") ? read_latch(m) : std::string("none");
    };
    made.neighbour = [](const cairn::manager& m) { latch_in(m).count_down(0); };
    made.with_neighbour = [](const std::string&) { return std::string("3 to come"); };
    made.go_on = [](const cairn::manager& m) { latch_in(m).count_down(); };
    add_sync_row(table, std::move(made));
}

}  // namespace

void add_meeting_rows(experiment_table& table) {
    add_condition_rows(table);
    add_barrier_rows(table);
    add_latch_rows(table);
}

}  // namespace cairn_test
