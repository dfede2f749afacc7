// queue_picture.hpp - what can be seen of a queue, and what each kind of queue makes of an item that is put.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "support/opened_queue.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

/// All but its maxsize.
template <typename T>
struct queue_picture {
    std::vector<T> items;          // in the order in which they would be taken
    std::uint64_t unfinished = 0;  // put, and not done
    bool is_closed = false;
    std::uint64_t leased = 0;
    std::vector<T> dead_letters;
    std::uint64_t lost = 0;
    friend bool operator==(const queue_picture&, const queue_picture&) = default;
};

/// At rest.
template <typename Q>
queue_picture<typename Q::value_type> picture_of(const Q& q) {
    const opened_queue<Q> open(q);
    queue_picture<typename Q::value_type> all;
    all.items = open.snapshot();
    all.unfinished = open.node_ref().tail - open.node_ref().done;
    all.is_closed = open.is_closed();
    all.leased = open.leased();
    if (const auto dead = open.dead_letters()) all.dead_letters = dead->snapshot();
    all.lost = open.node_ref().lost;
    return all;
}

/// How a kind of queue is made and modelled.
template <typename Q>
struct queue_kind;

template <typename T>
struct queue_kind<cairn::queue<T>> {
    static constexpr const char* word = "queue";
    static cairn::queue<T> open(const cairn::manager& m, std::string_view name,
                                const cairn::queue_options& options = {}) {
        return m.queue<T>(name, options);
    }
    static void put(std::vector<T>& model, const T& item) { model.push_back(item); }
};

template <typename T>
struct queue_kind<cairn::lifo_queue<T>> {
    static constexpr const char* word = "lifo_queue";
    static cairn::lifo_queue<T> open(const cairn::manager& m, std::string_view name,
                                     const cairn::queue_options& options = {}) {
        return m.lifo_queue<T>(name, options);
    }
    static void put(std::vector<T>& model, const T& item) { model.insert(model.begin(), item); }
};

template <typename T, typename Compare>
struct queue_kind<cairn::priority_queue<T, Compare>> {
    static constexpr const char* word = "priority_queue";
    static cairn::priority_queue<T, Compare> open(const cairn::manager& m, std::string_view name,
                                                  const cairn::queue_options& options = {}) {
        return m.priority_queue<T, Compare>(name, options);
    }
    static void put(std::vector<T>& model, const T& item) {
        model.insert(std::upper_bound(model.begin(), model.end(), item, Compare{}), item);
    }
};

/// What the queue gives out when `item` is put on top of `items`, of which the first `returned` came back from leases: they
/// are taken first, whatever the order.
template <typename Q>
void put_into_model(std::vector<typename Q::value_type>& items, std::size_t returned,
                    const typename Q::value_type& item) {
    const auto first = items.begin() + static_cast<std::ptrdiff_t>(returned);
    std::vector<typename Q::value_type> others(first, items.end());
    queue_kind<Q>::put(others, item);
    items.resize(returned);
    items.insert(items.end(), others.begin(), others.end());
}

}  // namespace cairn_test
