// dict_test.cpp - what dict<K, V> does, method by method; Python's dict is the specification.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_dict.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/fields.hpp>

namespace dict_test {

using namespace cairn_test;

namespace {

using pairs = std::vector<std::pair<std::string, long>>;

/// Three bytes of padding behind the first field.
struct padded {
    char first;
    int second;
};
CAIRN_FIELDS(padded, first, second)

/// More than what has room in a record.
struct large {
    std::array<long, 40> words;
};

}  // namespace

static_assert(cairn::dict_of<cairn::dict<std::string, long>, std::string, long>);
static_assert(std::ranges::input_range<const cairn::dict<std::string, long>>);

TEST_CASE("dict get, at and [] of a key that is missing: nothing, key_error, key_error") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}});
    CHECK(d.get("a") == 1);
    CHECK_FALSE(d.get("b").has_value());
    CHECK(d.get("b", 7) == 7);
    CHECK(d.at("a") == 1);
    CHECK_THROWS_AS(static_cast<void>(d.at("b")), cairn::key_error);
    CHECK_THROWS_AS(static_cast<void>(d["b"].get()), cairn::key_error);
    CHECK(d.contains("a"));
    CHECK(d.count("b") == 0);
    CHECK(d.size() == 1);
}

TEST_CASE("dict []= keeps the place of a key that is there, and appends a new one") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}, {"b", 2}});
    d["a"] = 10;
    d["c"] = 3;
    CHECK(d.items() == pairs{{"a", 10}, {"b", 2}, {"c", 3}});
    d["c"] += 4;
    d["new"] += 5;  // begins with 0
    CHECK(d.items() == pairs{{"a", 10}, {"b", 2}, {"c", 7}, {"new", 5}});
    CHECK(d.erase("a"));
    d["a"] = 1;  // a key that comes again is the last
    CHECK(d.keys() == std::vector<std::string>{"b", "c", "new", "a"});
    CHECK(d.values() == std::vector<long>{2, 7, 5, 1});
    CHECK(broken_dict(d) == "");
}

TEST_CASE("dict insert_or_assign and try_emplace say whether the key was new") {
    const cairn::manager m;
    const auto d = m.dict<long, std::string>("d");
    CHECK(d.insert_or_assign(1, "one"));
    CHECK_FALSE(d.insert_or_assign(1, "uno"));
    CHECK_FALSE(d.try_emplace(1, "eins"));
    CHECK(d.try_emplace(2, std::size_t{3}, 'x'));
    CHECK(d.at(1) == "uno");
    CHECK(d.at(2) == "xxx");
}

TEST_CASE("dict setdefault returns what is there") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}});
    CHECK(d.setdefault("a", 5) == 1);
    CHECK(d.setdefault("b", 5) == 5);
    CHECK(d.setdefault("c") == 0);
    CHECK(d.items() == pairs{{"a", 1}, {"b", 5}, {"c", 0}});
}

TEST_CASE("dict update takes pairs, and changes one value by a function") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}});
    d.update({{"b", 2}, {"a", 3}, {"b", 4}});
    CHECK(d.items() == pairs{{"a", 3}, {"b", 4}});
    d |= pairs{{"c", 5}};
    d.update("c", [](long& v) { v *= 2; });
    d.update("a", [](long v) { return v + 1; });
    d.update("z", [](long& v) { ++v; });
    CHECK(d.items() == pairs{{"a", 4}, {"b", 4}, {"c", 10}, {"z", 1}});
    CHECK_THROWS_AS(d.update("a", [](long&) { throw 7; }), int);
    CHECK(d.at("a") == 4);
    CHECK(broken_dict(d) == "");
}

TEST_CASE("dict pop and popitem: the value, the last pair, key_error, the given value") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}, {"b", 2}, {"c", 3}});
    CHECK(d.pop("a") == 1);
    CHECK_THROWS_AS(static_cast<void>(d.pop("a")), cairn::key_error);
    CHECK(d.pop("a", -1) == -1);
    CHECK(d.popitem() == std::pair<std::string, long>("c", 3));
    CHECK(d.popitem() == std::pair<std::string, long>("b", 2));
    CHECK_THROWS_AS(static_cast<void>(d.popitem()), cairn::key_error);
    CHECK(broken_dict(d) == "");
}

TEST_CASE("dict clear leaves a dict that is as good as new") {
    const cairn::manager m;
    const auto d = m.dict<std::string, std::string>("d");
    for (int round = 0; round < 3; ++round) {
        for (int i = 0; i < 700; ++i) d.set("key " + std::to_string(i), std::string(40, 'v'));
        CHECK(d.size() == 700);
        d.clear();
        CHECK(d.empty());
        CHECK(d.keys().empty());
        CHECK(broken_dict(d) == "");
    }
}

TEST_CASE("dict prints and compares as Python's: order does not count for ==") {
    const cairn::manager m;
    const auto d = m.dict<std::string, long>("d", {{"a", 1}, {"b", 2}});
    const auto e = m.dict<std::string, long>("e", {{"b", 2}, {"a", 1}});
    CHECK(cairn::repr(d) == "{'a': 1, 'b': 2}");
    CHECK(d == e);
    CHECK(d == pairs{{"b", 2}, {"a", 1}});
    e["a"] = 3;
    CHECK_FALSE(d == e);
    CHECK(cairn::repr(m.dict<std::string, long>("empty")) == "{}");
}

TEST_CASE("dict keys: -0.0 is 0.0, and NaN is no key that is found") {
    const cairn::manager m;
    const auto d = m.dict<double, long>("d");
    d.set(0.0, 1);
    d.set(-0.0, 2);
    CHECK(d.size() == 1);
    CHECK(d.at(0.0) == 2);
    CHECK_FALSE(std::signbit(d.keys().at(0)));
    const double nan = std::numeric_limits<double>::quiet_NaN();
    d.set(nan, 3);
    d.set(nan, 4);  // as in Python with two NaN objects: equal to nothing
    CHECK(d.size() == 3);
    CHECK_FALSE(d.contains(nan));
    CHECK_FALSE(d.get(nan).has_value());
    CHECK(d.pop(nan, 9) == 9);
    CHECK(d.popitem().second == 4);
    CHECK(broken_dict(d) == "");
}

TEST_CASE("dict update of many tables: a NaN, which is not looked for, goes to the table of its own hash") {
    const cairn::manager m;
    const auto d = m.dict<double, long>("d");
    for (long i = 0; i < 5000; ++i) d.set(static_cast<double>(i), i);
    const double nan = std::numeric_limits<double>::quiet_NaN();
    for (int i = 0; i < 20; ++i) d.update({{100.0 * i, 1}, {nan, 2}});  // the other one is there
    CHECK(d.size() == 5020);
    CHECK(broken_dict(d) == "");
}

namespace {

// hash_word() read backwards: for somebody who knows the seed.
std::uint64_t key_of(std::uint64_t hash, std::uint64_t seed) {
    const auto unshift = [](std::uint64_t v) { return v ^ (v >> 33U); };
    const auto inverse = [](std::uint64_t of) {
        std::uint64_t x = of;
        for (int i = 0; i < 6; ++i) x *= 2 - of * x;
        return x;
    };
    std::uint64_t h = unshift(hash) * inverse(0xc4ceb9fe1a85ec53);
    h = unshift(h) * inverse(0xff51afd7ed558ccd);
    return unshift(h) ^ (seed + 0x9e3779b97f4a7c15);
}

}  // namespace

TEST_CASE("keys that no split of a table parts take memory in proportion to their number") {
    const cairn::manager m;
    const auto used = [&] { return m.stats().used_bytes; };
    const std::uint64_t before = used();
    SUBCASE("NaN, which is new each time") {
        const auto s = m.set<double>("s");
        for (int i = 0; i < 10'000; ++i) s.add(std::nan(""));
        for (int i = 0; i < 10'000; ++i) s.add(i);
        CHECK(s.size() == 20'000);
        CHECK(s.contains(9'999.0));
        CHECK_FALSE(s.contains(std::nan("")));
        CHECK(used() - before < 4'000'000);
        s.clear();
        CHECK(s.empty());
    }
    SUBCASE("keys that were made for it") {
        const auto d = m.dict<std::uint64_t, long>("d");
        const auto& node = opened_keyed(d).node_ref();
        // Each is compared with many others.
        constexpr long count = has_address_sanitizer || has_thread_sanitizer ? 4'000 : 20'000;
        const auto key = [&](long i) {
            return key_of(0xabcdefULL << 40 | static_cast<std::uint64_t>(i) * 977, node.seed);
        };
        REQUIRE(cairn::detail::hash_word(key(3), node.seed) == (0xabcdefULL << 40 | 3 * 977));
        for (long i = 0; i < count; ++i) d.set(key(i), i);
        CHECK(used() - before < 4'000'000);
        for (long i = 0; i < count; ++i) REQUIRE(d.at(key(i)) == i);
        // Others beside them: the directory may grow now, and the large table is split when it is full.
        for (long i = 0; i < 10 * count; ++i) d.set(static_cast<std::uint64_t>(i), i);
        for (long i = count; i < 2 * count; ++i) d.set(key(i), i);
        for (long i = 0; i < 2 * count; ++i) REQUIRE(d.at(key(i)) == i);
        CHECK(used() - before < 30'000'000);
        for (long i = 0; i < 2 * count; ++i) REQUIRE(d.erase(key(i)));
        CHECK(d.size() == 10 * count);
        CHECK(broken_dict(d) == "");
    }
}

TEST_CASE("dict keys that are structs: padding does not count") {
    const cairn::manager m;
    const auto d = m.dict<padded, long>("d");
    padded a;
    padded b;
    std::memset(&a, 0x55, sizeof a);
    std::memset(&b, 0xaa, sizeof b);
    a.first = b.first = 'x';
    a.second = b.second = 7;
    d.set(a, 1);
    CHECK(d.get(b) == 1);
    CHECK_FALSE(d.insert_or_assign(b, 2));
    CHECK(d.size() == 1);
}

TEST_CASE("dict with long keys and with values over 256 bytes") {
    const cairn::manager m;
    const auto d = m.dict<std::string, std::string>("d");
    const auto wide = m.dict<long, large>("wide");
    large value{};
    for (int i = 0; i < 60; ++i) {
        d.set(std::string(static_cast<std::size_t>(i * 37), 'k'),
              std::string(static_cast<std::size_t>(i * 91), 'v'));
        value.words[39] = i;
        wide.set(i, value);
    }
    for (int i = 0; i < 60; ++i) {
        CHECK(d.at(std::string(static_cast<std::size_t>(i * 37), 'k')).size() ==
              static_cast<std::size_t>(i * 91));
        CHECK(wide.at(i).words[39] == i);
    }
    CHECK(broken_dict(d) == "");
    CHECK(broken_dict(wide) == "");
}

TEST_CASE("a dict may lose pairs while it is iterated over: the others are seen once, in order") {
    const cairn::manager m;
    const auto d = m.dict<long, long>("d");
    for (long i = 0; i < 1000; ++i) d.set(i, -i);
    std::vector<long> seen;
    for (const auto& [key, value] : d) {
        CHECK(value == -key);
        seen.push_back(key);
        if (key % 2 == 0) d.erase(key + 1);
        if (key == 500) d.set(5000, -5000);  // beyond the end that was fixed when it began
    }
    CHECK(seen.size() == 500);
    CHECK(std::is_sorted(seen.begin(), seen.end()));
    CHECK(cairn::erase_if(d, [](long key, long) { return key > 100; }) == 450);
    CHECK(d.size() == 51);
    CHECK(broken_dict(d) == "");
}

TEST_CASE_TEMPLATE("what is erased gives its memory back, and tables grow again", C, cairn::dict<long, long>,
                   cairn::dict<std::string, std::string>, cairn::sharded_dict<long, std::string>) {
    using K = typename C::key_type;
    using V = typename C::mapped_type;
    const auto make = []<typename T>(std::type_identity<T>, long i) {
        if constexpr (std::is_same_v<T, std::string>) return "number " + std::to_string(i);
        else return static_cast<T>(i);
    };
    const auto key = [&](long i) { return make(std::type_identity<K>(), i); };
    const auto value = [&](long i) { return make(std::type_identity<V>(), i); };
    const long count = static_cast<long>(scaled(150'000));
    const cairn::manager m;
    const C d = [&] {
        if constexpr (std::is_same_v<C, cairn::dict<K, V>>) return m.dict<K, V>("d");
        else return m.sharded_dict<K, V>("d", {.shards = 4});
    }();
    const std::uint64_t empty = m.stats().used_bytes;
    constexpr long left = 100;
    constexpr std::uint64_t dicts = std::is_same_v<C, cairn::dict<K, V>> ? 1 : 4;
    std::uint64_t full = 0;
    for (int round = 0; round < 2; ++round) {
        for (long i = 0; i < count; ++i) d.set(key(i), value(i));
        const std::uint64_t used = m.stats().used_bytes - empty;
        if (round == 0) full = used;
        CHECK(used < full * 3 / 2);
        for (long i = 0; i < count - left; ++i) REQUIRE(d.erase(key(i)));
        CHECK(d.size() == left);
        // For each dict young pages, a span of each class, tables of a group.
        CHECK(m.stats().used_bytes - empty < full / 8 + dicts * 600'000);
        for (long i = count - left; i < count; ++i) REQUIRE(d.at(key(i)) == value(i));
    }
    for (long i = count - left; i < count; ++i) REQUIRE(d.erase(key(i)));
    CHECK(d.empty());
    MESSAGE("full " << full << " bytes, drained " << m.stats().used_bytes - empty);
}

TEST_CASE("a dict whose tables split many times still has everything, in order") {
    const cairn::manager m;
    const auto d = m.dict<long, long>("d");
    constexpr long count = 20'000;
    for (long i = 0; i < count; ++i) d.set(i * 3, i);
    const opened_keyed open(d);
    CHECK(open.node_ref().shift < 63 - 4);  // 32 tables and more
    for (long i = 0; i < count; ++i) REQUIRE(d.get(i * 3) == i);
    CHECK_FALSE(d.contains(1));
    const auto all = d.snapshot();
    REQUIRE(all.size() == count);
    for (std::size_t i = 0; i < all.size(); ++i) REQUIRE(all[i].second == static_cast<long>(i));
    CHECK(broken_dict(d) == "");
}

TEST_CASE("a full segment leaves a dict as it was, and erase and clear work in it") {
    const cairn::manager m(cairn::segment_options{.max_size = 292 << 10, .initial_size = 292 << 10});
    const auto d = m.dict<long, std::string>("d");
    long count = 0;
    try {
        for (;; ++count) d.set(count, std::string(900, 'v'));
    } catch (const cairn::segment_full&) {}
    REQUIRE(count > 50);
    CHECK(d.size() == static_cast<std::size_t>(count));
    CHECK_FALSE(d.contains(count));
    CHECK(broken_dict(d) == "");
    CHECK(d.erase(3));
    CHECK(broken_dict(d) == "");
    d.clear();
    CHECK(d.empty());
    d.set(1, "again");
    CHECK(broken_dict(d) == "");
}

}  // namespace dict_test
