// queue_early_test.cpp - large items are copied before the lock is taken: when such a copy counts, and when it does not.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened_queue.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/containers/early_copy.hpp>

namespace queue_early_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::detail::early_copy;
using cairn::detail::root_transaction;

namespace {

using queue_of_text = cairn::queue<std::string>;

// Says which one it is from its first byte to its last.
std::string large(std::size_t number) {
    std::string text = std::to_string(number) + ':';
    const std::string again = text;
    while (text.size() < 5000 + 100 * (number % 50)) text += again;
    return text;
}
std::size_t number_of(const std::string& text) {
    const std::size_t number = std::strtoul(text.c_str(), nullptr, 10);
    CHECK(text == large(number));
    return number;
}

bool is_next(const early_copy<std::string>& early, const opened_queue<queue_of_text>& q) {
    const root_transaction tx(q.in(), q.slot(), q.generation());
    return early.is_next(q.slot(), q.node_ref());
}

}  // namespace

TEST_CASE("a large item that was copied early counts until it is taken") {
    const cairn::manager m;
    const opened_queue open(m.queue<std::string>("q"));
    open.put_many({large(1), large(2)});
    early_copy<std::string> early;
    early.look(open.in(), open.slot(), open.node_ref());
    CHECK(is_next(early, open));
    open.put(large(3));
    CHECK(is_next(early, open));
    CHECK(early.item().byte_count() == large(1).size());
    CHECK(open.get() == large(1));
    CHECK_FALSE(is_next(early, open));
    early.look(open.in(), open.slot(), open.node_ref());
    CHECK(is_next(early, open));
    CHECK(early.item().take() == large(2));
}

TEST_CASE("what was copied early counts no more after a rollback, though the head is where it was") {
    const cairn::manager m;
    const opened_queue open(m.queue<std::string>("q"));
    open.put_many({large(1), large(2)});
    early_copy<std::string> before;
    early_copy<std::string> meanwhile;
    before.look(open.in(), open.slot(), open.node_ref());
    {
        root_transaction tx(open.in(), open.slot(), open.generation());
        cairn::detail::drop_first(tx, open.node_ref());
        meanwhile.look(open.in(), open.slot(), open.node_ref());
    }
    CHECK(open.size() == 2);
    CHECK_FALSE(is_next(before, open));
    CHECK_FALSE(is_next(meanwhile, open));
    CHECK(open.get() == large(1));
    // What it had seen is the next one now, but it cannot know that.
    CHECK_FALSE(is_next(meanwhile, open));
    CHECK(open.get() == large(2));
}

TEST_CASE("what was copied early counts no more after a part of a transaction was taken back") {
    const cairn::manager m;
    const opened_queue open(m.queue<std::string>("q"));
    open.put_many({large(1), large(2)});
    early_copy<std::string> meanwhile;
    open.transaction([&](const auto& tx) {
        try {
            tx.transaction([&](const auto& inner) {
                CHECK(inner.get() == large(1));
                meanwhile.look(open.in(), open.slot(), open.node_ref());
                throw 1;
            });
        } catch (int) {}
        CHECK(tx.get() == large(1));
        // The head is where it was seen; what lay there then is not known.
        CHECK_FALSE(is_next(meanwhile, open));
    });
    CHECK(open.get() == large(2));
}

TEST_CASE("nothing is copied early of an empty queue, nor what is small") {
    const cairn::manager m;
    const opened_queue open(m.queue<std::string>("q"));
    open.put(std::string(500, 'f'));
    CHECK(open.get() == std::string(500, 'f'));
    early_copy<std::string> early;
    {
        // A put that came to nothing: its slot says of an item what is true no more.
        const std::string text = large(1);
        const cairn::detail::item_to_put<std::string> item{text};
        root_transaction tx(open.in(), open.slot(), open.generation());
        cairn::detail::queue_node& node = open.node_ref();
        item.write(tx, cairn::detail::next_queue_slot(tx, node, node.stride, node.tail));
    }
    CHECK(open.empty());
    early.look(open.in(), open.slot(), open.node_ref());
    CHECK_FALSE(is_next(early, open));
    open.put(std::string(500, 's'));
    early.look(open.in(), open.slot(), open.node_ref());
    CHECK_FALSE(is_next(early, open));
    CHECK(open.get() == std::string(500, 's'));
}

TEST_CASE("who waits for a large item gets it") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q");
    std::string got;
    std::thread getter([&] { got = q.get(); });
    opened_queue(q).await_sleepers(cairn::detail::queue_has_item);
    q.put(large(7));
    getter.join();
    CHECK(number_of(got) == 7);
    CHECK_FALSE(q.get_for(1ms));
}

TEST_CASE("large items reach several threads once each, whole, and of each producer in order") {
    const cairn::manager m;
    const auto q = m.queue<std::string>("q", 8);
    constexpr std::size_t producers = 2;
    const std::size_t each = scaled(400);
    std::vector<std::vector<std::size_t>> got(2);
    {
        std::vector<std::jthread> threads;
        for (std::vector<std::size_t>& mine : got) {
            threads.emplace_back([&] {
                try {
                    for (;;) mine.push_back(number_of(q.get()));
                } catch (const cairn::queue_closed&) {}
            });
        }
        {
            std::vector<std::jthread> putters;
            for (std::size_t p = 0; p < producers; ++p) {
                putters.emplace_back([&, p] {
                    for (std::size_t i = 0; i < each; ++i) q.put(large(p * each + i));
                });
            }
        }
        q.close();
    }
    std::vector<std::size_t> all;
    for (const std::vector<std::size_t>& mine : got) {
        for (std::size_t p = 0; p < producers; ++p) {
            std::vector<std::size_t> of_one;
            std::copy_if(mine.begin(), mine.end(), std::back_inserter(of_one),
                         [&](std::size_t number) { return number / each == p; });
            CHECK(std::is_sorted(of_one.begin(), of_one.end()));
        }
        all.insert(all.end(), mine.begin(), mine.end());
    }
    std::sort(all.begin(), all.end());
    CHECK(all.size() == producers * each);
    CHECK(std::adjacent_find(all.begin(), all.end()) == all.end());
}

}  // namespace queue_early_test
