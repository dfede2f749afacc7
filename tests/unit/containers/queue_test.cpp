// queue_test.cpp - what queue<T> does, method by method; Python's queue.Queue and JoinableQueue are the specification.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <list>
#include <ranges>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/literals.hpp>

namespace queue_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::queue_all_done;
using cairn::detail::queue_has_item;
using cairn::detail::queue_has_room;

namespace {

/// More than what has room in a slot.
struct large {
    std::array<long, 40> words;
};

/// Of an odd size, so that slots have padding.
struct odd {
    char bytes[11];
    friend bool operator==(const odd&, const odd&) = default;
};

}  // namespace

static_assert(cairn::queue_of<cairn::queue<std::string>, std::string>);

TEST_CASE("Queue.put and get: first in, first out") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    CHECK(q.empty());
    for (long i = 0; i < 5000; ++i) q.put(i);
    CHECK(q.size() == 5000);
    CHECK(broken_queue(q) == "");
    for (long i = 0; i < 5000; ++i) REQUIRE(q.get() == i);
    CHECK(q.empty());
    CHECK_FALSE(q.full());
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue of strings of all lengths") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    for (std::size_t round = 0; round < 3; ++round) {
        for (std::size_t i = 0; i < 300; ++i) q.put(std::string(i * 7 % 400, 'x'));
        CHECK(broken_queue(q) == "");
        for (std::size_t i = 0; i < 300; ++i) REQUIRE(q.get() == std::string(i * 7 % 400, 'x'));
        CHECK(broken_queue(q) == "");
    }
    q.put(std::string_view("a view"));
    q.put("a literal");
    CHECK(q.get() == "a view");
    CHECK(q.pop() == "a literal");
}

TEST_CASE("Queue items of every form: small, odd, large, vectors") {
    const cairn::manager m;
    const auto bytes = m.queue<char>("bytes");
    const auto odds = m.queue<odd>("odds");
    const auto larges = m.queue<large>("larges");
    const auto vectors = m.queue<std::vector<double>>("vectors");
    for (int i = 0; i < 3000; ++i) {
        bytes.put(static_cast<char>(i % 100));
        odds.put(odd{{static_cast<char>(i % 100), 'b'}});
        larges.put(large{{i, i + 1}});
        vectors.put(std::vector<double>(static_cast<std::size_t>(i % 5), i));
    }
    for (int i = 0; i < 3000; ++i) {
        REQUIRE(bytes.get() == static_cast<char>(i % 100));
        REQUIRE(odds.get() == odd{{static_cast<char>(i % 100), 'b'}});
        REQUIRE(larges.get().words[1] == i + 1);
        REQUIRE(vectors.get() == std::vector<double>(static_cast<std::size_t>(i % 5), i));
    }
    CHECK(broken_queue(bytes) == "");
    CHECK(broken_queue(odds) == "");
    CHECK(broken_queue(larges) == "");
    CHECK(broken_queue(vectors) == "");
}

TEST_CASE("Queue items may be as large as the segment") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    const std::string large(20 << 20, 'L');
    q.put(large);
    q.put("small");
    CHECK(q.get() == large);
    CHECK(q.get() == "small");
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue(maxsize) is full at maxsize: try_put says so, put_for waits, nothing is put") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 2);
    CHECK(q.maxsize() == 2);
    CHECK(q.try_put(1));
    CHECK(q.try_push(2));
    CHECK(q.full());
    CHECK_FALSE(q.try_put(3));
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(q.put_for(3, 50ms));
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    CHECK_FALSE(q.put_until(3, std::chrono::system_clock::now() - 1h));
    CHECK(q.snapshot() == std::vector<long>{1, 2});
    CHECK(q.get() == 1);
    CHECK(q.put_for(3, 1h));
    CHECK(q.snapshot() == std::vector<long>{2, 3});
}

TEST_CASE("Queue.get of an empty queue: try_get gives nothing, get_for waits and gives nothing") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    CHECK_FALSE(q.try_get().has_value());
    CHECK_FALSE(q.try_pop().has_value());
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(q.get_for(50ms).has_value());
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    CHECK_FALSE(q.get_for(-1s).has_value());
    CHECK_FALSE(q.get_until(std::chrono::steady_clock::now()).has_value());
    q.push(7);
    CHECK(q.get_for(1h) == 7);
}

TEST_CASE("Queue(maxsize): a negative one is an error, another one than there is does not count") {
    const cairn::manager m;
    const std::string what =
        thrown_by<cairn::invalid_argument>([&] { static_cast<void>(m.queue<long>("q", -1)); });
    CHECK(contains(what, "create queue 'q'"));
    CHECK(contains(what, "maxsize is -1, expected 0 (unbounded) or more"));
    CHECK_FALSE(m.contains("q"));
    const auto q = m.queue<long>("q", 3);
    CHECK(m.queue<long>("q").maxsize() == 3);
    CHECK(m.queue<long>("q", 5).maxsize() == 3);
    CHECK(m.find<cairn::queue<long>>("q")->maxsize() == 3);
    CHECK_THROWS_AS(static_cast<void>(m.queue<int>("q")), cairn::type_mismatch);
    CHECK_THROWS_AS(static_cast<void>(m.list<long>("q")), cairn::type_mismatch);
    CHECK(m.queue<long>(4).maxsize() == 4);
}

TEST_CASE("Queue: who waits for an item gets one that is put later") {
    const cairn::manager m;
    const opened_queue q(m.queue<std::string>("q"));
    std::jthread getter([&] { CHECK(q.get() == "late"); });
    q.await_sleepers(queue_has_item);
    q.put("late");
}

TEST_CASE("Queue: who waits for room puts when an item is taken") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 1));
    q.put(1);
    std::jthread putter([&] { q.put(2); });
    q.await_sleepers(queue_has_room);
    CHECK(q.get() == 1);
    putter.join();
    CHECK(q.get() == 2);
}

TEST_CASE("Queue: sleepers are woken for as many items as a batch has") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q"));
    std::atomic<long> sum{0};
    std::vector<std::jthread> getters;
    for (int i = 0; i < 4; ++i) getters.emplace_back([&] { sum += q.get(); });
    q.await_sleepers(queue_has_item);
    std::this_thread::sleep_for(20ms);  // likely all of them; if not, the test is easier
    q.put_many({1, 2, 3, 4});
    getters.clear();
    CHECK(sum == 10);
    CHECK(q.empty());
}

TEST_CASE("Queue.put_many puts all of them, in order, as one") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    q.put_many({"a", "b"});
    q.put_many(std::list<std::string>{"c", std::string(5000, 'd')});
    q.put_many(std::vector<std::string>{});
    CHECK(q.snapshot() == std::vector<std::string>{"a", "b", "c", std::string(5000, 'd')});
    const auto numbers = m.queue<long>("numbers");
    numbers.put_many(std::views::iota(0L, 10'000L));
    CHECK(numbers.size() == 10'000);
    CHECK(broken_queue(numbers) == "");
    CHECK(numbers.get_many(3) == std::vector<long>{0, 1, 2});
    const std::vector<long> rest = numbers.get_many(20'000);
    CHECK(rest.size() == 9'997);
    CHECK(rest.back() == 9'999);
    CHECK(broken_queue(numbers) == "");
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue.put_many waits until all have room, and puts more than maxsize in batches of that many") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 3));
    q.put_many({1, 2});
    std::jthread batch([&] { q.put_many({3, 4, 5, 6, 7}); });
    q.await_sleepers(queue_has_room);
    CHECK(q.size() == 2);                    // one place is not enough for three
    std::jthread single([&] { q.put(8); });  // but for this one, which may come first
    std::vector<long> seen;
    for (int i = 0; i < 8; ++i) seen.push_back(q.get());
    std::erase(seen, 8);
    CHECK(seen == std::vector<long>{1, 2, 3, 4, 5, 6, 7});
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue.get_many gives what there is, at least one") {
    const cairn::manager m;
    const opened_queue q(m.queue<std::string>("q"));
    CHECK(q.get_many(0).empty());
    std::jthread getter([&] { CHECK(q.get_many(10) == std::vector<std::string>{"only"}); });
    q.await_sleepers(queue_has_item);
    q.put("only");
    getter.join();
    for (int i = 0; i < 100; ++i) q.put(std::string(static_cast<std::size_t>(i * 9), 'm'));
    const std::vector<std::string> some = q.get_many(70);
    CHECK(some.size() == 70);
    CHECK(some[69].size() == 69 * 9);
    CHECK(q.size() == 30);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("JoinableQueue.join waits for a task_done for each item") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q"));
    q.join();  // nothing was put
    q.put_many({1, 2});
    CHECK_FALSE(q.join_for(10ms));
    std::atomic<bool> is_joined{false};
    std::jthread joiner([&] {
        q.join();
        is_joined = true;
    });
    q.await_sleepers(queue_all_done);
    CHECK(q.get() == 1);
    q.task_done();
    CHECK(q.get() == 2);  // taken, but not done
    CHECK_FALSE(q.join_for(0s));
    CHECK_FALSE(is_joined);
    q.task_done();
    joiner.join();
    CHECK(q.join_for(0s));
    CHECK(broken_queue(q) == "");
}

TEST_CASE("JoinableQueue.task_done once too often is invalid_state") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    q.put(1);
    q.task_done();
    const std::string what = thrown_by<cairn::invalid_state>([&] { q.task_done(); });
    CHECK(contains(what, "task_done of queue 'q'"));
    CHECK(contains(what, "called more often than items were put (1)"));
    CHECK(q.join_for(0s));
    CHECK(q.get() == 1);
}

TEST_CASE("Queue.shutdown: put throws at once, get gives what is left, then throws") {
    const cairn::manager m;
    const auto q = m.queue<long>("q", 2);
    q.put_many({1, 2});
    CHECK_FALSE(q.is_closed());
    q.shutdown();
    q.close();  // again: nothing
    CHECK(q.is_closed());
    CHECK_THROWS_AS(q.put(3), cairn::queue_closed);
    CHECK_THROWS_AS(static_cast<void>(q.try_put(3)), cairn::queue_closed);
    CHECK_THROWS_AS(q.put_many({3, 4}), cairn::queue_closed);
    CHECK(q.get() == 1);
    CHECK(q.try_get() == 2);
    const std::string what = thrown_by<cairn::queue_closed>([&] { static_cast<void>(q.get()); });
    CHECK(contains(what, "get from queue 'q'"));
    CHECK(contains(what, "closed at "));
    CHECK(contains(what, " UTC "));
    CHECK(contains(what, "by pid " + std::to_string(::getpid())));
    CHECK_THROWS_AS(static_cast<void>(q.try_get()), cairn::queue_closed);
    CHECK_THROWS_AS(static_cast<void>(q.get_many(2)), cairn::queue_closed);
    CHECK_THROWS_AS(static_cast<void>(q.get_for(1ms)), cairn::queue_closed);
    CHECK_FALSE(q.join_for(0s));  // they were taken, not done
}

TEST_CASE("Queue.shutdown(immediate) drops what is there, which counts as done") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    for (int i = 0; i < 500; ++i) q.put(std::string(static_cast<std::size_t>(i), 'd'));
    CHECK(q.get().empty());
    q.shutdown(true);
    CHECK(q.empty());
    CHECK_THROWS_AS(static_cast<void>(q.get()), cairn::queue_closed);
    CHECK_FALSE(q.join_for(0s));  // for the one that was taken
    q.task_done();
    CHECK(q.join_for(0s));
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue.shutdown wakes everyone who waits") {
    for (const bool is_immediate : {false, true}) {
        const cairn::manager m;
        const opened_queue empty(m.queue<long>("empty"));
        const opened_queue full(m.queue<long>("full", 1));
        full.put(1);
        std::atomic<int> closed{0};
        std::vector<std::jthread> waiters;
        const auto expect_closed = [&](auto wait) {
            waiters.emplace_back([&, wait] {
                try {
                    wait();
                } catch (const cairn::queue_closed&) {
                    ++closed;
                }
            });
        };
        for (int i = 0; i < 3; ++i) {
            expect_closed([&] { static_cast<void>(empty.get()); });
            expect_closed([&] { full.put(2); });
        }
        expect_closed([&] { static_cast<void>(empty.get_many(2)); });
        expect_closed([&] { full.put_many({2, 3}); });
        empty.await_sleepers(queue_has_item);
        full.await_sleepers(queue_has_room);
        empty.shutdown(is_immediate);
        full.shutdown(is_immediate);
        waiters.clear();
        CHECK(closed == 8);
        CHECK(full.size() == (is_immediate ? 0 : 1));
    }
}

TEST_CASE("Queue: what waits ends when a stop is requested, and nothing has happened") {
    const cairn::manager m;
    const opened_queue empty(m.queue<long>("empty"));
    const opened_queue full(m.queue<long>("full", 2));
    full.put_many({1, 2});
    std::stop_source stop;
    std::vector<std::jthread> waiters;
    waiters.emplace_back([&] { CHECK_FALSE(empty.get(stop.get_token()).has_value()); });
    waiters.emplace_back([&] { CHECK_FALSE(empty.get_for(1h, stop.get_token()).has_value()); });
    waiters.emplace_back([&] { CHECK(empty.get_many(3, stop.get_token()).empty()); });
    waiters.emplace_back([&] { CHECK_FALSE(full.put(3, stop.get_token())); });
    waiters.emplace_back([&] { CHECK_FALSE(full.put_for(3, 1h, stop.get_token())); });
    waiters.emplace_back([&] { CHECK(full.put_many({3, 4, 5}, stop.get_token()) == 0); });
    waiters.emplace_back([&] { CHECK_FALSE(full.join(stop.get_token())); });
    empty.await_sleepers(queue_has_item);
    full.await_sleepers(queue_has_room);
    full.await_sleepers(queue_all_done);
    stop.request_stop();
    waiters.clear();
    CHECK(full.snapshot() == std::vector<long>{1, 2});
    CHECK_FALSE(empty.get(stop.get_token()).has_value());  // requested before
    empty.put(5);
    CHECK(empty.get(stop.get_token()) == 5);  // what is there is taken all the same
}

TEST_CASE("Queue: who waits on a queue that is removed learns that it is gone") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 1));
    q.put(1);
    std::jthread putter([&] { CHECK_THROWS_AS(q.put(2), cairn::object_gone); });
    std::jthread joiner([&] { CHECK_THROWS_AS(q.join(), cairn::object_gone); });
    q.await_sleepers(queue_has_room);
    q.await_sleepers(queue_all_done);
    CHECK(m.remove("q"));
    putter.join();
    joiner.join();
    const auto again = m.queue<long>("q");
    CHECK_THROWS_AS(static_cast<void>(q.get()), cairn::object_gone);
    CHECK(again.empty());
}

TEST_CASE("a put into a full segment throws and leaves the queue as it was") {
    using namespace cairn::literals;
    const cairn::manager m{cairn::segment_options{.max_size = 1_MiB}};
    const auto q = m.queue<std::string>("q");
    std::size_t count = 0;
    const std::string item(9000, 'f');
    CHECK_THROWS_AS(
        [&] {
            for (;; ++count) q.put(item);
        }(),
        cairn::segment_full);
    CHECK(count > 50);
    CHECK(q.size() == count);
    CHECK(broken_queue(q) == "");
    CHECK_THROWS_AS(q.put_many(std::vector<std::string>(10, item)), cairn::segment_full);
    CHECK(q.size() == count);
    CHECK(broken_queue(q) == "");
    CHECK(q.get_many(count).size() == count);
    for (std::size_t i = 0; i < count; ++i) q.put(item);
    q.shutdown(true);
    CHECK(broken_queue(q) == "");
}

TEST_CASE("a queue that is emptied as fast as it is filled allocates nothing more") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q"));
    for (const long depth : {1L, 50L, 3000L}) {
        std::vector<long> items(static_cast<std::size_t>(depth));
        for (int round = 0; round < 5; ++round) {
            q.put_many(items);
            static_cast<void>(q.get_many(items.size()));
        }
        const std::uint64_t pages = q.slot().extent_pages;
        for (int round = 0; round < 200; ++round) {
            for (long i = 0; i < depth; ++i) q.put(i);
            for (long i = 0; i < depth; ++i) REQUIRE(q.get() == i);
        }
        CHECK(q.slot().extent_pages == pages);
    }
    CHECK(broken_queue(q) == "");
}

TEST_CASE("Queue prints its items, and its maxsize if it has one") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    CHECK(cairn::repr(q) == "queue([])");
    q.put_many({"a", "it's"});
    CHECK(cairn::repr(q) == "queue(['a', \"it's\"])");
    CHECK(cairn::repr(m.queue<long>("bounded", 5)) == "queue([], maxsize=5)");
}

TEST_CASE("who sleeps is woken by the change it waits for, and not by the next tick alone") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 1));
    const auto sequence_of = [&](cairn::detail::queue_event event) {
        return cairn::detail::load_word(q.slot().events[event].sequence);
    };
    std::jthread getter([&] { CHECK(q.get() == 1); });
    q.await_sleepers(queue_has_item);
    std::uint32_t before = sequence_of(queue_has_item);
    q.put(1);
    CHECK(sequence_of(queue_has_item) != before);
    getter.join();
    q.put(2);
    std::jthread putter([&] { q.put(3); });
    q.await_sleepers(queue_has_room);
    before = sequence_of(queue_has_room);
    CHECK(q.get() == 2);
    CHECK(sequence_of(queue_has_room) != before);
    putter.join();
    CHECK(q.get() == 3);
    std::jthread joiner([&] { q.join(); });
    q.await_sleepers(queue_all_done);
    before = sequence_of(queue_all_done);
    for (int i = 0; i < 2; ++i) q.task_done();
    CHECK(sequence_of(queue_all_done) == before);  // not yet
    q.task_done();
    CHECK(sequence_of(queue_all_done) != before);
}

TEST_CASE("a put without sleepers moves no event count") {
    const cairn::manager m;
    const opened_queue q(m.queue<long>("q", 1));
    const auto sequences = [&] {
        std::array<std::uint32_t, 3> all{};
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = q.slot().events[i].sequence;
        return all;
    };
    const auto before = sequences();
    for (long i = 0; i < 100; ++i) {
        q.put(i);
        CHECK(q.get() == i);
        q.task_done();
    }
    CHECK(sequences() == before);
}

TEST_CASE("what waits is refused inside another operation, and says so") {
    const cairn::manager m;
    const auto q = m.queue<long>("q");
    const auto l = m.list<long>("l", {1});
    CHECK_THROWS_AS(l.update(0, [&](long&) { q.put(1); }), cairn::would_deadlock);
    CHECK_THROWS_AS(l.update(0, [&](long&) { static_cast<void>(q.get()); }), cairn::would_deadlock);
    CHECK(q.empty());
}

}  // namespace queue_test
