// sharded_dict_test.cpp - several processes on one sharded_dict, and on whether there is one.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "inspect/verify.hpp"
#include "support/opened.hpp"
#include "support/opened_sharded_dict.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/inspect.hpp>

namespace sharded_dict_test {

using namespace cairn_test;

namespace {

using sharded = cairn::sharded_dict<std::string, long>;
constexpr long processes = 4;

std::string own_key(long process, long i) {
    return "of " + std::to_string(process) + ": " + std::to_string(i);
}

std::string problems_of(const cairn::manager& m) {
    const opened_list<char> probe(m.list<char>("probe"));
    std::string text;
    for (const std::string& each : cairn::detail::verify_segment(probe.in(), true)) text += each + "\n";
    return text;
}

}  // namespace

TEST_CASE(
    "four processes write to a sharded_dict at once: all that was acknowledged is there, counts are exact") {
    constexpr long rounds = 3000;
    constexpr long counters = 20;
    const cairn::manager m;
    const auto d = m.sharded_dict<std::string, long>("d", {.shards = 8});
    std::vector<child> all;
    for (long w = 0; w < processes; ++w) {
        all.emplace_back([&, w] {
            for (long i = 0; i < rounds; ++i) {
                d.set(own_key(w, i), i);
                CHILD_CHECK(d.at(own_key(w, i)) == i);
                if (i % 3 == 0) CHILD_CHECK(d.erase(own_key(w, i)));
                d["count " + std::to_string(i % counters)] += 1;
                d.update("twice", [](long& v) { ++v, ++v; });
            }
        });
    }
    for (child& each : all) CHECK(each.join() == 0);
    for (long w = 0; w < processes; ++w)
        for (long i = 0; i < rounds; ++i)
            REQUIRE(d.get(own_key(w, i)) == (i % 3 == 0 ? std::nullopt : std::optional(i)));
    for (long i = 0; i < counters; ++i)
        CHECK(d.at("count " + std::to_string(i)) == processes * rounds / counters);
    CHECK(d.at("twice") == 2 * processes * rounds);
    CHECK(d.size() == static_cast<std::size_t>(processes * rounds * 2 / 3 + counters + 1));
    CHECK(broken_dict(d) == "");
    CHECK(problems_of(m) == "");
}

TEST_CASE("processes that take all pairs of a sharded_dict at once get each pair once") {
    constexpr long count = 6000;
    const cairn::manager m;
    const auto d = m.sharded_dict<long, long>("d");
    const auto taken = m.list<long>("taken");
    for (long i = 0; i < count; ++i) d.set(i, -i);
    std::vector<child> all;
    for (long w = 0; w < processes; ++w) {
        all.emplace_back([&] {
            long own = 0;
            long sum = 0;
            try {
                for (;; ++own) {
                    const auto [key, value] = d.popitem();
                    CHILD_CHECK(value == -key);
                    sum += key;
                }
            } catch (const cairn::key_error&) {}
            taken.extend(std::vector<long>{own, sum});
        });
    }
    for (child& each : all) CHECK(each.join() == 0);
    long pairs = 0;
    long sum = 0;
    const std::vector<long> told = taken.snapshot();
    for (std::size_t i = 0; i < told.size(); i += 2) pairs += told[i], sum += told[i + 1];
    CHECK(pairs == count);
    CHECK(sum == count * (count - 1) / 2);
    CHECK(d.empty());
    CHECK(broken_dict(d) == "");
}

TEST_CASE("who removes a sharded_dict waits for whoever is at work in one of its shards, wherever that is") {
    const cairn::manager m;
    for (const char* key : {"a", "b", "c", "d", "e", "f"}) {
        const auto d = m.sharded_dict<std::string, long>("d", {{key, 1}}, {.shards = 4});
        const gate inside;
        const gate leave;
        child writer([&] {
            d.update(key, [&](long& value) {
                inside.open();
                CHILD_CHECK(leave.wait());
                value = 2;
            });
        });
        REQUIRE(inside.wait());
        child remover([&] { CHILD_CHECK(m.remove("d")); });
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        CHECK(m.contains("d"));
        leave.open();
        CHECK(writer.join() == 0);
        CHECK(remover.join() == 0);
        CHECK_FALSE(m.contains("d"));
    }
    CHECK(problems_of(m) == "");
}

TEST_CASE("a remover that waits for one shard is in nobody's way in the others") {
    const scratch_name name;
    const cairn::manager m(name);
    const opened_sharded<std::string, long> d(m.sharded_dict<std::string, long>("d", {.shards = 4}));
    std::vector<std::string> keys(4);  // one for each shard
    for (long i = 0; std::count(keys.begin(), keys.end(), "") != 0; ++i) {
        const std::string key = "key " + std::to_string(i);
        keys[d.shard_of(key)] = key;
        d.set(key, 1);
    }
    for (const std::string& busy : keys) {
        const auto read_others = [&](const sharded& from) {
            ::alarm(20);  // instead of waiting for the writer, which waits for this one
            for (const std::string& key : keys)
                if (key != busy) CHILD_CHECK(from.get(key).has_value());
        };
        const gate inside;
        const gate leave;
        child writer([&] {
            d.update(busy, [&](long& value) {
                inside.open();
                CHILD_CHECK(leave.wait());
                value = 2;
            });
        });
        REQUIRE(inside.wait());
        child remover([&] { m.remove("d"); });
        const cairn::detail::stored_mutex& lock = d.parts()[d.shard_of(busy)]->lock;
        for (int i = 0; i < 20'000 && !inspect(lock).has_waiters; ++i)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CHECK(inspect(lock).has_waiters);
        child reader([&] { read_others(d); });
        CHECK(reader.join() == 0);
        child read_only_reader([&] {
            const auto look = cairn::manager::open(name, cairn::open_mode::read_only);
            ::alarm(20);
            const auto found = look.find<sharded>("d");
            CHILD_CHECK(found.has_value());
            read_others(*found);
        });
        CHECK(read_only_reader.join() == 0);
        remover.kill();
        CHECK(remover.join() == -SIGKILL);
        leave.open();
        CHECK(writer.join() == 0);
        CHECK(d.get(busy) == 2);
    }
    CHECK(broken_dict(static_cast<const sharded&>(d)) == "");
    CHECK(m.remove("d"));
    CHECK(problems_of(m) == "");
}

TEST_CASE("processes that take pairs of a sharded_dict begin at different shards, a forked one of one "
          "handle, too") {
    const cairn::manager m;
    const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {.shards = 16}));
    for (long i = 0; i < 400; ++i) d.set(i, i);
    const auto first_ones = m.list<long>("first ones");
    constexpr std::size_t takers = 3;
    for (std::size_t i = 0; i < takers; ++i) {
        child taker([&] { first_ones.push_back(d.popitem().first); });
        CHECK(taker.join() == 0);
    }
    std::set<std::size_t> shards = {d.shard_of(d.popitem().first)};
    for (const long key : first_ones.snapshot()) shards.insert(d.shard_of(key));
    CHECK(shards.size() == takers + 1);
}

TEST_CASE("who looks from outside while sharded_dicts are made and removed finds them whole, or gone, never "
          "damaged") {
    const scratch_name name;
    const cairn::manager m(name);
    static_cast<void>(m.sharded_dict<long, long>("stays", {{1, 1}, {2, 2}}, {.shards = 4}));
    child maker([&] {
        for (;;) {
            for (const char* each : {"d", "e"}) {
                static_cast<void>(
                    m.sharded_dict<std::string, long>(each, {{"a", 1}, {"b", 2}}, {.shards = 4}));
                static_cast<void>(m.list<long>("l", std::vector<long>(20, 0x4141'4141)));
                m.remove(each);
                m.remove("l");  // whose memory another one gets: what was a node is not one any more
            }
        }
    });
    long looks = 0;
    long seen = 0;
    const cairn::inspection look(cairn::locate_segment(name.get()));  // not an image: its processes live
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(1500);
    const auto check_notes = [](const std::string& of, const std::vector<std::string>& notes) {
        for (const std::string& note : notes) CHECK_MESSAGE(!contains(note, "damaged"), of, ": ", note);
    };
    const auto is_time_left = [&] {
        const auto now = std::chrono::steady_clock::now();
        return now < end || (seen == 0 && now < end + std::chrono::seconds(30));
    };
    for (; is_time_left(); ++looks) {
        for (const cairn::object_facts& each : look.objects(false)) check_notes(each.name, each.notes);
        bool is_there = false;
        for (const cairn::object_facts& each : look.objects()) {
            check_notes(each.name, each.notes);
            is_there = is_there || each.name == "stays";
            seen += each.name == "d" || each.name == "e" ? 1 : 0;
        }
        CHECK(is_there);
        for (const char* each : {"d", "e"}) {
            try {
                check_notes(each, look.contents(each).notes);
            } catch (const cairn::no_such_object&) {
            } catch (const cairn::corrupt_segment& e) {
                FAIL_CHECK(std::string(e.what()));
            }
        }
    }
    maker.kill();
    CHECK(maker.join() == -SIGKILL);
    CHECK(looks > 0);
    CHECK(seen > 0);
}

TEST_CASE(
    "creation, removal, use and looks at a sharded_dict race: it is whole, or gone, and no page is lost") {
    const scratch_name name;
    const cairn::manager m(name);
    static_cast<void>(m.sharded_dict<std::string, long>("d", {.shards = 4}));
    m.remove("d");
    static_cast<void>(problems_of(m));
    const std::uint64_t used = m.stats().used_bytes;
    const auto rounds = static_cast<long>(scaled(700));
    std::vector<child> all;
    for (long w = 0; w < processes; ++w) {
        all.emplace_back([&, w] {
            for (long i = 0; i < rounds; ++i) {
                try {
                    const auto d = m.sharded_dict<std::string, long>("d", {{"first", 1}}, {.shards = 4});
                    CHILD_CHECK(d.shard_count() == 4);
                    CHILD_CHECK(d.at("first") == 1);
                    for (long k = 0; k < 8; ++k) d.set(own_key(w, k), k);
                    for (long k = 0; k < 8; ++k) CHILD_CHECK(d.at(own_key(w, k)) == k);
                    CHILD_CHECK(!d.snapshot().empty());
                } catch (const cairn::object_gone&) {}
                if (i % 2 == w % 2) static_cast<void>(m.remove("d"));
            }
        });
    }
    child reader([&] {
        const auto look = cairn::manager::open(name, cairn::open_mode::read_only);
        for (long i = 0; i < rounds * 5; ++i) {
            if (const auto d = look.find<sharded>("d")) CHILD_CHECK(d->shard_count() == 4);
            for (const cairn::object_info& each : look.objects())
                CHILD_CHECK(each.name == "probe" || (each.name == "d" && each.kind == "sharded_dict"));
        }
    });
    for (child& each : all) CHECK(each.join() == 0);
    CHECK(reader.join() == 0);
    static_cast<void>(m.remove("d"));
    CHECK(problems_of(m) == "");
    CHECK(m.stats().used_bytes == used);
    CHECK(m.stats().object_count == 1);
}

TEST_CASE(
    "processes that make, fill and remove a sharded_dict are killed at any time: it is whole or not there") {
    const cairn::manager m;
    static_cast<void>(m.sharded_dict<std::string, long>("d", {.shards = 8}));
    m.remove("d");
    static_cast<void>(problems_of(m));
    const std::uint64_t used = m.stats().used_bytes;
    long found = 0;
    for (int round = 0; round < static_cast<int>(scaled(60)); ++round) {
        gate begun;
        child victim([&] {
            for (long i = 0;; ++i) {
                const auto d = m.sharded_dict<std::string, long>("d", {{"first", 1}}, {.shards = 8});
                if (i == 0) begun.open();
                for (long k = 0; k < 30; ++k) d.set(own_key(i, k), k);
                m.remove("d");
            }
        });
        REQUIRE(begun.wait());
        std::this_thread::sleep_for(std::chrono::microseconds(137 * (round % 23)));
        victim.kill();
        if (const auto d = m.find<sharded>("d")) {
            ++found;
            opened_sharded<std::string, long>(*d).touch();
            CHECK(d->at("first") == 1);
            CHECK(d->size() <= 31);
            CHECK(broken_dict(*d) == "");
            CHECK(problems_of(m) == "");
            CHECK(m.remove("d"));
        }
        CHECK(problems_of(m) == "");
        REQUIRE(m.stats().used_bytes == used);
    }
    CHECK(found > 0);
}

}  // namespace sharded_dict_test
