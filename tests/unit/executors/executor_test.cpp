// executor_test.cpp - what executors have in common: the concept, statistics, map, any_executor, synchronous_executor.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <functional>
#include <iterator>
#include <memory>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/executor.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace executor_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// Of somebody else: runs everything in a thread of its own.
struct strange_executor {
    template <typename Fn>
    auto submit(Fn&& fn) {
        return inner.submit(std::forward<Fn>(fn));
    }
    void shutdown() { inner.shutdown(); }
    cairn::thread_pool_executor inner{1};
};

// Keeps what it is given until told, and may refuse.
struct forgetful_executor {
    cairn::future<void> submit(const std::function<void()>& fn) {
        if (refuses) throw std::length_error("full");
        kept.push_back(fn);
        return {};
    }
    void shutdown() {}
    std::vector<std::function<void()>> kept;
    bool refuses = false;
};

struct not_an_executor {
    void submit(int) {}
};

static_assert(cairn::executor<cairn::thread_pool_executor>);
static_assert(cairn::executor<cairn::dynamic_thread_pool_executor>);
static_assert(cairn::executor<cairn::synchronous_executor>);
static_assert(cairn::executor<cairn::any_executor>);
static_assert(cairn::executor<strange_executor>);
static_assert(!cairn::executor<not_an_executor>);
static_assert(!std::is_copy_constructible_v<cairn::thread_pool_executor>);
static_assert(std::is_copy_constructible_v<cairn::any_executor>);

long square(int n) {
    return static_cast<long>(n) * n;
}

}  // namespace

TEST_CASE("the synchronous executor calls in the caller, before submit returns") {
    cairn::synchronous_executor ex;
    std::thread::id where;
    const auto f = ex.submit([&] { where = std::this_thread::get_id(); });
    CHECK(f.done());
    CHECK(where == std::this_thread::get_id());
    CHECK(ex.submit(square, 3).result() == 9);
    CHECK_THROWS_AS(ex.submit([] { throw std::runtime_error("x"); }).result(), std::runtime_error);
    CHECK(ex.statistics().executed == 3);
    CHECK(ex.statistics().failures == 1);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(ex.submit_after(10ms, [] { return 1; }).done());
    CHECK(std::chrono::steady_clock::now() - begin >= 10ms);
    ex.shutdown();
    CHECK_FALSE(ex.alive());
    CHECK_THROWS_AS(ex.submit([] {}), cairn::invalid_state);
    ex.restart();
    CHECK(ex.statistics().executed == 0);
    CHECK(ex.submit([] { return 2; }).result() == 2);
}

TEST_CASE("statistics print as futurist's") {
    cairn::executor_statistics s;
    s.failures = 1;
    s.executed = 8;
    s.runtime = std::chrono::duration<double>(0.114);
    s.cancelled = 2;
    std::ostringstream out;
    out.precision(10);
    out << s;
    std::ostringstream address;
    address << static_cast<const void*>(&s);
    CHECK(out.str() == "<ExecutorStatistics object at " + address.str() +
                           " (failures=1, executed=8, runtime=0.11, cancelled=2)>");
}

TEST_CASE("runtime includes the time in the queue, and says how it is made up") {
    door hold;
    cairn::thread_pool_executor ex{1};
    std::vector<cairn::future<void>> fs;
    fs.push_back(ex.submit([&] { CHECK(hold.pass()); }));
    for (int i = 0; i < 3; ++i) fs.push_back(ex.submit([] { std::this_thread::sleep_for(20ms); }));
    hold.open();  // all of them are in the queue by now
    cairn::wait_for_all(fs);
    const auto s = ex.statistics();
    CHECK(s.executed == 4);
    CHECK(s.run_time >= 59ms);
    CHECK(s.runtime >= 119ms);  // 20 + 40 + 60
    CHECK(s.queue_time >= 59ms);
    CHECK(s.average_runtime >= 29ms);
    CHECK(cairn::thread_pool_executor().statistics().average_runtime.count() == 0);
}

TEST_CASE("map keeps the order, ends with the shortest range, and takes several") {
    cairn::thread_pool_executor ex{2};
    std::vector<long> squares;
    for (const long each : ex.map(square, std::views::iota(0, 100))) squares.push_back(each);
    REQUIRE(squares.size() == 100);
    for (std::size_t i = 0; i < 100; ++i) CHECK(squares[i] == square(static_cast<int>(i)));

    const std::vector<std::string> words{"a", "b", "c"};
    std::string joined;
    for (const auto& each : ex.map([](const std::string& w, int n) { return w + std::to_string(n); }, words,
                                   std::views::iota(1)))
        joined += each;
    CHECK(joined == "a1b2c3");
    int count = 0;
    for (cairn::no_result each : ex.map([](int) {}, std::vector{1, 2}))
        count += each == cairn::no_result{} ? 1 : 0;
    CHECK(count == 2);
    std::vector<bool> even;
    for (const bool each : ex.map(
             {.chunk_size = 3}, [](int n) { return n % 2 == 0; }, std::views::iota(0, 4)))
        even.push_back(each);
    CHECK(even == std::vector<bool>{true, false, true, false});
}

TEST_CASE("map without a buffer submits all, and they run though nobody reads") {
    std::atomic<int> calls{0};
    {
        cairn::thread_pool_executor ex{2};
        static_cast<void>(ex.map([&](int) { ++calls; }, std::views::iota(0, 50)));
    }
    CHECK(calls == 50);
}

TEST_CASE("map with a buffer reads the input only as results are taken") {
    cairn::thread_pool_executor ex{2};
    int read = 0;
    const auto counted = std::views::iota(0) | std::views::transform([&](int i) {
                             ++read;
                             return i;
                         });
    auto results = ex.map({.buffer_size = 4}, square, counted);
    CHECK(read == 4);
    for (int i = 0; i < 20; ++i) CHECK(results.next() == square(i));
    CHECK(read == 24);
}

TEST_CASE("map keeps values where a range yields proxies, and the range may go") {
    cairn::thread_pool_executor ex{1};
    door hold;
    const auto first = ex.submit([&] { CHECK(hold.pass()); });
    auto results = [&] {
        // Without a buffer all of it is read by the call, and the range is gone after it.
        auto all = ex.map(
            [](auto b) {
                static_assert(std::is_same_v<decltype(b), bool>);
                return !b;
            },
            std::vector<bool>{true, false, true});
        std::vector<bool> other(64, true);  // where that was
        return all;
    }();
    hold.open();
    std::vector<int> got;
    for (const bool each : results) got.push_back(each ? 1 : 0);
    CHECK(got == std::vector{0, 1, 0});
}

TEST_CASE("map submits an item before it reads on") {
    cairn::synchronous_executor ex;  // calls when it submits
    int calls = 0;
    std::istringstream words("1 2 3");
    struct counting {
        using value_type = int;
        using difference_type = std::ptrdiff_t;
        using iterator_category = std::input_iterator_tag;
        using reference = int;
        using pointer = void;
        int at;
        int* calls;
        int operator*() const { return at; }
        counting& operator++() {
            CHECK(*calls == at + 1);
            ++at;
            return *this;
        }
        void operator++(int) { ++*this; }
        bool operator==(const counting& other) const { return at == other.at; }
    };
    struct range {
        int* calls;
        [[nodiscard]] counting begin() const { return {0, calls}; }
        [[nodiscard]] counting end() const { return {3, calls}; }
    };
    int sum = 0;
    for (const int each : ex.map(
             [&](int n) {
                 ++calls;
                 return n;
             },
             range{&calls}))
        sum += each;
    CHECK(sum == 3);
    CHECK(calls == 3);
    sum = 0;
    for (const int each :
         ex.map([](int n) { return n; },
                std::ranges::subrange(std::istream_iterator<int>(words), std::istream_iterator<int>())))
        sum += each;
    CHECK(sum == 6);
}

TEST_CASE("map has at most as many items submitted as its buffer, also in larger or uneven chunks") {
    cairn::synchronous_executor ex;
    for (const std::ptrdiff_t chunk : {1, 3, 4, 100}) {
        CAPTURE(chunk);
        int read = 0;
        auto results = ex.map({.chunk_size = chunk, .buffer_size = 4}, square,
                              std::views::iota(0, 50) | std::views::transform([&](int i) {
                                  ++read;
                                  return i;
                              }));
        for (int i = 0; i < 50; ++i) {
            CHECK(read <= i + 4);
            CHECK(results.next() == square(i));
        }
        CHECK_FALSE(results.next().has_value());
        CHECK(read == 50);
    }
}

TEST_CASE("map gives the results before it throws what its input throws") {
    cairn::synchronous_executor ex;
    auto results = ex.map({.buffer_size = 2}, square, std::views::iota(0) | std::views::transform([](int i) {
                                                          if (i == 3) throw std::runtime_error("three");
                                                          return i;
                                                      }));
    CHECK(results.next() == 0);
    CHECK(results.next() == 1);
    CHECK(results.next() == 4);
    CHECK_THROWS_WITH_AS(results.next(), "three", std::runtime_error);
    CHECK_FALSE(results.next().has_value());
}

TEST_CASE("map says so where an endless range would be read to its end, and to numbers that make no sense") {
    cairn::thread_pool_executor ex{1};
    CHECK_THROWS_AS(static_cast<void>(ex.map(square, std::views::iota(0))), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(ex.map({.chunk_size = 0}, square, std::vector{1})),
                    cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(ex.map({.buffer_size = 0}, square, std::vector{1})),
                    cairn::invalid_argument);
}

TEST_CASE("map throws at the item that threw, after the results before it, and then ends") {
    cairn::thread_pool_executor ex{2};
    for (const std::ptrdiff_t chunk : {1, 4}) {
        CAPTURE(chunk);
        auto results = ex.map(
            {.chunk_size = chunk},
            [](int n) {
                if (n == 5) throw std::runtime_error("five");
                return n;
            },
            std::views::iota(0, 10));
        for (int i = 0; i < 5; ++i) CHECK(results.next() == i);
        CHECK_THROWS_WITH_AS(results.next(), "five", std::runtime_error);
        CHECK_FALSE(results.next().has_value());
    }
}

TEST_CASE("map cancels what has not started when an item throws, or its time is up") {
    door hold;
    cairn::thread_pool_executor ex{1};
    std::atomic<int> calls{0};
    auto results = ex.map(
        {.timeout = 10ms},
        [&](int) {
            ++calls;
            CHECK(hold.pass());
        },
        std::views::iota(0, 10));
    REQUIRE(hold.wait_for_arrivals(1));
    CHECK_THROWS_AS(results.next(), cairn::timeout_error);
    hold.open();
    ex.shutdown();
    CHECK(calls == 1);
    CHECK(ex.statistics().cancelled == 9);
}

TEST_CASE("any_executor refers to ours and to others, and can be copied") {
    cairn::thread_pool_executor pool{1};
    cairn::synchronous_executor here;
    strange_executor strange;
    std::vector<cairn::any_executor> all{pool, here, strange};
    for (cairn::any_executor& each : all) CHECK(each.submit(square, 4).result() == 16);
    CHECK(pool.statistics().executed == 1);
    CHECK(eventually(
        [&] { return strange.inner.statistics().executed == 1; }));  // counts it for itself, a little later
    CHECK_THROWS_AS(all[2].submit({.name = "x"}, square, 1), cairn::invalid_argument);
    all[2] = all[1];
    CHECK(all[2].submit(square, 2).result() == 4);
    CHECK(here.statistics().executed == 2);
    CHECK(all[0]
              .submit([] { return 1; })
              .then(strange, [](const auto& f) { return f.result() + 1; })
              .result() == 2);
    all[0].shutdown();
    CHECK_THROWS_AS(pool.submit([] {}), cairn::invalid_state);
    cairn::any_executor owning(std::make_shared<strange_executor>());
    CHECK(owning.submit(square, 5).result() == 25);
}

TEST_CASE("what an executor of somebody else drops undone is cancelled, what it refuses throws") {
    forgetful_executor forgetful;
    cairn::any_executor any(forgetful);
    const auto done = any.submit(square, 3);
    const auto dropped = any.submit(square, 4);
    forgetful.kept.front()();
    forgetful.kept.clear();
    CHECK(done.result() == 9);
    REQUIRE(eventually([&] { return dropped.done(); }));
    CHECK(dropped.cancelled());
    cairn::synchronous_executor here;
    const auto first = here.submit([] {});
    forgetful.refuses = true;
    CHECK_THROWS_AS(any.submit(square, 5), std::length_error);
    const auto refused = first.then(any, [](const auto&) {});
    CHECK_THROWS_AS(refused.result(executor_watchdog), std::length_error);
}

TEST_CASE("any_executor outlives its executor, and then says that it is shut down") {
    auto pool = std::make_unique<cairn::thread_pool_executor>(1);
    cairn::any_executor any(*pool);
    pool.reset();
    CHECK_FALSE(any.alive());
    CHECK_THROWS_AS(any.submit([] {}), cairn::invalid_state);
}

TEST_CASE("rejection: the n-th waiting task is accepted, the next one refused with futurist's words") {
    door hold;
    cairn::thread_pool_executor ex{{.max_workers = 1, .check_and_reject = cairn::reject_when_reached(1)}};
    const auto first = ex.submit([&] { CHECK(hold.pass()); });
    const auto second = ex.submit([] { return 2; });
    CHECK_THROWS_WITH_AS(ex.submit([] {}), "Current backlog 1 is not allowed to go beyond 1",
                         cairn::rejected_submission);
    CHECK(ex.statistics().rejected == 1);
    REQUIRE(hold.wait_for_arrivals(1));
    CHECK(ex.queue_size() == 1);
    hold.open();
    CHECK(second.result() == 2);
    CHECK(ex.submit([] { return 3; }).result() == 3);
    // A free thread is no backlog, however fast tasks come.
    for (int i = 0; i < 1000; ++i) ex.submit([] {}).result();
    CHECK(ex.statistics().executed == 1003);
}

TEST_CASE("a check may throw what it likes, and may use the executor") {
    std::size_t seen = 99;
    door hold;
    cairn::thread_pool_executor ex{
        {.max_workers = 1, .check_and_reject = [&](const cairn::any_executor& asked, std::size_t backlog) {
             seen = backlog;
             if (asked.queue_size() > 0) throw std::length_error("mine");
         }}};
    const auto first = ex.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    const auto second = ex.submit([] {});
    CHECK(seen == 0);
    CHECK_THROWS_AS(ex.submit([] {}), std::length_error);
    CHECK(seen == 1);
    hold.open();
}

}  // namespace executor_test
