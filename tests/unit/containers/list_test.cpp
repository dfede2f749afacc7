// list_test.cpp - what list<T> says when it is used wrongly, its proxies, its iterators, and what generic code sees.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace list_test {

using namespace cairn_test;

namespace {
using longs = std::vector<long>;
using texts = std::vector<std::string>;
}  // namespace

static_assert(cairn::list_of<cairn::list<long>, long>);
static_assert(!cairn::list_of<longs, long>);
static_assert(std::ranges::input_range<cairn::list<long>>);
static_assert(std::ranges::input_range<const cairn::list<std::string>>);
static_assert(std::input_iterator<cairn::list<long>::iterator>);
static_assert(!std::is_default_constructible_v<cairn::list<long>>);
static_assert(std::is_nothrow_move_constructible_v<cairn::list<long>>);
static_assert(std::is_copy_assignable_v<cairn::list<long>>);
static_assert(sizeof(cairn::list<long>) <= 32);

TEST_CASE("an index outside is index_error, which names the operation, the object, the index and the size") {
    const cairn::manager m;
    const auto l = m.list<long>("results", {1, 2, 3});
    const std::string where = " list 'results' in anonymous segment '" + m.name() + "': index ";
    const auto text = [](const auto& use) { return thrown_by<cairn::index_error>(use); };
    CHECK(text([&] { static_cast<void>(l.at(3)); }) == "get from" + where + "3, size 3");
    CHECK(text([&] { static_cast<void>(l.get(7)); }) == "get from" + where + "7, size 3");
    CHECK(text([&] { static_cast<void>(l[3].get()); }) == "get from" + where + "3, size 3");
    CHECK(text([&] { l.set(3, 1); }) == "set in" + where + "3, size 3");
    CHECK(text([&] { l[9] = 1; }) == "set in" + where + "9, size 3");
    CHECK(text([&] { l.update(3, [](long&) {}); }) == "update in" + where + "3, size 3");
    CHECK(text([&] { l.insert(4, 1); }) == "insert into" + where + "4, size 3");
    CHECK(text([&] { static_cast<void>(l.pop(3)); }) == "pop from" + where + "3, size 3");
    CHECK(text([&] { l.erase(3); }) == "erase from" + where + "3, size 3");
    CHECK(text([&] { l.erase(1, 4); }) == "erase from" + where + "4, size 3");
    CHECK(text([&] { static_cast<void>(l.at(static_cast<std::size_t>(-1))); }) ==
          "get from" + where + "18446744073709551615, size 3");
    l.clear();
    CHECK(text([&] { static_cast<void>(l.pop()); }) == "pop from" + where + "0, size 0");
    CHECK(text([&] { static_cast<void>(l.front()); }) == "get from" + where + "0, size 0");
    CHECK(text([&] { static_cast<void>(l.back()); }) == "get from" + where + "0, size 0");
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("arguments that make no sense are invalid_argument, and nothing happens") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"a", "b"});
    CHECK_THROWS_AS(l.remove("c"), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(l.index("c")), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(l.slice(0, 1, 0)), cairn::invalid_argument);
    CHECK_THROWS_AS(l.erase(2, 1), cairn::invalid_argument);
    CHECK_THROWS_AS(l.reserve(static_cast<std::size_t>(-1)), cairn::invalid_argument);
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { l.remove("c"); }), "remove from list 'l'"));
    CHECK(l == texts{"a", "b"});
}

TEST_CASE("a proxy reads, compares, prints and assigns as the element it is for") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {10, 20, 30});
    const long value = l[1];
    CHECK(value == 20);
    CHECK(l[0] == 10);
    CHECK(l[0] != 11);
    CHECK(10 == l[0]);
    CHECK(l[0] < 11);
    CHECK(l[0] < l[1].get());
    l[0] = l[1];
    CHECK(l[0] == l[1]);
    l[0] = 7;
    auto proxy = l[0];
    proxy = 8;  // assigns through
    CHECK(l.at(0) == 8);
    l[0] += 2;
    l[0] -= 1;
    l[0] *= 10;
    l[0] /= 3;
    l[0] %= 16;
    CHECK(l.at(0) == 14);
    l[0] |= 1;
    l[0] &= 7;
    l[0] ^= 2;
    l[0] <<= 2;
    l[0] >>= 1;
    CHECK(l.at(0) == 10);
    CHECK(l[0]++ == 10);
    CHECK((++l[0]).get() == 12);
    CHECK(l[0]-- == 12);
    CHECK((--l[0]).get() == 10);
}

TEST_CASE("compound assignment takes another element, of the same or of another list") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 20});
    const auto other = m.list<long>("other", {300});
    l[0] += l[1];
    CHECK(l.at(0) == 21);
    l[0] += other[0];
    CHECK(l.at(0) == 321);
    const auto s = m.list<std::string>("s", {"a", "b"});
    s[0] += s[1];
    s[0] += "c";
    CHECK(s.at(0) == "abc");
    s[1] = s[0];
    CHECK(s == texts{"abc", "abc"});
}

TEST_CASE("an iteration is live, and ends where it ended when it began, or where the list has shrunk to") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {0, 1, 2});
    longs seen;
    for (const long& value : l) {
        seen.push_back(value);
        if (value == 0) l.set(2, 7);
        l.push_back(value + 3);
    }
    CHECK(seen == longs{0, 1, 7});
    l.set(2, 2);
    seen.clear();
    for (const long value : l) {
        seen.push_back(value);
        if (value == 2) l.erase(1, l.size());
    }
    CHECK(seen == longs{0, 1, 2});
    CHECK(l == longs{0});
    for (const long value : l) {
        CHECK(value == 0);
        l.clear();
    }
}

TEST_CASE("an iterator keeps its element, the list and the mapping") {
    auto m = std::make_unique<cairn::manager>();
    auto it = m->list<std::string>("l", {"first", "second"}).begin();
    m->list<std::string>("l").clear();
    m.reset();
    CHECK(*it == "first");
    CHECK(it->size() == 5);
    CHECK(it != std::default_sentinel);
    ++it;
    CHECK(it == std::default_sentinel);
}

TEST_CASE("algorithms and views of the standard library take a list, and can fill one") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    std::ranges::copy(longs{3, 1, 2}, std::back_inserter(const_cast<cairn::list<long>&>(l)));
    CHECK(std::ranges::count_if(l, [](long v) { return v > 1; }) == 2);
    long sum = 0;
    for (const long v : l | std::views::transform([](long x) { return 2 * x; })) sum += v;
    CHECK(sum == 12);
    CHECK(std::ranges::find(l, 2) != l.end());
    l.extend(l);  // itself: once
    CHECK(l == longs{3, 1, 2, 3, 1, 2});
    l.extend(std::views::iota(0, 3));
    l.extend(longs{});
    l.extend({9});
    CHECK(l.size() == 10);
    CHECK(cairn::erase_if(l, [](long v) { return v % 2 == 1; }) == 6);
    CHECK(l == longs{2, 2, 0, 2});
}

TEST_CASE("erase_if removes what it has looked at, also when the list changes meanwhile") {
    const cairn::manager m;
    const auto l = m.list<long>("l", {1, 2, 3, 4});
    bool is_first = true;
    const auto is_three = [&](long v) {
        if (v == 3 && std::exchange(is_first, false)) l.insert(0, 100);  // as another process might
        return v == 3;
    };
    CHECK(cairn::erase_if(l, is_three) == 1);
    CHECK(l == longs{100, 1, 2, 4});
    CHECK(cairn::erase_if(l, [](long v) { return v != 2; }) == 3);
    CHECK(l == longs{2});
    CHECK(cairn::erase_if(l, [](long) { return false; }) == 0);
    CHECK(broken_invariant(l) == "");
}

TEST_CASE("lists compare by their elements, with each other and with any range") {
    const cairn::manager m;
    const auto a = m.list<long>({1, 2});
    const auto b = m.list<long>({1, 2});
    CHECK(a == b);
    CHECK(a == longs{1, 2});
    CHECK(a == std::vector<int>{1, 2});
    CHECK(a != longs{1});
    CHECK(a == a);
    b.push_back(3);
    CHECK(a != b);
}

TEST_CASE("what an update returns is stored if it is an element, what it leaves in its argument if not") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"a"});
    l.update(0, [](std::string& s) { s += "b"; });
    CHECK(l.at(0) == "ab");
    l.update(0, [](const std::string& s) { return s + "c"; });
    CHECK(l.at(0) == "abc");
    // NOLINTNEXTLINE(performance-unnecessary-value-param): by value works, too
    l.update(0, [](std::string s) { return s + "d"; });
    CHECK(l.at(0) == "abcd");
    const auto numbers = m.list<long>("n", {5});
    numbers.update(0, [](long v) { return v * 2; });
    CHECK(numbers.at(0) == 10);
}

TEST_CASE("sort is stable, and takes any comparison") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l", {"b1", "a1", "b2", "a2", "c", "b3"});
    l.sort([](const std::string& x, const std::string& y) { return x[0] < y[0]; });
    CHECK(l == texts{"a1", "a2", "b1", "b2", "b3", "c"});
    l.sort(std::greater<>());
    CHECK(l == texts{"c", "b3", "b2", "b1", "a2", "a1"});
}

TEST_CASE("a sort needs memory for one copy of the elements, in pieces of any size") {
    const auto descending = [](std::size_t count) {
        longs values(count);
        for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<long>(count - i);
        return values;
    };
    constexpr std::uint64_t page = 4096;
    SUBCASE("as much as is free, within a percent") {
        const longs values = descending(200'000);
        std::uint64_t refused = 0;
        for (std::uint64_t more = 0;; more += 16 << 10) {
            const cairn::manager m({.max_size = (std::uint64_t{3} << 20) + more});
            const auto l = m.list<long>("l");
            l.extend(values);
            const cairn::detail::segment& inside = opened_list<long>(l).in();
            const std::uint64_t free =
                page * (inside.control().free_pages + inside.header().page_limit - inside.committed_pages());
            try {
                l.sort();
                CHECK(l.at(0) == 1);
                break;
            } catch (const cairn::segment_full&) {
                ++refused;
                CHECK(l == values);
                REQUIRE_MESSAGE(free < values.size() * sizeof(long) * 101 / 100, free, " bytes are free");
            }
        }
        CHECK(refused != 0);
    }
    SUBCASE("in pieces of three pages") {
        const cairn::manager m({.max_size = 8 << 20});
        const longs values = descending(100'000);
        const auto l = m.list<long>("l");
        l.extend(values);
        const auto pages = m.list<std::string>("pages");
        try {
            for (;;) pages.push_back(std::string(3 * page, 'x'));
        } catch (const cairn::segment_full&) {}
        for (std::size_t i = 0; i < pages.size(); i += 3) pages.set(i, "");
        l.sort();
        CHECK(l.at(0) == 1);
        CHECK(l.at(values.size() - 1) == static_cast<long>(values.size()));
        CHECK(broken_invariant(l) == "");
    }
}

TEST_CASE("a handle copies and assigns as a pointer does, and works in several threads at once") {
    const cairn::manager m;
    const auto a = m.list<long>("a", {1});
    auto handle = a;
    handle.push_back(2);
    CHECK(a.size() == 2);
    handle = m.list<long>("b", {9});
    CHECK(a.size() == 2);
    const auto moved = std::move(handle);
    CHECK(moved == longs{9});
    CHECK(moved.name() == "b");
}

TEST_CASE("emplace_back builds an element from arguments") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    l.emplace_back(3U, 'x');
    l.emplace_back();
    l.append("y");
    CHECK(l == texts{"xxx", "", "y"});
}

TEST_CASE("what can never fit fails at once, and takes no memory for a part of it") {
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20});
    const auto l = m.list<long>("l", {1, 2, 3});
    const std::uint64_t before = m.stats().size_bytes;
    CHECK_THROWS_AS(l.reserve(10'000'000'000), cairn::segment_full);
    CHECK_THROWS_AS(l.extend(std::vector<long>(9'000'000)), cairn::segment_full);
    CHECK(m.stats().size_bytes == before);
    CHECK(l == std::vector<long>{1, 2, 3});
    CHECK(broken_invariant(l) == "");
}

}  // namespace list_test
