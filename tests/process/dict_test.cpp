// dict_test.cpp - several processes on one dict and on one set.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_dict.hpp"
#include "support/scratch.hpp"

namespace dict_test {

using namespace cairn_test;

namespace {

constexpr long processes = 4;

/// All of its words are one number, or somebody has seen half of it.
struct uniform {
    std::array<long, 12> words;
    explicit uniform(long n = 0) { words.fill(n); }
    [[nodiscard]] bool is_whole() const {
        for (const long word : words)
            if (word != words[0]) return false;
        return true;
    }
};

}  // namespace

TEST_CASE("four processes insert at once: nothing is lost, and add() is true for exactly one of them") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d");
    const auto s = m.set<long>("s");
    const auto wins = m.list<long>("wins");
    constexpr long own = 600;
    constexpr long common = 800;
    std::vector<child> all;
    for (long w = 0; w < processes; ++w) {
        all.emplace_back([&, w] {
            long won = 0;
            for (long i = 0; i < common; ++i) {
                if (i < own) d.set("of " + std::to_string(w) + ": " + std::to_string(i), i);
                if (s.add((i * 7 + w * 100) % common)) ++won;
                d["sum"] += 1;
            }
            wins.push_back(won);
        });
    }
    for (child& each : all) CHECK(each.join() == 0);
    long sum = 0;
    for (const long won : wins.snapshot()) sum += won;
    CHECK(sum == common);
    CHECK(s.size() == common);
    CHECK(d.at("sum") == processes * common);
    CHECK(d.size() == static_cast<std::size_t>(processes * own + 1));
    for (long w = 0; w < processes; ++w)
        for (long i = 0; i < own; ++i)
            REQUIRE(d.get("of " + std::to_string(w) + ": " + std::to_string(i)) == i);
    CHECK(broken_dict(d) == "");
    CHECK(broken_dict(s) == "");
}

TEST_CASE("readers beside writers of a dict see whole values only, and what is always there always") {
    const cairn::manager m;
    const auto d = m.dict<long, uniform>("d");
    const auto stop = m.list<long>("stop", {0});
    d.set(-1, uniform(1));
    std::vector<child> writers;
    for (long w = 0; w < 2; ++w) {
        writers.emplace_back([&, w] {
            for (long i = 0; i < 6000; ++i) {
                const long key = (i * 31 + w) % 500;
                if (i % 3 == 0) d.erase(key);
                else d.set(key, uniform(i));
                if (i % 2500 == 2499) d.update(-1, [](uniform& v) { v = uniform(v.words[0] + 1); });
            }
        });
    }
    std::vector<child> readers;
    for (int r = 0; r < 2; ++r) {
        readers.emplace_back([&] {
            while (stop.at(0) == 0) {
                if (!d.at(-1).is_whole()) throw cairn::error("half a value");
                for (long key = 0; key < 500; key += 7) {
                    const auto found = d.get(key);
                    if (found && !found->is_whole()) throw cairn::error("half a value");
                }
                for (const auto& [key, value] : d.snapshot())
                    if (!value.is_whole()) throw cairn::error("half a value in a snapshot");
            }
        });
    }
    for (child& each : writers) CHECK(each.join() == 0);
    stop.set(0, 1);
    for (child& each : readers) CHECK(each.join() == 0);
    CHECK(d.at(-1).words[0] == 5);
    CHECK(broken_dict(d) == "");
}

}  // namespace dict_test
