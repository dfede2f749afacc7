// thread_pool_executor_test.cpp - threads and queues: growing, bounds, waiting inside, ends of all kinds.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <pthread.h>
#include <sched.h>

#include <doctest/doctest.h>

#include "os/processors.hpp"
#include "support/executors.hpp"
#include "support/faults.hpp"
#include "support/scratch.hpp"
#include <cairn/thread_pool_executor.hpp>

namespace thread_pool_executor_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

// Calls the n-th and all later pthread_create fail.
std::atomic<bool> no_threads{false};
int refuse_threads(const char* call) noexcept {
    return no_threads.load() && std::string_view(call) == "pthread_create" ? EAGAIN : 0;
}
class threads_fail {
public:
    threads_fail() {
        no_threads = true;
        cairn::detail::os::fault.store(&refuse_threads);
    }
    ~threads_fail() {
        no_threads = false;
        cairn::detail::os::fault.store(nullptr);
    }
    threads_fail(const threads_fail&) = delete;
    threads_fail& operator=(const threads_fail&) = delete;
};

// What `body` throws.
template <typename Body>
std::string what_of(const Body& body) {
    try {
        body();
    } catch (const std::exception& e) {
        return e.what();
    }
    return {};
}

}  // namespace

TEST_CASE("threads are made as tasks come, and reused when they are idle") {
    door hold;
    cairn::thread_pool_executor ex{4};
    CHECK(ex.num_workers() == 0);
    for (int i = 0; i < 100; ++i) ex.submit([] {}).result();
    CHECK(ex.num_workers() == 1);
    std::vector<cairn::future<void>> fs;
    for (int i = 0; i < 6; ++i) fs.push_back(ex.submit([&] { CHECK(hold.pass()); }));
    CHECK(ex.num_workers() == 4);
    REQUIRE(hold.wait_for_arrivals(4));
    CHECK(ex.get_num_idle_workers() == 0);
    CHECK(ex.queue_size() == 2);
    hold.open();
    cairn::wait_for_all(fs);
    CHECK(eventually([&] { return ex.get_num_idle_workers() == 4; }));
}

TEST_CASE("tasks that wait for each other get a thread each, up to max_workers") {
    cairn::thread_pool_executor ex{8};
    std::atomic<int> arrived{0};
    std::vector<cairn::future<bool>> fs;
    for (int i = 0; i < 8; ++i) {
        fs.push_back(ex.submit([&] {
            ++arrived;
            return eventually([&] { return arrived == 8; });
        }));
    }
    for (const auto& f : fs) CHECK(f.result());
}

TEST_CASE("the default is the processors that may be used and four, at most 32") {
    const int expected = std::min(32, cairn::detail::os::usable_processor_count() + 4);
    door hold;
    cairn::thread_pool_executor ex;
    for (int i = 0; i < 40; ++i) static_cast<void>(ex.submit([&] { CHECK(hold.pass()); }));
    CHECK(static_cast<int>(ex.num_workers()) == expected);
    hold.open();
}

TEST_CASE("options that make no sense are named") {
    const auto refused = [](const cairn::thread_pool_options& options) {
        try {
            const cairn::thread_pool_executor ex{options};
        } catch (const cairn::invalid_argument& e) {
            return std::string(e.what());
        }
        return std::string();
    };
    CHECK(refused({.max_workers = 0}) ==
          "make a thread_pool_executor: .max_workers is 0, expected 1 or more");
    CHECK(contains(refused({.max_workers = -3}), ".max_workers is -3"));
    CHECK(contains(refused({.retries = -1}), ".retries"));
    CHECK(contains(refused({.max_tasks_per_worker = 0}), ".max_tasks_per_worker"));
    CHECK(contains(refused({.max_worker_memory = 1}), ".max_worker_memory is for processes"));
    CHECK(contains(refused({.max_pending = -1}), ".max_pending"));
    CHECK(contains(refused({.keep_orphans = true}), ".keep_orphans is for processes"));
    CHECK_THROWS_AS(cairn::thread_pool_executor{0}, cairn::invalid_argument);
    using dynamic = cairn::dynamic_thread_pool_executor;
    CHECK_THROWS_AS((dynamic{{.max_workers = 2, .min_workers = 2}}), cairn::invalid_argument);
    CHECK_THROWS_AS((dynamic{{.max_workers = 2, .min_workers = 0}}), cairn::invalid_argument);
    CHECK_THROWS_AS((dynamic{{.max_workers = 4, .grow_threshold = 0.3}}), cairn::invalid_argument);
    CHECK_THROWS_AS((dynamic{{.max_workers = 4, .grow_threshold = 1.1}}), cairn::invalid_argument);
    CHECK_THROWS_AS((dynamic{{.max_workers = 4, .shrink_threshold = -0.1}}), cairn::invalid_argument);
}

TEST_CASE("destroying an executor finishes what was accepted") {
    std::atomic<int> runs{0};
    {
        cairn::thread_pool_executor ex{2};
        for (int i = 0; i < 1000; ++i) static_cast<void>(ex.submit([&] { ++runs; }));
    }
    CHECK(runs == 1000);
}

TEST_CASE("shutdown may be called often, and submit after it is invalid_state that names the executor") {
    cairn::thread_pool_executor ex{2};
    ex.submit([] {}).result();
    CHECK(ex.alive());
    ex.shutdown();
    ex.shutdown({.wait = false});
    ex.shutdown();
    CHECK_FALSE(ex.alive());
    CHECK(ex.num_workers() == 0);
    std::string text;
    try {
        static_cast<void>(ex.submit([] {}));
    } catch (const cairn::invalid_state& e) {
        text = e.what();
    }
    CHECK(contains(text, "submit to thread_pool_executor-"));
    CHECK(contains(text, "cannot schedule new futures after shutdown"));
    CHECK_THROWS_AS(ex.submit_after(1s, [] {}), cairn::invalid_state);
    cairn::thread_pool_executor unused{2};
    unused.shutdown();
}

TEST_CASE("shutdown that cancels futures lets running tasks finish") {
    door hold;
    cairn::thread_pool_executor ex{1};
    const auto running = ex.submit([&] { return hold.pass(); });
    REQUIRE(hold.wait_for_arrivals(1));
    const auto waiting = ex.submit([] {});
    ex.shutdown({.wait = false, .cancel_futures = true});
    CHECK(waiting.cancelled());
    CHECK(running.running());
    hold.open();
    CHECK(running.result());
}

TEST_CASE("several threads may shut down at once, and none loses a wake-up") {
    for (int round = 0; round < 200; ++round) {
        cairn::thread_pool_executor ex{2};
        std::atomic<int> runs{0};
        for (int i = 0; i < round % 5; ++i) static_cast<void>(ex.submit([&] { ++runs; }));
        std::thread other([&] { ex.shutdown(); });
        ex.shutdown();
        other.join();
        CHECK(runs == round % 5);
    }
}

TEST_CASE("submitting and shutting down at once: what was accepted runs, what was not throws") {
    for (int round = 0; round < 100; ++round) {
        cairn::thread_pool_executor ex{1};
        static_cast<void>(ex.submit([] {}));
        std::atomic<int> runs{0};
        int accepted = 0;
        std::thread submitter([&] {
            try {
                for (;; ++accepted) static_cast<void>(ex.submit([&] { ++runs; }));
            } catch (const cairn::invalid_state&) {
                return;
            }
        });
        std::this_thread::yield();
        ex.shutdown();
        submitter.join();
        ex.shutdown();
        CHECK(runs == accepted);
    }
}

TEST_CASE("a task that submits while shutdown waits for it is refused, and holds nobody up (futurist 3.5)") {
    door hold;
    cairn::thread_pool_executor ex{2};
    const auto refused = ex.submit([&] {
        if (!hold.pass() || !eventually([&] { return !ex.alive(); })) return false;
        try {
            static_cast<void>(ex.submit([] {}));
        } catch (const cairn::invalid_state&) {
            return true;
        }
        return false;
    });
    REQUIRE(hold.wait_for_arrivals(1));
    std::thread other([&] { ex.shutdown(); });
    hold.open();
    ex.shutdown();
    other.join();
    REQUIRE(refused.done());
    CHECK(refused.result());
}

TEST_CASE("an executor whose threads are idle ends at once, and not after a look of theirs (futurist 2.4)") {
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < 200; ++i) {
        cairn::thread_pool_executor ex{1};
        ex.submit([] {}).result();
        REQUIRE(eventually([&] { return ex.get_num_idle_workers() == 1; }));
    }
    CHECK(std::chrono::steady_clock::now() - begin < patiently(20s));  // one second each would be 200
}

TEST_CASE("terminate cancels what waits, asks what runs to stop, and leaves the executor usable") {
    door started;
    cairn::thread_pool_executor ex{1};
    const auto running = ex.submit([&] {
        started.open();
        return eventually([] { return cairn::this_task::stop_requested(); });
    });
    REQUIRE(started.pass());
    const auto waiting = ex.submit([] {});
    const auto delayed = ex.submit_after(1h, [] {});
    ex.terminate();
    CHECK(waiting.cancelled());
    CHECK(delayed.cancelled());
    CHECK(running.result());
    CHECK(ex.submit([] { return 4; }).result() == 4);
    ex.kill();
    CHECK(ex.statistics().cancelled == 2);
}

TEST_CASE("waiting for tasks of the same executor inside a task does not deadlock, with one thread") {
    cairn::thread_pool_executor ex{1};
    const std::function<long(int)> fibonacci = [&](int n) -> long {
        if (n < 2) return n;
        const auto a = ex.submit(fibonacci, n - 1);
        const auto b = ex.submit(fibonacci, n - 2);
        return a.result() + b.result();
    };
    CHECK(ex.submit(fibonacci, 14).result() == 377);
    CHECK(ex.num_workers() <= 2);

    const auto sums = ex.submit([&] {
        std::vector<cairn::future<int>> fs;
        for (int i = 0; i < 20; ++i) fs.push_back(ex.submit([i] { return i; }));
        static_cast<void>(cairn::wait_for_any(fs));
        cairn::wait_for_all(fs);
        int sum = 0;
        for (auto& f : cairn::as_completed(fs)) sum += f.result();
        for (const int each : ex.map([](int i) { return i; }, std::vector{1, 2, 3})) sum += each;
        return sum;
    });
    CHECK(sums.result() == 196);
}

TEST_CASE("tasks wait for tasks of their own executor as deep as the stack goes, with one thread") {
    cairn::thread_pool_executor ex{1};
    const std::function<int(int)> count = [&](int n) {
        return n == 0 ? 0 : 1 + ex.submit(count, n - 1).result();
    };
    const int depth = ex.submit(count, 500).result(executor_watchdog);
    CHECK(depth == 500);
    CHECK(ex.num_workers() <= 2);
}

TEST_CASE("a task that waits with a limit, or for what is not queued, gets a thread that stands in for it") {
    cairn::thread_pool_executor ex{1};
    CHECK(ex.submit([&] { return ex.submit([] { return 1; }).result(executor_watchdog); }).result() == 1);
    const auto f = ex.submit([&] {
        const auto a = ex.submit([] { return 5; });
        const auto b = a.then(ex, [](const auto& done) { return done.result() + 1; });
        return b.then([](const auto& done) { return done.result() + 1; }).result();
    });
    CHECK(f.result() == 7);
    CHECK(eventually([&] { return ex.num_workers() == 1; }));
}

TEST_CASE("when all threads that may be there wait, one of them runs what they wait for") {
    cairn::thread_pool_executor ex{1};
    const std::function<int(int)> chain = [&](int n) -> int {
        if (n == 0) return 0;
        // Not queued while it is waited for: only another thread, or a look now and then, helps.
        const auto next = ex.submit_after(1ms, chain, n - 1);
        return next.result() + 1;
    };
    CHECK(ex.submit(chain, 6).result() == 6);
}

TEST_CASE("max_pending blocks the submitter until there is room") {
    door hold;
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_pending = 2}};
    static_cast<void>(ex.submit([&] { CHECK(hold.pass()); }));
    static_cast<void>(ex.submit([] {}));
    const auto second = ex.submit([] {});
    std::atomic<bool> is_about_to{false};
    std::atomic<bool> is_in{false};
    std::thread submitter([&] {
        is_about_to = true;
        ex.submit([] {}).result();
        is_in = true;
    });
    REQUIRE(eventually([&] { return is_about_to.load(); }));
    std::this_thread::sleep_for(20ms);
    CHECK(ex.queue_size() == 2);
    CHECK_FALSE(is_in);
    SUBCASE("made by a thread") {
        hold.open();
    }
    SUBCASE("made by a cancellation") {
        CHECK(second.cancel());
        CHECK(eventually([&] { return ex.queue_size() == 2; }));
        hold.open();
    }
    submitter.join();
    CHECK(is_in);
}

TEST_CASE("a submitter that is blocked is told of a shutdown") {
    door hold;
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_pending = 0}};
    static_cast<void>(ex.submit([&] { CHECK(hold.pass()); }));
    std::atomic<bool> is_about_to{false};
    std::atomic<bool> was_refused{false};
    std::thread submitter([&] {
        is_about_to = true;
        try {
            static_cast<void>(ex.submit([] {}));
        } catch (const cairn::invalid_state&) {
            was_refused = true;
        }
    });
    REQUIRE(eventually([&] { return is_about_to.load(); }));
    std::this_thread::sleep_for(10ms);
    ex.shutdown({.wait = false});
    submitter.join();
    CHECK(was_refused);
    hold.open();
}

TEST_CASE("a submitter that is blocked is told of the death of the thread that it waits for") {
    door hold;
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_pending = 0}};
    const auto dying = ex.submit([&] {
        CHECK(hold.pass());
        ::pthread_exit(nullptr);
    });
    REQUIRE(hold.wait_for_arrivals(1));
    std::atomic<bool> is_about_to{false};
    std::atomic<bool> is_in{false};
    std::thread submitter([&] {
        is_about_to = true;
        ex.submit([] {}).result();
        is_in = true;
    });
    REQUIRE(eventually([&] { return is_about_to.load(); }));
    std::this_thread::sleep_for(10ms);
    hold.open();
    CHECK_THROWS_AS(dying.result(), cairn::worker_died);
    const bool has_got_in = eventually([&] { return is_in.load(); });
    CHECK(has_got_in);
    if (!has_got_in) ex.shutdown({.wait = false, .cancel_futures = true});
    submitter.join();
}

TEST_CASE("a submitter that is blocked gets the future of its task when that expires") {
    door hold;
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_pending = 0}};
    const auto running = ex.submit([&] { CHECK(hold.pass()); });
    std::atomic<bool> has_returned{false};
    std::atomic<bool> has_run{false};
    std::thread submitter([&] {
        const auto f = ex.submit({.expires = 10ms, .name = "late"}, [&] { has_run = true; });
        has_returned = true;
        CHECK_THROWS_WITH_AS(f.result(),
                             "result of task 'late': it had not started when it expired, after 10 ms",
                             cairn::timeout_error);
    });
    CHECK(eventually([&] { return has_returned.load(); }));
    CHECK(running.running());
    CHECK(ex.queue_size() == 0);
    hold.open();
    submitter.join();
    ex.shutdown();
    CHECK_FALSE(has_run);
    CHECK(ex.statistics().failures == 1);
}

TEST_CASE("max_pending may reject, or have the submitter run the task") {
    door hold;
    cairn::thread_pool_executor rejecting{
        {.max_workers = 1, .max_pending = 1, .when_full = cairn::when_full::reject}};
    cairn::thread_pool_executor helping{
        {.max_workers = 1, .max_pending = 0, .when_full = cairn::when_full::run_here}};
    const auto pass = [&] { CHECK(hold.pass()); };
    static_cast<void>(rejecting.submit(pass));
    static_cast<void>(rejecting.submit(pass));
    CHECK_THROWS_AS(rejecting.submit(pass), cairn::rejected_submission);
    CHECK(rejecting.statistics().rejected == 1);
    static_cast<void>(helping.submit(pass));
    const auto here = helping.submit([] { return std::this_thread::get_id(); });
    CHECK(here.done());
    CHECK(here.result() == std::this_thread::get_id());
    CHECK(helping.statistics().executed == 1);
    hold.open();
}

namespace {

// An executor whose one thread is busy, so that the next submit runs its task itself.
struct helped_pool {
    door wait_here;
    cairn::thread_pool_executor ex{
        {.max_workers = 1, .max_pending = 0, .when_full = cairn::when_full::run_here}};
    cairn::future<void> running = ex.submit([this] { CHECK(wait_here.pass()); });
};

}  // namespace

TEST_CASE("shutdown waits for a task that its submitter runs, and terminate asks it to stop") {
    helped_pool pool;
    door in_caller;
    std::atomic<bool> has_ended{false};
    std::atomic<bool> was_asked{false};
    std::thread submitter([&] {
        static_cast<void>(pool.ex.submit([&] {
            CHECK(in_caller.pass());
            was_asked = eventually([&] { return has_ended || cairn::this_task::stop_requested(); });
            std::this_thread::sleep_for(20ms);
            has_ended = true;
        }));
    });
    REQUIRE(in_caller.wait_for_arrivals(1));
    pool.wait_here.open();
    pool.running.result();
    SUBCASE("shutdown") {
        std::atomic<bool> was_ended{false};
        std::thread closing([&] {
            pool.ex.shutdown();
            was_ended = has_ended.load();
        });
        CHECK(eventually([&] { return pool.ex.num_workers() == 0; }));
        in_caller.open();
        pool.ex.terminate();
        closing.join();
        CHECK(was_ended);
    }
    SUBCASE("terminate") {
        in_caller.open();
        pool.ex.terminate();
        pool.ex.shutdown();
        CHECK(has_ended);
    }
    submitter.join();
    CHECK(was_asked);
}

TEST_CASE("a task that its submitter runs may shut down its executor, and destroy it") {
    auto pool = std::make_unique<helped_pool>();
    CHECK(pool->ex.submit([&] { pool->ex.shutdown(); }).done());
    pool->wait_here.open();
    door hold;
    auto ex = std::make_unique<cairn::thread_pool_executor>(cairn::thread_pool_options{
        .max_workers = 1, .max_pending = 0, .when_full = cairn::when_full::run_here});
    const auto running = ex->submit([&] { CHECK(hold.pass()); });
    CHECK(ex->submit([&] { ex.reset(); }).done());
    hold.open();
    running.result();
}

TEST_CASE("submit by an executor's own worker never blocks on the bound") {
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_pending = 0}};
    const auto f = ex.submit([&] {
        std::vector<cairn::future<int>> fs;
        for (int i = 0; i < 10; ++i) fs.push_back(ex.submit([i] { return i; }));
        int sum = 0;
        for (const auto& each : fs) sum += each.result();
        return sum;
    });
    CHECK(f.result() == 45);
}

TEST_CASE("submit that can make no thread throws where there is none, and the task never runs") {
    door hold;
    cairn::thread_pool_executor ex{2};
    std::atomic<int> runs{0};
    {
        const threads_fail fail;
        CHECK_THROWS_AS(ex.submit([&] { ++runs; }), cairn::system_failure);
        CHECK(ex.queue_size() == 0);
    }
    CHECK(ex.submit([] { return 1; }).result() == 1);
    CHECK(runs == 0);
    const auto first = ex.submit([&] { CHECK(hold.pass()); });
    {
        const threads_fail fail;
        const auto second = ex.submit([&] { ++runs; });  // the one that is there will do it
        CHECK(ex.num_workers() == 1);
        hold.open();
        second.result();
    }
    CHECK(runs == 1);
}

TEST_CASE("submitters that rely on a thread that is being made are told that it cannot be made") {
    // The first pthread_create waits until the other submitter has queued its task, and then fails, as all do.
    static door making;
    static std::atomic<int> made{0};
    cairn::thread_pool_executor ex{1};
    std::atomic<bool> was_refused{false};
    cairn::detail::os::fault.store([](const char* call) noexcept {
        if (std::string_view(call) != "pthread_create") return 0;
        if (++made == 1) static_cast<void>(making.pass());
        return EAGAIN;
    });
    // Not by pthread_create of os/.
    std::thread first([&] {
        try {
            static_cast<void>(ex.submit([] {}));
        } catch (const cairn::system_failure&) {
            was_refused = true;
        }
    });
    REQUIRE(making.wait_for_arrivals(1));
    const auto second = ex.submit([] {});
    making.open();
    CHECK(eventually([&] { return second.done(); }));
    first.join();
    cairn::detail::os::fault.store(nullptr);
    CHECK(was_refused);
    CHECK(contains(what_of([&] { second.result(executor_watchdog); }), "none is left"));
    CHECK(ex.num_workers() == 0);
    CHECK(ex.submit([] { return 1; }).result() == 1);
}

TEST_CASE("callbacks cannot be registered when the settling thread cannot be made") {
    CHECK(in_child([] {
              cairn::synchronous_executor ex;
              const auto f = ex.submit([] {});
              {
                  const threads_fail fail;
                  bool has_thrown = false;
                  try {
                      f.add_done_callback([](const auto&) {});
                  } catch (const cairn::system_failure&) {
                      has_thrown = true;
                  }
                  CHILD_CHECK(has_thrown);
                  cairn::thread_pool_executor pool{1};
                  bool has_thrown_too = false;
                  try {
                      static_cast<void>(pool.submit_after(1ms, [] {}));
                  } catch (const cairn::system_failure&) {
                      has_thrown_too = true;
                  }
                  CHILD_CHECK(has_thrown_too);
              }
              std::atomic<bool> was_called{false};
              f.add_done_callback([&](const auto&) { was_called = true; });
              CHILD_CHECK(eventually([&] { return was_called.load(); }));
          }) == 0);
}

TEST_CASE("each thread is initialised first; one failure in between is made good") {
    std::atomic<int> calls{0};
    cairn::thread_pool_executor ex{{.max_workers = 1, .initializer = [&] {
                                        if (++calls == 1) throw std::runtime_error("once");
                                    }}};
    CHECK(ex.submit([&] { return calls.load(); }).result() == 2);
}

TEST_CASE("an initializer that always fails is one initializer_failed for all, and no loop") {
    std::atomic<int> calls{0};
    cairn::thread_pool_executor ex{{.max_workers = 2, .initializer = [&] {
                                        ++calls;
                                        throw std::runtime_error("no such file");
                                    }}};
    std::string text;
    try {
        const auto f = ex.submit([] {});
        try {
            f.result();
        } catch (const cairn::initializer_failed& e) {
            text = e.what();
        }
    } catch (const cairn::initializer_failed& e) {
        text = e.what();
    }
    CHECK(contains(text, "the initializer has thrown in 3 threads"));
    CHECK(contains(text, "std::runtime_error: no such file"));
    CHECK_THROWS_AS(ex.submit([] {}), cairn::initializer_failed);
    CHECK_FALSE(ex.alive());
    CHECK(calls <= 4);
}

TEST_CASE("an initializer that fails while a thread is up is no loop either, and a later success ends that") {
    std::atomic<int> calls{0};
    std::atomic<bool> succeeds{true};
    cairn::thread_pool_executor ex{{.max_workers = 4, .initializer = [&] {
                                        ++calls;
                                        if (!succeeds) throw std::runtime_error("no more");
                                    }}};
    door hold;
    const auto running = ex.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    succeeds = false;
    std::vector<cairn::future<void>> fs;
    for (int i = 0; i < 20; ++i) fs.push_back(ex.submit([] {}));
    CHECK(eventually([&] { return ex.num_workers() == 1; }));
    const int so_far = calls;
    CHECK(so_far <= 12);
    for (int i = 0; i < 20; ++i) fs.push_back(ex.submit([] {}));
    std::this_thread::sleep_for(50ms);
    CHECK(calls == so_far);
    hold.open();
    cairn::wait_for_all(fs);
    // A task that waits inside may not get another thread: it runs the other one in place.
    CHECK(ex.submit([&] { return ex.submit([] { return 3; }).result(); }).result() == 3);
    CHECK(calls <= so_far + 4);
    succeeds = true;
    const auto dying = ex.submit([] { ::pthread_exit(nullptr); });
    CHECK_THROWS_AS(dying.result(), cairn::worker_died);
    ex.submit([] {}).result();
    CHECK(calls == so_far + 1);
    std::atomic<int> arrived{0};
    for (int i = 0; i < 4; ++i) {
        fs.push_back(ex.submit([&] {
            ++arrived;
            CHECK(eventually([&] { return arrived == 4; }));
        }));
    }
    cairn::wait_for_all(fs);
}

TEST_CASE("the executor's retries are for submits with options that give none") {
    cairn::thread_pool_executor ex{{.max_workers = 1, .retries = 2}};
    const auto always = [](const std::exception&) { return true; };
    std::atomic<int> calls{0};
    const auto fail = [&] {
        ++calls;
        throw std::runtime_error("again");
    };
    const auto calls_of = [&](const cairn::future<void>& f) {
        CHECK_THROWS_AS(f.result(), std::runtime_error);
        return calls.exchange(0);
    };
    CHECK(calls_of(ex.submit({.retry_if = always}, fail)) == 3);
    CHECK(calls_of(ex.submit({.retries = 1, .retry_if = always}, fail)) == 2);
    CHECK(calls_of(ex.submit(fail)) == 1);
    const auto dying = ex.submit({.name = "dying"}, [&] {
        ++calls;
        ::pthread_exit(nullptr);
    });
    CHECK_THROWS_AS(dying.result(), cairn::worker_died);
    CHECK(calls == 3);
}

TEST_CASE("a thread is replaced after max_tasks_per_worker tasks, by one of the same id") {
    cairn::thread_pool_executor ex{{.max_workers = 1, .max_tasks_per_worker = 2}};
    std::set<std::thread::id> threads;
    std::vector<cairn::future<std::thread::id>> fs;
    for (int i = 0; i < 10; ++i) {
        fs.push_back(ex.submit([] {
            CHECK(cairn::this_worker::id() == 0);
            thread_local int tasks = 0;  // thread ids are given again
            ++tasks;
            CHECK(tasks <= 2);
            return std::this_thread::get_id();
        }));
    }
    for (const auto& f : fs) threads.insert(f.result());
    CHECK(ex.statistics().executed == 10);
}

TEST_CASE("idle threads end after idle_timeout, and come back") {
    cairn::thread_pool_executor ex{{.max_workers = 3, .idle_timeout = 10ms}};
    for (int round = 0; round < 3; ++round) {
        std::vector<cairn::future<void>> fs;
        for (int i = 0; i < 3; ++i) fs.push_back(ex.submit([] { std::this_thread::sleep_for(1ms); }));
        cairn::wait_for_all(fs);
        CHECK(eventually([&] { return ex.num_workers() == 0; }));
    }
}

TEST_CASE("the dynamic executor grows with each task while it is busy, shrinks by one a submit, and to fit") {
    door hold;
    cairn::dynamic_thread_pool_executor ex{{.max_workers = 12}};
    std::vector<cairn::future<void>> fs;
    for (int i = 0; i < 10; ++i) fs.push_back(ex.submit([&] { CHECK(hold.pass()); }));
    CHECK(ex.num_workers() == 10);
    REQUIRE(hold.wait_for_arrivals(10));
    hold.open();
    cairn::wait_for_all(fs);
    ex.submit([] {}).result();
    CHECK(ex.num_workers() == 9);
    ex.maintain();
    CHECK(ex.num_workers() == 1);
    CHECK(ex.submit([] { return 2; }).result() == 2);
    for (int i = 0; i < 30; ++i) fs.push_back(ex.submit([] { std::this_thread::sleep_for(1ms); }));
    CHECK(ex.num_workers() <= 12);
    cairn::wait_for_all(fs);
}

TEST_CASE("an executor may be destroyed by its own worker, and by a callback") {
    for (int round = 0; round < 20; ++round) {
        auto ex = std::make_unique<cairn::thread_pool_executor>(2);
        cairn::thread_pool_executor& used = *ex;
        std::atomic<int> runs{0};
        door hold;
        const auto f = used.submit([&] {
            CHECK(hold.pass());
            for (int i = 0; i < 5; ++i) static_cast<void>(used.submit([&] { ++runs; }));
            if (round % 2 == 0) ex.reset();
        });
        if (round % 2 == 1) f.add_done_callback([&](const auto&) { ex.reset(); });
        hold.open();
        f.result();
        CHECK(eventually([&] { return runs == 5; }));
        CHECK(eventually([&] {
            return cairn::future<void>(f).then([&](const auto&) { return ex == nullptr; }).result();
        }));
    }
}

TEST_CASE("a task may destroy its executor while submit has not returned") {
    for (int round = 0; round < 500; ++round) {
        auto* const ex = new cairn::thread_pool_executor(1);
        ex->submit([] {}).result();
        const auto f = ex->submit([ex] { delete ex; });
        f.result();
    }
}

TEST_CASE("shutdown by a worker and by a callback does not wait for itself") {
    cairn::thread_pool_executor ex{1};
    ex.submit([&] { ex.shutdown(); }).result();
    cairn::thread_pool_executor other{1};
    const auto f = other.submit([] {});
    f.then([&](const auto&) { other.shutdown(); }).result();
    CHECK_FALSE(other.alive());
}

TEST_CASE("an exception that unwinds past an executor cancels what waits, and asks what runs") {
    std::optional<cairn::future<void>> waiting;
    std::atomic<bool> was_asked{false};
    try {
        cairn::thread_pool_executor ex{1};
        door started;
        static_cast<void>(ex.submit([&] {
            started.open();
            was_asked = eventually([] { return cairn::this_task::stop_requested(); });
        }));
        CHECK(started.pass());
        waiting = ex.submit([] {});
        throw std::runtime_error("out of here");
    } catch (const std::runtime_error&) {
        CHECK(waiting->cancelled());
        CHECK(was_asked);
    }
}

TEST_CASE("a process that is bound to one processor gets on with its tasks") {
    CHECK(in_child([] {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
              CHILD_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
              cairn::thread_pool_executor ex;
              std::atomic<int> sum{0};
              std::thread submitter([&] {
                  for (int i = 0; i < 1000; ++i) static_cast<void>(ex.submit([&] { ++sum; }));
              });
              submitter.join();
              CHILD_CHECK(eventually([&] { return sum == 1000; }));
          }) == 0);
}

TEST_CASE("a task that comes while a thread takes another one gets the thread that sleeps") {
    cairn::thread_pool_executor ex{2};
    // Tasks of a pair wait for each other by spinning: the pool does not know.
    const auto meet = [](std::atomic<int>& arrived) {
        ++arrived;
        const auto limit = std::chrono::steady_clock::now() + patiently(executor_watchdog);
        while (arrived < 2) {
            if (std::chrono::steady_clock::now() > limit) return false;
            std::this_thread::yield();
        }
        return true;
    };
    for (int round = 0; round < 5000; ++round) {
        std::atomic<int> arrived{0};
        const auto one = ex.submit([&] { return meet(arrived); });
        for (int i = 0; i < round % 64; ++i) static_cast<void>(arrived.load());
        const auto other = ex.submit([&] { return meet(arrived); });
        const bool has_one_met = one.result();
        const bool has_other_met = other.result();
        REQUIRE(has_one_met);
        REQUIRE(has_other_met);
    }
}

TEST_CASE("many submitters and many threads lose no task and run none twice") {
    constexpr int submitters = 4;
    constexpr int tasks_each = 5000;
    std::vector<std::atomic<int>> runs(submitters * tasks_each);
    cairn::thread_pool_executor ex{4};
    std::vector<std::thread> threads;
    for (int s = 0; s < submitters; ++s) {
        threads.emplace_back([&, s] {
            for (int i = 0; i < tasks_each; ++i)
                static_cast<void>(ex.submit([&, at = static_cast<std::size_t>(s) * tasks_each +
                                                     static_cast<std::size_t>(i)] { ++runs[at]; }));
        });
    }
    for (std::thread& each : threads) each.join();
    ex.shutdown();
    CHECK(std::all_of(runs.begin(), runs.end(), [](const auto& count) { return count == 1; }));
    CHECK(ex.statistics().executed == submitters * tasks_each);
}

}  // namespace thread_pool_executor_test
