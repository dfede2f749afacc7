// map_codec_test.cpp - std::map of any types.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"

namespace map_codec_test {

using namespace cairn_test;

namespace {

enum class colour : std::uint8_t { red, green = 200 };

}  // namespace

TEST_CASE("maps of any types come back, and bytes that are none are said to be damaged") {
    using std::string;
    check_codecs({
        case_of(std::map<string, int>{}),
        case_of(std::map<string, int>{{"a", 1}, {"b", 2}}),
        case_of(std::map<int, double>{{-1, 0.5}, {7, 1}}),
        case_of(std::map<string, std::vector<string>>{{"a", {"x", ""}}, {"b", {}}}),
        case_of(std::map<std::tuple<int, string>, std::map<colour, std::variant<std::monostate, int>>>{
            {{1, "x"}, {{colour::red, {}}, {colour::green, 1}}}}),
        case_of(std::vector<std::map<string, std::optional<double>>>{{{"a", {}}, {"b", 2}}, {}}),
    });
}

TEST_CASE("a map is its keys and values in turn, in the order of the keys") {
    CHECK(encode(std::map<std::string, char>{{"b", 'y'}, {"a", 'x'}}) ==
          bytes_of({1, 'a', 'x', 1, 'b', 'y'}));
    CHECK(encode(std::map<std::string, char>{}).empty());
}

TEST_CASE("maps are called by their keys and values, and print as Python's dicts") {
    CHECK(case_of(std::map<std::string, unsigned>{}).type == "map<str, uint32>");
    CHECK(cairn::repr(std::map<std::string, int>{}) == "{}");
    CHECK(cairn::repr(std::map<std::string, int>{{"b", 2}, {"a", 1}}) == "{'a': 1, 'b': 2}");
    CHECK(cairn::repr(std::map<std::tuple<int>, std::vector<bool>>{{{1}, {true}}}) == "{(1,): [True]}");
}

TEST_CASE("a key twice, out of order or without a value is refused") {
    using letters = std::map<std::string, char>;
    CHECK(decode<letters>(bytes_of({1, 'a', 'x', 1, 'b', 'y'})).size() == 2);
    CHECK_THROWS_AS(decode<letters>(bytes_of({1, 'a', 'x', 1, 'a', 'y'})), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<letters>(bytes_of({1, 'b', 'x', 1, 'a', 'y'})), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<letters>(bytes_of({1, 'a', 'x', 1, 'b'})), cairn::corrupt_segment);
}

}  // namespace map_codec_test
