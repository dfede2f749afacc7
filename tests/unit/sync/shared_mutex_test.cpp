// shared_mutex_test.cpp - cairn::shared_mutex in one process, and what it refuses.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include "support/sound.hpp"
#include <cairn/cairn.hpp>

namespace shared_mutex_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

template <typename Fn>
void in_thread(Fn fn) {
    std::thread(fn).join();
}

}  // namespace

TEST_CASE("many read at the same time, one writes, and the standard library's guards work with it") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    CHECK(cairn::repr(rw) == "shared_mutex(free)");
    {
        const std::shared_lock one(rw);
        const std::shared_lock two(rw);
        CHECK(rw.readers() == 2);
        CHECK(cairn::repr(rw) == "shared_mutex(2 readers)");
        CHECK_FALSE(rw.is_locked());
        in_thread([&] {
            CHECK(rw.try_lock_shared());
            CHECK(rw.readers() == 3);
            CHECK_FALSE(rw.try_lock());
            CHECK_FALSE(rw.try_lock_for(1ms));
            rw.unlock_shared();
        });
    }
    CHECK(rw.readers() == 0);
    const std::uint64_t before = rw.fence();
    {
        const std::unique_lock writing(rw, std::defer_lock);
        const std::scoped_lock held(rw);
        CHECK(rw.is_locked());
        CHECK(rw.is_owned());
        CHECK(rw.fence() > before);
        CHECK(cairn::repr(rw) == "shared_mutex(held by pid " + std::to_string(::getpid()) + ")");
        in_thread([&] {
            CHECK_FALSE(rw.is_owned());
            CHECK_FALSE(rw.try_lock_shared());
            CHECK_FALSE(rw.try_lock_shared_for(1ms));
            CHECK_FALSE(rw.try_lock_shared_until(std::chrono::steady_clock::now() + 1ms));
            CHECK_FALSE(rw.try_lock_until(std::chrono::steady_clock::now() + 1ms));
        });
    }
    CHECK(rw.try_lock());
    rw.unlock();
    CHECK_FALSE(rw.owner_died());
    CHECK(m.shared_mutex("rw") == rw);
    CHECK_FALSE(m.shared_mutex() == rw);
    CHECK(is_sound(m));
}

TEST_CASE("readers and writers never see what the others are in the middle of") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    long first = 0;  // not atomic: the lock is all that there is
    long second = 0;
    std::atomic<int> torn = 0;
    std::atomic<long> looks = 0;
    constexpr int writers = 2;
    constexpr long rounds = 3'000;
    std::atomic<int> at_work = writers;
    std::vector<std::thread> all;
    for (int i = 0; i < writers; ++i) {
        all.emplace_back([&] {
            for (long n = 0; n < rounds; ++n) {
                const std::lock_guard writing(rw);
                ++first;
                if (n % 16 == 0) std::this_thread::yield();
                ++second;
            }
            --at_work;
        });
    }
    for (int i = 0; i < 2; ++i) {
        all.emplace_back([&] {
            do {
                const std::shared_lock reading(rw);
                const long before = first;
                std::this_thread::yield();
                if (first != before || second != before) ++torn;
                ++looks;
            } while (at_work != 0);
        });
    }
    for (std::thread& each : all) each.join();
    CHECK(torn == 0);
    CHECK(looks >= 2);
    CHECK(first == writers * rounds);
}

TEST_CASE("a writer waits for the readers that are in, and not for those that come later") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    rw.lock_shared();
    std::atomic<int> order = 0;
    int writer = 0;
    int reader = 0;
    std::thread writes([&] {
        const std::lock_guard writing(rw);
        writer = ++order;
    });
    // It has come once nobody else gets in.
    while (rw.try_lock_shared()) {
        rw.unlock_shared();
        std::this_thread::yield();
    }
    std::thread reads([&] {
        const std::shared_lock reading(rw);
        reader = ++order;
    });
    std::this_thread::sleep_for(10ms);
    CHECK(order == 0);
    rw.unlock_shared();
    writes.join();
    reads.join();
    CHECK(writer == 1);
    CHECK(reader == 2);
}

TEST_CASE("a stop, or the time, ends a wait for readers, and nothing is left of it") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    rw.lock_shared();
    const auto begin = std::chrono::steady_clock::now();
    CHECK_FALSE(rw.try_lock_for(30ms));
    CHECK(std::chrono::steady_clock::now() - begin >= 30ms);
    CHECK(rw.try_lock_shared());
    rw.unlock_shared();
    std::stop_source stop;
    std::thread waits([&] { CHECK_FALSE(rw.lock(stop.get_token())); });
    std::this_thread::sleep_for(20ms);
    stop.request_stop();
    waits.join();
    CHECK_FALSE(rw.is_locked());
    CHECK_FALSE(rw.owner_died());
    CHECK(rw.lock_shared(stop.get_token()));  // free: nothing to wait for
    rw.unlock_shared();
    rw.unlock_shared();
    CHECK(rw.lock(std::stop_source().get_token()));
    std::thread asks([&] { CHECK_FALSE(rw.lock_shared(stop.get_token())); });
    asks.join();
    rw.unlock();
    CHECK(rw.readers() == 0);
}

TEST_CASE("a thread that ends as a writer leaves owner_died() to whoever is next, reader or writer") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    in_thread([&] { rw.lock(); });
    CHECK_FALSE(rw.is_locked());
    rw.lock_shared();
    CHECK(rw.owner_died());
    in_thread([&] {
        rw.lock_shared();
        CHECK(rw.owner_died());
        rw.unlock_shared();
    });
    rw.unlock_shared();
    rw.lock();
    CHECK(rw.owner_died());
    rw.mark_consistent();
    CHECK_FALSE(rw.owner_died());
    rw.unlock();

    in_thread([&] { rw.lock(); });
    CHECK_THROWS_AS(rw.lock(cairn::recover, [] { throw std::domain_error("mine"); }), std::domain_error);
    CHECK_FALSE(rw.is_locked());
    int repairs = 0;
    rw.lock(cairn::recover, [&] { ++repairs; });
    rw.unlock();
    rw.lock(cairn::recover, [&] { ++repairs; });
    rw.unlock();
    CHECK(repairs == 1);
    CHECK(is_sound(m));
}

TEST_CASE("what makes no sense is refused, and says why") {
    const cairn::manager m({.lock_timeout = 50ms});
    const auto rw = m.shared_mutex("rw");
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { rw.unlock(); }), "nobody holds it"));
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { rw.unlock_shared(); }),
                   "this process has none of its shared locks"));
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { rw.mark_consistent(); }), "shared_mutex 'rw'"));
    rw.lock();
    CHECK_THROWS_AS(rw.lock(), cairn::would_deadlock);
    CHECK_THROWS_AS(rw.lock_shared(), cairn::would_deadlock);
    CHECK_FALSE(rw.try_lock());
    CHECK_FALSE(rw.try_lock_shared());
    CHECK_THROWS_AS(static_cast<void>(m.remove("rw")), cairn::would_deadlock);
    rw.unlock();
    const auto l = m.list<int>("l");
    l.transaction([&](auto&) { CHECK_THROWS_AS(rw.lock_shared(), cairn::would_deadlock); });
    CHECK(rw.readers() == 0);

    rw.lock_shared();
    in_thread([&] {
        const std::string text = thrown_by<cairn::timeout_error>([&] { rw.lock(); });
        CHECK(contains(text, "lock of shared_mutex 'rw'"));
        CHECK(contains(text, "its readers were not out"));
        CHECK(contains(text, "pid " + std::to_string(::getpid())));
    });
    CHECK(rw.try_lock_shared());
    rw.unlock_shared();
    rw.unlock_shared();
    CHECK_THROWS_AS(static_cast<void>(m.list<int>("rw")), cairn::type_mismatch);
}

TEST_CASE("a process reads under sixteen locks at a time, each 255 times, and is told when it wants more") {
    const cairn::manager m;
    std::vector<cairn::shared_mutex> all;
    for (int i = 0; i < 17; ++i) all.push_back(m.shared_mutex("rw" + std::to_string(i)));
    for (int i = 0; i < 16; ++i) all[static_cast<std::size_t>(i)].lock_shared();
    const std::string text = thrown_by<cairn::invalid_state>([&] { all[16].lock_shared(); });
    CHECK(contains(text, "16 different ones"));
    all[3].unlock_shared();
    all[16].lock_shared();
    CHECK(all[16].readers() == 1);
    for (std::size_t i = 0; i < 17; ++i)
        if (i != 3) all[i].unlock_shared();
    for (int i = 0; i < 600; ++i) all[0].lock_shared();
    CHECK(all[0].readers() == 600);
    for (int i = 0; i < 600; ++i) all[0].unlock_shared();
    CHECK(all[0].readers() == 0);
    CHECK(all[0].try_lock());
    all[0].unlock();
}

TEST_CASE("a lock that is removed lets its readers go, and one in its place does not mistake them") {
    const cairn::manager m;
    const auto rw = m.shared_mutex("rw");
    rw.lock_shared();
    CHECK(m.remove("rw"));
    CHECK_THROWS_AS(rw.lock_shared(), cairn::object_gone);
    CHECK_THROWS_AS(rw.lock(), cairn::object_gone);
    rw.unlock_shared();
    const auto next = m.shared_mutex("rw");
    CHECK(next.readers() == 0);
    CHECK(next.try_lock());
    next.unlock();
    CHECK_THROWS_AS(static_cast<void>(rw.readers()), cairn::object_gone);
}

}  // namespace shared_mutex_test
