// service_set_test.cpp - the steps in the life of a set of services, one by one, without processes.
// SPDX-License-Identifier: BSL-1.0
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/service_sets.hpp"
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace service_set_test {

using namespace cairn_test;
using stored::service_stage;
using stored::set_stop;

namespace {

struct fixture {
    cairn::manager m;
    bare_set set{m};
    ~fixture() { CHECK(set.problem() == ""); }
};

}  // namespace

TEST_CASE_FIXTURE(fixture, "a set says what its manager has added, and nothing of the manager before") {
    CHECK(set.node().manager == 0);
    CHECK(set.node().service_count == 0);
    REQUIRE(set.run(4711, 3));
    set.supervise(4712);
    set.start(2, 1, 99);
    set.order_target(2, 9);
    set.order_stop(set_stop::kill);
    REQUIRE(set.run(815, 2));
    const auto& node = set.node();
    CHECK(node.incarnation == 2);
    CHECK(node.manager == 815);
    CHECK(node.supervisor == 0);
    CHECK(node.orders == 0);
    CHECK(node.stop == set_stop::none);
    REQUIRE(node.service_count == 2);
    CHECK(stored::program_of_manager(node) == "program");
    CHECK(stored::name_of_service(set.service(1)) == "service-1");
    CHECK(set.service(1).target == 2);
    CHECK(set.service(1).place_capacity == 0);
    CHECK_THROWS_AS(static_cast<void>(set.service(2)), cairn::corrupt_segment);
}

TEST_CASE_FIXTURE(fixture, "only a manager that lives counts as running") {
    set.run(cairn::detail::os::own_identity(), 1);
    CHECK(stored::running_manager(set.node()) == cairn::detail::os::own_identity());
    // The same process id with another start time: the pid was used again.
    set.run(cairn::detail::os::own_identity() + (std::uint64_t{1} << 40), 1);
    CHECK(stored::running_manager(set.node()) == 0);
    set.run(cairn::detail::os::own_identity(), 1);
    set.end();
    CHECK(stored::running_manager(set.node()) == 0);
}

TEST_CASE_FIXTURE(fixture,
                  "there is room for as many workers as are wanted, and those of before stay as they are") {
    set.run(1, 2);
    for (std::uint32_t i = 0; i < 37; ++i) CHECK(set.start(1, i, 100 + i));
    CHECK(set.service(1).place_capacity == 64);
    for (std::uint32_t i = 0; i < 37; ++i) CHECK(set.place(1, i).current.identity == 100 + i);
    CHECK(set.place(1, 37).current.identity == 0);
    CHECK(set.start(1, stored::most_service_workers - 1, 7));
    CHECK(set.service(1).place_capacity == stored::most_service_workers);
    CHECK(set.place(1, 36).current.identity == 136);
}

TEST_CASE_FIXTURE(fixture, "a death, its restart and what it means for the service are one step") {
    set.run(1, 2);
    set.start(1, 0, 100);
    set.start(1, 1, 101);
    set.die(1, 1);
    CHECK(set.place(1, 1).current.identity == 0);
    CHECK(set.place(1, 1).restarts == 1);
    CHECK(set.service(1).restarts == 1);
    CHECK(set.service(1).has_given_up == 0);
    set.die(1, 0, true);
    CHECK(set.service(1).restarts == 2);
    CHECK(set.service(1).has_given_up == 1);
}

TEST_CASE_FIXTURE(fixture, "a stop only grows, and each order is counted") {
    set.run(1, 2);
    set.order_stop(set_stop::graceful);
    set.order_stop(set_stop::graceful);
    CHECK(set.node().orders == 1);
    set.order_stop(set_stop::kill);
    set.order_stop(set_stop::graceful);
    CHECK(set.node().stop == set_stop::kill);
    CHECK(set.node().orders == 2);
    set.order_target(0, 5);
    CHECK(set.service(0).target == 5);
    CHECK(set.service(0).target_orders == 1);
    set.order_reload();
    set.order_restart();
    CHECK(set.service(1).reload_orders == 1);
    CHECK(set.service(1).restart_orders == 1);
    CHECK(set.service(1).target_orders == 0);
    CHECK(set.node().orders == 5);
}

TEST_CASE_FIXTURE(fixture, "what is stored already is not stored again; a beat is no news") {
    set.run(1, 1);
    set.start(0, 2, 50);
    stored::service_place_entry same = set.place(0, 2);
    CHECK(stored::is_stored(set.in(), set.service(0), 2, same));
    same.current.last_beat = 7;
    CHECK(stored::is_stored(set.in(), set.service(0), 2, same));
    same.current.stage = static_cast<std::uint64_t>(service_stage::stopping);
    CHECK_FALSE(stored::is_stored(set.in(), set.service(0), 2, same));
    CHECK(stored::is_stored(set.in(), set.service(0), 1, {}));
    CHECK(stored::is_stored(set.in(), set.service(0), 100, {}));
    CHECK_FALSE(stored::is_stored(set.in(), set.service(0), 100, same));
}

TEST_CASE("workers that lie outside in part are not copied to a larger place") {
    const scratch_name name;
    // With room for that place, so that what lies outside stays outside.
    const auto m = cairn::manager::create(name.get(), {.initial_size = 4 << 20});
    const bare_set set(m);
    set.run(1, 1);
    set.start(0, 0, 50);
    stored::service_entry& of = set.service(0);
    // The last entries of the segment, and said to be the first of many.
    of.places = set.in().committed_bytes() - 2 * sizeof(stored::service_place_entry);
    of.place_capacity = stored::most_service_workers / 2;
    CHECK_THROWS_AS(set.start(0, stored::most_service_workers / 2, 51), cairn::corrupt_segment);
}

TEST_CASE_FIXTURE(fixture, "an inspection of a set says which services make sense, and that one does not") {
    set.run(cairn::detail::os::own_identity(), 3);
    set.start(1, 0, cairn::detail::os::own_identity());
    std::uint32_t& capacity = set.service(2).place_capacity;
    capacity = stored::most_service_workers + 1;
    const auto all = cairn::inspection("pid:" + std::to_string(::getpid()) + "/" + m.name()).service_sets();
    capacity = 0;
    REQUIRE(all.size() == 1);
    CHECK(all.front().manager == ::getpid());
    CHECK(all.front().services.size() == 2);
    REQUIRE(all.front().notes.size() == 1);
    CHECK(all.front().notes.front().starts_with("damaged: "));
}

TEST_CASE_FIXTURE(fixture,
                  "an inspection shows a set: its processes, who waits, and what nobody has obeyed yet") {
    set.run(cairn::detail::os::own_identity(), 3);
    set.supervise(cairn::detail::os::own_identity());
    set.start(1, 0, cairn::detail::os::own_identity());
    set.start(2, 0, 1 << 20);
    set.start_next(2, 0, cairn::detail::os::own_identity());
    set.die(1, 1, true);
    set.order_reload();
    const auto all = cairn::inspection("pid:" + std::to_string(::getpid()) + "/" + m.name()).service_sets();
    REQUIRE(all.size() == 1);
    const cairn::service_set_facts& seen = all.front();
    CHECK(seen.notes.empty());
    CHECK(seen.name == bare_set::name);
    CHECK(seen.state == "running");
    CHECK(seen.manager == ::getpid());
    CHECK(seen.manager_alive == cairn::presence::alive);
    CHECK(seen.supervisor == ::getpid());
    CHECK(seen.program == "program");
    CHECK(seen.waiting_orders == 1);
    REQUIRE(seen.services.size() == 3);
    CHECK(seen.services[0].workers.empty());
    CHECK(seen.services[0].restart == "permanent");
    CHECK(seen.services[1].restart == "transient");
    CHECK(seen.services[1].is_given_up);
    CHECK(seen.services[1].restarts == 1);
    REQUIRE(seen.services[1].workers.size() == 2);
    REQUIRE(seen.services[1].workers[0].process);
    CHECK(seen.services[1].workers[0].process->pid == ::getpid());
    CHECK(seen.services[1].workers[0].process->alive == cairn::presence::alive);
    CHECK(seen.services[1].workers[0].process->state == "ready");
    CHECK_FALSE(seen.services[1].workers[1].process);
    CHECK(seen.services[1].workers[1].restarts == 1);
    REQUIRE(seen.services[2].workers.size() == 3);
    CHECK(seen.services[2].workers[0].process->alive == cairn::presence::dead);
    CHECK(seen.services[2].workers[0].successor->alive == cairn::presence::alive);
    set.end();
    CHECK(cairn::inspection("pid:" + std::to_string(::getpid()) + "/" + m.name()).service_sets()[0].state ==
          "over");
    CHECK(cairn::inspection("pid:" + std::to_string(::getpid()) + "/" + m.name()).verify().problems.empty());
}

}  // namespace service_set_test
