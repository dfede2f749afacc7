// service_named_test.cpp - managers with a name: what their segment says of them, orders that others leave there, and two of one name.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/managed.hpp"
#include "support/scratch.hpp"
#include "support/service_sets.hpp"
#include <cairn/cairn.hpp>

namespace service_named_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

struct worker : cairn::service {
    static constexpr auto name = "worker";
    void run() override {
        say("runs " + std::to_string(worker_id()));
        while (!stop_requested()) {
            beat();
            std::this_thread::sleep_for(1ms);
        }
    }
    void terminate() override { wait_for_run(); }
};

struct reloader : cairn::service {
    static constexpr auto name = "reloader";
    void reload() override { say("reloads " + std::to_string(pid())); }
};

struct brittle : cairn::service {
    static constexpr auto name = "brittle";
    void run() override { std::exit(7); }
};

struct done : cairn::service {
    static constexpr auto name = "done";
    void run() override { say("done"); }
};

// What the segment says; nothing where there is none.
std::optional<cairn::service_set_facts> set_of(const std::string& segment) {
    try {
        auto all = cairn::inspection(segment).service_sets();
        if (!all.empty()) return std::move(all.front());
    } catch (const cairn::error&) {
        // Not there yet, or any more.
    }
    return std::nullopt;
}

// A set that its manager has not begun yet has no services: it is not asked about.
bool set_is(managed& m, const std::string& segment,
            const std::function<bool(const cairn::service_set_facts&)>& condition) {
    return m.comes_true([&] {
        m.output();
        const auto set = set_of(segment);
        return set && !set->services.empty() && condition(*set);
    });
}

bool is_ready(const cairn::service_worker_facts& of) {
    return of.process && of.process->state == "ready" && of.process->alive == cairn::presence::alive &&
           !of.successor;
}

// All workers of that service are ready, and no others are there.
bool is_up(const cairn::service_set_facts& set, std::size_t service = 0) {
    if (set.services.size() <= service) return false;
    const cairn::service_facts& of = set.services[service];
    return of.workers.size() == of.wanted_worker_count &&
           std::all_of(of.workers.begin(), of.workers.end(), is_ready);
}

std::vector<pid_t> pids_of(const cairn::service_set_facts& set, std::size_t service = 0) {
    std::vector<pid_t> all;
    for (const cairn::service_worker_facts& each : set.services.at(service).workers)
        if (each.process) all.push_back(each.process->pid);
    return all;
}

pid_t nursery_of(const managed& m) {
    return find_descendant(m.pid(), "cairn-nursery");
}

}  // namespace

TEST_CASE("the segment says who manages, who looks after the workers, and what each of them does") {
    const scratch_name name;
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<worker>({.workers = 2, .restart = cairn::restart::transient});
            sm.add<reloader>();
        },
        {.name = name});
    REQUIRE(set_is(m, name,
                   [](const auto& set) { return is_up(set, 0) && is_up(set, 1) && set.supervisor != 0; }));
    auto set = set_of(name).value();
    CHECK(set.name == "services");
    CHECK(set.state == "running");
    CHECK(set.manager == m.pid());
    CHECK(set.manager_alive == cairn::presence::alive);
    CHECK(set.supervisor == nursery_of(m));
    CHECK(set.program == name_of_process(m.pid()));
    CHECK(set.services[0].name == "worker");
    CHECK(set.services[0].restart == "transient");
    CHECK(set.services[1].restart == "permanent");
    const pid_t first = m.worker("worker", 0);
    CHECK(pids_of(set) == std::vector<pid_t>{first, m.worker("worker", 1)});
    // The beat is seen when the nursery looks: each second.
    CHECK(set_is(m, name, [](const auto& now) {
        return now.services[0].workers[0].process && now.services[0].workers[0].process->beat_seconds;
    }));
    send(first, SIGKILL);
    CHECK(set_is(m, name, [&](const auto& now) { return is_up(now) && pids_of(now).front() != first; }));
    set = set_of(name).value();
    CHECK(set.services[0].restarts == 1);
    CHECK(set.services[0].workers[0].restarts == 1);
    CHECK(set.services[0].workers[1].restarts == 0);
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
    CHECK(m.end() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a second manager of the name is refused, and told by whom; after the first it runs") {
    const scratch_name name;
    managed first([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    REQUIRE(set_is(first, name, [](const auto& set) { return is_up(set); }));
    {
        managed second([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
        CHECK(second.join() == 99);
        CHECK(second.count("run services '" + name.get() + "': a manager runs under that name, process " +
                           std::to_string(first.pid()) + " (" + name_of_process(first.pid()) + ")") == 1);
        CHECK(second.count("runs") == 1);  // of the message
    }
    CHECK(set_of(name).value().manager == first.pid());
    CHECK(first.end() == 0);
    managed third([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    CHECK(set_is(third, name, [](const auto& set) { return is_up(set); }));
    CHECK(third.end() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("two managers of one name are started at once, many times: just one of them runs") {
    const scratch_name name;
    for (int round = 0; round < 10; ++round) {
        const auto body = [](cairn::service_manager& sm) { sm.add<worker>(1); };
        managed a(body, {.name = name});
        managed b(body, {.name = name});
        REQUIRE(a.comes_true([&] {
            return a.count("thrown: run services") + b.count("thrown: run services") == 1 &&
                   a.count("runs 0") + b.count("runs 0") == 1;
        }));
        managed& loser = a.count("thrown:") == 1 ? a : b;
        CHECK(loser.join() == 99);
        CHECK((&loser == &a ? b : a).end() == 0);
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("a manager that was killed is taken over at once, while its workers are on their way") {
    const scratch_name name;
    struct slow_end : worker {
        void terminate() override {
            say("told to end");
            std::this_thread::sleep_for(1s);
        }
    };
    const auto body = [](cairn::service_manager& sm) { sm.add<slow_end>(2); };
    managed first(body, {.name = name});
    REQUIRE(set_is(first, name, [](const auto& set) { return is_up(set); }));
    const std::vector<pid_t> before = first.everybody();
    send(first.pid(), SIGKILL);
    CHECK(first.join() == -SIGKILL);
    managed second(body, {.name = name});
    CHECK(set_is(second, name, [&](const auto& set) { return set.manager == second.pid() && is_up(set); }));
    CHECK(first.says("told to end", 2));
    CHECK(have_ended(before, patiently(20s)));
    // What those of before did to the end is nothing that the new one's set has heard of.
    const auto set = set_of(name).value();
    CHECK(set.manager == second.pid());
    CHECK(set.supervisor == nursery_of(second));
    CHECK(set.state == "running");
    CHECK(is_up(set));
    CHECK(set.services[0].restarts == 0);
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
    CHECK(second.end() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("a manager that is killed and not followed by another takes its segment along") {
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<worker>(2); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set); }));
    const std::vector<pid_t> all = m.everybody();
    send(m.pid(), SIGKILL);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(m.join() == -SIGKILL);
    CHECK_FALSE(name.exists());
}

TEST_CASE(
    "orders of another process: scaled up and down, reloaded in place and by turns, restarted, stopped") {
    const scratch_name name;
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<worker>(2);
            sm.add<reloader>(1);
            sm.register_hooks({.on_terminate = [] { say("hook of the end"); }});
        },
        {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set, 0) && is_up(set, 1); }));
    std::optional<cairn::service_control> control(name.get());
    control->scale("worker", 4);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 4 && is_up(set); }));
    CHECK(m.worker("worker", 3) != 0);
    control->scale("worker", 1);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 1 && is_up(set); }));

    // Each as its class has it: another process, or the same.
    const pid_t one = m.worker("worker", 0);
    const pid_t other = m.worker("reloader", 0);
    control->reload();
    CHECK(m.says("reloads " + std::to_string(other)));
    CHECK(set_is(m, name, [&](const auto& set) { return is_up(set) && pids_of(set).front() != one; }));
    CHECK(m.worker("reloader", 0) == other);
    // Of one alone.
    const pid_t next = m.worker("worker", 0);
    control->reload("reloader");
    CHECK(m.says("reloads " + std::to_string(other), 2));
    CHECK(m.worker("worker", 0) == next);

    // Another process in any case.
    control->restart("reloader");
    CHECK(m.worker("reloader", 0, other) != 0);
    CHECK(
        set_is(m, name, [&](const auto& set) { return is_up(set, 1) && pids_of(set, 1).front() != other; }));
    CHECK(m.worker("worker", 0) == next);
    // What comes after it is in place again.
    const pid_t last = m.worker("reloader", 0);
    control->reload("reloader");
    CHECK(m.says("reloads " + std::to_string(last)));
    CHECK(set_is(m, name, [](const auto& set) { return set.waiting_orders == 0; }));
    CHECK(m.count("hook of the end") == 0);
    control->stop();
    control.reset();
    CHECK(m.join() == 0);
    CHECK(m.count("hook of the end") == 1);
    CHECK_FALSE(name.exists());
}

TEST_CASE("an order to kill ends workers that do not want to end, and run() returns 1") {
    struct stubborn : cairn::service {
        void run() override { say("is there"); }
        void terminate() override { std::this_thread::sleep_for(300s); }
    };
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<stubborn>(2); }, {.name = name});
    REQUIRE(m.says("is there", 2));
    const std::vector<pid_t> all = m.everybody();
    const cairn::service_control control(name);
    control.stop();
    CHECK(set_is(m, name, [](const auto& set) { return set.state == "stopping"; }));
    control.stop(true);
    CHECK(m.join() == 1);
    CHECK(have_ended(all, patiently(20s)));
}

TEST_CASE("orders are obeyed while the manager is stopped; while the nursery is, they wait") {
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    const cairn::service_control control(name);
    send(m.pid(), SIGSTOP);
    control.scale("worker", 3);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 3 && is_up(set); }));
    const std::vector<pid_t> before = pids_of(set_of(name).value());
    control.restart();
    CHECK(set_is(m, name, [&](const auto& set) {
        const std::vector<pid_t> now = pids_of(set);
        return is_up(set) &&
               std::find_first_of(now.begin(), now.end(), before.begin(), before.end()) == now.end();
    }));
    send(m.pid(), SIGCONT);

    const pid_t nursery = nursery_of(m);
    send(nursery, SIGSTOP);
    control.scale("worker", 2);
    control.reload();
    CHECK(set_is(m, name, [](const auto& set) { return set.waiting_orders == 2; }));
    CHECK(m.titled(": worker worker(2)").size() == 1);
    send(nursery, SIGCONT);
    CHECK(set_is(m, name, [](const auto& set) {
        return set.waiting_orders == 0 && set.services[0].wanted_worker_count == 2 && is_up(set);
    }));
    CHECK(m.end() == 0);
}

TEST_CASE("the nursery is killed: its guardian is in the segment, and obeys") {
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<worker>(2); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    const pid_t guardian = find_descendant(m.pid(), "cairn-guardian");
    const std::vector<pid_t> before = pids_of(set_of(name).value());
    const pid_t nursery = nursery_of(m);
    // An order that waits is the guardian's then.
    send(nursery, SIGSTOP);
    cairn::service_control(name.get()).scale("worker", 3);
    send(nursery, SIGKILL);
    CHECK(set_is(m, name, [&](const auto& set) {
        return set.supervisor == guardian && set.services[0].wanted_worker_count == 3 && is_up(set);
    }));
    const std::vector<pid_t> now = pids_of(set_of(name).value());
    CHECK(std::vector<pid_t>(now.begin(), now.begin() + 2) == before);
    CHECK(m.end() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("whoever is stopped or killed in the middle of an order holds up no worker") {
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<worker>(2); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    child holder([&] {
        const cairn::manager in = cairn::manager::open(name.get());
        const bare_set set(in, "services");
        auto tx = set.begin();
        tx.begin_change();
        tx.store(set.service(0).target, 17);
        ::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    // It has the lock. Two deaths, the second after its replacement had to be said.
    for (pid_t victim = m.worker("worker", 0), round = 0; round < 2; ++round) {
        REQUIRE(m.says("runs 0", static_cast<int>(round) + 1));
        send(victim, SIGKILL);
        victim = m.worker("worker", 0, victim);
        REQUIRE(victim != 0);
    }
    CHECK(m.says("runs 0", 3));
    managed second([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    CHECK(second.says("thrown: run services '" + std::string(name) + "': its lock was not free within"));
    CHECK(second.join() == 99);
    holder.kill();
    CHECK(set_is(m, name, [](const auto& set) {
        return is_up(set) && set.services[0].restarts == 2 && set.services[0].wanted_worker_count == 2;
    }));
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
    CHECK(m.end() == 0);
}

TEST_CASE("reconfigure() is seen by others, and what others have ordered may be changed by it") {
    const scratch_name name;
    managed m([&]() -> int {
        cairn::service_manager sm({.name = name});
        const cairn::service_id id = sm.add<worker>(1);
        sm.register_hooks({.on_reload = [&] { sm.reconfigure(id, 2); }});
        return sm.run();
    });
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set); }));
    const cairn::service_control control(name);
    control.scale("worker", 4);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 4 && is_up(set); }));
    m.signal(SIGHUP);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 2 && is_up(set); }));
    control.scale("worker", 3);
    CHECK(set_is(m, name,
                 [](const auto& set) { return set.services[0].wanted_worker_count == 3 && is_up(set); }));
    CHECK(m.end() == 0);
}

TEST_CASE("program and order want different numbers at the same moment: the program's counts") {
    const scratch_name name;
    managed m([&]() -> int {
        cairn::service_manager sm({.name = name});
        const cairn::service_id id = sm.add<worker>(1);
        sm.register_hooks({.on_reload = [&] {
            sm.reconfigure(id, 2);
            say("wants two");
        }});
        return sm.run();
    });
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    const pid_t nursery = nursery_of(m);
    send(nursery, SIGSTOP);
    cairn::service_control(name.get()).scale("worker", 4);
    m.signal(SIGHUP);
    REQUIRE(m.says("wants two"));
    send(nursery, SIGCONT);
    CHECK(set_is(m, name, [](const auto& set) {
        return set.services[0].wanted_worker_count == 2 && is_up(set) && set.waiting_orders == 0;
    }));
    CHECK(m.end() == 0);
}

TEST_CASE("in a full segment services run as ever; what they do is shown as far as there is room") {
    const scratch_name name;
    const cairn::manager own =
        cairn::manager::create(name.get(), {.max_size = 512 << 10, .initial_size = 512 << 10});
    managed m([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    const auto ballast = own.list<std::string>("ballast");
    for (const std::size_t bytes : {4096U, 100U, 8U})
        CHECK_THROWS_AS(for (;;) ballast.push_back(std::string(bytes, 'b')), cairn::segment_full);
    cairn::service_control(own).scale("worker", 100);
    CHECK(m.says("what services do is not shown in full"));
    CHECK(m.says("runs 99"));
    const pid_t first = m.worker("worker", 0);
    send(first, SIGKILL);
    CHECK(m.worker("worker", 0, first) != 0);
    CHECK(set_is(m, name, [](const auto& set) {
        return set.services[0].wanted_worker_count == 100 && set.services[0].restarts == 1 &&
               is_ready(set.services[0].workers[0]);
    }));
    CHECK(own.remove("ballast"));
    CHECK(set_is(m, name, [](const auto& set) { return is_up(set); }));
    CHECK(cairn::inspection(name.get()).verify().problems.empty());
    CHECK(m.end() == 0);
}

TEST_CASE(
    "a service that was given up, and workers that have done their work, have another chance by restart") {
    const scratch_name name;
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<worker>(1);
            sm.add<brittle>({.max_restarts = 2, .within = 100s, .backoff = {1ms, 1ms}});
            sm.add<done>({.restart = cairn::restart::temporary});
        },
        {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return set.services[1].is_given_up; }));
    CHECK(set_of(name).value().services[1].restarts == 2);
    CHECK(m.says("done"));
    const cairn::service_control control(name);
    control.restart("brittle");
    CHECK(set_is(m, name, [](const auto& set) {
        return set.services[1].is_given_up && set.services[1].restarts == 4;
    }));
    control.restart("done");
    CHECK(m.says("done", 2));
    CHECK(m.end() == 0);
}

TEST_CASE("services may be in a segment that has the program's own objects, and leave it as it is") {
    const scratch_name name;
    const cairn::manager own = cairn::manager::create(name.get());
    const auto results = own.list<int>("results", {1, 2, 3});
    {
        managed m([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
        CHECK(set_is(m, name, [](const auto& set) { return is_up(set); }));
        CHECK(m.end() == 0);
    }
    CHECK(results.size() == 3);
    CHECK(set_of(name).value().state == "over");
    CHECK(own.contains("services"));
    CHECK(own.remove("services"));
    own.list<int>("services");
    managed m([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    CHECK(m.join() == 99);
    CHECK(m.count("asked for service_set") == 1);
}

TEST_CASE("the segment is removed under a manager: its services go on without") {
    const scratch_name name;
    managed m([](cairn::service_manager& sm) { sm.add<worker>(1); }, {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set) && set.supervisor != 0; }));
    CHECK(cairn::manager::open(name.get()).remove("services"));
    const pid_t first = m.worker("worker", 0);
    send(first, SIGKILL);
    CHECK(m.worker("worker", 0, first) != 0);
    CHECK(m.says("services can no longer be looked at or ordered about"));
    CHECK(m.end() == 0);
}

TEST_CASE("what cannot be ordered is refused, with the reason") {
    CHECK(in_child([] {
              cairn::service_manager sm({.name = "many"});
              for (int i = 0; i < 4097; ++i) sm.add<done>();
              CHILD_CHECK(contains(thrown_by<cairn::invalid_argument>([&] { sm.run(); }), "4097 services"));
              cairn::service_manager misnamed({.name = "a/b"});
              misnamed.add<done>();
              static_cast<void>(thrown_by<cairn::invalid_name>([&] { misnamed.run(); }));
          }) == 0);
    const scratch_name name;
    CHECK_THROWS_AS(cairn::service_control(name.get()), cairn::no_such_segment);
    const cairn::manager own = cairn::manager::create(name.get());
    CHECK_THROWS_AS(cairn::service_control(name.get()), cairn::no_such_object);
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<worker>(1);
            sm.add<reloader>(1);
            sm.add<reloader>(1);
        },
        {.name = name});
    REQUIRE(set_is(m, name, [](const auto& set) { return is_up(set); }));
    const cairn::service_control control(own);
    CHECK_THROWS_AS(control.scale("worker", -1), cairn::invalid_argument);
    CHECK_THROWS_AS(control.scale("worker", 4097), cairn::invalid_argument);
    CHECK_THROWS_AS(control.scale("nobody", 1), cairn::no_such_object);
    CHECK_THROWS_AS(control.scale("reloader", 1), cairn::invalid_argument);
    CHECK_THROWS_AS(control.reload("nobody"), cairn::no_such_object);
    CHECK_THROWS_AS(control.restart("nobody"), cairn::no_such_object);
    CHECK(set_of(name).value().waiting_orders == 0);
    const cairn::service_control reader(name, {.mode = cairn::open_mode::read_only});
    CHECK_THROWS_AS(reader.reload(), cairn::permission_denied);
    const std::vector<pid_t> all = m.everybody();
    send(m.pid(), SIGKILL);
    CHECK(m.join() == -SIGKILL);
    CHECK(have_ended(all, patiently(20s)));
    CHECK_THROWS_AS(control.scale("worker", 2), cairn::invalid_state);
    CHECK_THROWS_AS(control.stop(), cairn::invalid_state);
}

}  // namespace service_named_test
