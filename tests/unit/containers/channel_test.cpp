// channel_test.cpp - what channel<T> does, method by method.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "containers/channel_ring.hpp"
#include "support/opened_channel.hpp"
#include "support/scratch.hpp"
#include "txn/root_pin.hpp"
#include <cairn/inspect.hpp>

namespace channel_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::channel_has_item;
using cairn::detail::channel_has_room;
using cairn::detail::consumer_end;
using cairn::detail::producer_end;

namespace {

/// More than what is kept in place in other objects; here a blob as well.
struct large {
    std::array<long, 40> words;
};

/// Of an odd size, so that its last word is filled up.
struct odd {
    char bytes[11];
    friend bool operator==(const odd&, const odd&) = default;
};

}  // namespace

TEST_CASE("what goes into a channel comes out of it, first in, first out, many times round the ring") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 7);
    CHECK(c.empty());
    CHECK(c.capacity() == 7);
    long put = 0;
    long got = 0;
    for (int round = 0; round < 200; ++round) {
        for (int i = 0; i < 1 + round % 7; ++i) c.put(put++);
        CHECK(c.size() == static_cast<std::size_t>(put - got));
        CHECK(broken_channel(c) == "");
        while (got != put) REQUIRE(c.get() == got++);
        CHECK(c.empty());
    }
}

TEST_CASE("channel items of every form: small, odd, large, strings, vectors") {
    const cairn::manager m;
    const auto bytes = m.channel<char>("bytes", 5);
    const auto odds = m.channel<odd>("odds", 5);
    const auto larges = m.channel<large>("larges", {.capacity = 5, .bytes = 5 * 400});
    const auto strings = m.channel<std::string>("strings", {.capacity = 5, .bytes = 600});
    const auto vectors = m.channel<std::vector<double>>("vectors", 5);
    for (int i = 0; i < 500; ++i) {
        const std::string text(static_cast<std::size_t>(i * 7 % 500), 'x');
        bytes.put(static_cast<char>(i % 100));
        odds.put(odd{{static_cast<char>(i % 100), 'b'}});
        larges.put(large{{i, i + 1}});
        strings.put(text);
        vectors.put(std::vector<double>(static_cast<std::size_t>(i % 5), i));
        if (i % 2 == 0) {
            REQUIRE(broken_channel(strings) == "");
            REQUIRE(broken_channel(odds) == "");
        }
        REQUIRE(bytes.get() == static_cast<char>(i % 100));
        REQUIRE(odds.get() == odd{{static_cast<char>(i % 100), 'b'}});
        REQUIRE(larges.get().words[1] == i + 1);
        REQUIRE(strings.get() == text);
        REQUIRE(vectors.get() == std::vector<double>(static_cast<std::size_t>(i % 5), i));
    }
    strings.put(std::string_view("a view"));
    strings.push("a literal");
    strings.put("");
    CHECK(strings.snapshot() == std::vector<std::string>{"a view", "a literal", ""});
    CHECK(strings.get() == "a view");
    CHECK(strings.pop() == "a literal");
    CHECK(strings.get() == "");
}

TEST_CASE("a full channel: try_put says so, put_for waits, nothing is put") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 2);
    CHECK(c.try_put(1));
    CHECK_FALSE(c.full());
    CHECK(c.try_push(2));
    CHECK(c.full());
    CHECK_FALSE(c.try_put(3));
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(c.put_for(3, 50ms));
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    CHECK_FALSE(c.put_until(3, std::chrono::system_clock::now() - 1h));
    CHECK(c.snapshot() == std::vector<long>{1, 2});
    CHECK(c.get() == 1);
    CHECK(c.put_for(3, 1h));
    CHECK(c.snapshot() == std::vector<long>{2, 3});
}

TEST_CASE("an empty channel: try_get gives nothing, get_for waits and gives nothing") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    CHECK_FALSE(c.try_get().has_value());
    CHECK_FALSE(c.try_pop().has_value());
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(c.get_for(50ms).has_value());
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
    CHECK_FALSE(c.get_for(-1s).has_value());
    CHECK_FALSE(c.get_until(std::chrono::steady_clock::now()).has_value());
    c.push(7);
    CHECK(c.get_for(1h) == 7);
}

TEST_CASE("a channel of strings is full at its capacity, and where their bytes have no room") {
    const cairn::manager m;
    const auto few = m.channel<std::string>("few", {.capacity = 3, .bytes = 4096});
    for (int i = 0; i < 3; ++i) CHECK(few.try_put("s"));
    CHECK(few.full());
    CHECK_FALSE(few.try_put("s"));
    CHECK(few.get() == "s");
    CHECK(few.try_put("s"));

    const auto bytes = m.channel<std::string>("bytes", {.capacity = 100, .bytes = 80});
    CHECK(bytes.try_put(std::string(40, 'a')));
    CHECK_FALSE(bytes.full());
    CHECK_FALSE(bytes.try_put(std::string(40, 'b')));
    CHECK(bytes.try_put(std::string(24, 'c')));
    CHECK(bytes.full());
    CHECK(bytes.size() == 2);
    const std::string what = thrown_by<cairn::invalid_argument>([&] { bytes.put(std::string(73, 'd')); });
    CHECK(contains(what, "put into channel 'bytes'"));
    CHECK(contains(what, "72 bytes"));
    CHECK(bytes.get() == std::string(40, 'a'));
    CHECK(bytes.get() == std::string(24, 'c'));
    CHECK(bytes.try_put(std::string(72, 'e')));
    CHECK(broken_channel(bytes) == "");
    CHECK(bytes.get() == std::string(72, 'e'));
}

TEST_CASE("a channel of structs holds its capacity, however large they are") {
    const cairn::manager m;
    const auto fill = [&]<std::size_t Bytes>(std::integral_constant<std::size_t, Bytes>) {
        using item = std::array<char, Bytes>;
        const auto c = m.channel<item>("c" + std::to_string(Bytes), 40);
        for (int round = 0; round < 3; ++round) {
            for (int i = 0; i < 40; ++i) {
                item value{};
                value.back() = static_cast<char>(i);
                REQUIRE(c.try_put(value));
            }
            CHECK(c.full());
            CHECK_FALSE(c.try_put(item{}));
            for (int i = 0; i < 40; ++i) REQUIRE(c.get().back() == static_cast<char>(i));
        }
        CHECK(broken_channel(c) == "");
        static_cast<void>(m.channel<item>("c" + std::to_string(Bytes), 40));  // found again
    };
    fill(std::integral_constant<std::size_t, 256>());
    fill(std::integral_constant<std::size_t, 257>());
    fill(std::integral_constant<std::size_t, 1024>());
    fill(std::integral_constant<std::size_t, 100'003>());
    const auto pairs = m.channel<std::tuple<long, double>>("pairs", 1000);
    for (long i = 0; i < 1000; ++i) REQUIRE(pairs.try_put({i, 0.5}));
    CHECK_FALSE(pairs.try_put({}));
    using huge = std::array<char, 1 << 20>;
    const std::string what = thrown_by<cairn::invalid_argument>(
        [&] { static_cast<void>(m.channel<huge>("huge", std::int64_t{1} << 20)); });
    CHECK(contains(what, "takes more than 16 GiB"));
}

TEST_CASE("a channel is found with the same type and capacity, and nothing else") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    c.put(1);
    CHECK(m.channel<long>("c", 4).size() == 1);
    CHECK(m.find<cairn::channel<long>>("c")->capacity() == 4);
    std::string what = thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.channel<long>("c", 5)); });
    CHECK(contains(what, "open channel 'c'"));
    CHECK(contains(what, "stored with a capacity of 4, asked for a capacity of 5"));
    what = thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.channel<int>("c", 4)); });
    CHECK(contains(what, "channel<int64, boost 1."));
    CHECK(contains(what, "asked for channel<int32, boost 1."));
    CHECK(thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.queue<long>("c")); }) != "");
    static_cast<void>(m.channel<std::string>("s", {.capacity = 4, .bytes = 100}));
    static_cast<void>(m.channel<std::string>("s", 4));
    what = thrown_by<cairn::type_mismatch>(
        [&] { static_cast<void>(m.channel<std::string>("s", {.capacity = 4, .bytes = 200})); });
    CHECK(contains(what, "4 items and 104 bytes"));
    CHECK(m.channel<long>(3).name() == "channel#1");
}

TEST_CASE("a capacity that makes no sense is an error that names the channel, and creates nothing") {
    const cairn::manager m;
    for (const std::int64_t capacity : {std::int64_t{0}, std::int64_t{-3}, std::int64_t{1} << 40}) {
        const std::string what =
            thrown_by<cairn::invalid_argument>([&] { static_cast<void>(m.channel<long>("c", capacity)); });
        CHECK(contains(what, "create channel 'c' in"));
        CHECK(contains(what, std::to_string(capacity)));
    }
    CHECK_FALSE(m.contains("c"));
    CHECK(thrown_by<cairn::invalid_name>([&] { static_cast<void>(m.channel<long>("a[", 1)); }) != "");
    CHECK(thrown_by<cairn::segment_full>([&] {
              static_cast<void>(cairn::manager({.max_size = 1 << 20}).channel<long>("c", 1 << 20));
          }) != "");
}

TEST_CASE("a second producer or consumer is refused as long as the first one lives, and named") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    c.put(1);
    std::thread([&] {
        const std::string what = thrown_by<cairn::invalid_state>([&] { c.put(2); });
        CHECK(contains(what, "put into channel 'c'"));
        CHECK(contains(what, "pid " + std::to_string(::getpid())));
        CHECK(contains(what, "release_producer()"));
        CHECK(thrown_by<cairn::invalid_state>([&] { c.try_put(2); }) != "");
        CHECK(c.get() == 1);  // the other end is free
    }).join();
    CHECK(c.try_get() == std::nullopt);  // a thread that has ended holds nothing
    std::thread([&] {
        const std::string what = thrown_by<cairn::invalid_state>([&] { static_cast<void>(c.try_get()); });
        CHECK(contains(what, "get from channel 'c'"));
        CHECK(contains(what, "release_consumer()"));
    }).join();
    c.release_producer();
    c.release_consumer();
    std::thread([&] {
        c.put(5);
        CHECK(c.get() == 5);
        c.release_producer();
    }).join();
    std::thread([&] { c.release_producer(); }).join();  // not its own: nothing
    c.put(6);
    std::thread([&] { c.release_producer(); }).join();
    std::thread([&] { CHECK(thrown_by<cairn::invalid_state>([&] { c.put(7); }) != ""); }).join();
    CHECK(c.snapshot() == std::vector<long>{6});
}

TEST_CASE("a producer and a consumer thread hand over everything in order, asleep and awake") {
    const cairn::manager m;
    for (const std::int64_t capacity : {1, 3, 1000}) {
        const auto c = m.channel<std::string>(capacity);
        const auto item = [](std::size_t i) { return std::to_string(i) + std::string(i % 30, '.'); };
        const std::size_t count = scaled(20'000);
        std::thread producer([&] {
            for (std::size_t i = 0; i < count; ++i) {
                c.put(item(i));
                if (i % 5000 == 0) std::this_thread::sleep_for(2ms);
            }
            c.close();
        });
        std::size_t got = 0;
        try {
            for (;; ++got) {
                const std::string next = c.get();
                REQUIRE(next == item(got));
                if (got % 7000 == 0) std::this_thread::sleep_for(2ms);
            }
        } catch (const cairn::queue_closed&) {}
        producer.join();
        CHECK(got == count);
        CHECK(broken_channel(c) == "");
    }
}

TEST_CASE("closing a channel: putters are refused, getters get what is left and then are") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    c.put(1);
    CHECK_FALSE(c.is_closed());
    c.close();
    c.close();
    CHECK(c.is_closed());
    const std::string what = thrown_by<cairn::queue_closed>([&] { c.put(2); });
    CHECK(contains(what, "put into channel 'c'"));
    CHECK(contains(what, "by pid " + std::to_string(::getpid())));
    CHECK(thrown_by<cairn::queue_closed>([&] { c.try_put(2); }) != "");
    CHECK(c.get() == 1);
    CHECK(contains(thrown_by<cairn::queue_closed>([&] { static_cast<void>(c.get()); }), "get from channel"));
    CHECK(thrown_by<cairn::queue_closed>([&] { static_cast<void>(c.try_get()); }) != "");
    CHECK(thrown_by<cairn::queue_closed>([&] { static_cast<void>(c.get_for(1h)); }) != "");
}

TEST_CASE("closing a channel wakes who sleeps at its ends") {
    const cairn::manager m;
    const opened_channel empty(m.channel<long>("empty", 1));
    const opened_channel full(m.channel<long>("full", 1));
    full.put(1);
    full.release_producer();
    std::thread getter([&] { CHECK(thrown_by<cairn::queue_closed>([&] { empty.get(); }) != ""); });
    std::thread putter([&] { CHECK(thrown_by<cairn::queue_closed>([&] { full.put(2); }) != ""); });
    empty.await_sleeper(channel_has_item);
    full.await_sleeper(channel_has_room);
    empty.close();
    full.close();
    getter.join();
    putter.join();
    CHECK(full.snapshot() == std::vector<long>{1});
}

TEST_CASE("closing a channel wakes a sleeper whose flag was cleared by a waker that died before it woke") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 1));
    std::thread getter([&] { CHECK(thrown_by<cairn::queue_closed>([&] { c.get(); }) != ""); });
    c.await_sleeper(channel_has_item);
    std::this_thread::sleep_for(20ms);  // asleep by now
    cairn::detail::store_word(c.slot().events[channel_has_item].waiters, 0);
    c.close();
    getter.join();
}

TEST_CASE("removing a channel wakes who sleeps at its ends, and old handles say that it has gone") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 1));
    std::thread getter([&] { CHECK(thrown_by<cairn::object_gone>([&] { c.get(); }) != ""); });
    c.await_sleeper(channel_has_item);
    CHECK(m.remove("c"));
    getter.join();
    const auto next = m.channel<long>("c", 1);
    CHECK(thrown_by<cairn::object_gone>([&] { c.put(1); }) != "");
    CHECK(thrown_by<cairn::object_gone>([&] { static_cast<void>(c.try_get()); }) != "");
    CHECK(thrown_by<cairn::object_gone>([&] { static_cast<void>(c.size()); }) != "");
    CHECK(thrown_by<cairn::object_gone>([&] { c.close(); }) != "");
    CHECK(thrown_by<cairn::object_gone>([&] { c.release_producer(); }) != "");
    CHECK(next.empty());
    next.put(3);
    CHECK(thrown_by<cairn::object_gone>([&] { c.put(1); }) !=
          "");  // its end of the new one is not the old one's
    CHECK(next.snapshot() == std::vector<long>{3});
    // In a control block where no channel is.
    CHECK(m.remove("c"));
    const auto other = m.list<long>("l", {1, 2, 3});
    CHECK(thrown_by<cairn::object_gone>([&] { c.put(1); }) != "");
    CHECK(thrown_by<cairn::object_gone>([&] { next.put(1); }) != "");
    CHECK(other.snapshot() == std::vector<long>{1, 2, 3});
}

TEST_CASE("a put or get wakes who sleeps at the other end, and makes no system call where nobody does") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 2));
    const auto sequence = [&](auto event) {
        return cairn::detail::load_word(c.slot().events[event].sequence);
    };
    const auto flag = [&](auto event) -> std::uint32_t& { return c.slot().events[event].waiters; };
    const auto before_items = sequence(channel_has_item);
    const auto before_room = sequence(channel_has_room);
    c.put(1);
    CHECK(c.get() == 1);
    CHECK(sequence(channel_has_item) == before_items);
    CHECK(sequence(channel_has_room) == before_room);
    cairn::detail::store_word(flag(channel_has_item), 1);
    cairn::detail::store_word(flag(channel_has_room), 1);
    c.put(2);
    CHECK(sequence(channel_has_item) == before_items + 1);
    CHECK(flag(channel_has_item) == 0);
    CHECK(sequence(channel_has_room) == before_room);
    CHECK(c.get() == 2);
    CHECK(sequence(channel_has_room) == before_room + 1);
    CHECK(flag(channel_has_room) == 0);
    c.put(3);
    CHECK(sequence(channel_has_item) == before_items + 1);
}

TEST_CASE("what a producer was told is in is got, also when the channel is closed meanwhile") {
    const cairn::manager m;
    for (std::size_t round = 0; round < scaled(400); ++round) {
        const auto c = m.channel<long>(64);
        std::atomic<long> told = 0;
        std::atomic<bool> is_at_work = false;
        std::thread producer([&] {
            try {
                for (long i = 1;; ++i) {
                    c.put(i);
                    told = i;
                    is_at_work = true;
                }
            } catch (const cairn::queue_closed&) {}
        });
        std::thread consumer([&] {
            long got = 0;
            try {
                for (;;) got = c.get();
            } catch (const cairn::queue_closed&) {}
            producer.join();
            CHECK(got == told);
        });
        while (!is_at_work) std::this_thread::yield();
        c.close();
        consumer.join();
        CHECK(m.remove(c.name()));
    }
}

TEST_CASE("closing, copying and removing wait for who is at work at either end, and not for the dead") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 2));
    c.put(1);
    const auto own = c.in().own_token();
    const auto dead = cairn::detail::make_thread_token(own >> cairn::detail::thread_id_bits, 0x3fffff);
    const std::array<std::function<void()>, 3> all = {[&] { static_cast<void>(c.snapshot()); },
                                                      [&] { c.close(); }, [&] { m.remove("c"); }};
    for (const auto& work : all) {
        for (const auto end : {producer_end, consumer_end}) {
            if (!m.contains("c")) static_cast<void>(m.channel<long>("c", 2));
            std::atomic<bool> is_done = false;
            cairn::detail::store_word(c.pin(end).holder,
                                      own);  // this thread, as if it were in the middle of a put
            std::thread worker([&] {
                if (m.contains("c")) work();
                is_done = true;
            });
            std::this_thread::sleep_for(30ms);
            CHECK_FALSE(is_done);
            cairn::detail::store_word(c.pin(end).holder, 0);
            worker.join();
        }
        if (!m.contains("c")) break;
        cairn::detail::store_word(c.pin(producer_end).holder, dead);
        work();
        CHECK(c.pin(producer_end).holder == 0);
    }
    CHECK_FALSE(m.contains("c"));
}

TEST_CASE("a stop ends a wait at either end of a channel, and the item stays where it was") {
    const cairn::manager m;
    const opened_channel empty(m.channel<long>("empty", 1));
    const opened_channel full(m.channel<long>("full", 1));
    full.put(1);
    full.release_producer();
    std::stop_source stop;
    std::thread getter([&] { CHECK_FALSE(empty.get(stop.get_token()).has_value()); });
    std::thread putter([&] { CHECK_FALSE(full.put(2, stop.get_token())); });
    empty.await_sleeper(channel_has_item);
    full.await_sleeper(channel_has_room);
    stop.request_stop();
    getter.join();
    putter.join();
    CHECK_FALSE(empty.get(stop.get_token()).has_value());
    CHECK_FALSE(empty.get_for(1h, stop.get_token()).has_value());
    CHECK_FALSE(full.put_for(2, 1h, stop.get_token()));
    CHECK(full.get(stop.get_token()) == 1);  // what is there needs no wait
    CHECK(full.put(3, stop.get_token()));
}

TEST_CASE("a channel in a callback of another object is would_deadlock, and that one goes on") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    const auto l = m.list<long>("l", {1});
    c.put(1);
    l.for_each([&](long) {
        CHECK(contains(thrown_by<cairn::would_deadlock>([&] { c.put(2); }), "use of channel 'c'"));
        CHECK(thrown_by<cairn::would_deadlock>([&] { static_cast<void>(c.try_get()); }) != "");
        CHECK(thrown_by<cairn::would_deadlock>([&] { static_cast<void>(c.size()); }) != "");
    });
    CHECK(c.get() == 1);
    l.push_back(2);
}

TEST_CASE("a picture of a channel is of one moment while both ends are at work") {
    const cairn::manager m;
    const auto c = m.channel<std::string>("c", 16);
    std::atomic<bool> is_over = false;
    std::thread producer([&] {
        for (std::size_t i = 0; !is_over; ++i)
            static_cast<void>(c.put_for(std::to_string(i) + std::string(i % 40, '.'), 1ms));
        c.close();
    });
    std::thread consumer([&] {
        try {
            for (;;) static_cast<void>(c.get());
        } catch (const cairn::queue_closed&) {}
    });
    for (std::size_t round = 0; round < scaled(3000); ++round) {
        const std::vector<std::string> all = c.snapshot();
        REQUIRE(all.size() <= 16);
        for (std::size_t i = 1; i < all.size(); ++i) REQUIRE(std::stol(all[i]) > std::stol(all[i - 1]));
    }
    is_over = true;
    producer.join();
    consumer.join();
    CHECK(broken_channel(c) == "");
}

TEST_CASE(
    "whatever word of a channel is damaged, its operations say so or go on, and reach nothing outside") {
    const cairn::manager m;
    const opened_channel c(m.channel<long>("c", 4));
    for (long i = 0; i < 6; ++i) {
        c.put(i);
        if (i < 3) CHECK(c.get() == i);
    }
    const auto before = c.node_ref();
    auto* const block = c.in().at<std::uint64_t>(before.ring);
    std::size_t complaints = 0;
    for (std::size_t word = 0; word < 16; ++word) {
        std::array<std::uint64_t, 24> saved{};
        std::copy_n(block, saved.size(), saved.begin());
        for (const unsigned bit : {0U, 3U, 7U, 20U, 40U, 63U}) {
            cairn::detail::store_word(block[word], saved.at(word) ^ std::uint64_t{1} << bit);
            try {
                static_cast<void>(c.snapshot());
                static_cast<void>(c.try_put(9));
                static_cast<void>(c.try_get());
            } catch (const cairn::corrupt_segment&) {
                ++complaints;
            }
            static_cast<void>(c.size());
            std::copy(saved.begin(), saved.end(), block);
        }
    }
    // Both indices above 3 bits, the size, and two pointers: those are never overlooked.
    CHECK(complaints >= 2 * 4 + 3 * 6);
    CHECK(c.snapshot() == std::vector<long>{3, 4, 5});
    CHECK(broken_channel(c) == "");
}

TEST_CASE("channels print as Python would, and shmctl's library sees what is in them") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    const auto s = m.channel<std::string>("s", 4);
    for (long i = 1; i <= 3; ++i) c.put(i);
    s.put("a");
    s.put("b'");
    std::ostringstream text;
    text << c;
    CHECK(text.str() == "channel([1, 2, 3], capacity=4)");
    CHECK(cairn::repr(s) == "channel(['a', \"b'\"], capacity=4)");

    int found = 0;
    for (const auto& location : cairn::find_segments()) {
        if (location.name != m.name() || location.pid != ::getpid()) continue;
        ++found;
        const cairn::inspection seen(location);
        CHECK(seen.object("c").kind == "channel");
        CHECK(seen.object("c").items == 3);
        CHECK(contains(*seen.object("c").type, "int64, boost 1."));
        const cairn::object_contents some = seen.contents("s", 1, 5);
        CHECK(some.size == 2);
        REQUIRE(some.count() == 1);
        std::string item;
        some.append_text(item, 0);
        CHECK(item == "\"b'\"");
    }
    CHECK(found == 1);
    CHECK(m.objects().front().kind == "channel");
}

TEST_CASE(
    "a version that a killed remover has left odd keeps nobody out of the channel that comes after it") {
    const cairn::manager m;
    const auto c = m.channel<long>("c", 4);
    const opened_channel<long> open(c);
    ++open.slot().version;
    // In a child: who is kept out spins for ever.
    CHECK(in_child([&] { CHILD_CHECK(c.try_put(7)); }) == 0);
    CHECK(open.slot().version % 2 == 0);
    CHECK(c.get() == 7);
    CHECK(broken_channel(c) == "");
}

TEST_CASE("a ring is found in place also before the library's static objects are made, and only there") {
    const cairn::manager m;
    const opened_channel<long> open(m.channel<long>("c", 4));
    open.put(1);  // so that no word of the block is 0 by chance
    cairn::detail::channel_block& block = cairn::detail::block_of(open.in(), open.node_ref());
    const std::uint64_t words = open.node_ref().ring_words;
    const cairn::detail::ring_constants none_yet{};
    CHECK(cairn::detail::is_ring_in_place(block, words));
    CHECK(cairn::detail::is_ring_in_place(block, words, none_yet));
    CHECK_FALSE(cairn::detail::is_ring_in_place(block, words + 1));
    CHECK_FALSE(cairn::detail::is_ring_in_place(block, words + 1, none_yet));
}

TEST_CASE("a damaged count of a channel's items is no reason to show more than its words can be") {
    const scratch_name name("channel");
    const cairn::manager m = cairn::manager::create(name, {});
    const auto c = m.channel<std::string>("c", {.capacity = 8, .bytes = 1024});
    c.put("a");
    c.put("b");
    const opened_channel<std::string> open(c);
    open.node_ref().capacity = cairn::detail::most_channel_words;
    cairn::detail::block_of(open.in(), open.node_ref()).put_mark += std::uint64_t{1} << 62;
    const cairn::object_contents seen = cairn::inspection(name.get()).contents("c", 0, 1'000'000);
    CHECK(seen.size == 4);  // a length and a word of text each
}

}  // namespace channel_test
