// iteration_test.cpp - live iteration ends: where, is fixed when it begins.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/cairn.hpp>

namespace iteration_test {

TEST_CASE("a body that erases and inserts what it was given sees each pair of a dict once") {
    const cairn::manager m;
    const auto d = m.dict<long, long>("d", {{1, 1}, {2, 2}});
    std::size_t steps = 0;
    for (const auto& [key, value] : d) {
        CHECK(d.erase(key));
        d.set(key, value);
        REQUIRE(++steps <= 2);
    }
    CHECK(steps == 2);
}

TEST_CASE("a body that adds to a set does not see what it has added") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {1, 2, 3});
    std::size_t steps = 0;
    for (const long each : s) {
        s.add(each + 100);
        REQUIRE(++steps <= 3);
    }
    CHECK(steps == 3);
    CHECK(s.size() == 6);
}

TEST_CASE("a body that inserts into all shards does not see what it has inserted in any of them") {
    const cairn::manager m;
    const auto d = m.sharded_dict<long, long>("d");
    for (long i = 0; i < 100; ++i) d.set(i, i);
    std::size_t steps = 0;
    for (const auto& [key, value] : d) {
        for (long i = 1; i < 10; ++i) d.set(key + 1000 * i, value);
        REQUIRE(++steps <= 100);
    }
    CHECK(steps == 100);
    CHECK(d.size() == 1000);
}

TEST_CASE("a body that appends to a list sees as many elements as there were, and fewer where it shrinks") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4});
    std::vector<long> seen;
    for (const long each : l) {
        seen.push_back(each);
        l.push_back(each);
        REQUIRE(seen.size() <= 4);
    }
    CHECK(seen == std::vector<long>{1, 2, 3, 4});
    seen.clear();
    for (const long each : l) {
        seen.push_back(each);
        l.erase(l.size() - 2, l.size());
    }
    CHECK(seen == std::vector<long>{1, 2, 3});
}

TEST_CASE("a body that clears a dict and fills it again ends") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d");
    for (long i = 0; i < 10; ++i) d.set(std::to_string(i), i);
    std::size_t steps = 0;
    for (const auto& [key, value] : d) {
        d.clear();
        for (long i = 0; i < 20; ++i) d.set(key + std::to_string(i), value);
        REQUIRE(++steps <= 10);
    }
    CHECK(steps > 0);
}

}  // namespace iteration_test
