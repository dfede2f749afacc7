// taking_test.cpp - what takes an element decodes it before it commits: a decoding that throws leaves it where it was.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <functional>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/brittle.hpp"
#include "support/opened.hpp"
#include "support/opened_queue.hpp"
#include <cairn/cairn.hpp>

namespace taking_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

struct unreadable : std::runtime_error {
    using std::runtime_error::runtime_error;
};

// An operation that takes an element, by itself or in the middle of others.
struct taking {
    std::string name;
    std::function<void()> take;
    std::function<std::size_t()> size;  // of what is left
};

// Every operation that takes something, in a container of its own with three elements.
std::vector<taking> all_takings(const cairn::manager& m) {
    std::vector<taking> all;
    const auto add = [&](const std::string& name, const auto& from, auto take) {
        all.push_back({name, [=] { take(from); }, [=] { return from.size(); }});
    };
    const std::vector<brittle> three{{"one"}, {"two"}, {std::string(300, '3')}};
    const std::vector<std::pair<long, brittle>> pairs{{1, three[0]}, {2, three[1]}, {3, three[2]}};
    const auto list = [&] { return m.list<brittle>("list" + std::to_string(all.size()), three); };
    add("list::pop", list(), [](const auto& l) { l.pop(); });
    add("list::pop(index)", list(), [](const auto& l) { l.pop(1); });
    const auto dict = [&] { return m.dict<long, brittle>("dict" + std::to_string(all.size()), pairs); };
    add("dict::pop", dict(), [](const auto& d) { d.pop(2); });
    add("dict::pop or otherwise", dict(), [](const auto& d) { d.pop(2, brittle{"none"}); });
    add("dict::popitem", dict(), [](const auto& d) { d.popitem(); });
    const auto keys = m.dict<brittle, long>("keys", {{three[0], 1}, {three[1], 2}, {three[2], 3}});
    add("dict::popitem of such keys", keys, [](const auto& d) { d.popitem(); });
    add("set::pop", m.set<brittle>("set", three), [](const auto& s) { s.pop(); });
    const auto sharded = [&] {
        const auto d = m.sharded_dict<long, brittle>("sharded" + std::to_string(all.size()));
        d.update(pairs);
        return d;
    };
    add("sharded_dict::pop", sharded(), [](const auto& d) { d.pop(2); });
    add("sharded_dict::popitem", sharded(), [](const auto& d) { d.popitem(); });
    const auto add_queue = [&](const std::string& name, const auto& make) {
        const auto filled = [&] {
            const auto q = make("queue" + std::to_string(all.size()));
            q.put_many(three);
            return q;
        };
        add(name + "::get", filled(), [](const auto& q) { q.get(); });
        add(name + "::try_get", filled(), [](const auto& q) { q.try_get(); });
        add(name + "::get_many", filled(), [](const auto& q) { q.get_many(2); });
        add(name + "::lease", filled(), [](const auto& q) { q.lease().ack(); });
        const auto returned = filled();
        returned.lease().release();
        add(name + "::get of what came back", returned, [](const auto& q) { q.get(); });
        const auto also_returned = filled();
        also_returned.lease().release();
        add(name + "::lease of what came back", also_returned, [](const auto& q) { q.lease().ack(); });
        const auto batch = filled();
        batch.lease().release();
        add(name + "::get_many of what came back", batch, [](const auto& q) { q.get_many(3); });
    };
    add_queue("queue", [&](const std::string& name) { return m.queue<brittle>(name); });
    add_queue("lifo_queue", [&](const std::string& name) { return m.lifo_queue<brittle>(name); });
    add_queue("priority_queue", [&](const std::string& name) { return m.priority_queue<brittle>(name); });
    const auto dying = m.queue<brittle>("dying", cairn::queue_options{.maxsize = 0, .max_deliveries = 1});
    dying.put_many(three);
    for (int i = 0; i < 3; ++i) dying.lease().release();
    add("dead letters", *dying.dead_letters(), [](const auto& q) { q.get(); });
    const auto channel = m.channel<brittle>("channel", 8);
    for (const brittle& each : three) channel.put(each);
    add("channel::get", channel, [](const auto& c) { c.get(); });
    return all;
}

}  // namespace

TEST_CASE(
    "an element whose decoding throws stays where it was, whatever takes it, and can be taken afterwards") {
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20});
    for (const taking& each : all_takings(m)) {
        CAPTURE(each.name);
        const std::size_t size = each.size();
        for (int i = 0; i < 6; ++i) {
            const while_decoding throws([] { throw unreadable("not today"); });
            CHECK_THROWS_AS(each.take(), unreadable);
        }
        {
            const while_decoding throws([] { throw std::bad_alloc(); });
            CHECK_THROWS_AS(each.take(), std::bad_alloc);
        }
        CHECK(each.size() == size);
        each.take();
        CHECK(each.size() < size);
    }
}

TEST_CASE("a codec that uses Cairn while an element is taken gets would_deadlock, every time") {
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20});
    const auto other = m.list<long>("other", {1, 2});
    for (const taking& each : all_takings(m)) {
        CAPTURE(each.name);
        const std::size_t size = each.size();
        const while_decoding uses([&] { static_cast<void>(other.size()); });
        CHECK_THROWS_AS(each.take(), cairn::would_deadlock);
        const while_decoding changes([&] { other.pop(); });
        CHECK_THROWS_AS(each.take(), cairn::would_deadlock);
        on_decoding() = nullptr;
        CHECK(each.size() == size);
    }
    CHECK(other.size() == 2);
}

TEST_CASE("a user's codec decodes what is taken without the lock") {
    const cairn::manager m;
    const opened_list<brittle> l(m.list<brittle>("l", {{"a"}, {"b"}}));
    const opened_queue<cairn::queue<brittle>> q(m.queue<brittle>("q"));
    q.put({"a"});
    int decoded = 0;
    const while_decoding looks([&] {
        ++decoded;
        CHECK(cairn::detail::inspect(l.slot().lock).thread_id == 0);
        CHECK(cairn::detail::inspect(q.slot().lock).thread_id == 0);
    });
    CHECK(l.pop().text == "b");
    CHECK(q.get().text == "a");
    CHECK(decoded == 2);
}

TEST_CASE(
    "an element that is always another one when it was decoded is decoded under the lock, so that it ends") {
    const cairn::manager m;
    const opened_list<brittle> l(m.list<brittle>("l", {{"a"}}));
    int decoded = 0;
    bool was_locked = false;
    const while_decoding changes([&] {
        ++decoded;
        was_locked = cairn::detail::inspect(l.slot().lock).thread_id != 0;
        if (!was_locked) std::thread([&] { l.push_back({"b" + std::to_string(decoded)}); }).join();
    });
    CHECK(l.pop().text == "b3");
    CHECK(decoded == 4);
    CHECK(was_locked);
    CHECK(l.size() == 3);
}

TEST_CASE("an item that somebody else has taken meanwhile is not taken twice") {
    const cairn::manager m;
    const auto q = m.queue<brittle>("q");
    q.put_many(std::vector<brittle>{{"a"}, {"b"}, {"c"}, {"d"}});
    bool is_first = true;
    const auto robbed = [&] {
        if (std::exchange(is_first, false)) std::thread([&] { CHECK(q.get().text == "a"); }).join();
    };
    {
        const while_decoding others(robbed);
        CHECK(q.get().text == "b");
    }
    is_first = true;
    {
        const while_decoding others([&] {
            if (std::exchange(is_first, false)) std::thread([&] { CHECK(q.get().text == "c"); }).join();
        });
        CHECK(q.get_many(5) == std::vector<brittle>{{"d"}});
    }
    CHECK(broken_queue(q) == "");
}

TEST_CASE("a getter whose decoding throws passes its wake on to the next sleeper") {
    const cairn::manager m;
    const opened_queue<cairn::queue<brittle>> q(m.queue<brittle>("q"));
    std::atomic<int> thrown{0};
    std::atomic<int> taken{0};
    std::vector<std::thread> getters;
    for (int i = 0; i < 3; ++i) {
        getters.emplace_back([&] {
            const while_decoding throws([&] {
                if (thrown.fetch_add(1) < 2) throw unreadable("not by me");
            });
            try {
                static_cast<void>(q.get());
                ++taken;
            } catch (const unreadable&) {}
        });
    }
    q.await_sleepers(cairn::detail::queue_has_item);
    std::this_thread::sleep_for(50ms);
    q.put({"a"});
    for (std::thread& each : getters) each.join();
    CHECK(thrown == 3);
    CHECK(taken == 1);
    CHECK(q.empty());
}

TEST_CASE("a decoding that throws in a transaction takes back that operation alone") {
    const cairn::manager m;
    const auto l = m.list<brittle>("l", {{"a"}, {"b"}, {"c"}});
    l.transaction([&](auto& tx) {
        CHECK(tx.pop().text == "c");
        {
            const while_decoding throws([] { throw unreadable("not today"); });
            CHECK_THROWS_AS(tx.pop(), unreadable);
        }
        CHECK(tx.size() == 2);
    });
    CHECK(l.size() == 2);
    CHECK(broken_invariant(l) == "");
}

}  // namespace taking_test
