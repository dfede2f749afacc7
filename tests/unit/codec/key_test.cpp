// key_test.cpp - which types can be keys, when two keys are equal, and that equal keys have equal hashes.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/codec/key.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <string>
#include <string_view>
#include <unordered_set>

#include <doctest/doctest.h>

namespace key_test {

using cairn::detail::key_traits;
using cairn::detail::key_type;

namespace {

struct padded {
    char c;
    double d;
};
CAIRN_FIELDS(padded, c, d)

struct padded_with_equality {
    char c;
    int i;
    [[maybe_unused]] friend bool operator==(const padded_with_equality& a, const padded_with_equality& b) {
        return a.c == b.c && a.i == b.i;
    }
};
struct without_equality {
    int x;
};
struct dense {
    int x;
    int y;
    friend bool operator==(const dense& a, const dense& b) { return a.x == b.x && a.y == b.y; }
};
struct handle_like {
    dense at;
    [[maybe_unused]] friend bool operator==(const handle_like&, const handle_like&) { return true; }
};
CAIRN_FIELDS(handle_like, at)

// A padded as it lies in memory that was used before: what is between its members, the value does not say.
class padded_in {
public:
    padded_in(unsigned char filler, char c, double d) {
        bytes_.fill(std::byte{filler});
        std::memcpy(bytes_.data() + offsetof(padded, c), &c, sizeof c);
        std::memcpy(bytes_.data() + offsetof(padded, d), &d, sizeof d);
    }
    [[nodiscard]] const padded& get() const {
        return *std::launder(reinterpret_cast<const padded*>(bytes_.data()));
    }

private:
    alignas(padded) std::array<std::byte, sizeof(padded)> bytes_;
};

template <typename T>
std::uint64_t hash(const T& value, std::uint64_t seed = 1) {
    return key_traits<T>::hash(value, seed);
}

template <typename T>
bool equal(const T& a, const T& b) {
    return key_traits<T>::equal(a, b);
}

enum class colour : std::uint8_t { red = 200 };

}  // namespace

TEST_CASE("numbers, enumerations, strings and structs that are all value are keys") {
    CHECK(key_type<int>);
    CHECK(key_type<bool>);
    CHECK(key_type<double>);
    CHECK(key_type<colour>);
    CHECK(key_type<std::string>);
    CHECK(key_type<dense>);
    CHECK(key_type<padded>);
    CHECK_FALSE(key_type<padded_with_equality>);
    CHECK_FALSE(key_type<without_equality>);
    CHECK_FALSE(key_type<std::string_view>);
    CHECK_FALSE(key_type<int*>);
}

TEST_CASE("a key with fields is compared and hashed by them, whatever lies between") {
    const padded_in a(1, 'x', 2.5);
    const padded_in b(2, 'x', 2.5);
    REQUIRE(std::memcmp(&a, &b, sizeof a) != 0);
    CHECK(equal(a.get(), b.get()));
    CHECK(hash(a.get()) == hash(b.get()));
    CHECK_FALSE(equal(a.get(), padded{'y', 2.5}));
    CHECK(hash(a.get()) != hash(padded{'y', 2.5}));
    CHECK(hash(a.get()) != hash(padded{'x', 2.25}));
    CHECK_FALSE(equal(handle_like{{1, 2}}, handle_like{{1, 3}}));
}

TEST_CASE("-0.0 is the key 0.0, and NaN is never found") {
    CHECK(equal(0.0, -0.0));
    CHECK(hash(0.0) == hash(-0.0));
    CHECK(hash(0.0F) == hash(-0.0F));
    CHECK(hash(0.0L) == hash(-0.0L));
    CHECK(hash(padded{'x', 0.0}) == hash(padded{'x', -0.0}));
    const double nan = std::numeric_limits<double>::quiet_NaN();
    CHECK_FALSE(equal(nan, nan));
    CHECK_FALSE(equal(padded{'x', nan}, padded{'x', nan}));
}

TEST_CASE("a string key is found by a view, and hashed by its bytes alone") {
    const std::string_view view = "key and more";
    CHECK(hash(std::string("key")) == key_traits<std::string>::hash(view.substr(0, 3), 1));
    CHECK(key_traits<std::string>::equal("key", view.substr(0, 3)));
    CHECK(hash(std::string("a\0b", 3)) != hash(std::string("a")));
}

TEST_CASE("hashes are part of the stored format") {
    CHECK(hash(0, 0) == 0x9ca066f1a4ab2eeaU);
    CHECK(hash(-1L, 7) == hash(std::int8_t{-1}, 7));
    CHECK(hash(std::string(), 0) == 0x2d06800538d394c2U);  // XXH3_64bits of nothing, as xxhash says it
    CHECK(hash(std::string("a"), 0) == 0xe6c632b61e964e1fU);
    CHECK(hash(1, 0) != hash(1, 1));
}

TEST_CASE("a bit of a number changes about half of the bits of its hash") {
    int changed = 0;
    for (int bit = 0; bit < 64; ++bit) {
        for (std::uint64_t n = 0; n < 100; ++n)
            changed += std::popcount(hash(n) ^ hash(n ^ (std::uint64_t{1} << bit)));
    }
    CHECK(changed / 6400 >= 31);
    CHECK(changed / 6400 <= 32);
    std::unordered_set<std::uint64_t> low;  // as a table of 2^20 places sees the multiples of 4096
    for (std::uint64_t n = 0; n < 100'000; ++n) low.insert(hash(n << 12) & 0xfffff);
    CHECK(low.size() > 94'000);  // 95 300 are to be expected of chance
}

}  // namespace key_test
