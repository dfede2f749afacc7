// set_test.cpp - what set<T> does, method by method; Python's set is the specification.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_dict.hpp"
#include "support/scratch.hpp"

namespace set_test {

using namespace cairn_test;

namespace {
using longs = std::vector<long>;
}

static_assert(cairn::set_of<cairn::set<long>, long>);

TEST_CASE("set add says who was first; discard whether it was there; remove throws") {
    const cairn::manager m;
    const auto s = m.set<std::string>("s");
    CHECK(s.add("a"));
    CHECK_FALSE(s.add("a"));
    CHECK(s.insert("b"));
    CHECK(s.contains("a"));
    CHECK(s.discard("a"));
    CHECK_FALSE(s.discard("a"));
    CHECK_THROWS_AS(s.remove("a"), cairn::key_error);
    s.remove("b");
    CHECK(s.empty());
    CHECK_THROWS_AS(static_cast<void>(s.pop()), cairn::key_error);
    CHECK(broken_dict(s) == "");
}

TEST_CASE("set updates: |=, -=, &=, ^=") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {1, 2, 3, 4});
    s |= longs{3, 5};
    CHECK(s.snapshot() == longs{1, 2, 3, 4, 5});
    s -= longs{1, 9};
    CHECK(s.snapshot() == longs{2, 3, 4, 5});
    s &= longs{5, 3, 4, 4};
    CHECK(s.snapshot() == longs{3, 4, 5});
    s ^= longs{5, 6, 6};
    CHECK(s.snapshot() == longs{3, 4, 6});
    s.update(m.set<long>("other", {7, 8}));
    CHECK(s == longs{8, 7, 6, 4, 3});
    CHECK(s.pop() == 8);
    s.symmetric_difference_update(s);
    CHECK(s.empty());
    CHECK(broken_dict(s) == "");
}

TEST_CASE("set union, intersection, difference, symmetric difference, subset, superset, disjoint") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {1, 2, 3});
    CHECK(s.union_with(longs{3, 4}) == longs{1, 2, 3, 4});
    CHECK(s.intersection(longs{3, 2, 9}) == longs{2, 3});
    CHECK(s.difference(longs{2}) == longs{1, 3});
    CHECK(s.symmetric_difference(longs{3, 4}) == longs{1, 2, 4});
    CHECK(s.isdisjoint(longs{7}));
    CHECK_FALSE(s.isdisjoint(longs{3}));
    CHECK(s.issubset(longs{1, 2, 3, 4}));
    CHECK_FALSE(s.issubset(longs{1, 2}));
    CHECK(s.issuperset(longs{1, 1, 2}));
    CHECK_FALSE(s.issuperset(longs{1, 5}));
    CHECK(s.snapshot() == longs{1, 2, 3});
}

TEST_CASE("set prints as Python's, is iterated in order, and compares without order") {
    const cairn::manager m;
    const auto s = m.set<long>("s", {2, 1});
    CHECK(cairn::repr(s) == "{2, 1}");
    CHECK(s == longs{1, 2, 2});
    CHECK_FALSE(s == longs{1, 3});
    longs seen;
    for (const long each : s) seen.push_back(each);
    CHECK(seen == longs{2, 1});
    s.clear();
    CHECK(cairn::repr(s) == "set()");
}

TEST_CASE("a large set, half of which is erased and comes again") {
    const cairn::manager m;
    const auto s = m.set<std::string>("s");
    for (int i = 0; i < 3000; ++i) CHECK(s.add("element " + std::to_string(i)));
    CHECK(cairn::erase_if(s, [](const std::string& each) { return each.back() % 2 == 0; }) == 1500);
    CHECK(broken_dict(s) == "");
    for (int i = 0; i < 3000; ++i) CHECK(s.add("element " + std::to_string(i)) == (i % 2 == 0));
    CHECK(s.size() == 3000);
    CHECK(broken_dict(s) == "");
}

}  // namespace set_test
