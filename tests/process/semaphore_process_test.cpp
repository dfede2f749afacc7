// semaphore_process_test.cpp - semaphores of several processes: holders, waiters and whoever releases, killed or stopped.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <string>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace semaphore_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {
constexpr auto watchdog = 20s;
}

TEST_CASE("the permits of a killed process come back: to the next who comes, and to one who sleeps") {
    const cairn::manager m;
    const auto b = m.bounded_semaphore("b", 3);
    const gate held;
    child holder([&] {
        b.acquire();
        b.acquire();
        b.acquire();
        held.open();
        for (;;) ::pause();
    });
    REQUIRE(held.wait());
    CHECK(b.value() == 0);
    CHECK_FALSE(b.try_acquire());
    CHECK_FALSE(b.try_acquire_for(20ms));
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { b.release(); }), "holds 0 of its permits"));
    const gate about_to_wait;
    child waiter([&] {
        about_to_wait.open();
        b.acquire();
        b.release();
    });
    REQUIRE(about_to_wait.wait());
    std::this_thread::sleep_for(30ms);
    holder.kill();
    CHECK(holder.join() == -SIGKILL);
    CHECK(waiter.join() == 0);
    CHECK(b.try_acquire());
    CHECK(b.try_acquire());
    CHECK(b.try_acquire());
    CHECK_FALSE(b.try_acquire());
    b.release(3);
}

TEST_CASE("the first who finds no permit looks for the dead before he gives up") {
    const cairn::manager m;
    const auto b = m.bounded_semaphore("b", 1);
    CHECK(in_child([&] {
              b.acquire();
              ::_exit(0);
          }) == 0);
    CHECK(b.value() == 0);
    CHECK(b.try_acquire());
    b.release();
}

TEST_CASE("a signal of a semaphore is anybody's, and does not come back with a death; a permit() does") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 2);
    CHECK(in_child([&] {
              s.acquire();
              ::_exit(0);
          }) == 0);
    CHECK(s.value() == 1);
    CHECK(in_child([&] {
              const auto permit = s.permit();
              ::_exit(0);
          }) == 0);
    CHECK(s.value() == 0);
    CHECK(s.try_acquire());
    CHECK_FALSE(s.try_acquire());
    CHECK(in_child([&] { s.release(2); }) == 0);
    CHECK(s.value() == 2);
}

TEST_CASE("a permit is not a forked child's") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 1);
    const auto b = m.bounded_semaphore("b", 1);
    {
        auto permit = s.permit();
        b.acquire();
        CHECK(in_child([&] {
                  CHILD_CHECK(!permit.is_held());
                  CHILD_CHECK(contains(thrown_by<cairn::invalid_state>([&] { permit.release(); }),
                                       "of the parent of this forked process"));
                  CHILD_CHECK(contains(thrown_by<cairn::invalid_state>([&] { b.release(); }), "holds 0"));
                  const auto mine = std::move(permit);
              }) == 0);
        CHECK(permit.is_held());
        CHECK(s.value() == 0);
    }
    CHECK(s.value() == 1);
    b.release();
}

TEST_CASE("holders and waiters are killed at random: no permit is lost, none is there twice, nobody waits "
          "for ever") {
    const cairn::manager m;
    constexpr int permits = 2;
    const auto b = m.bounded_semaphore("b", permits);
    const shared_with_children<std::atomic<bool>> stop;
    const shared_with_children<std::atomic<std::uint64_t>> taken;
    std::deque<child> workers;
    const auto start = [&] {
        return child([&] {
            while (!*stop) {
                if (!b.try_acquire_for(50ms)) continue;
                ++*taken;
                b.release();
            }
        });
    };
    for (int i = 0; i < 4; ++i) workers.push_back(start());
    for (int i = 0; i < 30; ++i) {
        const std::uint64_t before = *taken;
        const auto until = steady::now() + patiently(watchdog);
        while (*taken < before + 30 && steady::now() < until) std::this_thread::sleep_for(100us);
        CHECK(*taken >= before + 30);
        workers.front().kill();
        CHECK(workers.front().join() == -SIGKILL);
        workers.pop_front();
        workers.push_back(start());
    }
    *stop = true;
    for (child& each : workers) CHECK(each.join() == 0);
    for (int i = 0; i < permits; ++i) CHECK(b.try_acquire());
    CHECK_FALSE(b.try_acquire());
    b.release(permits);
    CHECK(b.value() == permits);
}

TEST_CASE(
    "signals that one process gives and another takes are neither lost nor doubled when waiters are killed") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 0);
    const shared_with_children<std::atomic<bool>> stop;
    std::deque<child> waiters;
    const auto start = [&] {
        return child([&] {
            // Takes nothing along: what it gets it gives back at once, or it had not got it.
            while (!*stop) {
                const auto permit = s.permit_for(20ms);
            }
        });
    };
    for (int i = 0; i < 3; ++i) waiters.push_back(start());
    constexpr int signals = 200;
    for (int i = 0; i < signals; ++i) {
        s.release();
        if (i % 10 != 0) continue;
        waiters.front().kill();
        CHECK(waiters.front().join() == -SIGKILL);
        waiters.pop_front();
        waiters.push_back(start());
    }
    *stop = true;
    for (child& each : waiters) CHECK(each.join() == 0);
    int found = 0;
    while (s.try_acquire()) ++found;
    CHECK(found == signals);
}

TEST_CASE("many processes hold permits, more than there are places at first") {
    const cairn::manager m;
    constexpr int processes = 20;
    const auto b = m.bounded_semaphore("b", processes);
    const gate held;
    const gate end;
    std::deque<child> holders;
    for (int i = 0; i < processes; ++i) {
        holders.emplace_back([&] {
            b.acquire();
            held.open();
            static_cast<void>(end.wait());
            b.release();
        });
    }
    for (int i = 0; i < processes; ++i) REQUIRE(held.wait());
    CHECK(b.value() == 0);
    CHECK_FALSE(b.try_acquire());
    holders.front().kill();
    CHECK(holders.front().join() == -SIGKILL);
    CHECK(b.try_acquire());
    b.release();
    end.open(processes);
    for (std::size_t i = 1; i < holders.size(); ++i) CHECK(holders[i].join() == 0);
    CHECK(b.value() == processes);
}

}  // namespace semaphore_process_test
