// pool_test.cpp - process_pool_executor and pool: what travels, in both directions.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <map>
#include <numeric>
#include <optional>
#include <ranges>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <tuple>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include <cairn/fields.hpp>
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/pool.hpp>
#include <cairn/queue.hpp>

namespace pool_test {

struct out_of_paper : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct unknown_here : std::logic_error {
    using std::logic_error::logic_error;
};
struct late : std::runtime_error {
    using std::runtime_error::runtime_error;
};
struct with_code : std::exception {
    with_code() = default;
    with_code(std::string what, int number) : text(std::move(what)), code(number) {}
    [[nodiscard]] const char* what() const noexcept override { return text.c_str(); }
    std::string text;
    int code = 0;
};
CAIRN_FIELDS(with_code, text, code)
struct point {
    int x;
    std::string name;
    int sum(int more) const { return x + more; }
};
CAIRN_FIELDS(point, x, name)

}  // namespace pool_test

CAIRN_EXCEPTION(pool_test::out_of_paper)
CAIRN_EXCEPTION(pool_test::with_code)

namespace pool_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

long square(long x) {
    return x * x;
}
long add(long a, long b) {
    return a + b;
}

template <typename Future>
std::string what_of(const Future& f) {
    try {
        f.result();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "nothing was thrown";
}

}  // namespace

TEST_CASE("functions, lambdas without captures, by_value, members and function objects travel") {
    cairn::process_pool_executor ex(2);
    CHECK(ex.submit(square, 12).result() == 144);
    CHECK(ex.submit(&square, 12L).result() == 144);
    CHECK(ex.submit([](int a, int b) { return a - b; }, 5, 3).result() == 2);
    int scale = 7;
    CHECK(ex.submit(cairn::by_value([scale](int x) { return x * scale; }), 6).result() == 42);
    CHECK(ex.submit(&point::sum, point{40, "p"}, 2).result() == 42);
    CHECK(ex.submit(std::plus<>(), 1.5, 2.5).result() == 4.0);
    const pid_t pid = ex.submit([] { return ::getpid(); }).result();
    CHECK(pid != ::getpid());
}

TEST_CASE("arguments and results of any element type and any size travel") {
    cairn::process_pool_executor ex(2);
    CHECK(ex.submit([](std::string s) { return s + "!"; }, "literal").result() == "literal!");
    CHECK(ex.submit([](const std::string& s) { return s.size(); }, std::string_view("view")).result() == 4);
    const std::map<std::string, std::vector<int>> tree = {{"a", {1, 2}}, {"b", {}}};
    CHECK(ex.submit([](std::map<std::string, std::vector<int>> m) { return m; }, tree).result() == tree);
    const auto p = ex.submit(
                         [](point q) {
                             return point{q.x + 1, q.name + q.name};
                         },
                         point{1, "ab"})
                       .result();
    CHECK(p.x == 2);
    CHECK(p.name == "abab");
    CHECK(ex.submit([](std::optional<int> o) { return o; }, std::optional<int>()).result() == std::nullopt);
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{47}, std::size_t{48}, std::size_t{49},
                                    std::size_t{5000}, std::size_t{300000}, std::size_t{5000000}}) {
        CAPTURE(bytes);
        const std::string text(bytes, 'x');
        CHECK(ex.submit([](std::string s) { return s; }, text).result() == text);
    }
    CHECK_NOTHROW(ex.submit([](int) {}, 1).result());
}

TEST_CASE("exceptions arrive as what they are, or with type and text") {
    cairn::process_pool_executor ex(1);
    CHECK_THROWS_WITH_AS(ex.submit([] { throw std::out_of_range("too far"); }).result(), "too far",
                         std::out_of_range);
    CHECK_THROWS_WITH_AS(ex.submit([] { throw out_of_paper("tray 2"); }).result(), "tray 2", out_of_paper);
    CHECK_THROWS_AS(ex.submit([] { throw std::bad_alloc(); }).result(), std::bad_alloc);
    CHECK_THROWS_WITH_AS(ex.submit([] { throw cairn::key_error("get dict: no key"); }).result(),
                         "get dict: no key", cairn::key_error);
    try {
        ex.submit([] { throw std::system_error(ENOENT, std::generic_category(), "open x"); }).result();
        FAIL("nothing was thrown");
    } catch (const std::system_error& e) {
        CHECK(e.code() == std::errc::no_such_file_or_directory);
        CHECK(std::string(e.what()) == std::system_error(ENOENT, std::generic_category(), "open x").what());
    }
    try {
        ex.submit([] { throw unknown_here("what it says"); }).result();
        FAIL("nothing was thrown");
    } catch (const cairn::remote_error& e) {
        CHECK(e.type_name() == "pool_test::unknown_here");
        CHECK(e.text() == "what it says");
    }
    CHECK(what_of(ex.submit([] { throw 42; })) == "unknown: a thrown int: 42");
    // One that cannot be encoded spoils nothing: the worker is the same.
    const int before = ex.submit([] { return static_cast<int>(::getpid()); }).result();
    CHECK(ex.submit([] { return static_cast<int>(::getpid()); }).result() == before);
}

TEST_CASE("exceptions with fields, of other workers, and those that are known only where they arrive") {
    cairn::process_pool_executor ex(1);
    try {
        ex.submit([] { throw with_code("text", 7); }).result();
        FAIL("nothing was thrown");
    } catch (const with_code& e) {
        CHECK(e.code == 7);
    }
    CHECK_THROWS_AS(ex.submit([] { throw cairn::worker_died("of another pool"); }).result(),
                    cairn::worker_died);
    try {
        ex.submit([] { throw cairn::remote_error("their::type", "their text"); }).result();
        FAIL("nothing was thrown");
    } catch (const cairn::remote_error& e) {
        CHECK(e.type_name() == "their::type");
        CHECK(e.text() == "their text");
    }
    CHECK(cairn::detail::registered_exception<late>::now());  // after the workers were forked
    CHECK_THROWS_WITH_AS(ex.submit([] { throw late("too late"); }).result(), "too late", late);
}

TEST_CASE("each future has an exception of its own") {
    cairn::process_pool_executor ex(1);
    const auto a = ex.submit([] { throw std::runtime_error("x"); });
    const auto b = ex.submit([] { throw std::runtime_error("x"); });
    CHECK(a.exception() != nullptr);
    CHECK(a.exception() != b.exception());
}

TEST_CASE("futures of processes have all that futures have") {
    cairn::process_pool_executor ex(2);
    const auto f = ex.submit(square, 3);
    CHECK(f.then([](cairn::future<long> done) { return done.result() + 1; }).result() == 10);
    std::atomic<int> called{0};
    f.add_done_callback([&](const cairn::future<long>& done) { called = static_cast<int>(done.result()); });
    std::vector<cairn::future<long>> all;
    for (long i = 0; i < 20; ++i) all.push_back(ex.submit(square, i));
    long sum = 0;
    for (const auto& each : cairn::as_completed(all)) sum += each.result();
    CHECK(sum == 2470);
    CHECK(cairn::wait(all).not_done.empty());
    while (called == 0) std::this_thread::yield();
    CHECK(called == 9);
    const auto slow = ex.submit([] { std::this_thread::sleep_for(300ms); });
    CHECK_THROWS_AS(slow.result(1ms), cairn::timeout_error);
    CHECK_NOTHROW(slow.result());
    CHECK(slow.done());
}

TEST_CASE("a task is pending, running, finished; one that waits can be cancelled") {
    cairn::process_pool_executor ex(1);
    const auto first = ex.submit([] {
        while (!cairn::this_task::stop_requested()) std::this_thread::sleep_for(1ms);
        return 7;
    });
    const auto second = ex.submit([] { return 8; });
    while (!first.running()) std::this_thread::sleep_for(1ms);
    CHECK_FALSE(second.running());
    CHECK_FALSE(second.done());
    CHECK(second.cancel());
    CHECK(second.cancelled());
    CHECK_THROWS_AS(second.result(), cairn::cancelled_error);
    CHECK_FALSE(first.cancel());  // asks it to stop
    CHECK(first.result() == 7);
    CHECK(ex.statistics().cancelled == 1);
    CHECK(ex.statistics().executed == 1);
}

TEST_CASE("priorities, delays and expiry") {
    cairn::process_pool_executor ex(1);
    const auto begin = std::chrono::steady_clock::now();
    const auto busy = ex.submit([] { std::this_thread::sleep_for(200ms); });
    while (!busy.running()) std::this_thread::sleep_for(1ms);
    const auto expired = ex.submit({.expires = 20ms}, [] { return 1; });
    const auto low = ex.submit({.priority = -1}, [] { return cairn::this_task::id(); });
    const auto normal = ex.submit([] { return cairn::this_task::id(); });
    const auto high = ex.submit({.priority = 1}, [] { return cairn::this_task::id(); });
    const auto later = ex.submit_after(300ms, [] { return 5; });
    const auto never = ex.submit_after(10h, [] { return 6; });
    CHECK_THROWS_AS(expired.result(), cairn::timeout_error);
    // Ids are given at submit: what is asked is the order in which they were done.
    std::vector<cairn::future<std::uint64_t>> order;
    for (const auto& each : cairn::as_completed(std::vector{low, normal, high})) order.push_back(each);
    CHECK(order[0].result() == high.result());
    CHECK(order[1].result() == normal.result());
    CHECK(order[2].result() == low.result());
    CHECK(later.result() == 5);
    CHECK(std::chrono::steady_clock::now() - begin >= 300ms);
    CHECK(never.cancel());
}

TEST_CASE("map keeps the order; chunks, several ranges, endless ones") {
    cairn::process_pool_executor ex(2);
    std::vector<long> got;
    for (const long r : ex.map(square, std::views::iota(0L, 10L))) got.push_back(r);
    CHECK(got == std::vector<long>{0, 1, 4, 9, 16, 25, 36, 49, 64, 81});
    got.clear();
    for (const long r : ex.map({.chunk_size = 3}, add, std::vector<long>{1, 2, 3, 4}, std::views::iota(10L)))
        got.push_back(r);
    CHECK(got == std::vector<long>{11, 13, 15, 17});
    got.clear();
    for (const long r : ex.map({.chunk_size = 2, .buffer_size = 8}, square, std::views::iota(0L))) {
        got.push_back(r);
        if (got.size() == 50) break;
    }
    CHECK(got.back() == 49 * 49);
    CHECK_THROWS_AS(static_cast<void>(ex.map(square, std::views::iota(0L))), cairn::invalid_argument);
    auto results = ex.map(
        {.chunk_size = 4}, [](int x) { return x == 2 ? throw out_of_paper("two") : x; },
        std::views::iota(0, 8));
    CHECK(results.next() == 0);
    CHECK(results.next() == 1);
    CHECK_THROWS_AS(results.next(), out_of_paper);
}

TEST_CASE("pool: map, starmap, apply, imap, imap_unordered, map_async") {
    cairn::pool pool(2);
    CHECK(pool.map(square, std::views::iota(0L, 8L)) == std::vector<long>{0, 1, 4, 9, 16, 25, 36, 49});
    CHECK(pool.map(square, std::vector<long>()).empty());
    CHECK(pool.starmap(add, std::vector<std::pair<long, long>>{{1, 2}, {3, 4}}) == std::vector<long>{3, 7});
    CHECK(pool.starmap([](int a, std::string b) { return b + std::to_string(a); },
                       std::vector<std::tuple<int, std::string>>{{1, "a"}}) ==
          std::vector<std::string>{"a1"});
    CHECK(pool.starmap([](int a, int b) { return a + b; }, std::map<int, int>{{1, 2}}) ==
          std::vector<int>{3});
    CHECK(pool.starmap_async(add, std::vector<std::pair<long, long>>{{1, 2}}).result() ==
          std::vector<long>{3});
    CHECK_THROWS_AS(pool.map(square, std::views::iota(0L)), cairn::invalid_argument);
    CHECK(pool.apply(add, 2, 3) == 5);
    CHECK(pool.apply_async(add, 2, 3).result() == 5);
    CHECK(pool.map_async(square, std::vector<long>{2, 3}).result() == std::vector<long>{4, 9});
    CHECK(pool.map_async(square, std::vector<long>()).result().empty());
    std::vector<long> got;
    for (const long r : pool.imap(square, std::views::iota(0L))) {
        got.push_back(r);
        if (got.size() == 20) break;
    }
    CHECK(got[19] == 361);
    long sum = 0;
    for (const long r : pool.imap_unordered(square, std::views::iota(0L, 100L), {.chunk_size = 7})) sum += r;
    CHECK(sum == 328350);
    // A forward range of unknown length, as a filter gives it.
    CHECK(pool.map(square, std::views::iota(0L, 6L) | std::views::filter([](long x) {
                               return x % 2 == 1;
                           })) == std::vector<long>{1, 9, 25});
}

TEST_CASE("map takes items that are listed in place") {
    cairn::pool pool(2);
    CHECK(pool.map([](long x) { return 2 * x; }, {1L, 2L, 3L}) == std::vector<long>{2, 4, 6});
    CHECK(pool.map([](const std::string& text) { return text.size(); }, {"a", "bc"}, {.chunk_size = 1}) ==
          std::vector<std::size_t>{1, 2});
}

TEST_CASE("map throws the first failure in order, after all items have ended; outcomes say each") {
    cairn::pool pool(2);
    const auto fail_at = [](int x) { return x == 5 || x == 2 ? throw out_of_paper(std::to_string(x)) : x; };
    CHECK_THROWS_WITH_AS(pool.map(fail_at, std::views::iota(0, 8), {.chunk_size = 1}), "2", out_of_paper);
    const auto each = pool.map(fail_at, std::views::iota(0, 8), {.collect = cairn::outcomes});
    REQUIRE(each.size() == 8);
    for (int i = 0; i < 8; ++i) {
        CHECK(each[static_cast<std::size_t>(i)].has_value() == (i != 2 && i != 5));
        if (i != 2 && i != 5) CHECK(each[static_cast<std::size_t>(i)].value() == i);
    }
    CHECK_THROWS_WITH_AS(static_cast<void>(each[5].value()), "5", out_of_paper);
    auto unordered = pool.imap_unordered(fail_at, std::views::iota(0, 8), {.chunk_size = 8});
    int values = 0;
    int failures = 0;
    for (bool more = true; more;) {
        try {
            more = unordered.next().has_value();
            values += more ? 1 : 0;
        } catch (const out_of_paper&) {
            ++failures;
        }
    }
    CHECK(values == 6);
    CHECK(failures == 2);
}

TEST_CASE("the size of a chunk is Python's unless told, and progress is said") {
    cairn::pool pool(2);
    std::vector<std::size_t> seen;
    const auto count = [&](std::size_t done, std::size_t total) {
        CHECK(total == 100);
        seen.push_back(done);
    };
    pool.map(square, std::views::iota(0L, 100L), {.progress = count});
    CHECK(seen.size() == 8);  // ceil(100 / 8) = 13 in a chunk
    CHECK(seen.front() == 13);
    CHECK(seen.back() == 100);
    CHECK_THROWS_AS(pool.map(square, std::vector<long>{1}, {.chunk_size = 0}), cairn::invalid_argument);
    CHECK_THROWS_AS(static_cast<void>(pool.imap(square, std::vector<long>{1}, {.chunk_size = 0})),
                    cairn::invalid_argument);
}

TEST_CASE("bad options are refused by name, and use after the end is") {
    CHECK_THROWS_WITH_AS(cairn::process_pool_executor(0),
                         "make a process_pool_executor: .max_workers is 0, expected 1 to 1024",
                         cairn::invalid_argument);
    CHECK_THROWS_AS(cairn::pool(-1), cairn::invalid_argument);
    CHECK_THROWS_AS(cairn::process_pool_executor({.retries = -1}), cairn::invalid_argument);
    CHECK_THROWS_AS(cairn::process_pool_executor({.max_tasks_per_worker = 0}), cairn::invalid_argument);
    cairn::process_pool_executor ex(1);
    CHECK_THROWS_AS(ex.submit({.retries = -1}, square, 1), cairn::invalid_argument);
    ex.shutdown();
    ex.shutdown();
    CHECK_FALSE(ex.alive());
    CHECK_THROWS_AS(ex.submit(square, 1), cairn::invalid_state);
    cairn::pool pool(1);
    CHECK_THROWS_AS(pool.join(), cairn::invalid_state);
    pool.close();
    pool.join();
    CHECK_THROWS_AS(pool.apply(square, 1), cairn::invalid_state);
    CHECK_THROWS_AS(pool.map(square, std::vector<long>{1}), cairn::invalid_state);
}

TEST_CASE("any_executor of a process pool says that closures of this process do not travel") {
    cairn::process_pool_executor ex(1);
    cairn::any_executor any(ex);
    CHECK_THROWS_AS(any.submit([] { return 1; }), cairn::invalid_argument);
    CHECK(ex.submit(square, 2).result() == 4);
}

TEST_CASE("bounds: block, reject, run_here, check_and_reject") {
    using cairn::when_full;
    const auto sleep = [] { std::this_thread::sleep_for(100ms); };
    const auto pid = [] { return static_cast<int>(::getpid()); };
    SUBCASE("reject") {
        cairn::process_pool_executor ex({.max_workers = 1, .max_pending = 1, .when_full = when_full::reject});
        const auto a = ex.submit(sleep);
        while (!a.running()) std::this_thread::sleep_for(1ms);
        const auto b = ex.submit(sleep);
        CHECK_THROWS_AS(ex.submit(sleep), cairn::rejected_submission);
        CHECK(ex.statistics().rejected == 1);
        CHECK_NOTHROW(b.result());
    }
    SUBCASE("run_here") {
        cairn::process_pool_executor ex(
            {.max_workers = 1, .max_pending = 1, .when_full = when_full::run_here});
        const auto a = ex.submit(sleep);
        while (!a.running()) std::this_thread::sleep_for(1ms);
        const auto b = ex.submit(sleep);
        CHECK(ex.submit(pid).result() == ::getpid());
        CHECK_THROWS_AS(ex.submit([] { throw out_of_paper("here"); }).result(), out_of_paper);
        CHECK(b.running() == false);
    }
    SUBCASE("block") {
        cairn::process_pool_executor ex({.max_workers = 1, .max_pending = 1});
        std::vector<cairn::future<void>> all;
        for (int i = 0; i < 4; ++i) all.push_back(ex.submit(sleep));
        CHECK(ex.queue_size() <= 2);
        for (const auto& each : all) CHECK_NOTHROW(each.result());
    }
    SUBCASE("check_and_reject") {
        cairn::process_pool_executor ex(
            {.max_workers = 1, .check_and_reject = cairn::reject_when_reached(2)});
        const auto a = ex.submit(sleep);
        while (!a.running()) std::this_thread::sleep_for(1ms);
        const auto b = ex.submit(sleep);
        const auto c = ex.submit(sleep);
        CHECK_THROWS_WITH_AS(ex.submit(sleep), "Current backlog 2 is not allowed to go beyond 2",
                             cairn::rejected_submission);
    }
}

TEST_CASE("statistics count as those of threads, and print like futurist's") {
    cairn::process_pool_executor ex(2);
    for (int i = 0; i < 5; ++i) static_cast<void>(ex.submit(square, i).result());
    CHECK_THROWS_AS(ex.submit([] { throw out_of_paper("x"); }).result(), out_of_paper);
    const cairn::executor_statistics s = ex.statistics();
    CHECK(s.executed == 6);
    CHECK(s.failures == 1);
    CHECK(s.runtime.count() > 0);
    CHECK(s.runtime >= s.queue_time);
    std::ostringstream text;
    text << s;
    CHECK(text.str().find("failures=1, executed=6") != std::string::npos);
    for (int i = 0; i < 2000 && ex.num_workers() != 2; ++i) std::this_thread::sleep_for(1ms);
    CHECK(ex.num_workers() == 2);
}

TEST_CASE("idle workers end after idle_timeout, and others come when tasks wait") {
    cairn::process_pool_executor ex({.max_workers = 2, .idle_timeout = 20ms});
    for (int round = 0; round < 3; ++round) {
        std::vector<cairn::future<int>> all;
        for (int i = 0; i < 10; ++i) all.push_back(ex.submit([](int x) { return 2 * x; }, i));
        for (int i = 0; i < 10; ++i) CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == 2 * i);
        const auto until = std::chrono::steady_clock::now() + watchdog;
        while (ex.num_workers() != 0 && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(1ms);
        CHECK(ex.num_workers() == 0);
    }
    // Also for what follows from an exception, or is due later.
    CHECK(ex.submit_after(
                50ms, [](int x) { return x; }, 4)
              .result(watchdog) == 4);
    const auto fails_once = [] {
        if (cairn::this_task::attempt() == 1) throw std::runtime_error("once");
        return cairn::this_task::attempt();
    };
    CHECK(
        ex.submit(
              {.retries = 1, .retry_if = [](const std::exception&) { return true; }, .backoff = {100ms, 1s}},
              fails_once)
            .result(watchdog) == 2);
}

TEST_CASE("one task of a thread is served beside the many of another, also in a pool of processes") {
    constexpr long many = 3000;
    const cairn::manager m;
    const auto door = m.queue<long>("door");
    static std::optional<cairn::list<long>> order;
    order = m.list<long>("order");
    cairn::process_pool_executor ex(1);
    const auto waits = ex.submit([](cairn::queue<long> at) { return at.get(); }, door);
    const auto note = [](long x) { order->push_back(x); };
    for (long i = 0; i < many; ++i) static_cast<void>(ex.submit(note, i));
    cairn::future<void> alone;
    std::thread([&] { alone = ex.submit(note, -1L); }).join();
    const auto followed = waits.then(ex, [](const cairn::future<long>& f) { order->push_back(f.result()); });
    door.put(-2);
    alone.result(watchdog);
    followed.result(watchdog);
    ex.shutdown();
    std::vector<long> all = order->snapshot();
    CHECK(all.size() == many + 2);
    CHECK(std::find(all.begin(), all.end(), -1) - all.begin() <= 1);
    std::erase_if(all, [](long x) { return x < 0; });
    CHECK(std::is_sorted(all.begin(), all.end()));
}

}  // namespace pool_test
