// queue_model.hpp - a queue of any kind against a vector of its items in the order in which they would be taken: random
// operations, after each of which contents, counts, invariants and blocks of the arena are compared.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <rapidcheck.h>

#include "support/queue_picture.hpp"
#include "support/random_steps.hpp"
#include "support/values.hpp"
#include <cairn/detail/containers/queue_leases.hpp>

namespace cairn_test {

constexpr int queue_step_kinds = 12;
constexpr int lease_and_ack = 6;  // two operations: between them the item is on lease
constexpr int lease_and_release = 7;
constexpr int first_of_several_operations = 10;  // from here on a step is more than that

inline rc::Gen<std::vector<step>> queue_steps() {
    return steps_of(queue_step_kinds, 100'000);
}

template <typename Q>
class queue_and_model {
    using T = typename Q::value_type;
    using V = value_of<T>;

public:
    using handle = Q;
    struct contents {
        std::vector<T> items;
        std::size_t returned = 0;  // the first ones, which came back from leases
        std::uint64_t unfinished = 0;
        friend bool operator==(const contents&, const contents&) = default;
    };

    explicit queue_and_model(Q q, contents c = {}) : queue_(std::move(q)), model_(std::move(c)) {}

    [[nodiscard]] const Q& object() const { return queue_; }
    [[nodiscard]] const contents& model() const { return model_; }

    void run(const step& s);

    void compare() const;

    // ---- for queues whose users are killed: tests/crash/among_victims.hpp ------------------------------------------------

    static Q open(const cairn::manager& m) { return queue_kind<Q>::open(m, "q"); }
    static contents look(const Q& q) {
        const opened_queue<Q> open(q);
        const cairn::detail::queue_node& node = open.node_ref();
        // What was written off meanwhile is as unfinished as before: nobody has said task_done() for it.
        return {q.snapshot(), node.returned_count, node.tail - node.done + node.lost};
    }
    static std::string broken(const Q& q) { return broken_queue(q); }
    static contents settle(const Q& q) {
        const std::vector<T> seen = q.snapshot();
        const opened_queue<Q> open(q);
        { const cairn::detail::root_transaction repaired(open.in(), open.slot(), open.generation()); }
        RC_ASSERT(q.snapshot() == seen);
        cairn::detail::return_leases_of_dead(open.in(), open.slot(), open.generation(), open.node_ref());
        RC_ASSERT(q.leased() == 0U);
        return look(q);
    }
    /// An item that was on lease when its holder died is back.
    static bool may_be_between(const contents& before, const step& s, const contents& seen) {
        if ((s.kind != lease_and_ack && s.kind != lease_and_release) || before.items.empty()) return false;
        contents between = before;
        between.returned = std::max<std::size_t>(between.returned, 1);
        return seen == between;
    }
    /// Makes `q` what `to` says.
    static void make(const Q& q, const contents& to) {
        while (q.try_get()) {}
        while (!q.join_for(std::chrono::seconds(0))) q.task_done();
        for (std::uint64_t i = to.items.size(); i < to.unfinished; ++i) {
            q.put(V::make(0));
            static_cast<void>(q.get());
        }
        std::vector<cairn::item_lease<T>> held;
        for (std::size_t i = 0; i < to.returned; ++i) {
            q.put(to.items[i]);
            held.push_back(q.lease());
        }
        std::vector<T> others(to.items.begin() + static_cast<std::ptrdiff_t>(to.returned), to.items.end());
        if (Q::kind == cairn::detail::object_kind::lifo_queue) std::reverse(others.begin(), others.end());
        q.put_many(others);
        held.clear();
        for (std::uint64_t i = to.unfinished; i < to.items.size(); ++i) q.task_done();
    }

private:
    void put(const T& item) {
        put_into_model<Q>(model_.items, model_.returned, item);
        ++model_.unfinished;
    }
    [[nodiscard]] std::optional<T> first() const {
        return model_.items.empty() ? std::nullopt : std::optional<T>(model_.items.front());
    }
    [[nodiscard]] std::vector<T> first_items(std::size_t count) const {
        return {model_.items.begin(), model_.items.begin() + static_cast<std::ptrdiff_t>(count)};
    }
    void take(std::size_t count) {
        model_.items.erase(model_.items.begin(), model_.items.begin() + static_cast<std::ptrdiff_t>(count));
        model_.returned -= std::min(model_.returned, count);
    }
    void finish() {
        if (model_.unfinished != 0) --model_.unfinished;
    }

    // Up to four at the same time, of which the second is acknowledged, and the others come back in some order.
    void lease_several(const step& s);

    Q queue_;
    contents model_;
};

// ---- outside the class, so that shared_models.hpp keeps them from being compiled again and again ---------------------

template <typename Q>
void queue_and_model<Q>::run(const step& s) {
    switch (s.kind) {
        case 0:
        case 1:
            queue_.put(V::make(s.b));
            put(V::make(s.b));
            break;
        case 2: {
            std::vector<T> many;
            for (std::uint64_t i = 0; i < s.b % 90; ++i) many.push_back(V::make(s.a + i * 7));
            queue_.put_many(many);
            for (const T& each : many) put(each);
            break;
        }
        case 3:
        case 4:
            RC_ASSERT(queue_.try_get() == first());
            if (!model_.items.empty()) take(1);
            break;
        case 5: {
            if (model_.items.empty()) break;
            // What came back makes a batch of its own.
            const std::size_t count =
                model_.returned != 0 ? 1 : std::min<std::size_t>(1 + s.b % 40, model_.items.size());
            RC_ASSERT(queue_.get_many(1 + s.b % 40) == first_items(count));
            take(count);
            break;
        }
        case lease_and_ack:
        case lease_and_release: {
            auto lease = queue_.try_lease();
            RC_ASSERT(lease.has_value() == !model_.items.empty());
            if (!lease) break;
            RC_ASSERT(lease->get() == model_.items.front());
            if (s.kind == lease_and_ack) {
                lease->ack();
                take(1);
                finish();
            } else {
                lease->release();
                model_.returned = std::max<std::size_t>(model_.returned, 1);
            }
            break;
        }
        case 8:
        case 9:
            if (model_.unfinished != 0) queue_.task_done();
            else RC_ASSERT_THROWS_AS(queue_.task_done(), cairn::invalid_state);
            finish();
            break;
        case first_of_several_operations: lease_several(s); break;
        default:
            if (s.b % 4 != 0) break;
            while (!model_.items.empty()) run({5, 0, s.a});
            break;
    }
}

template <typename Q>
void queue_and_model<Q>::compare() const {
    RC_ASSERT(look(queue_) == model_);
    RC_ASSERT(queue_.size() == model_.items.size());
    RC_ASSERT(queue_.leased() == 0U);
    RC_ASSERT(broken(queue_) == "");
}

template <typename Q>
void queue_and_model<Q>::lease_several(const step& s) {
    const std::size_t count = std::min<std::size_t>(1 + s.a % 4, model_.items.size());
    std::vector<cairn::item_lease<T>> held;
    for (std::size_t i = 0; i < count; ++i) {
        held.push_back(queue_.lease());
        RC_ASSERT(held.back().get() == model_.items[i]);
    }
    RC_ASSERT(queue_.leased() == count);
    model_.returned = std::max(model_.returned, count);
    if (count > 1) {
        held[1].ack();
        model_.items.erase(model_.items.begin() + 1);
        --model_.returned;
        finish();
    }
    if (s.b % 2 == 0) std::reverse(held.begin(), held.end());
    for (cairn::item_lease<T>& each : held)
        if (each.is_held()) each.release();
}

}  // namespace cairn_test
