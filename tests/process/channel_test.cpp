// channel_test.cpp - a channel between two processes, each of which is killed and replaced.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/opened_channel.hpp"
#include "support/scratch.hpp"

namespace channel_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::channel_has_item;
using cairn::detail::channel_has_room;

namespace {

// Nothing that is waited for takes a hundredth of it; what is never there ends a test instead of hanging it.
constexpr auto watchdog = 20s;

std::string item_of(long i) {
    return std::to_string(i) + std::string(static_cast<std::size_t>(i % 50), '.');
}

}  // namespace

TEST_CASE_TEMPLATE("what one process puts into a channel another one gets, in order, once", Size,
                   std::integral_constant<int, 1>, std::integral_constant<int, 5>,
                   std::integral_constant<int, 500>) {
    const cairn::manager m;
    const auto c = m.channel<std::string>("c", Size::value);
    const long count = static_cast<long>(scaled(30'000));
    child producer([&] {
        for (long i = 0; i < count; ++i) c.put(item_of(i));
        c.close();
    });
    child consumer([&] {
        long got = 0;
        try {
            for (;; ++got) CHILD_CHECK(c.get() == item_of(got));
        } catch (const cairn::queue_closed&) {}
        CHILD_CHECK(got == count);
    });
    CHECK(producer.join() == 0);
    CHECK(consumer.join() == 0);
    CHECK(c.empty());
    CHECK(broken_channel(c) == "");
}

TEST_CASE("a producer that is killed anywhere has put what it had said so, and is replaced") {
    const cairn::manager m;
    const auto c = m.channel<std::string>("c", 5);
    const shared_with_children<std::atomic<long>> acknowledged;
    for (int round = 0; round < 40; ++round) {
        *acknowledged = 0;
        child producer([&] {
            for (long i = 0;; ++i) {
                c.put(item_of(i));
                *acknowledged = i + 1;
            }
        });
        long got = 0;
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(200 + round * 97);
        while (std::chrono::steady_clock::now() < until)
            if (const auto next = c.get_for(100us)) REQUIRE(*next == item_of(got++));
        producer.kill();
        static_cast<void>(producer.join());
        CHECK(c.size() == static_cast<std::size_t>(c.snapshot().size()));
        while (const auto next = c.try_get()) REQUIRE(*next == item_of(got++));
        CHECK((got == *acknowledged || got == *acknowledged + 1));
        REQUIRE(broken_channel(c) == "");
    }
}

TEST_CASE("a consumer that is killed anywhere takes at most the item in its hands with it, and is replaced") {
    const cairn::manager m;
    const auto c = m.channel<std::string>("c", 5);
    const shared_with_children<std::atomic<long>> taken;
    long next = 0;
    for (int round = 0; round < 40; ++round) {
        *taken = next;
        child consumer([&] {
            for (long i = *taken;; ++i) {
                CHILD_CHECK(c.get() == item_of(i));
                *taken = i + 1;
            }
        });
        long put = next;
        const auto until = std::chrono::steady_clock::now() + std::chrono::microseconds(200 + round * 97);
        while (std::chrono::steady_clock::now() < until)
            if (c.put_for(item_of(put), 100us)) ++put;
        consumer.kill();
        static_cast<void>(consumer.join());
        const std::vector<std::string> left = c.snapshot();
        const long first = put - static_cast<long>(left.size());
        CHECK((first == *taken || first == *taken + 1));
        for (std::size_t i = 0; i < left.size(); ++i)
            REQUIRE(left[i] == item_of(first + static_cast<long>(i)));
        next = first;
        // The next consumer begins where the ring is.
        for (long i = first; i < put; ++i) REQUIRE(c.get() == item_of(i));
        c.release_consumer();
        next = put;
        REQUIRE(broken_channel(c) == "");
    }
}

TEST_CASE("both ends are killed again and again: nothing comes twice, nothing is out of order") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 8);
    const auto seen = m.list<long>("seen");
    const shared_with_children<std::atomic<long>> next;
    *next = 0;
    const auto start_producer = [&] {
        return child([&] {
            // The one before may have put an item that it has not counted: numbers are left out, never used twice.
            for (long i = *next + 1;; ++i) {
                *next = i;
                c.put(i);
            }
        });
    };
    const auto start_consumer = [&] {
        return child([&] {
            for (;;) seen.push_back(c.get());
        });
    };
    std::vector<child> producers;
    std::vector<child> consumers;
    producers.push_back(start_producer());
    consumers.push_back(start_consumer());
    int gone = 0;
    for (int round = 0; round < 60; ++round) {
        const std::size_t before = seen.size();
        const auto until = std::chrono::steady_clock::now() + watchdog;
        while (seen.size() < before + 20) {
            REQUIRE(std::chrono::steady_clock::now() < until);
            std::this_thread::yield();
        }
        auto& side = round % 2 == 0 ? producers : consumers;
        side.back().kill();
        static_cast<void>(side.back().join());
        gone += round % 2;
        if (round % 2 == 0) producers.push_back(start_producer());
        else consumers.push_back(start_consumer());
    }
    producers.back().kill();
    static_cast<void>(producers.back().join());
    const long last = *next;
    const auto until = std::chrono::steady_clock::now() + watchdog;
    while (!c.empty()) {
        REQUIRE(std::chrono::steady_clock::now() < until);
        std::this_thread::yield();
    }
    consumers.back().kill();
    static_cast<void>(consumers.back().join());
    const std::vector<long> all = seen.snapshot();
    for (std::size_t i = 1; i < all.size(); ++i) REQUIRE(all[i] > all[i - 1]);
    // Each producer that was killed may have counted one that it has not put, each consumer have got one that it has not
    // written down.
    CHECK(static_cast<long>(all.size()) >= last - 31 - gone - 1);
    CHECK(broken_channel(c) == "");
}

TEST_CASE("who sleeps at one end of a channel goes on when the other end was killed and replaced") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 1));
    child getter([&] {
        CHILD_CHECK(c.get_for(watchdog) == 7);
        CHILD_CHECK(c.get_for(watchdog) == 8);
    });
    c.await_sleeper(channel_has_item);
    CHECK(in_child([&] {
              c.put(7);
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(in_child([&] { c.put(8); }) == 0);
    CHECK(getter.join() == 0);

    child putter([&] {
        c.put(1);
        CHILD_CHECK(c.put_for(2, watchdog));
    });
    c.await_sleeper(channel_has_room);
    CHECK(in_child([&] {
              CHILD_CHECK(c.get() == 1);
              ::kill(::getpid(), SIGKILL);
          }) == -SIGKILL);
    CHECK(putter.join() == 0);
    CHECK(c.get() == 2);
    CHECK(broken_channel(c) == "");
}

TEST_CASE("another process is refused at an end whose owner lives, also where it sleeps or is stopped") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 4));
    child getter([&] {
        CHILD_CHECK(c.get() == 1);
        ::raise(SIGSTOP);
        CHILD_CHECK(c.get_for(watchdog) == 2);
    });
    c.await_sleeper(channel_has_item);
    const auto refused = [&] {
        return thrown_by<cairn::invalid_state>([&] { static_cast<void>(c.try_get()); });
    };
    CHECK(contains(refused(), "pid " + std::to_string(getter.pid())));
    c.put(1);
    getter.wait_until_stopped();
    CHECK(contains(refused(), "pid " + std::to_string(getter.pid())));
    c.put(2);
    getter.resume();
    CHECK(getter.join() == 0);
    CHECK_FALSE(c.try_get().has_value());
}

TEST_CASE("a forked child is another one: it takes neither end of its parent's with it") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    c.put(1);
    CHECK(in_child([&] {
              CHILD_CHECK(!thrown_by<cairn::invalid_state>([&] { c.put(2); }).empty());
              CHILD_CHECK(c.get() == 1);
          }) == 0);
    c.put(3);
    CHECK(c.get() == 3);
}

TEST_CASE(
    "a channel that is removed while both ends are at work is gone for both, and touches nothing else") {
    const cairn::manager m;
    for (int round = 0; round < 20; ++round) {
        const auto c = m.channel<std::string>("c", 8);
        const auto until_gone = [&](auto step) {
            return child([&, step] {
                try {
                    for (long i = 0;; ++i) step(i);
                } catch (const cairn::object_gone&) {}
            });
        };
        child producer = until_gone([&](long i) { c.put(item_of(i)); });
        child consumer = until_gone([&](long i) { CHILD_CHECK(c.get() == item_of(i)); });
        std::this_thread::sleep_for(std::chrono::microseconds(300 + 211 * round));
        CHECK(m.remove("c"));
        const auto l = m.list<std::string>("l");
        for (long i = 0; i < 200; ++i) l.push_back(item_of(i));
        CHECK(producer.join() == 0);
        CHECK(consumer.join() == 0);
        for (long i = 0; i < 200; ++i) REQUIRE(l.at(static_cast<std::size_t>(i)) == item_of(i));
        CHECK(m.remove("l"));
    }
}

TEST_CASE("who may only read sees whole items of a channel that is in use, and can do nothing else") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto c = m.channel<long>("c", 64);
    const auto strings = m.channel<std::string>("s", 4);
    strings.put("a");
    strings.put("b");
    child producer([&] {
        for (long i = 1;; ++i) c.put(i);
    });
    child consumer([&] {
        for (;;) static_cast<void>(c.get());
    });
    child reader([&] {
        const auto r = cairn::manager::open(name, cairn::open_mode::read_only);
        const auto seen = r.channel<long>("c", 64);
        CHILD_CHECK(r.find<cairn::channel<std::string>>("s")->snapshot() ==
                    (std::vector<std::string>{"a", "b"}));
        const auto until = std::chrono::steady_clock::now() + watchdog;
        for (std::size_t pictures = 0; pictures < scaled(3000);) {
            CHILD_CHECK(std::chrono::steady_clock::now() < until);
            CHILD_CHECK(seen.size() <= 64);
            const std::vector<long> all = seen.snapshot();
            if (all.size() > 1) ++pictures;
            for (std::size_t i = 1; i < all.size(); ++i) CHILD_CHECK(all[i] == all[i - 1] + 1);
        }
        CHILD_CHECK(!thrown_by<cairn::permission_denied>([&] { static_cast<void>(seen.try_get()); }).empty());
        CHILD_CHECK(!thrown_by<cairn::permission_denied>([&] { seen.try_put(1); }).empty());
        CHILD_CHECK(!thrown_by<cairn::permission_denied>([&] { seen.close(); }).empty());
    });
    CHECK(reader.join() == 0);
}

}  // namespace channel_test
