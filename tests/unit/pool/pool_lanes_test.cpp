// pool_lanes_test.cpp - the threads that submit to a pool are served in turn.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdint>
#include <deque>
#include <iterator>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/pools.hpp"
#include <cairn/cairn.hpp>

namespace pool_lanes_test {

using namespace cairn_test;

namespace {

constexpr std::uint32_t no_worker = 0;

// A pool with one worker, and what should wait in it: for each submitter its tasks, and how many others were taken since the first waits.
class model {
public:
    model() { pool_.claim(no_worker); }

    [[nodiscard]] bool is_empty() const noexcept { return all_.empty(); }
    [[nodiscard]] std::string problem() const { return pool_.problem(); }
    [[nodiscard]] std::size_t submitters() const noexcept { return all_.size(); }

    void push(std::uint64_t thread) {
        pool_.push({.token = next_token_, .retries = 1'000'000, .thread = thread});
        all_[thread].tokens.push_back(next_token_++);
    }
    // Whose turn it was.
    std::uint64_t run() {
        const std::uint64_t thread = take().thread;
        pool_.run_items(no_worker, 8);
        pool_.finish_and_leave(no_worker);
        pool_.claim(no_worker);
        pool_.collect_many(1);
        pool_.free_collected();
        return thread;
    }
    // Its worker dies in it, and it waits again, as the first of its submitter.
    void run_in_vain() {
        const taken one = take();
        pool_.begin_item(no_worker);
        pool_.kill(no_worker, -9);
        pool_.claim(no_worker);
        all_[one.thread].tokens.push_front(one.token);
    }
    void withdraw(std::size_t which, std::size_t index) {
        const auto at = std::next(all_.begin(), static_cast<std::ptrdiff_t>(which % all_.size()));
        std::deque<std::uint64_t>& tokens = at->second.tokens;
        const auto it = tokens.begin() + static_cast<std::ptrdiff_t>(index % tokens.size());
        REQUIRE(pool_.withdraw(*it));
        tokens.erase(it);
        if (tokens.empty()) all_.erase(at);
    }
    [[nodiscard]] unsigned most_passed_over() const {
        unsigned most = 0;
        for (const auto& [thread, each] : all_) most = std::max(most, each.passed_over);
        return most;
    }

private:
    struct waiting {
        std::deque<std::uint64_t> tokens;
        unsigned passed_over = 0;
    };

    struct taken {
        std::uint64_t thread;
        std::uint64_t token;
    };

    taken take() {
        REQUIRE(pool_.take(no_worker) == stored::next_step::run);
        const std::uint64_t token = pool_.task_of(no_worker).token;
        const auto at = std::find_if(all_.begin(), all_.end(), [&](const auto& each) {
            return each.second.tokens.front() == token;  // each submitter's in order
        });
        REQUIRE(at != all_.end());
        const std::uint64_t thread = at->first;
        for (auto& [other, others] : all_) ++others.passed_over;
        at->second.passed_over = 0;
        at->second.tokens.pop_front();
        if (at->second.tokens.empty()) all_.erase(at);
        return {thread, token};
    }

    static cairn::manager made() {
        cairn::manager m;
        bare_pool::create(m, 1);
        return m;
    }
    bare_pool pool_{made()};
    std::map<std::uint64_t, waiting> all_;
    std::uint64_t next_token_ = 1;
};

}  // namespace

TEST_CASE("submitters of a pool are served in turn, also where their numbers collide") {
    model m;
    const std::vector<std::uint64_t> submitters{1, 2, 17, 33, 3, 18, 16, 32, (std::uint64_t{1} << 32) | 1};
    for (const std::uint64_t each : submitters)
        for (int i = 0; i < 10; ++i) m.push(each);
    for (int round = 0; round < 10; ++round) {
        std::set<std::uint64_t> served;
        for (std::size_t i = 0; i < submitters.size(); ++i) served.insert(m.run());
        CHECK(served.size() == submitters.size());
    }
    CHECK(m.is_empty());
    CHECK(m.problem() == "");
}

TEST_CASE("a pool under random changes keeps each submitter's order, and passes over nobody for long") {
    for (unsigned seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto below = [&random](std::size_t end) { return random() % end; };
        // Up to as many as there are lanes, and more. Then some share one, and after a death the order in it may be another.
        const std::uint32_t submitters = seed <= 8 ? 2 * seed : 10 * seed;
        const bool is_shared = submitters > stored::lane_count;
        model m;
        for (int i = 0; i < 2000; ++i) {
            // Mostly growing, then mostly shrinking.
            const std::size_t kind = below(9);
            if (kind < ((i / 250) % 2 == 0 ? 5U : 3U)) m.push(1 + 16 * below(submitters));
            else if (m.is_empty()) continue;
            else if (kind == 8) m.withdraw(random(), random());
            else if (kind == 7 && !is_shared) m.run_in_vain();
            else m.run();
            if (!is_shared) REQUIRE(m.most_passed_over() < 2 * stored::lane_count);
            if (i % 100 == 0) REQUIRE(m.problem() == "");
        }
        while (!m.is_empty()) m.run();
        CHECK(m.problem() == "");
    }
}

TEST_CASE("a task that is tried again is the next, and stays before those of its thread that came after it") {
    cairn::manager m;
    bare_pool::create(m, 2);
    bare_pool pool(m);
    REQUIRE(pool.claim(0));
    REQUIRE(pool.claim(1));
    pool.push({.token = 1, .retries = 5, .thread = 1});
    REQUIRE(pool.take(0) == stored::next_step::run);
    pool.begin_item(0);
    // Another one gets the lane that is free by now.
    pool.push({.token = 100, .thread = 17});
    pool.push({.token = 2, .thread = 1});
    pool.push({.token = 50, .thread = 3});
    REQUIRE(pool.kill(0, -9));
    pool.push({.token = 3, .thread = 1});
    pool.push({.token = 101, .thread = 17});
    std::vector<std::uint64_t> order;
    while (pool.take(1) == stored::next_step::run) {
        order.push_back(pool.task_of(1).token);
        pool.run_items(1, 8);
    }
    REQUIRE(order.size() == 6);
    CHECK(order.front() == 1);
    const auto at = [&](std::uint64_t token) { return std::find(order.begin(), order.end(), token); };
    CHECK(at(2) < at(3));
    CHECK(at(100) < at(101));
    CHECK(at(50) - order.begin() <= 3);
    CHECK(pool.problem() == "");
}

TEST_CASE("a list of finished tasks that leads in a circle is damage, and no endless one") {
    cairn::manager m;
    bare_pool::create(m, 1);
    bare_pool pool(m);
    REQUIRE(pool.claim(0));
    for (std::uint64_t i = 0; i < 3; ++i) pool.push({.token = i});
    for (int i = 0; i < 3; ++i) {
        pool.take(0);
        pool.run_items(0, 8);
    }
    pool.take(0);
    const std::uint64_t first = pool.node().lists.first_finished;
    stored::store_word(stored::task_at(pool.in(), first).next, first);
    CHECK_THROWS_AS(pool.collect_many(16), cairn::corrupt_segment);
    pool.node().waiting_count = 7;
    CHECK_THROWS_AS(pool.take(0), cairn::corrupt_segment);
}

}  // namespace pool_lanes_test
