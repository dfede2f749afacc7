// manager_test.cpp - objects of a segment by name: found or created, listed, removed, never mistaken for another type.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <functional>
#include <list>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace manager_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {
using longs = std::vector<long>;
using texts = std::vector<std::string>;
}  // namespace

TEST_CASE("the same name is the same object, by any manager of the segment") {
    const cairn::manager m;
    const cairn::manager copy = m;
    const auto a = m.list<long>("results");
    a.push_back(1);
    const auto b = copy.list<long>("results");
    b.push_back(2);
    CHECK(a == longs{1, 2});
    CHECK(a == b);
    CHECK(a.manager().list<long>("results").size() == 2);
    CHECK(a.manager().name() == m.name());
}

TEST_CASE("first contents are those of the first creation") {
    const cairn::manager m;
    CHECK(m.list<long>("l", {1, 2, 3}) == longs{1, 2, 3});
    CHECK(m.list<long>("l", {7}) == longs{1, 2, 3});
    CHECK(m.list<long>("l") == longs{1, 2, 3});
    CHECK(m.list<long>("from a vector", longs{4, 5}) == longs{4, 5});
    CHECK(m.list<long>("from another type", std::vector<int>{4, 5}) == longs{4, 5});
    CHECK(m.list<long>("from a std::list", std::list<long>{4, 5}) == longs{4, 5});
    CHECK(m.list<std::string>("texts", {"a", "b"}) == texts{"a", "b"});
    CHECK(m.list<std::string>("three", {"a", "b", "c"}) == texts{"a", "b", "c"});
    CHECK(m.list<bool>("flags", {true, false, true}).size() == 3);
}

TEST_CASE("an object without a name has a generated one of its own, and first contents") {
    const cairn::manager m;
    const auto a = m.list<long>();
    const auto b = m.list<long>();
    a.push_back(1);
    CHECK(b.empty());
    CHECK(a.name() != b.name());
    CHECK(m.contains(a.name()));
    CHECK(m.list<std::string>({"a", "b"}) == texts{"a", "b"});
    CHECK(m.list<std::string>({"a", "b", "c"}) == texts{"a", "b", "c"});
    CHECK(m.list<long>({1, 2}) == longs{1, 2});
}

TEST_CASE("a generated name is none that an object has already") {
    const cairn::manager m;
    const auto named = m.list<std::string>("list#1", {"mine"});
    const auto also_named = m.list<long>("list#2", {7});
    CHECK(m.list<long>().empty());
    CHECK(m.list<long>({1}) == longs{1});
    CHECK(named == texts{"mine"});
    CHECK(also_named == longs{7});
}

TEST_CASE("another type is type_mismatch, which names both, and creates nothing") {
    const cairn::manager m;
    m.list<long>("users", {1});
    const std::string text =
        thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.list<std::string>("users")); });
    CHECK(contains(text, "list 'users'"));
    CHECK(contains(text, "list<int64>"));
    CHECK(contains(text, "list<str>"));
    CHECK_THROWS_AS(static_cast<void>(m.list<unsigned long>("users")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<int>("users")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<double>("users")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<small_struct>("users")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.find<cairn::list<std::string>>("users")), cairn::type_mismatch);
    // long and long long are one width and sign: one type
    CHECK(m.list<long long>("users").at(0) == 1);
    CHECK(m.objects().size() == 1);
    CHECK(m.list<long>("users") == longs{1});
}

TEST_CASE("find gives what there is and never creates") {
    const cairn::manager m;
    CHECK_FALSE(m.find<cairn::list<long>>("l").has_value());
    CHECK_FALSE(m.contains("l"));
    m.list<long>("l").push_back(3);
    CHECK(m.find<cairn::list<long>>("l")->at(0) == 3);
    CHECK(m.contains("l"));
}

TEST_CASE("remove makes old handles object_gone for ever, also when there is a new object of that name") {
    const cairn::manager m;
    CHECK_FALSE(m.remove("l"));
    const auto old = m.list<std::string>("l", {"a", "b"});
    auto proxy = old[0];
    CHECK(m.remove("l"));
    CHECK_FALSE(m.contains("l"));
    const auto fresh = m.list<std::string>("l", {"c"});
    const std::vector<std::function<void()>> uses = {
        [&] { old.push_back("x"); },
        [&] { old.extend({"x"}); },
        [&] { old.insert(0, "x"); },
        [&] { static_cast<void>(old.pop()); },
        [&] { old.erase(0); },
        [&] { old.clear(); },
        [&] { static_cast<void>(old.at(0)); },
        [&] { static_cast<void>(old.size()); },
        [&] { static_cast<void>(old.snapshot()); },
        [&] { old.set(0, "x"); },
        [&] { old.update(0, [](std::string&) {}); },
        [&] { old.sort(); },
        [&] { old.reverse(); },
        [&] { old.reserve(3); },
        [&] { old.for_each([](const std::string&) {}); },
        [&] { static_cast<void>(old.begin()); },
        [&] { static_cast<void>(old.name()); },
        [&] { static_cast<void>(proxy.get()); },
        [&] { proxy = "x"; },
        [&] { static_cast<void>(cairn::repr(old)); },
    };
    for (std::size_t i = 0; i < uses.size(); ++i) {
        CAPTURE(i);
        CHECK_THROWS_AS(uses[i](), cairn::object_gone);
    }
    CHECK(contains(thrown_by<cairn::object_gone>(uses[0]), "it was removed; get a new handle"));
    CHECK(fresh == texts{"c"});
}

TEST_CASE("objects() tells name, kind, type and size of each, in order of name") {
    const cairn::manager m;
    m.list<std::string>("b", {std::string(100'000, 'x')});
    m.list<long>("a");
    m.list<small_struct>("c");
    const auto all = m.objects();
    REQUIRE(all.size() == 3);
    CHECK(all[0].name == "a");
    CHECK(all[0].kind == "list");
    CHECK(all[0].type == "int64");
    CHECK(all[0].bytes == 4096);
    CHECK(all[1].name == "b");
    CHECK(all[1].type == "str");
    CHECK(all[1].bytes >= 100'000);
    CHECK(all[2].type == "struct[24,8]");
    CHECK(m.remove("b"));
    CHECK(m.objects().size() == 2);
}

TEST_CASE("stats() tells size, use, limit, objects and processes") {
    const cairn::manager m(cairn::segment_options{.max_size = 64_MiB, .initial_size = 2_MiB});
    const cairn::segment_stats before = m.stats();
    CHECK(before.size_bytes <= 2_MiB);
    CHECK(before.size_bytes > 2_MiB - 64_KiB);
    CHECK(before.max_bytes <= 64_MiB);
    CHECK(before.max_bytes > 63_MiB);
    CHECK(before.object_count == 0);
    CHECK(before.process_count == 1);
    CHECK(before.recovery_count == 0);
    const std::string large(10'000'000, 'x');  // NOLINT(bugprone-string-constructor)
    m.list<std::string>("l", {large});
    const cairn::segment_stats after = m.stats();
    CHECK(after.used_bytes > before.used_bytes + 10'000'000);
    CHECK(after.size_bytes > 10'000'000);
    CHECK(after.object_count == 1);
    CHECK(in_child([&] { CHILD_CHECK(m.stats().process_count == 2); }) == 0);
    CHECK(m.stats().process_count == 1);
}

TEST_CASE("names of objects: what is refused is invalid_name, which says why") {
    const cairn::manager m;
    const std::vector<std::pair<std::string, std::string>> refused = {
        {"", "at least one byte"},
        {std::string(256, 'x'), "at most 255"},
        {"a[0]", "'['"},
        {"tab\there", "control"},
        {std::string("nul\0", 4), "control"},
        {"\xff\xfe", "UTF-8"},
        {"\xed\xa0\x80", "UTF-8"},
        {"line\n", "control"},
        {"\x7f", "control"},
    };
    for (const auto& [name, why] : refused) {
        CAPTURE(name);
        for (const auto& use : std::vector<std::function<void()>>{
                 [&] { static_cast<void>(m.list<long>(name)); }, [&] { static_cast<void>(m.contains(name)); },
                 [&] { static_cast<void>(m.remove(name)); },
                 [&] { static_cast<void>(m.find<cairn::list<long>>(name)); }}) {
            const std::string text = thrown_by<cairn::invalid_name>(use);
            CHECK(contains(text, why));
            CHECK(contains(text, "anonymous segment"));
        }
    }
    for (const std::string& name :
         {std::string("x"), std::string(255, 'x'), std::string("a/b.c"), std::string(".x"),
          std::string("größer €  😀"), std::string("pid:7"), std::string(" ")}) {
        CAPTURE(name);
        m.list<long>(name).push_back(1);
        CHECK(m.list<long>(name).name() == name);
        CHECK(m.contains(name));
    }
}

TEST_CASE("options that make no sense are invalid_argument with the bounds") {
    for (const cairn::segment_options& options :
         {cairn::segment_options{.max_size = 1}, cairn::segment_options{.max_size = 100_KiB},
          cairn::segment_options{.max_size = 1024_GiB},
          cairn::segment_options{.max_size = 1_MiB, .initial_size = 2_MiB}}) {
        CHECK_THROWS_AS(cairn::manager{options}, cairn::invalid_argument);
    }
    CHECK(
        contains(thrown_by<cairn::invalid_argument>([] { cairn::manager m({.max_size = 1}); }), "expected"));
    // The smallest that is accepted works.
    const std::string text = thrown_by<cairn::invalid_argument>([] { cairn::manager m({.max_size = 1}); });
    const std::uint64_t least = std::stoull(text.substr(text.find("expected ") + 9));
    const cairn::manager m({.max_size = least});
    m.list<long>("l").push_back(1);
    CHECK(m.list<long>("l").at(0) == 1);
}

TEST_CASE("max_participants: its bounds, and that its places are part of the smallest size") {
    const std::string text =
        thrown_by<cairn::invalid_argument>([] { cairn::manager m({.max_participants = 65537}); });
    CHECK(contains(text, "max_participants is 65537, expected 1 to 65536"));
    CHECK_THROWS_AS(cairn::manager({.max_size = 8_MiB, .max_participants = 65536}), cairn::invalid_argument);
    for (const std::uint32_t places : {1U, 3U, 65536U}) {
        const cairn::manager m({.max_size = 16_MiB, .max_participants = places});
        m.list<long>("l").push_back(1);
        CHECK(m.list<long>("l").at(0) == 1);
        CHECK(m.stats().process_count == 1);
    }
}

TEST_CASE("an object that does not fit is segment_full and leaves no trace") {
    const cairn::manager m({.max_size = 1_MiB});
    const auto before = m.stats();
    CHECK_THROWS_AS(static_cast<void>(m.list<long>("huge", longs(1'000'000))), cairn::segment_full);
    CHECK_FALSE(m.contains("huge"));
    CHECK(m.stats().object_count == 0);
    const auto l = m.list<long>("huge", {1});
    CHECK(broken_invariant(l) == "");
    CHECK(m.remove("huge"));
    CHECK(m.stats().max_bytes == before.max_bytes);
}

TEST_CASE("contents that throw while an object is created leave no trace") {
    struct thrower {
        long value;
        operator long() const {  // NOLINT(google-explicit-constructor)
            if (value == 2) throw std::runtime_error("no");
            return value;
        }
    };
    const cairn::manager m;
    CHECK_THROWS_AS(static_cast<void>(m.list<long>("l", std::vector<thrower>{{1}, {2}})), std::runtime_error);
    CHECK_FALSE(m.contains("l"));
    CHECK(m.list<long>("l").empty());
}

TEST_CASE("threads that find or create the same names get the same objects") {
    const cairn::manager m;
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 300; ++i) {
                    const std::string name = "l" + std::to_string(i % 100);
                    m.list<long>(name).push_back(1);
                    static_cast<void>(m.contains(name));
                    static_cast<void>(m.objects());
                }
            });
        }
    }
    std::size_t all = 0;
    for (const auto& object : m.objects()) all += m.list<long>(object.name).size();
    CHECK(all == 1200);
    CHECK(m.stats().object_count == 100);
}

TEST_CASE("threads that create and remove the same names never mix two objects up") {
    const cairn::manager m;
    std::atomic<int> wrong{0};
    {
        std::vector<std::jthread> threads;
        for (long t = 0; t < 3; ++t) {
            threads.emplace_back([&, t] {
                for (long i = 0; i < static_cast<long>(scaled(1500)); ++i) {
                    try {
                        const auto l = m.list<long>("shared", {t * 1'000'000 + i});
                        const longs s = l.snapshot();
                        if (s.size() != 1) ++wrong;
                        if (i % 3 == t % 3) static_cast<void>(m.remove("shared"));
                    } catch (const cairn::object_gone&) {}
                }
            });
        }
    }
    CHECK(wrong == 0);
    static_cast<void>(m.remove("shared"));
    CHECK(m.stats().object_count == 0);
}

TEST_CASE("managers copy, move and assign; handles outlive them") {
    cairn::manager a;
    cairn::manager b = a;
    cairn::manager c = std::move(a);
    CHECK(b.name() == c.name());
    const auto l = c.list<long>("l", {1});
    b = cairn::manager();
    c = b;
    CHECK(c.name() == b.name());
    CHECK(l == longs{1});
    l.push_back(2);
    CHECK(l.manager().list<long>("l").size() == 2);
    b = std::move(c);
    CHECK(b.is_anonymous());
}

}  // namespace manager_test
