// manager_leftovers_test.cpp - several processes come at the same time to a name that only the dead have left; and storms
// in which processes are killed. Races for a free name are in manager_race_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "process/shared_round.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace manager_leftovers_test {

using namespace cairn_test;
using namespace cairn::literals;
using namespace std::chrono_literals;

namespace {

constexpr cairn::segment_options small = {.max_size = 4_MiB, .initial_size = 256_KiB};

struct race_results {
    meeting start;
    meeting end;
    std::array<std::atomic<int>, 128> winners{};
    std::array<std::atomic<int>, 128> losers{};
};

// `racers` processes create one name at the same time, `rounds` times; `before_round(r)` prepares it in the first one.
template <typename BeforeRound>
void race(unsigned racers, int rounds, BeforeRound before_round) {
    const scratch_name name;
    const shared_with_children<race_results> results;
    std::vector<child> processes;
    for (unsigned racer = 0; racer < racers; ++racer) {
        processes.emplace_back([&, racer] {
            for (int round = 0; round < rounds; ++round) {
                if (racer == 0) before_round(name.get());
                std::optional<cairn::manager> mine;
                results->start.arrive_and_wait(racers);
                try {
                    mine = cairn::manager::create(name, small);
                    ++results->winners[static_cast<std::size_t>(round)];
                    // What the winner has is its own: nobody else is in it, and it is new.
                    CHILD_CHECK(mine->objects().empty());
                    mine->list<unsigned>("who", {racer});
                } catch (const cairn::segment_exists&) {
                    ++results->losers[static_cast<std::size_t>(round)];
                }
                results->end.arrive_and_wait(racers);
                if (mine) CHILD_CHECK(name.exists());
                mine.reset();
                results->end.arrive_and_wait(racers);
                CHILD_CHECK(!name.exists());
                results->end.arrive_and_wait(racers);
            }
        });
    }
    for (child& process : processes) CHECK(process.join() == 0);
    int wrong = 0;
    for (std::size_t round = 0; round < static_cast<std::size_t>(rounds); ++round) {
        if (results->winners[round] == 1 && results->losers[round] == static_cast<int>(racers) - 1) continue;
        if (wrong++ == 0)
            MESSAGE("round ", round, ": ", results->winners[round].load(), " winners, ",
                    results->losers[round].load(), " losers");
    }
    CHECK(wrong == 0);
}

void leave_a_dead_one(const std::string& name) {
    CHILD_CHECK(in_child([&] {
                    const auto m = cairn::manager::create(name, small);
                    m.list<unsigned>("who", {1000});
                    ::_exit(0);
                }) == 0);
}

// Attached to what is surely the same segment: the list says who has been there, in this round, at the barrier.
constexpr std::uint64_t visit(unsigned process, std::uint64_t round) {
    return round << 8 | process;
}

std::uint64_t seed() {
    const auto now = static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
    MESSAGE("seed ", now);
    return now;
}

}  // namespace

TEST_CASE("of four processes that create a name at the same time exactly one wins") {
    race(4, 100, [](const std::string&) {});
}

TEST_CASE("of processes that replace what the dead have left exactly one wins") {
    race(2, 50, leave_a_dead_one);
    race(4, 50, leave_a_dead_one);
}

TEST_CASE("processes that open or create what the dead have left all get the same new segment") {
    constexpr unsigned parties = 3;
    constexpr std::uint64_t rounds = 60;
    const scratch_name name;
    const shared_with_children<meeting> inside;
    std::vector<child> processes;
    for (unsigned process = 0; process < parties; ++process) {
        processes.emplace_back([&, process] {
            for (std::uint64_t round = 0; round < rounds; ++round) {
                if (process == 0) leave_a_dead_one(name);
                inside->arrive_and_wait(parties);
                {
                    const auto m = cairn::manager::open_or_create(name, small);
                    CHILD_CHECK(!m.contains("who"));
                    const auto l = m.list<std::uint64_t>("visits");
                    l.push_back(visit(process, round));
                    inside->arrive_and_wait(parties);
                    CHILD_CHECK(l.size() == parties);
                }
                inside->arrive_and_wait(parties);
                CHILD_CHECK(!name.exists());
                inside->arrive_and_wait(parties);
            }
        });
    }
    for (child& process : processes) CHECK(process.join() == 0);
}

TEST_CASE("threads of one process that open or create what the dead have left all get the same segment") {
    CHECK(in_child([] {
              constexpr unsigned threads = 4;
              const scratch_name name;
              meeting inside;
              std::atomic<int> strangers{0};
              for (int round = 0; round < 60; ++round) {
                  leave_a_dead_one(name);
                  std::vector<std::jthread> all;
                  for (unsigned thread = 0; thread < threads; ++thread) {
                      all.emplace_back([&, thread] {
                          inside.arrive_and_wait(threads);
                          const auto m = cairn::manager::open_or_create(name, small);
                          const auto l = m.list<unsigned>("who");
                          l.push_back(thread);
                          inside.arrive_and_wait(threads);
                          if (l.size() != threads) ++strangers;
                          inside.arrive_and_wait(threads);
                      });
                  }
                  all.clear();
                  CHILD_CHECK(!name.exists());
              }
              CHILD_CHECK(strangers == 0);
          }) == 0);
}

TEST_CASE("a storm of open_or_create, use, close and kills leaves nothing, and nobody sees an error") {
    const std::uint64_t first_seed = seed();
    const auto end = std::chrono::steady_clock::now() + 3s;
    const scratch_name name;
    std::vector<child> processes;
    for (unsigned process = 0; process < 4; ++process) {
        processes.emplace_back([&, process] {
            std::mt19937_64 random(first_seed + process);
            while (std::chrono::steady_clock::now() < end) {
                const auto use = [&] {
                    const auto m = cairn::manager::open_or_create(name, small);
                    const auto l = m.list<std::string>("l");
                    l.push_back("some text that is longer than a slot " + std::to_string(process));
                    for (std::uint64_t i = random() % 20; i > 0; --i) ::sched_yield();
                    if (random() % 4 == 0) l.clear();
                    // Attached, so the name leads here.
                    const auto again = cairn::manager::open(name).find<cairn::list<std::string>>("l");
                    CHILD_CHECK(again.has_value());
                    CHILD_CHECK(again->manager().stats().process_count >= 1);
                    l.extend({"a", "b"});
                    CHILD_CHECK(again->manager().objects().size() == 1);
                };
                if (random() % 8 != 0) {
                    use();
                    continue;
                }
                child victim([&] {
                    for (;;) use();
                });
                std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
                victim.kill();
                CHILD_CHECK(victim.join() == -SIGKILL);
            }
        });
    }
    for (child& process : processes) CHECK(process.join() == 0);
    // What the last victim may have left is somebody's to replace, and goes with its last user.
    { const auto m = cairn::manager::open_or_create(name, small); }
    CHECK_FALSE(name.exists());
}

TEST_CASE(
    "a storm of create, open and unlink gives everybody a segment or an error of the documented kinds") {
    const std::uint64_t first_seed = seed();
    const auto end = std::chrono::steady_clock::now() + 2s;
    const scratch_name name;
    const shared_with_children<std::array<std::atomic<int>, 4>> counts;
    std::vector<child> processes;
    for (unsigned process = 0; process < 4; ++process) {
        processes.emplace_back([&, process] {
            std::mt19937_64 random(first_seed + process);
            const auto is_through = [&] {
                const auto now = std::chrono::steady_clock::now();
                const bool has_seen_all = std::all_of(counts->begin(), counts->end(),
                                                      [](const std::atomic<int>& each) { return each > 0; });
                return now > end && (has_seen_all || now > end + 30s);  // a busy machine takes longer
            };
            while (!is_through()) {
                try {
                    const bool creates = random() % 2 == 0;
                    const auto m = creates ? cairn::manager::create(name, small) : cairn::manager::open(name);
                    ++(*counts)[creates ? 0 : 1];
                    const auto l = m.list<unsigned>("l");
                    l.push_back(process);
                    CHILD_CHECK(!l.empty());
                    if (random() % 4 == 0) m.unlink();
                } catch (const cairn::segment_exists&) {
                    ++(*counts)[2];
                } catch (const cairn::no_such_segment&) {
                    ++(*counts)[3];
                }
            }
        });
    }
    for (child& process : processes) CHECK(process.join() == 0);
    CHECK_FALSE(name.exists());
    for (const std::atomic<int>& count : *counts) CHECK(count > 0);
}

}  // namespace manager_leftovers_test
