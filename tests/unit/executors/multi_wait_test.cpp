// multi_wait_test.cpp - wait, wait_for_all, wait_for_any and as_completed: concurrent.futures and futurist.waiters.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <memory>
#include <stdexcept>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include <cairn/detail/executors/multi_wait.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace multi_wait_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// Tasks that each wait at a door of their own.
struct doors_and_tasks {
    std::vector<std::unique_ptr<door>> doors;
    cairn::thread_pool_executor ex;
    std::vector<cairn::future<int>> futures;
    explicit doors_and_tasks(int count) : ex(count) {
        for (int i = 0; i < count; ++i) {
            doors.push_back(std::make_unique<door>());
            futures.push_back(ex.submit([at = doors.back().get(), i] {
                CHECK(at->pass());
                return i;
            }));
        }
    }
    ~doors_and_tasks() {
        for (const auto& each : doors) each->open();
    }
    doors_and_tasks(const doors_and_tasks&) = delete;
    doors_and_tasks& operator=(const doors_and_tasks&) = delete;
};

}  // namespace

TEST_CASE("as_completed yields futures in the order in which they end, each once") {
    doors_and_tasks tasks(4);
    auto given = tasks.futures;
    given.push_back(tasks.futures[0]);  // twice
    std::vector<int> order;
    tasks.doors[2]->open();
    for (auto& f : cairn::as_completed(given)) {
        order.push_back(f.result());
        if (order.size() == 1) tasks.doors[3]->open();
        if (order.size() == 2) tasks.doors[0]->open();
        if (order.size() == 3) tasks.doors[1]->open();
    }
    CHECK(order == std::vector{2, 3, 0, 1});
}

TEST_CASE("as_completed does not keep what it has yielded") {
    cairn::thread_pool_executor ex{1};
    std::vector<std::weak_ptr<int>> results;
    std::vector<cairn::future<std::shared_ptr<int>>> fs;
    for (int i = 0; i < 3; ++i) fs.push_back(ex.submit([i] { return std::make_shared<int>(i); }));
    auto completed = cairn::as_completed(fs);
    fs.clear();
    for (auto& f : completed) {
        // The worker lets go of its last task when it is idle.
        CHECK(eventually([&] { return results.empty() || results.back().expired(); }));
        results.push_back(f.result());
    }
    CHECK(results.size() == 3);
}

TEST_CASE("as_completed may be moved, also over one that has not ended") {
    doors_and_tasks tasks(2);
    cairn::synchronous_executor here;
    auto completed = cairn::as_completed(std::vector{tasks.futures[0]});
    {
        // The last references to these but the pool's go with the assignment.
        door hold;
        cairn::thread_pool_executor ex{1};
        const auto first = ex.submit([&] {
            CHECK(hold.pass());
            return 0;
        });
        {
            auto old = cairn::as_completed(std::vector{ex.submit([] { return 1; })});
            completed = std::move(old);
        }
        completed = cairn::as_completed(std::vector{tasks.futures[1]});
        hold.open();
    }
    tasks.doors[1]->open();
    auto moved = std::move(completed);
    int seen = 0;
    for (auto& f : moved) seen += f.result();
    CHECK(seen == 1);
    // Of what nobody else refers to.
    auto ended = cairn::as_completed(std::vector{here.submit([] { return 5; })});
    ended = cairn::as_completed(std::vector{here.submit([] { return 6; })});
    CHECK(ended.begin()->result() == 6);
}

TEST_CASE("as_completed ends with timeout_error that counts, when the time is up") {
    doors_and_tasks tasks(3);
    tasks.doors[1]->open();
    tasks.futures[1].result();
    REQUIRE(tasks.doors[0]->wait_for_arrivals(1));
    int seen = 0;
    const auto collect = [&] {
        for (auto& f : cairn::as_completed(tasks.futures, 20ms)) seen += 1 + f.result();
    };
    CHECK_THROWS_WITH_AS(collect(), "as_completed: 2 (of 3) futures unfinished", cairn::timeout_error);
    CHECK(seen == 2);
    CHECK(tasks.futures[0].running());
}

TEST_CASE("wait returns done and not done, as mode and timeout say, each future once") {
    doors_and_tasks tasks(3);
    {
        const auto [done, not_done] = cairn::wait(tasks.futures, cairn::all_completed, 5ms);
        CHECK(done.empty());
        CHECK(not_done == tasks.futures);
    }
    tasks.doors[1]->open();
    {
        const auto [done, not_done] = cairn::wait(tasks.futures, cairn::first_completed);
        CHECK(done == std::vector{tasks.futures[1]});
        CHECK(not_done.size() == 2);
        CHECK(cairn::wait_for_any(tasks.futures).done == done);
    }
    auto twice = tasks.futures;
    twice.insert(twice.end(), tasks.futures.begin(), tasks.futures.end());
    CHECK(cairn::wait_for_all(twice, 5ms).not_done.size() == 2);
    tasks.doors[0]->open();
    tasks.doors[2]->open();
    CHECK(cairn::wait_for_all(twice).done == tasks.futures);
    CHECK(cairn::wait(std::vector<cairn::future<int>>()).done.empty());
}

TEST_CASE("futures to wait for may be listed in place, and a timeout given without a mode") {
    doors_and_tasks tasks(2);
    const cairn::future<int>& a = tasks.futures[0];
    const cairn::future<int>& b = tasks.futures[1];
    CHECK(cairn::wait(tasks.futures, 1ms).not_done.size() == 2);
    CHECK(cairn::wait({a, b}, cairn::all_completed, 1ms).not_done.size() == 2);
    tasks.doors[1]->open();
    CHECK(cairn::wait({a, b}, cairn::first_completed).done == std::vector{b});
    CHECK(cairn::wait_for_any({a, b}).done == std::vector{b});
    tasks.doors[0]->open();
    CHECK(cairn::wait({b, a}).done == std::vector{b, a});
    CHECK(cairn::wait_for_all({a, b}).done.size() == 2);
    int sum = 0;
    for (auto& f : cairn::as_completed({a, b})) sum += 10 + f.result();
    CHECK(sum == 20 + a.result() + b.result());
}

TEST_CASE("first_exception waits for one, and a cancellation is none") {
    doors_and_tasks tasks(2);
    door hold;
    cairn::thread_pool_executor other{1};
    auto failing = other.submit([&]() -> int {
        CHECK(hold.pass());
        throw std::runtime_error("x");
    });
    auto cancelled = other.submit([] { return 0; });
    cancelled.cancel();
    auto all = tasks.futures;
    all.push_back(cancelled);
    all.push_back(failing);
    CHECK(cairn::wait(all, cairn::first_exception, 10ms).done.size() == 1);
    hold.open();
    CHECK(cairn::wait(all, cairn::first_exception).done.size() == 2);
}

TEST_CASE("a wait that is over leaves nothing behind at futures that are not") {
    doors_and_tasks tasks(2);
    for (int i = 0; i < 1000; ++i) static_cast<void>(cairn::wait(tasks.futures, cairn::all_completed, 0s));
    tasks.doors[0]->open();
    tasks.futures[0].result();
    for (int i = 0; i < 1000; ++i) CHECK(cairn::wait_for_any(tasks.futures).done.size() == 1);
}

TEST_CASE("waits that end and futures that settle at once do not meet in freed memory") {
    cairn::thread_pool_executor ex{2};
    for (int round = 0; round < 500; ++round) {
        std::vector<cairn::future<int>> fs;
        for (int i = 0; i < 4; ++i) fs.push_back(ex.submit([i] { return i; }));
        std::thread other([&] { static_cast<void>(cairn::wait_for_any(fs)); });
        static_cast<void>(cairn::wait(fs, cairn::first_completed, std::chrono::microseconds(round % 20)));
        int sum = 0;
        for (auto& f : cairn::as_completed(fs)) sum += f.result();
        CHECK(sum == 6);
        other.join();
    }
}

TEST_CASE("waiting in the settling thread for several futures that only it can settle is refused") {
    door hold;
    cairn::thread_pool_executor ex{1};
    cairn::thread_pool_executor other{1};
    const auto f = ex.submit([&] { CHECK(hold.pass()); });
    const auto waiting = other.submit_after(1h, [] {});
    const auto done = other.submit([] {});
    done.result();
    std::vector<cairn::future<void>> following;
    const auto asked = f.then([&](const auto&) {
        const std::vector<cairn::future<void>> with_others{done, waiting, following[0]};
        CHECK_THROWS_AS(static_cast<void>(cairn::wait(following)), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(following)), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(following, 1h)), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_any(following)), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(with_others)), cairn::would_deadlock);
        // Another thread may end these.
        CHECK(cairn::wait_for_any(with_others).done.size() == 1);
        CHECK(cairn::wait_for_any(std::vector{waiting, following[0]}, 5ms).done.empty());
        CHECK(cairn::wait_for_all(following, 0s).not_done.size() == 2);
        int count = 0;
        CHECK_THROWS_AS(
            [&] {
                for (const auto& each : cairn::as_completed(std::vector{following[0], done, following[1]})) {
                    CHECK(each == done);
                    ++count;
                }
            }(),
            cairn::would_deadlock);
        CHECK(count == 1);
    });
    following.push_back(f.then([](const auto&) {}));
    following.push_back(f.then(other, [](const auto&) {}));
    hold.open();
    CHECK(is_done_in_time(asked));
    asked.result();
    cairn::wait_for_all(following);
    waiting.cancel();
}

}  // namespace multi_wait_test
