// tuple_codec_test.cpp - std::tuple and std::pair of any types.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/structs.hpp"

namespace tuple_codec_test {

using namespace cairn_test;

TEST_CASE("tuples and pairs of any types come back, and bytes that are none are said to be damaged") {
    using std::string;
    check_codecs({
        case_of(std::tuple<>{}),
        case_of(std::tuple<int>{1}),
        case_of(std::tuple<std::tuple<string>>{std::tuple<string>{"x"}}),
        case_of(std::tuple<int, string, double>{1, "two", 3.5}),
        case_of(std::tuple<bool, plain_job, std::vector<string>>{true, {1, 2, "x"}, {"a", "b"}}),
        case_of(std::pair<short, long>{1, 2}),
        case_of(std::pair<string, std::vector<std::pair<int, bool>>>{"x", {{1, true}, {2, false}}}),
    });
}

TEST_CASE("the parts of a tuple stand side by side, those of varying length with it in front") {
    CHECK(encode(std::tuple<int, std::string, int>{7, "ab", 9}) ==
          bytes_of({7, 0, 0, 0, 2, 'a', 'b', 9, 0, 0, 0}));
    CHECK(encode(std::pair<int, char>{7, 'x'}) == bytes_of({7, 0, 0, 0, 'x'}));
    CHECK(encode(std::tuple<>{}).empty());
    // A tuple of fixed parts is itself a fixed part.
    CHECK(encode(std::vector<std::pair<short, char>>{{1, 'a'}, {2, 'b'}}) ==
          bytes_of({1, 0, 'a', 2, 0, 'b'}));
}

TEST_CASE("tuples are called by their parts, and a pair is a tuple of two") {
    CHECK(case_of(std::tuple<int, std::string>{}).type == "tuple<int32, str>");
    CHECK(case_of(std::pair<int, std::string>{}).type == "tuple<int32, str>");
    CHECK(case_of(std::tuple<>{}).type == "tuple<>");
    CHECK(encode(std::pair<int, std::string>{1, "x"}) == encode(std::tuple<int, std::string>{1, "x"}));
}

TEST_CASE("tuples and pairs print as Python's tuples") {
    CHECK(cairn::repr(std::tuple<>{}) == "()");
    CHECK(cairn::repr(std::tuple<int>{1}) == "(1,)");
    CHECK(cairn::repr(std::pair<int, std::string>{1, "x"}) == "(1, 'x')");
    CHECK(cairn::repr(std::tuple<bool, double, std::tuple<std::string>>{true, 1, {"x"}}) ==
          "(True, 1.0, ('x',))");
}

}  // namespace tuple_codec_test
