// choice_codec_test.cpp - std::optional, std::variant and std::monostate.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/structs.hpp"

namespace choice_codec_test {

using namespace cairn_test;

namespace {

enum class colour : std::uint8_t { red, green = 200 };

using either = std::variant<std::monostate, int, std::string, std::vector<colour>>;

struct throws_on_copy {
    throws_on_copy() = default;
    throws_on_copy(const throws_on_copy&) { throw std::runtime_error("copied"); }
    throws_on_copy& operator=(const throws_on_copy&) = default;
    int x = 0;
};
CAIRN_FIELDS(throws_on_copy, x)

}  // namespace

TEST_CASE("optional values of any type come back, and bytes that are none are said to be damaged") {
    using std::string;
    check_codecs({
        case_of(std::optional<int>{}),
        case_of(std::optional<int>{0}),
        case_of(std::optional<string>{}),
        case_of(std::optional<string>{""}),
        case_of(std::optional<std::vector<string>>{{"a", "b"}}),
        case_of(std::optional<std::optional<std::monostate>>{}),
        case_of(std::optional<std::optional<std::monostate>>{std::optional<std::monostate>{}}),
        case_of(
            std::optional<std::optional<std::monostate>>{std::optional<std::monostate>{std::monostate{}}}),
        case_of(std::optional<plain_job>{{1, 2, "x"}}),
    });
}

TEST_CASE(
    "variants come back as the alternative that they are, and bytes that are none are said to be damaged") {
    check_codecs({
        case_of(std::monostate{}),
        case_of(either{}),
        case_of(either{7}),
        case_of(either{"seven"}),
        case_of(either{std::vector{colour::red, colour::green}}),
        case_of(std::variant<int, long>{7L}),
        case_of(std::variant<std::variant<int, std::string>, std::optional<double>>{2.5}),
    });
    // Alternatives of one type are told apart by their number.
    using twice = std::variant<int, int>;
    CHECK(decode<twice>(encode(twice{std::in_place_index<1>, 7})).index() == 1);
}

TEST_CASE("an optional is nothing or its value, a variant the number of its alternative and the value") {
    CHECK(encode(std::monostate{}).empty());
    CHECK(encode(std::optional<int>{}).empty());
    CHECK(encode(std::optional<int>{5}) == bytes_of({5, 0, 0, 0}));
    CHECK(encode(std::optional<std::string>{""}) == bytes_of({1}));
    CHECK(encode(std::optional<std::string>{"x"}) == bytes_of({1, 'x'}));
    CHECK(encode(std::variant<int, std::string>{"x"}) == bytes_of({1, 'x'}));
    CHECK(encode(std::vector<std::optional<char>>{'x', {}}) == bytes_of({1, 'x', 0}));
}

TEST_CASE("optional values and variants are called by what they may be") {
    CHECK(case_of(std::optional<bool>{}).type == "optional<bool>");
    CHECK(case_of(std::variant<std::monostate, long>{}).type == "variant<none, int64>");
}

TEST_CASE("nothing prints as None, and anything else as what it is") {
    CHECK(cairn::repr(std::monostate{}) == "None");
    CHECK(cairn::repr(std::optional<std::string>{}) == "None");
    CHECK(cairn::repr(std::optional<std::string>{"x"}) == "'x'");
    CHECK(cairn::repr(either{}) == "None");
    CHECK(cairn::repr(either{"x"}) == "'x'");
    CHECK(cairn::repr(std::vector<either>{7, std::vector{colour::green}}) == "[7, [200]]");
}

TEST_CASE("an alternative too many and a mark that is none are refused") {
    CHECK_THROWS_AS((decode<std::variant<int, std::string>>(bytes_of({2, 'x'}))), cairn::corrupt_segment);
    CHECK_THROWS_AS((decode<std::variant<int, std::string>>(bytes_of({}))), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<std::optional<std::string>>(bytes_of({2, 'x'})), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<std::optional<int>>(bytes_of({1, 2, 3})), cairn::corrupt_segment);
    CHECK_THROWS_AS(decode<std::monostate>(bytes_of({0})), cairn::corrupt_segment);
}

TEST_CASE("a variant that lost its value is refused, and prints all the same") {
    std::variant<int, throws_on_copy> lost = 1;
    const throws_on_copy source;
    CHECK_THROWS_AS(lost.emplace<throws_on_copy>(source), std::runtime_error);
    REQUIRE(lost.valueless_by_exception());
    CHECK_THROWS_AS(encode(lost), cairn::invalid_argument);
    CHECK(cairn::repr(lost) == "None");
}

}  // namespace choice_codec_test
