// queue_order_test.cpp - lifo_queue<T> and priority_queue<T>; Python's LifoQueue and PriorityQueue are the specification.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <queue>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_queue.hpp"
#include "support/scratch.hpp"

namespace queue_order_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::queue_has_item;

namespace {

struct task {
    long priority;
    long number;
    friend bool operator<(const task& a, const task& b) { return a.priority < b.priority; }
    friend bool operator==(const task&, const task&) = default;
};

struct longest_first {
    bool operator()(const std::string& a, const std::string& b) const { return a.size() > b.size(); }
};

struct throwing_less {
    static inline bool is_throwing = false;
    bool operator()(long a, long b) const {
        if (is_throwing) throw 7;
        return a < b;
    }
};

}  // namespace

static_assert(cairn::queue_of<cairn::lifo_queue<std::string>, std::string>);
static_assert(cairn::queue_of<cairn::priority_queue<long>, long>);

TEST_CASE("LifoQueue: last in, first out") {
    const cairn::manager m;
    const auto q = m.lifo_queue<std::string>("q", 200);
    for (std::size_t i = 0; i < 200; ++i) q.put(std::string(i * 3, 'l'));
    CHECK_FALSE(q.try_put("no room"));
    CHECK(q.full());
    CHECK(broken_queue(q) == "");
    CHECK(q.snapshot().front().size() == 199 * 3);
    for (std::size_t i = 200; i-- > 100;) REQUIRE(q.get().size() == i * 3);
    const std::vector<std::string> some = q.get_many(30);
    CHECK(some.size() == 30);
    CHECK(some.front().size() == 99 * 3);
    CHECK(broken_queue(q) == "");
    q.put_many({"a", "b"});
    CHECK(q.get() == "b");
    q.shutdown(true);
    CHECK(q.empty());
    CHECK(broken_queue(q) == "");
    CHECK(cairn::repr(m.lifo_queue<long>("empty")) == "lifo_queue([])");
}

TEST_CASE("PriorityQueue: the smallest first, and of equals the one that was put first") {
    const cairn::manager m;
    const auto q = m.priority_queue<task>("q");
    std::mt19937 random(1);
    std::vector<task> model;
    for (long i = 0; i < 2000; ++i) {
        const task next{static_cast<long>(random() % 20), i};
        q.put(next);
        model.push_back(next);
        if (i % 3 == 2) {
            const auto first = std::min_element(model.begin(), model.end());
            REQUIRE(q.get() == *first);
            model.erase(first);
        }
    }
    CHECK(broken_queue(q) == "");
    std::stable_sort(model.begin(), model.end());
    CHECK(q.snapshot() == model);
    CHECK(q.get_many(500) == std::vector<task>(model.begin(), model.begin() + 500));
    model.erase(model.begin(), model.begin() + 500);
    for (const task& each : model) REQUIRE(q.get() == each);
    CHECK(q.empty());
    CHECK(broken_queue(q) == "");
}

TEST_CASE("PriorityQueue of strings with another comparison; batches; what is dropped") {
    const cairn::manager m;
    const auto q = m.priority_queue<std::string, longest_first>("q", 100);
    q.put_many({"a", std::string(300, 'b'), "cc", std::string(40, 'd')});
    CHECK(q.get().size() == 300);
    CHECK(q.get().size() == 40);
    CHECK(cairn::repr(q) == "priority_queue(['cc', 'a'], maxsize=100)");
    for (std::size_t i = 0; i < 90; ++i) q.put(std::string(i * 5, 'x'));
    CHECK(broken_queue(q) == "");
    q.shutdown(true);
    CHECK(q.empty());
    CHECK(broken_queue(q) == "");
}

TEST_CASE("PriorityQueue: when the comparison throws, nothing has happened") {
    const cairn::manager m;
    const auto q = m.priority_queue<long, throwing_less>("q");
    q.put_many({3, 1, 2});
    throwing_less::is_throwing = true;
    CHECK_THROWS_AS(q.put(0), int);
    CHECK_THROWS_AS(static_cast<void>(q.get()), int);
    throwing_less::is_throwing = false;
    CHECK(broken_queue(q) == "");
    CHECK(q.get_many(9) == std::vector<long>{1, 2, 3});
}

TEST_CASE("leases of the other orders: what comes back is taken first") {
    const cairn::manager m;
    const auto stack = m.lifo_queue<std::string>("stack");
    const auto heap = m.priority_queue<std::string>("heap", {.max_deliveries = 3});
    const auto check = [](const auto& q, const std::string& first, const std::string& second) {
        q.put_many({"b", "a", std::string(100, 'c')});
        auto one = q.lease();
        CHECK(*one == first);
        CHECK(broken_queue(q) == "");
        auto two = q.lease();
        CHECK(*two == second);
        one.release();
        CHECK(broken_queue(q) == "");
        CHECK(q.snapshot().front() == first);
        two.ack();
        CHECK(q.get() == first);
        CHECK(q.size() == 1);
        CHECK(broken_queue(q) == "");
    };
    check(stack, std::string(100, 'c'), "a");
    check(heap, "a", "b");
}

TEST_CASE("the other orders wait, join and close as queues do") {
    const cairn::manager m;
    const auto check = [](const auto& q) {
        const opened_queue open(q);
        std::jthread getter([&] { CHECK(q.get() == 5); });
        open.await_sleepers(queue_has_item);
        q.put(5);
        getter.join();
        CHECK_FALSE(q.join_for(0s));
        q.task_done();
        CHECK(q.join_for(0s));
        std::jthread other([&] { CHECK_THROWS_AS(static_cast<void>(q.get()), cairn::queue_closed); });
        open.await_sleepers(queue_has_item);
        q.close();
    };
    check(m.lifo_queue<long>("lifo"));
    check(m.priority_queue<long>("priority"));
    CHECK_THROWS_AS(static_cast<void>(m.queue<long>("lifo")), cairn::type_mismatch);
}

}  // namespace queue_order_test
