// condition_process_test.cpp - conditions of several processes: waiters and notifiers that are killed or stopped.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
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

namespace condition_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

/// A child that waits for one notification, and is seen to wait.
child waiter_of(const cairn::mutex& l, const cairn::condition& c) {
    const std::uint64_t before = c.waiting();
    child made([&] {
        std::unique_lock lock(l);
        c.wait(lock);
    });
    REQUIRE(eventually([&] { return c.waiting() == before + 1; }));
    return made;
}

/// A child that has stopped while it held the condition's own lock.
child stopped_with_lock_of(const cairn::condition& c) {
    child made([&] {
        const opened_sync open(c);
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        std::raise(SIGSTOP);
    });
    made.wait_until_stopped();
    return made;
}

}  // namespace

TEST_CASE("notify wakes as many in other processes as it says, those who have waited longest first") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    std::deque<child> waiters;
    for (int i = 0; i < 4; ++i) waiters.push_back(waiter_of(l, c));
    CHECK(in_child([&] { c.notify_one(); }) == 0);
    CHECK(waiters[0].join() == 0);
    CHECK(c.waiting() == 3);
    CHECK(in_child([&] {
              const std::lock_guard held(l);
              c.notify(2);
          }) == 0);
    CHECK(waiters[1].join() == 0);
    CHECK(waiters[2].join() == 0);
    CHECK(c.waiting() == 1);
    CHECK(in_child([&] { c.notify_all(); }) == 0);
    CHECK(waiters[3].join() == 0);
}

TEST_CASE("a notification for one who was killed in its sleep goes to the next (cpython#75158)") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child dead = waiter_of(l, c);
    child next = waiter_of(l, c);
    child last = waiter_of(l, c);
    dead.kill();
    CHECK(dead.join() == -SIGKILL);
    c.notify_one();  // Python's waits for the dead one to say that it is up
    CHECK(next.join() == 0);
    CHECK(c.waiting() == 1);
    c.notify_all();
    CHECK(last.join() == 0);
}

TEST_CASE("a notification of one who is killed before it is back from its wait goes to the next") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child dead = waiter_of(l, c);
    child next = waiter_of(l, c);
    {
        const std::lock_guard held(l);  // so that neither comes back
        c.notify_one();
        CHECK(c.waiting() == 1);
        dead.kill();
        CHECK(dead.join() == -SIGKILL);
    }
    CHECK(next.join() == 0);
}

TEST_CASE("notifying does not wait for a sleeper, also where that is stopped") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child stopped = waiter_of(l, c);
    ::kill(stopped.pid(), SIGSTOP);
    stopped.wait_until_stopped();
    for (int i = 0; i < 100; ++i) {
        c.notify_one();
        c.notify_all();
    }
    CHECK(c.waiting() == 0);
    child next = waiter_of(l, c);
    c.notify_one();
    CHECK(next.join() == 0);
    stopped.resume();
    CHECK(stopped.join() == 0);
}

TEST_CASE("a notifier that is killed with the condition's lock has notified nobody; the next one does") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child waiter = waiter_of(l, c);
    CHECK(in_child([&] {
              const opened_sync open(c);
              const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(c.waiting() == 1);
    c.notify_one();
    CHECK(waiter.join() == 0);
}

TEST_CASE("a timed wait for a condition keeps its limit while somebody is stopped with its lock, and takes "
          "no notification along") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    const gate time_is_up;
    const gate is_late;
    // Its time is up while the lock cannot be had: its record stays, and is the oldest.
    child late([&] {
        std::stop_source source;
        std::thread stopper([&] {
            static_cast<void>(time_is_up.wait());
            source.request_stop();
        });
        std::unique_lock lock(l);
        CHILD_CHECK(!c.wait(lock, source.get_token()));
        CHILD_CHECK(lock.owns_lock());
        lock.unlock();
        is_late.open();
        for (;;) ::pause();
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    child holder = stopped_with_lock_of(c);
    time_is_up.open();
    REQUIRE(is_late.wait());
    {
        std::unique_lock lock(l);
        const auto begin = steady::now();
        CHECK_FALSE(c.wait_for(lock, 50ms));
        CHECK(steady::now() - begin >= 50ms);
        CHECK(lock.owns_lock());
        std::stop_source source;
        source.request_stop();
        CHECK_FALSE(c.wait(lock, source.get_token()));
        CHECK(lock.owns_lock());
        CHECK(steady::now() - begin < patiently(watchdog));
    }
    holder.resume();
    CHECK(holder.join() == 0);
    child next([&] {
        std::unique_lock lock(l);
        c.wait(lock);
    });
    REQUIRE(eventually([&] { return c.waiting() == 2; }));
    c.notify_one();
    CHECK(next.join() == 0);
}

TEST_CASE(
    "a timed wait whose mutex a stopped process has ends a second after its limit, and names that one") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child waiter([&] {
        std::unique_lock lock(l);
        std::string text;
        const auto begin = steady::now();
        try {
            while (!c.wait_for(lock, 300ms)) {}
        } catch (const cairn::timeout_error& e) {
            text = e.what();
        }
        CHILD_CHECK(contains(text, "lock 'l'"));
        CHILD_CHECK(contains(text, "held by pid"));
        CHILD_CHECK(!lock.owns_lock());
        CHILD_CHECK(steady::now() - begin < patiently(watchdog));
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    child holder([&] {
        l.lock();
        std::raise(SIGSTOP);
        l.unlock();
    });
    holder.wait_until_stopped();
    CHECK(waiter.join() == 0);
    holder.resume();
    CHECK(holder.join() == 0);
}

TEST_CASE("who holds the mutex is killed while others wait for a condition: the next owner is told") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    child waiter([&] {
        std::unique_lock lock(l);
        c.wait(lock);
        CHILD_CHECK(l.owner_died());
    });
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    CHECK(in_child([&] {
              l.lock();
              c.notify_one();
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(waiter.join() == 0);
}

TEST_CASE("waiters are killed at random while others notify one at a time: whoever is left is not forgotten "
          "(boostorg/interprocess#69, #200)") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    const shared_with_children<std::atomic<std::uint64_t>> there;
    const shared_with_children<std::atomic<std::uint64_t>> taken;
    const shared_with_children<std::atomic<bool>> stop;
    std::deque<child> workers;
    const auto start = [&] {
        return child([&] {
            while (!*stop) {
                std::unique_lock lock(l);
                c.wait(lock, [&] { return *there != 0 || *stop; });
                if (*stop) return;
                --*there;
                ++*taken;
            }
        });
    };
    for (int i = 0; i < 3; ++i) workers.push_back(start());
    for (int i = 0; i < 30; ++i) {
        const std::uint64_t before = *taken;
        const auto put = [&] {
            const std::lock_guard held(l);
            ++*there;
            c.notify_one();
        };
        for (int puts = 0; puts < 20; ++puts) {
            if (puts == 10) workers.front().kill();  // wherever it is: asleep, notified, at the lock
            put();
        }
        CHECK(workers.front().join() == -SIGKILL);
        // It may have been back from its wait and taken nothing yet, which is nothing that a condition knows of; or it died between
        // its two counts.
        put();
        CHECK(eventually([&] { return *there == 0 && *taken + 1 >= before + 21; }));
        workers.pop_front();
        workers.push_back(start());
    }
    {
        const std::lock_guard held(l);
        *stop = true;
        c.notify_all();
    }
    for (child& each : workers) CHECK(each.join() == 0);
    CHECK(c.waiting() == 0);
}

TEST_CASE("a condition is an argument of a task") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto l = m.lock("l");
    const auto c = m.condition("c");
    cairn::pool pool{1};
    const auto waited = pool.apply_async(
        +[](const cairn::mutex& lock, const cairn::condition& condition) {
            std::unique_lock held(lock);
            condition.wait(held);
            return 1;
        },
        l, c);
    REQUIRE(eventually([&] { return c.waiting() == 1; }));
    c.notify_one();
    CHECK(waited.result() == 1);
}

}  // namespace condition_process_test
