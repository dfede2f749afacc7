// queue_lost_test.cpp - items that were taken with get() by processes that ended before they were done.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdint>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/opened_queue.hpp"
#include "support/scratch.hpp"

namespace queue_lost_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::queue_all_done;

namespace {

// Nothing that is waited for takes a hundredth of it; what is never there ends a test instead of hanging it.
constexpr auto watchdog = 20s;

[[noreturn]] void wait_for_a_signal() {
    for (;;) ::pause();
}

/// Until not even a page is left.
void fill(const cairn::manager& m) {
    const auto ballast = m.list<std::string>("ballast");
    try {
        for (;;) ballast.push_back(std::string(4000, 'b'));
    } catch (const cairn::segment_full&) {}
}

}  // namespace

TEST_CASE("what a killed process had taken with get is written off: join ends, and lost counts it") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto taken = m.queue<int>("taken");
    q.put_many({1, 2, 3, 4, 5});
    child victim([&] {
        for (int i = 0; i < 3; ++i) static_cast<void>(q.get());
        q.task_done();
        taken.put(1);
        wait_for_a_signal();
    });
    taken.get();
    for (int i = 0; i < 2; ++i) {
        static_cast<void>(q.get());
        q.task_done();
    }
    // It works on two of them, for all that anybody knows.
    CHECK_FALSE(q.join_for(250ms));
    CHECK(q.lost() == 0);
    victim.kill();
    CHECK(victim.join() == -SIGKILL);
    CHECK(q.lost() == 2);  // whether somebody joins or not
    CHECK(q.join_for(watchdog));
    CHECK(q.lost() == 2);
    CHECK(broken_queue(q) == "");
    CHECK(q.join_for(0s));
    q.put(6);
    CHECK_FALSE(q.join_for(0s));
}

TEST_CASE("who sleeps in join notices the death of those that work") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto taken = m.queue<int>("taken");
    q.put_many({1, 2});
    child victim([&] {
        q.get_many(2);
        taken.put(1);
        wait_for_a_signal();
    });
    taken.get();
    child joiner([&] { q.join(); });
    opened_queue<cairn::queue<long>>(q).await_sleepers(queue_all_done);
    victim.kill();
    CHECK(victim.join() == -SIGKILL);
    CHECK(joiner.join() == 0);
    CHECK(q.lost() == 2);
}

TEST_CASE("a task_done for an item that was written off makes it done; one more is one too many") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto answers = m.queue<long>("answers");
    q.put_many({1, 2});
    CHECK(in_child([&] {
              for (int i = 0; i < 2; ++i) answers.put(q.get() * 10);
          }) == 0);
    CHECK(q.join_for(watchdog));
    CHECK(q.lost() == 2);
    // Its parent has the answers, and is who says that the work is done.
    for (std::size_t left = 2; left != 0; --left) {
        static_cast<void>(answers.get());
        q.task_done();
        CHECK(q.lost() == left - 1);
        CHECK(q.join_for(0s));
    }
    CHECK_THROWS_AS(q.task_done(), cairn::invalid_state);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("one process may say task_done for another's item, which is not written off any more then") {
    const cairn::manager m;
    const auto q = m.lifo_queue<long>("q");
    const auto taken = m.queue<int>("taken");
    q.put_many({1, 2});
    child worker([&] {
        static_cast<void>(q.get());
        taken.put(1);
        wait_for_a_signal();
    });
    taken.get();
    q.task_done();
    worker.kill();
    CHECK(worker.join() == -SIGKILL);
    CHECK(q.lost() == 0);
    CHECK_FALSE(q.join_for(0s));  // for the other item, which is still there
    static_cast<void>(q.get());
    q.task_done();
    CHECK(q.join_for(0s));
}

TEST_CASE("processes that come, take an item and end leave nothing behind but a number") {
    const cairn::manager m;
    const auto q = m.priority_queue<long>("q");
    constexpr long count = 60;
    for (long i = 0; i < count; ++i) q.put(i);
    for (long i = 0; i < count; ++i) CHECK(in_child([&] { CHILD_CHECK(q.get() == i); }) == 0);
    const opened_queue<cairn::priority_queue<long>> open(q);
    CHECK(open.holders().size() == cairn::detail::first_queue_holders);
    CHECK(open.node_ref().lost > 0);  // written off for the sake of the place
    CHECK(q.lost() == count);
    CHECK(q.join_for(watchdog));
    CHECK(q.lost() == count);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("more processes than there are places at first are all remembered, also when memory is short") {
    for (const bool is_full : {false, true}) {
        CAPTURE(is_full);
        const cairn::manager m(is_full ? cairn::segment_options{.max_size = 1 << 20}
                                       : cairn::segment_options{});
        const auto q = m.queue<long>("q");
        const auto taken = m.queue<int>("taken");
        constexpr int workers = 9;
        for (int i = 0; i < 2 * workers; ++i) q.put(i);
        if (is_full) fill(m);
        std::vector<child> all;
        for (int i = 0; i < workers; ++i) {
            all.emplace_back([&] {
                q.get_many(2);
                taken.put(1);
                wait_for_a_signal();
            });
            taken.get();
        }
        CHECK(q.empty());  // getting needs no memory
        const opened_queue<cairn::queue<long>> open(q);
        if (!is_full) CHECK(open.holders().size() == 4 * cairn::detail::first_queue_holders);
        CHECK(broken_queue(q) == "");
        for (child& each : all) {
            each.kill();
            CHECK(each.join() == -SIGKILL);
        }
        std::uint64_t remembered = 0;
        for (const auto& each : open.holders()) remembered += each.taken;
        CHECK(remembered >= 2 * cairn::detail::first_queue_holders);
        if (!is_full) CHECK(remembered == 2 * workers);
        CHECK(q.lost() == remembered);
        CHECK(q.join_for(0s) == (remembered == 2 * workers));
        CHECK(broken_queue(q) == "");
    }
}

TEST_CASE("a task_done is for the item of a process that has ended rather than for that of one that works") {
    for (const bool is_worker_first : {true, false}) {
        CAPTURE(is_worker_first);
        const cairn::manager m;
        const auto q = m.queue<long>("q");
        const auto taken = m.queue<long>("taken");
        q.put_many({1, 2});
        std::vector<child> worker;
        const auto start_worker = [&] {
            worker.emplace_back([&] {
                taken.put(q.get());
                wait_for_a_signal();
            });
            static_cast<void>(taken.get());
        };
        if (is_worker_first) start_worker();
        // It has handed on its answer, and ended; nobody has joined yet.
        CHECK(in_child([&] { taken.put(q.get()); }) == 0);
        static_cast<void>(taken.get());
        if (!is_worker_first) start_worker();
        q.task_done();
        CHECK_FALSE(q.join_for(0s));  // for the one that works
        CHECK(q.lost() == 0);
        worker.front().kill();
        CHECK(worker.front().join() == -SIGKILL);
        CHECK(q.join_for(watchdog));
        CHECK(q.lost() == 1);
    }
}

TEST_CASE(
    "what was taken when there was no memory to remember by whom can be done, also after others were lost") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put_many({1, 2, 3});
    CHECK(in_child([&] { static_cast<void>(q.get()); }) == 0);
    CHECK_FALSE(q.join_for(0s));
    const opened_queue<cairn::queue<long>> open(q);
    CHECK(open.node_ref().lost == 1);
    CHECK(q.get_many(2) == std::vector<long>{2, 3});
    // As if there had been no place for it.
    for (cairn::detail::queue_holder& each : open.holders()) each.taken = 0;
    q.task_done();
    CHECK_FALSE(q.join_for(0s));
    q.task_done();
    CHECK(q.join_for(0s));
    CHECK(q.lost() == 1);
    CHECK(broken_queue(q) == "");
}

}  // namespace queue_lost_test
