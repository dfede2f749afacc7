// pool_death_test.cpp - workers that die, leave things behind, are stopped; and who dies beside them.
//
// The situations are those of public reports about comparable software; the numbers are theirs.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ranges>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/pool_tasks.hpp"
#include "support/process_tree.hpp"
#include <cairn/pool.hpp>

namespace pool_death_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

}  // namespace

TEST_CASE("a worker that is killed in a task costs that task, and nothing else") {
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<int>> before;
    for (int i = 0; i < 20; ++i) before.push_back(ex.submit(same, i));
    const auto dead = ex.submit(kill_own);
    std::vector<cairn::future<int>> after;
    for (int i = 0; i < 20; ++i) after.push_back(ex.submit(same, i));
    const cairn::worker_died death = death_of(dead);
    CHECK(death.signal() == SIGKILL);
    CHECK(death.exitcode() == -SIGKILL);
    CHECK(death.pid() > 0);
    CHECK(death.attempts() == 1);
    CHECK(death.worker_id() >= 0);
    CHECK(death.worker_id() < 2);
    CHECK_FALSE(death.likely_oom());
    for (int i = 0; i < 20; ++i) {
        CHECK(before[static_cast<std::size_t>(i)].result(watchdog) == i);
        CHECK(after[static_cast<std::size_t>(i)].result(watchdog) == i);
    }
}

TEST_CASE("exit, abort, a signal and the end of the thread are deaths of the worker, with its code") {
    cairn::process_pool_executor ex(1);
    CHECK(death_of(ex.submit([] { std::exit(7); })).exitcode() == 7);
    CHECK(death_of(ex.submit([] { std::exit(0); })).exitcode() == 0);
    CHECK(death_of(ex.submit([] { ::_exit(3); })).exitcode() == 3);
    CHECK(death_of(ex.submit([] {
              std::signal(SIGABRT, SIG_DFL);
              std::abort();
          })).signal() == SIGABRT);
    CHECK(death_of(ex.submit([] { ::raise(SIGTERM); })).signal() == SIGTERM);
    CHECK(death_of(ex.submit([] { ::pthread_exit(nullptr); })).signal() == 0);
    CHECK(ex.submit(same, 5).result(watchdog) == 5);
}

TEST_CASE("one of eight items of a map kills its worker: the others' results are there, and map ends "
          "(cpython#66587)") {
    cairn::pool pool(2);
    for (const std::ptrdiff_t chunk : {std::ptrdiff_t{1}, std::ptrdiff_t{3}, std::ptrdiff_t{8}}) {
        CAPTURE(chunk);
        const auto deadly = [](int x) {
            if (x == 5) kill_own();
            return 10 * x;
        };
        const auto each =
            pool.map(deadly, std::views::iota(0, 8), {.collect = cairn::outcomes, .chunk_size = chunk});
        REQUIRE(each.size() == 8);
        for (int i = 0; i < 8; ++i) {
            const auto& one = each[static_cast<std::size_t>(i)];
            CHECK(one.has_value() == (i != 5));
            if (one.has_value()) CHECK(one.value() == 10 * i);
        }
        CHECK_THROWS_AS(pool.map(deadly, std::views::iota(0, 8)), cairn::worker_died);
    }
}

TEST_CASE("a worker that is stopped is waited for, not taken for dead (celery#5935)") {
    cairn::process_pool_executor ex(1);
    const pid_t worker = ex.submit(own_pid).result(watchdog);
    const auto f = ex.submit([] {
        std::this_thread::sleep_for(1s);
        return own_pid();
    });
    REQUIRE(eventually([&] { return f.running(); }));
    ::kill(worker, SIGSTOP);
    std::this_thread::sleep_for(1500ms);
    CHECK_FALSE(f.done());
    ::kill(worker, SIGCONT);
    CHECK(f.result(watchdog) == worker);
}

TEST_CASE("children that a task leaves behind are ended with its worker, unless they are to be kept") {
    for (const bool keeps : {false, true}) {
        CAPTURE(keeps);
        cairn::process_pool_executor ex({.max_workers = 1, .keep_orphans = keeps});
        const auto leaves_one = [] {
            const pid_t child = ::fork();
            if (child == 0) {
                ::setsid();
                for (;;) ::pause();
            }
            return static_cast<int>(child);
        };
        const pid_t orphan = ex.submit(leaves_one).result(watchdog);
        CHECK(is_running(orphan));
        static_cast<void>(death_of(ex.submit(kill_own)));
        if (keeps) {
            std::this_thread::sleep_for(100ms);
            CHECK(is_running(orphan));
            ::kill(orphan, SIGKILL);
        } else {
            CHECK(have_ended({orphan}, watchdog));
        }
    }
}

TEST_CASE("the nursery is killed while tasks run and wait: all have their results (cpython#75489)") {
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<int>> all;
    for (int i = 0; i < 104; ++i)
        all.push_back(ex.submit(
            [](int x) {
                std::this_thread::sleep_for(2ms);
                return x;
            },
            i));
    for (int round = 0; round < 3; ++round) {
        pid_t nursery = 0;
        REQUIRE(eventually([&] { return (nursery = find_descendant(::getpid(), "cairn-nursery")) != 0; }));
        ::kill(nursery, SIGKILL);
        CHECK(have_ended({nursery}, watchdog));
    }
    for (int i = 0; i < 104; ++i) CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
    // Workers of a dead nursery are replaced, too.
    static_cast<void>(death_of(ex.submit(kill_own)));
    static_cast<void>(death_of(ex.submit(kill_own)));
    CHECK(ex.submit(same, 9).result(watchdog) == 9);
}

TEST_CASE("the guardian is killed: the pool goes on; guardian and nursery are: what runs is finished, the "
          "rest is told") {
    cairn::process_pool_executor ex(2);
    CHECK(ex.submit(same, 1).result(watchdog) == 1);
    pid_t guardian = 0;
    pid_t nursery = 0;
    REQUIRE(eventually([&] {
        guardian = find_descendant(::getpid(), "cairn-guardian");
        nursery = find_descendant(::getpid(), "cairn-nursery");
        return guardian != 0 && nursery != 0;
    }));
    const std::vector<pid_t> family = pool_processes();
    ::kill(guardian, SIGKILL);
    static_cast<void>(death_of(ex.submit(kill_own)));
    CHECK(ex.submit(same, 2).result(watchdog) == 2);
    const auto runs = ex.submit([] {
        std::this_thread::sleep_for(200ms);
        return 3;
    });
    const auto dies = ex.submit([] {
        std::this_thread::sleep_for(200ms);
        kill_own();
    });
    std::vector<cairn::future<int>> waiting;
    REQUIRE(eventually([&] { return runs.running() && dies.running(); }));
    for (int i = 0; i < 5; ++i) waiting.push_back(ex.submit(same, i));
    ::kill(nursery, SIGKILL);
    CHECK(runs.result(watchdog) == 3);
    CHECK_THROWS_AS(dies.result(watchdog), cairn::worker_died);
    for (const auto& each : waiting) {
        try {
            each.result(watchdog);
        } catch (const cairn::worker_died& e) {
            CHECK(std::string(e.what()).find("guardian") != std::string::npos);
        }
    }
    // Looked at every now and then.
    CHECK(eventually([&] { return !ex.alive(); }));
    CHECK_THROWS_AS(ex.submit(same, 1), cairn::worker_died);
    ex.shutdown();
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("guardian or nursery is stopped: tasks go on, and deaths are settled when it goes on") {
    for (const std::string each : {"cairn-guardian", "cairn-nursery"}) {
        CAPTURE(each);
        cairn::process_pool_executor ex(2);
        if (each == "cairn-nursery") {  // its own workers
            static_cast<void>(death_of(ex.submit(kill_own)));
            static_cast<void>(death_of(ex.submit(kill_own)));
        }
        pid_t stopped = 0;
        REQUIRE(eventually([&] { return (stopped = find_descendant(::getpid(), each)) != 0; }));
        REQUIRE(eventually([&] { return ex.num_workers() == 2; }));
        ::kill(stopped, SIGSTOP);
        for (int i = 0; i < 20; ++i) CHECK(ex.submit(same, i).result(watchdog) == i);
        const auto dies = ex.submit(kill_own);
        for (int i = 0; i < 20; ++i) CHECK(ex.submit(same, i).result(watchdog) == i);
        ::kill(stopped, SIGCONT);
        CHECK(death_of(dies).signal() == SIGKILL);
        CHECK(ex.submit(same, 5).result(watchdog) == 5);
    }
}

TEST_CASE("signals to the group end no worker: the owner decides (gitmoot#1438)") {
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<int>> all;
    for (int i = 0; i < 50; ++i)
        all.push_back(ex.submit(
            [](int x) {
                std::this_thread::sleep_for(2ms);
                return x;
            },
            i));
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT})
        for (const pid_t each : descendants_of(::getpid())) ::kill(each, signal);
    for (int i = 0; i < 50; ++i) CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
    // What a task starts does not inherit that.
    const auto status = ex.submit([] {
        const pid_t child = ::fork();
        if (child == 0) {
            ::execlp("sleep", "sleep", "100", nullptr);
            ::_exit(1);
        }
        // Before its exec it has the worker's handler.
        int ended = 0;
        while (::waitpid(child, &ended, WNOHANG) == 0) {
            ::kill(child, SIGINT);
            std::this_thread::sleep_for(1ms);
        }
        return WIFSIGNALED(ended) ? WTERMSIG(ended) : -1;
    });
    CHECK(status.result(watchdog) == SIGINT);
}

TEST_CASE("a child that a task forks, and that returns from it, is no worker") {
    cairn::process_pool_executor ex(1);
    std::vector<cairn::future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(ex.submit(
            [](int x) {
                if (::fork() == 0) return -1;
                std::this_thread::sleep_for(5ms);
                return x;
            },
            i));
    }
    for (int i = 0; i < 10; ++i) CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
}

TEST_CASE("children that tasks leave behind go also when their worker is replaced in the ordinary way") {
    cairn::process_pool_executor ex({.max_workers = 1, .max_tasks_per_worker = 1});
    const auto leaves_one = [] {
        const pid_t child = ::fork();
        if (child == 0)
            for (;;) ::pause();
        return static_cast<int>(child);
    };
    const pid_t orphan = ex.submit(leaves_one).result(watchdog);
    CHECK(ex.submit(same, 1).result(watchdog) == 1);
    CHECK(have_ended({orphan}, watchdog));
}

TEST_CASE("several items of one chunk kill their workers, one after the other") {
    cairn::pool pool(2);
    const auto deadly = [](int x) {
        if (x >= 3 && x < 8) kill_own();
        return x;
    };
    const auto each = pool.map(deadly, std::views::iota(0, 9), {.collect = cairn::outcomes, .chunk_size = 9});
    for (int i = 0; i < 9; ++i) CHECK(each[static_cast<std::size_t>(i)].has_value() == (i < 3 || i == 8));
}

TEST_CASE("a worker that becomes another program is dead, and so is that") {
    cairn::process_pool_executor ex(1);
    const int pid = ex.submit(own_pid).result(watchdog);
    const auto other = ex.submit([] {
        ::execlp("sleep", "sleep", "1000", nullptr);
        ::_exit(1);
    });
    CHECK(death_of(other).pid() == pid);
    CHECK(have_ended({pid}, watchdog));
    CHECK(ex.submit(same, 3).result(watchdog) == 3);
}

}  // namespace pool_death_test
