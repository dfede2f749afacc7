// sharded_dict_test.cpp - what sharded_dict<K, V> does, method by method; dict<K, V> is the specification, but for the order.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <limits>
#include <map>
#include <ranges>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_sharded_dict.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace sharded_dict_test {

using namespace cairn_test;

namespace {

using pairs = std::vector<std::pair<std::string, long>>;
using sharded = cairn::sharded_dict<std::string, long>;

pairs sorted(pairs all) {
    std::sort(all.begin(), all.end());
    return all;
}

pairs numbered(long count) {
    pairs all;
    for (long i = 0; i < count; ++i) all.emplace_back("key " + std::to_string(i), i);
    return all;
}

}  // namespace

static_assert(cairn::dict_of<sharded, std::string, long>);
static_assert(std::ranges::input_range<const sharded>);

TEST_CASE("sharded_dict get, at and [] of a key that is missing: nothing, key_error, key_error") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d", {{"a", 1}});
    CHECK(d.get("a") == 1);
    CHECK_FALSE(d.get("b").has_value());
    CHECK(d.get("b", 7) == 7);
    CHECK(d.at("a") == 1);
    CHECK(contains(thrown_by<cairn::key_error>([&] { static_cast<void>(d.at("b")); }),
                   "get from sharded_dict 'd' in anonymous segment"));
    CHECK_THROWS_AS(static_cast<void>(d["b"].get()), cairn::key_error);
    CHECK(d.contains("a"));
    CHECK(d.count("b") == 0);
    CHECK(d.size() == 1);
    CHECK(d.name() == "d");
    CHECK(d.manager().contains("d"));
}

TEST_CASE("sharded_dict sets, counts up, inserts, erases and pops single keys as dict does") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d");
    CHECK(d.empty());
    d.set("a", 1);
    d["b"] = 2;
    d["b"] += 3;
    d["new"] += 5;  // begins with 0
    CHECK(++d["a"] == 2);
    CHECK(d.insert_or_assign("c", 1));
    CHECK_FALSE(d.insert_or_assign("c", 2));
    CHECK_FALSE(d.try_emplace("c", 9));
    CHECK(d.try_emplace("e", 9));
    CHECK(d.setdefault("e", 8) == 9);
    CHECK(d.setdefault("f", 8) == 8);
    d.update("f", [](long& v) { v *= 2; });
    d.update("g", [](long v) { return v + 1; });
    CHECK_THROWS_AS(d.update("a", [](long&) { throw 7; }), int);
    CHECK(sorted(d.items()) ==
          pairs{{"a", 2}, {"b", 5}, {"c", 2}, {"e", 9}, {"f", 16}, {"g", 1}, {"new", 5}});
    CHECK(d.erase("a"));
    CHECK_FALSE(d.erase("a"));
    CHECK(d.pop("b") == 5);
    CHECK(d.pop("b", -1) == -1);
    CHECK_THROWS_AS(static_cast<void>(d.pop("b")), cairn::key_error);
    CHECK(d.size() == 5);
    CHECK_FALSE(d.empty());
    CHECK(broken_dict(d) == "");
}

TEST_CASE("sharded_dict update(range), |=, == and clear go over all shards") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d");
    const pairs many = numbered(500);
    d.update(many);
    CHECK(d.size() == 500);
    CHECK(d == many);
    d |= pairs{{"key 3", -3}, {"x", 1}, {"x", 2}};
    d.update({{"key 4", -4}});
    CHECK(d.at("key 3") == -3);
    CHECK(d.at("key 4") == -4);
    CHECK(d.at("x") == 2);
    CHECK_FALSE(d == many);
    const auto other = m.sharded_dict<std::string, long>("other", {}, {.shards = 2});
    other.update(d);
    CHECK(other == d);  // in another order
    other.update(m.dict<std::string, long>("plain", {{"y", 1}}));
    CHECK_FALSE(other == d);
    CHECK(d == d);
    CHECK(broken_dict(d) == "");
    d.clear();
    CHECK(d.empty());
    CHECK(d.snapshot().empty());
    CHECK(d == pairs{});
    CHECK(d == std::initializer_list<std::pair<std::string, long>>{});
    CHECK(broken_dict(d) == "");
}

TEST_CASE("sharded_dict keys are spread over all shards, evenly") {
    const cairn::manager m;
    const auto check = [](const auto& d, auto make_key) {
        for (long i = 0; i < 4000; ++i) d.set(make_key(i), i);
        for (long i = 0; i < 4000; ++i) REQUIRE(d.at(make_key(i)) == i);
        const auto shards = opened_sharded(d).shards();
        CHECK(shards.size() == 8);
        for (const auto& each : shards) {
            CHECK(each.size() > 350);  // of 500; as many as this are missing once in 10^10 times
            CHECK(each.size() < 650);
        }
        CHECK(broken_dict(d) == "");
    };
    check(m.sharded_dict<long, long>("numbers", {.shards = 8}), [](long i) { return i; });
    check(m.sharded_dict<long, long>("steps", {.shards = 8}), [](long i) { return i * 4096; });
    check(m.sharded_dict<double, long>("fractions", {.shards = 8}),
          [](long i) { return static_cast<double>(i) / 8; });
    check(m.sharded_dict<std::string, long>("texts", {.shards = 8}),
          [](long i) { return std::to_string(i); });
    check(m.sharded_dict<std::vector<int>, long>("vectors", {.shards = 8}),
          [](long i) { return std::vector<int>(3, static_cast<int>(i)); });
}

TEST_CASE("a shard of many keys is no more lopsided inside than a dict of its own") {
    const cairn::manager m;
    const auto d = m.sharded_dict<long, long>("d", {.shards = 64});
    const auto plain = m.dict<long, long>("plain");
    const auto pages = [&](const std::string& name) {
        for (const auto& each : m.objects())
            if (each.name == name) return each.bytes / 4096;
        return std::uint64_t{0};
    };
    long in_first = 0;
    const opened_sharded<long, long> open(d);
    for (long i = 0; i < 400'000; ++i) {
        if (open.shard_of(i) != 0) continue;
        d.set(i, i);
        plain.set(i * 64, i);
        ++in_first;
    }
    CHECK(in_first > 5000);
    CHECK(pages("d") < pages("plain") * 3 / 2 + 65 * 2);
    CHECK(broken_dict(d) == "");
}

TEST_CASE("sharded_dict order is that of insertion in each shard, and the same for all ways to look") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d", {.shards = 4});
    d.update(numbered(200));
    d.set("key 7", -7);  // keeps its place
    d.erase("key 9");
    d.set("key 9", 9);  // comes again, as the last of its shard
    pairs by_shard;
    const opened_sharded<std::string, long> open(d);
    for (std::size_t shard = 0; shard < 4; ++shard) {
        const auto add = [&](const std::string& key, long value) {
            if (open.shard_of(key) == shard) by_shard.emplace_back(key, value);
        };
        for (const auto& [key, value] : numbered(200))
            if (key != "key 9") add(key, key == "key 7" ? -7 : value);
        add("key 9", 9);
    }
    CHECK(d.snapshot() == by_shard);
    CHECK(d.items() == by_shard);
    pairs seen;
    for (const auto& each : d) seen.push_back(each);
    CHECK(seen == by_shard);
    seen.clear();
    d.for_each([&](const std::string& key, long value) { seen.emplace_back(key, value); });
    CHECK(seen == by_shard);
    std::vector<std::string> keys;
    std::vector<long> values;
    for (const auto& [key, value] : by_shard) keys.push_back(key), values.push_back(value);
    CHECK(d.keys() == keys);
    CHECK(d.values() == values);
}

TEST_CASE(
    "sharded_dict popitem takes each pair once, from another shard each time, and then throws key_error") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d", {.shards = 4});
    d.update(numbered(100));
    const opened_sharded<std::string, long> open(d);
    std::set<std::size_t> first_shards;
    pairs taken;
    for (int i = 0; i < 100; ++i) {
        taken.push_back(d.popitem());
        if (i < 4) first_shards.insert(open.shard_of(taken.back().first));
    }
    CHECK(first_shards.size() == 4);
    CHECK(sorted(taken) == sorted(numbered(100)));
    CHECK(contains(thrown_by<cairn::key_error>([&] { static_cast<void>(d.popitem()); }),
                   "popitem from sharded_dict 'd'"));
    CHECK(broken_dict(d) == "");
}

TEST_CASE("sharded_dict prints as a dict, and erase_if goes over all shards") {
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d", {{"a", 1}});
    CHECK(cairn::repr(d) == "{'a': 1}");
    d.clear();
    CHECK(cairn::repr(d) == "{}");
    d.update(numbered(300));
    CHECK(cairn::erase_if(d, [](const std::string&, long value) { return value % 3 == 0; }) == 100);
    CHECK(d.size() == 200);
    CHECK_FALSE(d.contains("key 6"));
    CHECK(d.contains("key 7"));
    // Of two shards that have pairs, a comma between.
    const auto two = m.sharded_dict<long, long>("two", {.shards = 2});
    for (long i = 0; i < 4; ++i) two.set(i, i);
    const std::string text = cairn::repr(two);
    CHECK(std::count(text.begin(), text.end(), ',') == 3);
    CHECK(text.size() == std::string("{0: 0, 1: 1, 2: 2, 3: 3}").size());
}

TEST_CASE("a NaN is stored and not found, in whatever shard it is") {
    const cairn::manager m;
    const auto d = m.sharded_dict<double, long>("d");
    const double nan = std::numeric_limits<double>::quiet_NaN();
    d.set(nan, 1);
    d.set(nan, 2);
    d.set(0.0, 3);
    CHECK(d.size() == 3);
    CHECK_FALSE(d.contains(nan));
    CHECK(d.at(-0.0) == 3);
    CHECK(broken_dict(d) == "");
}

TEST_CASE("the number of shards is stored: who opens a sharded_dict takes what is there") {
    const cairn::manager m;
    CHECK(m.sharded_dict<std::string, long>("usual").shard_count() == 16);
    const auto d = m.sharded_dict<std::string, long>("d", {{"a", 1}}, {.shards = 4});
    CHECK(d.shard_count() == 4);
    const auto again = m.sharded_dict<std::string, long>("d", {{"b", 2}}, {.shards = 8});
    CHECK(again.shard_count() == 4);
    CHECK(again == pairs{{"a", 1}});
    CHECK(again == d);
    CHECK(m.find<sharded>("d")->shard_count() == 4);
    CHECK_FALSE(m.find<sharded>("nothing").has_value());
    CHECK(m.sharded_dict<long, long>({.shards = 1}).shard_count() == 1);
    CHECK(m.sharded_dict<long, long>("64", {.shards = 64}).shard_count() == 64);
    for (const std::uint32_t wrong : {0U, 3U, 12U, 128U, 1U << 31}) {
        const auto said = thrown_by<cairn::invalid_argument>(
            [&] { static_cast<void>(m.sharded_dict<long, long>("wrong", {.shards = wrong})); });
        CHECK(contains(said, "create sharded_dict 'wrong' in anonymous segment"));
        CHECK(
            contains(said, "shards is " + std::to_string(wrong) + ", expected a power of two from 1 to 64"));
    }
    CHECK_FALSE(m.contains("wrong"));
}

TEST_CASE("another kind or another type is type_mismatch, both ways") {
    const cairn::manager m;
    static_cast<void>(m.sharded_dict<std::string, long>("sharded"));
    static_cast<void>(m.dict<std::string, long>("plain"));
    CHECK(contains(thrown_by<cairn::type_mismatch>(
                       [&] { static_cast<void>(m.sharded_dict<std::string, double>("sharded")); }),
                   "stored as sharded_dict<str, int64>, asked for sharded_dict<str, float64>"));
    CHECK(contains(
        thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.dict<std::string, long>("sharded")); }),
        "stored as sharded_dict<str, int64>, asked for dict<str, int64>"));
    CHECK_THROWS_AS(static_cast<void>(m.sharded_dict<std::string, long>("plain")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.find<sharded>("plain")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.find<cairn::list<long>>("sharded")), cairn::type_mismatch);
}

TEST_CASE(
    "a sharded_dict is one object, whose memory is that of all its roots, and is free when it is removed") {
    // It does not grow, which would count as used, too.
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20, .initial_size = 4 << 20});
    const auto list = m.list<long>("l");
    const auto used = [&] { return m.stats().used_bytes; };
    // Control blocks stay.
    static_cast<void>(m.sharded_dict<long, std::string>("d"));
    CHECK(m.remove("d"));
    const std::uint64_t before = used();
    const auto d = m.sharded_dict<long, std::string>("d");
    const std::uint64_t empty_bytes = m.objects().front().bytes;
    CHECK(empty_bytes == used() - before);
    for (long i = 0; i < 3000; ++i) d.set(i, std::string(60, 'x'));
    const std::vector<cairn::object_info> objects = m.objects();
    REQUIRE(objects.size() == 2);
    CHECK(objects[0].name == "d");
    CHECK(objects[0].kind == "sharded_dict");
    CHECK(objects[0].type == "int64, str");
    CHECK(objects[0].bytes == used() - before);
    CHECK(m.stats().object_count == 2);
    CHECK(m.remove("d"));
    CHECK_FALSE(m.remove("d"));
    CHECK(used() == before);
    CHECK(m.objects().size() == 1);
    CHECK(m.stats().object_count == 1);
}

TEST_CASE("handles to a removed sharded_dict throw object_gone for ever, whichever shard they come to") {
    const cairn::manager m;
    const auto d = m.sharded_dict<long, long>("d");
    for (long i = 0; i < 100; ++i) d.set(i, i);
    CHECK(m.remove("d"));
    const auto check_gone = [&] {
        for (long i = 0; i < 100; ++i) {
            CHECK_THROWS_AS(static_cast<void>(d.get(i)), cairn::object_gone);
            CHECK_THROWS_AS(d.set(i, 1), cairn::object_gone);
            CHECK_THROWS_AS(static_cast<void>(d.erase(i)), cairn::object_gone);
        }
        CHECK_THROWS_AS(static_cast<void>(d.size()), cairn::object_gone);
        CHECK_THROWS_AS(static_cast<void>(d.snapshot()), cairn::object_gone);
        CHECK_THROWS_AS(static_cast<void>(d.popitem()), cairn::object_gone);
        CHECK_THROWS_AS(static_cast<void>(d.name()), cairn::object_gone);
        CHECK_THROWS_AS(d.clear(), cairn::object_gone);
        CHECK_THROWS_AS(d.update(std::vector<std::pair<long, long>>{{1, 1}}), cairn::object_gone);
        CHECK_THROWS_AS(d.for_each([](long, long) {}), cairn::object_gone);
        CHECK_THROWS_AS(static_cast<void>(d.begin()), cairn::object_gone);
    };
    check_gone();
    const auto fresh = m.sharded_dict<long, long>("d");  // in the same control blocks
    fresh.set(1, 1);
    check_gone();
    CHECK(fresh.snapshot() == std::vector<std::pair<long, long>>{{1, 1}});
}

TEST_CASE("a sharded_dict of as many shards as there can be is made and removed, again and again") {
    const cairn::manager m;
    static_cast<void>(m.sharded_dict<long, long>("d", {.shards = 64}));
    CHECK(m.remove("d"));
    const std::uint64_t used = m.stats().used_bytes;
    for (long round = 0; round < 5; ++round) {
        const auto d = m.sharded_dict<long, long>("d", {.shards = 64});
        for (long i = 0; i < 500; ++i) d.set(i, round);
        CHECK(d.size() == 500);
        CHECK(m.stats().object_count == 1);
        CHECK(m.remove("d"));
        CHECK_THROWS_AS(static_cast<void>(d.get(7)), cairn::object_gone);
        CHECK(m.stats().used_bytes == used);
        CHECK(m.stats().object_count == 0);
        CHECK(cairn::detail::this_thread.held_count == 0);
    }
}

TEST_CASE("inside a callback of a sharded_dict any use of it is would_deadlock, also of another shard") {
    const cairn::manager m;
    const auto d = m.sharded_dict<long, long>("d");
    for (long i = 0; i < 40; ++i) d.set(i, i);
    d.update(1, [&](long&) {
        for (long i = 0; i < 40; ++i) {
            CHECK_THROWS_AS(static_cast<void>(d.get(i)), cairn::would_deadlock);
            CHECK_THROWS_AS(d.set(i, 1), cairn::would_deadlock);
        }
        CHECK_THROWS_AS(static_cast<void>(m.remove("d")), cairn::would_deadlock);
    });
    int calls = 0;
    d.for_each([&](long, long) {
        CHECK_THROWS_AS(d.clear(), cairn::would_deadlock);
        ++calls;
    });
    CHECK(calls == 40);
    CHECK(d.size() == 40);
}

TEST_CASE("a callback may let go of the last handle of a sharded_dict") {
    const cairn::manager m;
    auto d = std::make_optional(m.sharded_dict<long, long>("d"));
    for (long i = 0; i < 40; ++i) d->set(i, i);
    long sum = 0;
    d->for_each([&](long, long value) {
        d.reset();
        sum += value;
    });
    CHECK(sum == 39 * 40 / 2);
    d.emplace(m.sharded_dict<long, long>("d"));
    d->update(3, [&](long& value) {
        d.reset();
        value = -3;
    });
    CHECK(m.sharded_dict<long, long>("d").at(3) == -3);
}

TEST_CASE("a sharded_dict is there again when its persistent segment is opened again, and can be read only") {
    const scratch_name name;
    {
        const cairn::manager m(name, {.persist = true});
        m.sharded_dict<std::string, long>("d", numbered(300), {.shards = 4}).set("more", 1);
    }
    {
        const auto m = cairn::manager::open(name);
        const auto d = m.sharded_dict<std::string, long>("d");
        CHECK(d.shard_count() == 4);
        CHECK(d.size() == 301);
        for (const auto& [key, value] : numbered(300)) CHECK(d.at(key) == value);
        CHECK(broken_dict(d) == "");
    }
    const auto m = cairn::manager::open(name, cairn::open_mode::read_only);
    const auto d = m.find<sharded>("d").value();
    CHECK(d.size() == 301);
    CHECK(d.at("more") == 1);
    CHECK(d.snapshot().size() == 301);
    CHECK(m.objects().size() == 1);
    long seen = 0;
    d.for_each([&](const std::string&, long) { ++seen; });
    CHECK(seen == 301);
    CHECK_THROWS_AS(d.set("more", 2), cairn::permission_denied);
    CHECK_THROWS_AS(d.clear(), cairn::permission_denied);
    CHECK_THROWS_AS(static_cast<void>(d.popitem()), cairn::permission_denied);
    CHECK_THROWS_AS(d.update(pairs{}), cairn::permission_denied);
    CHECK_THROWS_AS(static_cast<void>(m.sharded_dict<long, long>("new")), cairn::permission_denied);
    cairn::manager::open(name).unlink();
}

TEST_CASE("sharded_dict does what std::map does, whatever is asked of it") {
    const cairn::manager m;
    const auto d = m.sharded_dict<long, std::string>("d", {.shards = 4});
    std::map<long, std::string> model;
    std::uint64_t state = 7;
    const auto random = [&](std::uint64_t below) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        return (state >> 33) % below;
    };
    for (int step = 0; step < 6000; ++step) {
        const auto key = static_cast<long>(random(400));
        const std::string value(random(90), static_cast<char>('a' + random(26)));
        switch (random(8)) {
            case 0: REQUIRE(d.erase(key) == (model.erase(key) == 1)); break;
            case 1: REQUIRE(d.try_emplace(key, value) == model.try_emplace(key, value).second); break;
            case 2:
                REQUIRE(d.get(key) == (model.contains(key) ? std::optional(model[key]) : std::nullopt));
                break;
            case 3:
                if (model.empty()) break;
                {
                    const auto taken = d.popitem();
                    REQUIRE(model.at(taken.first) == taken.second);
                    model.erase(taken.first);
                }
                break;
            case 4:
                d.update(key, [&](std::string& v) { v += value; });
                model[key] += value;
                break;
            case 5:
                if (random(40) == 0) d.clear(), model.clear();
                break;
            default:
                d.set(key, value);
                model[key] = value;
                break;
        }
        REQUIRE(d.size() == model.size());
    }
    CHECK(d == model);
    CHECK(broken_dict(d) == "");
}

}  // namespace sharded_dict_test
