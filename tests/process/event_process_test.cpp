// event_process_test.cpp - events of several processes: waiters and setters that are killed or stopped.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <deque>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/opened_sync.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace event_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

}  // namespace

TEST_CASE("an event that one process sets wakes those who wait in others") {
    const cairn::manager m;
    const auto e = m.event("e");
    const gate about_to_wait;
    std::deque<child> waiters;
    for (int i = 0; i < 4; ++i) {
        waiters.emplace_back([&] {
            about_to_wait.open();
            e.wait();
            CHILD_CHECK(e.is_set());
        });
    }
    for (int i = 0; i < 4; ++i) REQUIRE(about_to_wait.wait());
    std::this_thread::sleep_for(20ms);
    CHECK(in_child([&] { e.set(); }) == 0);
    for (child& each : waiters) CHECK(each.join() == 0);
}

TEST_CASE("a waiter that is stopped while an event is set and cleared again goes on with true") {
    const cairn::manager m;
    const opened_sync e(m.event("e"));
    child waiter([&] { CHILD_CHECK(e.wait_for(patiently(watchdog))); });
    e.await_sleepers();
    const auto is_locked = [&] { return cairn::detail::inspect(e.slot().lock).thread_id != 0; };
    for (;;) {
        ::kill(waiter.pid(), SIGSTOP);
        waiter.wait_until_stopped();
        if (!is_locked()) break;
        waiter.resume();  // else set() would wait for it
    }
    e.set();
    e.clear();
    waiter.resume();
    CHECK(waiter.join() == 0);
}

TEST_CASE(
    "waiters of an event are killed at random while others set and clear it; nobody misses one for good") {
    const cairn::manager m;
    const auto e = m.event("e");
    const shared_with_children<std::atomic<bool>> stop;
    const shared_with_children<std::atomic<std::uint64_t>> woken;
    std::deque<child> waiters;
    const auto start = [&] {
        return child([&] {
            while (!*stop) {
                if (e.wait_for(50ms)) ++*woken;
            }
        });
    };
    for (int i = 0; i < 3; ++i) waiters.push_back(start());
    child setter([&] {
        while (!*stop) {
            e.set();
            e.clear();
        }
    });
    for (int i = 0; i < 25; ++i) {
        const std::uint64_t before = *woken;
        const auto until = steady::now() + patiently(watchdog);
        while (*woken < before + 20 && steady::now() < until) std::this_thread::sleep_for(100us);
        CHECK(*woken >= before + 20);
        waiters.front().kill();
        CHECK(waiters.front().join() == -SIGKILL);
        waiters.pop_front();
        waiters.push_back(start());
    }
    *stop = true;
    CHECK(setter.join() == 0);
    for (child& each : waiters) CHECK(each.join() == 0);
    e.set();
    CHECK(e.is_set());
}

TEST_CASE("a setter that is killed in the middle leaves the event as it was, and the next set is seen by "
          "sleepers") {
    const cairn::manager m;
    const auto e = m.event("e");
    const opened_sync open(e);
    child waiter([&] { e.wait(); });
    std::this_thread::sleep_for(30ms);
    child setter([&] {
        // With the lock, where set() would wake those who sleep.
        cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        ::kill(::getpid(), SIGKILL);
    });
    CHECK(setter.join() == -SIGKILL);
    CHECK_FALSE(e.is_set());
    e.set();
    CHECK(waiter.join() == 0);
}

TEST_CASE("a wait for an event keeps its limit while whoever sets it is stopped with its lock") {
    const cairn::manager m;
    const auto e = m.event("e");
    const opened_sync open(e);
    child holder([&] {
        cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    const auto begin = steady::now();
    CHECK_FALSE(e.wait_for(100ms));
    CHECK(steady::now() - begin >= 100ms);
    std::stop_source source;
    std::thread stopper([&] {
        std::this_thread::sleep_for(50ms);
        source.request_stop();
    });
    CHECK_FALSE(e.wait(source.get_token()));
    stopper.join();
    CHECK_FALSE(e.is_set());  // needs no lock
    CHECK(steady::now() - begin < patiently(watchdog));
    holder.resume();
    CHECK(holder.join() == 0);
    e.set();
    e.wait();
}

}  // namespace event_process_test
