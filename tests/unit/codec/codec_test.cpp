// codec_test.cpp - what element types are called, and what comes back of what was stored.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/codec.hpp>
#include <cairn/manager.hpp>

using namespace cairn_test;

namespace {

enum class colour : std::uint8_t { red, green = 200 };
enum plain_enum : int { plain_a = -5 };
union number {
    int i;
    float f;
};
struct alignas(32) aligned {
    double d[4];
    friend bool operator==(const aligned& a, const aligned& b) {
        return a.d[0] == b.d[0] && a.d[3] == b.d[3];
    }
};
struct three_bytes {
    unsigned char b[3];
    friend bool operator==(const three_bytes& x, const three_bytes& y) {
        return x.b[0] == y.b[0] && x.b[1] == y.b[1] && x.b[2] == y.b[2];
    }
};
struct no_default {
    explicit no_default(int v) : value(v) {}
    int value;
    friend bool operator==(const no_default& a, const no_default& b) { return a.value == b.value; }
};

struct point {
    double x = 0;
    std::string label;
    bool operator==(const point&) const = default;
};

// Could be stored by its bytes, and is written as text.
struct celsius {
    int tenths = 0;
    bool operator==(const celsius&) const = default;
};

template <typename T>
std::string name_of() {
    return cairn::codec<T>::type_name();
}

template <typename T>
T there_and_back(const cairn::manager& m, const T& value) {
    const auto l = m.list<T>();
    l.push_back(value);
    l.extend(std::vector<T>{value});
    l.insert(0, value);
    CHECK(broken_invariant(l) == "");
    CHECK(l.at(0) == l.at(2));
    CHECK(l.snapshot().at(1) == l.at(0));
    return l.pop();
}

}  // namespace

template <>
struct cairn::codec<celsius> {
    static std::string type_name() { return "celsius"; }
    static std::size_t size(const celsius& c) { return std::to_string(c.tenths).size(); }
    static void encode(const celsius& c, std::byte* to) {
        const std::string text = std::to_string(c.tenths);
        std::memcpy(to, text.data(), text.size());
    }
    static celsius decode(std::span<const std::byte> bytes) {
        return {std::stoi(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()))};
    }
};

template <>
struct cairn::codec<point> {
    static std::string type_name() { return "point"; }
    static std::size_t size(const point& p) { return sizeof p.x + p.label.size(); }
    static void encode(const point& p, std::byte* to) {
        std::memcpy(to, &p.x, sizeof p.x);
        std::memcpy(to + sizeof p.x, p.label.data(), p.label.size());
    }
    static point decode(std::span<const std::byte> bytes) {
        if (bytes.size() < sizeof(double)) throw cairn::corrupt_segment("no point");
        point p;
        std::memcpy(&p.x, bytes.data(), sizeof p.x);
        p.label.assign(reinterpret_cast<const char*>(bytes.data()) + sizeof p.x, bytes.size() - sizeof p.x);
        return p;
    }
};

TEST_CASE("integers are called by width and sign, whatever C++ calls them") {
    CHECK(name_of<long>() == "int64");
    CHECK(name_of<long long>() == "int64");
    CHECK(name_of<std::int32_t>() == "int32");
    CHECK(name_of<short>() == "int16");
    CHECK(name_of<signed char>() == "int8");
    CHECK(name_of<unsigned char>() == "uint8");
    CHECK(name_of<unsigned>() == "uint32");
    CHECK(name_of<std::size_t>() == "uint64");
    CHECK(name_of<bool>() == "bool");
    CHECK(name_of<float>() == "float32");
    CHECK(name_of<double>() == "float64");
    CHECK(name_of<colour>() == "uint8");
    CHECK(name_of<plain_enum>() == "int32");
}

TEST_CASE("structs, strings and vectors have names that say what is stored") {
    CHECK(name_of<small_struct>() == "struct[24,8]");
    CHECK(name_of<aligned>() == "struct[32,32]");
    CHECK(name_of<three_bytes>() == "struct[3,1]");
    CHECK(name_of<number>() == "struct[4,4]");
    CHECK(name_of<std::string>() == "str");
    CHECK(name_of<std::vector<long>>() == "vector<int64>");
    CHECK(name_of<std::vector<small_struct>>() == "vector<struct[24,8]>");
    CHECK(name_of<point>() == "point");
}

TEST_CASE("what can be an element is known to concepts") {
    CHECK(cairn::codable<long>);
    CHECK(cairn::codable<colour>);
    CHECK(cairn::codable<std::string>);
    CHECK(cairn::codable<std::vector<double>>);
    CHECK(cairn::codable<point>);
    CHECK(cairn::codable<three_bytes>);
    CHECK_FALSE(cairn::codable<int*>);
    CHECK_FALSE(cairn::codable<const char*>);
    CHECK_FALSE(cairn::codable<std::string_view>);
    CHECK_FALSE(cairn::codable<std::nullptr_t>);
    CHECK_FALSE(cairn::codable<int small_struct::*>);
    CHECK_FALSE(cairn::codable<std::span<int>>);
    CHECK_FALSE(cairn::codable<std::vector<int*>>);
    CHECK_FALSE(cairn::codable<std::pair<int, std::string_view>>);
    CHECK_FALSE(cairn::codable<cairn::list<long>>);
    CHECK_FALSE(cairn::codable<int[3]>);
}

TEST_CASE_TEMPLATE("every arithmetic type keeps its extremes", T, bool, char, signed char, unsigned char,
                   short, unsigned short, int, unsigned, long, unsigned long, long long, float, double,
                   long double) {
    const cairn::manager m;
    using limits = std::numeric_limits<T>;
    for (const T value : {limits::lowest(), limits::min(), limits::max(), T{}, T{1}})
        CHECK(there_and_back(m, value) == value);
    if constexpr (std::is_floating_point_v<T>) {
        CHECK(std::isnan(m.list<T>({limits::quiet_NaN()}).at(0)));
        CHECK(there_and_back(m, limits::infinity()) == limits::infinity());
        CHECK(std::signbit(there_and_back(m, T{-0.0})));
    }
}

TEST_CASE("enums, unions, structs of any size and alignment come back as they were") {
    const cairn::manager m;
    CHECK(there_and_back(m, colour::green) == colour::green);
    CHECK(there_and_back(m, plain_a) == plain_a);
    CHECK(there_and_back(m, three_bytes{{1, 2, 3}}) == three_bytes{{1, 2, 3}});
    CHECK(there_and_back(m, aligned{{1, 2, 3, 4}}) == aligned{{1, 2, 3, 4}});
    CHECK(there_and_back(m, no_default(7)) == no_default(7));
    CHECK(there_and_back(m, value_of<small_struct>::make(3)) == value_of<small_struct>::make(3));
    CHECK(there_and_back(m, value_of<large_struct>::make(3)) == value_of<large_struct>::make(3));
    CHECK(there_and_back(m, value_of<blob_struct>::make(3)) == value_of<blob_struct>::make(3));
}

TEST_CASE("strings and vectors of any length come back as they were, zero bytes and all") {
    const cairn::manager m;
    for (const std::size_t length :
         {0UL, 1UL, 14UL, 15UL, 16UL, 17UL, 255UL, 256UL, 257UL, 4095UL, 4096UL, 4097UL, 8192UL, 8193UL,
          65'536UL, 1UL << 20, (1UL << 20) + 1, 5UL << 20}) {
        CAPTURE(length);
        std::string text(length, '\0');
        for (std::size_t i = 0; i < length; ++i) text[i] = static_cast<char>(i * 31 % 256);
        CHECK(there_and_back(m, text) == text);
        std::vector<std::int32_t> numbers(length / 4);
        for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<std::int32_t>(i);
        CHECK(there_and_back(m, numbers) == numbers);
    }
    CHECK(there_and_back(m, std::vector<no_default>{no_default(1), no_default(2)}).at(1) == no_default(2));
}

TEST_CASE("a user's codec is used, and its name is part of the type") {
    const cairn::manager m;
    const point p{2.5, "a label that is longer than what fits a slot"};
    CHECK(there_and_back(m, p) == p);
    const auto l = m.list<point>("points", {p, {}});
    CHECK(l.index(p) == 0);
    CHECK_THROWS_AS(static_cast<void>(m.list<std::string>("points")), cairn::type_mismatch);
    CHECK(contains(thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<std::string>("points")); }),
                   "list<point>"));
}

TEST_CASE("a user's codec is used for trivially copyable types, too") {
    CHECK(cairn::codable<celsius>);
    const cairn::manager m;
    CHECK(there_and_back(m, celsius{215}).tenths == 215);
    CHECK(m.list<std::vector<celsius>>({{celsius{1}, celsius{-20}}}).at(0).at(1).tenths == -20);
    CHECK(name_of<std::vector<celsius>>() == "vector<celsius>");
}

TEST_CASE("bytes that are no value of a type are corrupt_segment") {
    const std::array<std::byte, 7> bytes{};
    CHECK_THROWS_AS(cairn::codec<long>::decode(bytes), cairn::corrupt_segment);
    CHECK_THROWS_AS(cairn::codec<std::vector<int>>::decode(bytes), cairn::corrupt_segment);
    CHECK(contains(thrown_by<cairn::corrupt_segment>([&] { cairn::codec<long>::decode(bytes); }), "7 bytes"));
    const std::array<std::byte, 1> seven{std::byte{7}};
    CHECK(cairn::codec<bool>::decode(seven) == true);
}
