// pool_core_test.cpp - the steps in a pool's life, one by one, without processes.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <string>

#include <doctest/doctest.h>

#include "support/pools.hpp"
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace pool_core_test {

using namespace cairn_test;
using stored::frame_kind;
using stored::next_step;
using stored::worker_order;

namespace {

struct fixture {
    cairn::manager m;
    bare_pool pool;
    explicit fixture(std::uint32_t workers = 2) : pool(made(m, workers)) {}
    static bare_pool made(const cairn::manager& m, std::uint32_t workers) {
        bare_pool::create(m, workers);
        return bare_pool(m);
    }
    // What the finished tasks are, in their order: "0 1 2".
    std::string collect_all() {
        std::string tokens;
        while (const stored::segment_offset at = pool.collect()) {
            if (!tokens.empty()) tokens += ' ';
            tokens += std::to_string(stored::task_at(pool.in(), at).token);
            pool.free(at);
        }
        return tokens;
    }
    // Kinds of the results of the next finished task: "1 1 3".
    std::string kinds_of_next() {
        const stored::segment_offset at = pool.collect();
        if (at == 0) return "nothing";
        const stored::task_record& task = stored::task_at(pool.in(), at);
        stored::frame_reader reader(
            task.result == 0
                ? std::span<const std::byte>(task.inline_result, stored::inline_result_bytes)
                : std::span<const std::byte>(pool.in().at<std::byte>(task.result), task.result_bytes));
        std::string kinds;
        frame_kind kind{};
        std::span<const std::byte> payload;
        for (std::uint32_t i = 0; i < task.items_done && reader.next(kind, payload); ++i) {
            if (!kinds.empty()) kinds += ' ';
            kinds += std::to_string(static_cast<int>(kind));
        }
        pool.free(at);
        return kinds;
    }
    void run(std::uint32_t worker) {
        REQUIRE(pool.take(worker) == next_step::run);
        pool.run_items(worker, 8);
    }
};

}  // namespace

TEST_CASE("tasks are taken in the order of their priorities, and of submission among equals") {
    fixture f;
    const std::int64_t priorities[] = {0, 5, 0, -3, 5};
    for (std::uint64_t i = 0; i < 5; ++i) f.pool.push({.token = i, .priority = priorities[i]});
    CHECK(f.pool.node().waiting_count == 5);
    REQUIRE(f.pool.claim(0));
    for (int i = 0; i < 5; ++i) f.run(0);
    CHECK(f.pool.take(0) == next_step::wait);
    CHECK(f.collect_all() == "1 4 0 2 3");
    CHECK(f.pool.count_tasks() == 0);
}

TEST_CASE("a task that waits can be withdrawn, one that is taken cannot") {
    fixture f;
    for (std::uint64_t i = 0; i < 3; ++i) f.pool.push({.token = i, .input_bytes = 100});
    CHECK(f.pool.withdraw(1));
    CHECK_FALSE(f.pool.withdraw(1));
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    CHECK_FALSE(f.pool.withdraw(0));
    f.pool.run_items(0, 8);
    f.run(0);
    CHECK(f.pool.take(0) == next_step::wait);
    CHECK(f.collect_all() == "0 2");
}

TEST_CASE("a worker takes a place that is free and wanted, and no other") {
    fixture f;
    CHECK(f.pool.claim(0));
    CHECK_FALSE(f.pool.claim(0));
    CHECK_FALSE(f.pool.claim(2));
    f.pool.set_target(1);
    CHECK_FALSE(f.pool.claim(1));
    f.pool.set_target(2);
    f.pool.close();
    CHECK_FALSE(f.pool.claim(1));
    f.pool.push({});
    CHECK(f.pool.claim(1));
    f.pool.break_it("no more");
    f.pool.leave(1);
    CHECK_FALSE(f.pool.claim(1));
}

TEST_CASE("workers leave when their place is not wanted any more, or the pool closes and nothing is left") {
    fixture f;
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.claim(1));
    f.pool.set_target(1);
    CHECK(f.pool.take(0) == next_step::wait);
    CHECK(f.pool.take(1) == next_step::leave);
    f.pool.push({.token = 7});
    f.pool.close();
    f.run(0);
    CHECK(f.pool.take(0) == next_step::leave);
    CHECK(f.collect_all() == "7");
}

TEST_CASE("a death before the task is entered costs no attempt, and the task is the next") {
    fixture f;
    f.pool.push({.token = 0});
    f.pool.push({.token = 1});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    CHECK(f.pool.task_of(0).attempts == 1);
    REQUIRE(f.pool.kill(0, -SIGKILL));
    CHECK_FALSE(f.pool.kill(0, -SIGKILL));
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    CHECK(f.pool.task_of(0).token == 0);
    CHECK(f.pool.task_of(0).attempts == 1);
    CHECK(f.pool.node().retried_count == 0);
}

TEST_CASE("a death in the task ends it, after as many further starts as it may have") {
    fixture f;
    f.pool.push({.token = 0, .retries = 2});
    for (int attempt = 1; attempt <= 3; ++attempt) {
        REQUIRE(f.pool.claim(0));
        REQUIRE(f.pool.take(0) == next_step::run);
        CHECK(f.pool.task_of(0).attempts == static_cast<std::uint32_t>(attempt));
        f.pool.begin_item(0);
        REQUIRE(f.pool.kill(0, -SIGKILL));
    }
    CHECK(f.pool.node().waiting_count == 0);
    CHECK(f.pool.node().retried_count == 2);
    CHECK(f.kinds_of_next() == "3");
    CHECK(f.pool.count_tasks() == 0);
}

TEST_CASE("a death after the result is no death of the task") {
    fixture f;
    f.pool.push({});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    f.pool.do_items(0, 1);
    REQUIRE(f.pool.kill(0, -SIGKILL));
    CHECK(f.kinds_of_next() == "1");
}

TEST_CASE("of a run, a death costs the item that was being worked on, and others go on behind it") {
    for (const std::uint64_t bytes : {std::uint64_t{8}, std::uint64_t{300}}) {
        CAPTURE(bytes);
        fixture f;
        f.pool.push({.token = 0, .items = 5});
        REQUIRE(f.pool.claim(0));
        REQUIRE(f.pool.take(0) == next_step::run);
        f.pool.do_items(0, 2, bytes);
        f.pool.begin_item(0);
        REQUIRE(f.pool.kill(0, -SIGKILL));
        REQUIRE(f.pool.claim(1));
        REQUIRE(f.pool.take(1) == next_step::run);
        CHECK(f.pool.task_of(1).items_done == 3);
        CHECK(f.pool.task_of(1).attempts == 1);
        f.pool.do_items(1, 1, bytes);
        REQUIRE(f.pool.kill(1, -SIGKILL));  // between two items
        REQUIRE(f.pool.claim(0));
        REQUIRE(f.pool.take(0) == next_step::run);
        CHECK(f.pool.task_of(0).items_done == 4);
        f.pool.run_items(0, bytes);
        f.pool.take(0);
        CHECK(f.kinds_of_next() == "1 1 3 1 1");
        CHECK(f.pool.count_tasks() == 0);
    }
}

TEST_CASE("an item that is tried again does not use up the attempts of the next") {
    fixture f;
    f.pool.push({.token = 0, .items = 2, .retries = 1});
    REQUIRE(f.pool.claim(0));
    for (int item = 0; item < 2; ++item) {
        REQUIRE(f.pool.take(0) == next_step::run);
        f.pool.begin_item(0);
        REQUIRE(f.pool.kill(0, -SIGKILL));
        REQUIRE(f.pool.claim(0));
        REQUIRE(f.pool.take(0) == next_step::run);
        CHECK(f.pool.task_of(0).attempts == 2);
        f.pool.do_items(0, 1);
        if (item == 0) f.pool.finish_and_leave(0);
        if (item == 0) REQUIRE(f.pool.claim(0));
    }
    f.pool.take(0);
    CHECK(f.kinds_of_next() == "1 1");
}

TEST_CASE("a worker that is ordered to be killed for its task takes no other if it is done first") {
    fixture f;
    f.pool.push({.token = 0, .retries = 5});
    f.pool.push({.token = 1});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    f.pool.begin_item(0);
    f.pool.order_cancel(0);
    CHECK(f.pool.worker(0).order == worker_order::end);
    SUBCASE("done first") {
        f.pool.do_items(0, 1);
        CHECK(f.pool.take(0) == next_step::leave);
        CHECK(f.kinds_of_next() == "1");
    }
    SUBCASE("killed first: no further attempt") {
        REQUIRE(f.pool.kill(0, -SIGKILL));
        CHECK(f.kinds_of_next() == "3");
    }
    CHECK(f.pool.node().waiting_count == 1);
}

TEST_CASE("a worker that is killed when its task's time is up says so, whatever attempts are left") {
    fixture f;
    f.pool.push({.token = 0, .retries = 5});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    f.pool.set_deadline(0);
    f.pool.begin_item(0);
    REQUIRE(f.pool.kill(0, -SIGKILL));
    CHECK(f.kinds_of_next() == "4");
}

TEST_CASE("a worker that dies behind results that it has overwritten ends its run, and nobody else") {
    fixture f;
    f.pool.push({.token = 0, .items = 4, .retries = 0});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    f.pool.do_items(0, 2);
    f.pool.begin_item(0);
    stored::result_frame wild{~std::uint64_t{0}, frame_kind::value, 0};
    stored::copy_in(f.pool.task_of(0).inline_result, &wild, sizeof wild);
    REQUIRE(f.pool.kill(0, -SIGSEGV));
    const stored::segment_offset at = f.pool.collect();
    REQUIRE(at != 0);
    CHECK(stored::task_at(f.pool.in(), at).is_cut == 1);
    f.pool.free(at);
    CHECK(f.pool.count_tasks() == 0);
}

TEST_CASE("lists of priorities that are not used any more go") {
    fixture f;
    for (std::int64_t priority = 1; priority != 50; ++priority) f.pool.push({.priority = priority});
    f.pool.push({.token = 1});
    REQUIRE(f.pool.claim(0));
    for (int i = 0; i != 50; ++i) f.run(0);
    CHECK(f.pool.take(0) == next_step::wait);
    const auto& only = *f.pool.in().at<stored::priority_level>(f.pool.node().levels);
    CHECK(only.priority == 0);
    CHECK(only.next == 0);
}

TEST_CASE("what has been started once does not expire, and is asked to stop by a cancel") {
    fixture f;
    f.pool.push({.token = 0, .retries = 3});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    CHECK_FALSE(f.pool.withdraw_taken(0, stored::withdrawal::not_started));
    CHECK(f.pool.task_of(0).stop_asked == 0);
    CHECK_FALSE(f.pool.withdraw_taken(0, stored::withdrawal::cancelled));
    CHECK(f.pool.task_of(0).stop_asked == stored::stop_by_cancel);
    f.pool.order_cancel(0);
    CHECK_FALSE(f.pool.withdraw_taken(0, stored::withdrawal::cancelled));
    CHECK(f.pool.task_of(0).stop_asked == (stored::stop_by_cancel | stored::stop_by_kill));
}

TEST_CASE("a task that is repeated waits behind the others, without its result") {
    fixture f;
    f.pool.push({.token = 0, .retries = 1});
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.take(0) == next_step::run);
    f.pool.run_items(0, 400);
    CHECK(f.pool.take(0) == next_step::wait);
    const stored::segment_offset at = f.pool.collect();
    REQUIRE(at != 0);
    f.pool.push({.token = 1});
    f.pool.repeat(at);
    f.run(0);
    f.run(0);
    CHECK(f.pool.task_of(0).attempts == 2);
    f.pool.take(0);
    CHECK(f.collect_all() == "1 0");
}

TEST_CASE("a push counts on one worker that looks, once") {
    fixture f;
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.claim(1));
    CHECK(f.pool.look(0));
    CHECK_FALSE(f.pool.look(1));  // one of them does
    f.pool.pretend_sleeper(stored::pool_has_task);
    const std::uint32_t before = stored::load_word(f.pool.slot().events[stored::pool_has_task].sequence);
    f.pool.push({.token = 0});
    CHECK(stored::load_word(f.pool.slot().events[stored::pool_has_task].sequence) == before);
    f.pool.push({.token = 1});
    CHECK(stored::load_word(f.pool.slot().events[stored::pool_has_task].sequence) == before + 1);
}

TEST_CASE("workers that end before they are ready are counted, until one is ready") {
    fixture f;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(f.pool.claim_only(0));
        f.pool.record_failure("std::runtime_error: no device");
        REQUIRE(f.pool.kill(0, 1));
    }
    CHECK(f.pool.node().failed_starts == 3);
    CHECK(f.pool.node().failure_bytes == std::string("std::runtime_error: no device").size());
    // The first reason, until then.
    f.pool.record_failure("another");
    CHECK(f.pool.node().failure_bytes == std::string("std::runtime_error: no device").size());
    REQUIRE(f.pool.claim_only(0));
    REQUIRE(f.pool.claim(1));
    CHECK(f.pool.node().failed_starts == 0);
    CHECK(f.pool.node().failure == 0);
    // What has broken the pool stays, and is read without the lock.
    f.pool.break_it("no nursery");
    const std::uint64_t failure = f.pool.node().failure;
    f.pool.be_ready(0);
    CHECK(failure != 0);
    CHECK(f.pool.node().failure == failure);
}

TEST_CASE("a pool's memory is what it was when all its tasks have come and gone") {
    fixture f(3);
    const auto round = [&] {
        for (std::uint64_t i = 0; i < 20; ++i)
            f.pool.push({.token = i,
                         .items = static_cast<std::uint32_t>(1 + i % 4),
                         .retries = static_cast<std::uint32_t>(i % 2),
                         .input_bytes = i * 50});
        for (std::uint32_t i = 0; i < 200 && f.pool.node().waiting_count != 0; ++i) {
            const std::uint32_t worker = i % 3;
            f.pool.claim(worker);
            if (f.pool.take(worker) != next_step::run) continue;
            if (i % 5 == 4) {
                f.pool.begin_item(worker);
                f.pool.kill(worker, -SIGKILL);
            } else {
                f.pool.run_items(worker, i % 3 * 100 + 1);
            }
        }
        for (std::uint32_t worker = 0; worker < 3; ++worker)
            if (f.pool.worker(worker).incarnation != 0) f.pool.take(worker);
        CHECK(f.pool.node().waiting_count == 0);
        static_cast<void>(f.collect_all());
        CHECK(f.pool.count_tasks() == 0);
    };
    round();
    const std::uint64_t before = f.m.stats().used_bytes;
    for (int i = 0; i < 5; ++i) round();
    CHECK(f.m.stats().used_bytes == before);
    CHECK(f.m.objects().front().kind == "pool");
}

TEST_CASE("what a worker has submitted comes back to it, what the owner has to the owner") {
    fixture f;
    REQUIRE(f.pool.claim(0));
    REQUIRE(f.pool.claim(1));
    f.pool.push({.token = 1, .by = 0});
    f.pool.push({.token = 2});
    f.pool.push({.token = 3, .by = 0});
    for (int i = 0; i < 3; ++i) f.run(1);
    CHECK(f.pool.take(1) == next_step::wait);
    CHECK(f.collect_all() == "2");
    for (const std::uint64_t token : {1U, 3U}) {
        const stored::segment_offset at = f.pool.collect(0);
        REQUIRE(at != 0);
        CHECK(stored::task_at(f.pool.in(), at).token == token);
        f.pool.free(at, 0);
    }
    CHECK(f.pool.collect(0) == 0);
    CHECK(f.pool.count_tasks() == 0);
    CHECK(f.pool.problem() == "");
}

TEST_CASE("results that a worker did not collect are the owner's to free, whether it leaves or dies") {
    for (const bool dies : {false, true}) {
        CAPTURE(dies);
        fixture f;
        REQUIRE(f.pool.claim(0));
        REQUIRE(f.pool.claim(1));
        f.pool.push({.token = 5});
        for (std::uint64_t token = 1; token <= 4; ++token) f.pool.push({.token = token, .by = 0});
        for (int i = 0; i < 4; ++i) f.run(1);
        CHECK(f.pool.take(1) == next_step::run);  // hands the fourth over, and has the fifth
        REQUIRE(f.pool.collect(0) != 0);
        REQUIRE(f.pool.collect(0) != 0);
        if (dies) CHECK(f.pool.kill(0, -SIGKILL));
        else f.pool.leave(0);
        CHECK(f.pool.problem() == "");
        // Of one that was submitted by a worker which has gone, the result is nobody's, and not that of who has its place now.
        REQUIRE(f.pool.claim(0));
        f.pool.run_items(1, 8);
        CHECK(f.pool.take(1) == next_step::wait);
        CHECK(f.pool.collect(0) == 0);
        CHECK(f.collect_all() == "5 2 1 3");
        CHECK(f.pool.count_tasks() == 0);
        CHECK(f.pool.problem() == "");
    }
}

TEST_CASE(
    "waiting tasks of workers are cancelled, those of the owner are not; of who has gone they are freed") {
    fixture f(3);
    for (std::uint32_t i = 0; i < 3; ++i) REQUIRE(f.pool.claim(i));
    for (std::uint64_t i = 0; i < 4; ++i) f.pool.push({.token = i, .priority = i % 2 == 0 ? 0 : 4, .by = 1});
    f.pool.push({.token = 10});
    for (std::uint64_t i = 4; i < 7; ++i) f.pool.push({.token = i, .by = 2});
    f.pool.leave(2);
    CHECK(f.pool.cancel_tasks_of_workers(3) == 3);
    CHECK(f.pool.problem() == "");
    CHECK(f.pool.cancel_tasks_of_workers(100) == 4);
    CHECK(f.pool.problem() == "");
    CHECK(f.pool.node().waiting_count == 1);
    std::uint64_t sum = 0;
    for (int i = 0; i < 4; ++i) {
        const stored::segment_offset at = f.pool.collect(1);
        REQUIRE(at != 0);
        const stored::task_record& task = stored::task_at(f.pool.in(), at);
        CHECK(task.is_cut == 1);
        CHECK((task.stop_asked & stored::stop_by_kill) != 0);
        sum += task.token;
        f.pool.free(at, 1);
    }
    CHECK(sum == 6);
    CHECK(f.pool.collect(1) == 0);
    f.run(0);
    CHECK(f.pool.take(0) == next_step::wait);
    CHECK(f.collect_all() == "10");
    CHECK(f.pool.count_tasks() == 0);
}

}  // namespace pool_core_test
