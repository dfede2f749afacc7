// value_process_test.cpp - values, and operations with a number, of processes that are killed at any moment, or stopped.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace value_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t crew_size = 4;
constexpr int kills = 150;

// Runs `work(member)` in processes, one of which is killed and replaced now and then.
template <typename Work>
void run_and_kill(const Work& work) {
    std::random_device seed;
    std::minstd_rand random(seed());
    std::array<std::unique_ptr<child>, crew_size> crew;
    const auto start = [&](std::size_t member) {
        crew[member] = std::make_unique<child>([&, member] {
            for (;;) work(member);
        });
    };
    for (std::size_t member = 0; member < crew_size; ++member) start(member);
    for (int i = 0; i < kills; ++i) {
        std::this_thread::sleep_for(std::chrono::microseconds(300 + random() % 3000));
        const std::size_t member = random() % crew_size;
        crew[member]->kill();
        CHECK(crew[member]->join() == -SIGKILL);
        start(member);
    }
    for (auto& each : crew) {
        each->kill();
        each->join();
    }
}

}  // namespace

TEST_CASE("no count of a killed process is lost once it was acknowledged, and none is there twice") {
    const cairn::manager m;
    const auto v = m.value<long>("v");
    using counters = std::array<std::atomic<long>, crew_size>;
    const shared_with_children<counters> acknowledged;
    run_and_kill([&](std::size_t member) {
        switch (acknowledged->at(member).load() % 4) {
            case 0: v.fetch_add(1); break;
            case 1: static_cast<void>(v.update([](long& each) { ++each; })); break;
            case 2: v.transaction([](auto& tx) { tx.store(tx.load() + 1); }); break;
            default: {
                long seen = v.load();
                while (!v.compare_exchange(seen, seen + 1)) {}
            }
        }
        ++acknowledged->at(member);
    });
    long sum = 0;
    for (const auto& each : *acknowledged) sum += each;
    CHECK(sum > 0);
    // A kill may come between a count and its acknowledgement.
    CHECK(v.load() >= sum);
    CHECK(v.load() <= sum + kills + static_cast<long>(crew_size));
}

TEST_CASE("who is killed and does its last operation again has done each once, on two objects together") {
    const cairn::manager m;
    const auto total = m.value<long>("total");
    const auto results = m.list<std::uint64_t>("results");
    const auto queue = m.queue<std::uint64_t>("queue");
    using counters = std::array<std::atomic<std::uint64_t>, crew_size>;
    // What a client remembers itself: it knows only what was acknowledged.
    const shared_with_children<counters> finished;
    const auto do_next = [&](std::size_t member) {
        const std::uint64_t client = member + 1;
        const std::uint64_t sequence = finished->at(member).load() + 1;
        const cairn::exactly_once how = {.once = {client, sequence}};
        static_cast<void>(cairn::transaction(how, total, results, [&](auto& of_total, auto& of_results) {
            of_total.fetch_add(1);
            of_results.push_back(client << 32 | sequence);
        }));
        queue.put(client << 32 | sequence, how);
        finished->at(member) = sequence;
    };
    run_and_kill(do_next);
    // The last one of each, which may have been cut off.
    std::uint64_t all = 0;
    for (std::size_t member = 0; member < crew_size; ++member) {
        do_next(member);
        const std::uint64_t sequence = finished->at(member);
        all += sequence;
        CHECK(m.happened({member + 1, sequence}));
        CHECK_FALSE(m.happened({member + 1, sequence + 1}));
    }
    CHECK(static_cast<std::uint64_t>(total.load()) == all);
    std::array<std::uint64_t, crew_size + 1> next = {1, 1, 1, 1, 1};
    for (const std::uint64_t each : results.snapshot()) CHECK(each % (1ULL << 32) == next.at(each >> 32)++);
    next = {1, 1, 1, 1, 1};
    for (const std::uint64_t each : queue.snapshot()) CHECK(each % (1ULL << 32) == next.at(each >> 32)++);
    CHECK(results.size() == all);
    CHECK(queue.size() == all);
}

TEST_CASE("a process that is stopped in the middle of counting stops nobody who counts") {
    const cairn::manager m(cairn::segment_options{.lock_timeout = 300ms});
    const auto v = m.value<long>("v");
    child counter([&] {
        for (;;) v.fetch_add(1);
    });
    REQUIRE(eventually([&] { return v.load() > 100; }));
    for (int i = 0; i < 30; ++i) {
        REQUIRE(::kill(counter.pid(), SIGSTOP) == 0);
        const long before = v.load();
        v.fetch_add(1);
        static_cast<void>(v.update([](long& each) { ++each; }));
        CHECK(v.load() >= before + 2);
        REQUIRE(::kill(counter.pid(), SIGCONT) == 0);
        std::this_thread::sleep_for(1ms);
    }
    // But in a transaction it holds the value: then there is a limit.
    counter.kill();
    CHECK(counter.join() == -SIGKILL);
    const gate inside;
    child stopped([&] {
        v.transaction([&](auto& tx) {
            tx.store(-5);
            inside.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(inside.wait());
    REQUIRE(::kill(stopped.pid(), SIGSTOP) == 0);
    CHECK_THROWS_AS(v.fetch_add(1), cairn::timeout_error);
    CHECK_THROWS_AS(static_cast<void>(v.load()), cairn::timeout_error);
    stopped.kill();
    CHECK(stopped.join() == -SIGKILL);
    CHECK(v.load() > 100);
    v.fetch_add(1);
}

}  // namespace value_process_test
