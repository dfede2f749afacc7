// pool_surface_test.cpp - processes, pools and executors: each public name once, and that it does what its line in the documents says.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <coroutine>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <functional>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <poll.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "process/helper_process.hpp"
#include "support/executors.hpp"
#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pool_surface_test {

struct no_paper : std::runtime_error {
    using std::runtime_error::runtime_error;
};

}  // namespace pool_surface_test

CAIRN_EXCEPTION(pool_surface_test::no_paper)

namespace pool_surface_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

long compute(long n) {
    return n * n;
}
long add(long a, long b) {
    return a + b;
}
void wait_for_stop() {
    while (!cairn::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
}

// A coroutine that nobody waits for.
struct detached {
    struct promise_type {
        detached get_return_object() noexcept { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() noexcept {}
        void unhandled_exception() noexcept { std::terminate(); }
    };
};
detached follow(cairn::future<long> f, std::atomic<long>& to) {
    to = co_await f;
}

// An executor of somebody else's.
struct at_once {
    template <typename Fn>
    cairn::future<void> submit(Fn fn) {
        cairn::synchronous_executor here;
        return here.submit(std::move(fn));
    }
    void shutdown() {}
};
static_assert(cairn::executor<at_once>);
static_assert(cairn::executor<cairn::thread_pool_executor>);
static_assert(cairn::executor<cairn::synchronous_executor>);
static_assert(cairn::executor<cairn::any_executor>);
static_assert(!cairn::executor<int>);

}  // namespace

TEST_CASE("process: every name") {
    default_signals();
    const cairn::manager m;
    const auto results = m.list<long>("results");
    cairn::process p{[&] { results.push_back(compute(3)); }};
    p.join();
    CHECK(p.exitcode() == 0);
    CHECK_FALSE(p.alive());
    CHECK_FALSE(p.error().has_value());
    CHECK(results.snapshot() == std::vector<long>{9});
    cairn::process named{{.name = "worker-1", .daemon = true},
                         [](long n) {
                             for (;;) ::sleep(static_cast<unsigned>(n));
                         },
                         100L};
    CHECK(named.name() == "worker-1");
    CHECK(named.pid() > 0);
    CHECK(named.alive());
    CHECK_FALSE(named.join_for(1ms));
    CHECK_FALSE(named.exitcode().has_value());
    named.terminate();
    pollfd until{named.sentinel(), POLLIN, 0};
    CHECK(::poll(&until, 1, static_cast<int>(watchdog.count())) == 1);
    CHECK(named.join_for(watchdog));
    CHECK(named.exitcode() == -SIGTERM);
    for (const int signal : {SIGKILL, SIGINT}) {
        cairn::process other{{.daemon = true}, [] {
                                 for (;;) ::pause();
                             }};
        if (signal == SIGKILL) other.kill();
        else other.interrupt();
        CHECK(other.join_for(watchdog));
        CHECK(other.exitcode() == -signal);
    }
    cairn::process throws{[] { throw std::runtime_error("in there"); }};
    cairn::process moved = std::move(throws);
    moved.join();
    CHECK(moved.exitcode() == 1);
    CHECK(moved.error()->type_name() == "std::runtime_error");
    CHECK(moved.error()->text() == "in there");
}

TEST_CASE("pool: every name") {
    CHECK(in_child([] {
              cairn::start_nursery({.keep = {STDERR_FILENO}});
              cairn::pool pool{8};
              const std::vector<long> r = pool.map(compute, std::views::iota(0, 8));
              CHILD_CHECK((r == std::vector<long>{0, 1, 4, 9, 16, 25, 36, 49}));
          }) == 0);
    int initialized = 0;
    cairn::pool pool{
        {.workers = 2, .initializer = [&initialized] { initialized = 7; }, .max_tasks_per_worker = 100}};
    CHECK(pool.apply([] { return cairn::this_worker::pid(); }) != ::getpid());
    CHECK(pool.apply(compute, 3L) == 9);
    CHECK(pool.apply_async(add, 3L, 4L).result(watchdog) == 7);
    CHECK(pool.map_async(compute, std::vector<long>{1, 2}).result(watchdog) == std::vector<long>{1, 4});
    std::size_t calls = 0;
    CHECK(pool.map(compute, std::vector<long>{1, 2, 3},
                   {.chunk_size = 1, .progress = [&](std::size_t, std::size_t) { ++calls; }}) ==
          std::vector<long>{1, 4, 9});
    CHECK(calls == 3);
    std::vector<long> in_order;
    for (const long each : pool.imap(compute, std::views::iota(0, 4))) in_order.push_back(each);
    CHECK(in_order == std::vector<long>{0, 1, 4, 9});
    long sum = 0;
    for (const long each : pool.imap_unordered(compute, std::views::iota(0, 4))) sum += each;
    CHECK(sum == 14);
    CHECK(pool.starmap(add, std::vector<std::pair<long, long>>{{1, 2}, {3, 4}}) == std::vector<long>{3, 7});
    const auto fails_at_2 = [](long n) {
        if (n == 2) throw no_paper("tray 2");
        return n;
    };
    auto each = pool.map(fails_at_2, std::views::iota(0, 4), {.collect = cairn::outcomes});
    static_assert(std::is_same_v<decltype(each), std::vector<cairn::outcome<long>>>);
    REQUIRE(each.size() == 4);
    CHECK(each[1].has_value());
    CHECK(each[1].value() == 1);
    CHECK_FALSE(each[2].has_value());
    CHECK_THROWS_AS(std::rethrow_exception(each[2].error()), no_paper);
    CHECK_THROWS_AS(pool.map(fails_at_2, std::views::iota(0, 4)), no_paper);
    pool.close();
    CHECK_THROWS_AS(pool.apply(compute, 3L), cairn::invalid_state);
    pool.join();
    cairn::pool other{1};
    const auto runs = other.apply_async([] { std::this_thread::sleep_for(100s); });
    other.terminate();
    other.join();
    CHECK(runs.done());
}

TEST_CASE("executors: every name") {
    cairn::thread_pool_executor threads{
        {.max_workers = 8, .check_and_reject = cairn::reject_when_reached(16)}};
    cairn::process_pool_executor processes{{.max_workers = 2, .retries = 1, .max_tasks_per_worker = 100}};
    cairn::synchronous_executor here;
    cairn::dynamic_thread_pool_executor dynamic;
    CHECK(dynamic.submit(compute, 2).result() == 4);
    dynamic.maintain();
    CHECK(here.submit(compute, 2).done());
    here.shutdown();
    here.restart();
    CHECK(here.submit(compute, 3).result() == 9);
    at_once strange;
    for (cairn::any_executor any :
         {cairn::any_executor(threads), cairn::any_executor(here), cairn::any_executor(strange)})
        CHECK(any.submit([] { return 5; }).result(watchdog) == 5);
    const auto each_executor = [&](auto& ex) {
        CHECK(ex.submit({.timeout = 100s, .retries = 3}, compute, 1000).result(watchdog) == 1'000'000);
        CHECK(ex.submit_after(1ms, compute, 4).result(watchdog) == 16);
        std::vector<long> all;
        for (const long each : ex.map(add, std::vector<long>{1, 2, 3}, std::vector<long>{4, 5}))
            all.push_back(each);
        for (const long each :
             ex.map({.timeout = 100s, .chunk_size = 4, .buffer_size = 64}, compute, std::vector<long>{1, 2}))
            all.push_back(each);
        CHECK(all == std::vector<long>{5, 7, 1, 4});
        CHECK(ex.alive());
        CHECK(ex.num_workers() >= 1);
        CHECK(ex.queue_size() == 0);
        CHECK(ex.get_num_idle_workers() <= ex.num_workers());
        const cairn::executor_statistics s = ex.statistics();
        CHECK(s.executed >= 4);
        CHECK(s.failures == 0);
        CHECK(s.cancelled == 0);
        CHECK(s.runtime.count() > 0);
        CHECK(s.average_runtime.count() > 0);
        CHECK(s.queue_time.count() + s.run_time.count() == doctest::Approx(s.runtime.count()));
        CHECK(s.rejected == 0);
        CHECK(s.retried == 0);
        CHECK(s.died == 0);
        std::ostringstream text;
        text << s;
        CHECK(text.str().find("<ExecutorStatistics object at 0x") == 0);
        // A worker that hears of the stop before its signal comes may return first.
        constexpr bool has_processes =
            std::is_same_v<std::decay_t<decltype(ex)>, cairn::process_pool_executor>;
        const auto runs =
            ex.submit(has_processes ? [] { std::this_thread::sleep_for(100s); } : wait_for_stop);
        REQUIRE(eventually([&] { return runs.running(); }));
        ex.terminate();
        if constexpr (has_processes) CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
        else CHECK_NOTHROW(runs.result(watchdog));
        ex.kill();
        CHECK(ex.submit(compute, 5).result(watchdog) == 25);
        ex.shutdown({.wait = true, .cancel_futures = false});
        ex.shutdown();
        CHECK_FALSE(ex.alive());
    };
    each_executor(threads);
    each_executor(processes);
}

TEST_CASE("futures: every name, of threads and of processes") {
    cairn::thread_pool_executor threads{2};
    cairn::process_pool_executor processes{2};
    const auto each_executor = [&](auto& ex) {
        const cairn::future<long> f = ex.submit(compute, 3);
        CHECK(f.valid());
        CHECK(f.result() == 9);
        CHECK(f.result(1s) == 9);
        CHECK(f.exception() == nullptr);
        CHECK(f.exception(1s) == nullptr);
        CHECK(f.done());
        CHECK_FALSE(f.running());
        CHECK_FALSE(f.cancelled());
        CHECK_FALSE(f.cancel());
        CHECK_FALSE(f.cancel(cairn::kill));
        std::atomic<long> from_callback{0};
        f.add_done_callback([&](const cairn::future<long>& done) { from_callback = done.result(); });
        CHECK(f.then([](const cairn::future<long>& done) { return done.result() + 1; }).result(watchdog) ==
              10);
        CHECK(f.then(threads, [](const cairn::future<long>& done) {
                   return done.result() + cairn::this_worker::id();
               }).result(watchdog) >= 9);
        std::atomic<long> from_coroutine{0};
        follow(f, from_coroutine);
        CHECK(eventually([&] { return from_coroutine == 9 && from_callback == 9; }));
        std::atomic<long> from_later{0};
        follow(ex.submit_after(10ms, compute, 4), from_later);
        CHECK(eventually([&] { return from_later == 16; }));
        cairn::future<std::string> text = ex.submit([] { return std::string("abc"); });
        CHECK(std::move(text).result() == "abc");

        std::vector<cairn::future<long>> fs;
        for (long i = 0; i < 5; ++i) fs.push_back(ex.submit(compute, i));
        long sum = 0;
        for (auto& each : cairn::as_completed(fs, watchdog)) sum += each.result();
        for (auto& each : cairn::as_completed(fs)) sum += each.result();
        CHECK(sum == 60);
        const auto [done, not_done] = cairn::wait(fs, cairn::all_completed, watchdog);
        CHECK(done.size() == 5);
        CHECK(not_done.empty());
        CHECK(cairn::wait(fs, cairn::first_completed).done.size() == 5);
        CHECK(cairn::wait(fs, cairn::first_exception).done.size() == 5);
        CHECK(cairn::wait(fs).done.size() == 5);
        CHECK(cairn::wait_for_all(fs).done.size() == 5);
        CHECK(cairn::wait_for_any(fs).done.size() == 5);
        CHECK(cairn::wait_for_all(fs, watchdog).done.size() == 5);
        CHECK(cairn::wait_for_any(fs, watchdog).done.size() == 5);
    };
    each_executor(threads);
    each_executor(processes);
}

TEST_CASE("options of a task, and what it can ask about itself: every name") {
    cairn::thread_pool_executor threads{2};
    cairn::process_pool_executor processes{2};
    const auto each_executor = [&](auto& ex) {
        const cairn::task_options all{.timeout = 100s,
                                      .grace = 1s,
                                      .retries = 2,
                                      .retry_if = [](const std::exception&) { return true; },
                                      .backoff = {1ms, 2ms},
                                      .expires = 100s,
                                      .priority = 3,
                                      .name = "report"};
        CHECK(ex.submit(all, [] {
                    if (cairn::this_task::attempt() < 3) throw std::runtime_error("not yet");
                    return cairn::this_task::attempt();
                }).result(watchdog) == 3);
        CHECK(ex.submit([] { return cairn::this_task::id(); }).result(watchdog) != 0);
        const auto asked = ex.submit([] {
            const std::stop_token stop = cairn::this_task::stop_token();
            while (!stop.stop_requested() || !cairn::this_task::stop_requested())
                std::this_thread::sleep_for(1ms);
            return 4;
        });
        REQUIRE(eventually([&] { return asked.running(); }));
        CHECK_FALSE(asked.cancel());
        CHECK(asked.result(watchdog) == 4);
        const int id = ex.submit([] { return cairn::this_worker::id(); }).result(watchdog);
        CHECK(id >= 0);
        CHECK(id < 2);
        // Of a name: in what it is said to be.
        const auto late = ex.submit({.timeout = 1ms, .name = "report"}, [] { wait_for_stop(); });
        try {
            late.result(watchdog);
            FAIL("it was in time");
        } catch (const cairn::timeout_error& e) {
            CHECK(std::string(e.what()).find("report") != std::string::npos);
        }
    };
    each_executor(threads);
    each_executor(processes);
    cairn::process_pool_executor bounded{{.max_workers = 1,
                                          .max_worker_memory = std::uint64_t{1} << 40U,
                                          .idle_timeout = 100s,
                                          .max_pending = 1,
                                          .when_full = cairn::when_full::reject,
                                          .timeout = 100s,
                                          .keep_orphans = true}};
    const auto runs = bounded.submit(wait_for_stop);
    REQUIRE(eventually([&] { return runs.running(); }));
    const auto waits = bounded.submit(compute, 1);
    CHECK_THROWS_AS(bounded.submit(compute, 2), cairn::rejected_submission);
    static_cast<void>(runs.cancel());
    CHECK(waits.result(watchdog) == 1);
    // Outside, as its end tells ThreadSanitizer that the exception is not read any more.
    const auto dies = bounded.submit([] { std::exit(3); });
    try {
        dies.result(watchdog);
        FAIL("it ended well");
    } catch (const cairn::worker_died& e) {
        CHECK(e.pid() > 0);
        CHECK(e.signal() == 0);
        CHECK(e.exitcode() == 3);
        CHECK(e.attempts() == 1);
        CHECK(e.worker_id() == 0);
        CHECK_FALSE(e.likely_oom());
    }
    CHECK(bounded.submit(cairn::by_value([n = 3L](long x) { return n * x; }), 4L).result(watchdog) == 12);
}

}  // namespace pool_surface_test
