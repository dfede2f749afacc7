// fair_queue_test.cpp - the threads that submit are served in turn.
// SPDX-License-Identifier: BSL-1.0
#include "executors/fair_queue.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include <cairn/thread_pool_executor.hpp>

namespace fair_queue_test {

using namespace cairn_test;
namespace detail = cairn::detail;

namespace {

class idle_task final : public detail::local_state {
public:
    explicit idle_task(std::uint32_t submitter) { detail::task_access::submitter(*this) = submitter; }

private:
    void invoke() override {}
    void drop_call() noexcept override {}
};

std::uint32_t submitter_of(detail::local_state& task) {
    return detail::task_access::submitter(task);
}

// A queue and what should be in it: for each submitter with waiting tasks these, and how many others were taken since the first waits.
struct model {
    struct waiting {
        std::deque<std::unique_ptr<idle_task>> tasks;
        unsigned passed_over = 0;
    };
    detail::fair_queue queue;
    std::map<std::uint32_t, waiting> all;

    void append(std::uint32_t submitter) {
        waiting& of = all[submitter];
        of.tasks.push_back(std::make_unique<idle_task>(submitter));
        queue.append(*of.tasks.back());
    }
    std::uint32_t take() {
        detail::local_state& task = queue.take_next();
        const std::uint32_t submitter = submitter_of(task);
        waiting& of = all.at(submitter);
        REQUIRE(of.tasks.front().get() == &task);  // each submitter's in order
        for (auto& [other, others] : all) ++others.passed_over;
        of.passed_over = 0;
        of.tasks.pop_front();
        if (of.tasks.empty()) all.erase(submitter);
        return submitter;
    }
    void remove(std::uint32_t submitter, std::size_t index) {
        waiting& of = all.at(submitter);
        queue.remove(*of.tasks[index]);
        of.tasks.erase(of.tasks.begin() + static_cast<std::ptrdiff_t>(index));
        if (of.tasks.empty()) all.erase(submitter);
    }
    [[nodiscard]] unsigned most_passed_over() const {
        unsigned most = 0;
        for (const auto& [submitter, each] : all) most = std::max(most, each.passed_over);
        return most;
    }
};

// One thread that waits at a door.
struct busy_pool {
    door wait_here;
    cairn::thread_pool_executor ex{1};
    cairn::future<void> running = ex.submit([this] { CHECK(wait_here.pass()); });
    busy_pool() { REQUIRE(wait_here.wait_for_arrivals(1)); }
    ~busy_pool() { wait_here.open(); }
    busy_pool(const busy_pool&) = delete;
    busy_pool& operator=(const busy_pool&) = delete;
};

}  // namespace

TEST_CASE("submitters that have tasks waiting are served in turn, also where their numbers collide") {
    model m;
    const std::vector<std::uint32_t> submitters{1, 2, 65, 129, 70, 6, 64, 128};
    for (const std::uint32_t each : submitters)
        for (int i = 0; i < 10; ++i) m.append(each);
    for (int round = 0; round < 10; ++round) {
        std::set<std::uint32_t> served;
        for (std::size_t i = 0; i < submitters.size(); ++i) served.insert(m.take());
        CHECK(served.size() == submitters.size());
    }
    CHECK(m.queue.is_empty());
}

TEST_CASE("a queue under random changes keeps each submitter's order, and passes over nobody for long") {
    for (unsigned seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto below = [&random](std::size_t end) { return random() % end; };
        // Up to as many as there are lanes, and more.
        const std::uint32_t submitters = seed <= 8 ? 8 * seed : 30 * seed;
        const bool is_shared = submitters > detail::fair_queue::lane_count;
        model m;
        for (int i = 0; i < 5000; ++i) {
            // Mostly growing, then mostly shrinking.
            const std::size_t kind = below(8);
            if (kind < ((i / 500) % 2 == 0 ? 5U : 3U)) {
                m.append(static_cast<std::uint32_t>(1 + 16 * below(submitters)));
            } else if (!m.all.empty() && kind == 7) {
                const auto at = std::next(m.all.begin(), static_cast<std::ptrdiff_t>(below(m.all.size())));
                m.remove(at->first, below(at->second.tasks.size()));
            } else if (!m.all.empty()) {
                m.take();
            }
            REQUIRE(m.queue.is_empty() == m.all.empty());
            if (!is_shared) REQUIRE(m.most_passed_over() < detail::fair_queue::lane_count);
        }
        while (!m.all.empty()) m.take();
        CHECK(m.queue.is_empty());
    }
}

TEST_CASE("one task of a thread is served beside the many of another") {
    constexpr int many = 10'000;
    std::atomic<int> started{0};
    int before = many;
    busy_pool pool;  // after what its tasks refer to: its end waits for them
    cairn::thread_pool_executor elsewhere{1};
    const auto settled = elsewhere.submit([] {});
    const auto count = [&] { ++started; };
    const auto note = [&] { before = started.load(); };
    std::function<cairn::future<void>(const std::function<void()>&)> submit;
    SUBCASE("by submit") {
        submit = [&](const std::function<void()>& fn) { return pool.ex.submit(fn); };
    }
    SUBCASE("delayed") {
        submit = [&](const std::function<void()>& fn) {
            return pool.ex.submit_after(std::chrono::microseconds(1), fn);
        };
    }
    SUBCASE("by then: the thread that calls it counts") {
        submit = [&](const std::function<void()>& fn) {
            return settled.then(pool.ex, [fn](const auto&) { fn(); });
        };
    }
    for (int i = 0; i < many; ++i) static_cast<void>(submit(count));
    cairn::future<void> alone;
    std::thread([&] { alone = submit(note); }).join();
    REQUIRE(eventually([&] { return pool.ex.queue_size() == many + 1; }));
    pool.wait_here.open();
    alone.result();
    CHECK(before <= 1);
}

TEST_CASE("priorities go before turns, and each submitter's tasks stay in order") {
    std::string order;
    busy_pool pool;
    const auto add = [&](int priority, char name) {
        static_cast<void>(pool.ex.submit({.priority = priority}, [&order, name] { order += name; }));
    };
    for (const char name : {'a', 'b', 'c'}) add(0, name);
    std::thread other([&] {
        add(-1, 'z');
        for (const char name : {'x', 'y'}) add(0, name);
        add(1, 'A');
    });
    other.join();
    pool.wait_here.open();
    pool.ex.shutdown();
    REQUIRE(order.size() == 7);
    CHECK(order.front() == 'A');
    CHECK(order.back() == 'z');
    const auto at = [&](char name) { return order.find(name); };
    CHECK(at('a') < at('b'));
    CHECK(at('b') < at('c'));
    CHECK(at('x') < at('b'));
    CHECK(at('x') < at('y'));
    CHECK(at('y') < at('c'));
}

}  // namespace fair_queue_test
