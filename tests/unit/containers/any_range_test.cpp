// any_range_test.cpp - what is put, added, or given as first contents may be any range: a view, one that const does not reach, a
// handle.
//
// SPDX-License-Identifier: BSL-1.0
#include <map>
#include <ranges>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/cairn.hpp>

namespace any_range_test {

namespace {

const std::vector<long> four = {1, 2, 3, 4};
const std::map<std::string, long> pairs = {{"a", 1}, {"b", 2}};

// Filter views remember where they begin: a const one is no range.
auto even() {
    return four | std::views::filter([](long each) { return each % 2 == 0; });
}
auto above_one() {
    return pairs | std::views::filter([](const auto& each) { return each.second > 1; });
}

using numbers = std::vector<long>;
using entries = std::vector<std::pair<std::string, long>>;

}  // namespace

TEST_CASE("first contents are any range, with a name and without one") {
    const cairn::manager m;
    CHECK(m.list<long>(four) == four);
    CHECK(m.list<long>("even", even()) == numbers{2, 4});
    CHECK(m.list<long>(std::views::iota(0L, 3L)) == numbers{0, 1, 2});
    CHECK(m.list<long>(m.list<long>({5, 6})) == numbers{5, 6});
    CHECK(m.list<std::string>({"x", "y"}).size() == 2);
    CHECK(m.dict<std::string, long>(pairs).size() == 2);
    CHECK(m.dict<std::string, long>("above", above_one()).snapshot() == entries{{"b", 2}});
    CHECK(m.dict<std::string, long>(m.dict<std::string, long>({{"c", 3}})).snapshot() == entries{{"c", 3}});
    CHECK(m.set<long>(four).size() == 4);
    CHECK(m.set<long>("set", even()).snapshot() == numbers{2, 4});
    CHECK(m.sharded_dict<std::string, long>("sharded", above_one()).size() == 1);
}

TEST_CASE("extend, put_many and update take any range") {
    const cairn::manager m;
    const auto l = m.list<long>();
    l.extend(even());
    l.extend(four);
    CHECK(l == numbers{2, 4, 1, 2, 3, 4});

    const auto q = m.queue<long>();
    q.put_many(even());
    q.put_many({7, 8});
    CHECK(q.put_many(even(), std::stop_token{}) == 2);
    q.put_many(l);
    CHECK(q.snapshot() == numbers{2, 4, 7, 8, 2, 4, 2, 4, 1, 2, 3, 4});
    const auto strings = m.queue<std::string>();
    strings.put_many(four | std::views::transform([](long each) { return std::to_string(each); }));
    CHECK(strings.size() == 4);

    const auto d = m.dict<std::string, long>();
    d.update(above_one());
    d |= pairs;
    d |= {{"c", 3}};
    d.update(d);
    CHECK(d.snapshot() == entries{{"b", 2}, {"a", 1}, {"c", 3}});
    const auto sharded = m.sharded_dict<std::string, long>();
    sharded.update(above_one());
    sharded |= d;
    CHECK(sharded.size() == 3);
}

TEST_CASE("operations of sets take any range") {
    const cairn::manager m;
    const auto s = m.set<long>({1, 5});
    s |= even();
    CHECK(s.snapshot() == numbers{1, 5, 2, 4});
    s -= even();
    CHECK(s.snapshot() == numbers{1, 5});
    s ^= even();
    s &= even();
    CHECK(s.snapshot() == numbers{2, 4});
    CHECK(s.union_with(even()) == numbers{2, 4});
    CHECK(s.intersection(even()) == numbers{2, 4});
    CHECK(s.difference(even()).empty());
    CHECK(s.symmetric_difference(even()).empty());
    CHECK(s.issubset(even()));
    CHECK(s.issuperset(even()));
    CHECK_FALSE(s.isdisjoint(even()));
}

}  // namespace any_range_test
