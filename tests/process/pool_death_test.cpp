// pool_death_test.cpp - workers that die, hang, leave things behind; and who dies beside them.
//
// The situations are those of public reports about comparable software; the numbers are theirs.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <ranges>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/pool.hpp>

namespace pool_death_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

void kill_own() {
    ::kill(::getpid(), SIGKILL);
}
int own_pid() {
    return static_cast<int>(::getpid());
}
int identity(int x) {
    return x;
}

// Of a task that died.
template <typename Future>
cairn::worker_died death_of(const Future& f) {
    try {
        f.result(watchdog);
    } catch (const cairn::worker_died& e) {
        return e;
    } catch (const std::exception& e) {
        FAIL("not worker_died: " << e.what());
    }
    FAIL("it ended well");
    return cairn::worker_died("");
}

template <typename Condition>
bool comes_true(const Condition& condition) {
    for (const auto until = std::chrono::steady_clock::now() + watchdog;
         std::chrono::steady_clock::now() < until;) {
        if (condition()) return true;
        std::this_thread::sleep_for(1ms);
    }
    return false;
}

}  // namespace

TEST_CASE("a worker that is killed in a task costs that task, and nothing else") {
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<int>> before;
    for (int i = 0; i < 20; ++i) before.push_back(ex.submit(identity, i));
    const auto dead = ex.submit(kill_own);
    std::vector<cairn::future<int>> after;
    for (int i = 0; i < 20; ++i) after.push_back(ex.submit(identity, i));
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
    CHECK(ex.submit(identity, 5).result(watchdog) == 5);
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
    CHECK(comes_true([&] { return refused == 4; }));
    CHECK(nobody_waits.result(watchdog) == 7);
    CHECK(ex.submit({.retries = 1, .retry_if = asks}, fails_once).result(watchdog) == 7);
    CHECK(comes_true([&] { return refused == 8; }));
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
    for (int i = 0; i < 5; ++i) CHECK(ex.submit({.timeout = 10s}, identity, i).result(watchdog) == i);
    cairn::process_pool_executor limited({.max_workers = 1, .timeout = 50ms});
    CHECK_THROWS_WITH_AS(limited.submit([] { std::this_thread::sleep_for(100s); }).result(watchdog),
                         "result of a task: it ran for longer than its timeout of 50 ms, and its worker was "
                         "killed for it",
                         cairn::timeout_error);
    // A worker that is stopped is ended all the same; one that is stopped without a limit is not taken for dead.
    CHECK_THROWS_AS(limited.submit([] { ::raise(SIGSTOP); }).result(watchdog), cairn::timeout_error);
}

TEST_CASE("a worker that is stopped is waited for, not taken for dead (celery#5935)") {
    cairn::process_pool_executor ex(1);
    const pid_t worker = ex.submit(own_pid).result(watchdog);
    const auto f = ex.submit([] {
        std::this_thread::sleep_for(1s);
        return own_pid();
    });
    REQUIRE(comes_true([&] { return f.running(); }));
    ::kill(worker, SIGSTOP);
    std::this_thread::sleep_for(1500ms);
    CHECK_FALSE(f.done());
    ::kill(worker, SIGCONT);
    CHECK(f.result(watchdog) == worker);
}

TEST_CASE("cancel(kill) ends the worker for the task it has, and no other") {
    cairn::process_pool_executor ex({.max_workers = 1, .retries = 5});
    const auto endless = ex.submit([] { std::this_thread::sleep_for(100s); });
    const auto next = ex.submit(identity, 3);
    REQUIRE(comes_true([&] { return endless.running(); }));
    CHECK(endless.cancel(cairn::kill));
    CHECK(endless.cancelled());
    CHECK_THROWS_AS(endless.result(), cairn::cancelled_error);
    CHECK(next.result(watchdog) == 3);
    CHECK_FALSE(next.cancel(cairn::kill));
    const auto asked = ex.submit([] { std::this_thread::sleep_for(100s); });
    REQUIRE(comes_true([&] { return asked.running(); }));
    CHECK_FALSE(asked.cancel());
    CHECK(asked.cancel(cairn::kill));
    const auto waiting = ex.submit_after(1h, identity, 4);
    CHECK(waiting.cancel(cairn::kill));
    CHECK(ex.statistics().cancelled == 3);
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
    CHECK(comes_true([&] { return ex.submit(own_pid).result(watchdog) != first; }));
}

TEST_CASE("workers that hang in their initializer, replacements too, do not hold up the end of their pool") {
    cairn::process_pool_executor ex({.max_workers = 2, .initializer = [] {
                                         for (;;) ::pause();
                                     }});
    const auto f = ex.submit(identity, 1);
    const auto workers = [] {
        std::vector<pid_t> all = pool_processes();
        std::erase_if(all, [](pid_t each) { return !name_of_process(each).starts_with("cairn-worker"); });
        return all;
    };
    REQUIRE(comes_true([&] { return ex.num_workers() == 2; }));
    const std::vector<pid_t> first = workers();
    ex.kill();
    CHECK(f.cancelled());
    CHECK(have_ended(first, watchdog));
    // They come when those before have been settled, and are in the table a little later.
    std::vector<pid_t> replacements;
    REQUIRE(comes_true([&] {
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
    const auto f = fails.submit(identity, 1);
    try {
        f.result(watchdog);
        FAIL("it ended well");
    } catch (const cairn::initializer_failed& e) {
        CHECK(std::string(e.what()).find("std::runtime_error: no device") != std::string::npos);
    }
    CHECK_THROWS_AS(fails.submit(identity, 2), cairn::initializer_failed);
    CHECK_FALSE(fails.alive());
    CHECK(comes_true([&] { return fails.num_workers() == 0; }));
    const auto reason_of = [](std::function<void()> initializer) -> std::string {
        cairn::process_pool_executor ends({.max_workers = 2, .initializer = std::move(initializer)});
        try {
            ends.submit(identity, 1).result(watchdog);
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
        REQUIRE(comes_true([&] { return (nursery = find_descendant(::getpid(), "cairn-nursery")) != 0; }));
        ::kill(nursery, SIGKILL);
        CHECK(have_ended({nursery}, watchdog));
    }
    for (int i = 0; i < 104; ++i) CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
    // Workers of a dead nursery are replaced, too.
    static_cast<void>(death_of(ex.submit(kill_own)));
    static_cast<void>(death_of(ex.submit(kill_own)));
    CHECK(ex.submit(identity, 9).result(watchdog) == 9);
}

TEST_CASE("the guardian is killed: the pool goes on; guardian and nursery are: what runs is finished, the "
          "rest is told") {
    cairn::process_pool_executor ex(2);
    CHECK(ex.submit(identity, 1).result(watchdog) == 1);
    pid_t guardian = 0;
    pid_t nursery = 0;
    REQUIRE(comes_true([&] {
        guardian = find_descendant(::getpid(), "cairn-guardian");
        nursery = find_descendant(::getpid(), "cairn-nursery");
        return guardian != 0 && nursery != 0;
    }));
    const std::vector<pid_t> family = pool_processes();
    ::kill(guardian, SIGKILL);
    static_cast<void>(death_of(ex.submit(kill_own)));
    CHECK(ex.submit(identity, 2).result(watchdog) == 2);
    const auto runs = ex.submit([] {
        std::this_thread::sleep_for(200ms);
        return 3;
    });
    const auto dies = ex.submit([] {
        std::this_thread::sleep_for(200ms);
        kill_own();
    });
    std::vector<cairn::future<int>> waiting;
    REQUIRE(comes_true([&] { return runs.running() && dies.running(); }));
    for (int i = 0; i < 5; ++i) waiting.push_back(ex.submit(identity, i));
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
    CHECK(comes_true([&] { return !ex.alive(); }));
    CHECK_THROWS_AS(ex.submit(identity, 1), cairn::worker_died);
    ex.shutdown();
    CHECK(have_ended(family, watchdog));
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

TEST_CASE("terminate and kill end the workers now; the executor stays usable") {
    for (const bool kills : {false, true}) {
        CAPTURE(kills);
        cairn::process_pool_executor ex(1);
        const auto runs = ex.submit([] { std::this_thread::sleep_for(100s); });
        const auto waits = ex.submit(identity, 1);
        REQUIRE(comes_true([&] { return runs.running(); }));
        if (kills) ex.kill();
        else ex.terminate();
        CHECK(waits.cancelled());
        CHECK(death_of(runs).signal() == (kills ? SIGKILL : SIGTERM));
        CHECK(ex.submit(identity, 2).result(watchdog) == 2);
    }
    cairn::pool pool(1);
    const auto runs = pool.apply_async([] { std::this_thread::sleep_for(100s); });
    REQUIRE(comes_true([&] { return runs.running(); }));
    pool.terminate();
    pool.join();
    CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
}

TEST_CASE("shutdown without waiting, and then a worker is killed: its future settles, nothing is left "
          "(cpython PR 133222)") {
    std::vector<pid_t> family;
    cairn::future<void> runs;
    {
        auto ex = std::make_unique<cairn::process_pool_executor>(1);
        const pid_t worker = ex->submit(own_pid).result(watchdog);
        runs = ex->submit([] { std::this_thread::sleep_for(100s); });
        REQUIRE(comes_true([&] { return runs.running(); }));
        family = pool_processes();
        ex->shutdown({.wait = false});
        CHECK_FALSE(runs.done());
        ::kill(worker, SIGKILL);
    }
    CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("when the last handle goes, what was accepted is done, and no process is left") {
    std::vector<pid_t> family;
    std::vector<cairn::future<int>> all;
    {
        const cairn::process_pool_executor ex(2);
        cairn::process_pool_executor copy = ex;
        for (int i = 0; i < 30; ++i) all.push_back(copy.submit(identity, i));
        family = pool_processes();
    }
    for (int i = 0; i < 30; ++i) CHECK(all[static_cast<std::size_t>(i)].result() == i);
    CHECK(have_ended(family, watchdog));
    CHECK(find_descendant(::getpid(), "cairn-guardian") == 0);
}

TEST_CASE("during unwinding the workers are killed first") {
    const auto begin = std::chrono::steady_clock::now();
    cairn::future<void> runs;
    try {
        cairn::process_pool_executor ex(1);
        runs = ex.submit([] { std::this_thread::sleep_for(100s); });
        REQUIRE(comes_true([&] { return runs.running(); }));
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error&) {}
    CHECK(std::chrono::steady_clock::now() - begin < 50s);
    CHECK_THROWS_AS(runs.result(), cairn::worker_died);
}

TEST_CASE("workers are killed also where the program has no descriptor left") {
    // While it lives.
    class no_descriptors {
    public:
        no_descriptors() {
            ::getrlimit(RLIMIT_NOFILE, &before_);
            rlimit few = before_;
            few.rlim_cur = 40;
            ::setrlimit(RLIMIT_NOFILE, &few);
            for (int fd = ::dup(2); fd >= 0; fd = ::dup(2)) taken_.push_back(fd);
        }
        no_descriptors(const no_descriptors&) = delete;
        no_descriptors& operator=(const no_descriptors&) = delete;
        ~no_descriptors() {
            for (const int fd : taken_) ::close(fd);
            ::setrlimit(RLIMIT_NOFILE, &before_);
        }

    private:
        rlimit before_{};
        std::vector<int> taken_;
    };
    std::optional<no_descriptors> here;
    cairn::future<void> unwound;
    try {
        cairn::process_pool_executor ex(1);
        const auto start = [&] {
            const auto f = ex.submit([] { std::this_thread::sleep_for(100s); });
            REQUIRE(comes_true([&] { return f.running(); }));
            return f;
        };
        const auto cancelled = start();
        here.emplace();
        CHECK(::dup(2) < 0);
        CHECK(cancelled.cancel(cairn::kill));
        const auto killed = start();
        ex.kill();
        CHECK_THROWS_AS(killed.result(watchdog), cairn::worker_died);
        const auto terminated = start();
        ex.terminate();
        CHECK_THROWS_AS(terminated.result(watchdog), cairn::worker_died);
        unwound = start();
        throw std::runtime_error("too many open files");
    } catch (const std::runtime_error&) {}
    here.reset();
    CHECK_THROWS_AS(unwound.result(watchdog), cairn::worker_died);
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("the owner is killed at any moment: all are gone, also what tasks have started") {
    for (int round = 0; round < 8; ++round) {
        CAPTURE(round);
        const pid_t owner = ::fork();
        REQUIRE(owner >= 0);
        if (owner == 0) {
            cairn::process_pool_executor ex(3);
            std::vector<cairn::future<void>> all;
            for (int i = 0; i < 20; ++i) {
                all.push_back(ex.submit([] {
                    sigset_t everything;
                    ::sigfillset(&everything);
                    ::sigprocmask(SIG_SETMASK, &everything, nullptr);
                    if (::fork() == 0) {
                        ::setsid();
                        for (;;) ::pause();
                    }
                    for (;;) ::pause();
                }));
            }
            for (const auto& each : all) each.result();
            ::_exit(0);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1 + 5 * round));
        const std::vector<pid_t> family = descendants_of(owner);
        ::kill(owner, SIGKILL);
        const auto begin = std::chrono::steady_clock::now();
        CHECK(have_ended(family, watchdog));
        const auto took = std::chrono::steady_clock::now() - begin;
        MESSAGE(family.size() << " processes gone "
                              << std::chrono::duration_cast<std::chrono::microseconds>(took).count()
                              << " us after their owner");
        CHECK(took < patiently(2s));
        ::waitpid(owner, nullptr, 0);
    }
}

TEST_CASE("workers have nothing open but the standard streams and Cairn's segments") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    cairn::process_pool_executor ex(1);
    CHECK(ex.submit(identity, 1).result(watchdog) == 1);
    ::close(ends[1]);
    // A worker that had the other end would keep this from its end.
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);
    ::close(ends[0]);
    const int open_there = ex.submit([] {
                                 int count = 0;
                                 for (int fd = 3; fd < 200; ++fd)
                                     if (::fcntl(fd, F_GETFD) != -1) ++count;
                                 return count;
                             }).result(watchdog);
    CHECK(open_there <= 8);
}

TEST_CASE("objects that the program had before the pool are there in its workers") {
    const cairn::manager m;
    static std::optional<cairn::list<long>> results;
    results = m.list<long>("results");
    {
        cairn::pool pool(2);
        pool.map([](long x) { results->push_back(x); }, std::views::iota(0L, 100L));
    }
    CHECK(results->size() == 100);
    long sum = 0;
    for (const long each : results->snapshot()) sum += each;
    CHECK(sum == 4950);
    CHECK(m.stats().process_count == 1);
    results.reset();
}

TEST_CASE("in a forked child a pool refuses tasks, and its end does nothing") {
    auto ex = std::make_unique<cairn::process_pool_executor>(1);
    const auto settled = ex->submit(identity, 3);
    CHECK(settled.result() == 3);
    const int status = in_child([&] {
        CHILD_CHECK(settled.result() == 3);
        bool is_refused = false;
        try {
            ex->submit(identity, 1);
        } catch (const cairn::invalid_state&) {
            is_refused = true;
        }
        CHILD_CHECK(is_refused);
        CHILD_CHECK(!ex->alive());
        ex.reset();
        // A pool of its own.
        cairn::process_pool_executor own(1);
        CHILD_CHECK(own.submit(identity, 4).result() == 4);
    });
    CHECK(status == 0);
    CHECK(ex->submit(identity, 5).result(watchdog) == 5);
}

TEST_CASE("a program may end while its pool works: nothing is left") {
    std::vector<pid_t> family;
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t owner = ::fork();
    if (owner == 0) {
        static cairn::process_pool_executor* const leaked = new cairn::process_pool_executor(2);
        static cairn::process_pool_executor of_static_life(2);
        for (int i = 0; i < 10; ++i) {
            static_cast<void>(leaked->submit([] { std::this_thread::sleep_for(100s); }));
            static_cast<void>(of_static_life.submit([] { std::this_thread::sleep_for(100s); }));
        }
        for (int n = 0; n < 10'000 && descendants_of(::getpid()).size() < 8; ++n)
            std::this_thread::sleep_for(1ms);
        for (const pid_t each : descendants_of(::getpid()))
            if (::write(ends[1], &each, sizeof each) != sizeof each) ::_exit(1);
        std::exit(0);
    }
    ::close(ends[1]);
    for (pid_t each = 0; ::read(ends[0], &each, sizeof each) == sizeof each;) family.push_back(each);
    ::close(ends[0]);
    int status = 0;
    REQUIRE(::waitpid(owner, &status, 0) == owner);
    CHECK(WIFEXITED(status));
    CHECK(family.size() >= 8);
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("a limit of memory below what the program has already is no end of the world: each worker does one "
          "task") {
    static std::vector<char> table(std::size_t{150} << 20U, 'a');
    cairn::process_pool_executor ex({.max_workers = 1, .max_worker_memory = std::uint64_t{100} << 20U});
    for (int i = 0; i < 3; ++i) CHECK(ex.submit(identity, i).result(watchdog) == i);
    std::vector<char>().swap(table);
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

TEST_CASE("what is killed with its pool is not tried again, nor is the rest of a chunk done") {
    cairn::process_pool_executor ex({.max_workers = 1, .retries = 5});
    const auto runs = ex.submit([] { std::this_thread::sleep_for(100s); });
    REQUIRE(comes_true([&] { return runs.running(); }));
    ex.kill();
    CHECK(death_of(runs).attempts() == 1);
    cairn::pool pool({.workers = 1, .retries = 2});
    const auto chunk = pool.map_async([](int) { std::this_thread::sleep_for(100s); }, std::views::iota(0, 20),
                                      {.chunk_size = 20});
    REQUIRE(comes_true([&] { return pool.get_num_idle_workers() == 0; }));
    std::this_thread::sleep_for(50ms);
    pool.terminate();
    pool.join();
    CHECK_THROWS_AS(chunk.result(watchdog), cairn::worker_died);
    CHECK(ex.statistics().died == 1);
}

TEST_CASE("a stop_token of a task is asked when its future is cancelled") {
    cairn::process_pool_executor ex(1);
    const auto f = ex.submit([] {
        const std::stop_token stop = cairn::this_task::stop_token();
        while (!stop.stop_requested()) std::this_thread::sleep_for(1ms);
        return 5;
    });
    REQUIRE(comes_true([&] { return f.running(); }));
    CHECK_FALSE(f.cancel());
    CHECK(f.result(watchdog) == 5);
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
    CHECK(ex.submit(identity, 1).result(watchdog) == 1);
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

TEST_CASE("of a run, each item has attempts of its own") {
    cairn::pool pool({.workers = 1, .retries = 1});
    const auto attempt = [](int x) {
        if (x == 0 && cairn::this_task::attempt() == 1) kill_own();
        return cairn::this_task::attempt();
    };
    CHECK(pool.map(attempt, std::views::iota(0, 3), {.chunk_size = 3}) == std::vector<int>{2, 1, 1});
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

TEST_CASE("a worker that becomes another program is dead, and so is that") {
    cairn::process_pool_executor ex(1);
    const int pid = ex.submit(own_pid).result(watchdog);
    const auto other = ex.submit([] {
        ::execlp("sleep", "sleep", "1000", nullptr);
        ::_exit(1);
    });
    CHECK(death_of(other).pid() == pid);
    CHECK(have_ended({pid}, watchdog));
    CHECK(ex.submit(identity, 3).result(watchdog) == 3);
}

}  // namespace pool_death_test
