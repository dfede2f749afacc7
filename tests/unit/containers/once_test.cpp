// once_test.cpp - operations with a number: once, whoever tries them how often, and with what they change.
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/crowding.hpp"
#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include "support/sound.hpp"
#include <cairn/cairn.hpp>

namespace once_test {

using namespace cairn_test;
using longs = std::vector<long>;

TEST_CASE("each operation with a number is done once") {
    const cairn::manager m;
    const auto l = m.list<std::string>("l");
    CHECK(l.push_back("a", {.once = {7, 1}}));
    CHECK_FALSE(l.push_back("a", {.once = {7, 1}}));
    CHECK(l.push_back("a", {.once = {8, 1}}));
    CHECK(l.set(0, "b", {.once = {7, 2}}));
    CHECK_FALSE(l.set(0, "c", {.once = {7, 2}}));
    CHECK(l == std::vector<std::string>{"b", "a"});
    CHECK(l.erase(0, {.once = {7, 9}}));
    CHECK_FALSE(l.erase(0, {.once = {7, 9}}));
    CHECK_FALSE(l.erase(0, {.once = {7, 8}}));
    CHECK(l == std::vector<std::string>{"a"});

    const auto d = m.dict<std::string, long>("d");
    CHECK(d.set("k", 1, {.once = {7, 1}}));
    CHECK_FALSE(d.set("k", 2, {.once = {7, 1}}));
    CHECK(d.at("k") == 1);
    CHECK(d.erase("nobody", {.once = {7, 2}}));
    CHECK(d.erase("k", {.once = {7, 3}}));
    d.set("k", 5);
    CHECK_FALSE(d.erase("k", {.once = {7, 3}}));
    CHECK(d.at("k") == 5);

    const auto s = m.set<long>("s");
    CHECK(s.add(1, {.once = {7, 1}}));
    CHECK(s.discard(1, {.once = {7, 2}}));
    CHECK_FALSE(s.add(1, {.once = {7, 1}}));
    CHECK(s.empty());

    const auto p = m.sharded_dict<long, long>("p");
    CHECK(p.set(1, 1, {.once = {7, 1}}));
    CHECK_FALSE(p.set(1, 2, {.once = {7, 1}}));
    CHECK(p.erase(1, {.once = {7, 2}}));
    CHECK(p.empty());

    const auto q = m.queue<long>("q");
    CHECK(q.put(1, {.once = {7, 1}}));
    CHECK_FALSE(q.put(1, {.once = {7, 1}}));
    CHECK(q.get() == 1);
    CHECK_FALSE(q.put(1, {.once = {7, 1}}));
    CHECK(q.empty());
    CHECK(is_sound(m));
}

TEST_CASE("what fails has not happened, and can be tried again") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    CHECK_THROWS_AS(l.set(0, 1, {.once = {1, 1}}), cairn::index_error);
    CHECK_FALSE(m.happened({1, 1}));
    l.push_back(0);
    CHECK(l.set(0, 1, {.once = {1, 1}}));
    CHECK(m.happened({1, 1}));
    const auto q = m.queue<long>("q");
    q.close();
    CHECK_THROWS_AS(q.put(1, {.once = {1, 1}}), cairn::queue_closed);
    CHECK_THROWS_AS(l.push_back(1, {.once = {1, 0}}), cairn::invalid_argument);
}

TEST_CASE("a put with a number waits for room, and not when it has happened") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 1);
    CHECK(q.put(1, {.once = {1, 1}}));
    CHECK_FALSE(q.put(1, {.once = {1, 1}}));
    const opened_queue<cairn::queue<long>> inside(q);
    std::thread putter([&] { CHECK(q.put(2, {.once = {1, 2}})); });
    inside.await_sleepers(cairn::detail::queue_has_room);
    CHECK_FALSE(m.happened({1, 2}));
    CHECK(q.get() == 1);
    putter.join();
    CHECK(m.happened({1, 2}));
    CHECK(q.get() == 2);
    q.put(3);
    q.transaction([&](auto& tx) { CHECK_THROWS_AS(tx.put(4, {.once = {1, 3}}), cairn::would_deadlock); });
}

TEST_CASE("a transaction with a number happens whole and once, over one object or two") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const auto d = m.dict<long, long>("d");
    const auto both = [&](std::uint64_t sequence) {
        return cairn::transaction({.once = {3, sequence}}, l, d, [](auto& of_l, auto& of_d) {
            of_l.push_back(1);
            of_d.set(1, static_cast<long>(of_l.size()));
        });
    };
    CHECK(both(1));
    CHECK_FALSE(both(1));
    CHECK(both(2));
    // Named the other way round it is the same.
    CHECK_FALSE(cairn::transaction({.once = {3, 2}}, d, l, [](auto&, auto&) {}));
    CHECK(d.at(1) == 2);
    const auto add = [&](std::uint64_t sequence) {
        return l.transaction({.once = {4, sequence}}, [](auto& tx) {
            tx.push_back(5);
            return tx.size();
        });
    };
    CHECK(add(1) == 3U);
    CHECK_FALSE(add(1).has_value());
    CHECK(l == longs{1, 1, 5});
    CHECK_THROWS_AS(cairn::transaction({.once = {3, 3}}, l, d,
                                       [](auto& of_l, auto&) {
                                           of_l.push_back(9);
                                           throw std::domain_error("mine");
                                       }),
                    std::domain_error);
    CHECK_FALSE(m.happened({3, 3}));
    CHECK(both(3));
    CHECK(cairn::transaction({.once = {5, 1}}, l, l, [](auto& one, auto&) { one.clear(); }));
    CHECK_FALSE(cairn::transaction({.once = {5, 1}}, l, l, [](auto& one, auto&) { one.push_back(1); }));
    CHECK(l.empty());
    const auto q = m.queue<long>("q");
    CHECK(q.transaction({.once = {5, 1}}, [](auto& tx) { tx.put(1); }));
    const auto s = m.set<long>("s");
    CHECK(s.transaction({.once = {5, 1}}, [](auto& tx) { tx.add(1); }));
    CHECK(d.transaction({.once = {5, 1}}, [](auto& tx) { tx.clear(); }));
    CHECK_FALSE(d.transaction({.once = {5, 1}}, [](auto& tx) { tx.set(1, 1); }));
}

TEST_CASE("inside a transaction a number goes with it") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const auto change = [&](bool is_thrown) {
        l.transaction([&](auto& tx) {
            CHECK(tx.push_back(1, {.once = {1, 1}}));
            CHECK_FALSE(tx.push_back(1, {.once = {1, 1}}));
            if (is_thrown) throw std::domain_error("mine");
        });
    };
    CHECK_THROWS_AS(change(true), std::domain_error);
    CHECK_FALSE(m.happened({1, 1}));
    CHECK(l.empty());
    change(false);
    CHECK(m.happened({1, 1}));
    CHECK(l == longs{1});
    CHECK(is_sound(m));
}

TEST_CASE("a manager knows what has happened on any object, until a client is forgotten") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const auto l = m.list<long>("l");
    const auto d = m.dict<long, long>("d");
    const auto p = m.sharded_dict<long, long>("p");
    CHECK_FALSE(m.happened({1, 1}));
    l.push_back(1, {.once = {1, 5}});
    d.set(1, 1, {.once = {2, 3}});
    p.set(1, 1, {.once = {3, 1}});
    const auto reading = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    for (const auto* each : {&m, &reading}) {
        CHECK(each->happened({1, 5}));
        CHECK(each->happened({1, 4}));
        CHECK_FALSE(each->happened({1, 6}));
        CHECK(each->happened({2, 3}));
        CHECK_FALSE(each->happened({2, 4}));
        CHECK(each->happened({3, 1}));
        CHECK_FALSE(each->happened({4, 1}));
        CHECK_FALSE(each->happened({1, 0}));
    }
    m.forget(1);
    m.forget(3);
    m.forget(99);
    CHECK_FALSE(m.happened({1, 5}));
    CHECK_FALSE(m.happened({3, 1}));
    CHECK(m.happened({2, 3}));
    CHECK(l.push_back(1, {.once = {1, 5}}));
    REQUIRE(m.remove("d"));
    CHECK_FALSE(m.happened({2, 3}));
    CHECK_THROWS_AS(reading.forget(1), cairn::permission_denied);
    l.transaction([&](auto&) {
        CHECK_THROWS_AS(static_cast<void>(m.happened({1, 1})), cairn::would_deadlock);
        CHECK_THROWS_AS(m.forget(1), cairn::would_deadlock);
    });
    CHECK(is_sound(m));
}

TEST_CASE("what a killed process has done is not done again, and what it has not done is") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    CHECK(in_child([&] {
              l.push_back(1, {.once = {1, 1}});
              l.transaction({.once = {1, 2}}, [](auto& tx) {
                  tx.push_back(2);
                  ::_exit(0);
              });
          }) == 0);
    CHECK_FALSE(l.push_back(1, {.once = {1, 1}}));
    CHECK_FALSE(m.happened({1, 2}));
    CHECK(l.push_back(2, {.once = {1, 2}}));
    CHECK(l == longs{1, 2});
}

TEST_CASE("many clients cost little memory each, and a full segment says so before anything is done") {
    const cairn::manager m(cairn::segment_options{.max_size = 4 << 20});
    const auto l = m.list<long>("l");
    const std::uint64_t before = m.stats().used_bytes;
    for (std::uint64_t client = 1; client <= 10'000; ++client) l.push_back(1, {.once = {client, 1}});
    CHECK(m.stats().used_bytes - before < 10'000 * 100);
    std::uint64_t client = 20'000;
    CHECK_THROWS_AS(
        [&] {
            for (;; ++client) l.push_back(1, {.once = {client, 1}});
        }(),
        cairn::segment_full);
    CHECK_FALSE(m.happened({client, 1}));
    CHECK(l.size() == 10'000 + client - 20'000);
    for (std::uint64_t each = 1; each <= 10'000; ++each) m.forget(each);
    CHECK(l.set(0, 2, {.once = {client, 1}}));
    CHECK(is_sound(m));
}

}  // namespace once_test
