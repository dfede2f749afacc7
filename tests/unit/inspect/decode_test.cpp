// SPDX-License-Identifier: BSL-1.0
#include "inspect/decode.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "support/structs.hpp"
#include <cairn/codec.hpp>
#include <cairn/repr.hpp>

namespace decode_test {

using cairn::detail::inspecting::element_type;

namespace {

struct point {
    double x;
    int y;
};

template <typename T>
std::vector<std::byte> encoded(const T& value) {
    std::vector<std::byte> bytes(cairn::codec<T>::size(value));
    cairn::codec<T>::encode(value, bytes.data());
    return bytes;
}

// By the recorded name alone.
template <typename T>
std::string decoded_text(const T& value) {
    std::string text;
    element_type(cairn::codec<T>::type_name()).append_text(text, encoded(value));
    return text;
}

template <typename T>
void check_same_text(const T& value) {
    CHECK(decoded_text(value) == cairn::repr(value));
}

}  // namespace

TEST_CASE("an element decoded by the name of its type prints as the program that stored it would print it") {
    check_same_text<signed char>(-5);
    check_same_text<unsigned char>(200);
    check_same_text<short>(-30000);
    check_same_text<unsigned short>(65535);
    check_same_text<int>(-2'000'000'000);
    check_same_text<unsigned>(4'000'000'000U);
    check_same_text<long>(-9'000'000'000'000'000'000L);
    check_same_text<unsigned long>(18'000'000'000'000'000'000UL);
    check_same_text<bool>(true);
    check_same_text<bool>(false);
    check_same_text<float>(0.1F);
    check_same_text<double>(1e300);
    check_same_text<double>(-0.0);
    check_same_text<std::string>("it's \xff \n");
    check_same_text<std::string>("");
    check_same_text<std::vector<int>>({1, -2, 3});
    check_same_text<std::vector<float>>({0.5F});
    check_same_text<std::vector<long>>({});
    check_same_text<point>({1.5, 7});
}

TEST_CASE("values have the type that JSON will have") {
    const auto value_of = [](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        return element_type(cairn::codec<T>::type_name()).decode(encoded(value)).is;
    };
    CHECK(std::get<bool>(value_of(true)));
    CHECK(std::get<std::int64_t>(value_of(-7)) == -7);
    CHECK(std::get<std::uint64_t>(value_of(7U)) == 7);
    CHECK(std::get<double>(value_of(0.1F)) == 0.1);  // the shortest text of the float, read as a double
    CHECK(std::get<std::string>(value_of(std::string("x"))) == "x");
    CHECK(std::get<std::vector<cairn::element_value>>(value_of(std::vector<int>{1, 2})).size() == 2);
    CHECK(std::get<std::vector<std::byte>>(value_of(point{})).size() == sizeof(point));
}

TEST_CASE("bytes that are no value of the type are said to be damaged, whatever the type is called") {
    const std::vector<std::byte> three(3, std::byte{7});
    for (const char* name : {"int64", "uint16", "float64", "bool", "struct[24,8]", "vector<int32>"}) {
        const element_type type(name);
        CAPTURE(name);
        CHECK_FALSE(type.fits(three));
        std::string text;
        type.append_text(text, three);
        CHECK(text == "?");
        CHECK(std::holds_alternative<std::monostate>(type.decode(three).is));
    }
    const std::vector<std::byte> seven{std::byte{7}};
    CHECK_FALSE(element_type("bool").fits(seven));
}

TEST_CASE("types of other programs are bytes") {
    for (const char* name : {"job",
                             "int65",
                             "int",
                             "float16",
                             "struct[",
                             "struct[24",
                             "struct[a,b]",
                             "struct[0,1]",
                             "vector<",
                             "vector<>",
                             "vector<a, b>",
                             "vector<int8>>",
                             "vector<a>b<c>x",
                             "optional<>",
                             "variant<>",
                             "map<str>",
                             "array<int8>",
                             "array<int8, -1>",
                             "array<int64, 4611686018427387904>",
                             "int8[18446744073709551616]",
                             "char[0]",
                             "char[]",
                             "[4]",
                             "job {x}",
                             "job {: int8}",
                             "job {x: int8 @y}",
                             "job[4,4] {x: int64}",
                             "job {x: int8 @281474976710656}",
                             "job {x: [}",
                             "struct[24,8] {x: int8",
                             ""}) {
        const element_type type(name);
        CAPTURE(name);
        const std::vector<std::byte> bytes(4, std::byte{0xab});
        CHECK(type.fits(bytes));
        std::string text;
        type.append_text(text, bytes);
        CHECK(text.find("abababab") != std::string::npos);
    }
}

TEST_CASE("names that are deeper or longer than anybody's are read to an end") {
    std::string deep = "int8";
    for (int i = 0; i < 100; ++i) deep = "vector<" + deep + ">";
    CHECK_FALSE(element_type(deep).fits(std::vector<std::byte>(200, std::byte{1})));
    std::string brackets(60'000, '<');
    CHECK(element_type(brackets).fits({}));
    std::string wide = "tuple<int8";
    for (int i = 0; i < 20'000; ++i) wide += ", int8";
    const element_type type(wide + ">");
    CHECK(type.form == cairn::detail::inspecting::type_form::unknown);
}

TEST_CASE("parts of a type that is not known have their length in front, and are bytes") {
    const std::vector<std::byte> bytes{std::byte{1}, std::byte{0xab}, std::byte{0},
                                       std::byte{2}, std::byte{1},    std::byte{2}};
    std::string text;
    element_type("vector<job>").append_text(text, bytes);
    CHECK(text == "[<job ab>, <job>, <job 0102>]");
}

TEST_CASE("what is made of others is decoded to values, pairs and nothing") {
    const auto value_of = [](const auto& value) {
        using T = std::decay_t<decltype(value)>;
        return element_type(cairn::codec<T>::type_name()).decode(encoded(value)).is;
    };
    using pairs = std::vector<cairn::element_pair>;
    using values = std::vector<cairn::element_value>;
    const auto map = std::get<pairs>(value_of(std::map<std::string, long>{{"a", 1}}));
    CHECK(std::get<std::string>(map.at(0).key.is) == "a");
    CHECK(std::get<std::int64_t>(map.at(0).value.is) == 1);
    const auto job = std::get<pairs>(value_of(cairn_test::plain_job{7, 2.5, "x"}));
    CHECK(std::get<std::string>(job.at(1).key.is) == "weight");
    CHECK(std::get<double>(job.at(1).value.is) == 2.5);
    CHECK(std::get<std::string>(job.at(2).value.is) == "x");
    CHECK(std::holds_alternative<std::nullptr_t>(value_of(std::optional<int>{})));
    CHECK(std::get<std::int64_t>(value_of(std::optional<int>{3})) == 3);
    CHECK(std::get<values>(value_of(std::pair<int, bool>{1, true})).size() == 2);
    CHECK(std::get<bool>(value_of(std::variant<int, bool>{true})));
}

}  // namespace decode_test
