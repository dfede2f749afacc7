#include "inspect/decode.hpp"

#include <cstring>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include <cairn/codec.hpp>
#include <cairn/repr.hpp>

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
    for (const char* name :
         {"job", "int65", "int", "float16", "struct[", "struct[24", "struct[a,b]", "struct[0,1]", "vector<",
          "vector<>", "vector<str>", "vector<job>", "",
          "vector<vector<vector<vector<vector<vector<vector<vector<vector<int8>>>>>>>>>"}) {
        const element_type type(name);
        CAPTURE(name);
        const std::vector<std::byte> bytes(4, std::byte{0xab});
        CHECK(type.fits(bytes));
        std::string text;
        type.append_text(text, bytes);
        CHECK(text.find("abababab") != std::string::npos);
    }
}
