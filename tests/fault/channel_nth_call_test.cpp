// channel_nth_call_test.cpp - channels, when the system says no at each call: nth_call.hpp. They never grow, so that all but
// their making needs nothing from it.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <stop_token>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "nth_call.hpp"
#include "support/opened_channel.hpp"
#include <cairn/cairn.hpp>

namespace channel_nth_call_test {

using namespace cairn_test;

namespace {

constexpr auto long_enough = std::chrono::hours(1);
constexpr std::int64_t capacity = 50;

// In a segment without a free byte; the ends are nobody's.
template <typename T>
struct crowded_channel {
    using handle = cairn::channel<T>;

    explicit crowded_channel(const std::string& name)
        : m(std::string_view(name), roomy),
          object(m.channel<T>("o", {.capacity = capacity, .bytes = 100'000})),
          filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 20; ++i) object.put(small_value<T>(i));
        for (std::uint64_t i = 0; i < 5; ++i) static_cast<void>(object.get());
        object.release_producer();
        object.release_consumer();
        use_up_pages(filler);
        use_up_memory([&] { filler.push_back('x'); });
    }

    static std::vector<operation<handle>> operations() {
        const T one = large_value<T>(90'000);
        const auto some_day = [] { return std::chrono::steady_clock::now() + long_enough; };
        return {
            {"put", appetite::nothing, [=](const handle& c) { c.put(one); }},
            {"put with a stop token", appetite::nothing,
             [=](const handle& c) { static_cast<void>(c.put(one, std::stop_token())); }},
            {"put_for", appetite::nothing,
             [=](const handle& c) { static_cast<void>(c.put_for(one, long_enough)); }},
            {"put_until", appetite::nothing,
             [=](const handle& c) { static_cast<void>(c.put_until(one, some_day())); }},
            {"try_put", appetite::nothing, [=](const handle& c) { CHECK(c.try_put(one)); }},
            {"get", appetite::nothing, [](const handle& c) { static_cast<void>(c.get()); }},
            {"get_for", appetite::nothing,
             [](const handle& c) { CHECK(c.get_for(long_enough).has_value()); }},
            {"get_until", appetite::nothing,
             [=](const handle& c) { CHECK(c.get_until(some_day()).has_value()); }},
            {"try_get", appetite::nothing, [](const handle& c) { CHECK(c.try_get().has_value()); }},
            {"both, and the ends let go", appetite::nothing,
             [=](const handle& c) {
                 c.put(one);
                 static_cast<void>(c.get());
                 c.release_producer();
                 c.release_consumer();
             }},
            {"close", appetite::nothing, [](const handle& c) { c.close(); }},
            {"reads", appetite::nothing,
             [](const handle& c) {
                 CHECK(c.size() == c.snapshot().size());
                 CHECK(c.capacity() == capacity);
                 CHECK_FALSE(c.full());
                 CHECK_FALSE(c.is_closed());
             }},
        };
    }
    static void change(const handle& c) {
        if (c.is_closed()) return;
        std::vector<T> expected = c.snapshot();
        expected.push_back(small_value<T>(7));
        c.put(small_value<T>(7));
        CHECK(c.snapshot() == expected);
        CHECK(c.get() == expected.front());
    }
    [[nodiscard]] auto picture() const { return std::tuple(object.snapshot(), object.is_closed()); }
    [[nodiscard]] std::string broken() const { return broken_channel(object); }

    cairn::manager m;
    handle object;
    cairn::list<char> filler;
};

}  // namespace

TEST_CASE_TEMPLATE("an operation of a channel needs nothing from the system", T, long, std::string) {
    fail_each_call_of_each_operation<crowded_channel<T>>();
}

}  // namespace channel_nth_call_test
