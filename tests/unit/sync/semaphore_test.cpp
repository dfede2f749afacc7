// semaphore_test.cpp - cairn::semaphore and cairn::bounded_semaphore in one process. With several:
// tests/process/semaphore_process_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace semaphore_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

TEST_CASE("Semaphore.acquire, Semaphore.release, get_value") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 2);
    CHECK(s.value() == 2);
    s.acquire();
    CHECK(s.value() == 1);
    CHECK(s.try_acquire());
    CHECK(s.value() == 0);
    CHECK_FALSE(s.try_acquire());
    s.release();
    CHECK(s.value() == 1);
    s.release();
    CHECK(s.value() == 2);
    // It counts signals: anybody gives them, as many as he likes.
    s.release();
    CHECK(s.value() == 3);
    s.release(5);
    CHECK(s.value() == 8);
    s.release(0);
    CHECK(s.value() == 8);
    CHECK(m.semaphore().value() == 1);
    CHECK(m.semaphore(0).value() == 0);
}

TEST_CASE("Semaphore.acquire(timeout): false when the time was up first, and not before") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 0);
    const auto begin = steady::now();
    CHECK_FALSE(s.try_acquire_for(50ms));
    CHECK(steady::now() - begin >= 50ms);
    CHECK_FALSE(s.try_acquire_for(-1s));
    CHECK_FALSE(s.try_acquire_until(steady::now() + 20ms));
    CHECK_FALSE(s.try_acquire_until(std::chrono::system_clock::now() + 20ms));
    s.release();
    CHECK(s.try_acquire_for(0ms));
}

TEST_CASE("BoundedSemaphore.release once too often is invalid_state and changes nothing") {
    const cairn::manager m;
    const auto b = m.bounded_semaphore("b", 2);
    const auto refused = [&](int count) {
        return thrown_by<cairn::invalid_state>([&] { b.release(count); });
    };
    CHECK(contains(refused(1), "release of bounded_semaphore 'b'"));
    CHECK(contains(refused(1), "holds 0 of its permits"));
    b.acquire();
    CHECK(contains(refused(2), "holds 1 of its permits, and gives back 2"));
    CHECK(b.value() == 1);
    b.acquire();
    CHECK_FALSE(b.try_acquire());
    b.release(2);
    CHECK(b.value() == 2);
    CHECK(contains(refused(1), "holds 0"));
}

TEST_CASE("a permit of a bounded_semaphore belongs to the process: another thread may give it back") {
    const cairn::manager m;
    const auto b = m.bounded_semaphore("b", 1);
    b.acquire();
    std::thread([&] { b.release(); }).join();
    CHECK(b.value() == 1);
}

TEST_CASE("counts that make no sense are refused") {
    const cairn::manager m;
    CHECK_THROWS_AS(static_cast<void>(m.semaphore("s", -1)), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(m.bounded_semaphore("b", -1)), cairn::invalid_argument);
    const auto s = m.semaphore("s", 1);
    CHECK_THROWS_AS(s.release(-1), cairn::invalid_argument);
    CHECK(contains(
        thrown_by<cairn::invalid_state>([&] { s.release(std::numeric_limits<std::int64_t>::max()); }),
        "cannot count"));
    CHECK(s.value() == 1);
    s.release(std::numeric_limits<std::int64_t>::max() - 1);
    CHECK(s.value() == static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
    const auto none = m.bounded_semaphore(0);
    CHECK_FALSE(none.try_acquire());
}

TEST_CASE("release(n) wakes n of those who wait") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 0);
    std::atomic<int> through{0};
    std::vector<std::thread> waiters;
    for (int i = 0; i < 5; ++i) {
        waiters.emplace_back([&] {
            s.acquire();
            ++through;
        });
    }
    std::this_thread::sleep_for(50ms);
    CHECK(through == 0);
    s.release(3);
    const auto until = steady::now() + 20s;
    while (through < 3 && steady::now() < until) std::this_thread::sleep_for(1ms);
    std::this_thread::sleep_for(20ms);
    CHECK(through == 3);
    s.release(2);
    for (std::thread& each : waiters) each.join();
    CHECK(s.value() == 0);
}

TEST_CASE("who sleeps on a semaphore is woken by release(), and not by the next tick alone") {
    const cairn::manager m;
    const opened_sync s(m.semaphore("s", 0));
    std::jthread waiter([&] { s.acquire(); });
    s.await_sleepers();
    const std::uint32_t before = s.sequence();
    s.release();
    CHECK(s.sequence() != before);
}

TEST_CASE("no more threads than permits are inside, and none is lost") {
    const cairn::manager m;
    const auto b = m.bounded_semaphore("b", 2);
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 1000; ++i) {
                b.acquire();
                const int now = ++inside;
                int before = most;
                while (before < now && !most.compare_exchange_weak(before, now)) {}
                --inside;
                b.release();
            }
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(most <= 2);
    CHECK(b.value() == 2);
}

TEST_CASE("permit() is a guard: its permit comes back at its end, or before") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 2);
    {
        auto permit = s.permit();
        CHECK(permit.is_held());
        CHECK(s.value() == 1);
        auto other = std::move(permit);
        CHECK_FALSE(permit.is_held());  // NOLINT(bugprone-use-after-move)
        CHECK(other.is_held());
        CHECK(s.value() == 1);
        other.release();
        CHECK_FALSE(other.is_held());
        CHECK(s.value() == 2);
        CHECK(contains(thrown_by<cairn::invalid_state>([&] { other.release(); }), "given back before"));
        const auto one = s.try_permit();
        const auto two = s.permit_for(1s);
        REQUIRE(one.has_value());
        REQUIRE(two.has_value());
        CHECK_FALSE(s.try_permit().has_value());
        CHECK_FALSE(s.permit_for(10ms).has_value());
        std::stop_source source;
        source.request_stop();
        CHECK_FALSE(s.permit(source.get_token()).has_value());
    }
    CHECK(s.value() == 2);
}

TEST_CASE("a stop token ends the wait for a permit") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 0);
    std::stop_source source;
    std::thread stopper([&] {
        std::this_thread::sleep_for(20ms);
        source.request_stop();
    });
    CHECK_FALSE(s.acquire(source.get_token()));
    stopper.join();
    CHECK_FALSE(s.try_acquire_for(1h, source.get_token()));
}

TEST_CASE("a semaphore is found by its name and kind, and keeps what it has") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 3);
    s.acquire();
    CHECK(m.semaphore("s", 7) == s);
    CHECK(m.semaphore("s").value() == 2);
    CHECK_THROWS_AS(static_cast<void>(m.bounded_semaphore("s")), cairn::type_mismatch);
    const auto b = m.bounded_semaphore("b", 3);
    CHECK(m.find<cairn::bounded_semaphore>("b") == b);
    CHECK_THROWS_AS(static_cast<void>(m.semaphore("b")), cairn::type_mismatch);
    std::ostringstream text;
    text << s << ' ' << b;
    CHECK(text.str() == "semaphore(2) bounded_semaphore(3 of 3)");
    std::string gone;
    const auto none = m.semaphore("none", 0);
    std::thread waiter([&] { gone = thrown_by<cairn::object_gone>([&] { none.acquire(); }); });
    std::this_thread::sleep_for(20ms);
    CHECK(m.remove("none"));
    waiter.join();
    CHECK(contains(gone, "removed"));
    CHECK_THROWS_AS(none.release(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(none.value()), cairn::object_gone);
}

TEST_CASE("in callbacks of other operations a semaphore can be looked at, and no more") {
    const cairn::manager m;
    const auto s = m.semaphore("s", 1);
    const auto l = m.list<long>("l", {1});
    l.update(0, [&](long&) {
        CHECK(s.value() == 1);
        CHECK_THROWS_AS(static_cast<void>(s.try_acquire()), cairn::would_deadlock);
        CHECK_THROWS_AS(s.release(), cairn::would_deadlock);
    });
}

}  // namespace semaphore_test
