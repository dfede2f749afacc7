// latch_test.cpp - cairn::latch, in one process and in several.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace latch_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {}  // namespace

TEST_CASE("a latch lets everybody pass once it was counted down to 0") {
    const cairn::manager m;
    const auto l = m.latch("l", 4);
    CHECK(l.remaining() == 4);
    CHECK_FALSE(l.try_wait());
    std::atomic<int> through{0};
    std::atomic<int> early{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            l.arrive_and_wait();
            if (l.remaining() != 0) ++early;
            ++through;
        });
    }
    const auto until = steady::now() + patiently(20s);
    while (l.remaining() != 1 && steady::now() < until) std::this_thread::yield();
    CHECK(l.remaining() == 1);
    CHECK(through == 0);
    l.count_down();
    for (std::thread& each : threads) each.join();
    CHECK(through == 3);
    CHECK(early == 0);
    CHECK(l.try_wait());
    l.wait();
    CHECK(l.wait_for(0ms));
}

TEST_CASE("a latch is counted down by any number, and never below 0") {
    const cairn::manager m;
    const auto l = m.latch("l", 5);
    l.count_down(0);
    l.count_down(3);
    CHECK(l.remaining() == 2);
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { l.count_down(3); }), "by 3, and 2 remains"));
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { l.count_down(-1); }), "count is -1"));
    CHECK(l.remaining() == 2);
    l.count_down(2);
    CHECK_THROWS_AS(l.count_down(), cairn::invalid_state);
    CHECK(m.latch("none", 0).try_wait());
}

TEST_CASE("a wait for a latch ends at its limit, and by a stop") {
    const cairn::manager m;
    const auto l = m.latch("l", 1);
    const auto begin = steady::now();
    CHECK_FALSE(l.wait_for(50ms));
    CHECK(steady::now() - begin >= 50ms);
    CHECK_FALSE(l.wait_for(0ms));
    CHECK_FALSE(l.wait_for(-1s));
    CHECK_FALSE(l.wait_until(steady::now() + 10ms));
    CHECK_FALSE(l.wait_until(std::chrono::system_clock::now() + 10ms));
    std::stop_source source;
    std::thread stopper([&] { source.request_stop(); });
    CHECK_FALSE(l.wait(source.get_token()));
    stopper.join();
    CHECK_FALSE(l.wait_for(1h, source.get_token()));
    l.count_down();
    CHECK(l.wait(source.get_token()));
}

TEST_CASE("a latch is found by its name and kind, and keeps what remains") {
    const cairn::manager m;
    const auto l = m.latch("l", 3);
    l.count_down();
    CHECK(m.latch("l", 3) == l);
    CHECK(m.latch("l", 3).remaining() == 2);
    CHECK(m.find<cairn::latch>("l") == l);
    CHECK_THROWS_AS(static_cast<void>(m.event("l")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.latch("other", -1)), cairn::invalid_argument);
    CHECK(m.latch(1) != m.latch(1));
    std::ostringstream text;
    text << l;
    CHECK(text.str() == "latch(2)");
    CHECK(cairn::repr(l) == "latch(2)");
}

TEST_CASE("whoever waits for a latch that is removed wakes with object_gone") {
    const cairn::manager m;
    const auto l = m.latch("l", 1);
    std::string text;
    std::thread waiter([&] { text = thrown_by<cairn::object_gone>([&] { l.wait(); }); });
    std::this_thread::sleep_for(20ms);
    CHECK(m.remove("l"));
    waiter.join();
    CHECK(contains(text, "removed"));
    CHECK_THROWS_AS(l.count_down(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(l.remaining()), cairn::object_gone);
}

TEST_CASE("in callbacks of other operations a latch can be looked at, and no more") {
    const cairn::manager m;
    const auto l = m.latch("l", 1);
    const auto list = m.list<long>("list", {1});
    list.update(0, [&](long&) {
        CHECK_FALSE(l.try_wait());
        CHECK_THROWS_AS(l.count_down(), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(l.wait_for(1s)), cairn::would_deadlock);
    });
    CHECK(l.remaining() == 1);
}

TEST_CASE("a latch that processes count down lets those pass who wait in others") {
    const cairn::manager m;
    const auto l = m.latch("l", 3);
    child waiter([&] { l.wait(); });
    for (int i = 0; i < 2; ++i) CHECK(in_child([&] { l.count_down(); }) == 0);
    // One who is killed with its lock has counted nothing.
    CHECK(in_child([&] {
              const opened_sync open(l);
              const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(l.remaining() == 1);
    CHECK(in_child([&] { l.arrive_and_wait(); }) == 0);
    CHECK(waiter.join() == 0);
}

TEST_CASE("a waiter of a latch that is killed takes nobody's wake along") {
    const cairn::manager m;
    const auto l = m.latch("l", 1);
    child dead([&] { l.wait(); });
    child other([&] { l.wait(); });
    dead.kill();
    l.count_down();
    CHECK(dead.join() == -SIGKILL);
    CHECK(other.join() == 0);
}

TEST_CASE("a wait for a latch keeps its limit while whoever counts is stopped with its lock") {
    const cairn::manager m;
    const auto l = m.latch("l", 1);
    child holder([&] {
        const opened_sync open(l);
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        std::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    const auto begin = steady::now();
    CHECK_FALSE(l.wait_for(50ms));
    CHECK(steady::now() - begin >= 50ms);
    CHECK(steady::now() - begin < patiently(20s));
    std::stop_source source;
    source.request_stop();
    CHECK_FALSE(l.wait(source.get_token()));
    CHECK(l.remaining() == 1);  // needs no lock
    holder.resume();
    CHECK(holder.join() == 0);
    l.count_down();
    l.wait();
}

TEST_CASE("a process that may only read sees a latch") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto l = m.latch("l", 1);
    const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    const auto seen = reader.find<cairn::latch>("l").value();
    CHECK_FALSE(seen.try_wait());
    CHECK_THROWS_AS(static_cast<void>(seen.wait_for(1ms)), cairn::permission_denied);
    l.count_down();
    seen.wait();
    CHECK_THROWS_AS(seen.count_down(), cairn::permission_denied);
}

}  // namespace latch_test
