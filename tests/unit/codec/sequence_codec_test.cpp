// sequence_codec_test.cpp - std::vector and std::array of any type.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "codec_case.hpp"
#include "support/scratch.hpp"
#include "support/structs.hpp"

namespace sequence_codec_test {

using namespace cairn_test;

namespace {

// Is read without a default constructor.
struct numbered {
    explicit numbered(int n) : number(n) {}
    int number;
};

}  // namespace

TEST_CASE("vectors of any type come back, and bytes that are none are said to be damaged") {
    using std::string;
    check_codecs({
        case_of(std::vector<int>{1, -2, 3}),
        case_of(std::vector<int>{}),
        case_of(std::vector<bool>{true, false, true}),
        case_of(std::vector<string>{"a", "", string(200, 'x')}),
        case_of(std::vector<std::monostate>(3)),
        case_of(std::vector<std::vector<std::vector<string>>>{{{"a"}, {}}, {}, {{"b", "c"}}}),
        case_of(std::vector<plain_job>{{1, 2, "x"}, {}}),
        case_of(std::vector<numbered>{numbered(7), numbered(8)}),
    });
}

TEST_CASE("arrays of any type come back, and bytes that are none are said to be damaged") {
    using std::string;
    check_codecs({
        case_of(std::array<int, 3>{1, 2, 3}),
        case_of(std::array<string, 2>{"a", "b"}),
        case_of(std::array<string, 0>{}),
        case_of(std::array<int, 0>{}),
        case_of(std::array<std::array<bool, 2>, 2>{{{true, false}, {false, true}}}),
        case_of(std::array<std::vector<string>, 2>{{{"a", "b"}, {}}}),
        case_of(std::array<numbered, 2>{numbered(1), numbered(2)}),
    });
}

TEST_CASE("the items of vectors and arrays stand side by side, those of varying length with it in front") {
    CHECK(encode(std::vector<short>{1, 2}) == bytes_of({1, 0, 2, 0}));
    CHECK(encode(std::vector<bool>{true, false}) == bytes_of({1, 0}));
    CHECK(encode(std::vector<std::string>{"a", ""}) == bytes_of({1, 'a', 0}));
    CHECK(encode(std::vector<std::monostate>(2)) == bytes_of({0, 0}));
    CHECK(encode(std::array<short, 2>{1, 2}) == bytes_of({1, 0, 2, 0}));
    CHECK(encode(std::array<std::string, 2>{"a", ""}) == bytes_of({1, 'a', 0}));
    // A length of 300: seven bits a byte, the lowest first.
    const std::vector<std::byte> long_text = encode(std::vector<std::string>{std::string(300, 'x')});
    CHECK(long_text.size() == 302);
    CHECK(long_text[0] == std::byte{0xac});
    CHECK(long_text[1] == std::byte{0x02});
}

TEST_CASE("vectors and arrays are called by their items") {
    CHECK(case_of(std::vector<std::vector<std::string>>{}).type == "vector<vector<str>>");
    CHECK(case_of(std::vector<bool>{}).type == "vector<bool>");
    CHECK(case_of(std::array<double, 3>{}).type == "array<float64, 3>");
    CHECK(case_of(std::array<std::vector<std::uint8_t>, 1>{}).type == "array<vector<uint8>, 1>");
}

TEST_CASE("vectors and arrays print as Python's lists") {
    CHECK(cairn::repr(std::vector<std::vector<std::string>>{{"a", "it's"}, {}}) == "[['a', \"it's\"], []]");
    CHECK(cairn::repr(std::vector<bool>{true, false}) == "[True, False]");
    CHECK(cairn::repr(std::array<double, 2>{1, 0.5}) == "[1.0, 0.5]");
    CHECK(cairn::repr(std::array<int, 0>{}) == "[]");
}

TEST_CASE("a length that is more than what is left is refused, whatever follows") {
    // Two to the power of 63, and what does not fit 64 bits.
    const auto wild = bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01, 'x'});
    const auto wilder = bytes_of({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 'x'});
    const auto endless = bytes_of({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01});
    // 1, if what is beyond 64 bits is cut off.
    const auto wrapped = bytes_of({0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, 'x'});
    const auto two_of_one = bytes_of({2, 'x'});
    const auto padded = bytes_of({0x81, 0x00, 'x'});  // 1, in more bytes than it needs
    for (const auto& bytes : {wild, wilder, endless, wrapped, two_of_one, padded}) {
        CHECK_THROWS_AS(decode<std::vector<std::string>>(bytes), cairn::corrupt_segment);
        CHECK_THROWS_AS((decode<std::array<std::string, 1>>(bytes)), cairn::corrupt_segment);
    }
    CHECK(contains(thrown_by<cairn::corrupt_segment>([&] { decode<std::vector<std::string>>(two_of_one); }),
                   "decode vector<str>: 2 bytes are no value of that type"));
}

}  // namespace sequence_codec_test
