// pool_nesting_test.cpp - tasks that submit to the pool that they run in.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <mutex>
#include <numeric>
#include <optional>
#include <random>
#include <streambuf>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pool_nesting_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(60s);

long fib(cairn::process_pool_executor ex, long n) {
    if (n < 2) return n;
    cairn::future<long> first = ex.submit(fib, ex, n - 1);
    const long second = fib(ex, n - 2);
    return first.result() + second;
}

std::vector<int> sorted(cairn::pool pool, std::vector<int> all) {
    if (all.size() < 200) {
        std::sort(all.begin(), all.end());
        return all;
    }
    const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
    auto left = pool.apply_async(sorted, pool, std::vector<int>(all.begin(), middle));
    auto right = pool.apply_async(sorted, pool, std::vector<int>(middle, all.end()));
    const std::vector<int> a = left.result();
    const std::vector<int> b = right.result();
    std::vector<int> merged(all.size());
    std::merge(a.begin(), a.end(), b.begin(), b.end(), merged.begin());
    return merged;
}

long square(long x) {
    return x * x;
}
long nap(long milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    return milliseconds;
}
void chain(cairn::process_pool_executor ex, cairn::list<long> marks, long n) {
    marks.push_back(n);
    nap(5);
    if (n != 0) ex.submit(chain, ex, marks, n - 1);
}
long flaky(cairn::list<long> l) {
    l.push_back(cairn::this_task::attempt());
    if (l.size() < 3) throw std::runtime_error("flaky");
    return 7;
}
std::timed_mutex of_a_worker;

}  // namespace

TEST_CASE("a task submits to its own pool and waits for that, to any depth, with any number of workers") {
    for (const int workers : {1, 2, 3}) {
        CAPTURE(workers);
        cairn::process_pool_executor ex(workers);
        CHECK(ex.submit(fib, ex, 10L).result(watchdog) == 55);
        const auto stats = ex.statistics();
        CHECK(stats.executed == 1);  // those of this process
    }
}

TEST_CASE("divide and conquer in a pool") {
    std::mt19937 random(7);  // NOLINT: the same each time
    std::vector<int> numbers(5000);
    for (int& each : numbers) each = static_cast<int>(random());
    std::vector<int> expected = numbers;
    std::sort(expected.begin(), expected.end());
    cairn::pool pool(2);
    CHECK(pool.apply_async(sorted, pool, numbers).result(watchdog) == expected);
}

TEST_CASE(
    "in a task, map and the waits for several futures work on the own pool, also where it has one worker") {
    cairn::pool pool(1);
    const auto by_map = [](cairn::pool own) {
        const std::vector<long> all = own.map(square, std::vector<long>{1, 2, 3, 4, 5});
        return std::accumulate(all.begin(), all.end(), 0L);
    };
    CHECK(pool.apply_async(by_map, pool).result(watchdog) == 55);
    const auto by_wait = [](cairn::pool own) {
        std::vector<cairn::future<long>> all;
        for (long i = 0; i < 20; ++i) all.push_back(own.apply_async(square, i));
        const auto [done, left] = cairn::wait_for_all(all);
        return done.size() + 100 * left.size();
    };
    CHECK(pool.apply_async(by_wait, pool).result(watchdog) == 20);
    const auto one_by_one = [](cairn::pool own) {
        std::vector<cairn::future<long>> all;
        for (long i = 0; i < 20; ++i) all.push_back(own.apply_async(square, i));
        long sum = 0;
        for (auto& each : cairn::as_completed(all)) sum += each.result();
        return sum;
    };
    CHECK(pool.apply_async(one_by_one, pool).result(watchdog) == 2470);
}

TEST_CASE("exceptions of a nested task arrive, a callback and then() run in the worker") {
    cairn::process_pool_executor ex(2);
    const auto throws = [](cairn::process_pool_executor own) -> std::string {
        auto f = own.submit([](int x) -> int { throw std::out_of_range("no " + std::to_string(x)); }, 7);
        try {
            f.result();
        } catch (const std::out_of_range& e) {
            return e.what();
        }
        return "nothing";
    };
    CHECK(ex.submit(throws, ex).result(watchdog) == "no 7");
    const auto continues = [](cairn::process_pool_executor own) {
        return own.submit(square, 6L).then([](cairn::future<long> f) { return f.result() + 1; }).result();
    };
    CHECK(ex.submit(continues, ex).result(watchdog) == 37);
}

TEST_CASE("what a task submits and does not wait for is done, also when its worker leaves") {
    const cairn::manager m;
    static std::optional<cairn::list<long>> marks;
    marks = m.list<long>("marks");
    {
        cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 1});
        for (long i = 0; i < 10; ++i) {
            ex.submit([](cairn::process_pool_executor own,
                         long x) { own.submit([](long y) { marks->push_back(y); }, x); },
                      ex, i);
        }
    }
    std::vector<long> all = marks->snapshot();
    std::sort(all.begin(), all.end());
    std::vector<long> expected(10);
    std::iota(expected.begin(), expected.end(), 0);
    CHECK(all == expected);
}

TEST_CASE("a worker that has left its pool touches it no more, however long its process takes to end") {
    // A worker writes out its streams before it leaves, and once more before its process ends.
    class slow_at_the_end final : public std::streambuf {
    public:
        std::optional<cairn::result<long>> kept;

    private:
        int sync() override {
            if (++calls_ != 2) return 0;
            kept.reset();  // is to be freed from now on, by whoever has it
            std::this_thread::sleep_for(1s);
            return 0;
        }
        int calls_ = 0;
    };
    static slow_at_the_end stream;
    cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 20});
    const auto leaves = [](cairn::process_pool_executor own) {
        const auto f = own.submit([] {
            cairn::result<long> r(3);
            for (std::size_t i = 0; i < 3; ++i) r[i] = 7;
            return r;
        });
        // By the other worker: what is run here leaves nothing in the pool.
        while (!f.running() && !f.done()) std::this_thread::sleep_for(1ms);
        stream.kept = f.result();
        static_cast<void>(own.submit_after(1h, square, 1L));  // something to wait for
        std::clog.rdbuf(&stream);
        return (*stream.kept)[2];
    };
    CHECK(ex.submit(leaves, ex).result(watchdog) == 7);
    // More at a time than there are places that were used before.
    constexpr long many = 400;
    const auto until = std::chrono::steady_clock::now() + 2s;
    for (long round = 0; std::chrono::steady_clock::now() < until; ++round) {
        std::vector<cairn::future<long>> all;
        for (int i = 0; i < 2; ++i) static_cast<void>(ex.submit(nap, 10L));
        for (long i = 0; i < many; ++i) all.push_back(ex.submit(square, round + i));
        for (long i = 0; i < many; ++i)
            REQUIRE(all[static_cast<std::size_t>(i)].result(watchdog) == (round + i) * (round + i));
    }
}

TEST_CASE("a worker is killed while it waits for what it has submitted: its task is tried again, nothing is "
          "left behind") {
    cairn::process_pool_executor ex({.max_workers = 2, .retries = 1});
    const auto outer = [](cairn::process_pool_executor own) {
        std::vector<cairn::future<long>> all;
        for (long i = 0; i < 50; ++i) all.push_back(own.submit(square, i));
        if (cairn::this_task::attempt() == 1) {
            all.front().result();
            ::kill(::getpid(), SIGKILL);
        }
        long sum = 0;
        for (const auto& each : all) sum += each.result();
        return sum;
    };
    CHECK(ex.submit(outer, ex).result(watchdog) == 40425);
    CHECK(ex.submit(square, 3L).result(watchdog) == 9);
}

TEST_CASE("a nested task dies: worker_died for who waits for it, or another attempt") {
    cairn::process_pool_executor ex(2);
    const auto outer = [](cairn::process_pool_executor own, int retries) -> int {
        auto f = own.submit({.retries = retries}, [] {
            if (cairn::this_task::attempt() == 1) ::kill(::getpid(), SIGKILL);
            return 5;
        });
        // Not before somebody else has it: it would be run here.
        while (!f.running() && !f.done()) std::this_thread::sleep_for(1ms);
        try {
            return f.result();
        } catch (const cairn::worker_died&) {
            return -1;
        }
    };
    CHECK(ex.submit(outer, ex, 0).result(watchdog) == -1);
    CHECK(ex.submit(outer, ex, 1).result(watchdog) == 5);
}

TEST_CASE("worker_died of a nested task that goes on through its waiter says the same") {
    cairn::process_pool_executor ex({.max_workers = 2, .retries = 2});
    const auto outer = [](cairn::process_pool_executor own) -> int {
        const auto f = own.submit([] {
            ::kill(::getpid(), SIGKILL);
            return 5;
        });
        while (!f.running() && !f.done()) std::this_thread::sleep_for(1ms);
        return f.result();
    };
    // Outside, as its end tells ThreadSanitizer that the exception is not read any more.
    const auto dies = ex.submit(outer, ex);
    try {
        static_cast<void>(dies.result(watchdog));
        FAIL("it should have thrown");
    } catch (const cairn::worker_died& e) {
        CHECK(e.signal() == SIGKILL);
        CHECK(e.exitcode() == -SIGKILL);
        CHECK(e.pid() > 0);
        CHECK(e.attempts() == 3);
        CHECK((e.worker_id() == 0 || e.worker_id() == 1));
    }
}

TEST_CASE("a worker does not end its pool, and says so") {
    cairn::process_pool_executor ex(1);
    const auto tries = [](cairn::process_pool_executor own) -> std::string {
        try {
            own.shutdown({});
        } catch (const cairn::invalid_state& e) {
            return e.what();
        }
        return "nothing";
    };
    CHECK(ex.submit(tries, ex).result(watchdog).find("one of its workers") != std::string::npos);
    CHECK(ex.submit(square, 4L).result(watchdog) == 16);
}

TEST_CASE("the handle of a pool that the worker does not know is refused, and the pool goes on") {
    cairn::process_pool_executor ex(1);
    cairn::process_pool_executor later(1);
    CHECK_THROWS_AS(ex.submit([](cairn::process_pool_executor) {}, later).result(watchdog), cairn::refused);
    CHECK(ex.submit(square, 4L).result(watchdog) == 16);
}

TEST_CASE("a handle that comes back is the same pool: it ends with the last of them") {
    std::optional<cairn::pool> pool(std::in_place, 1);
    std::optional<cairn::pool> same(pool->apply([](cairn::pool own) { return own; }, *pool));
    pool.reset();
    CHECK(same->apply(square, 5L) == 25);
}

TEST_CASE("a worker that leaves writes its output first, and takes no results of others meanwhile") {
    // Its last output waits for a reader of a full pipe; its collector thread is there still.
    CHECK(in_child([] {
              int ends[2];
              CHILD_CHECK(::pipe(ends) == 0);
              ::fcntl(ends[1], F_SETFL, O_NONBLOCK);
              const std::string filling(4096, 'z');
              while (::write(ends[1], filling.data(), filling.size()) > 0) {}
              ::fcntl(ends[1], F_SETFL, 0);
              ::dup2(ends[1], 1);
              cairn::process_pool_executor ex({.max_workers = 3, .max_tasks_per_worker = 1});
              const auto leaves = [](cairn::process_pool_executor own) {
                  own.submit(nap, 1500L);
                  std::printf("%s", std::string(3000, 'x').c_str());
                  return 1;
              };
              CHILD_CHECK(ex.submit(leaves, ex).result(watchdog) == 1);
              const auto waits = [](cairn::process_pool_executor own, long n) {
                  const auto f = own.submit(square, n);
                  nap(20);
                  return f.result(watchdog);
              };
              for (long i = 0; i < 12; ++i) CHILD_CHECK(ex.submit(waits, ex, i).result(watchdog) == i * i);
              ::_exit(0);
          }) == 0);
}

TEST_CASE("who waits for a task that another worker runs does not run others meanwhile, if somebody could") {
    cairn::process_pool_executor ex(2);
    const auto outer = [](cairn::process_pool_executor own) {
        const auto first = own.submit(nap, 200L);
        while (!first.running()) nap(1);
        const auto second = own.submit([] {
            if (!of_a_worker.try_lock_for(5s)) return false;
            of_a_worker.unlock();
            return true;
        });
        {
            const std::lock_guard held(of_a_worker);
            first.result();
        }
        return second.result();
    };
    CHECK(ex.submit(outer, ex).result(watchdog));
}

TEST_CASE("kill, terminate and the end by an exception reach what workers have submitted") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        marks.clear();
        try {
            cairn::process_pool_executor ex(2);
            for (int i = 0; i < 3; ++i) ex.submit(chain, ex, marks, 1'000'000L);
            while (marks.size() < 20) nap(1);
            if (how == 2) throw std::runtime_error("out of here");
            if (how == 0) ex.kill();
            else ex.terminate();
            const std::size_t before = marks.size();
            CHECK(ex.submit(square, 3L).result(watchdog) == 9);
            nap(50);
            CHECK(marks.size() <= before + 2);  // those that were on their way
            CHECK(ex.queue_size() == 0);
        } catch (const std::runtime_error&) {}
    }
}

TEST_CASE("a task that its waiter runs is tried again after exceptions, and sees a request to stop") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    cairn::process_pool_executor ex(1);
    const auto outer = [](cairn::process_pool_executor own, cairn::list<long> l) {
        const cairn::task_options again{
            .retries = 5, .retry_if = [](const std::exception&) { return true; }, .backoff = {1ms, 2ms}};
        return own.submit(again, flaky, l).result();
    };
    CHECK(ex.submit(outer, ex, marks).result(watchdog) == 7);
    CHECK(marks.snapshot() == std::vector<long>{1, 2, 3});
    const auto asks = [](cairn::process_pool_executor own) {
        return own
            .submit([] {
                while (!cairn::this_task::stop_requested()) nap(1);
                return 5;
            })
            .result();
    };
    const auto f = ex.submit(asks, ex);
    while (!f.running()) nap(1);
    nap(20);
    CHECK_FALSE(f.cancel());
    CHECK(f.result(watchdog) == 5);
}

TEST_CASE("waiting inside an operation for a task that this thread may have to run is would_deadlock") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    cairn::process_pool_executor ex(1);
    const auto inside = [](cairn::process_pool_executor own, cairn::list<long> list) {
        const auto f = own.submit(square, 3L);
        try {
            list.transaction([&](auto&&...) { static_cast<void>(f.result()); });
        } catch (const cairn::would_deadlock&) {
            return f.result();
        }
        return -1L;
    };
    CHECK(ex.submit(inside, ex, l).result(watchdog) == 9);
}

TEST_CASE("a child that is forked in a task which its waiter runs does not go on in the outer one") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    cairn::process_pool_executor ex(1);
    const auto outer = [](cairn::process_pool_executor own, cairn::list<long> l) {
        const int result = own.submit([] {
                                  static_cast<void>(::fork());
                                  return 4;
                              })
                               .result();
        l.push_back(result);
        return result;
    };
    CHECK(ex.submit(outer, ex, marks).result(watchdog) == 4);
    nap(50);
    CHECK(marks.size() == 1);
}

TEST_CASE("tasks of workers are done at once also when the pool is shut down meanwhile") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    const auto begin = std::chrono::steady_clock::now();
    {
        cairn::process_pool_executor ex(3);
        ex.submit(chain, ex, marks, 30L);
    }
    CHECK(marks.size() == 31);
    // And not after a look of the nursery each, a second later.
    CHECK(std::chrono::steady_clock::now() - begin < patiently(10s));
}

TEST_CASE("a chain of tasks goes on from worker to worker, each of which leaves after one") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 1});
    ex.submit(chain, ex, marks, 60L).result(watchdog);
    for (const auto until = std::chrono::steady_clock::now() + watchdog;
         marks.size() != 61 && std::chrono::steady_clock::now() < until;)
        nap(1);
    CHECK(marks.size() == 61);
    CHECK(ex.submit(square, 3L).result(watchdog) == 9);
}

}  // namespace pool_nesting_test
