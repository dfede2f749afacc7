// array_test.cpp - cairn::array<T>: elements side by side, changed one by one, or through memory by the owner of its lock.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened_sync.hpp"
#include "support/scratch.hpp"
#include "support/sound.hpp"
#include <cairn/cairn.hpp>

namespace array_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

struct point {
    int x;
    int y;
    int z;
    friend bool operator==(const point&, const point&) = default;
};
struct undone {};

template <typename T>
void check_type(const T& one, const T& two) {
    const cairn::manager m;
    const auto a = m.array<T>("a", 5);
    CHECK(a.size() == 5);
    CHECK(a.at(4) == T{});
    a.set(1, one);
    CHECK(a.get(1) == one);
    a[2] = two;
    CHECK(a.slice(1, 9) == std::vector<T>{one, two, T{}, T{}});
    a.update(1, [&](T& v) {
        CHECK(v == one);
        v = two;
    });
    CHECK(a.at(1) == two);
    a.update(1, [&](const T&) { return one; });
    CHECK(a.at(1) == one);
    CHECK_THROWS_AS(a.update(1,
                             [&](T& v) {
                                 v = two;
                                 throw undone();
                             }),
                    undone);
    CHECK(a.snapshot() == std::vector<T>{T{}, one, two, T{}, T{}});
    a.fill(two);
    CHECK(a.snapshot() == std::vector<T>(5, two));
    CHECK(is_sound(m));
}

}  // namespace

TEST_CASE("arrays of every size of element are read and changed") {
    check_type<long>(-5, 7);
    check_type<std::uint8_t>(200, 1);
    check_type<std::int16_t>(-3, 4);
    check_type<float>(0.5F, -1.0F);
    check_type<double>(1e300, -0.5);
    check_type<point>({1, 2, 3}, {4, 5, 6});
}

TEST_CASE("an array has the number of elements that it was made with") {
    const cairn::manager m;
    const auto a = m.array<long>("a", {1, 2, 3});
    CHECK(m.array<long>("a", 3) == std::vector<long>{1, 2, 3});
    CHECK_THROWS_AS(static_cast<void>(m.array<long>("a", 4)), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.array<int>("a", 3)), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.array<long>("b", -1)), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(m.array<long>("b", std::uint64_t{1} << 61)), cairn::segment_full);
    CHECK_FALSE(m.contains("b"));
    CHECK(m.array<long>("c", std::vector<int>{4, 5}) == std::vector<long>{4, 5});
    CHECK(m.array<long>("d", std::views::iota(0, 3)) == std::vector<long>{0, 1, 2});
    CHECK(m.array<bool>({true, false}).at(0));
    const auto none = m.array<long>(0);
    CHECK(none.empty());
    CHECK(none.snapshot().empty());
    CHECK_THROWS_AS(static_cast<void>(none.at(0)), cairn::index_error);
    CHECK_THROWS_AS(a.set(3, 1), cairn::index_error);
    CHECK_THROWS_AS(static_cast<void>(a.slice(0, 2, 0)), cairn::invalid_argument);
    CHECK(a.slice(0, 3, 2) == std::vector<long>{1, 3});
    CHECK(cairn::repr(a) == "[1, 2, 3]");
    long sum = 0;
    for (const long each : a) sum += each;
    CHECK(sum == 6);
    // More than a page, and more than young pages.
    const auto large = m.array<double>("large", 1'000'000);
    large[999'999] = 2.5;
    CHECK(large.back() == 2.5);
    CHECK(large.front() == 0);
    CHECK(is_sound(m));
}

TEST_CASE("several elements are replaced as one") {
    const cairn::manager m;
    const auto a = m.array<long>("a", {1, 2, 3, 4});
    a.assign(1, {8, 9});
    CHECK(a == std::vector<long>{1, 8, 9, 4});
    CHECK_THROWS_AS(a.assign(3, {8, 9}), cairn::index_error);
    CHECK(a == std::vector<long>{1, 8, 9, 4});
    CHECK_THROWS_AS(a.transaction([](auto& tx) {
        tx.set(0, 7);
        tx.fill(5);
        CHECK(tx.at(3) == 5);
        CHECK_THROWS_AS(static_cast<void>(tx.data()), cairn::invalid_state);
        throw undone();
    }),
                    undone);
    CHECK(a == std::vector<long>{1, 8, 9, 4});
    const auto l = m.list<long>("l");
    cairn::transaction(l, a, [](auto& of_l, auto& of_a) {
        of_l.push_back(of_a.at(1));
        of_a.set(1, 0);
    });
    CHECK(a.at(1) == 0);
    CHECK(a.set(0, 3, {.once = {1, 1}}));
    CHECK_FALSE(a.set(0, 4, {.once = {1, 1}}));
    CHECK(a.at(0) == 3);
}

TEST_CASE("the owner of the lock has the memory, and its operations go on; those of others wait") {
    const cairn::manager m;
    const auto a = m.array<long>("a", {1, 2, 3});
    CHECK_THROWS_AS(static_cast<void>(a.data()), cairn::invalid_state);
    std::atomic<bool> has_set = false;
    std::thread other;
    {
        const std::lock_guard held(a);
        const std::span<long> all = a.data();
        for (long& each : all) each *= 2;
        CHECK(a.at(1) == 4);
        a.set(0, 9);
        a[1] += 1;
        a.assign(2, {8});
        CHECK(all[0] == 9);
        {
            const std::lock_guard again(a);
            all[0] = 10;
        }
        CHECK_THROWS_AS(a.transaction([](auto&) {}), cairn::would_deadlock);
        other = std::thread([&] {
            CHECK(a.at(0) == 10);
            CHECK_THROWS_AS(static_cast<void>(a.data()), cairn::invalid_state);
            CHECK_FALSE(a.try_lock());
            a.set(0, 11);
            has_set = true;
        });
        std::this_thread::sleep_for(20ms);
        CHECK_FALSE(has_set);
        CHECK(all[0] == 10);
    }
    other.join();
    CHECK(a == std::vector<long>{11, 5, 8});
    const auto l = m.list<long>("l", {1});
    const std::lock_guard held(a);
    l.for_each([&](long) {
        CHECK_THROWS_AS(a.set(0, 1), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(a.at(0)), cairn::would_deadlock);
    });
}

TEST_CASE("an owner that dies with the lock leaves what it has stored, and the next owner is told") {
    const cairn::manager m;
    const auto a = m.array<long>("a", {1, 2, 3});
    CHECK(in_child([&] {
              a.lock();
              a.data()[0] = 7;
              a.set(1, 8);
              ::_exit(0);
          }) == 0);
    CHECK(a == std::vector<long>{7, 8, 3});
    // Who only changes an element does not take the death away from the next owner.
    a.set(2, 9);
    a.lock();
    CHECK(a.owner_died());
    a.data()[0] = 1;
    a.unlock();
    a.lock(cairn::recover, [] { FAIL("it was in order"); });
    a.unlock();
    CHECK(a == std::vector<long>{1, 8, 9});
    CHECK(in_child([&] {
              a.transaction([](auto& tx) {
                  tx.fill(0);
                  ::_exit(0);
              });
          }) == 0);
    a.lock();
    CHECK_FALSE(a.owner_died());
    a.unlock();
    CHECK(a == std::vector<long>{1, 8, 9});
}

TEST_CASE("readers see whole elements and whole changes, whoever writes") {
    const cairn::manager m;
    const auto a = m.array<point>("a", 2);
    std::atomic<bool> is_done = false;
    std::atomic<long> looks = 0;
    std::thread reader([&] {
        while (!is_done) {
            const point seen = a.at(0);
            CHECK(seen.x == seen.y);
            CHECK(seen.y == seen.z);
            ++looks;
        }
    });
    for (int i = 0; i < 3000 || looks < 50; ++i) {
        a.set(0, {i, i, i});
        const std::lock_guard held(a);
        a.set(0, {-i, -i, -i});
    }
    is_done = true;
    reader.join();
}

TEST_CASE("what is left of a removed array is object_gone, and one that is locked is removed later") {
    const cairn::manager m;
    const auto a = m.array<long>("a", 3);
    REQUIRE(m.remove("a"));
    CHECK_THROWS_AS(static_cast<void>(a.at(0)), cairn::object_gone);
    CHECK_THROWS_AS(a.set(0, 1), cairn::object_gone);
    CHECK_THROWS_AS(a.lock(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(a.data()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(a.size()), cairn::object_gone);
}

}  // namespace array_test
