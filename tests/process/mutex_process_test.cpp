// mutex_process_test.cpp - locks of several processes: owners that are killed, stopped, forked, or become other programs.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace mutex_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

constexpr auto watchdog = 20s;

/// What a lock protects here, and what a killed owner may leave half done.
struct pair_of_counts {
    std::atomic<std::uint64_t> first{0};
    std::atomic<std::uint64_t> second{0};
    std::atomic<std::uint64_t> deaths{0};
    std::atomic<std::uint64_t> broken{0};  // seen by an owner whom nobody has told of a death
    std::atomic<bool> stop{false};
};

void add_to(const cairn::mutex& l, pair_of_counts& counts) {
    l.lock(cairn::recover, [&] {
        ++counts.deaths;
        counts.second = counts.first.load();
    });
    if (counts.first != counts.second) ++counts.broken;
    ++counts.first;
    ++counts.second;
    l.unlock();
}

/// A child that takes the lock, says so, and waits for its end.
child owner_of(const cairn::mutex& l, const gate& held) {
    return child([&] {
        l.lock();
        held.open();
        for (;;) ::pause();
    });
}

}  // namespace

TEST_CASE("a killed owner's lock goes to the one who sleeps on it, and to the next who comes") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const gate held;
    const child owner = owner_of(l, held);
    REQUIRE(held.wait());
    CHECK(l.is_locked());
    CHECK_FALSE(l.try_lock());
    const gate about_to_sleep;
    child waiter([&] {
        about_to_sleep.open();
        l.lock();
        CHILD_CHECK(l.owner_died());
        ::kill(::getpid(), SIGKILL);
    });
    REQUIRE(about_to_sleep.wait());
    std::this_thread::sleep_for(30ms);
    owner.kill();
    CHECK(waiter.join() == -SIGKILL);
    CHECK(l.try_lock_for(patiently(watchdog)));
    CHECK(l.owner_died());
    l.unlock();
    l.lock();
    CHECK_FALSE(l.owner_died());
    l.unlock();
}

TEST_CASE("a forked child is not the owner of what its parent holds") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const auto r = m.rlock("r");
    l.lock();
    r.lock();
    CHECK(in_child([&] {
              CHILD_CHECK(!l.is_owned());
              CHILD_CHECK(!l.try_lock());
              CHILD_CHECK(!r.try_lock());
              CHILD_CHECK(!r.try_lock_for(10ms));
              const std::string text = thrown_by<cairn::invalid_state>([&] { l.unlock(); });
              CHILD_CHECK(contains(text, "held by pid " + std::to_string(::getppid())));
              CHILD_CHECK(contains(text, "this is pid " + std::to_string(::getpid())));
              const auto other = m.lock("other");
              const std::lock_guard held(other);
          }) == 0);
    CHECK(l.is_owned());
    CHECK(r.is_owned());
    l.unlock();
    r.unlock();
    CHECK(in_child([&] { const std::scoped_lock both(l, r); }) == 0);
    CHECK_FALSE(l.is_locked());
}

TEST_CASE("timed forms keep their limit while the owner is stopped, and lock_timeout names it") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto l = m.lock("l");
    const gate held;
    const child owner = owner_of(l, held);
    REQUIRE(held.wait());
    ::kill(owner.pid(), SIGSTOP);
    owner.wait_until_stopped();
    const auto begin = steady::now();
    CHECK_FALSE(l.try_lock_for(100ms));
    CHECK(steady::now() - begin >= 100ms);
    CHECK_FALSE(l.try_lock());
    std::stop_source source;
    std::thread stopper([&] {
        std::this_thread::sleep_for(50ms);
        source.request_stop();
    });
    CHECK_FALSE(l.lock(source.get_token()));
    stopper.join();
    CHECK(in_child([&] {
              const auto impatient = cairn::manager::open(name.get(), {.lock_timeout = 50ms});
              const auto same = impatient.lock("l");
              const std::string text = thrown_by<cairn::timeout_error>([&] { same.lock(); });
              CHILD_CHECK(contains(text, "lock of lock 'l'"));
              CHILD_CHECK(contains(text, "pid " + std::to_string(owner.pid())));
              CHILD_CHECK(contains(text, "stopped"));
          }) == 0);
    CHECK(steady::now() - begin < patiently(watchdog));
    owner.kill();
    CHECK(l.try_lock_for(patiently(watchdog)));
    CHECK(l.owner_died());
    l.unlock();
}

TEST_CASE("an owner that calls exec has lost its lock") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const child owner([&] {
        l.lock();
        ::execl("/bin/sleep", "sleep", "60", static_cast<char*>(nullptr));
    });
    const auto until = steady::now() + patiently(watchdog);
    bool has_had_it = false;
    while (!has_had_it && steady::now() < until) {
        REQUIRE(l.try_lock_for(patiently(watchdog)));
        has_had_it = l.owner_died();
        l.unlock();
        if (!has_had_it) std::this_thread::sleep_for(1ms);
    }
    CHECK(has_had_it);
}

TEST_CASE(
    "owners are killed at random: nobody sees what they left without being told, nobody waits for the dead") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const shared_with_children<pair_of_counts> counts;
    constexpr int rounds = 40;
    std::deque<child> workers;
    const auto start = [&] {
        return child([&] {
            while (!counts->stop) add_to(l, *counts);
        });
    };
    for (int i = 0; i < 3; ++i) workers.push_back(start());
    for (int i = 0; i < rounds; ++i) {
        const std::uint64_t before = counts->first;
        const auto until = steady::now() + patiently(watchdog);
        // Somebody goes on after each death.
        while (counts->first < before + 50 && steady::now() < until) std::this_thread::sleep_for(100us);
        CHECK(counts->first >= before + 50);
        workers.front().kill();
        CHECK(workers.front().join() == -SIGKILL);
        workers.pop_front();
        workers.push_back(start());
    }
    counts->stop = true;
    for (child& each : workers) CHECK(each.join() == 0);
    add_to(l, *counts);
    CHECK(counts->broken == 0);
    CHECK(counts->first == counts->second);
    MESSAGE(counts->first.load() << " increments, " << counts->deaths.load() << " deaths with the lock");
}

TEST_CASE("a waiter of several is not overtaken for ever by processes that take the lock again and again") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const shared_with_children<pair_of_counts> counts;
    std::vector<child> hogs;
    for (int i = 0; i < 3; ++i) {
        hogs.emplace_back([&] {
            while (!counts->stop) {
                l.lock();
                ++counts->first;
                const auto until = steady::now() + 20us;
                while (steady::now() < until) {}
                l.unlock();
            }
        });
    }
    while (counts->first < 100) std::this_thread::sleep_for(1ms);
    for (int i = 0; i < 50; ++i) {
        CHECK(l.try_lock_for(patiently(watchdog)));
        l.unlock();
    }
    counts->stop = true;
    for (child& each : hogs) CHECK(each.join() == 0);
}

TEST_CASE("a removed lock is gone for those who slept on it in other processes") {
    const cairn::manager m;
    const auto l = m.lock("l");
    const gate about_to_sleep;
    l.lock();
    std::vector<child> sleepers;
    for (int i = 0; i < 3; ++i) {
        sleepers.emplace_back([&] {
            about_to_sleep.open();
            try {
                for (;;) {
                    l.lock();  // some may have it before it goes
                    l.unlock();
                }
            } catch (const cairn::object_gone&) {}
        });
    }
    for (int i = 0; i < 3; ++i) REQUIRE(about_to_sleep.wait());
    std::this_thread::sleep_for(20ms);
    l.unlock();
    CHECK(m.remove("l"));
    for (child& each : sleepers) CHECK(each.join() == 0);
}

TEST_CASE("a lock is an argument of a task, and a worker that is killed with it leaves it to the next") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto l = m.lock("l");
    {
        cairn::pool pool{1};
        CHECK_THROWS_AS(pool.apply(
                            +[](const cairn::mutex& lock) {
                                lock.lock();
                                ::kill(::getpid(), SIGKILL);
                                return 1;
                            },
                            l),
                        cairn::worker_died);
        CHECK(pool.apply(
            +[](const cairn::mutex& lock) {
                lock.lock();
                const bool died = lock.owner_died();
                lock.unlock();
                return died;
            },
            l));
    }
    CHECK(l.try_lock());
    CHECK_FALSE(l.owner_died());
    l.unlock();
}

}  // namespace mutex_process_test
