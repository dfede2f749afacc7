// exclusive_test.cpp - exclusive periodics of several workers in one process, on a clock that the tests set.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>
#include <cairn/periodic.hpp>
#include <cairn/process_pool_executor.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace exclusive_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::periodic;
using cairn::strategy;
using std::chrono::nanoseconds;

namespace {

// Who has run when.
class shared_diary {
public:
    explicit shared_diary(cairn::manual_clock clock) : clock_(std::move(clock)) {}
    void note(char who) {
        const std::lock_guard held(mutex_);
        const auto at =
            std::chrono::duration_cast<std::chrono::milliseconds>(clock_.now().time_since_epoch());
        if (!text_.empty()) text_ += ' ';
        text_ += who;
        text_ += std::to_string(at.count());
    }
    [[nodiscard]] std::string text() const {
        const std::lock_guard held(mutex_);
        return text_;
    }

private:
    cairn::manual_clock clock_;
    mutable std::mutex mutex_;
    std::string text_;
};

// Two workers that have added the same, with one lock; `a` has it.
class two_workers {
public:
    explicit two_workers(strategy by = strategy::last_started, cairn::periodic_options options = {})
        : a_{{.strategy = by, .clock = clock}}, b_{{.strategy = by, .clock = clock}} {
        options.exclusive = lock;
        watch_a.emplace(a_.add(periodic{1s, options}, [this] { diary.note('a'); }));
        watch_b.emplace(b_.add(periodic{1s, options}, [this] { diary.note('b'); }));
        a_.start_async();
        REQUIRE(eventually([&] { return watch_a->is_leader(); }));
        b_.start_async();
    }
    void end_a() {
        a_.stop();
        a_.wait();
    }
    [[nodiscard]] bool is_led_by_b() const {
        return eventually([&] { return watch_b->is_leader(); });
    }

    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    const cairn::manual_clock clock;
    shared_diary diary{clock};
    std::optional<cairn::periodic_watcher> watch_a;
    std::optional<cairn::periodic_watcher> watch_b;

private:
    cairn::periodic_worker a_;
    cairn::periodic_worker b_;
};

// While it lives, no thread can be made.
class no_threads {
public:
    no_threads() {
        cairn::detail::os::fault.store([](const char* call) noexcept {
            return std::string_view(call) == "pthread_create" ? EAGAIN : 0;
        });
    }
    no_threads(const no_threads&) = delete;
    no_threads& operator=(const no_threads&) = delete;
    ~no_threads() { cairn::detail::os::fault.store(nullptr); }
};

}  // namespace

TEST_CASE(
    "of two workers with one lock one runs it; the other one takes over when that one ends, and keeps the "
    "rhythm") {
    for (const strategy by : {strategy::last_started, strategy::last_finished,
                              strategy::aligned_last_finished, strategy::fixed_rate}) {
        CAPTURE(by);
        two_workers both(by);
        both.clock.run_for(3500ms);
        CHECK(both.diary.text() == "a1000 a2000 a3000");
        CHECK(both.watch_b->runs() == 0);
        CHECK_FALSE(both.watch_b->is_leader());
        CHECK_FALSE(both.watch_b->runs_in().has_value());
        CHECK(both.lock.is_locked());
        both.end_a();
        CHECK_FALSE(both.watch_a->is_leader());
        REQUIRE(both.is_led_by_b());
        both.clock.run_for(2s);
        CHECK(both.diary.text() == "a1000 a2000 a3000 b4000 b5000");
        CHECK(both.watch_b->late() == 0s);
        CHECK(both.watch_b->skipped() == 0);
    }
}

TEST_CASE("what became due while nobody had the lock runs once, at once") {
    for (const strategy by : {strategy::last_started, strategy::fixed_rate}) {
        CAPTURE(by);
        const bool is_fixed = by == strategy::fixed_rate;
        const cairn::manager shared;
        const cairn::mutex lock = shared.lock("leader");
        const cairn::manual_clock clock;
        shared_diary diary(clock);
        const auto run_until = [&](char who, std::chrono::milliseconds time) {
            cairn::periodic_worker w{{.strategy = by, .clock = clock}};
            const auto watcher = w.add(periodic{1s, {.exclusive = lock}}, [&] { diary.note(who); });
            w.start_async();
            REQUIRE(eventually([&] { return watcher.is_leader(); }));
            clock.run_for(time);
            return watcher.longest_late();
        };
        run_until('a', 2s);
        clock.advance(3300ms);  // 3, 4 and 5 s pass
        const auto late = run_until('b', 1s);
        CHECK(diary.text() == (is_fixed ? "a1000 a2000 b5300 b6000" : "a1000 a2000 b5300 b6300"));
        // By the last of the instants that were missed.
        CHECK(late == std::chrono::duration<double>(300ms));
    }
}

TEST_CASE("run_immediately is for the first of those that have the lock; who takes over goes on") {
    two_workers both(strategy::last_started, {.run_immediately = true});
    both.clock.run_for(1500ms);
    CHECK(both.diary.text() == "a0 a1000");
    both.end_a();
    REQUIRE(both.is_led_by_b());
    both.clock.run_for(1s);
    CHECK(both.diary.text() == "a0 a1000 b2000");
}

TEST_CASE("the lock is kept to the end of a run, also one that goes on after stop") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    cairn::thread_pool_executor threads{{.max_workers = 2}};
    std::atomic<bool> is_inside{false};
    std::atomic<bool> may_end{false};
    cairn::periodic_worker w{{.executor = threads}};
    w.add(periodic{1ms, {.exclusive = lock}}, [&] {
        is_inside = true;
        while (!may_end) std::this_thread::sleep_for(1ms);
    });
    w.start_async();
    REQUIRE(eventually([&] { return is_inside.load(); }));
    w.stop();
    CHECK_FALSE(w.wait(0s));
    CHECK_FALSE(lock.try_lock_for(200ms));
    may_end = true;
    w.wait();
    CHECK(lock.try_lock());
    CHECK_FALSE(lock.owner_died());
    lock.unlock();
}

TEST_CASE("a callable that is removed, or says never_again, gives its lock to the next; the others go on") {
    for (const bool is_removed : {false, true}) {
        CAPTURE(is_removed);
        const cairn::manager shared;
        const cairn::mutex lock = shared.lock("leader");
        std::atomic<bool> is_last{false};
        std::atomic<int> others{0};
        cairn::periodic_worker first;
        const auto watcher =
            first.add(periodic{1ms, {.exclusive = lock}}, [&]() -> std::optional<cairn::never_again> {
                if (is_last) return cairn::never_again{};
                return std::nullopt;
            });
        first.add(periodic{1ms}, [&] { ++others; });
        first.start_async();
        REQUIRE(eventually([&] { return watcher.runs() != 0; }));
        cairn::periodic_worker second;
        const auto next = second.add(periodic{1ms, {.exclusive = lock}}, [] {});
        second.start_async();
        CHECK_FALSE(next.is_leader());
        if (is_removed) first.remove(watcher);
        else is_last = true;
        CHECK(eventually([&] { return next.runs() != 0; }));
        const int before = others;
        CHECK(eventually([&] { return others > before; }));
    }
}

TEST_CASE("who waits for a lock is not empty: auto_stop_when_empty waits for its turn, too") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    lock.lock();
    cairn::periodic_worker w;
    const auto other = w.add(periodic{1ms}, [] { return cairn::never_again{}; });
    const auto mine = w.add(periodic{1ms, {.exclusive = lock}}, [] { return cairn::never_again{}; });
    w.start_async({.auto_stop_when_empty = true});
    REQUIRE(eventually([&] { return other.requested_stop(); }));
    CHECK(w.running());
    CHECK(mine.runs() == 0);
    lock.unlock();
    w.wait();
    CHECK(mine.runs() == 1);
    CHECK(lock.try_lock());
    lock.unlock();
}

TEST_CASE("exclusive callables are added, and stopped while they wait, at any time; no thread is left") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    const cairn::manual_clock clock;
    lock.lock();
    {
        cairn::periodic_worker w{{.clock = clock}};
        w.start_async({.allow_empty = true});
        for (int i = 0; i < 20; ++i) {
            const auto watcher = w.add(periodic{1s, {.exclusive = lock}}, [] {});
            CHECK_FALSE(watcher.is_leader());
            w.remove(watcher);
        }
        w.add(periodic{1s, {.exclusive = lock}}, [] {});
    }
    lock.unlock();
    cairn::periodic_worker again{{.clock = clock}};
    const auto watcher = again.add(periodic{1s, {.exclusive = lock}}, [] {});
    for (std::uint64_t round = 0; round < 3; ++round) {
        again.start_async();
        REQUIRE(eventually([&] { return watcher.is_leader(); }));
        clock.run_for(1s);
        CHECK(watcher.runs() == 1);
        again.stop();
        again.wait();
        CHECK_FALSE(lock.is_locked());
        again.reset();
    }
}

TEST_CASE("a lock that was removed is said to be gone; what is not exclusive goes on") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    REQUIRE(shared.remove("leader"));
    cairn::periodic_worker w;
    const auto never = w.add(periodic{1ms, {.exclusive = lock}}, [] {});
    const auto other = w.add(periodic{1ms}, [] {});
    w.start_async();
    CHECK(eventually([&] { return other.runs() > 2; }));
    CHECK(never.runs() == 0);
    CHECK_FALSE(never.is_leader());
    w.remove(other);
    w.stop();
    w.wait();
    w.reset();
    // Nothing else is left that could run.
    w.start({.auto_stop_when_empty = true});
    CHECK(never.runs() == 0);
}

TEST_CASE("exclusive callables that make no sense are refused") {
    const cairn::manager shared;
    const cairn::mutex lock = shared.lock("leader");
    cairn::periodic_worker w;
    w.add(periodic{1s, {.exclusive = lock, .name = "first"}}, [] {});
    CHECK(thrown_by<cairn::invalid_argument>([&] {
              w.add(periodic{1s, {.exclusive = shared.lock("leader"), .name = "second"}}, [] {});
          }).find("'first' is exclusive by the same lock") != std::string::npos);
    CHECK(w.size() == 1);
    w.add(periodic{1s, {.exclusive = shared.lock("another")}}, [] {});
    CHECK(w.size() == 2);
    cairn::process_pool_executor processes{1};
    cairn::periodic_worker remote{{.executor = processes}};
    CHECK(thrown_by<cairn::invalid_argument>([&] {
              remote.add(periodic{1s, {.exclusive = lock}}, [] {});
          }).find("could outlive") != std::string::npos);
    CHECK(remote.empty());
}

TEST_CASE("where no thread can be made, start and add say so, and leave the worker as it was") {
    const cairn::manager shared;
    const cairn::manual_clock clock;
    cairn::periodic_worker w{{.clock = clock}};
    const auto watcher = w.add(periodic{1s, {.exclusive = shared.lock("one")}}, [] {});
    {
        const no_threads limit;
        CHECK_THROWS_AS(w.start(), cairn::system_failure);
        CHECK_FALSE(w.running());
    }
    w.start_async();
    REQUIRE(eventually([&] { return watcher.is_leader(); }));
    {
        const no_threads limit;
        CHECK_THROWS_AS(w.add(periodic{1s, {.exclusive = shared.lock("two")}}, [] {}), cairn::system_failure);
        CHECK(w.size() == 1);
    }
    const auto second = w.add(periodic{1s, {.exclusive = shared.lock("two")}}, [] {});
    CHECK(eventually([&] { return second.is_leader(); }));
    clock.run_for(1s);
    CHECK(watcher.runs() == 1);
    CHECK(second.runs() == 1);
}

}  // namespace exclusive_test
