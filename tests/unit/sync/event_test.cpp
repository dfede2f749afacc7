// event_test.cpp - cairn::event in one process. With several: tests/process/event_process_test.cpp.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdint>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace event_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

TEST_CASE("Event.is_set, Event.set, Event.clear") {
    const cairn::manager m;
    const auto e = m.event("e");
    CHECK_FALSE(e.is_set());
    e.set();
    CHECK(e.is_set());
    e.set();
    CHECK(e.is_set());
    e.clear();
    CHECK_FALSE(e.is_set());
    e.clear();
    CHECK_FALSE(e.is_set());
}

TEST_CASE("Event.wait returns at once when it is set, and false when the time is up first") {
    const cairn::manager m;
    const auto e = m.event("e");
    const auto begin = steady::now();
    CHECK_FALSE(e.wait_for(50ms));
    CHECK(steady::now() - begin >= 50ms);
    CHECK_FALSE(e.wait_for(0ms));
    CHECK_FALSE(e.wait_for(-1s));
    CHECK_FALSE(e.wait_until(steady::now() + 20ms));
    CHECK_FALSE(e.wait_until(std::chrono::system_clock::now() + 20ms));
    e.set();
    e.wait();
    CHECK(e.wait_for(0ms));
    CHECK(e.wait_for(-1s));
}

TEST_CASE("Event.set wakes all who wait") {
    const cairn::manager m;
    const auto e = m.event("e");
    std::atomic<int> through{0};
    std::vector<std::thread> waiters;
    for (int i = 0; i < 5; ++i) {
        waiters.emplace_back([&] {
            e.wait();
            ++through;
        });
    }
    std::this_thread::sleep_for(50ms);
    CHECK(through == 0);
    e.set();
    for (std::thread& each : waiters) each.join();
    CHECK(through == 5);
}

TEST_CASE("who sleeps on an event is woken by set(), and not by the next tick alone") {
    const cairn::manager m;
    const opened_sync e(m.event("e"));
    std::jthread waiter([&] { e.wait(); });
    e.await_sleepers();
    const std::uint32_t before = e.sequence();
    e.set();
    CHECK(e.sequence() != before);
}

TEST_CASE("Event.wait returns true where it was cleared again before the waiter has looked (gh-57711)") {
    const cairn::manager m;
    const auto e = m.event("e");
    for (int round = 0; round < 20; ++round) {
        std::atomic<int> about{0};
        std::atomic<int> through{0};
        std::vector<std::thread> waiters;
        for (int i = 0; i < 3; ++i) {
            waiters.emplace_back([&] {
                ++about;
                if (e.wait_for(20s)) ++through;
            });
        }
        while (about < 3) std::this_thread::yield();
        std::this_thread::sleep_for(5ms);
        e.set();
        e.clear();
        // Who had not come to its wait by then waits for the next one.
        const auto until = steady::now() + 20s;
        while (through < 3 && steady::now() < until) {
            e.set();
            e.clear();
            std::this_thread::sleep_for(1ms);
        }
        for (std::thread& each : waiters) each.join();
        CHECK(through == 3);
    }
}

TEST_CASE("a stop token ends the wait for an event") {
    const cairn::manager m;
    const auto e = m.event();
    std::stop_source source;
    std::thread stopper([&] {
        std::this_thread::sleep_for(20ms);
        source.request_stop();
    });
    CHECK_FALSE(e.wait(source.get_token()));
    stopper.join();
    CHECK_FALSE(e.wait_for(1h, source.get_token()));
    e.set();
    CHECK(e.wait(source.get_token()));
}

TEST_CASE("whoever waits for an event that is removed wakes with object_gone") {
    const cairn::manager m;
    const auto e = m.event("e");
    std::string text;
    std::thread waiter([&] { text = thrown_by<cairn::object_gone>([&] { e.wait(); }); });
    std::this_thread::sleep_for(20ms);
    CHECK(m.remove("e"));
    waiter.join();
    CHECK(contains(text, "removed"));
    CHECK_THROWS_AS(static_cast<void>(e.is_set()), cairn::object_gone);
    CHECK_THROWS_AS(e.set(), cairn::object_gone);
    CHECK_THROWS_AS(e.clear(), cairn::object_gone);
    CHECK_THROWS_AS(e.wait(), cairn::object_gone);
    // Nor is a set one what it was.
    const auto again = m.event("e");
    again.set();
    CHECK(m.remove("e"));
    CHECK_THROWS_AS(again.wait(), cairn::object_gone);
}

TEST_CASE("an event is found by its name and kind") {
    const cairn::manager m;
    const auto e = m.event("e");
    e.set();
    CHECK(m.event("e") == e);
    CHECK(m.event("e").is_set());
    CHECK(m.find<cairn::event>("e") == e);
    CHECK_THROWS_AS(static_cast<void>(m.lock("e")), cairn::type_mismatch);
    CHECK(m.event() != m.event());
    std::ostringstream text;
    text << e;
    CHECK(text.str() == "event(set)");
    e.clear();
    CHECK(cairn::repr(e) == "event(not set)");
}

TEST_CASE("in callbacks of other operations an event can be looked at, and no more") {
    const cairn::manager m;
    const auto e = m.event("e");
    const auto l = m.list<long>("l", {1});
    l.update(0, [&](long&) {
        CHECK_FALSE(e.is_set());
        CHECK_THROWS_AS(e.set(), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(e.wait_for(1s)), cairn::would_deadlock);
    });
    e.set();
    l.update(0, [&](long& value) {
        e.wait();  // of what is set, it need not wait
        value = 2;
    });
    CHECK(l.at(0) == 2);
}

TEST_CASE("a process that may only read sees an event") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto e = m.event("e");
    const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    const auto seen = reader.find<cairn::event>("e").value();
    CHECK_FALSE(seen.is_set());
    CHECK_THROWS_AS(static_cast<void>(seen.wait_for(1ms)), cairn::permission_denied);
    e.set();
    CHECK(seen.is_set());
    seen.wait();
    CHECK_THROWS_AS(seen.clear(), cairn::permission_denied);
}

}  // namespace event_test
