// value_test.cpp - cairn::value<T>: one value of any type, changed without a lock where it is a word, and part of transactions.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/scratch.hpp"
#include "support/sound.hpp"
#include <cairn/cairn.hpp>

namespace value_test {

using namespace cairn_test;

namespace {

struct point {
    int x;
    int y;
    friend bool operator==(const point&, const point&) = default;
};
struct large {
    long a, b, c;
    friend bool operator==(const large&, const large&) = default;
};
enum class colour : std::uint16_t { red = 1, green = 500 };
struct undone {};

template <typename T>
bool is_held(const cairn::value<T>& v) {
    return (opened_sync(v).slot().cell.control & 1) != 0;
}

// Load, store, exchange and update, of any type.
template <typename T>
void check_type(const T& one, const T& two, const T& three, bool is_word) {
    const cairn::manager m;
    const auto v = m.value<T>("v", one);
    CHECK(decltype(v)::is_always_lock_free == is_word);
    CHECK(v.load() == one);
    v.store(two);
    CHECK(v.get() == two);
    CHECK(v.exchange(three) == two);
    CHECK(v.load() == three);
    CHECK(v.update([&](T& stored) {
        CHECK(stored == three);
        stored = one;
    }) == one);
    CHECK(v.update([&](const T&) { return two; }) == two);
    CHECK_THROWS_AS(static_cast<void>(v.update([&](T& stored) {
                        stored = three;
                        throw undone();
                    })),
                    undone);
    CHECK(v.load() == two);
    // The one that is there, as it is.
    CHECK(m.value<T>("v", three).load() == two);
    CHECK(is_sound(m));
    CHECK_THROWS_AS(static_cast<void>(m.value<std::vector<long>>("v")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<T>("v")), cairn::type_mismatch);
}

}  // namespace

TEST_CASE("a value of any type is read, stored, exchanged and updated") {
    check_type<long>(-1, 2, std::numeric_limits<long>::min(), true);
    check_type<std::uint8_t>(0, 255, 7, true);
    check_type<std::int16_t>(-5, 6, -7, true);
    check_type<float>(0.5F, -1.25F, 3.0F, true);
    check_type<double>(0.5, -1.25, 1e300, true);
    check_type<bool>(true, false, true, true);
    check_type<colour>(colour::red, colour::green, colour::red, true);
    check_type<point>({1, 2}, {3, 4}, {5, 6}, true);
    check_type<large>({1, 2, 3}, {4, 5, 6}, {7, 8, 9}, false);
    check_type<std::string>("", std::string(5000, 'x'), "short", false);
    check_type<std::vector<int>>({1}, {}, {2, 3}, false);
}

TEST_CASE("a value begins with nothing, and is printed as what it is") {
    const cairn::manager m;
    CHECK(m.value<long>("n").load() == 0);
    CHECK(m.value<std::string>("s").load().empty());
    const auto d = m.value<double>(2.5);
    CHECK(cairn::repr(d) == "2.5");
    CHECK(cairn::repr(m.value<std::string>("t", "it's")) == "\"it's\"");
    CHECK(d == 2.5);
    const double as_number = d;
    CHECK(as_number == 2.5);
    CHECK(m.value<std::string>("u", "a") == "a");
    CHECK(m.value<long>("n") == m.value<long>(0));
}

TEST_CASE("counting returns what was there, or what is, and wraps") {
    const cairn::manager m;
    const auto v = m.value<int>("v", 5);
    CHECK(v.fetch_add(3) == 5);
    CHECK(v.fetch_sub(10) == 8);
    CHECK(v.load() == -2);
    CHECK(++v == -1);
    CHECK(v++ == -1);
    CHECK(--v == -1);
    CHECK(v-- == -1);
    CHECK((v += 12) == 10);
    CHECK((v -= 4) == 6);
    CHECK(v.fetch_and(3) == 6);
    CHECK(v.fetch_or(8) == 2);
    CHECK(v.fetch_xor(2) == 10);
    CHECK((v |= 3) == 11);
    CHECK((v &= 6) == 2);
    CHECK((v ^= 7) == 5);
    CHECK(v.fetch_max(9) == 5);
    CHECK(v.fetch_min(1) == 9);
    CHECK(v.load() == 1);
    v.store(std::numeric_limits<int>::max());
    CHECK(++v == std::numeric_limits<int>::min());
    const auto f = m.value<double>("f", 1.5);
    CHECK(f.fetch_add(0.25) == 1.5);
    CHECK((f -= 1) == 0.75);
    int expected = 7;
    CHECK_FALSE(v.compare_exchange(expected, 1));
    CHECK(expected == std::numeric_limits<int>::min());
    CHECK(v.compare_exchange(expected, 1));
    CHECK(v.load() == 1);
}

TEST_CASE("threads that count lose nothing, whatever way they count") {
    const cairn::manager m;
    const auto v = m.value<long>("v");
    constexpr int each = 3000;
    const auto by_add = [&] {
        for (int i = 0; i < each; ++i) ++v;
    };
    const auto by_update = [&] {
        for (int i = 0; i < each; ++i) static_cast<void>(v.update([](long& stored) { ++stored; }));
    };
    const auto by_transaction = [&] {
        for (int i = 0; i < each; ++i) {
            v.transaction([](auto& tx) {
                const long seen = tx.load();
                tx.store(seen + 1);
            });
            try {
                v.transaction([](auto& tx) {
                    tx += 1000;
                    throw undone();
                });
            } catch (const undone&) {
                continue;
            }
        }
    };
    const auto by_exchange = [&] {
        for (int i = 0; i < each; ++i) {
            long seen = v.load();
            while (!v.compare_exchange(seen, seen + 1)) {}
        }
    };
    std::atomic<bool> is_done = false;
    std::thread reader([&] {
        long last = 0;
        while (!is_done) {
            const long seen = v.load();
            CHECK(seen >= last);
            CHECK(seen <= 5 * each);
            last = seen;
        }
    });
    std::vector<std::thread> all;
    all.emplace_back(by_add);
    all.emplace_back(by_add);
    all.emplace_back(by_update);
    all.emplace_back(by_transaction);
    all.emplace_back(by_exchange);
    for (std::thread& thread : all) thread.join();
    is_done = true;
    reader.join();
    CHECK(v.load() == 5 * each);
}

TEST_CASE("a value is part of transactions, alone and with another object") {
    const cairn::manager m;
    const auto v = m.value<long>("v", 1);
    const auto s = m.value<std::string>("s", "a");
    const auto l = m.list<long>("l");
    CHECK_THROWS_AS(cairn::transaction(v, s,
                                       [&](auto& of_v, auto& of_s) {
                                           of_v.store(2);
                                           CHECK(v.load() == 2);
                                           CHECK(of_v.fetch_add(3) == 2);
                                           of_s.store("b");
                                           throw undone();
                                       }),
                    undone);
    CHECK(v.load() == 1);
    CHECK(s.load() == "a");
    cairn::transaction(l, v, [&](auto& of_l, auto& of_v) {
        of_l.push_back(of_v.load());
        ++of_v;
        CHECK_THROWS_AS(static_cast<void>(s.load()), cairn::would_deadlock);
        CHECK_THROWS_AS(of_l.for_each([&](long) { ++of_v; }), cairn::would_deadlock);
    });
    CHECK(l == std::vector<long>{1});
    CHECK(v.load() == 2);
    // The next change lets go of what the transaction has held.
    CHECK(is_held(v));
    CHECK(++v == 3);
    CHECK_FALSE(is_held(v));
    static_cast<void>(v.update([&](long&) { CHECK_THROWS_AS(++v, cairn::would_deadlock); }));
    l.for_each([&](long) {
        CHECK_THROWS_AS(++v, cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(v.load()), cairn::would_deadlock);
    });
    CHECK(v.load() == 3);
}

TEST_CASE("a value counts once") {
    const cairn::manager m;
    const auto v = m.value<long>("v");
    CHECK(v.fetch_add(5, {.once = {1, 1}}) == 0);
    CHECK_FALSE(v.fetch_add(5, {.once = {1, 1}}).has_value());
    CHECK(v.load() == 5);
    CHECK(v.store(7, {.once = {1, 2}}));
    CHECK_FALSE(v.store(9, {.once = {1, 2}}));
    CHECK(v.load() == 7);
    CHECK(v.transaction({.once = {1, 3}}, [](auto& tx) { return ++tx; }) == 8);
    CHECK_FALSE(v.transaction({.once = {1, 3}}, [](auto& tx) { return ++tx; }).has_value());
    const auto s = m.value<std::string>("s");
    CHECK(s.store("x", {.once = {1, 1}}));
    CHECK_FALSE(s.store("y", {.once = {1, 1}}));
    CHECK(s == "x");
    CHECK(is_sound(m));
}

TEST_CASE("what is left of a removed value changes nothing, and says so") {
    const cairn::manager m;
    const auto old = m.value<long>("v", 5);
    REQUIRE(m.remove("v"));
    CHECK_THROWS_AS(static_cast<void>(old.load()), cairn::object_gone);
    CHECK_THROWS_AS(++old, cairn::object_gone);
    // In its place, and as it was.
    const auto next = m.value<long>("w", 5);
    REQUIRE(&opened_sync(old).slot() == &opened_sync(next).slot());
    CHECK_THROWS_AS(++old, cairn::object_gone);
    CHECK_THROWS_AS(old.store(1), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(old.update([](long& stored) { stored = 1; })), cairn::object_gone);
    CHECK(next.load() == 5);
}

TEST_CASE("a value in the place of a removed one goes on with its count of changes") {
    const cairn::manager m;
    std::uint64_t last = 0;
    for (int i = 0; i < 5; ++i) {
        const auto v = m.value<long>("v", 5);
        const opened_sync open(v);
        CHECK(open.slot().cell.control > last);
        CHECK_FALSE(is_held(v));
        ++v;
        last = open.slot().cell.control;
        if (i % 2 == 0) v.transaction([](auto& tx) { ++tx; });
        REQUIRE(m.remove("v"));
    }
}

TEST_CASE(
    "a process that may only read sees what is there, also beside a transaction whose process has died") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto v = m.value<long>("v", 5);
    const auto s = m.value<std::string>("s", "a");
    const auto reading = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    CHECK(reading.value<long>("v").load() == 5);
    CHECK(reading.value<std::string>("s").load() == "a");
    CHECK_THROWS_AS(++reading.value<long>("v"), cairn::permission_denied);
    CHECK_THROWS_AS(reading.value<std::string>("s").store("b"), cairn::permission_denied);
    CHECK(in_child([&] {
              cairn::transaction(v, s, [](auto& of_v, auto& of_s) {
                  of_v.store(6);
                  of_s.store("b");
                  ::_exit(0);
              });
          }) == 0);
    CHECK(reading.value<long>("v").load() == 5);
    CHECK(reading.value<std::string>("s").load() == "a");
    CHECK(v.load() == 5);
    CHECK(++v == 6);
}

}  // namespace value_test
