// periodic_test.cpp - periodic_worker on a clock that the tests set: which run starts when, in what order, and how often.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <pthread.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/periodic.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace periodic_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::periodic;
using cairn::strategy;
using std::chrono::nanoseconds;

namespace {

using instants = std::vector<nanoseconds>;

// When something ran, on a clock that begins at 0.
class diary {
public:
    explicit diary(cairn::manual_clock clock) : clock_(std::move(clock)) {}
    void note() {
        const std::lock_guard held(mutex_);
        entries_.push_back(clock_.now().time_since_epoch());
    }
    [[nodiscard]] instants entries() const {
        const std::lock_guard held(mutex_);
        return entries_;
    }
    [[nodiscard]] std::size_t size() const { return entries().size(); }

private:
    cairn::manual_clock clock_;
    mutable std::mutex mutex_;
    instants entries_;
};

instants each(nanoseconds first, nanoseconds step, int count) {
    instants all;
    for (int i = 0; i < count; ++i) all.push_back(first + i * step);
    return all;
}

std::string text_of(const auto& value) {
    std::ostringstream out;
    out << value;
    return out.str();
}

std::string what_of(const std::exception_ptr& error) {
    try {
        std::rethrow_exception(error);
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "?";
    }
}

// The starts of a callable that takes 300 ms each time, five of them, every 200 ms.
instants starts_of_long_runs(strategy by) {
    const cairn::manual_clock clock;
    diary starts(clock);
    cairn::periodic_worker w{{.strategy = by, .clock = clock}};
    w.add(periodic{200ms}, [&] {
        starts.note();
        clock.advance(300ms);
        if (starts.size() == 5) w.stop();
    });
    w.start_async();
    clock.run_for(10s);
    w.wait();
    return starts.entries();
}

static_assert(!std::is_copy_constructible_v<cairn::periodic_worker>);
static_assert(std::is_copy_constructible_v<cairn::periodic_watcher>);
static_assert(std::is_base_of_v<cairn::error, cairn::never_again>);

}  // namespace

// -- when -----------------------------------------------------------------------------------------------------------

TEST_CASE("the first run is one spacing after add, and then one follows each spacing") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.clock = clock}};
    const auto watcher = w.add(periodic{1s}, [&] { runs.note(); });
    w.start_async();
    clock.run_for(999ms);
    CHECK(runs.entries().empty());
    clock.run_for(1ms);
    CHECK(runs.entries() == instants{1s});
    clock.run_for(5500ms);
    CHECK(runs.entries() == each(1s, 1s, 6));
    CHECK(watcher.runs() == 6);
    CHECK(watcher.successes() == 6);
    CHECK(watcher.late() == 0s);
    w.stop();
    w.wait();
    clock.run_for(10s);
    CHECK(runs.size() == 6);
}

TEST_CASE(
    "the seed's program: one a second, and one every four seconds that sees what the others have done") {
    const cairn::manual_clock clock;
    std::vector<std::string> lines;
    cairn::periodic_worker w{{.clock = clock}};
    const auto every_one = w.add(
        periodic{1s},
        [&](nanoseconds started_at) {
            lines.push_back("1: " + std::to_string((clock.now().time_since_epoch() - started_at) / 1s));
        },
        clock.now().time_since_epoch());
    const auto print_stats = w.add(periodic{4s}, [&] {
        std::string line = "stats:";
        for (const auto& watcher : w.watchers()) line += " runs=" + std::to_string(watcher.runs());
        lines.push_back(line);
    });
    std::thread running([&] { w.start(); });
    REQUIRE(eventually([&] { return w.running(); }));
    clock.run_for(6500ms);
    w.stop();
    running.join();
    // On a clock without wake-up latencies both are due at 4 s exactly, and the one that was added first runs first.
    CHECK(lines ==
          std::vector<std::string>{"1: 1", "1: 2", "1: 3", "1: 4", "stats: runs=4 runs=0", "1: 5", "1: 6"});
    CHECK(every_one.runs() == 6);
    CHECK(every_one.successes() == 6);
    CHECK(every_one.failures() == 0);
    CHECK(print_stats.runs() == 1);
    CHECK_FALSE(print_stats.requested_stop());
    CHECK(w.size() == 2);
}

TEST_CASE("run_immediately: the first run is due at once") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.clock = clock}};
    w.add(periodic{200ms, {.run_immediately = true}}, [&] { runs.note(); });
    w.start_async();
    clock.run_for(650ms);
    CHECK(runs.entries() == each(0ms, 200ms, 4));
}

TEST_CASE("what is due at one instant runs in the order of add") {
    const cairn::manual_clock clock;
    std::string order;
    cairn::periodic_worker w{{.clock = clock}};
    w.add(periodic{2s}, [&] { order += 'a'; });
    w.add(periodic{1s}, [&] { order += 'b'; });
    w.add(periodic{2s}, [&] { order += 'c'; });
    w.add(periodic{5s, {.run_immediately = true}}, [&] { order += 'd'; });
    w.start_async();
    clock.run_for(2s);
    CHECK(order == "dbabc");
}

TEST_CASE("runs that take longer than the spacing: each strategy, with futurist's start times") {
    CHECK(starts_of_long_runs(strategy::last_started) == instants{200ms, 500ms, 800ms, 1100ms, 1400ms});
    CHECK(starts_of_long_runs(strategy::last_finished) == instants{200ms, 700ms, 1200ms, 1700ms, 2200ms});
    CHECK(starts_of_long_runs(strategy::aligned_last_finished) ==
          instants{200ms, 600ms, 1000ms, 1400ms, 1800ms});
    CHECK(starts_of_long_runs(strategy::fixed_rate) == instants{200ms, 600ms, 1000ms, 1400ms, 1800ms});
}

TEST_CASE("fixed_rate and aligned_last_finished do not drift in 1 000 runs, each of them late") {
    for (const strategy by : {strategy::fixed_rate, strategy::aligned_last_finished}) {
        const cairn::manual_clock clock;
        diary runs(clock);
        cairn::periodic_worker w{{.strategy = by, .clock = clock}};
        // Due at the same instants, and in the way of the other one each time.
        w.add(periodic{1s}, [&] { clock.advance(3ms); });
        const auto watcher = w.add(periodic{1s}, [&] { runs.note(); });
        w.start_async();
        clock.run_for(1000s + 500ms);
        CHECK(runs.entries() == each(1s + 3ms, 1s, 1000));
        CHECK(watcher.skipped() == 0);
        CHECK(watcher.longest_late() == 3ms);
    }
}

TEST_CASE("jitter makes each run later by less than 5 percent, by another part each time") {
    for (const strategy by : {strategy::last_started_jitter, strategy::last_finished_jitter,
                              strategy::aligned_last_finished_jitter}) {
        const cairn::manual_clock clock;
        diary runs(clock);
        cairn::periodic_worker w{{.strategy = by, .clock = clock}};
        w.add(periodic{1s}, [&] { runs.note(); });
        w.start_async();
        clock.run_for(100s);
        const instants at = runs.entries();
        REQUIRE(at.size() >= 95);
        CHECK(at[0] == 1s);
        int different = 0;
        for (std::size_t i = 1; i < at.size(); ++i) {
            const nanoseconds before = by == strategy::aligned_last_finished_jitter
                                           ? std::chrono::floor<std::chrono::seconds>(at[i - 1])
                                           : at[i - 1];
            const nanoseconds after = at[i] - before - 1s;
            CHECK(after >= 0s);
            CHECK(after < 50ms);
            if (after != at[1] - at[0] - 1s) ++different;
        }
        CHECK(different > 0);
    }
}

TEST_CASE("phase: the first run at a given instant, or at a random one within the first spacing") {
    const cairn::manual_clock clock;
    diary given(clock);
    std::vector<std::unique_ptr<diary>> random;
    cairn::periodic_worker w{{.clock = clock}};
    w.add(periodic{1s, {.phase = 250ms}}, [&] { given.note(); });
    for (int i = 0; i < 20; ++i) {
        auto& runs = *random.emplace_back(std::make_unique<diary>(clock));
        w.add(periodic{1s, {.phase = true}}, [&runs] { runs.note(); });
    }
    w.start_async();
    clock.run_for(3s);
    CHECK(given.entries() == each(250ms, 1s, 3));
    int different = 0;
    for (const auto& runs : random) {
        const instants at = runs->entries();
        REQUIRE(at.size() == 3);
        CHECK(at[0] < 1s);
        CHECK(at == each(at[0], 1s, 3));
        if (at[0] != random[0]->entries()[0]) ++different;
    }
    CHECK(different > 0);
}

TEST_CASE("what was missed runs once, at once, and is counted: no bursts") {
    for (const strategy by : {strategy::last_started, strategy::last_finished,
                              strategy::aligned_last_finished, strategy::fixed_rate}) {
        const cairn::manual_clock clock;
        diary runs(clock);
        cairn::periodic_worker w{{.strategy = by, .clock = clock}};
        const auto watcher = w.add(periodic{1s}, [&] { runs.note(); });
        w.start_async();
        clock.run_for(1s);
        REQUIRE(runs.entries() == instants{1s});
        clock.advance(5s);  // as if the process had been stopped
        clock.run_for(0s);
        CHECK(runs.entries() == instants{1s, 6s});
        CHECK(watcher.skipped() == 4);
        CHECK(watcher.late() == 4s);
        CHECK(watcher.longest_late() == 4s);
        clock.run_for(2s);
        CHECK(runs.entries() == instants{1s, 6s, 7s, 8s});
        CHECK(watcher.skipped() == 4);
    }
}

TEST_CASE("a clock that is set an hour forward costs one run, set back again it holds up nobody") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.strategy = strategy::fixed_rate, .clock = clock}};
    const auto watcher = w.add(periodic{10s}, [&] { runs.note(); });
    w.start_async();
    clock.run_for(14s);
    clock.advance(1h);
    clock.run_for(0s);
    CHECK(runs.entries() == instants{10s, 1h + 14s});
    CHECK(watcher.skipped() == 359);
    clock.run_for(10s);
    CHECK(runs.entries().back() == 1h + 20s);
    clock.advance(-1h);
    // Six seconds were left, and six seconds are.
    CHECK(*watcher.runs_in() == 6s);
    clock.run_for(16s);
    CHECK(runs.entries() == instants{10s, 1h + 14s, 1h + 20s, 30s, 40s});
}

TEST_CASE("what became due before start is not late") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.clock = clock}};
    const auto watcher = w.add(periodic{1s}, [&] { runs.note(); });
    clock.advance(1min);
    w.start_async();
    clock.run_for(1s);
    CHECK(runs.entries() == instants{60s, 61s});
    CHECK(watcher.late() == 0s);
    CHECK(watcher.skipped() == 0);
}

TEST_CASE("without a clock it is the steady one: runs start no earlier than they are due") {
    using clock = std::chrono::steady_clock;
    cairn::periodic_worker w;
    std::vector<clock::time_point> at;
    const auto begin = clock::now();
    w.add(periodic{20ms}, [&] {
        at.push_back(clock::now());
        if (at.size() == 3) w.stop();
    });
    w.start();
    REQUIRE(at.size() == 3);
    CHECK(at[0] - begin >= 20ms);
    CHECK(at[1] - at[0] >= 19ms);
    CHECK(at[2] - at[1] >= 19ms);
}

TEST_CASE("a clock may be any function: of another clock, or of the user's") {
    std::atomic<int> runs{0};
    {
        cairn::periodic_worker w{{.clock = &std::chrono::system_clock::now}};
        w.add(periodic{1ms}, [&] {
            if (++runs == 3) w.stop();
        });
        w.start();
    }
    CHECK(runs == 3);

    std::atomic<long> seconds{100};
    cairn::periodic_worker w{{.clock = [&seconds] { return std::chrono::seconds(seconds); }}};
    const auto watcher = w.add(periodic{5s}, [&] { ++runs; });
    w.start_async();
    seconds = 104;
    CHECK(*watcher.runs_in() == 1s);
    seconds = 105;
    CHECK(eventually([&] { return watcher.runs() == 1; }));
    seconds = 10;  // set back
    CHECK(eventually([&] { return watcher.runs_in() == 5s; }));
    seconds = 15;
    CHECK(eventually([&] { return watcher.runs() == 2; }));

    CHECK_THROWS_AS(cairn::periodic_clock(std::function<std::chrono::seconds()>()), cairn::invalid_argument);
    CHECK_THROWS_AS(cairn::periodic_clock([] { return 1s; }, 0ms), cairn::invalid_argument);
}

TEST_CASE("a manual clock tells when a run goes on for too long, and stays where it was") {
    const cairn::manual_clock clock;
    door hold;
    cairn::periodic_worker w{{.clock = clock}};
    w.add(periodic{1s}, [&] { CHECK(hold.pass()); });
    w.start_async();
    CHECK_THROWS_AS(clock.run_for(3s, 10ms), cairn::timeout_error);
    CHECK(clock.now().time_since_epoch() == 1s);
    hold.open();
    clock.run_for(2s);
    CHECK(clock.now().time_since_epoch() == 3s);
}

// -- what is called -------------------------------------------------------------------------------------------------

TEST_CASE("functions, members, move-only callables, and arguments by reference are called again and again") {
    struct counter {
        int count = 0;
        void add(int n) { count += n; }
    };
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.clock = clock}};
    counter c;
    int sum = 0;
    w.add(periodic{1s}, &counter::add, &c, 2);
    w.add(periodic{1s}, [owned = std::make_unique<int>(5), &sum] { sum += *owned; });
    w.add(
        periodic{1s}, [](int& to, const std::string& text) { to += static_cast<int>(text.size()); },
        std::ref(sum), "abc");
    w.add(1s, [n = 0, &sum]() mutable { sum += 100 * ++n; });  // a spacing alone is a periodic
    w.start_async();
    clock.run_for(3s);
    CHECK(c.count == 6);
    CHECK(sum == 3 * 5 + 3 * 3 + 600);
}

TEST_CASE("never_again, thrown, returned, or in an optional, is a success and the last run") {
    const cairn::manual_clock clock;
    cairn::periodic_worker w{
        {.on_failure = [](std::exception_ptr) { FAIL("never_again is no failure"); }, .clock = clock}};
    const auto thrown = w.add(periodic{1s}, [] { throw cairn::never_again{}; });
    const auto returned = w.add(periodic{1s}, [] { return cairn::never_again{}; });
    int runs = 0;
    const auto third = w.add(periodic{1s}, [&]() -> std::optional<cairn::never_again> {
        if (++runs < 3) return std::nullopt;
        return cairn::never_again{};
    });
    const auto other = w.add(periodic{1s}, [] { return 3; });
    w.start_async();
    clock.run_for(5s);
    CHECK(thrown.runs() == 1);
    CHECK(thrown.successes() == 1);
    CHECK(thrown.requested_stop());
    CHECK_FALSE(thrown.runs_in());
    CHECK(returned.runs() == 1);
    CHECK(returned.requested_stop());
    CHECK(third.runs() == 3);
    CHECK(third.requested_stop());
    CHECK(other.runs() == 5);
    CHECK_FALSE(other.requested_stop());
    CHECK(w.size() == 4);
}

TEST_CASE("auto_stop_when_empty: start returns when the last one has said never_again, or was removed") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{2};
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    const auto first = w.add(periodic{1s}, [] { throw cairn::never_again{}; });
    const auto second = w.add(periodic{2s}, [] {});
    w.start_async({.auto_stop_when_empty = true});
    clock.run_for(4s);
    CHECK(first.requested_stop());
    CHECK(second.runs() == 2);
    CHECK_FALSE(w.wait(0s));
    w.remove(second);
    CHECK(w.wait(patiently(executor_watchdog)));
    CHECK_FALSE(w.running());
    // Without it, it waits for more.
    cairn::periodic_worker waiting{{.clock = clock}};
    waiting.add(periodic{1s}, [] { throw cairn::never_again{}; });
    waiting.start_async();
    clock.run_for(5s);
    const auto late = waiting.add(periodic{1s}, [] {});
    clock.run_for(2s);
    CHECK(late.runs() == 2);
}

TEST_CASE("what a callable throws is counted, told to on_failure, and it runs again") {
    const cairn::manual_clock clock;
    std::vector<std::string> told;
    cairn::periodic_worker w{
        {.on_failure =
             [&](const cairn::periodic_failure& f) {
                 // It is counted by now, and still under way.
                 told.push_back(f.watcher.name() + ' ' + text_of(f.kind) + ' ' +
                                std::to_string(f.spacing / 1ms) + ' ' + what_of(f.error) + ' ' +
                                std::to_string(f.watcher.failures()) + (f.watcher.active() ? " active" : ""));
             },
         .clock = clock}};
    int runs = 0;
    const auto watcher = w.add(periodic{1s, {.run_immediately = true, .name = "bad"}}, [&] {
        if (++runs != 2) throw std::runtime_error("no " + std::to_string(runs));
    });
    const auto strange = w.add(periodic{2s, {.name = "strange"}}, [] { throw 5; });
    w.start_async();
    clock.run_for(2s);
    CHECK(told == std::vector<std::string>{"bad immediate 1000 no 1 1 active",
                                           "bad periodic 1000 no 3 2 active",
                                           "strange periodic 2000 ? 1 active"});
    CHECK(watcher.runs() == 3);
    CHECK(watcher.failures() == 2);
    CHECK(watcher.successes() == 1);
    CHECK(strange.failures() == 1);
}

TEST_CASE("an on_failure that throws, or calls the worker, holds up nothing") {
    const cairn::manual_clock clock;
    std::optional<cairn::periodic_worker> w;
    int told = 0;
    w.emplace(cairn::periodic_worker_options{.on_failure =
                                                 [&](const std::exception_ptr&) {
                                                     if (++told == 2) w->stop();
                                                     throw std::logic_error("of on_failure");
                                                 },
                                             .clock = clock});
    const auto watcher = w->add(periodic{1s}, [] { throw std::runtime_error("x"); });
    w->start_async();
    clock.run_for(5s);
    w->wait();
    CHECK(told == 2);
    CHECK(watcher.failures() == 2);
}

// -- executors ------------------------------------------------------------------------------------------------------

TEST_CASE("never two runs of one callable at a time, also where threads are free; others are not held up") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{4};
    door hold;
    std::atomic<int> inside{0};
    std::atomic<int> most{0};
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    const auto slow = w.add(periodic{1s}, [&] {
        most = std::max<int>(most, ++inside);
        CHECK(hold.pass());
        --inside;
    });
    const auto fast = w.add(periodic{1s}, [] {});
    w.start_async();
    for (int i = 1; i <= 5; ++i) {
        clock.advance(1s);
        REQUIRE(eventually([&] { return fast.runs() == static_cast<unsigned>(i); }));
    }
    REQUIRE(hold.wait_for_arrivals(1));
    CHECK(slow.runs() == 0);
    CHECK(slow.active());
    CHECK_FALSE(slow.runs_in());
    hold.open();
    clock.run_for(0s);  // what it has missed: one run
    CHECK(slow.runs() == 2);
    CHECK(slow.skipped() == 3);
    clock.run_for(10s);
    CHECK(slow.runs() == 12);
    CHECK(most == 1);
    w.stop();
    w.wait();
    CHECK(pool.alive());  // it is the user's
}

TEST_CASE("a submission that is refused is tried again after about a second, and nothing else is held up") {
    const cairn::manual_clock clock;
    std::atomic<bool> is_open{false};
    cairn::thread_pool_executor pool{
        {.max_workers = 1, .check_and_reject = [&](const cairn::any_executor&, std::size_t) {
             if (!is_open) throw cairn::rejected_submission("Current backlog 2 ...");
         }}};
    diary runs(clock);
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    const auto watcher = w.add(periodic{200ms}, [&] { runs.note(); });
    w.start_async();
    clock.run_for(200ms);
    CHECK(watcher.refused() == 1);
    CHECK_FALSE(watcher.active());
    const auto next = *watcher.runs_in();
    CHECK(next >= 900ms);
    CHECK(next < 1100ms);
    clock.run_for(1100ms);
    CHECK(watcher.refused() == 2);
    is_open = true;
    clock.run_for(1100ms);
    REQUIRE(runs.size() >= 1);
    const nanoseconds first = runs.entries()[0];
    CHECK(first >= 2s);
    CHECK(first < 2400ms);
    clock.run_for(1s);
    CHECK(runs.entries() == each(first, 200ms, static_cast<int>(runs.size())));
    CHECK(runs.size() > 5);
    // Late since it was due, and what it has missed meanwhile.
    CHECK(watcher.longest_late() == cairn::periodic_metrics::seconds(first - 200ms));
    CHECK(watcher.skipped() == static_cast<unsigned>((first - 200ms) / 200ms));
}

TEST_CASE("an immediate run that is refused is tried again soon, and then less and less often") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{1};
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    std::optional<cairn::thread_pool_executor> closed;
    closed.emplace(1);
    closed->shutdown();
    cairn::periodic_worker refused{{.executor = *closed, .clock = clock}};
    const auto watcher = refused.add(periodic{1h, {.run_immediately = true}}, [] {});
    refused.start_async();
    clock.run_for(0s);
    CHECK(watcher.refused() == 1);
    CHECK(*watcher.runs_in() == 1ms);
    clock.run_for(7ms);  // at 1 ms, at 3 ms, at 7 ms
    CHECK(watcher.refused() == 4);
    clock.run_for(1h);
    CHECK(watcher.refused() > 3000);
    CHECK(watcher.refused() < 4100);
    CHECK(*watcher.runs_in() < 1100ms);
}

TEST_CASE("with max_pending and when_full::reject a run waits for the next try, not in the queue") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{
        {.max_workers = 1, .max_pending = 0, .when_full = cairn::when_full::reject}};
    door hold;
    const auto busy = pool.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    const auto watcher = w.add(periodic{1s}, [] {});
    w.start_async();
    clock.run_for(1s);
    CHECK(watcher.refused() == 1);
    hold.open();
    busy.result();
    CHECK(eventually([&] { return pool.get_num_idle_workers() == 1; }));
    clock.run_for(1100ms);
    CHECK(watcher.runs() == 1);
}

TEST_CASE("a run that its executor cancels is tried again; one that waits when stop comes is dropped") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{1};
    door hold;
    const auto busy = pool.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    cairn::periodic_worker w{{.executor = pool, .clock = clock}};
    const auto watcher = w.add(periodic{1s}, [] {});
    w.start_async();
    clock.advance(1s);
    REQUIRE(eventually([&] { return pool.queue_size() == 1; }));
    CHECK(watcher.active());
    pool.terminate();
    REQUIRE(eventually([&] { return !watcher.active(); }));
    CHECK(watcher.refused() == 1);
    CHECK(watcher.runs() == 0);
    clock.advance(1100ms);
    REQUIRE(eventually([&] { return pool.queue_size() == 1; }));
    w.stop();
    w.wait();  // although the pool is busy
    CHECK(pool.queue_size() == 0);
    CHECK(watcher.runs() == 0);
    hold.open();
}

TEST_CASE("a callable that ends its thread is counted as failed, and the executor goes on") {
    const cairn::manual_clock clock;
    cairn::thread_pool_executor pool{1};
    std::vector<std::string> told;
    cairn::periodic_worker w{{.executor = pool,
                              .on_failure = [&](std::exception_ptr e) { told.push_back(what_of(e)); },
                              .clock = clock}};
    const auto watcher = w.add(periodic{1s, {.name = "leaver"}}, [] { pthread_exit(nullptr); });
    w.start_async();
    clock.run_for(2s);
    CHECK(watcher.runs() == 2);
    CHECK(watcher.failures() == 2);
    REQUIRE(told.size() == 2);
    CHECK(contains(told[0], "run periodic 'leaver': its thread ended in it"));
}

TEST_CASE("a callable that ends the thread of start_async ends the worker") {
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.on_failure = [](std::exception_ptr) {}, .clock = clock}};
    const auto watcher = w.add(periodic{1s}, [] { pthread_exit(nullptr); });
    w.start_async();
    clock.run_for(2s);
    CHECK(w.wait(patiently(executor_watchdog)));
    CHECK(watcher.failures() == 1);
    CHECK_FALSE(w.running());
}

TEST_CASE("an executor of somebody else runs what is due; what it drops is tried again") {
    struct keeping_executor {
        cairn::future<void> submit(std::function<void()> fn) {
            const std::lock_guard held(mutex);
            kept.push_back(std::move(fn));
            return {};
        }
        void shutdown() {}
        std::function<void()> take() {
            std::function<void()> taken;
            CHECK(eventually([&] {
                const std::lock_guard held(mutex);
                if (kept.empty()) return false;
                taken.swap(kept.back());
                kept.pop_back();
                return true;
            }));
            return taken;
        }
        std::mutex mutex;
        std::vector<std::function<void()>> kept;
    };
    const cairn::manual_clock clock;
    keeping_executor ex;
    cairn::periodic_worker w{{.executor = ex, .clock = clock}};
    const auto watcher = w.add(periodic{1s}, [] {});
    w.start_async();
    clock.advance(1s);
    std::function<void()> run = ex.take();
    CHECK(watcher.active());
    run();
    run();  // once is enough
    CHECK(watcher.runs() == 1);
    CHECK_FALSE(watcher.active());
    clock.run_for(500ms);
    clock.advance(500ms);
    run = ex.take();
    run = nullptr;
    CHECK(eventually([&] { return watcher.refused() == 1; }));
    clock.advance(1100ms);
    ex.take()();
    CHECK(watcher.runs() == 2);
    // What waits there when it is stopped is cancelled.
    clock.run_for(500ms);
    clock.advance(500ms);
    run = ex.take();
    w.stop();
    w.wait();
    run();
    CHECK(watcher.runs() == 2);
}

TEST_CASE("a worker may run inside its own executor, whose only thread start blocks") {
    cairn::thread_pool_executor pool{1};
    cairn::periodic_worker w{{.executor = pool}};
    std::atomic<int> runs{0};
    w.add(periodic{1ms}, [&] {
        if (++runs == 3) w.stop();
    });
    const auto started = pool.submit([&] { w.start(); });
    CHECK(is_done_in_time(started));
    CHECK(runs == 3);
}

// -- start, stop, reset ---------------------------------------------------------------------------------------------

TEST_CASE("start blocks until stop, and waits for the runs that are under way") {
    cairn::thread_pool_executor pool{1};
    door hold;
    std::atomic<bool> is_over{false};
    cairn::periodic_worker w{{.executor = pool}};
    w.add(periodic{1h, {.run_immediately = true}}, [&] {
        CHECK(hold.pass());
        is_over = true;
    });
    auto started = std::async(std::launch::async, [&] {
        w.start();
        return is_over.load();
    });
    REQUIRE(hold.wait_for_arrivals(1));
    CHECK(w.running());
    CHECK_FALSE(w.wait(10ms));
    w.stop();
    CHECK_FALSE(w.wait(10ms));
    hold.open();
    CHECK(started.get());
    CHECK(w.wait(0s));
    w.wait();
}

TEST_CASE("after stop, start returns at once, until reset") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.clock = clock}};
    w.stop();
    CHECK_FALSE(w.wait(0s));  // it has yet to begin
    w.reset();
    const auto watcher = w.add(periodic{1s, {.run_immediately = true}}, [&] { runs.note(); });
    const auto last = w.add(periodic{1s}, [] { throw cairn::never_again{}; });
    w.stop();
    w.start();
    CHECK(runs.size() == 0);
    CHECK(w.wait(0s));
    w.reset();
    CHECK_FALSE(w.wait(0s));
    w.start_async();
    clock.run_for(2s);
    CHECK(runs.entries() == each(0s, 1s, 3));
    CHECK(last.requested_stop());
    w.stop();
    w.wait();
    clock.advance(100s);

    w.reset();
    CHECK(watcher.runs() == 0);
    CHECK(watcher.elapsed() == 0s);
    CHECK(watcher.late() == 0s);
    CHECK(last.runs() == 0);
    CHECK_FALSE(last.requested_stop());
    CHECK(*watcher.runs_in() == 0s);
    CHECK(*last.runs_in() == 1s);
    w.start_async();
    clock.run_for(1s);
    CHECK(runs.entries() == instants{0s, 1s, 2s, 102s, 103s});
    CHECK(last.runs() == 1);
}

TEST_CASE("stop by a callable: nothing else runs, also what is due at that instant") {
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.clock = clock}};
    w.add(periodic{1s}, [&] { w.stop(); });
    const auto second = w.add(periodic{1s}, [] {});
    w.start_async();
    clock.run_for(3s);
    w.wait();
    CHECK(second.runs() == 0);
}

TEST_CASE("callables are added and removed while it runs, also by callables") {
    const cairn::manual_clock clock;
    diary runs(clock);
    cairn::periodic_worker w{{.clock = clock}};
    w.start_async({.allow_empty = true});
    clock.run_for(1500ms);
    auto alive = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = alive;
    const auto first = w.add(periodic{1s}, [&, alive = std::move(alive)] { runs.note(); });
    cairn::periodic_watcher second;
    w.add(periodic{2s}, [&] {
        if (!second) second = w.add(periodic{1s, {.run_immediately = true}}, [&] { runs.note(); });
        w.remove(first);
        throw cairn::never_again{};
    });
    clock.run_for(4s);
    CHECK(runs.entries() == instants{2500ms, 3500ms, 3500ms, 4500ms, 5500ms});
    CHECK(seen.expired());
    CHECK(w.size() == 2);
    CHECK(second.runs() == 3);
    // What removes itself ends its run.
    cairn::periodic_watcher self;
    std::weak_ptr<int> held;
    {
        auto kept = std::make_shared<int>(0);
        held = kept;
        self = w.add(periodic{1s}, [&, kept] { w.remove(self); });
    }
    clock.run_for(3s);
    CHECK(held.expired());
    CHECK_THROWS_AS(static_cast<void>(self.runs()), cairn::object_gone);
    CHECK(w.size() == 2);
}

TEST_CASE(
    "the destructor stops it, waits for what is under way, and destroys what the callables have captured") {
    cairn::thread_pool_executor pool{1};
    door hold;
    std::atomic<bool> is_over{false};
    auto w = std::make_unique<cairn::periodic_worker>(cairn::periodic_worker_options{.executor = pool});
    auto captured = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = captured;
    const auto watcher =
        w->add(periodic{1h, {.run_immediately = true, .name = "x"}}, [&, captured = std::move(captured)] {
            CHECK(hold.pass());
            is_over = true;
        });
    w->start_async();
    REQUIRE(hold.wait_for_arrivals(1));
    std::thread opening([&] {
        std::this_thread::sleep_for(20ms);
        CHECK_FALSE(is_over);
        hold.open();
    });
    w.reset();
    CHECK(is_over);
    CHECK(seen.expired());
    opening.join();
    // A watcher stays readable.
    CHECK(watcher.runs() == 1);
    CHECK(watcher.name() == "x");
    CHECK_FALSE(watcher.active());
}

TEST_CASE("the destructor of a worker that unwinding destroys asks its runs to stop") {
    for (const bool in_place : {true, false}) {
        cairn::thread_pool_executor pool{1};
        std::atomic<bool> has_begun{false};
        std::atomic<bool> was_asked{false};
        const auto body = [&] {
            cairn::periodic_worker_options options;
            if (!in_place) options.executor = pool;
            cairn::periodic_worker w(options);
            w.add(periodic{1h, {.run_immediately = true}}, [&] {
                has_begun = true;
                was_asked = eventually([] { return cairn::this_task::stop_requested(); });
            });
            w.start_async();
            REQUIRE(eventually([&] { return has_begun.load(); }));
            throw std::runtime_error("out of here");
        };
        CHECK_THROWS_AS(body(), std::runtime_error);
        CHECK(was_asked);
    }
}

TEST_CASE("a worker that one of its own callables destroys does not wait for itself") {
    cairn::thread_pool_executor pool{1};
    for (const bool in_place : {true, false}) {
        cairn::periodic_worker_options options;
        if (!in_place) options.executor = pool;
        auto w = std::make_unique<cairn::periodic_worker>(options);
        auto captured = std::make_shared<std::atomic<bool>>(false);
        const std::weak_ptr<std::atomic<bool>> seen = captured;
        w->add(periodic{1ms}, [&, captured] {
            w.reset();
            *captured = true;  // what it has captured is still there
        });
        w->start_async();
        captured.reset();
        CHECK(eventually([&] { return seen.expired(); }));
    }
    // By start, in the thread that destroys it.
    auto w = std::make_unique<cairn::periodic_worker>();
    bool has_run = false;
    w->add(periodic{1ms}, [&] {
        w.reset();
        has_run = true;
    });
    w->start();
    CHECK(has_run);
}

TEST_CASE("a worker that never started, or is empty, is destroyed") {
    { const cairn::periodic_worker w; }
    cairn::periodic_worker w;
    CHECK(w.empty());
    w.add(periodic{1s}, [] {});
    CHECK(w.size() == 1);
}

// -- what is refused ------------------------------------------------------------------------------------------------

TEST_CASE("a spacing that is not above 0 is refused, unless it is not enabled") {
    CHECK(contains(thrown_by<cairn::invalid_argument>([] { periodic{0s}; }),
                   "the spacing is 0 s, expected more than 0"));
    CHECK(contains(thrown_by<cairn::invalid_argument>([] { periodic(-5ms, {.name = "x"}); }),
                   "make periodic 'x': the spacing is -0.005 s"));
    CHECK_THROWS_AS(periodic{std::chrono::duration<double>(std::nan(""))}, cairn::invalid_argument);
    CHECK_THROWS_AS(periodic(1s, {.phase = -1s}), cairn::invalid_argument);
    CHECK_THROWS_AS(periodic(1s, {.run_immediately = true, .phase = true}), cairn::invalid_argument);
    CHECK(periodic{std::chrono::duration<double>(0.5)}.spacing() == 500ms);
    CHECK(periodic{std::chrono::duration<double, std::nano>(0.1)}.spacing() == 1ns);

    cairn::periodic_worker w;
    const auto watcher = w.add(periodic{0s, {.enabled = false}}, [] {});
    CHECK_FALSE(watcher.valid());
    CHECK_FALSE(w.add(periodic{1s, {.enabled = false}}, [] {}).valid());
    CHECK(w.empty());
    CHECK(watcher.name().empty());
    CHECK_THROWS_AS(static_cast<void>(watcher.runs()), cairn::invalid_state);
    CHECK_THROWS_AS(static_cast<void>(watcher.spacing()), cairn::invalid_state);
    CHECK_THROWS_AS(w.remove(watcher), cairn::invalid_argument);
}

TEST_CASE("an empty callable is refused") {
    cairn::periodic_worker w;
    void (*function)() = nullptr;
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] {
                       w.add(periodic{1s, {.name = "f"}}, function);
                   }),
                   "add 'f' to periodic_worker: the callable is empty"));
    CHECK_THROWS_AS(w.add(periodic{1s}, std::function<void()>()), cairn::invalid_argument);
    CHECK(w.empty());
}

TEST_CASE("start twice, start of nothing, add after stop, and reset while it runs are refused") {
    cairn::periodic_worker w;
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { w.start(); }), "there is nothing to run"));
    CHECK_THROWS_AS(w.start_async(), cairn::invalid_state);
    w.add(periodic{1h}, [] {});
    w.start_async();
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { w.start(); }),
                   "start periodic_worker: it runs already"));
    CHECK_THROWS_AS(w.start_async(), cairn::invalid_state);
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { w.reset(); }), "stop() it and wait() first"));
    w.stop();
    w.stop();
    CHECK(contains(thrown_by<cairn::invalid_state>([&] { w.add(periodic{1h}, [] {}); }), "reset() it first"));
    w.wait();
    w.reset();
    CHECK(w.add(periodic{1h}, [] {}).valid());
}

TEST_CASE("a callable that waits for its own worker is refused, as it would wait for ever") {
    cairn::thread_pool_executor pool{1};
    for (const bool in_place : {true, false}) {
        std::string refusal;
        cairn::periodic_worker_options options;
        if (!in_place) options.executor = pool;
        cairn::periodic_worker w(options);
        w.add(periodic{1ms}, [&] {
            refusal = thrown_by<cairn::would_deadlock>([&] { w.wait(); });
            CHECK_THROWS_AS(w.wait(1s), cairn::would_deadlock);
            CHECK_THROWS_AS(w.start(), cairn::invalid_state);
            w.stop();
        });
        w.start();
        CHECK(contains(refusal, "this is one of its own callables"));
    }
}

TEST_CASE("watchers of what was removed say so, and nothing is removed twice, or by another worker") {
    cairn::periodic_worker w;
    cairn::periodic_worker other;
    const auto watcher = w.add(periodic{1s, {.name = "gone"}}, [] {});
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { other.remove(watcher); }),
                   "it is of another worker"));
    w.remove(watcher);
    CHECK(contains(thrown_by<cairn::object_gone>([&] { static_cast<void>(watcher.metrics()); }),
                   "periodic 'gone': it was removed from its worker"));
    CHECK_THROWS_AS(static_cast<void>(watcher.active()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(watcher.runs_in()), cairn::object_gone);
    CHECK_THROWS_AS(w.remove(watcher), cairn::object_gone);
    CHECK(watcher.valid());
    CHECK(watcher.name() == "gone");
    CHECK(w.watchers().empty());
}

// -- watchers -------------------------------------------------------------------------------------------------------

TEST_CASE("a watcher has futurist's fields: times of running and of waiting, and their averages") {
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.clock = clock}};
    const auto watcher = w.add(periodic{1s}, [&] { clock.advance(250ms); });
    CHECK(watcher.average_elapsed() == 0s);
    CHECK(*watcher.runs_in() == 1s);
    CHECK(watcher.spacing() == 1s);
    w.start_async();
    clock.run_for(2500ms);
    const cairn::periodic_metrics m = watcher.metrics();
    CHECK(m.runs == 2);
    CHECK(m.successes == 2);
    CHECK(m.failures == 0);
    CHECK_FALSE(m.requested_stop);
    CHECK(m.elapsed == 500ms);
    CHECK(m.average_elapsed == 250ms);
    CHECK(m.elapsed_waiting == 0s);
    CHECK(m.average_elapsed_waiting == 0s);
    CHECK(*watcher.runs_in() == 500ms);
    CHECK(w.watchers() == std::vector{watcher});
    CHECK(watcher.name() == "periodic-1");

    w.stop();
    w.wait();

    // In the queue of an executor.
    cairn::thread_pool_executor pool{1};
    door hold;
    const auto busy = pool.submit([&] { CHECK(hold.pass()); });
    REQUIRE(hold.wait_for_arrivals(1));
    cairn::periodic_worker queued{{.executor = pool, .clock = clock}};
    const auto waiting = queued.add(periodic{1s}, [] {});
    queued.start_async();
    clock.advance(1s);
    REQUIRE(eventually([&] { return pool.queue_size() == 1; }));
    clock.advance(3s);
    hold.open();
    REQUIRE(eventually([&] { return waiting.runs() >= 1; }));
    CHECK(waiting.elapsed_waiting() == 3s);
    CHECK(waiting.late() >= 3s);
}

TEST_CASE("a watcher and a table print as futurist's") {
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.on_failure = [](std::exception_ptr) {}, .clock = clock}};
    const auto first = w.add(periodic{1s, {.name = "every_one"}}, [&] { clock.advance(250ms); });
    w.add(periodic{500ms, {.name = "bad"}}, [] { throw std::runtime_error("x"); });
    w.add(periodic{2s, {.name = "last"}}, [] { throw cairn::never_again{}; });
    w.add(periodic{1h, {.name = "later"}}, [] {});
    w.start_async();
    clock.run_for(2400ms);
    const std::string text = text_of(first);
    CHECK(contains(
        text,
        "<Watcher(metrics={'runs': 2, 'elapsed': 0.5, 'elapsed_waiting': 0, 'failures': 0, 'successes': 2, "
        "'requested_stop': False, 'late': 0, 'skipped': 0}, work=Work(name='every_one')) object at 0x"));
    CHECK(text_of(cairn::periodic_watcher()) == "<Watcher of nothing>");
    CHECK(w.pformat({"Name", "Active", "Periodicity", "Runs in", "Runs", "Failures", "Successes",
                     "Stop Requested", "Average elapsed"}) ==
          "+-----------+--------+-------------+------------+------+----------+-----------+----------------+--"
          "---------------+\n"
          "|    Name   | Active | Periodicity |  Runs in   | Runs | Failures | Successes | Stop Requested | "
          "Average elapsed |\n"
          "+-----------+--------+-------------+------------+------+----------+-----------+----------------+--"
          "---------------+\n"
          "| every_one | False  |      1      |  0.6000s   |  2   |    0     |     2     |     False      |  "
          "   0.2500s     |\n"
          "|    bad    | False  |     0.5     |  0.3500s   |  4   |    4     |     0     |     False      |  "
          "   0.0000s     |\n"
          "|    last   | False  |      2      |    n/a     |  1   |    0     |     1     |      True      |  "
          "   0.0000s     |\n"
          "|   later   | False  |     3600    | 3597.6000s |  0   |    0     |     0     |     False      |  "
          "      .        |\n"
          "+-----------+--------+-------------+------------+------+----------+-----------+----------------+--"
          "---------------+");
    CHECK(w.pformat({"Average elapsed waiting", "Late", "Skipped"})
              .starts_with("+-------------------------+---------+---------+\n"
                           "| Average elapsed waiting |   Late  | Skipped |\n"
                           "+-------------------------+---------+---------+\n"
                           "|         0.0000s         | 0.0000s |"));
    const std::string all = w.pformat();
    CHECK(text_of(w) == all);
    CHECK(w.pformat(std::vector<std::string>{"Skipped"}).substr(0, 11) == "+---------+");
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { static_cast<void>(w.pformat({"Nmae"})); }),
                   "there is no column 'Nmae'; they are: Name, Active"));
    CHECK_THROWS_AS(static_cast<void>(w.pformat(std::vector<std::string>{})), cairn::invalid_argument);
}

TEST_CASE("names of strategies and kinds print") {
    CHECK(text_of(strategy::last_started) == "last_started");
    CHECK(text_of(strategy::aligned_last_finished_jitter) == "aligned_last_finished_jitter");
    CHECK(text_of(strategy::fixed_rate) == "fixed_rate");
    CHECK(text_of(cairn::run_kind::immediate) == "immediate");
    CHECK(text_of(cairn::run_kind::periodic) == "periodic");
}

// -- all at once ----------------------------------------------------------------------------------------------------

TEST_CASE("threads that add, remove, look, stop and reset at once leave a worker that works") {
    cairn::thread_pool_executor pool{2};
    cairn::periodic_worker w{{.executor = pool, .on_failure = [](std::exception_ptr) {}}};
    std::atomic<bool> is_over{false};
    std::atomic<long> runs{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&, i] {
            while (!is_over) {
                try {
                    const auto watcher = w.add(periodic{std::chrono::microseconds(50 * (i + 1))}, [&] {
                        if (++runs % 7 == 0) throw std::runtime_error("x");
                    });
                    std::this_thread::sleep_for(1ms);
                    static_cast<void>(watcher.metrics());
                    static_cast<void>(w.pformat());
                    w.remove(watcher);
                } catch (const cairn::invalid_state&) {
                    // It was stopped.
                    std::this_thread::yield();
                }
            }
        });
    }
    for (int i = 0; i < 20; ++i) {
        w.start_async({.allow_empty = true});
        const long before = runs;
        CHECK(eventually([&] { return runs > before + 5; }));
        w.stop();
        w.wait();
        w.reset();
    }
    is_over = true;
    for (std::thread& each : threads) each.join();
    CHECK(w.empty());
}

}  // namespace periodic_test
