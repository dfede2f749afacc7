// msgpack_notation_test.cpp - what the library itself makes of MessagePack, whoever packed it.
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "cairn/detail/codec/msgpack.hpp"
#include "codec_case.hpp"

namespace msgpack_notation_test {

using namespace cairn_test;

namespace {

std::string text_of(const std::vector<std::byte>& bytes) {
    std::string text;
    cairn::detail::append_msgpack_repr(text, bytes);
    return text;
}

}  // namespace

TEST_CASE("MessagePack is written as Python writes what it means") {
    CHECK(text_of(bytes_of({0xc0})) == "None");
    CHECK(text_of(bytes_of({0xc3})) == "True");
    CHECK(text_of(bytes_of({0xe0})) == "-32");
    CHECK(text_of(bytes_of({0xd1, 0x80, 0x00})) == "-32768");
    CHECK(text_of(bytes_of({0xcf, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})) ==
          "18446744073709551615");
    CHECK(text_of(bytes_of({0xca, 0x3f, 0x00, 0x00, 0x00})) == "0.5");
    CHECK(text_of(bytes_of({0xa2, 'i', '\''})) == "\"i'\"");
    CHECK(text_of(bytes_of({0xc4, 3, 'a', '\n', 0xff})) == "b'a\\n\\xff'");
    CHECK(text_of(bytes_of({0xd4, 0xff, 0})) == "ExtType(code=-1, data=b'\\x00')");
    CHECK(text_of(bytes_of({0x92, 1, 0x81, 0xa1, 'k', 0x90})) == "[1, {'k': []}]");
    CHECK(text_of(bytes_of({0xdc, 0, 1, 0xde, 0, 0})) == "[{}]");
    // No value, or more than one.
    CHECK(text_of(bytes_of({})) == "?");
    CHECK(text_of(bytes_of({0xc1})) == "?");
    CHECK(text_of(bytes_of({1, 2})) == "?");
    CHECK(text_of(bytes_of({0xdd, 0xff, 0xff, 0xff, 0xff})) == "?");
    CHECK(text_of(bytes_of({0xdf, 0x80, 0, 0, 0, 0})) == "?");
    CHECK(text_of(std::vector<std::byte>(1 << 20, std::byte{0x91})) == "?");
}

}  // namespace msgpack_notation_test
