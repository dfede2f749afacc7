// barrier_process_test.cpp - barriers of several processes: parties that are killed, stopped, or end.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <stop_token>
#include <string>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/opened_sync.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace barrier_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

/// A child that comes and is seen to wait.
child waiter_of(const cairn::barrier& b) {
    const std::size_t before = b.waiting();
    child made([&] { static_cast<void>(b.arrive_and_wait()); });
    REQUIRE(eventually([&] { return b.waiting() == before + 1; }));
    return made;
}

std::string broken_by(const cairn::barrier& b) {
    return thrown_by<cairn::broken_barrier>([&] { static_cast<void>(b.arrive_and_wait()); });
}

}  // namespace

TEST_CASE("a barrier lets processes pass when all have come, round after round") {
    const cairn::manager m;
    constexpr unsigned parties = 4;
    constexpr unsigned rounds = 100;
    const auto b = m.barrier("b", parties);
    const shared_with_children<std::atomic<unsigned>> come;
    std::deque<child> others;
    const auto work = [&] {
        unsigned sum = 0;
        for (unsigned round = 1; round <= rounds; ++round) {
            ++*come;
            sum += static_cast<unsigned>(b.arrive_and_wait());
            // Nobody comes twice before all have come once.
            CHILD_CHECK(*come >= round * parties && *come <= (round + 1) * parties);
        }
        CHILD_CHECK(sum <= rounds * (parties - 1));
        // So that nobody ends while others are still to come.
        static_cast<void>(b.arrive_and_wait());
    };
    for (unsigned i = 0; i < parties; ++i) others.emplace_back(work);
    for (child& each : others) CHECK(each.join() == 0);
    CHECK(*come == rounds * parties);
    CHECK_FALSE(b.broken());
}

TEST_CASE("a party that is killed while it waits breaks the barrier, which names it (cpython#123899)") {
    const cairn::manager m;
    const auto b = m.barrier("b", 4);
    child dead = waiter_of(b);
    const std::string its_pid = "pid " + std::to_string(dead.pid());
    std::string said;
    std::thread waits([&] { said = broken_by(b); });
    REQUIRE(eventually([&] { return b.waiting() == 2; }));
    dead.kill();
    CHECK(dead.join() == -SIGKILL);
    waits.join();
    CHECK(contains(said, its_pid + " has taken part, and has ended"));
    CHECK(b.broken());
    // Also who comes later, at once.
    CHECK(contains(broken_by(b), its_pid));
    b.reset();
    CHECK_FALSE(b.broken());
    child one = waiter_of(b);
    child two = waiter_of(b);
    child three = waiter_of(b);
    CHECK(b.arrive_and_wait() == 3);
    CHECK(one.join() == 0);
    CHECK(two.join() == 0);
    CHECK(three.join() == 0);
}

TEST_CASE("a party of an earlier round that has ended breaks the next one") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    child other = waiter_of(b);
    const std::string its_pid = "pid " + std::to_string(other.pid());
    CHECK(b.arrive_and_wait() == 1);  // passed, whatever comes after it
    CHECK(other.join() == 0);
    CHECK_FALSE(b.broken());
    CHECK(contains(broken_by(b), its_pid));
    CHECK(b.broken());
}

TEST_CASE("one who is enrolled and dies before it has come breaks the barrier") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    const gate enrolled;
    child other([&] {
        b.enroll();
        enrolled.open();
        for (;;) ::pause();
    });
    REQUIRE(enrolled.wait());
    const std::string its_pid = "pid " + std::to_string(other.pid());
    CHECK_FALSE(b.broken());
    std::string said;
    std::thread waits([&] { said = broken_by(b); });
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    other.kill();
    CHECK(other.join() == -SIGKILL);
    waits.join();
    CHECK(contains(said, its_pid));
}

TEST_CASE("all the dead are named") {
    const cairn::manager m;
    const auto b = m.barrier("b", 4);
    child one = waiter_of(b);
    child two = waiter_of(b);
    const std::string first_pid = std::to_string(one.pid());
    const std::string second_pid = std::to_string(two.pid());
    // Not before both are dead: nobody else looks for them.
    one.kill();
    two.kill();
    CHECK(one.join() == -SIGKILL);
    CHECK(two.join() == -SIGKILL);
    const std::string said = broken_by(b);
    CHECK(contains(said, first_pid));
    CHECK(contains(said, second_pid));
}

TEST_CASE("a process that had nothing to do with it since the last reset breaks nothing by its death") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    CHECK(in_child([&] {
              b.enroll();
              CHILD_CHECK(b.parties() == 2);
          }) == 0);
    b.reset();
    CHECK(in_child([&] { CHILD_CHECK(!b.broken()); }) == 0);
    child other = waiter_of(b);
    CHECK(b.arrive_and_wait() == 1);
    CHECK(other.join() == 0);
}

TEST_CASE("a forked child is not the party that its parent is") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    b.enroll();
    CHECK(in_child([&] { ::_exit(0); }) == 0);
    std::thread other([&] { static_cast<void>(b.arrive_and_wait()); });
    static_cast<void>(b.arrive_and_wait());
    other.join();
    CHECK_FALSE(b.broken());
}

TEST_CASE("one who is killed with the barrier's lock has done nothing, and breaks nothing that it takes no "
          "part in") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    child other = waiter_of(b);
    CHECK(in_child([&] {
              const opened_sync open(b);
              const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(b.waiting() == 1);
    CHECK(b.arrive_and_wait() == 1);
    CHECK(other.join() == 0);
}

TEST_CASE(
    "a timed wait keeps its limit while somebody is stopped with the barrier's lock, and breaks it as soon "
    "as that is free") {
    const cairn::manager m;
    const auto b = m.barrier("b", 3);
    const gate time_is_up;
    const gate is_late;
    child late([&] {
        std::stop_source source;
        std::thread stopper([&] {
            static_cast<void>(time_is_up.wait());
            source.request_stop();
        });
        CHILD_CHECK(contains(thrown_by<cairn::broken_barrier>(
                                 [&] { static_cast<void>(b.arrive_and_wait(source.get_token())); }),
                             "the time was up"));
        is_late.open();
        stopper.join();
        for (;;) ::pause();
    });
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    child waits([&] { CHILD_CHECK(contains(broken_by(b), "it is broken")); });
    REQUIRE(eventually([&] { return b.waiting() == 2; }));
    child holder([&] {
        const opened_sync open(b);
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    time_is_up.open();
    REQUIRE(is_late.wait());
    CHECK(b.broken());  // needs no lock
    const auto begin = steady::now();
    CHECK_THROWS_AS(static_cast<void>(b.wait_for(50ms)), cairn::timeout_error);  // has not even come
    CHECK(steady::now() - begin >= 50ms);
    CHECK(steady::now() - begin < patiently(watchdog));
    holder.resume();
    CHECK(holder.join() == 0);
    CHECK(waits.join() == 0);
    CHECK(b.broken());
}

TEST_CASE(
    "parties are killed at random: whoever is left is never left waiting, and the next round is whole") {
    const cairn::manager m;
    constexpr unsigned parties = 3;
    const auto b = m.barrier("b", parties);
    const shared_with_children<std::atomic<std::uint64_t>> passed;
    for (int i = 0; i < 10; ++i) {
        const std::uint64_t before = *passed;
        std::deque<child> others;
        for (unsigned k = 0; k < parties; ++k) {
            others.emplace_back([&] {
                try {
                    for (;;) {
                        static_cast<void>(b.arrive_and_wait());
                        ++*passed;
                    }
                } catch (const cairn::broken_barrier&) {
                    // By the death of one of them.
                }
            });
        }
        REQUIRE(eventually([&] { return *passed >= before + 30; }));
        others.front().kill();
        CHECK(others.front().join() == -SIGKILL);
        for (std::size_t k = 1; k < others.size(); ++k) CHECK(others[k].join() == 0);
        CHECK(b.broken());
        b.reset();
    }
}

}  // namespace barrier_process_test
