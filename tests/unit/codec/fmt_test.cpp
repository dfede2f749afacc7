// fmt_test.cpp - handles and proxies in fmt::format.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/fmt.hpp"

#include <map>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/ranges.h>

#include "support/structs.hpp"
#include <cairn/cairn.hpp>

using namespace cairn_test;

TEST_CASE("lists, dicts and sets are formatted in Python's notation") {
    const cairn::manager m;
    CHECK(fmt::format("{}", m.list<std::string>({"a", "it's"})) == "['a', \"it's\"]");
    CHECK(fmt::format("{}", m.list<bool>({true, false})) == "[True, False]");
    CHECK(fmt::format("{}", m.list<plain_job>({{1, 2.5, "x"}})) == "[{'id': 1, 'weight': 2.5, 'tag': 'x'}]");
    const auto d = m.dict<std::string, std::vector<double>>("d");
    d.set("a", {1, 0.5});
    CHECK(fmt::format("{}", d) == "{'a': [1.0, 0.5]}");
    CHECK(fmt::format("{}", m.set<int>("s", {1, 2})) == "{1, 2}");
    CHECK(fmt::format("{}", m.set<int>("none")) == "set()");
}

TEST_CASE("a proxy is formatted as its value is printed") {
    const cairn::manager m;
    const auto numbers = m.list<long>({7});
    const auto texts = m.list<std::string>({"a\n"});
    CHECK(fmt::format("{}", numbers[0]) == "7");
    CHECK(fmt::format("{}", texts[0]) == "'a\\n'");
    CHECK(fmt::format("{}", numbers[0].get()) == "7");
    CHECK(fmt::format("{}", texts[0].get()) == "a\n");
    const auto d = m.dict<int, std::pair<int, std::string>>("d");
    d.set(1, {2, "x"});
    CHECK(fmt::format("{}", d[1]) == "(2, 'x')");
}

TEST_CASE("they take the format specifications of a string") {
    const cairn::manager m;
    const auto l = m.list<int>({1, 2});
    CHECK(fmt::format("{:>8}|{:8}|{:^8}|", l, l, l) == "  [1, 2]|[1, 2]  | [1, 2] |");
    CHECK(fmt::format("{:.3}", l) == "[1,");
    CHECK(fmt::format("{:*<3}", l[1]) == "2**");
    CHECK_THROWS_AS(static_cast<void>(fmt::format(fmt::runtime("{:d}"), l)), fmt::format_error);
}

TEST_CASE("the containers of the standard library keep the formats that fmt gives them") {
    CHECK(fmt::format("{}", std::vector<int>{1, 2}) == "[1, 2]");
    CHECK(fmt::format("{}", cairn::repr(std::map<std::string, bool>{{"a", true}})) == "{'a': True}");
}
