// pool_arguments_test.cpp - handles of Cairn's objects, and futures, as arguments of tasks.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <ctime>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/instruction_steps.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace pool_arguments_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

void append(cairn::list<long> to, long x) {
    to.push_back(x);
}

long one_more(long x) {
    if (x < 0) throw std::out_of_range("negative");
    return x + 1;
}
std::string told(const cairn::future<long>& before) {
    if (before.cancelled()) return "cancelled";
    try {
        return std::to_string(before.result());
    } catch (const std::out_of_range& e) {
        return e.what();
    }
}

}  // namespace

TEST_CASE("a handle of any container is an argument of a task") {
    const cairn::manager m;
    const auto l = m.list<long>("l");
    const auto d = m.dict<std::string, long>("d");
    const auto parts = m.sharded_dict<std::string, long>("parts");
    const auto s = m.set<long>("s");
    const auto q = m.queue<long>("q");
    const auto stack = m.lifo_queue<long>("stack");
    const auto heap = m.priority_queue<long>("heap");
    const auto ring = m.channel<long>("ring", 4);
    cairn::process_pool_executor ex(2);
    ex.submit(
          [](cairn::list<long> to_l, const cairn::dict<std::string, long>& to_d,
             cairn::sharded_dict<std::string, long> to_parts, cairn::set<long> to_s, long x) {
              to_l.push_back(x);
              to_d["a"] = x;
              to_parts["b"] = x;
              to_s.insert(x);
          },
          l, d, parts, s, 5L)
        .result(watchdog);
    ex.submit(
          [](cairn::queue<long> to_q, cairn::lifo_queue<long> to_stack, cairn::priority_queue<long> to_heap,
             cairn::channel<long> to_ring) {
              to_q.put(1);
              to_stack.put(2);
              to_heap.put(3);
              to_ring.put(4);
          },
          q, stack, heap, ring)
        .result(watchdog);
    CHECK(l.snapshot() == std::vector<long>{5});
    CHECK(d["a"] == 5);
    CHECK(parts["b"] == 5);
    CHECK(s.contains(5));
    CHECK(q.get() == 1);
    CHECK(stack.get() == 2);
    CHECK(heap.get() == 3);
    CHECK(ring.get() == 4);
}

TEST_CASE("an object without a name, or made after the pool in a segment of before, is an argument, too") {
    const cairn::manager m;
    cairn::pool pool(2);
    const auto nameless = m.list<long>();
    for (long i = 0; i < 10; ++i) pool.apply(append, nameless, i);
    CHECK(nameless.size() == 10);
}

TEST_CASE("a segment that was made after the pool is opened by its name; one without is refused") {
    cairn::process_pool_executor ex(1);
    const scratch_name named;
    const cairn::manager later(named.get());
    const auto l = later.list<long>("l");
    ex.submit(append, l, 1L).result(watchdog);
    ex.submit(append, l, 2L).result(watchdog);
    CHECK(l.snapshot() == std::vector<long>{1, 2});
    const cairn::manager anonymous;
    const auto f = ex.submit(append, anonymous.list<long>("l"), 1L);
    try {
        f.result(watchdog);
        FAIL("it was not refused");
    } catch (const cairn::refused& e) {
        CHECK(std::string(e.what()).find("list 'l'") != std::string::npos);
    }
    ex.submit(append, l, 3L).result(watchdog);
}

TEST_CASE("an object that was removed before the task begins is gone for it, also where there is another of "
          "its name") {
    const cairn::manager m;
    cairn::process_pool_executor ex(1);
    const auto waits = ex.submit([](cairn::queue<long> go) { return go.get(); }, m.queue<long>("go"));
    const auto l = m.list<long>("l");
    const auto f = ex.submit(append, l, 1L);
    m.remove("l");
    const auto again = m.list<long>("l");
    const auto g = ex.submit(append, again, 2L);
    m.queue<long>("go").put(7);
    CHECK(waits.result(watchdog) == 7);
    CHECK_THROWS_AS(f.result(watchdog), cairn::object_gone);
    g.result(watchdog);
    CHECK(again.snapshot() == std::vector<long>{2});
}

TEST_CASE("what follows a future runs in a worker, with its value, its exception or its cancellation") {
    cairn::process_pool_executor ex(2);
    const auto value = ex.submit(one_more, 4L);
    const auto error = ex.submit(one_more, -4L);
    const auto waits = ex.submit_after(1h, one_more, 1L);
    const auto after_waits = waits.then(ex, told);
    CHECK(value.then(ex, told).result(watchdog) == "5");
    CHECK(error.then(ex, told).result(watchdog) == "negative");
    CHECK_FALSE(after_waits.done());
    CHECK(waits.cancel());
    CHECK(after_waits.result(watchdog) == "cancelled");
    const auto pid = [](const cairn::future<long>& before) {
        return static_cast<long>(::getpid()) + 0 * before.result();
    };
    CHECK(value.then(ex, pid).result(watchdog) != ::getpid());
    // Of any executor, and on.
    cairn::thread_pool_executor threads(1);
    const auto chain = threads.submit([] { return 10L; })
                           .then(ex, [](const cairn::future<long>& f) { return f.result() * 2; })
                           .then(threads, [](const cairn::future<long>& f) { return f.result() + 1; })
                           .then(ex, told);
    CHECK(chain.result(watchdog) == "21");
    const auto nothing = ex.submit([] {}).then(ex, [](const cairn::future<void>& f) { f.result(); });
    nothing.result(watchdog);
}

TEST_CASE("what follows a future can be cancelled before, and fails where the pool has ended by then") {
    const cairn::manager m;
    static std::optional<cairn::list<long>> marks;
    marks = m.list<long>("marks");
    const auto mark = [](const cairn::future<long>& f) { marks->push_back(f.result()); };
    cairn::thread_pool_executor threads(1);
    cairn::process_pool_executor ex(1);
    const auto waits = threads.submit_after(50ms, [] { return 1L; });
    const auto cancelled = waits.then(ex, mark);
    const auto runs = waits.then(ex, mark);
    CHECK(cancelled.cancel());
    runs.result(watchdog);
    CHECK(marks->snapshot() == std::vector<long>{1});
    const auto late = threads.submit_after(50ms, [] { return 2L; });
    const auto too_late = late.then(ex, mark);
    ex.shutdown();
    CHECK_THROWS_AS(too_late.result(watchdog), cairn::invalid_state);
    CHECK(marks->size() == 1);
}

TEST_CASE(
    "what follows is cancelled while it goes to its pool: it is done once or not at all, and the pool ends") {
    const cairn::manager m;
    static std::optional<cairn::list<long>> marks;
    marks = m.list<long>("marks");
    const auto mark = [](const cairn::future<long>& f) { marks->push_back(f.result()); };
    cairn::thread_pool_executor threads(1);
    std::size_t cancelled = 0;
    std::size_t all = 0;
    for (int round = 0; round < 30; ++round) {
        cairn::process_pool_executor ex(1);
        std::vector<cairn::future<void>> followers;
        const auto before = threads.submit([] { return 1L; });
        for (int i = 0; i < 20; ++i) followers.push_back(before.then(ex, mark));
        all += followers.size();
        for (const auto& each : followers) cancelled += each.cancel() ? 1 : 0;
        if (round % 2 == 0) ex.shutdown();
        else cairn::wait(followers);
        if (round % 2 == 0)
            for (const auto& each : followers)
                if (!each.cancelled() && each.exception() != nullptr) --all;  // it came too late
    }
    CHECK(marks->size() + cancelled == all);
}

namespace {

// Of the case below, in memory that its processes share: a handler of signals may use it, and a worker.
struct race_state {
    std::atomic<bool> may_go;   // what is followed may end
    std::atomic<bool> has_run;  // what follows has
};
race_state* race = nullptr;

// What follows comes to its executor, and is done, if it is not held up by whoever was interrupted: it is given a while for that.
void let_it_run() {
    race->may_go = true;
    timespec pause{.tv_sec = 0, .tv_nsec = 20'000};
    for (int looks = 0; looks < 20 && !race->has_run; ++looks) ::nanosleep(&pause, nullptr);
}

template <typename Executor>
void check_cancel_at_each_instruction(Executor& ex) {
    cairn::thread_pool_executor threads(1);
    std::size_t cancelled = 0;
    std::size_t steps = 0;
    for (bool is_interrupted = true; is_interrupted; ++steps) {
        race->may_go = race->has_run = false;
        const auto before = threads.submit([] {
            while (!race->may_go) std::this_thread::yield();
            return 1L;
        });
        const auto after = before.then(ex, [](const cairn::future<long>& f) {
            static_cast<void>(f.result());
            race->has_run = true;
        });
        bool is_cancelled = false;
        is_interrupted =
            instruction_steps::interrupt(steps, &let_it_run, [&] { is_cancelled = after.cancel(); });
        race->may_go = true;
        static_cast<void>(cairn::wait(std::vector{after}, watchdog));
        CHILD_CHECK(after.done());
        CHILD_CHECK(after.cancelled() == is_cancelled);
        CHILD_CHECK(race->has_run == !is_cancelled);
        cancelled += is_cancelled ? 1 : 0;
    }
    CHILD_CHECK(cancelled > 0);
    CHILD_CHECK(cancelled < steps);
    // Those that were cancelled before they came to it are not counted by it.
    CHILD_CHECK(ex.statistics().executed == steps - cancelled);
    ex.shutdown();
}

}  // namespace

TEST_CASE("cancel() is interrupted at each of its instructions, and what it cancels goes to its executor "
          "meanwhile: done once or not at all, as its future says") {
    if (!can_step) return;
    void* const shared =
        ::mmap(nullptr, sizeof(race_state), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    REQUIRE(shared != MAP_FAILED);
    race = new (shared) race_state{};
    CHECK(in_child([] {
              cairn::process_pool_executor ex(1);
              check_cancel_at_each_instruction(ex);
          }) == 0);
    CHECK(in_child([] {
              cairn::thread_pool_executor ex(1);
              check_cancel_at_each_instruction(ex);
          }) == 0);
    ::munmap(shared, sizeof(race_state));
}

TEST_CASE("what follows does not wait for room, and asks no check") {
    const auto refuses = [](const cairn::any_executor& /*ex*/, std::size_t /*backlog*/) {
        throw cairn::rejected_submission("not here");
    };
    cairn::process_pool_executor ex({.max_workers = 1, .check_and_reject = refuses, .max_pending = 0});
    cairn::thread_pool_executor threads(1);
    const auto first = threads.submit([] { return 1L; });
    std::vector<cairn::future<std::string>> all;
    for (int i = 0; i < 5; ++i) all.push_back(first.then(ex, told));
    for (const auto& each : all) CHECK(each.result(watchdog) == "1");
}

TEST_CASE("a future that is done is an argument of a task; one that is not is told from it") {
    cairn::process_pool_executor ex(2);
    const auto value = ex.submit(one_more, 4L);
    static_cast<void>(value.result(watchdog));
    CHECK(ex.submit(told, value).result(watchdog) == "5");
    const auto waits = ex.submit_after(1h, one_more, 1L);
    CHECK_THROWS_AS(ex.submit(told, waits), cairn::invalid_argument);
    CHECK(waits.cancel());
    CHECK(ex.submit(told, waits).result(watchdog) == "cancelled");
    CHECK_THROWS_AS(ex.submit(told, cairn::future<long>{}), cairn::invalid_state);
}

}  // namespace pool_arguments_test
