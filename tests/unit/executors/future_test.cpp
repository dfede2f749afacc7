// future_test.cpp - cairn::future: stages, results, cancellation, callbacks, continuations, coroutines.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <coroutine>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/future.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace future_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// One thread, in a task that waits at a door.
struct busy_pool {
    door wait_here;
    cairn::thread_pool_executor ex{1};
    cairn::future<void> running = ex.submit([this] { CHECK(wait_here.pass()); });
    busy_pool() { REQUIRE(wait_here.wait_for_arrivals(1)); }
    ~busy_pool() { wait_here.open(); }
    busy_pool(const busy_pool&) = delete;
    busy_pool& operator=(const busy_pool&) = delete;
};

template <typename T>
std::string printed(const cairn::future<T>& f) {
    std::ostringstream out;
    out << f;
    return out.str();
}

// What is written to stderr meanwhile.
template <typename Body>
std::string captured_stderr(const Body& body) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const int kept = ::dup(2);
    ::dup2(ends[1], 2);
    body();
    ::dup2(kept, 2);
    ::close(kept);
    ::close(ends[1]);
    std::string text;
    char room[4096];
    for (;;) {
        const ssize_t got = ::read(ends[0], room, sizeof room);
        if (got <= 0) break;
        text.append(room, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    return text;
}

template <typename Future>
concept has_result_to_copy = requires(const Future& f) { f.result(); };

struct fire_and_forget {
    struct promise_type {
        fire_and_forget get_return_object() { return {}; }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

}  // namespace

TEST_CASE("a future goes from pending by running to finished") {
    busy_pool pool;
    door next;
    const auto f = pool.ex.submit([&] {
        CHECK(next.pass());
        return 7L;
    });
    CHECK(f.stage() == cairn::future_stage::pending);
    CHECK_FALSE(f.running());
    CHECK_FALSE(f.done());
    pool.wait_here.open();
    REQUIRE(next.wait_for_arrivals(1));
    CHECK(f.stage() == cairn::future_stage::running);
    CHECK(f.running());
    next.open();
    CHECK(f.result() == 7);
    CHECK(f.stage() == cairn::future_stage::finished);
    CHECK(f.done());
    CHECK_FALSE(f.running());
    CHECK_FALSE(f.cancelled());
}

TEST_CASE("a future that refers to no task says so, whatever is asked") {
    const cairn::future<int> none;
    CHECK_FALSE(none.valid());
    CHECK_THROWS_AS(none.result(), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(none.exception()), cairn::invalid_state);
    CHECK_THROWS_AS(none.cancel(), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(none.done()), cairn::invalid_state);
    CHECK_THROWS_AS(none.add_done_callback([](const auto&) {}), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(none.then([](const auto&) {})), cairn::invalid_state);
    CHECK_THROWS_AS(cairn::wait(std::vector{none}), cairn::invalid_state);
    CHECK(printed(none) == "<future none>");
    cairn::synchronous_executor ex;
    auto f = ex.submit([] { return 1; });
    const auto g = std::move(f);
    CHECK_FALSE(f.valid());  // NOLINT(bugprone-use-after-move): that is the question
    CHECK(g.result() == 1);
}

TEST_CASE("result copies the value, and moves it out of an rvalue") {
    cairn::synchronous_executor ex;
    auto f = ex.submit([] { return std::make_shared<int>(3); });
    CHECK(f.result().use_count() == 2);
    CHECK(f.result().use_count() == 2);
    auto copy = f;
    CHECK(std::move(f).result().use_count() == 1);
    CHECK_THROWS_AS(copy.result(), cairn::invalid_state);
    CHECK_THROWS_AS(std::move(copy).result(), cairn::invalid_state);
}

TEST_CASE("values that cannot be copied are moved out") {
    cairn::thread_pool_executor ex{1};
    auto f = ex.submit([](std::unique_ptr<int> p) { return p; }, std::make_unique<int>(5));
    CHECK(*std::move(f).result() == 5);
    static_assert(has_result_to_copy<cairn::future<int>> &&
                  !has_result_to_copy<cairn::future<std::unique_ptr<int>>>);
}

TEST_CASE("an exception of the task comes out of result and exception") {
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit([]() -> int { throw std::out_of_range("too far"); });
    CHECK_THROWS_WITH_AS(f.result(), "too far", std::out_of_range);
    CHECK_THROWS_AS(std::rethrow_exception(f.exception()), std::out_of_range);
    CHECK(ex.submit([] {}).exception() == nullptr);
    CHECK_THROWS_AS(ex.submit([] { throw 42; }).result(), int);
}

TEST_CASE("a limit bounds the wait for a result, and not the task") {
    busy_pool pool;
    const auto f = pool.ex.submit([] { return 1; });
    const auto begin = std::chrono::steady_clock::now();
    CHECK_THROWS_AS(f.result(20ms), cairn::timeout_error);
    CHECK(std::chrono::steady_clock::now() - begin >= 20ms);
    CHECK_THROWS_AS(static_cast<void>(f.exception(std::chrono::duration<double>(0.001))),
                    cairn::timeout_error);
    CHECK_THROWS_AS(f.result(0s), cairn::timeout_error);
    CHECK_THROWS_AS(f.result(-1s), cairn::timeout_error);
    pool.wait_here.open();
    CHECK(f.result(executor_watchdog) == 1);
    CHECK(f.result(0s) == 1);
}

TEST_CASE("a wait with a limit, in a worker, runs no other task") {
    busy_pool other;
    cairn::thread_pool_executor ex{1};
    // Both of its threads wait, so there is none for what is queued.
    const auto outer = ex.submit([&] { other.running.result(executor_watchdog); });
    bool was_pending = false;
    const auto inner = ex.submit([&] {
        const auto queued = ex.submit([] {});
        CHECK_THROWS_AS(other.running.result(50ms), cairn::timeout_error);
        was_pending = queued.stage() == cairn::future_stage::pending;
    });
    inner.result();
    CHECK(was_pending);
    other.wait_here.open();
    outer.result();
}

TEST_CASE("a task that has not started is cancelled, and never runs") {
    busy_pool pool;
    bool has_run = false;
    const auto f = pool.ex.submit([&] { has_run = true; });
    CHECK(pool.ex.queue_size() == 1);
    CHECK(f.cancel());
    CHECK(pool.ex.queue_size() == 0);
    CHECK(f.cancelled());
    CHECK(f.done());
    CHECK(f.stage() == cairn::future_stage::cancelled_and_notified);
    CHECK(f.cancel());  // again
    CHECK_THROWS_AS(f.result(), cairn::cancelled_error);
    CHECK_THROWS_AS(static_cast<void>(f.exception()), cairn::cancelled_error);
    CHECK(pool.ex.statistics().cancelled == 1);
    pool.wait_here.open();
    pool.ex.shutdown();
    CHECK_FALSE(has_run);
}

TEST_CASE("cancelling frees what the task has captured at once") {
    busy_pool pool;
    auto captured = std::make_shared<int>(1);
    const auto f = pool.ex.submit([captured] {});
    CHECK(captured.use_count() == 2);
    CHECK(f.cancel());
    CHECK(captured.use_count() == 1);
}

TEST_CASE("what a task has captured is gone before its future is done") {
    cairn::thread_pool_executor ex{1};
    for (int i = 0; i < 100; ++i) {
        auto captured = std::make_shared<int>(1);
        ex.submit([captured] {}).result();
        CHECK(captured.use_count() == 1);
    }
}

TEST_CASE("cancelling a running task fails and asks it to stop; a finished one fails") {
    door started;
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit([&] {
        started.open();
        return eventually([] { return cairn::this_task::stop_requested(); });
    });
    REQUIRE(started.pass());
    CHECK_FALSE(f.cancel());
    CHECK(f.result());
    CHECK_FALSE(f.cancelled());
    CHECK_FALSE(f.cancel());
}

TEST_CASE("cancel and start race: a task either runs or is cancelled, and its future agrees") {
    cairn::thread_pool_executor ex{2};
    int cancelled = 0;
    for (int i = 0; i < 2000; ++i) {
        std::atomic<bool> has_run{false};
        const auto f = ex.submit([&] { has_run = true; });
        const bool was_cancelled = f.cancel();
        if (was_cancelled) {
            CHECK_THROWS_AS(f.result(), cairn::cancelled_error);
            ++cancelled;
        } else {
            f.result();
        }
        CHECK(has_run == !was_cancelled);
    }
    ex.shutdown();
    CHECK(ex.statistics().cancelled == static_cast<std::uint64_t>(cancelled));
    CHECK(ex.statistics().executed == static_cast<std::uint64_t>(2000 - cancelled));
}

TEST_CASE("callbacks run in one thread, in the order of registration, also those that come late") {
    busy_pool pool;
    std::mutex mutex;
    std::vector<int> order;
    std::vector<std::thread::id> threads;
    const auto f = pool.ex.submit([] { return 5; });
    const auto note = [&](int number) {
        return [&, number](const cairn::future<int>& done) {
            const std::lock_guard held(mutex);
            CHECK(done.done());
            CHECK(done.result() == 5);
            order.push_back(number);
            threads.push_back(std::this_thread::get_id());
        };
    };
    for (int i = 0; i < 5; ++i) f.add_done_callback(note(i));
    pool.wait_here.open();
    f.result();
    for (int i = 5; i < 10; ++i) f.add_done_callback(note(i));
    REQUIRE(eventually([&] {
        const std::lock_guard held(mutex);
        return order.size() == 10;
    }));
    CHECK(order == std::vector{0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
    for (const auto& each : threads) {
        CHECK(each == threads[0]);
        CHECK(each != std::this_thread::get_id());
    }
}

TEST_CASE("callbacks of a cancelled future run, too") {
    busy_pool pool;
    const auto f = pool.ex.submit([] {});
    std::atomic<bool> was_called{false};
    f.add_done_callback([&](const auto& done) { was_called = done.cancelled(); });
    f.cancel();
    CHECK(eventually([&] { return was_called.load(); }));
}

TEST_CASE("a callback that throws is reported in one line, and the next one runs") {
    const std::string said = captured_stderr([] {
        cairn::thread_pool_executor ex{1};
        const auto f = ex.submit([] {});
        std::atomic<bool> second{false};
        f.add_done_callback([](const auto&) { throw std::runtime_error("a callback's own"); });
        f.add_done_callback([&](const auto&) { second = true; });
        CHECK(eventually([&] { return second.load(); }));
        CHECK(ex.submit([] { return 3; }).result() == 3);
        f.result();
    });
    CHECK(said == "cairn: a callback of a future threw std::runtime_error: a callback's own\n");
}

TEST_CASE(
    "a callback that ends its thread is reported in one line, and the next ones run; what followed in it "
    "is worker_died") {
    cairn::thread_pool_executor ex(1);
    const auto f = ex.submit([] { return 1; });
    std::atomic<int> ran{0};
    const std::string text = captured_stderr([&] {
        f.add_done_callback([&](const auto&) {
            while (ran != 1) std::this_thread::sleep_for(1ms);  // until those behind it are there
            ::pthread_exit(nullptr);
        });
        f.add_done_callback([&](const auto&) { ran += 10; });
        const auto follows = f.then([&](const auto&) -> int {
            ran += 100;
            ::pthread_exit(nullptr);
        });
        f.add_done_callback([&](const auto&) { ran += 1000; });
        ran = 1;
        CHECK(eventually([&] { return ran == 1111; }));
        CHECK_THROWS_WITH_AS(follows.result(executor_watchdog),
                             "result of a task: it ended its thread (pthread_exit)", cairn::worker_died);
        cairn::synchronous_executor here;
        const auto in_it = f.then(here, [](const auto&) -> int { ::pthread_exit(nullptr); });
        CHECK_THROWS_AS(in_it.result(executor_watchdog), cairn::worker_died);
        // As ever, later.
        std::atomic<bool> is_called{false};
        f.add_done_callback([&](const auto&) { is_called = true; });
        CHECK(eventually([&] { return is_called.load(); }));
    });
    std::size_t lines = 0;
    for (const char each : text) lines += each == '\n' ? 1 : 0;
    CHECK(lines == 3);
    CHECK(text.starts_with("cairn: a callback of a future has ended its thread (pthread_exit)"));
}

TEST_CASE("a callback ends its thread while the program waits for it in exit(): the program ends") {
    CHECK(in_child([] {
              static std::atomic<bool> is_called{false};
              static std::atomic<bool> is_exiting{false};
              cairn::thread_pool_executor ex(1);
              const auto f = ex.submit([] { return 1; });
              f.add_done_callback([](const auto&) {
                  is_called = true;
                  while (!is_exiting) std::this_thread::sleep_for(1ms);
                  std::this_thread::sleep_for(20ms);
                  ::pthread_exit(nullptr);
              });
              f.add_done_callback([](const auto&) {});
              CHILD_CHECK(eventually([] { return is_called.load(); }));
              std::atexit([] { is_exiting = true; });  // run before those that Cairn has registered
              std::exit(0);
          }) == 0);
}

TEST_CASE("those who wait are told before callbacks run, and after the task was counted") {
    door hold;
    cairn::thread_pool_executor ex{1};
    const auto first = ex.submit([] {});
    first.add_done_callback([&](const auto&) { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));  // the settling thread is busy
    for (std::uint64_t i = 2; i < 200; ++i) {
        ex.submit([] {}).result();
        REQUIRE(ex.statistics().executed == i);
    }
    hold.open();
    first.then([](const auto&) {}).result();  // the settling thread has left the door
}

TEST_CASE("then gives the future of what follows, with the finished future") {
    cairn::thread_pool_executor ex{1};
    const auto f = ex.submit([] { return 20; });
    const cairn::future<int> g = f.then([](cairn::future<int> done) { return done.result() + 1; });
    const cairn::future<void> h = g.then([](const cairn::future<int>& done) { CHECK(done.result() == 21); });
    h.result();
    CHECK(g.result() == 21);
}

TEST_CASE("exceptions and cancellations go through what follows, which runs in any case") {
    busy_pool pool;
    const auto failing = pool.ex.submit([]() -> int { throw std::runtime_error("first"); });
    const auto cancelled = pool.ex.submit([] { return 1; });
    const auto after_failing = failing.then([](const cairn::future<int>& f) { return f.result(); });
    const auto recovered = failing.then([](const cairn::future<int>& f) { return f.exception() ? -1 : 0; });
    const auto after_cancelled = cancelled.then([](const cairn::future<int>& f) { return f.result(); });
    cancelled.cancel();
    pool.wait_here.open();
    CHECK_THROWS_WITH_AS(after_failing.result(), "first", std::runtime_error);
    CHECK(recovered.result() == -1);
    CHECK_THROWS_AS(after_cancelled.result(), cairn::cancelled_error);
}

TEST_CASE("what follows can be cancelled by itself, and then does not run") {
    busy_pool pool;
    bool has_run = false;
    const auto f = pool.ex.submit([] { return 1; });
    const auto g = f.then([&](const auto&) { has_run = true; });
    CHECK(g.cancel());
    CHECK_FALSE(f.cancelled());
    pool.wait_here.open();
    CHECK(f.result() == 1);
    f.then([](const auto&) {}).result();  // behind it
    CHECK_FALSE(has_run);
}

TEST_CASE("what follows and was cancelled before it came to its executor does not wait there") {
    busy_pool first;
    busy_pool second;
    bool has_run = false;
    const auto f = first.ex.submit([] { return 1; });
    const auto cancelled = f.then(second.ex, [&](const auto&) { has_run = true; });
    const auto behind = f.then(second.ex, [](const auto&) { return 2; });
    CHECK(cancelled.cancel());
    first.wait_here.open();
    f.then([](const auto&) {}).result();  // both have come to their executor by now
    CHECK(second.ex.queue_size() == 1);
    second.wait_here.open();
    CHECK(behind.result() == 2);
    CHECK_FALSE(has_run);
    CHECK(second.ex.statistics().cancelled == 0);
}

TEST_CASE("then with an executor runs there; one that was shut down is its exception") {
    cairn::thread_pool_executor ex{1};
    cairn::thread_pool_executor other{1};
    const auto f = ex.submit([] { return 1; });
    const auto where = f.then(other, [](const auto&) { return cairn::this_worker::id(); });
    CHECK(where.result() == 0);
    CHECK(other.statistics().executed == 1);
    CHECK(f.then([](const auto&) { return cairn::this_worker::id(); }).result() == -1);
    other.shutdown();
    const auto late = f.then(other, [](const auto&) {});
    CHECK_THROWS_AS(late.result(), cairn::invalid_state);
}

TEST_CASE("waiting in the settling thread for what would run there is refused") {
    busy_pool pool;
    const auto f = pool.ex.submit([] {});
    const auto g = f.then([](const auto&) {});
    const auto asked = pool.running.then([&](const auto&) {
        CHECK_THROWS_AS(g.result(), cairn::would_deadlock);
        return true;
    });
    pool.wait_here.open();
    CHECK(asked.result());
    g.result();
}

TEST_CASE("a task that waits for its own future is refused, also by a task that it waits for") {
    cairn::thread_pool_executor ex{1};
    cairn::future<int> own;
    door set;
    own = ex.submit([&] {
        CHECK(set.pass());
        CHECK_THROWS_AS(own.result(), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(own.exception()), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(std::vector{own})), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_any(std::vector{own})), cairn::would_deadlock);
        const auto other = ex.submit([] { return 1; });
        CHECK(cairn::wait_for_any(std::vector{own, other}).done.size() == 1);
        CHECK_THROWS_AS(ex.submit([&] { return own.result(); }).result(), cairn::would_deadlock);
        return 5;
    });
    set.open();
    CHECK(own.result(executor_watchdog) == 5);
}

TEST_CASE("waiting in the settling thread for what it has yet to submit is refused, and then is not") {
    busy_pool pool;
    cairn::thread_pool_executor other{1};
    const auto f = pool.ex.submit([] {});
    const auto g = f.then(other, [](const auto&) { return 7; });
    const auto asked = pool.running.then([&](const auto&) {
        CHECK_THROWS_AS(g.result(), cairn::would_deadlock);
        CHECK_THROWS_AS(g.result(1h), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(cairn::wait_for_all(std::vector{g})), cairn::would_deadlock);
    });
    const auto later = f.then([&](const auto&) { return g.result(); });
    pool.wait_here.open();
    asked.result();
    CHECK(later.result() == 7);
}

TEST_CASE("co_await gives the result, or throws, in the settling thread; at once where it is there") {
    door hold;
    cairn::thread_pool_executor ex{1};
    std::atomic<long> got{0};
    std::thread::id resumed_in;
    std::thread::id callback_in;
    const auto f = ex.submit([&] {
        CHECK(hold.pass());
        return 9L;
    });
    const auto wait_for_it = [&](cairn::future<long> awaited) -> fire_and_forget {
        const long value = co_await awaited;
        resumed_in = std::this_thread::get_id();
        got = value;
    };
    wait_for_it(f);
    CHECK(got == 0);
    hold.open();
    REQUIRE(eventually([&] { return got == 9; }));
    f.then([&](const auto&) { callback_in = std::this_thread::get_id(); }).result();
    CHECK(resumed_in == callback_in);
    wait_for_it(f);
    CHECK(resumed_in == std::this_thread::get_id());

    bool has_thrown = false;
    [](cairn::future<void> failing,
       bool& thrown) -> fire_and_forget {
        try {
            co_await std::move(failing);
        } catch (const std::runtime_error&) {
            thrown = true;
        }
    }(
                         [&] {
                             auto failing = ex.submit([] { throw std::runtime_error("x"); });
                             static_cast<void>(failing.exception());
                             return failing;
                         }(),
                         has_thrown);
    CHECK(has_thrown);
}

TEST_CASE("futures print their stage, and what came out") {
    busy_pool pool;
    const auto f = pool.ex.submit([] { return 1L; });
    const auto g = pool.ex.submit([]() -> int { throw cairn::key_error("k"); });
    const auto h = pool.ex.submit([] {});
    CHECK(contains(printed(f), "<future at 0x"));
    CHECK(contains(printed(f), " state=pending>"));
    CHECK(contains(printed(pool.running), " state=running>"));
    h.cancel();
    CHECK(contains(printed(h), " state=cancelled_and_notified>"));
    pool.wait_here.open();
    f.result();
    static_cast<void>(g.exception());
    CHECK(contains(printed(f), " state=finished returned long>"));
    CHECK(contains(printed(g), " state=finished raised cairn::key_error>"));
}

TEST_CASE("futures outlive their executor") {
    cairn::future<std::string> f;
    cairn::future<int> cancelled;
    {
        busy_pool pool;
        f = pool.ex.submit([] { return std::string("kept"); });
        cancelled = pool.ex.submit([] { return 1; });
        cancelled.cancel();
    }
    CHECK(f.result() == "kept");
    CHECK(f.cancel() == false);
    CHECK(cancelled.cancel());
}

TEST_CASE("many threads may wait for one future") {
    busy_pool pool;
    const auto f = pool.ex.submit([] { return 4; });
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 8; ++i) threads.emplace_back([&] { sum += f.result(); });
    std::this_thread::sleep_for(10ms);
    pool.wait_here.open();
    for (std::thread& each : threads) each.join();
    CHECK(sum == 32);
}

}  // namespace future_test
