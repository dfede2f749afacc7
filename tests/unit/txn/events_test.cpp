// events_test.cpp - event counts: whoever waits for a change of a root is woken by it, by the deadline, or by the tick.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/detail/txn/events.hpp>
#include <cairn/manager.hpp>

namespace events_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;

namespace {

// The smallest thing that can be waited for: a list from which takers take what givers append.
struct waiting_room {
    cairn::manager m;
    cairn::list<long> l;
    opened_list<long> inside;
    waiting_room() : l(m.list<long>("l")), inside(l) {}

    void give(long value) const {
        root_transaction tx(inside.in(), inside.slot(), inside.generation());
        tx.begin_change();
        auto* to = next_element(tx, inside.node_ref(), 8);
        copy_in_fixed<8>(to, &value);
        tx.store(inside.node_ref().size, inside.node_ref().size + 1);
        wake(tx, 0, 1);
        tx.commit();
    }
    bool take_until(std::chrono::steady_clock::time_point deadline, long* value = nullptr) const {
        for (;;) {
            std::uint32_t sequence = 0;
            {
                root_transaction tx(inside.in(), inside.slot(), inside.generation());
                if (inside.node_ref().size != 0) {
                    copy_out_fixed<8>(value == nullptr ? &ignored : value,
                                      element_at(tx, inside.node_ref(), inside.node_ref().size - 1));
                    drop_last(tx, inside.node_ref());
                    tx.commit();
                    return true;
                }
                if (std::chrono::steady_clock::now() >= deadline) return false;
                sequence = prepare_to_sleep(tx, 0);
            }
            sleep(inside.slot(), 0, sequence, deadline);
        }
    }
    static inline thread_local long ignored = 0;
};

}  // namespace

TEST_CASE("no wake-up is lost between threads that give and threads that take") {
    const waiting_room room;
    const long count = static_cast<long>(scaled(20'000));
    std::atomic<long> sum{0};
    std::atomic<int> failures{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 2; ++t) {
            threads.emplace_back([&] {
                for (long i = 1; i <= count; ++i) {
                    long value = 0;
                    if (!room.take_until(std::chrono::steady_clock::now() + 60s, &value)) ++failures;
                    sum += value;
                }
            });
            threads.emplace_back([&] {
                for (long i = 1; i <= count; ++i) room.give(i);
            });
        }
    }
    CHECK(failures == 0);
    CHECK(sum == count * (count + 1));
}

TEST_CASE("a sleeper in another process is woken") {
    const waiting_room room;
    child taker([&] {
        long value = 0;
        CHILD_CHECK(room.take_until(std::chrono::steady_clock::now() + 60s, &value));
        CHILD_CHECK(value == 7);
    });
    while (load_word(room.inside.slot().events[0].waiters) == 0) std::this_thread::sleep_for(1ms);
    room.give(7);
    CHECK(taker.join() == 0);
}

TEST_CASE("a wait that nobody ends takes until its deadline, not less") {
    const waiting_room room;
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(room.take_until(start + 150ms));
    CHECK(std::chrono::steady_clock::now() - start >= 150ms);
    CHECK_FALSE(room.take_until(start));  // long past: comes back at once
}

TEST_CASE("a sleep ends by its tick although its deadline is far, so that a lost wake is made good") {
    const waiting_room room;
    std::uint32_t sequence = 0;
    {
        root_transaction tx(room.inside.in(), room.inside.slot(), room.inside.generation());
        sequence = prepare_to_sleep(tx, 0);
    }
    // Some 30 times the longest tick. Without ticks the sleep ends by its deadline, so a mutant does not hang.
    const auto deadline = std::chrono::steady_clock::now() + patiently(5s);
    sleep(room.inside.slot(), 0, sequence, deadline);
    CHECK(std::chrono::steady_clock::now() < deadline);
}

TEST_CASE("a sequence that has moved on since it was read is no sleep at all") {
    const waiting_room room;
    std::uint32_t sequence = 0;
    {
        root_transaction tx(room.inside.in(), room.inside.slot(), room.inside.generation());
        sequence = prepare_to_sleep(tx, 1);
        wake_all(tx, 1);
    }
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < 100; ++i)
        sleep(room.inside.slot(), 1, sequence, std::chrono::steady_clock::now() + 3600s);
    // For a mutant: with a tick each it would be 8 s at least. Sound, it is some microseconds.
    CHECK(std::chrono::steady_clock::now() - start < 6s);
    CHECK(load_word(room.inside.slot().events[1].waiters) == 0);  // a wake that found nobody clears the flag
}

TEST_CASE("a wake without waiters moves nothing") {
    const waiting_room room;
    const std::uint32_t before = room.inside.slot().events[2].sequence;
    root_transaction tx(room.inside.in(), room.inside.slot(), room.inside.generation());
    wake_all(tx, 2);
    CHECK(room.inside.slot().events[2].sequence == before);
}

TEST_CASE("recovery and removal wake everybody, and a sleeper finds out") {
    const waiting_room room;
    std::jthread sleeper([&] {
        CHECK_THROWS_AS(room.take_until(std::chrono::steady_clock::now() + 60s), cairn::object_gone);
    });
    while (load_word(room.inside.slot().events[0].waiters) == 0) std::this_thread::sleep_for(1ms);
    const std::uint32_t before = load_word(room.inside.slot().events[0].sequence);
    CHECK(in_child([&] {
              root_transaction tx(room.inside.in(), room.inside.slot(), room.inside.generation());
              ::_exit(0);
          }) == 0);
    CHECK(room.l.empty());
    room.l.reserve(10);
    CHECK(load_word(room.inside.slot().events[0].sequence) != before);
    CHECK(room.m.remove("l"));
    sleeper.join();
}

}  // namespace events_test
