// task_test.cpp - options of a task, and what it can ask about itself.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/task.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace task_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

bool always(const std::exception& /*e*/) {
    return true;
}

}  // namespace

TEST_CASE("a task's timeout asks it to stop and settles its future, and the thread stays busy") {
    door hold;
    cairn::thread_pool_executor ex{1};
    std::atomic<bool> was_asked{false};
    const auto f = ex.submit({.timeout = 10ms, .name = "slow"}, [&] {
        was_asked = eventually([] { return cairn::this_task::stop_requested(); });
        CHECK(hold.pass());
        return 1;
    });
    CHECK_THROWS_WITH_AS(f.result(), "result of task 'slow': it ran for longer than its timeout of 10 ms",
                         cairn::timeout_error);
    REQUIRE(hold.wait_for_arrivals(1));
    CHECK(was_asked);
    CHECK(ex.get_num_idle_workers() == 0);
    CHECK(ex.statistics().executed == 1);
    CHECK(ex.statistics().failures == 1);
    hold.open();
    CHECK(ex.submit([] { return 2; }).result() == 2);
    CHECK(ex.statistics().executed == 2);
}

TEST_CASE("a task that is ended by its timeout counts as run until then") {
    door hold;
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit({.timeout = 20ms, .grace = 20ms}, [&] { CHECK(hold.pass()); });
    CHECK_THROWS_AS(f.result(), cairn::timeout_error);
    const auto s = ex.statistics();
    CHECK(s.run_time > 0s);
    CHECK(s.runtime >= s.run_time);
    hold.open();
    ex.shutdown();
    CHECK(ex.statistics().executed == 1);
}

TEST_CASE("what a task throws or returns after its timeout changes nothing") {
    cairn::thread_pool_executor ex{1};
    const auto check = [&](cairn::task_options options, const auto& fn, const auto& tell) {
        door hold;
        options.timeout = 5ms;
        options.name = "late";
        const auto f = ex.submit(std::move(options), [&] {
            CHECK(hold.pass());
            return fn();
        });
        const std::string words = "result of task 'late': it ran for longer than its timeout of 5 ms";
        CHECK_THROWS_WITH_AS(f.result(), words.c_str(), cairn::timeout_error);
        const std::exception_ptr first = f.exception();
        hold.open();
        ex.submit([] {}).result();  // behind it
        tell();
        CHECK_THROWS_WITH_AS(f.result(), words.c_str(), cairn::timeout_error);
        CHECK(f.exception() == first);
    };
    const auto nothing = [] {};
    const auto throws = []() -> int { throw std::runtime_error("too late"); };
    check({}, throws, nothing);
    std::atomic<int> runs{0};
    const auto counted = [&]() -> int {
        ++runs;
        throw std::runtime_error("too late");
    };
    check({.retries = 3, .retry_if = always}, counted, [&] { CHECK(runs == 1); });

    std::weak_ptr<int> value;
    check(
        {},
        [&] {
            auto made = std::make_shared<int>(1);
            value = made;
            return made;
        },
        nothing);
    // With the last reference to the task, which may be the worker's.
    CHECK(eventually([&] { return value.expired(); }));
    CHECK(ex.statistics().failures == 3);
    CHECK(ex.statistics().retried == 0);
}

TEST_CASE("a timeout and an exception at the same time: one of them is the result, for all who read it") {
    cairn::thread_pool_executor ex{2};
    for (int round = 0; round < 300; ++round) {
        const bool retried = round % 2 == 1;
        const auto f = ex.submit(
            {.timeout = 1ms, .retries = retried ? 1 : 0, .retry_if = retried ? always : nullptr}, [round] {
                const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(900 + round);
                while (std::chrono::steady_clock::now() < end) {}
                throw std::runtime_error("at the limit");
            });
        const std::exception_ptr first = f.exception();
        REQUIRE(first != nullptr);
        std::this_thread::sleep_for(500us);
        REQUIRE(f.exception() == first);
    }
}

TEST_CASE("what a task returns in its grace counts") {
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit({.timeout = 5ms, .grace = 1h}, [] {
        CHECK(eventually([] { return cairn::this_task::stop_requested(); }));
        return 3;
    });
    CHECK(f.result() == 3);
    door hold;
    const auto g = ex.submit({.timeout = 5ms, .grace = 5ms}, [&] {
        CHECK(eventually([] { return cairn::this_task::stop_requested(); }));
        CHECK(hold.pass());
    });
    CHECK_THROWS_AS(g.result(), cairn::timeout_error);
    hold.open();
    ex.shutdown();  // before the door goes
}

TEST_CASE("a timeout of the executor is each task's, unless it has its own") {
    cairn::thread_pool_executor ex{{.max_workers = 1, .timeout = 5ms}};
    const auto wait = [] { return eventually([] { return cairn::this_task::stop_requested(); }); };
    CHECK_THROWS_AS(ex.submit(wait).result(), cairn::timeout_error);
    CHECK(ex.submit({.timeout = 1h}, [] {
                std::this_thread::sleep_for(30ms);
                return 1;
            }).result() == 1);
}

TEST_CASE("a task is tried again after exceptions that retry_if accepts, as often as retries says") {
    cairn::thread_pool_executor ex{1};
    std::vector<int> attempts;
    std::set<std::uint64_t> ids;
    const auto fails_twice = [&] {
        attempts.push_back(cairn::this_task::attempt());
        ids.insert(cairn::this_task::id());
        if (attempts.size() < 3) throw std::runtime_error("not yet");
        return 7;
    };
    CHECK(ex.submit({.retries = 2, .retry_if = always}, fails_twice).result() == 7);
    CHECK(attempts == std::vector{1, 2, 3});
    CHECK(ids.size() == 1);
    CHECK(ex.statistics().retried == 2);
    CHECK(ex.statistics().executed == 1);
    CHECK(ex.statistics().failures == 0);

    attempts.clear();
    CHECK_THROWS_AS(ex.submit({.retries = 1, .retry_if = always}, fails_twice).result(), std::runtime_error);
    CHECK(attempts.size() == 2);
    attempts.clear();
    const auto only_logic_errors = [](const std::exception& e) {
        return dynamic_cast<const std::logic_error*>(&e) != nullptr;
    };
    CHECK_THROWS_AS(ex.submit({.retries = 5, .retry_if = only_logic_errors}, fails_twice).result(),
                    std::runtime_error);
    CHECK(attempts.size() == 1);
    attempts.clear();
    CHECK_THROWS_AS(ex.submit({.retries = 5}, fails_twice).result(), std::runtime_error);
    CHECK(attempts.size() == 1);
}

TEST_CASE("back-off waits longer each time, up to its longest, and a task can be cancelled in it") {
    cairn::thread_pool_executor ex{1};
    std::vector<std::chrono::steady_clock::time_point> starts;
    const auto failing = [&] {
        starts.push_back(std::chrono::steady_clock::now());
        throw std::runtime_error("x");
    };
    CHECK_THROWS_AS(ex.submit({.retries = 3, .retry_if = always, .backoff = {10ms, 20ms}}, failing).result(),
                    std::runtime_error);
    REQUIRE(starts.size() == 4);
    CHECK(starts[1] - starts[0] >= 10ms);
    CHECK(starts[2] - starts[1] >= 20ms);
    CHECK(starts[3] - starts[2] >= 20ms);

    starts.clear();
    const auto f = ex.submit({.retries = 3, .retry_if = always, .backoff = {1h, 1h}}, failing);
    CHECK(eventually(
        [&] { return f.stage() == cairn::future_stage::pending && ex.statistics().retried == 4; }));
    CHECK(f.cancel());
    CHECK(starts.size() == 1);
}

TEST_CASE("options that make no sense are refused, and nothing is submitted") {
    cairn::thread_pool_executor ex{1};
    CHECK_THROWS_AS(ex.submit({.retries = -1}, [] {}), cairn::invalid_argument);
    CHECK_THROWS_AS(
        ex.submit(
            {.retries = 1, .retry_if = always}, [](std::unique_ptr<int>) {}, std::make_unique<int>(1)),
        cairn::invalid_argument);
    CHECK_THROWS_AS(ex.submit_after(-1s, [] {}), cairn::invalid_argument);
    CHECK_THROWS_AS(ex.submit_after(std::chrono::duration<double>(std::nan("")), [] {}),
                    cairn::invalid_argument);
    CHECK(ex.num_workers() == 0);
    auto p = ex.submit(
        {.name = "moves"}, [](std::unique_ptr<int> given) { return given; }, std::make_unique<int>(4));
    CHECK(*std::move(p).result() == 4);
}

TEST_CASE("a task that has not started in time expires, also while all threads are busy") {
    door hold;
    cairn::thread_pool_executor ex{1};
    const auto running = ex.submit({.expires = 1h}, [&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    bool has_run = false;
    const auto f = ex.submit({.expires = 10ms, .name = "late"}, [&] { has_run = true; });
    CHECK_THROWS_WITH_AS(f.result(), "result of task 'late': it had not started when it expired, after 10 ms",
                         cairn::timeout_error);
    CHECK(ex.queue_size() == 0);
    hold.open();
    running.result();
    ex.shutdown();
    CHECK_FALSE(has_run);
}

TEST_CASE("what is slow at the end of an expired task holds up no other timer") {
    door hold;
    door slow;
    cairn::thread_pool_executor busy{1};
    const auto running = busy.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    std::vector<cairn::future<void>> expiring;
    for (int i = 1; i <= 5; ++i) {
        std::shared_ptr<int> captured(new int, [&slow](const int* number) {
            CHECK(slow.pass());
            delete number;
        });
        expiring.push_back(busy.submit({.expires = 1ms}, [captured = std::move(captured)] {}));
        CHECK(slow.wait_for_arrivals(i));
    }
    cairn::thread_pool_executor ex{1};
    CHECK(is_done_in_time(ex.submit_after(1ms, [] {})));
    CHECK_FALSE(expiring[0].done());
    slow.open();
    for (const auto& each : expiring) CHECK_THROWS_AS(each.result(), cairn::timeout_error);
    hold.open();
}

TEST_CASE("tasks of greater priority start first, equal ones in order") {
    door hold;
    cairn::thread_pool_executor ex{1};
    std::string order;
    const auto first = ex.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    std::vector<cairn::future<void>> fs;
    const auto add = [&](int priority, char name) {
        fs.push_back(ex.submit({.priority = priority}, [&order, name] { order += name; }));
    };
    add(0, 'd');
    add(-1, 'g');
    add(5, 'b');
    add(0, 'e');
    fs.push_back(ex.submit([&] { order += 'f'; }));
    add(7, 'a');
    add(5, 'c');
    const auto dropped = ex.submit({.priority = 6}, [&] { order += 'x'; });
    CHECK(ex.queue_size() == 8);
    CHECK(dropped.cancel());
    CHECK(ex.queue_size() == 7);
    hold.open();
    cairn::wait_for_all(fs);
    CHECK(order == "abcdefg");
}

TEST_CASE("submit_after starts a task when it is due, and it can be cancelled until then") {
    cairn::thread_pool_executor ex{1};
    const auto never = ex.submit_after(1h, [] {});
    CHECK(never.stage() == cairn::future_stage::pending);
    CHECK(ex.queue_size() == 0);
    const auto begin = std::chrono::steady_clock::now();
    const auto f = ex.submit_after(20ms, [] { return std::chrono::steady_clock::now(); });
    CHECK(f.result() - begin >= 20ms);
    CHECK(never.cancel());
    CHECK(ex.statistics().cancelled == 1);
    CHECK(ex.submit_after(0s, [] { return 1; }).result() == 1);
    CHECK(ex.submit_after(
                1ms, {.name = "named"}, [](int i) { return i; }, 6)
              .result() == 6);
}

TEST_CASE("delayed tasks start in the order in which they are due") {
    cairn::thread_pool_executor ex{1};
    // Due between these: the submitter may be held up, and then another order is right.
    struct bounds {
        std::chrono::steady_clock::time_point earliest;
        std::chrono::steady_clock::time_point latest;
    };
    constexpr int count = 8;
    std::array<bounds, count> due;
    std::vector<std::size_t> order;
    std::vector<cairn::future<void>> fs;
    const auto add = [&](std::chrono::milliseconds delay) {
        const std::size_t at = fs.size();
        due[at].earliest = std::chrono::steady_clock::now() + delay;
        fs.push_back(ex.submit_after(delay, [&order, at] { order.push_back(at); }));
        due[at].latest = std::chrono::steady_clock::now() + delay;
    };
    for (const int at : {7, 3, 1, 5, 8, 2, 6, 4}) add(20ms * at);
    const auto last = ex.submit_after(1h, [] {});
    const bool is_first_cancelled = fs[2].cancel();  // usually
    CHECK(last.cancel());
    cairn::wait_for_all(fs);
    CHECK(order.size() == (is_first_cancelled ? count - 1 : count));
    for (std::size_t i = 1; i < order.size(); ++i) CHECK(due[order[i - 1]].earliest <= due[order[i]].latest);
}

TEST_CASE("shutdown waits for delayed tasks, or cancels them") {
    std::atomic<int> runs{0};
    {
        cairn::thread_pool_executor ex{1};
        static_cast<void>(ex.submit_after(20ms, [&] { ++runs; }));
    }
    CHECK(runs == 1);
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit_after(1h, [&] { ++runs; });
    ex.shutdown({.cancel_futures = true});
    CHECK(f.cancelled());
    CHECK(runs == 1);
}

TEST_CASE("a stop token is asked when its task is, before or after it was made") {
    door started;
    door was_stopped;
    door second;
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit([&] {
        const std::stop_callback told(cairn::this_task::stop_token(), [&] { was_stopped.open(); });
        CHECK_FALSE(cairn::this_task::stop_token().stop_requested());
        started.open();
        return was_stopped.pass();
    });
    REQUIRE(started.pass());
    f.cancel();
    CHECK(f.result());
    const auto g = ex.submit([&] {
        second.open();
        CHECK(eventually([] { return cairn::this_task::stop_requested(); }));
        return cairn::this_task::stop_token().stop_requested();
    });
    REQUIRE(second.pass());
    g.cancel();
    CHECK(g.result());
}

TEST_CASE("outside of tasks nothing is requested, and there is no task and no worker") {
    CHECK_FALSE(cairn::this_task::stop_requested());
    CHECK_FALSE(cairn::this_task::stop_token().stop_possible());
    CHECK(cairn::this_task::attempt() == 0);
    CHECK(cairn::this_task::id() == 0);
    CHECK(cairn::this_worker::id() == -1);
    CHECK(cairn::this_worker::pid() == ::getpid());
    cairn::thread_pool_executor ex{1};
    CHECK(ex.submit([] { return cairn::this_task::attempt(); }).result() == 1);
    CHECK(ex.submit(cairn::this_task::id).result() != ex.submit(cairn::this_task::id).result());
}

TEST_CASE("a task that ends its thread settles as worker_died, and its thread is replaced") {
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit({.name = "leaver"}, [] { ::pthread_exit(nullptr); });
    const auto g = ex.submit([] { return cairn::this_worker::id(); });
    CHECK_THROWS_AS(f.result(), cairn::worker_died);
    CHECK(g.result() == 0);
    CHECK(ex.statistics().died == 1);
    std::atomic<int> runs{0};
    const auto again = ex.submit({.retries = 1}, [&] {
        if (++runs == 1) ::pthread_exit(nullptr);
        return 5;
    });
    CHECK(again.result() == 5);
}

}  // namespace task_test
