// queue_fault_test.cpp - queues in full segments, and waits that are interrupted, or whose questions the system does not
// answer.
//
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <pthread.h>

#include <doctest/doctest.h>

#include "nth_call.hpp"
#include "support/queue_picture.hpp"
#include <cairn/cairn.hpp>

namespace queue_fault_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::queue_all_done;
using cairn::detail::queue_event;
using cairn::detail::queue_has_item;
using cairn::detail::queue_has_room;

namespace {

constexpr auto watchdog = 20s;

/// Full: neither a large value nor the record of a lease has room.
template <typename Q>
void fill(const Q& q) {
    using T = typename Q::value_type;
    const auto add = [&](auto make) {
        try {
            for (std::uint64_t i = 0;; ++i) q.put(make(i));
        } catch (const cairn::segment_full&) {}
    };
    add([](std::uint64_t i) { return large_value<T>(i); });
    add([](std::uint64_t i) { return small_value<T>(i); });
}

std::atomic<int> interruptions{0};

/// SIGUSR1 interrupts what sleeps, and nothing starts it again.
class interrupting {
public:
    interrupting() {
        struct sigaction action = {};
        action.sa_handler = [](int) { ++interruptions; };
        ::sigaction(SIGUSR1, &action, &before_);
        interruptions = 0;
    }
    interrupting(const interrupting&) = delete;
    interrupting& operator=(const interrupting&) = delete;
    ~interrupting() { ::sigaction(SIGUSR1, &before_, nullptr); }

private:
    struct sigaction before_ = {};
};

/// Runs `wait` in a thread, interrupts it many times while it sleeps, and then does what it waits for.
template <typename Q>
void interrupt_and_end(const Q& q, queue_event event, const std::function<void()>& wait,
                       const std::function<void()>& end) {
    const interrupting handler;
    std::atomic<bool> is_over{false};
    std::thread sleeper([&] {
        wait();
        is_over = true;
    });
    opened_queue<Q>(q).await_sleepers(event);
    const auto deadline = std::chrono::steady_clock::now() + watchdog;
    for (int i = 0; i < 30 && !is_over; ++i) {
        ::pthread_kill(sleeper.native_handle(), SIGUSR1);
        while (interruptions <= i && !is_over && std::chrono::steady_clock::now() < deadline)
            std::this_thread::sleep_for(1ms);
    }
    CHECK_FALSE(is_over);
    CHECK(interruptions == 30);
    end();
    sleeper.join();
}

/// Holds one item on lease until it is killed.
child lease_holder(const cairn::queue<std::string>& q) {
    child holder([&] {
        const auto lease = q.lease();
        for (;;) ::pause();
    });
    const auto deadline = std::chrono::steady_clock::now() + watchdog;
    while (q.leased() == 0) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::this_thread::sleep_for(1ms);
    }
    return holder;
}

}  // namespace

TEST_CASE_TEMPLATE("a queue in a full segment refuses what does not fit, stays as it was, and can be emptied",
                   Q, cairn::queue<long>, cairn::queue<std::string>, cairn::lifo_queue<long>,
                   cairn::lifo_queue<std::string>, cairn::priority_queue<long>,
                   cairn::priority_queue<std::string>) {
    using T = typename Q::value_type;
    const cairn::manager m(cairn::segment_options{.max_size = 400'000});
    const Q q = queue_kind<Q>::open(m, "q", {.max_deliveries = 1});
    fill(q);
    auto expected = picture_of(q);
    const std::vector<T> many(500, large_value<T>(1));
    CHECK_THROWS_AS(q.put(large_value<T>(1)), cairn::segment_full);
    CHECK_THROWS_AS(static_cast<void>(q.try_put(large_value<T>(1))), cairn::segment_full);
    CHECK_THROWS_AS(static_cast<void>(q.put_for(large_value<T>(1), 1h)), cairn::segment_full);
    CHECK_THROWS_AS(q.put_many(many), cairn::segment_full);
    CHECK((picture_of(q) == expected));
    CHECK(broken_queue(q) == "");

    // A lease needs a little room: there may be some. Then there may be none for a dead letter, which comes back.
    std::vector<cairn::item_lease<T>> held;
    try {
        for (int i = 0; i < 5000; ++i) held.push_back(q.lease());
    } catch (const cairn::segment_full&) {
    } catch (const cairn::queue_closed&) {}
    CHECK(q.leased() == held.size());
    CHECK(q.size() + held.size() == expected.items.size());
    CHECK(broken_queue(q) == "");
    held.clear();
    auto now = picture_of(q);
    CHECK(now.leased == 0);
    CHECK(now.items.size() + now.dead_letters.size() == expected.items.size());
    CHECK(broken_queue(q) == "");

    // To take and to end needs nothing.
    cairn::detail::os::fault.store([](const char*) noexcept { return ENOMEM; });
    std::optional<T> first = q.try_get();
    if (!first) first = q.dead_letters()->try_get();
    CHECK_NOTHROW(q.task_done());
    for (int i = 0; i < 20; ++i) CHECK_NOTHROW(static_cast<void>(q.try_get()));
    CHECK_NOTHROW(q.shutdown(true));
    cairn::detail::os::fault.store(nullptr);
    CHECK(first.has_value());
    CHECK(q.empty());
    CHECK(broken_queue(q) == "");
}

TEST_CASE_TEMPLATE("what is in a full segment can be taken in batches", Q, cairn::queue<std::string>,
                   cairn::lifo_queue<std::string>, cairn::priority_queue<std::string>,
                   cairn::lifo_queue<long>, cairn::priority_queue<long>) {
    const cairn::manager m(cairn::segment_options{.max_size = 400'000});
    const Q q = queue_kind<Q>::open(m, "q");
    fill(q);
    const auto all = q.snapshot();
    std::vector<typename Q::value_type> taken;
    while (!q.empty()) {
        const auto batch = q.get_many(100'000);
        REQUIRE(!batch.empty());
        taken.insert(taken.end(), batch.begin(), batch.end());
        REQUIRE(broken_queue(q) == "");
    }
    CHECK(taken == all);
}

TEST_CASE("signals interrupt no wait: a getter, a putter, a batch and a join sleep on until it is time") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 2);
    interrupt_and_end(
        q, queue_has_item, [&] { CHECK(q.get() == 5); }, [&] { q.put(5); });
    q.task_done();
    interrupt_and_end(
        q, queue_has_item, [&] { CHECK(*q.lease() == 6); }, [&] { q.put(6); });
    CHECK(q.get() == 6);
    q.task_done();
    q.put_many({1, 2});
    interrupt_and_end(
        q, queue_has_room, [&] { q.put(3); }, [&] { CHECK(q.get() == 1); });
    interrupt_and_end(
        q, queue_has_room,
        [&] {
            q.put_many({4, 5});
        },
        [&] {
            CHECK(q.get_many(2) == std::vector<long>{2, 3});
        });
    for (int i = 0; i < 4; ++i) q.task_done();
    interrupt_and_end(
        q, queue_all_done, [&] { q.join(); }, [&] { q.task_done(); });
    CHECK(broken_queue(q) == "");
}

TEST_CASE("signals end no wait before its time") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto began = std::chrono::steady_clock::now();
    interrupt_and_end(
        q, queue_has_item, [&] { CHECK_FALSE(q.get_for(300ms)); }, [] {});
    CHECK(std::chrono::steady_clock::now() - began >= 300ms);
}

TEST_CASE("what a living process has on lease stays there, whatever the system says of that process") {
    const scratch_name name;
    const cairn::manager m(std::string_view(name.get()));
    const auto q = m.queue<std::string>("q");
    q.put("at work");
    const child holder = lease_holder(q);
    const footprint usual = take_footprint();
    const int thrown = fail_every_call(
        name.get(), [&] { CHECK_FALSE(q.try_get()); },
        [&](bool) {
            CHECK(q.leased() == 1);
            CHECK(q.empty());
            CHECK(broken_queue(q) == "");
            CHECK(take_footprint() == usual);
        });
    CHECK(thrown == 0);
    holder.kill();
}

TEST_CASE("what a dead process had on lease comes back, whatever the system says of that process") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    for (const int error : {ENOSPC, ENOMEM, EMFILE, EINTR, EPERM, EAGAIN}) {
        CAPTURE(error);
        q.put("at work");
        child holder = lease_holder(q);
        holder.kill();
        CHECK(holder.join() == -SIGKILL);
        std::optional<std::string> item;
        {
            const nth_call_fails fault(1, error);
            item = q.try_get();
        }
        // Where it was not to be known, the next look finds it.
        if (!item) item = q.try_get();
        CHECK(item == "at work");
        CHECK(q.leased() == 0);
        CHECK(broken_queue(q) == "");
    }
}

}  // namespace queue_fault_test
