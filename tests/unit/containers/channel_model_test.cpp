// channel_model_test.cpp - channels against deques of their items, by random operations. The seed is printed;
// RC_PARAMS=seed=... repeats a run.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include "support/opened_channel.hpp"
#include "support/random_steps.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace channel_model_test {

using namespace cairn_test;

namespace {

constexpr int rc_steps = 100;  // sequences for each type; tools/dev stress runs more by RC_PARAMS
constexpr int kinds = 10;
constexpr std::uint64_t ring_bytes = 2000;

template <typename T>
T item_of(const step& s) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(s.a % 400, 'x') + std::to_string(s.b);
    else return value_of<T>::make(s.b);
}

// What a blob takes of the ring, as channel_options::bytes counts it.
std::uint64_t bytes_of(const std::string& item) {
    return 8 + (item.size() + 7) / 8 * 8;
}
template <typename T>
std::uint64_t bytes_of(const T&) {
    return 0;
}

template <typename T>
class channel_and_model {
public:
    explicit channel_and_model(const cairn::manager& m, std::uint64_t capacity)
        : capacity_(capacity),
          channel_(
              m.channel<T>("c", {.capacity = static_cast<std::int64_t>(capacity), .bytes = ring_bytes})) {}

    void run(const step& s) {
        constexpr auto at_once = std::chrono::seconds(0);
        switch (s.kind) {
            case 0:
            case 1:
            case 2: put(item_of<T>(s), [&](const T& item) { return channel_.try_put(item); }); break;
            case 3: put(item_of<T>(s), [&](const T& item) { return channel_.put_for(item, at_once); }); break;
            case 4:
            case 5: take([&] { return channel_.try_get(); }); break;
            case 6: take([&] { return channel_.get_for(at_once); }); break;
            case 7: channel_.release_producer(); break;
            case 8: channel_.release_consumer(); break;
            default:
                if (s.a % 4 == 0) {
                    channel_.close();
                    is_closed_ = true;
                }
        }
    }
    void compare() const {
        RC_ASSERT(channel_.size() == items_.size());
        RC_ASSERT(channel_.empty() == items_.empty());
        RC_ASSERT(channel_.is_closed() == is_closed_);
        if (items_.size() == capacity_) RC_ASSERT(channel_.full());
        RC_ASSERT(channel_.snapshot() == std::vector<T>(items_.begin(), items_.end()));
        RC_ASSERT(broken_channel(channel_) == "");
    }

private:
    template <typename Put>
    void put(const T& item, Put put_one) {
        if (is_closed_) {
            RC_ASSERT_THROWS_AS(put_one(item), cairn::queue_closed);
            return;
        }
        std::uint64_t used = bytes_of(item);
        for (const T& each : items_) used += bytes_of(each);
        const bool has_room = items_.size() < capacity_ && used <= ring_bytes;
        const bool is_in = put_one(item);
        // A ring of blobs has at least the bytes that were asked for, and 8 more for each item.
        RC_ASSERT(is_in || !has_room);
        if (is_in) {
            RC_ASSERT(items_.size() < capacity_);
            items_.push_back(item);
        }
    }
    template <typename Get>
    void take(Get get) {
        if (is_closed_ && items_.empty()) {
            RC_ASSERT_THROWS_AS(get(), cairn::queue_closed);
            return;
        }
        const std::optional<T> item = get();
        RC_ASSERT(item.has_value() == !items_.empty());
        if (!item) return;
        RC_ASSERT(*item == items_.front());
        items_.pop_front();
    }

    std::uint64_t capacity_;
    cairn::channel<T> channel_;
    std::deque<T> items_;
    bool is_closed_ = false;
};

}  // namespace

TEST_CASE_TEMPLATE("a channel does what a deque of its items does, whatever the operations", T, long,
                   std::string, large_struct) {
    CHECK(holds_for_random_steps("channel as deque", static_cast<int>(scaled(rc_steps)), [] {
        const cairn::manager m;
        channel_and_model<T> both(m, *rc::gen::inRange<std::uint64_t>(1, 20));
        for (const step& s : *steps_of(kinds, 1000)) {
            both.run(s);
            both.compare();
        }
    }));
}

}  // namespace channel_model_test
