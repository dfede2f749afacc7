// condition_test.cpp - cairn::condition in one process. With several: tests/process/condition_process_test.cpp.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <mutex>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace condition_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

/// Threads that wait once each, begun one after the other, so that the first has waited longest.
class waiting_threads {
public:
    waiting_threads(const cairn::mutex& l, const cairn::condition& c, int count) : condition_(c) {
        for (int i = 0; i < count; ++i) {
            const std::uint64_t before = c.waiting();
            threads_.emplace_back([this, l, c, i] {
                std::unique_lock lock(l);
                c.wait(lock);
                order_.push_back(i);
            });
            REQUIRE(eventually([&] { return c.waiting() == before + 1; }));
        }
    }
    waiting_threads(const waiting_threads&) = delete;
    waiting_threads& operator=(const waiting_threads&) = delete;
    ~waiting_threads() {
        condition_.notify_all();
        for (std::thread& each : threads_) each.join();
    }
    /// In which order they have come back; read with the lock held.
    [[nodiscard]] const std::vector<int>& order() const noexcept { return order_; }

private:
    cairn::condition condition_;
    std::vector<std::thread> threads_;
    std::vector<int> order_;
};

std::size_t count_back(const cairn::mutex& l, const waiting_threads& threads) {
    const std::lock_guard held(l);
    return threads.order().size();
}

}  // namespace

TEST_CASE("Condition.wait and Condition.notify") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    bool is_there = false;
    std::thread waiter([&] {
        std::unique_lock lock(l);
        c.wait(lock, [&] { return is_there; });
        CHECK(lock.owns_lock());
        CHECK(l.is_owned());
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    CHECK_FALSE(l.is_locked());
    {
        const std::lock_guard held(l);
        is_there = true;
        c.notify_one();
        CHECK(c.waiting() == 0);
    }
    waiter.join();
    CHECK_FALSE(l.is_locked());
    c.notify_one();  // to nobody: nothing is kept
    c.notify_all();
    std::unique_lock lock(l);
    CHECK_FALSE(c.wait_for(lock, 20ms));
}

TEST_CASE("Condition.notify(n) wakes the n that have waited longest, and no more") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    waiting_threads threads(l, c, 6);
    c.notify();
    REQUIRE(eventually([&] { return count_back(l, threads) == 1; }));
    CHECK(c.waiting() == 5);
    c.notify(0);
    CHECK(c.waiting() == 5);
    c.notify(2);
    REQUIRE(eventually([&] { return count_back(l, threads) == 3; }));
    CHECK(c.waiting() == 3);
    // Longer than a tick, at which they look around: nobody is woken who was not meant.
    std::this_thread::sleep_for(300ms);
    {
        const std::lock_guard held(l);
        REQUIRE(threads.order().size() == 3);
        CHECK(threads.order()[0] == 0);
        CHECK(threads.order()[1] + threads.order()[2] == 1 + 2);
    }
    c.notify(10);
    REQUIRE(eventually([&] { return count_back(l, threads) == 6; }));
    CHECK(c.waiting() == 0);
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { c.notify(-1); }), "count is -1"));
}

TEST_CASE("Condition.notify_all wakes all who wait") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    waiting_threads threads(l, c, 40);  // more than there are bits to wake them by
    c.notify_all();
    CHECK(c.waiting() == 0);
    CHECK(eventually([&] { return count_back(l, threads) == 40; }));
}

TEST_CASE("each of many who wait is woken by a notification of its own, in turn") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    constexpr std::size_t count = 40;
    waiting_threads threads(l, c, count);
    for (std::size_t i = 1; i <= count; ++i) {
        c.notify_one();
        REQUIRE(eventually([&] { return count_back(l, threads) == i; }));
    }
    const std::lock_guard held(l);
    for (std::size_t i = 0; i < count; ++i) CHECK(threads.order()[i] == static_cast<int>(i));
}

TEST_CASE("Condition.wait(timeout) returns false when the time was up first, with the lock") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::unique_lock lock(l);
    const auto begin = steady::now();
    CHECK_FALSE(c.wait_for(lock, 50ms));
    CHECK(steady::now() - begin >= 50ms);
    CHECK(lock.owns_lock());
    CHECK(l.is_owned());
    CHECK_FALSE(c.wait_for(lock, 0ms));
    CHECK_FALSE(c.wait_for(lock, -1s));
    CHECK_FALSE(c.wait_until(lock, steady::now() + 20ms));
    CHECK_FALSE(c.wait_until(lock, std::chrono::system_clock::now() + 20ms));
    CHECK(c.waiting() == 0);
    // None of them takes anybody's notification along.
    std::atomic<bool> is_through{false};
    lock.unlock();
    std::thread waiter([&] {
        std::unique_lock mine(l);
        c.wait(mine);
        is_through = true;
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    c.notify_one();
    waiter.join();
    CHECK(is_through);
}

TEST_CASE("Condition.wait_for(predicate, timeout) returns what the predicate said last") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    int state = 0;
    std::unique_lock lock(l);
    CHECK_FALSE(c.wait_for(lock, 30ms, [&] { return state == 4; }));
    CHECK(c.wait_for(lock, 0ms, [&] { return state == 0; }));
    CHECK_FALSE(c.wait_until(lock, steady::now() + 10ms, [&] { return state == 4; }));
    CHECK_FALSE(c.wait_until(lock, std::chrono::system_clock::now() + 10ms, [&] { return state == 4; }));
    std::thread counter([&] {
        for (int i = 0; i < 4; ++i) {
            const std::lock_guard held(l);
            ++state;
            c.notify_one();
        }
    });
    CHECK(c.wait_for(lock, patiently(watchdog), [&] { return state == 4; }));
    CHECK(lock.owns_lock());
    lock.unlock();
    counter.join();
    lock.lock();
    // What the predicate throws comes out, with the lock.
    CHECK_THROWS_AS(c.wait(lock, [&]() -> bool { throw std::runtime_error("no"); }), std::runtime_error);
    CHECK(lock.owns_lock());
}

TEST_CASE("waiting without the lock is invalid_state; notifying without it is not") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::unique_lock lock(l, std::defer_lock);
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { c.wait(lock); }), "the lock is not held"));
    std::unique_lock<cairn::mutex> none;
    CHECK_THROWS_AS(c.wait(none), cairn::invalid_state);
    c.notify_one();  // Python: RuntimeError
    c.notify_all();
    lock.lock();
    l.unlock();
    CHECK_THROWS_AS(static_cast<void>(c.wait_for(lock, 1ms)), cairn::invalid_state);
    CHECK_FALSE(lock.owns_lock());  // as it is
    CHECK(c.waiting() == 0);
}

TEST_CASE("a stop token ends the wait for a condition") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition();
    std::stop_source source;
    bool is_there = false;
    std::thread stopper([&] {
        static_cast<void>(eventually([&] { return c.waiting() == 1; }));
        source.request_stop();
    });
    std::unique_lock lock(l);
    CHECK_FALSE(c.wait(lock, source.get_token()));
    stopper.join();
    CHECK(lock.owns_lock());
    CHECK_FALSE(c.wait(lock, source.get_token(), [&] { return is_there; }));
    CHECK_FALSE(c.wait_for(lock, source.get_token(), 1h, [&] { return is_there; }));
    CHECK_FALSE(c.wait_until(lock, source.get_token(), steady::now() + 1h, [&] { return is_there; }));
    is_there = true;
    CHECK(c.wait(lock, source.get_token(), [&] { return is_there; }));
    CHECK(c.waiting() == 0);
}

TEST_CASE("whoever waits for a condition that is removed wakes with object_gone, and with the lock") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::string text;
    bool had_lock = false;
    std::thread waiter([&] {
        std::unique_lock lock(l);
        text = thrown_by<cairn::object_gone>([&] { c.wait(lock); });
        had_lock = lock.owns_lock() && l.is_owned();
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    CHECK(m.remove("c"));
    waiter.join();
    CHECK(contains(text, "removed"));
    CHECK(had_lock);
    std::unique_lock lock(l);
    CHECK_THROWS_AS(c.wait(lock), cairn::object_gone);
    CHECK(lock.owns_lock());
    CHECK_THROWS_AS(c.notify_one(), cairn::object_gone);
    CHECK_THROWS_AS(c.notify_all(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(c.waiting()), cairn::object_gone);
}

TEST_CASE("when the mutex is removed meanwhile, the wait ends with object_gone, and without it") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::string text;
    bool had_lock = true;
    std::thread waiter([&] {
        std::unique_lock lock(l);
        text = thrown_by<cairn::object_gone>([&] { c.wait(lock); });
        had_lock = lock.owns_lock();
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    CHECK(m.remove("l"));
    c.notify_one();
    waiter.join();
    CHECK(contains(text, "removed"));
    CHECK_FALSE(had_lock);
    CHECK(c.waiting() == 0);
}

TEST_CASE("a notification whose waiter cannot have its mutex again goes to the next") {
    const cairn::manager m;
    const auto removed = m.lock("removed");
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::thread unlucky([&] {
        std::unique_lock lock(removed);
        CHECK_THROWS_AS(c.wait(lock), cairn::object_gone);
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    std::thread next([&] {
        std::unique_lock lock(l);
        c.wait(lock);
    });
    REQUIRE(eventually([&] { return c.waiting() == 2; }));
    CHECK(m.remove("removed"));
    c.notify_one();
    unlucky.join();
    next.join();
}

TEST_CASE("a timed wait ends with timeout_error where the mutex is not to be had again") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::atomic<bool> has_lock{false};
    std::atomic<bool> end{false};
    std::thread hog([&] {
        static_cast<void>(eventually([&] { return c.waiting() == 1; }));
        l.lock();
        has_lock = true;
        static_cast<void>(eventually([&] { return end.load(); }));
        l.unlock();
    });
    std::unique_lock lock(l);
    // It is notified by nobody, so its time is up at some point when the other one has the lock.
    std::string text;
    while (text.empty()) {
        try {
            static_cast<void>(c.wait_for(lock, 50ms));
        } catch (const cairn::timeout_error& e) {
            text = e.what();
        }
    }
    CHECK(has_lock);
    CHECK_FALSE(lock.owns_lock());
    CHECK(contains(text, "wait for condition 'c'"));
    CHECK(contains(text, "lock 'l'"));
    CHECK(contains(text, "held by pid"));
    end = true;
    hog.join();
    CHECK(c.waiting() == 0);
}

TEST_CASE("a condition is found by its name and kind") {
    const cairn::manager m;
    const auto c = m.condition("c");
    CHECK(m.condition("c") == c);
    CHECK(m.find<cairn::condition>("c") == c);
    CHECK_THROWS_AS(static_cast<void>(m.event("c")), cairn::type_mismatch);
    CHECK(m.condition() != m.condition());
    std::ostringstream text;
    text << c;
    CHECK(text.str() == "condition(0 waiting)");
    CHECK(cairn::repr(c) == "condition(0 waiting)");
}

TEST_CASE("in callbacks of other operations a condition is neither waited for nor notified") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    const auto list = m.list<long>("list", {1});
    std::unique_lock lock(l);
    list.update(0, [&](long&) {
        CHECK_THROWS_AS(c.wait(lock), cairn::would_deadlock);
        CHECK_THROWS_AS(c.notify_one(), cairn::would_deadlock);
        CHECK_THROWS_AS(c.notify_all(), cairn::would_deadlock);
    });
    CHECK(lock.owns_lock());
}

TEST_CASE("a process that may only read sees who waits") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto c = m.condition("c");
    const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    const auto seen = reader.find<cairn::condition>("c").value();
    CHECK(seen.waiting() == 0);
    CHECK_THROWS_AS(seen.notify_one(), cairn::permission_denied);
}

TEST_CASE("threads that have waited once and ended leave no places behind for ever") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    const opened_sync open(c);
    for (int i = 0; i < 50; ++i) {
        std::thread([&] {
            std::unique_lock lock(l);
            static_cast<void>(c.wait_for(lock, 0ms));
        }).join();
    }
    const std::uint64_t used = m.stats().used_bytes;
    for (int i = 0; i < 200; ++i) {
        std::thread([&] {
            std::unique_lock lock(l);
            static_cast<void>(c.wait_for(lock, 0ms));
        }).join();
    }
    CHECK(m.stats().used_bytes == used);
}

}  // namespace condition_test
