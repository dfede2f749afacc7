// pool_limits_test.cpp - limits of tasks and workers: retries, time, cancelling, replacement, initializers.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "shared_round.hpp"
#include "support/patience.hpp"
#include "support/pool_tasks.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/pool.hpp>

namespace pool_limits_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

}  // namespace

TEST_CASE("retries: as many further starts after a death, and the last success counts (hpx#7028)") {
    cairn::process_pool_executor ex({.max_workers = 2, .retries = 2});
    const auto dies_twice = [](int x) {
        if (cairn::this_task::attempt() < 3) kill_own();
        return x + cairn::this_task::attempt();
    };
    CHECK(ex.submit(dies_twice, 10).result(watchdog) == 13);
    CHECK(death_of(ex.submit(kill_own)).attempts() == 3);
    CHECK(death_of(ex.submit({.retries = 0}, kill_own)).attempts() == 1);
    CHECK(ex.statistics().retried == 4);
    // Each item of a chunk has its own.
    cairn::pool pool({.workers = 2, .retries = 1});
    const auto each_dies_once = [](int x) {
        if (cairn::this_task::attempt() == 1) kill_own();
        return x;
    };
    CHECK(pool.map(each_dies_once, std::views::iota(0, 6), {.chunk_size = 3}) ==
          std::vector<int>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("retries after exceptions: those that retry_if accepts, with back-off") {
    cairn::process_pool_executor ex(1);
    const auto fails_twice = [] {
        if (cairn::this_task::attempt() < 3) throw std::runtime_error("not yet");
        return cairn::this_task::attempt();
    };
    const auto begin = std::chrono::steady_clock::now();
    CHECK(ex.submit({.retries = 5,
                     .retry_if = [](const std::exception& e) { return std::string(e.what()) == "not yet"; },
                     .backoff = {20ms, 1s}},
                    fails_twice)
              .result(watchdog) == 3);
    CHECK(std::chrono::steady_clock::now() - begin >= 60ms);  // 20 and 40
    CHECK_THROWS_AS(
        ex.submit({.retries = 1, .retry_if = [](const std::exception&) { return true; }}, fails_twice)
            .result(watchdog),
        std::runtime_error);
    CHECK_THROWS_AS(
        ex.submit({.retries = 5, .retry_if = [](const std::exception&) { return false; }}, fails_twice)
            .result(watchdog),
        std::runtime_error);
    CHECK_THROWS_AS(ex.submit({.retries = 5}, fails_twice).result(watchdog), std::runtime_error);
}

TEST_CASE("waiting in retry_if for a task of the same pool is would_deadlock, and the pool goes on") {
    cairn::process_pool_executor ex(2);
    const auto slow = [](int v) {
        std::this_thread::sleep_for(100ms);
        return v;
    };
    std::atomic<int> refused{0};
    const auto asks = [&](const std::exception&) {
        const auto other = ex.submit(slow, 3);
        CHECK_THROWS_AS(other.result(), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(std::vector{other})), cairn::would_deadlock);
        ++refused;
        other.add_done_callback([&](const auto& f) { refused += f.result(); });
        return true;
    };
    const auto fails_once = [] {
        if (cairn::this_task::attempt() == 1) throw std::runtime_error("not yet");
        return 7;
    };
    // One is brought by the pool's own thread, and one by whoever waits.
    const auto nobody_waits = ex.submit({.retries = 1, .retry_if = asks}, fails_once);
    CHECK(eventually([&] { return refused == 4; }));
    CHECK(nobody_waits.result(watchdog) == 7);
    CHECK(ex.submit({.retries = 1, .retry_if = asks}, fails_once).result(watchdog) == 7);
    CHECK(eventually([&] { return refused == 8; }));
}

TEST_CASE("a retry_if that ends its thread ends the program, and the workers with it") {
    CHECK(in_child([] {
              std::signal(SIGABRT, SIG_DFL);  // the test's own reports a failure
              const rlimit no_core{0, 0};
              ::setrlimit(RLIMIT_CORE, &no_core);
              cairn::process_pool_executor ex(1);
              const auto asks = [](const std::exception&) -> bool { ::pthread_exit(nullptr); };
              ex.submit({.retries = 1, .retry_if = asks}, [] {
                    throw std::runtime_error("x");
                }).result(watchdog);
          }) == -SIGABRT);
}

TEST_CASE("of a run, each item has attempts of its own") {
    cairn::pool pool({.workers = 1, .retries = 1});
    const auto attempt = [](int x) {
        if (x == 0 && cairn::this_task::attempt() == 1) kill_own();
        return cairn::this_task::attempt();
    };
    CHECK(pool.map(attempt, std::views::iota(0, 3), {.chunk_size = 3}) == std::vector<int>{2, 1, 1});
}

TEST_CASE("a task that takes too long is ended with its worker, also where it blocks all signals") {
    cairn::process_pool_executor ex(1);
    const auto begin = std::chrono::steady_clock::now();
    const auto slow = ex.submit({.timeout = 50ms}, [] {
        sigset_t all;
        ::sigfillset(&all);
        ::sigprocmask(SIG_SETMASK, &all, nullptr);
        std::this_thread::sleep_for(100s);
    });
    CHECK_THROWS_WITH_AS(slow.result(watchdog),
                         "result of a task: it ran for longer than its timeout of 50 ms, and its worker was "
                         "killed for it",
                         cairn::timeout_error);
    const auto named = ex.submit({.timeout = 250us, .grace = 1500us, .name = "slow"},
                                 [] { std::this_thread::sleep_for(100s); });
    CHECK_THROWS_WITH_AS(
        named.result(watchdog),
        "result of task 'slow': it ran for longer than its timeout of 0.25 ms and the 1.5 ms "
        "of .grace after that, and its worker was killed for it",
        cairn::timeout_error);
    CHECK(std::chrono::steady_clock::now() - begin >= 50ms);
    const auto asked = ex.submit({.timeout = 30ms, .grace = 10s}, [] {
        while (!cairn::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
        return 7;
    });
    CHECK(asked.result(watchdog) == 7);
    // The limit is each task's own: a quick one after another is not ended.
    for (int i = 0; i < 5; ++i) CHECK(ex.submit({.timeout = 10s}, same, i).result(watchdog) == i);
    cairn::process_pool_executor limited({.max_workers = 1, .timeout = 50ms});
    CHECK_THROWS_WITH_AS(limited.submit([] { std::this_thread::sleep_for(100s); }).result(watchdog),
                         "result of a task: it ran for longer than its timeout of 50 ms, and its worker was "
                         "killed for it",
                         cairn::timeout_error);
    // A worker that is stopped is ended all the same; one that is stopped without a limit is not taken for dead.
    CHECK_THROWS_AS(limited.submit([] { ::raise(SIGSTOP); }).result(watchdog), cairn::timeout_error);
}

TEST_CASE("a task that has been started does not expire while it waits to be tried again") {
    cairn::process_pool_executor ex(1);
    const auto f = ex.submit({.retries = 1,
                              .retry_if = [](const std::exception&) { return true; },
                              .backoff = {1500ms, 2s},
                              .expires = 1s},
                             [] {
                                 if (cairn::this_task::attempt() == 1) throw std::runtime_error("once");
                                 return 8;
                             });
    CHECK(f.result(watchdog) == 8);
}

TEST_CASE("cancel(kill) ends the worker for the task it has, and no other") {
    cairn::process_pool_executor ex({.max_workers = 1, .retries = 5});
    const auto endless = ex.submit([] { std::this_thread::sleep_for(100s); });
    const auto next = ex.submit(same, 3);
    REQUIRE(eventually([&] { return endless.running(); }));
    CHECK(endless.cancel(cairn::kill));
    CHECK(endless.cancelled());
    CHECK_THROWS_AS(endless.result(), cairn::cancelled_error);
    CHECK(next.result(watchdog) == 3);
    CHECK_FALSE(next.cancel(cairn::kill));
    const auto asked = ex.submit([] { std::this_thread::sleep_for(100s); });
    REQUIRE(eventually([&] { return asked.running(); }));
    CHECK_FALSE(asked.cancel());
    CHECK(asked.cancel(cairn::kill));
    const auto waiting = ex.submit_after(1h, same, 4);
    CHECK(waiting.cancel(cairn::kill));
    CHECK(ex.statistics().cancelled == 3);
}

TEST_CASE("a stop_token of a task is asked when its future is cancelled") {
    cairn::process_pool_executor ex(1);
    const auto f = ex.submit([] {
        const std::stop_token stop = cairn::this_task::stop_token();
        while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
        return 5;
    });
    REQUIRE(eventually([&] { return f.running(); }));
    CHECK_FALSE(f.cancel());
    CHECK(f.result(watchdog) == 5);
}

namespace {
std::atomic<bool>* has_begun = nullptr;  // in memory that the workers share
}

TEST_CASE("what is killed with its pool is not tried again, nor is the rest of a chunk done") {
    const shared_with_children<std::atomic<bool>> begun;
    has_begun = &*begun;
    cairn::process_pool_executor ex({.max_workers = 1, .retries = 5});
    const auto runs = ex.submit([] { std::this_thread::sleep_for(100s); });
    REQUIRE(eventually([&] { return runs.running(); }));
    ex.kill();
    CHECK(death_of(runs).attempts() == 1);
    cairn::pool pool({.workers = 1, .retries = 2});
    const auto sleeps = [](int) {
        *has_begun = true;
        std::this_thread::sleep_for(100s);
    };
    const auto chunk = pool.map_async(sleeps, std::views::iota(0, 20), {.chunk_size = 20});
    REQUIRE(eventually([&] { return has_begun->load(); }));
    pool.terminate();
    pool.join();
    CHECK_THROWS_AS(chunk.result(watchdog), cairn::worker_died);
    CHECK(ex.statistics().died == 1);
}

TEST_CASE("a worker is replaced after so many tasks, and no task hangs (cpython#115634)") {
    cairn::process_pool_executor ex({.max_workers = 1, .max_tasks_per_worker = 2});
    std::vector<cairn::future<int>> all;
    for (int i = 0; i < 10; ++i) all.push_back(ex.submit(own_pid));
    std::set<int> pids;
    for (const auto& each : all) pids.insert(each.result(watchdog));
    CHECK(pids.size() == 5);
    // Items count, not chunks.
    cairn::pool pool({.workers = 1, .max_tasks_per_worker = 3});
    const std::vector<int> of_items =
        pool.map([](int) { return own_pid(); }, std::vector<int>(9), {.chunk_size = 9});
    CHECK(std::set<int>(of_items.begin(), of_items.end()).size() == 3);
}

TEST_CASE("a worker that has taken too much memory is replaced") {
    if (has_address_sanitizer || has_thread_sanitizer) return;  // which have memory of their own
    cairn::process_pool_executor ex({.max_workers = 1, .max_worker_memory = std::uint64_t{200} << 20U});
    const int first = ex.submit(own_pid).result(watchdog);
    const auto keep = [] {
        auto* const kept = new std::vector<char>(std::size_t{300} << 20U, 'x');  // NOLINT: on purpose
        return static_cast<int>(kept->size() >> 20U);
    };
    CHECK(ex.submit(keep).result(watchdog) == 300);
    // It is looked at every now and then.
    CHECK(eventually([&] { return ex.submit(own_pid).result(watchdog) != first; }));
}

TEST_CASE("a limit of memory below what the program has already is no end of the world: each worker does one "
          "task") {
    static std::vector<char> table(std::size_t{150} << 20U, 'a');
    cairn::process_pool_executor ex({.max_workers = 1, .max_worker_memory = std::uint64_t{100} << 20U});
    for (int i = 0; i < 3; ++i) CHECK(ex.submit(same, i).result(watchdog) == i);
    std::vector<char>().swap(table);
}

TEST_CASE("workers that hang in their initializer, replacements too, do not hold up the end of their pool") {
    cairn::process_pool_executor ex({.max_workers = 2, .initializer = [] {
                                         for (;;) ::pause();
                                     }});
    const auto f = ex.submit(same, 1);
    const auto workers = [] {
        std::vector<pid_t> all = pool_processes();
        std::erase_if(all, [](pid_t each) { return !name_of_process(each).starts_with("cairn-worker"); });
        return all;
    };
    REQUIRE(eventually([&] { return ex.num_workers() == 2; }));
    const std::vector<pid_t> first = workers();
    ex.kill();
    CHECK(f.cancelled());
    CHECK(have_ended(first, watchdog));
    // They come when those before have been settled, and are in the table a little later.
    std::vector<pid_t> replacements;
    REQUIRE(eventually([&] {
        replacements = workers();
        return replacements.size() == 2 && ex.num_workers() == 2;
    }));
    ex.shutdown({.wait = false});
    CHECK(have_ended(replacements, watchdog));
    for (const pid_t each : replacements) ::kill(each, SIGKILL);  // else the pool would not end
    ex.shutdown();
    CHECK(ex.num_workers() == 0);
}

TEST_CASE(
    "an initializer runs in each worker; one that fails in all of them ends the pool, and forks no more") {
    static int initialised = 0;
    const std::string captured = "a capture";
    cairn::process_pool_executor ex(
        {.max_workers = 2, .initializer = [captured] { initialised = static_cast<int>(captured.size()); }});
    for (int i = 0; i < 10; ++i) CHECK(ex.submit([] { return initialised; }).result(watchdog) == 9);
    CHECK(initialised == 0);
    cairn::process_pool_executor fails(
        {.max_workers = 2, .initializer = [] { throw std::runtime_error("no device"); }});
    const auto f = fails.submit(same, 1);
    try {
        f.result(watchdog);
        FAIL("it ended well");
    } catch (const cairn::initializer_failed& e) {
        CHECK(std::string(e.what()).find("std::runtime_error: no device") != std::string::npos);
    }
    CHECK_THROWS_AS(fails.submit(same, 2), cairn::initializer_failed);
    CHECK_FALSE(fails.alive());
    CHECK(eventually([&] { return fails.num_workers() == 0; }));
    const auto reason_of = [](std::function<void()> initializer) -> std::string {
        cairn::process_pool_executor ends({.max_workers = 2, .initializer = std::move(initializer)});
        try {
            ends.submit(same, 1).result(watchdog);
        } catch (const cairn::initializer_failed& e) {
            return e.what();
        }
        return "none";
    };
    CHECK(contains(reason_of(kill_own), "was killed by signal 9"));
    CHECK(contains(reason_of([] { std::exit(7); }), "ended with code 7"));
    CHECK(contains(reason_of([] { ::_exit(0); }), "ended with code 0"));
    CHECK(contains(reason_of([] { ::pthread_exit(nullptr); }), "ended with code 1"));
}

TEST_CASE("a worker keeps its number, and whoever replaces it has the same") {
    cairn::process_pool_executor ex(2);
    std::set<int> ids;
    for (int i = 0; i < 20; ++i) {
        ids.insert(ex.submit([] {
                         std::this_thread::sleep_for(1ms);
                         return cairn::this_worker::id();
                     }).result(watchdog));
        if (i % 5 == 0) static_cast<void>(death_of(ex.submit(kill_own)));
    }
    for (const int id : ids) CHECK((id == 0 || id == 1));
    CHECK(cairn::this_worker::id() == -1);
}

}  // namespace pool_limits_test
