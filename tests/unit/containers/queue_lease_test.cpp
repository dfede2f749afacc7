// queue_lease_test.cpp - leases: items that are worked on, acknowledged, given back; dead letters.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/literals.hpp>

namespace queue_lease_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::queue_all_done;
using cairn::detail::queue_has_item;
using cairn::detail::queue_has_room;

TEST_CASE_TEMPLATE("a leased item is out of the queue, and gone for good when it is acknowledged", T, long,
                   std::string) {
    const cairn::manager m;
    const auto q = m.queue<T>("q");
    const auto item = [](int i) {
        if constexpr (std::is_same_v<T, long>) return static_cast<long>(i);
        else return std::string(static_cast<std::size_t>(i * 40), 'i');
    };
    for (int i = 0; i < 4; ++i) q.put(item(i));
    auto lease = q.lease();
    CHECK(*lease == item(0));
    CHECK(lease.deliveries() == 1);
    CHECK(lease.is_held());
    CHECK(q.size() == 3);
    CHECK(q.leased() == 1);
    CHECK(broken_queue(q) == "");
    lease.ack();
    CHECK_FALSE(lease.is_held());
    CHECK(q.leased() == 0);
    CHECK(q.snapshot() == std::vector<T>{item(1), item(2), item(3)});
    CHECK(broken_queue(q) == "");
    CHECK_THROWS_AS(lease.ack(), cairn::invalid_state);
    CHECK_THROWS_AS(lease.release(), cairn::invalid_state);
}

TEST_CASE("a lease that is released, or ends, puts its item back at the front, and counts deliveries") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    q.put_many({"a", "b", std::string(100, 'c')});
    {
        const auto first = q.lease();
        CHECK(*first == "a");
    }
    CHECK(q.size() == 3);
    auto again = q.lease();
    CHECK(again.get() == "a");
    CHECK(again->size() == 1);
    CHECK(again.deliveries() == 2);
    again.release();
    CHECK(q.snapshot() == std::vector<std::string>{"a", "b", std::string(100, 'c')});
    CHECK(q.get() == "a");
    CHECK(q.get() == "b");
    CHECK(broken_queue(q) == "");
}

TEST_CASE("items that come back keep their order, whatever the order in which they come") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put_many({1, 2, 3, 4});
    std::optional first(q.lease());
    std::optional second(q.lease());
    std::optional third(q.lease());
    second.reset();
    third.reset();
    first.reset();
    CHECK(broken_queue(q) == "");
    CHECK(q.snapshot() == std::vector<long>{1, 2, 3, 4});
    CHECK(q.get_many(9) == std::vector<long>{1});  // what came back is a batch of its own
    CHECK(q.get() == 2);
    CHECK(q.get() == 3);
    CHECK(q.get() == 4);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("join waits for leased items; an acknowledgement is a task_done") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q"));
    q.put_many({1, 2});
    auto first = q.lease();
    auto second = q.lease();
    std::jthread joiner([&] { q.join(); });
    q.await_sleepers(queue_all_done);
    first.ack();
    CHECK_FALSE(q.join_for(0s));
    second.release();
    CHECK_FALSE(q.join_for(0s));
    q.lease().ack();
    joiner.join();
    CHECK(q.join_for(0s));
}

TEST_CASE("an item that comes back wakes who waits for one") {
    const cairn::manager m;
    const opened_queue q(m.queue<std::string>("q"));
    q.put("x");
    auto lease = q.lease();
    std::jthread getter([&] { CHECK(q.get() == "x"); });
    q.await_sleepers(queue_has_item);
    lease.release();
}

TEST_CASE("a lease makes room; what comes back does even if the queue is full again") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 1));
    q.put(1);
    std::jthread putter([&] { q.put(2); });
    q.await_sleepers(queue_has_room);
    auto lease = q.lease();
    putter.join();
    lease.release();
    CHECK(q.size() == 2);
    CHECK(q.full());
    CHECK_FALSE(q.try_put(3));
    CHECK(q.get() == 1);
    CHECK_FALSE(q.try_put(3));
    CHECK(q.get() == 2);
    CHECK(q.try_put(3));
    CHECK(broken_queue(q) == "");
}

TEST_CASE("try_lease, lease_for and lease with a stop give nothing when there is nothing") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    CHECK_FALSE(q.try_lease().has_value());
    CHECK_FALSE(q.lease_for(20ms).has_value());
    CHECK_FALSE(q.lease_until(std::chrono::steady_clock::now() + 1ms).has_value());
    std::stop_source stop;
    stop.request_stop();
    CHECK_FALSE(q.lease(stop.get_token()).has_value());
    q.put(1);
    CHECK(**q.try_lease() == 1);  // and back again, as nobody keeps it
    CHECK(**q.lease_for(1h) == 1);
    q.close();
    CHECK(q.lease().get() == 1);
    CHECK(q.get() == 1);
    CHECK_THROWS_AS(static_cast<void>(q.lease()), cairn::queue_closed);
}

TEST_CASE("a lease moves") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put_many({1, 2});
    auto a = q.lease();
    auto b = std::move(a);
    CHECK(b.is_held());
    CHECK_FALSE(a.is_held());  // NOLINT(bugprone-use-after-move): that is what is tested
    b = q.lease();             // 1 goes back
    CHECK(*b == 2);
    CHECK(q.snapshot() == std::vector<long>{1});
    std::vector<cairn::item_lease<long>> kept;
    kept.push_back(std::move(b));
    kept.push_back(q.lease());
    CHECK(q.leased() == 2);
    for (auto& each : kept) each.ack();
    CHECK(q.join_for(0s));
}

TEST_CASE("after shutdown(true) what comes back is dropped, and done") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    q.put_many({"a", std::string(100, 'b'), "c"});
    auto a = q.lease();
    auto b = q.lease();
    a.release();
    q.shutdown(true);
    CHECK(q.empty());
    CHECK_FALSE(q.join_for(0s));
    b.release();
    CHECK(q.empty());
    CHECK(q.join_for(0s));
    CHECK(broken_queue(q) == "");
}

TEST_CASE("an item that was leased max_deliveries times goes to the dead letters") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q", {.max_deliveries = 2});
    CHECK_FALSE(m.queue<long>("without").dead_letters().has_value());
    const auto dead = q.dead_letters().value();
    const std::string poison(500, 'p');
    q.put_many({poison, "good"});
    CHECK(*q.lease() == poison);
    CHECK(*q.lease() == poison);
    CHECK(dead.snapshot() == std::vector<std::string>{poison});
    CHECK(q.snapshot() == std::vector<std::string>{"good"});
    q.lease().ack();
    CHECK(q.join_for(0s));  // it is not waited for any more
    CHECK(broken_queue(q) == "");
    CHECK(dead.get() == poison);
    CHECK(broken_queue(q) == "");
    // Both queues wait on the same event count: a wake that is for one must not end with the other.
    std::jthread undertaker([&] { CHECK(dead.get() == "late"); });
    std::jthread getter([&] { CHECK(q.get_for(1h) == "other"); });
    opened_queue(q).await_sleepers(queue_has_item);
    std::this_thread::sleep_for(20ms);
    dead.put("late");
    undertaker.join();
    q.put("other");
}

TEST_CASE("a lease in a forked child is its parent's: it says so, and gives nothing back") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put(1);
    auto lease = q.lease();
    CHECK(in_child([&] {
              CHILD_CHECK(*lease == 1);
              const std::string what = thrown_by<cairn::invalid_state>([&] { lease.ack(); });
              CHILD_CHECK(contains(what, "leased by the parent of this forked process"));
              CHILD_CHECK(!thrown_by<cairn::invalid_state>([&] { lease.release(); }).empty());
              const auto own = std::move(lease);  // and its end does nothing
          }) == 0);
    CHECK(q.leased() == 1);
    CHECK(q.empty());
    lease.ack();
    CHECK(q.join_for(0s));
}

TEST_CASE("a lease of a queue that was removed says that it is gone, and its end says nothing") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put_many({1, 2});
    auto lease = q.lease();
    const auto other = q.lease();
    CHECK(m.remove("q"));
    CHECK_THROWS_AS(lease.ack(), cairn::object_gone);
}

TEST_CASE("a lease in a full segment throws and leaves the queue as it was; giving back needs no memory") {
    using namespace cairn::literals;
    const cairn::manager m{cairn::segment_options{.max_size = 1_MiB}};
    const auto q = m.queue<long>("q", {.max_deliveries = 1});
    CHECK_THROWS_AS(
        [&] {
            for (long i = 0;; ++i) q.put(i);
        }(),
        cairn::segment_full);
    const std::size_t all = q.size();
    std::vector<cairn::item_lease<long>> leases;
    CHECK_THROWS_AS(
        [&] {
            for (std::size_t i = 0; i < all; ++i) leases.push_back(q.lease());
        }(),
        cairn::segment_full);
    CHECK(q.size() + leases.size() == all);
    CHECK(broken_queue(q) == "");
    leases.clear();
    CHECK(broken_queue(q) == "");
    CHECK(q.size() + q.dead_letters()->size() == all);
    CHECK(q.leased() == 0);
}

}  // namespace queue_lease_test
