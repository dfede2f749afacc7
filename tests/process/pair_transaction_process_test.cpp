// pair_transaction_process_test.cpp - transactions over two objects of several processes, some of which are killed or stopped inside.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pair_transaction_process_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr long tokens = 60;

/// Three objects that have all tokens together, each once.
struct bank {
    cairn::list<long> in_list;
    cairn::dict<long, std::string> in_dict;
    cairn::queue<long> in_queue;

    explicit bank(const cairn::manager& m)
        : in_list(m.list<long>("list")), in_dict(m.dict<long, std::string>("dict")),
          in_queue(m.queue<long>("queue")) {}

    void move_one(std::minstd_rand& random) const {
        const auto text = [](long token) { return std::string(static_cast<std::size_t>(token) * 40, 't'); };
        const auto list_and_dict = [&](auto& l, auto& d) {
            if (l.empty()) return;
            const long token = l.pop();
            d.set(token, text(token));
        };
        const auto dict_and_queue = [&](auto& d, auto& q) {
            if (d.empty()) return;
            q.put(d.popitem().first);
        };
        switch (random() % 4) {
            case 0: return cairn::transaction(in_list, in_dict, list_and_dict);
            case 1: return cairn::transaction(in_dict, in_queue, dict_and_queue);
            case 2:
                return cairn::transaction(in_queue, in_list, [](auto& q, auto& l) {
                    if (const auto token = q.try_get()) l.push_back(*token);
                });
            default:
                try {
                    cairn::transaction(in_dict, in_list, [&](auto& d, auto& l) {
                        list_and_dict(l, d);
                        l.clear();
                        throw 1;
                    });
                } catch (int) {
                    return;
                }
        }
    }

    /// Each token that is there, as often as it is.
    [[nodiscard]] std::vector<long> all() const {
        std::vector<long> found = in_list.snapshot();
        for (const auto& [token, value] : in_dict.snapshot()) {
            found.push_back(token);
            CHECK(value.size() == static_cast<std::size_t>(token) * 40);
        }
        for (const long token : in_queue.snapshot()) found.push_back(token);
        std::sort(found.begin(), found.end());
        return found;
    }
};

}  // namespace

TEST_CASE("processes that are killed at any moment of transactions over two lose and double nothing") {
    const scratch_name name;
    const auto m = cairn::manager::create(name);
    const bank accounts(m);
    std::vector<long> expected;
    for (long token = 0; token < tokens; ++token) expected.push_back(token);
    accounts.in_list.extend(expected);
    std::random_device seed;
    std::minstd_rand random(seed());
    const auto start = [&] {
        return std::make_unique<child>([&accounts, begin = seed()] {
            std::minstd_rand of_child(begin);
            for (;;) accounts.move_one(of_child);
        });
    };
    std::deque<std::unique_ptr<child>> crew;
    for (int i = 0; i < 4; ++i) crew.push_back(start());
    for (int kills = 0; kills < 200; ++kills) {
        std::this_thread::sleep_for(std::chrono::microseconds(500 + random() % 3000));
        crew.front()->kill();
        CHECK(crew.front()->join() == -SIGKILL);
        crew.pop_front();
        crew.push_back(start());
        // It goes on: nobody waits for the dead.
        if (kills % 20 == 0) accounts.move_one(random);
    }
    for (auto& each : crew) {
        each->kill();
        each->join();
    }
    CHECK(accounts.all() == expected);
    for (int i = 0; i < 100; ++i) accounts.move_one(random);
    CHECK(accounts.all() == expected);
    CHECK(cairn::inspection(m.name()).verify().problems.empty());
}

TEST_CASE("a transaction over two whose holder is stopped keeps the limit of others, and of its own begin") {
    const cairn::manager m(cairn::segment_options{.lock_timeout = 200ms});
    const auto q = m.queue<long>("q");
    const auto l = m.list<long>("l", {1});
    const auto free = m.list<long>("free", {1});
    const gate inside;
    child stopped([&] {
        cairn::transaction(q, l, [&](auto& of_q, auto& of_l) {
            of_q.put(7);
            of_l.push_back(7);
            inside.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(inside.wait());
    REQUIRE(::kill(stopped.pid(), SIGSTOP) == 0);
    CHECK_FALSE(q.get_for(20ms).has_value());
    // The first of the two is had, the second is not: it is as it was then.
    const auto change = [](auto& one, auto& two) {
        one.push_back(2);
        two.push_back(2);
    };
    CHECK_THROWS_AS(cairn::transaction(free, l, change), cairn::timeout_error);
    CHECK_THROWS_AS(cairn::transaction(l, free, change), cairn::timeout_error);
    free.push_back(3);
    CHECK(free == std::vector<long>{1, 3});
    stopped.kill();
    CHECK(stopped.join() == -SIGKILL);
    CHECK_FALSE(q.try_get().has_value());
    cairn::transaction(free, l, change);
    CHECK(l == std::vector<long>{1, 2});
}

TEST_CASE("who comes to the first object of a killed transaction goes on while the second one is in use") {
    const cairn::manager m(cairn::segment_options{.lock_timeout = 20s});
    const auto first = m.list<long>("first", {1});
    const auto second = m.list<long>("second", {1});
    const auto third = m.list<long>("third", {1});
    const gate inside;
    child victim([&] {
        cairn::transaction(first, second, [&](auto& one, auto& two) {
            one.push_back(2);
            two.push_back(2);
            inside.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(inside.wait());
    victim.kill();
    CHECK(victim.join() == -SIGKILL);
    // Has settled its part, and stays in it.
    const gate in_second;
    child other([&] {
        second.transaction([&](auto& two) {
            two.push_back(3);
            in_second.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(in_second.wait());
    cairn::transaction(third, first, [](auto& of_third, auto& of_first) {
        of_third.push_back(static_cast<long>(of_first.size()));
    });
    CHECK(first == std::vector<long>{1});
    CHECK(third == std::vector<long>{1, 1});
    other.kill();
    CHECK(other.join() == -SIGKILL);
    CHECK(second == std::vector<long>{1});
}

}  // namespace pair_transaction_process_test
