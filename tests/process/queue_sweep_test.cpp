// queue_sweep_test.cpp - what dead processes had comes back, whoever uses the queue, and nobody starves or pays for it.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <numeric>
#include <optional>
#include <random>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace queue_sweep_test {

using namespace cairn_test;
using cairn::detail::load_word;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

using longs = std::vector<long>;

// No measurements: each is ten times what it should take, and two seconds at least.
constexpr auto watchdog = 5s;

/// A process that has an item of the queue on lease.
template <typename Q>
child make_holder(const Q& q) {
    const gate leased;
    child holder([&] {
        const auto item = q.lease();
        leased.open();
        for (;;) std::this_thread::sleep_for(1h);
    });
    REQUIRE(leased.wait());
    return holder;
}

/// The same, which is killed.
template <typename Q>
void lease_and_die(const Q& q) {
    child holder = make_holder(q);
    holder.kill();
    REQUIRE(holder.join() == -SIGKILL);
}

double milliseconds(steady::duration time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

TEST_CASE("an item of a dead worker comes back also while the queue is never empty") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put(42);
    lease_and_die(q);
    for (long n = 0; n != 10; ++n) q.put(n + 1000);  // there is always another one
    const auto begin = steady::now();
    long others = 0;
    for (bool is_back = false; !is_back && steady::now() - begin < watchdog; ++others) {
        q.put(others + 2000);
        is_back = q.get() == 42;
    }
    MESSAGE("came back after " << milliseconds(steady::now() - begin) << " ms and " << others << " others");
    CHECK(steady::now() - begin < watchdog);
    CHECK(q.leased() == 0);
}

TEST_CASE("join looks after leases of the dead, in an ordinary queue, a shut one and one with dead letters") {
    const cairn::manager m;
    SUBCASE("ordinary: somebody gets it, and says so") {
        const auto q = m.queue<long>("q");
        q.put(1);
        lease_and_die(q);
        CHECK_FALSE(q.join_for(0s));
        CHECK(q.size() == 1);
        CHECK(q.get() == 1);
        q.task_done();
        CHECK(q.join_for(0s));
    }
    SUBCASE("shut: it is dropped") {
        const auto q = m.queue<long>("q");
        q.put(1);
        lease_and_die(q);
        q.shutdown(true);
        CHECK(q.join_for(watchdog));
        CHECK(q.leased() == 0);
    }
    SUBCASE("its last delivery: it is a dead letter") {
        const auto q = m.queue<long>("q", cairn::queue_options{.maxsize = 0, .max_deliveries = 1});
        q.put(1);
        lease_and_die(q);
        CHECK(q.join_for(watchdog));
        CHECK(q.dead_letters()->try_get() == std::optional<long>(1));
    }
    SUBCASE("while it sleeps") {
        const auto q = m.queue<long>("q", cairn::queue_options{.maxsize = 0, .max_deliveries = 1});
        q.put(1);
        child holder = make_holder(q);
        std::jthread killer([&] {
            std::this_thread::sleep_for(300ms);
            holder.kill();
        });
        CHECK(q.join_for(watchdog));
        killer.join();
        CHECK(holder.join() == -SIGKILL);
    }
}

TEST_CASE("more workers die between two sweeps than may be attached at a time: their items come back") {
    const cairn::manager m({.max_participants = 3});
    const auto q = m.queue<long>("q");
    constexpr long count = 12;
    for (long n = 0; n < count; ++n) q.put(n);
    for (long n = 0; n < count; ++n) lease_and_die(q);
    std::vector<long> back;
    while (back.size() < count) {
        const std::optional<long> item = q.get_for(watchdog);
        REQUIRE(item.has_value());
        back.push_back(*item);
    }
    std::sort(back.begin(), back.end());
    for (long n = 0; n < count; ++n) CHECK(back[static_cast<std::size_t>(n)] == n);
    CHECK(q.leased() == 0);
}

TEST_CASE("who waits for dead letters gets the item of a dead worker") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", cairn::queue_options{.maxsize = 0, .max_deliveries = 1});
    q.put(1);
    lease_and_die(q);
    CHECK(q.dead_letters()->try_get() == std::optional<long>(1));
    // Asleep, while the worker lives at first.
    q.put(2);
    child holder = make_holder(q);
    std::jthread killer([&] {
        std::this_thread::sleep_for(300ms);
        holder.kill();
    });
    CHECK(q.dead_letters()->get_for(watchdog) == std::optional<long>(2));
    killer.join();
    CHECK(holder.join() == -SIGKILL);
}

TEST_CASE("a put wakes who waits for an item, and not who waits for dead letters") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", cairn::queue_options{.maxsize = 0, .max_deliveries = 2});
    const auto dead = *q.dead_letters();
    std::jthread of_dead([&] { CHECK(dead.get_for(watchdog) == std::optional<long>(100)); });
    std::jthread of_items([&] {
        for (long i = 0; i < 100; ++i) CHECK(q.get_for(watchdog) == std::optional<long>(i));
    });
    std::this_thread::sleep_for(50ms);
    for (long i = 0; i < 100; ++i) {
        q.put(i);
        if (i % 10 == 0) std::this_thread::sleep_for(1ms);
    }
    of_items.join();
    q.put(100);
    q.lease().release();
    q.lease().release();
    of_dead.join();
}

TEST_CASE("close reaches who waits for an item at once, also while something is on lease") {
    const cairn::manager m;
    std::vector<double> times;
    for (int round = 0; round < 9; ++round) {
        const auto q = m.queue<long>();
        q.put(1);
        const auto held = q.lease();
        std::optional<steady::time_point> told;
        std::jthread getter([&] {
            CHECK_THROWS_AS(static_cast<void>(q.get()), cairn::queue_closed);
            told = steady::now();
        });
        std::this_thread::sleep_for(50ms + round * 7ms);
        const auto begin = steady::now();
        q.close();
        getter.join();
        times.push_back(milliseconds(*told - begin));
    }
    std::sort(times.begin(), times.end());
    MESSAGE("from close() to the end of get(): min " << times.front() << ", median " << times[4] << ", max "
                                                     << times.back() << " ms");
    CHECK(times.front() < 2000);
}

TEST_CASE("task_done for the items of many living workers is said without asking for each of them") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    constexpr long workers = 40;
    constexpr long each = 20;
    for (long i = 0; i < workers * each; ++i) q.put(i);
    std::vector<child> all;
    const gate taken;
    for (long i = 0; i < workers; ++i) {
        all.emplace_back([&] {
            for (long k = 0; k < each; ++k) static_cast<void>(q.get());
            taken.open();
            for (;;) std::this_thread::sleep_for(1h);
        });
        REQUIRE(taken.wait());
    }
    std::vector<double> times;
    for (long i = 0; i < workers * each; ++i) {
        const auto begin = steady::now();
        q.task_done();
        times.push_back(milliseconds(steady::now() - begin) * 1000);
    }
    std::sort(times.begin(), times.end());
    MESSAGE("task_done() with " << workers << " living holders: median " << times[times.size() / 2]
                                << ", max " << times.back() << " us");
    CHECK(q.join_for(0s));
    CHECK(times[times.size() / 2] < 2e6);
}

TEST_CASE("of several workers the dead one's item is the one that is done") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put_many({1, 2});
    const gate taken;
    child living([&] {
        static_cast<void>(q.get());
        taken.open();
        for (;;) std::this_thread::sleep_for(1h);
    });
    REQUIRE(taken.wait());
    child dying([&] {
        static_cast<void>(q.get());
        taken.open();
        for (;;) std::this_thread::sleep_for(1h);
    });
    REQUIRE(taken.wait());
    dying.kill();
    REQUIRE(dying.join() == -SIGKILL);
    q.task_done();
    CHECK(q.lost() == 0);
    CHECK_FALSE(q.join_for(0s));
}

TEST_CASE("a guard that ends in a callback gives its item back") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto l = m.list<long>("l", {1});
    q.put(7);
    std::optional<cairn::item_lease<long>> held(q.lease());
    SUBCASE("of another object: at once") {
        l.update(0, [&](long value) {
            held.reset();
            return value + 1;
        });
        CHECK(l == longs{2});
        CHECK(q.size() == 1);
        CHECK(q.leased() == 0);
        CHECK(q.get() == 7);
    }
    SUBCASE(
        "of another object, while somebody has the queue's lock: when this process uses the queue again") {
        child stopped([&] {
            q.transaction([&](const auto& all) {
                static_cast<void>(all.size());
                ::raise(SIGSTOP);
            });
        });
        stopped.wait_until_stopped();
        l.update(0, [&](long value) {
            held.reset();
            return value + 1;
        });
        CHECK(l == longs{2});
        stopped.resume();
        CHECK(stopped.join() == 0);
        CHECK(q.get_for(watchdog) == std::optional<long>(7));
    }
    CHECK(q.leased() == 0);
    q.task_done();
    CHECK(q.join_for(0s));
}

TEST_CASE("a shut queue of dead letters takes none, and a closed one leaves them where they are") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", cairn::queue_options{.maxsize = 0, .max_deliveries = 1});
    SUBCASE("shut: they are dropped, and done") {
        q.dead_letters()->shutdown(true);
        q.put(1);
        q.lease().release();
        CHECK(q.join_for(0s));
        CHECK_THROWS_AS(static_cast<void>(q.dead_letters()->try_get()), cairn::queue_closed);
        CHECK(q.empty());
    }
    SUBCASE("closed: they come back") {
        q.dead_letters()->close();
        q.put(1);
        q.lease().release();
        CHECK(q.dead_letters()->empty());
        CHECK(q.size() == 1);
        CHECK(q.get() == 1);
    }
}

TEST_CASE("leases are acknowledged in any order") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    constexpr int count = 2000;
    for (int i = 0; i < count; ++i) q.put("item " + std::to_string(i) + std::string(40, '.'));
    std::vector<cairn::item_lease<std::string>> held;
    for (int i = 0; i < count; ++i) held.push_back(q.lease());
    std::mt19937 random(7);
    std::shuffle(held.begin(), held.end(), random);
    for (int i = 0; i < count; ++i) {
        auto& each = held[static_cast<std::size_t>(i)];
        if (i % 5 == 0) each.release();
        else each.ack();
        CHECK_THROWS_AS(each.ack(), cairn::invalid_state);
    }
    CHECK(q.leased() == 0);
    CHECK(q.size() == count / 5);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("put_many beside those who put single items ends") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 8);
    std::vector<std::jthread> others;
    for (int i = 0; i < 3; ++i) {
        others.emplace_back([&](const std::stop_token& stop) {
            while (q.put(1, stop)) {}
        });
    }
    // Slowly, so that each place is taken by a putter before the next one is free.
    others.emplace_back([&](const std::stop_token& stop) {
        while (q.get(stop)) std::this_thread::sleep_for(200us);
    });
    while (!q.full()) std::this_thread::yield();
    std::stop_source given_up;
    std::jthread timer([&](const std::stop_token& is_through) {
        const auto end = steady::now() + 20s;
        while (!is_through.stop_requested() && steady::now() < end) std::this_thread::sleep_for(10ms);
        if (!is_through.stop_requested()) given_up.request_stop();
    });
    const auto begin = steady::now();
    for (int i = 0; i < 20; ++i) CHECK(q.put_many(longs(8, 2), given_up.get_token()) == 8);
    MESSAGE("20 times eight of eight places: " << milliseconds(steady::now() - begin) << " ms");
    timer.request_stop();
    for (std::jthread& each : others) each.request_stop();
}

TEST_CASE("places that were kept for a put_many are anybody's when it ends without, or dies") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 4);
    q.put_many({1, 2, 3});
    const opened_queue<cairn::queue<long>> open(q);
    const auto is_waiting = [&] { return load_word(open.node_ref().batch_putter) != 0; };
    const auto wait_for_it = [&] {
        while (!is_waiting()) std::this_thread::sleep_for(1ms);
    };
    SUBCASE("a stop") {
        std::jthread many([&](const std::stop_token& stop) { CHECK(q.put_many(longs{7, 8, 9}, stop) == 0); });
        wait_for_it();
        CHECK_FALSE(q.try_put(4));
        many.request_stop();
        many.join();
        CHECK(q.try_put(4));
    }
    SUBCASE("a death") {
        child many([&] { q.put_many({7, 8, 9}); });
        wait_for_it();
        CHECK_FALSE(q.try_put(4));
        many.kill();
        REQUIRE(many.join() == -SIGKILL);
        CHECK(q.put_for(4, watchdog));
    }
    SUBCASE("a close") {
        std::jthread many([&] { CHECK_THROWS_AS(q.put_many({7, 8, 9}), cairn::queue_closed); });
        wait_for_it();
        q.close();
        many.join();
    }
    SUBCASE("success") {
        std::jthread many([&] { q.put_many({7, 8, 9}); });
        wait_for_it();
        CHECK(q.get() == 1);
        CHECK(q.get() == 2);
        many.join();
        CHECK(q.snapshot() == longs{3, 7, 8, 9});
    }
    CHECK_FALSE(is_waiting());
    CHECK(broken_queue(q) == "");
}

}  // namespace queue_sweep_test
