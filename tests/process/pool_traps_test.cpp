// pool_traps_test.cpp - where pools of comparable software hang, lose a task, or run it twice.
//
// Each case is named after the behaviour, with the public report in brackets.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <ranges>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/patience.hpp"
#include "support/pool_tasks.hpp"
#include "support/process_tree.hpp"
#include "support/scratch.hpp"
#include <cairn/list.hpp>
#include <cairn/manager.hpp>
#include <cairn/pool.hpp>

namespace pool_traps_test {

// Whose codecs and constructors fail on one side.
pid_t program = 0;

struct fails_to_arrive {
    int x = 0;
};
struct fails_to_leave {
    int x = 0;
};
struct error_that_fails_to_arrive : std::runtime_error {
    explicit error_that_fails_to_arrive(const std::string& what) : std::runtime_error(what) {
        if (::getpid() == program) throw std::length_error("not made again");
    }
};
struct error_that_fails_to_leave : std::exception {
    [[nodiscard]] const char* what() const noexcept override { return "why it was thrown"; }
};

}  // namespace pool_traps_test

template <>
struct cairn::codec<pool_traps_test::fails_to_arrive> {
    static std::string type_name() { return "fails_to_arrive"; }
    static std::size_t size(const pool_traps_test::fails_to_arrive& /*value*/) { return 4; }
    static void encode(const pool_traps_test::fails_to_arrive& value, std::byte* to) {
        std::memcpy(to, &value.x, 4);
    }
    static pool_traps_test::fails_to_arrive decode(std::span<const std::byte> /*bytes*/) {
        throw std::domain_error("not read");
    }
};
template <>
struct cairn::codec<pool_traps_test::fails_to_leave> {
    static std::string type_name() { return "fails_to_leave"; }
    static std::size_t size(const pool_traps_test::fails_to_leave& /*value*/) { return 4; }
    static void encode(const pool_traps_test::fails_to_leave& /*value*/, std::byte* /*to*/) {
        throw std::domain_error("not written");
    }
    static pool_traps_test::fails_to_leave decode(std::span<const std::byte> /*bytes*/) { return {}; }
};
template <>
struct cairn::codec<pool_traps_test::error_that_fails_to_leave> {
    static std::string type_name() { return "error_that_fails_to_leave"; }
    static std::size_t size(const pool_traps_test::error_that_fails_to_leave& /*value*/) { return 1; }
    static void encode(const pool_traps_test::error_that_fails_to_leave& /*value*/, std::byte* /*to*/) {
        throw std::domain_error("not written");
    }
    static pool_traps_test::error_that_fails_to_leave decode(std::span<const std::byte> /*bytes*/) {
        return {};
    }
};

CAIRN_EXCEPTION(pool_traps_test::error_that_fails_to_arrive)
CAIRN_EXCEPTION(pool_traps_test::error_that_fails_to_leave)

namespace pool_traps_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

void sleep_long() {
    std::this_thread::sleep_for(100s);
}
void mark(cairn::list<long> marks, long x) {
    marks.push_back(x);
}
struct pools_within {
    int operator()(int depth) const {
        if (depth == 0) return 1;
        cairn::process_pool_executor own(1);
        return 1 + own.submit(pools_within(), depth - 1).result(watchdog);
    }
};

// Of shared memory, those that this process has touched.
long own_shared_kilobytes() {
    std::ifstream file("/proc/self/status");
    for (std::string line; std::getline(file, line);)
        if (line.starts_with("RssShmem:")) return std::stol(line.substr(9));
    FAIL("there is no RssShmem");
    return 0;
}

}  // namespace

// -- deaths ---------------------------------------------------------------------------------------------------------

TEST_CASE("idle workers are killed: none takes a lock along, and later tasks run (cpython gh-96062)") {
    cairn::process_pool_executor ex(2);
    int last = 0;
    for (int round = 0; round < 20; ++round) {
        const int worker = ex.submit(own_pid).result(watchdog);
        CHECK(worker != last);
        REQUIRE(eventually([&] { return ex.get_num_idle_workers() == ex.num_workers(); }));
        for (const pid_t each : pool_processes())
            if (name_of_process(each).starts_with("cairn-worker")) ::kill(each, SIGKILL);
        last = worker;
    }
    CHECK(ex.submit(same, 5).result(watchdog) == 5);
    CHECK(ex.statistics().died == 0);
}

TEST_CASE("a worker is killed from outside, and nobody gave a limit: its future settles (mirai#20)") {
    const cairn::manager m;
    const auto pids = m.list<long>("pids");
    cairn::process_pool_executor ex(2);
    const auto f = ex.submit(
        [](cairn::list<long> l) {
            l.push_back(own_pid());
            sleep_long();
        },
        pids);
    REQUIRE(eventually([&] { return pids.size() == 1; }));
    const auto begin = std::chrono::steady_clock::now();
    ::kill(static_cast<pid_t>(pids.at(0)), SIGKILL);
    CHECK_THROWS_AS(f.result(), cairn::worker_died);
    CHECK(std::chrono::steady_clock::now() - begin < patiently(10s));
}

TEST_CASE("workers were replaced, then the pool is ended: the second generation ends, too "
          "(grosser/parallel#369)") {
    for (const int how : {0, 1, 2}) {
        CAPTURE(how);
        std::vector<pid_t> family;
        {
            cairn::pool pool(2);
            const auto workers = [&] {
                std::set<int> all;
                for (const auto& each : pool.map(
                         [](int) {
                             std::this_thread::sleep_for(20ms);
                             return own_pid();
                         },
                         std::vector<int>(8), {.chunk_size = 1}))
                    all.insert(each);
                return all;
            };
            const std::set<int> first = workers();
            for (const int each : first) ::kill(each, SIGKILL);
            REQUIRE(eventually([&] {
                return std::none_of(first.begin(), first.end(), [](int each) { return is_running(each); });
            }));
            const std::set<int> second = workers();
            for (const int each : second) CHECK_FALSE(first.contains(each));
            std::vector<cairn::future<void>> running;
            for (int i = 0; i < 2; ++i) running.push_back(pool.apply_async(sleep_long));
            REQUIRE(eventually([&] { return running[0].running() && running[1].running(); }));
            family = pool_processes();
            if (how == 0) pool.terminate();
            if (how == 1) pool.kill();
            if (how == 2) {
                for (const auto& each : running) CHECK(each.cancel(cairn::kill));
            } else {
                for (const auto& each : running) CHECK_THROWS_AS(each.result(watchdog), cairn::worker_died);
            }
        }
        CHECK(have_ended(family, watchdog));
    }
}

TEST_CASE("a worker is stopped, others are idle: its task is not handed out again (celery#5935, #2599)") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    cairn::process_pool_executor ex({.max_workers = 3, .retries = 5});
    const auto f = ex.submit(
        [](cairn::list<long> l) {
            l.push_back(own_pid());
            std::this_thread::sleep_for(100ms);
            return own_pid();
        },
        marks);
    REQUIRE(eventually([&] { return marks.size() == 1; }));
    const auto stopped = static_cast<pid_t>(marks.at(0));
    ::kill(stopped, SIGSTOP);
    // Longer than any look of a nursery or guardian takes to come; the other two go on meanwhile.
    for (int i = 0; i < 30; ++i) {
        const int other = ex.submit(own_pid).result(watchdog);
        CHECK(other != stopped);
        std::this_thread::sleep_for(50ms);
    }
    CHECK_FALSE(f.done());
    CHECK(marks.size() == 1);
    ::kill(stopped, SIGCONT);
    CHECK(f.result(watchdog) == stopped);
    CHECK(marks.size() == 1);
}

// -- values and exceptions that do not arrive -----------------------------------------------------------------------

TEST_CASE("what cannot be encoded, or made again where it arrives, is the exception of that task alone "
          "(cpython#75880, urllib3#2893)") {
    program = ::getpid();
    cairn::process_pool_executor ex(1);
    const int worker = ex.submit(own_pid).result(watchdog);
    std::vector<cairn::future<int>> others;
    const auto other = [&] { others.push_back(ex.submit(own_pid)); };
    SUBCASE("a result that is not read") {
        const auto f = ex.submit([] { return fails_to_arrive{1}; });
        other();
        CHECK_THROWS_AS(f.result(watchdog), std::domain_error);
    }
    SUBCASE("an item's result of map") {
        cairn::pool pool(1);
        const auto each = pool.map([](int) { return fails_to_arrive{1}; }, std::views::iota(0, 3),
                                   {.collect = cairn::outcomes});
        for (const auto& one : each) CHECK_THROWS_AS(static_cast<void>(one.value()), std::domain_error);
        CHECK(pool.apply(same, 4) == 4);
    }
    SUBCASE("a result that is not written") {
        const auto f = ex.submit([] { return fails_to_leave{1}; });
        other();
        CHECK_THROWS_AS(f.result(watchdog), std::domain_error);
    }
    SUBCASE("an argument that is not read") {
        const auto f = ex.submit([](fails_to_arrive) {}, fails_to_arrive{1});
        other();
        CHECK_THROWS_AS(f.result(watchdog), std::domain_error);
    }
    SUBCASE("an argument that is not written: nothing is submitted") {
        CHECK_THROWS_AS(ex.submit([](fails_to_leave) {}, fails_to_leave{1}), std::domain_error);
    }
    SUBCASE("an exception that is not made again") {
        const auto f = ex.submit([] { throw error_that_fails_to_arrive("x"); });
        other();
        CHECK_THROWS_AS(f.result(watchdog), std::length_error);
    }
    SUBCASE("an exception that is not written") {
        const auto f = ex.submit([] { throw error_that_fails_to_leave(); });
        other();
        try {
            f.result(watchdog);
            FAIL("it ended well");
        } catch (const cairn::remote_error& e) {
            CHECK(e.type_name() == "pool_traps_test::error_that_fails_to_leave");
            CHECK(e.text() == "why it was thrown");
        }
    }
    other();
    // The worker is the same: nothing of this is a death.
    for (const auto& each : others) CHECK(each.result(watchdog) == worker);
    CHECK(ex.statistics().died == 0);
}

TEST_CASE("results that nobody has read do not keep a pool from its end, whatever their size "
          "(cpython#105829, loky#101)") {
    std::vector<cairn::future<std::string>> all;
    std::vector<pid_t> family;
    {
        cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 7});
        for (int i = 0; i < 60; ++i)
            all.push_back(
                ex.submit([](int x) { return std::string(300'000, static_cast<char>('a' + x % 26)); }, i));
        family = pool_processes();
        ex.shutdown();
    }
    CHECK(have_ended(family, watchdog));
    for (std::size_t i = 0; i < all.size(); ++i)
        CHECK(all[i].result() == std::string(300'000, static_cast<char>('a' + i % 26)));
}

TEST_CASE("results that were read, or thrown away unread, do not pile up (cpython gh-83712, joblib#721)") {
    cairn::process_pool_executor ex(2);
    const auto large = [](int x) { return std::string(200'000, static_cast<char>('a' + x % 26)); };
    const auto round = [&] {
        for (int i = 0; i < 50; ++i) CHECK(ex.submit(large, i).result(watchdog).size() == 200'000);
        for (int i = 0; i < 50; ++i) static_cast<void>(ex.submit(large, i));
        CHECK(ex.submit(same, 1).result(watchdog) == 1);
        REQUIRE(eventually([&] { return ex.queue_size() == 0; }));
    };
    round();
    const long before = own_shared_kilobytes();
    for (int i = 0; i < 10; ++i) round();
    // Of 200 000 KB that were written, half of which were read here.
    CHECK(own_shared_kilobytes() - before < 50'000);
}

// -- callbacks ------------------------------------------------------------------------------------------------------

TEST_CASE("a callback throws: the next one runs, the pool lives, the result is there (cpython#83371)") {
    cairn::process_pool_executor ex(1);
    const auto f = ex.submit(same, 3);
    std::atomic<int> called{0};
    f.add_done_callback([](const auto&) { throw std::runtime_error("of the first callback"); });
    f.add_done_callback([&](const auto& done) { called = done.result(); });
    CHECK(f.result(watchdog) == 3);
    CHECK(eventually([&] { return called == 3; }));
    CHECK(ex.submit(same, 4).result(watchdog) == 4);
}

TEST_CASE("a callback ends its own pool, by whatever call, and waits for nobody (cpython gh-87129)") {
    const cairn::manager m;
    const auto gates = m.list<long>("gates");
    for (const int how : {0, 1, 2, 3}) {
        CAPTURE(how);
        gates.clear();
        auto ex = std::make_shared<cairn::process_pool_executor>(2);
        const auto runs = ex->submit(
            [](cairn::list<long> l) {
                while (l.empty()) std::this_thread::sleep_for(1ms);
            },
            gates);
        REQUIRE(eventually([&] { return runs.running(); }));
        const std::vector<pid_t> family = pool_processes();
        std::atomic<bool> is_over{false};
        ex->submit_after(10ms, same, 1).add_done_callback([&is_over, how, ex](const auto&) mutable {
            if (how == 0) ex->terminate();
            if (how == 1) ex->kill();
            if (how == 2) ex->shutdown();
            ex.reset();
            is_over = true;
        });
        ex.reset();  // the callback's is the last one
        // While that task runs.
        CHECK(eventually([&] { return is_over.load(); }));
        CHECK(gates.empty());
        gates.push_back(1);
        if (how < 2) CHECK_THROWS_AS(runs.result(watchdog), cairn::worker_died);
        else CHECK_NOTHROW(runs.result(watchdog));
        CHECK(have_ended(family, watchdog));
    }
}

// -- nested use and bounds ------------------------------------------------------------------------------------------

TEST_CASE("a task that submits to its own full pool is not held up by the bound, nor refused "
          "(folly#1864)") {
    std::atomic<int> asked{0};
    cairn::process_pool_executor ex(
        {.max_workers = 1, .check_and_reject = [&](const auto&, std::size_t) { ++asked; }, .max_pending = 1});
    const auto outer = [](cairn::process_pool_executor own) {
        std::vector<cairn::future<int>> all;
        for (int i = 0; i < 20; ++i) all.push_back(own.submit(same, i));
        int sum = 0;
        for (const auto& each : all) sum += each.result();
        return sum;
    };
    CHECK(ex.submit(outer, ex).result(watchdog) == 190);
    CHECK(asked == 1);
}

TEST_CASE("a task makes a pool of its own, and so does a task of that (pebble#76, cpython PR 13193)") {
    cairn::process_pool_executor ex(1);
    CHECK(ex.submit(pools_within(), 3).result(watchdog) == 4);
    const std::vector<pid_t> family = descendants_of(::getpid());
    ex.shutdown();
    CHECK(have_ended(family, watchdog));
}

TEST_CASE("of eight tasks that were just submitted to two workers, six can be cancelled") {
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<void>> all;
    for (int i = 0; i < 8; ++i) all.push_back(ex.submit(sleep_long));
    REQUIRE(eventually([&] {
        return std::count_if(all.begin(), all.end(), [](const auto& f) { return f.running(); }) == 2;
    }));
    CHECK(std::count_if(all.begin(), all.end(), [](const auto& f) { return f.cancel(); }) == 6);
    ex.kill();
}

TEST_CASE("imap and imap_unordered read their items as results are read (cpython gh-64192, gh-74028)") {
    cairn::pool pool(2);
    int read = 0;
    const auto items = std::views::iota(0) | std::views::transform([&](int i) {
                           ++read;
                           return i;
                       });
    {
        auto results = pool.imap(same, items, {.chunk_size = 2, .buffer_size = 8});
        for (int i = 0; i < 20; ++i) CHECK(results.next() == i);
        CHECK(read <= 20 + 8);
    }
    read = 0;
    {
        auto results = pool.imap_unordered(same, items, {.chunk_size = 2, .buffer_size = 8});
        for (int i = 0; i < 20; ++i) CHECK(results.next().has_value());
        CHECK(read <= 20 + 8 + 8);  // what has come back is not waited for
    }
    read = 0;
    {
        auto results = pool.imap(same, items);
        for (int i = 0; i < 20; ++i) CHECK(results.next() == i);
        CHECK(read <= 20 + 2 * 2);  // twice as many as there are workers
    }
}

// -- races ----------------------------------------------------------------------------------------------------------

TEST_CASE("cancel and the worker that takes the task race: it runs once or not at all, as its future says "
          "(mirai#546)") {
    const cairn::manager m;
    const auto marks = m.list<long>("marks");
    const auto gates = m.list<long>("gates");
    cairn::process_pool_executor ex(2);
    std::vector<cairn::future<void>> all;
    constexpr long count = 600;
    for (long i = 0; i < 2; ++i) {
        static_cast<void>(ex.submit(
            [](cairn::list<long> l) {
                while (l.empty()) std::this_thread::yield();
            },
            gates));
    }
    for (long i = 0; i < count; ++i) all.push_back(ex.submit(mark, marks, i));
    // From the other end, and while nobody takes one at first.
    for (std::size_t i = all.size(); i-- > 0;) {
        if (i == count / 2) {
            gates.push_back(1);
            const auto until = std::chrono::steady_clock::now() + watchdog;
            while (marks.empty() && std::chrono::steady_clock::now() < until) std::this_thread::yield();
        }
        static_cast<void>(all[i].cancel());
    }
    std::vector<int> runs(count);
    for (const auto& each : all) {
        try {
            each.result(watchdog);
        } catch (const cairn::cancelled_error&) {}
    }
    for (const long each : marks.snapshot()) ++runs[static_cast<std::size_t>(each)];
    long cancelled = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(runs[i] == (all[i].cancelled() ? 0 : 1));
        cancelled += all[i].cancelled() ? 1 : 0;
    }
    CHECK(cancelled >= count / 2 - 1);
    CHECK(cancelled < count);
    MESSAGE((count - cancelled) << " of " << count << " tasks ran");
    CHECK(ex.statistics().cancelled == static_cast<std::uint64_t>(cancelled));
    CHECK(ex.submit(same, 5).result(watchdog) == 5);
}

TEST_CASE("submit, terminate, close and join at the same time: no hang, every future settles, nothing is "
          "left (cpython gh-73945, gh-79448)") {
    for (int round = 0; round < 10; ++round) {
        CAPTURE(round);
        std::vector<pid_t> family;
        std::vector<cairn::future<int>> all;
        {
            cairn::pool pool({.workers = 2, .max_tasks_per_worker = 3});
            std::atomic<bool> has_begun{false};
            std::thread submitter([&] {
                try {
                    for (int i = 0;; ++i) {
                        all.push_back(pool.apply_async(same, i));
                        if (i == 20) has_begun = true;
                    }
                } catch (const cairn::invalid_state&) {
                    return;  // it was closed
                }
            });
            REQUIRE(eventually([&] { return has_begun.load(); }));
            family = pool_processes();
            std::thread other([&] { round % 2 == 0 ? pool.close() : pool.terminate(); });
            if (round % 3 != 0) pool.terminate();
            other.join();
            pool.close();
            submitter.join();
            pool.join();
        }
        for (const auto& each : all) {
            REQUIRE(each.done());
        }
        CHECK(have_ended(family, watchdog));
    }
}

}  // namespace pool_traps_test
