// names_test.cpp - what a segment and an object may be called, and what is said of a name that they may not have.
// SPDX-License-Identifier: BSL-1.0
#include "base/names.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace names_test {

using namespace cairn::detail;
using namespace std::string_view_literals;

namespace {

// Of every length of an UTF-8 character the first and the last one, and the neighbours of the surrogates.
const std::vector<std::string_view> characters = {
    "\x7f"sv,         "\xc2\x80"sv,     "\xdf\xbf"sv,         "\xe0\xa0\x80"sv,    "\xed\x9f\xbf"sv,
    "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv};

const std::vector<std::pair<std::string_view, const char*>> no_characters = {
    {"\x80"sv, "a continuation without a beginning"},
    {"\xff"sv, "a byte that no character has"},
    {"\xc0\x80"sv, "an overlong NUL"},
    {"\xc1\xbf"sv, "an overlong letter"},
    {"\xe0\x9f\xbf"sv, "overlong in three bytes"},
    {"\xf0\x8f\xbf\xbf"sv, "overlong in four bytes"},
    {"\xed\xa0\x80"sv, "the first surrogate"},
    {"\xed\xbf\xbf"sv, "the last surrogate"},
    {"\xf4\x90\x80\x80"sv, "behind the last character"},
    {"\xf5\x80\x80\x80"sv, "far behind the last character"},
    {"\xc3"sv, "one byte of two"},
    {"\xe2\x82"sv, "two bytes of three"},
    {"\xf0\x9f\x98"sv, "three bytes of four"},
    {"\xc3\x28"sv, "a letter instead of a continuation"},
    {"\xe2\x28\xac"sv, "a letter in the middle"},
};

}  // namespace

TEST_CASE("a segment may have any other name of 1 to 200 bytes") {
    for (const std::string_view name :
         {"j"sv, "jobs"sv, "a.b-c_d"sv, "with space"sv, "pid"sv, "PID:4"sv, "a:b"sv, "a[0]"sv, "*"sv,
          "gr\xc3\xb6\xc3\x9f"sv, "not UTF-8: \xff"sv, "~"sv, " "sv}) {
        CAPTURE(name);
        CHECK(segment_name_problem(name) == "");
    }
    CHECK(segment_name_problem(std::string(200, 'x')) == "");
}

TEST_CASE("a name that a segment cannot have is refused in words that say why") {
    CHECK(segment_name_problem("") == "a name has at least one byte");
    CHECK(segment_name_problem(std::string(201, 'x')) == "a name has at most 200 bytes, this one 201");
    for (const std::string_view name : {"a/b"sv, "/"sv, "a/"sv, "pid:4/x"sv}) {
        CAPTURE(name);
        CHECK(segment_name_problem(name) == "a name has no '/': it is no path");
    }
    for (const std::string_view name : {"."sv, ".."sv, ".hidden"sv, "-"sv, "-rf"sv}) {
        CAPTURE(name);
        CHECK(segment_name_problem(name) == "a name does not begin with '.' or '-'");
    }
    for (const std::string_view name : {"pid:"sv, "pid:4"sv, "pid:x"sv}) {
        CAPTURE(name);
        CHECK(segment_name_problem(name) == "names that begin with 'pid:' are those of anonymous segments");
    }
}

TEST_CASE("no name has a control character, wherever it stands") {
    for (int byte = 0; byte < 256; ++byte) {
        const char c = static_cast<char>(byte);
        const bool is_control = byte < 0x20 || byte == 0x7f;
        for (const std::string& name : {std::string(1, c), std::string{'a', c}, std::string{c, 'a'}}) {
            CAPTURE(byte);
            CHECK((segment_name_problem(name) == "a name has no control characters") == is_control);
            CHECK((object_name_problem(name) == "a name has no control characters") == is_control);
        }
    }
}

TEST_CASE("an object may have any other name of 1 to 255 bytes of UTF-8, paths and numbers included") {
    for (const std::string_view name : {"results"sv, "a/b"sv, "/"sv, ".hidden"sv, "-f"sv, "pid:4"sv, "]"sv,
                                        "a b"sv, "\xe2\x82\xac"sv, "*"sv}) {
        CAPTURE(name);
        CHECK(object_name_problem(name) == "");
    }
    CHECK(object_name_problem(std::string(255, 'x')) == "");
}

TEST_CASE("a name that an object cannot have is refused in words that say why") {
    CHECK(object_name_problem("") == "a name has at least one byte");
    CHECK(object_name_problem(std::string(256, 'x')) == "a name has at most 255 bytes, this one 256");
    for (const std::string_view name : {"["sv, "a[0]"sv, "a["sv}) {
        CAPTURE(name);
        CHECK(object_name_problem(name) == "a name has no '[': shmctl writes elements that way");
    }
    for (const auto& [name, why] : no_characters) {
        CAPTURE(why);
        CHECK(object_name_problem(std::string("a").append(name)) == "a name is UTF-8");
    }
}

TEST_CASE("UTF-8 is what encodes a character, in the shortest way") {
    CHECK(is_utf8(""));
    CHECK(is_utf8("plain text"));
    std::string all;
    for (const std::string_view character : characters) {
        CHECK(is_utf8(character));
        all.append(character);
    }
    CHECK(is_utf8(all));
    for (const auto& [bytes, why] : no_characters) {
        CAPTURE(why);
        CHECK_FALSE(is_utf8(bytes));
        CHECK_FALSE(is_utf8(std::string("before").append(bytes)));
        CHECK_FALSE(is_utf8(std::string(bytes) + "behind"));
        CHECK_FALSE(is_utf8(all + std::string(bytes) + all));
    }
}

TEST_CASE("a name in a message has nothing that cuts the message short or changes a terminal") {
    CHECK(printable_name("jobs") == "jobs");
    CHECK(printable_name("gr\xc3\xb6\xc3\x9f") == "gr\xc3\xb6\xc3\x9f");
    CHECK(printable_name("a\0b\nc\x1b[31m\x7f"sv) == "a\\x00b\\x0ac\\x1b[31m\\x7f");
    CHECK(printable_name("") == "");
}

}  // namespace names_test
