// queue_nth_call_test.cpp - queues of each kind, when the system says no at each call: nth_call.hpp.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "nth_call.hpp"
#include "support/queue_picture.hpp"
#include <cairn/cairn.hpp>

namespace queue_nth_call_test {

using namespace cairn_test;

namespace {

constexpr auto long_enough = std::chrono::hours(1);

template <typename Q>
struct crowded_queue {
    using handle = Q;
    using T = typename Q::value_type;

    explicit crowded_queue(const std::string& name)
        : m(std::string_view(name), roomy), object(queue_kind<Q>::open(m, "o")),
          filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.put(small_value<T>(i));
        for (std::uint64_t i = 0; i < 30; ++i) static_cast<void>(object.get());
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.put(large_value<T>(next)), ++next; });
    }

    static std::vector<operation<Q>> operations() {
        const T one = large_value<T>(90'000);
        std::vector<T> many;
        for (std::uint64_t i = 0; i < 3000; ++i) many.push_back(small_value<T>(50'000 + i));
        const auto some_day = [] { return std::chrono::steady_clock::now() + long_enough; };
        // What is taken is thrown away.
        const auto taking = [](auto take) { return [take](const Q& q) { static_cast<void>(take(q)); }; };
        std::vector<operation<Q>> all = {
            {"put", appetite::memory, [=](const Q& q) { q.put(one); }},
            {"push", appetite::memory, [=](const Q& q) { q.push(one); }},
            {"put with a stop token", appetite::memory,
             [=](const Q& q) { static_cast<void>(q.put(one, std::stop_token())); }},
            {"put_for", appetite::memory,
             [=](const Q& q) { static_cast<void>(q.put_for(one, long_enough)); }},
            {"put_until", appetite::memory,
             [=](const Q& q) { static_cast<void>(q.put_until(one, some_day())); }},
            {"try_put", appetite::memory, [=](const Q& q) { static_cast<void>(q.try_put(one)); }},
            {"put_many", appetite::memory, [=](const Q& q) { q.put_many(many); }},
            {"transaction", appetite::memory,
             [=](const Q& q) {
                 q.transaction([&](const Q& tx) {
                     static_cast<void>(tx.get());
                     tx.put_many(many);
                 });
             }},
            {"get", appetite::nothing, taking([](const Q& q) { return q.get(); })},
            {"pop", appetite::nothing, taking([](const Q& q) { return q.pop(); })},
            {"get_for", appetite::nothing, taking([](const Q& q) { return q.get_for(long_enough); })},
            {"get_until", appetite::nothing, taking([=](const Q& q) { return q.get_until(some_day()); })},
            {"try_get", appetite::nothing, taking([](const Q& q) { return q.try_get(); })},
            {"get_many, a few", appetite::nothing, taking([](const Q& q) { return q.get_many(3); })},
            {"lease and its end", appetite::either, taking([](const Q& q) { return q.lease(); })},
            {"lease and ack", appetite::either, [](const Q& q) { q.lease().ack(); }},
            {"lease_for and release", appetite::either,
             [](const Q& q) { q.lease_for(long_enough)->release(); }},
            {"try_lease and ack", appetite::either, [](const Q& q) { q.try_lease()->ack(); }},
            {"task_done", appetite::nothing, [](const Q& q) { q.task_done(); }},
            {"close", appetite::nothing, [](const Q& q) { q.close(); }},
            {"shutdown", appetite::nothing, [](const Q& q) { q.shutdown(true); }},
            {"reads", appetite::nothing,
             [](const Q& q) {
                 CHECK(q.size() == q.snapshot().size());
                 CHECK_FALSE(q.full());
                 CHECK_FALSE(q.is_closed());
                 CHECK_FALSE(q.join_for(std::chrono::seconds(0)));
                 CHECK(q.leased() == 0);
             }},
        };
        // Of the other kinds a batch is logged item by item; where that needs memory it is shorter (queue_fault_test.cpp).
        if (Q::kind == cairn::detail::object_kind::queue)
            all.push_back(
                {"get_many, all", appetite::nothing, taking([](const Q& q) { return q.get_many(100'000); })});
        return all;
    }
    static void change(const Q& q) {
        if (q.is_closed()) return;
        std::vector<T> expected = q.snapshot();
        put_into_model<Q>(expected, opened_queue<Q>(q).node_ref().returned_count, small_value<T>(7));
        q.put(small_value<T>(7));
        CHECK(q.snapshot() == expected);
        CHECK(q.get() == expected.front());
    }
    [[nodiscard]] auto picture() const { return picture_of(object); }
    [[nodiscard]] std::string broken() const { return broken_queue(object); }

    cairn::manager m;
    Q object;
    cairn::list<char> filler;
};

}  // namespace

TEST_CASE_TEMPLATE("an operation of a queue whose n-th call fails has happened, or thrown and not happened",
                   Q, cairn::queue<long>, cairn::queue<std::string>, cairn::lifo_queue<std::string>,
                   cairn::priority_queue<long>, cairn::priority_queue<std::string>) {
    fail_each_call_of_each_operation<crowded_queue<Q>>();
}

}  // namespace queue_nth_call_test
