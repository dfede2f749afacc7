// composite_test.cpp - types that are made of others, at any depth, as elements, keys and values.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "codec_case.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace composite_test {

using namespace cairn_test;

namespace {

template <typename T>
bool comes_back(const T& value) {
    return decode<T>(encode(value)) == value;
}

struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copied"); }
    throws_on_copy& operator=(const throws_on_copy&) = default;
    int x = 0;
};
CAIRN_FIELDS(throws_on_copy, x)

using nested = std::map<std::string, std::vector<std::optional<double>>>;

}  // namespace

TEST_CASE("any values of nested types come back") {
    using lines = std::vector<std::tuple<std::string, int, double>>;
    CHECK(rc::check("vectors of tuples", [](const lines& v) { RC_ASSERT(comes_back(v)); }));
    using tree = std::map<std::string, std::pair<std::array<std::string, 3>, std::vector<bool>>>;
    CHECK(rc::check("maps of pairs of arrays", [](const tree& v) { RC_ASSERT(comes_back(v)); }));
    CHECK(rc::check("optional and variant", [](const std::vector<std::string>& texts, int number) {
        std::vector<std::variant<std::string, std::optional<int>>> v(texts.begin(), texts.end());
        v.emplace_back(std::optional<int>(number));
        v.emplace_back(std::optional<int>());
        RC_ASSERT(comes_back(v));
    }));
}

TEST_CASE("what is made of others is an element of a list") {
    const cairn::manager m;
    const nested value{{"a", {1.5, {}}}, {"b", {}}, {std::string(500, 'c'), {2}}};
    const auto l = m.list<nested>("l", {value, {}});
    l.push_back(value);
    l.insert(1, {{"x", {}}});
    CHECK(broken_invariant(l) == "");
    CHECK(l.at(3) == value);
    CHECK(l.count(value) == 2);
    CHECK(l[1] == nested{{"x", {}}});
    CHECK(cairn::repr(l.slice(1, 3)) == "[{'x': []}, {}]");
    CHECK(l.pop() == value);
    CHECK(m.list<nested>("l").size() == 3);
    CHECK(contains(
        thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<std::vector<nested>>("l")); }),
        "list<map<str, vector<optional<float64>>>>"));
}

TEST_CASE("what is made of others is a key and a value of a dict") {
    const cairn::manager m;
    using key = std::tuple<std::string, std::optional<double>, std::vector<int>>;
    const auto d = m.dict<key, std::pair<int, std::string>>("d");
    d[key{"a", 0.0, {1}}] = {1, "one"};
    d[key{"a", {}, {1}}] = {2, "two"};
    CHECK(d.at({"a", -0.0, {1}}) == std::pair<int, std::string>{1, "one"});
    CHECK(d.contains({"a", {}, {1}}));
    CHECK_FALSE(d.contains({"a", {}, {1, 1}}));
    CHECK(cairn::repr(d) == "{('a', 0.0, [1]): (1, 'one'), ('a', None, [1]): (2, 'two')}");
    CHECK(d.pop({"a", {}, {1}}).second == "two");
    CHECK(d.size() == 1);
}

TEST_CASE("what is made of others is in a set once") {
    const cairn::manager m;
    using either = std::variant<std::monostate, int, std::string>;
    const auto s = m.set<either>("s");
    for (const either& each : {either{1}, either{"1"}, either{}, either{1}, either{"1"}, either{}})
        s.add(each);
    CHECK(s.size() == 3);
    CHECK(s.contains("1"));
    CHECK_FALSE(s.contains(2));
}

TEST_CASE("a variant that lost its value is refused, and lists and sets are as they were") {
    using either = std::variant<double, throws_on_copy>;
    either lost = 1.0;
    const throws_on_copy source;
    CHECK_THROWS_AS(lost.emplace<throws_on_copy>(source), std::runtime_error);
    REQUIRE(lost.valueless_by_exception());
    const cairn::manager m;
    const auto l = m.list<either>("l");
    CHECK_THROWS_AS(l.push_back(lost), cairn::invalid_argument);
    CHECK(l.empty());
    const auto s = m.set<either>("s");
    CHECK_THROWS_AS(s.add(lost), cairn::invalid_argument);
    CHECK(s.empty());
}

}  // namespace composite_test
