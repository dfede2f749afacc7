// queue_impl.hpp - bodies of basic_queue.hpp.
#pragma once

#include <algorithm>

#include <cairn/detail/containers/basic_queue.hpp>

namespace cairn::inline v0::detail {

// ---- putting -------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
bool basic_queue<T, Order>::put_before(parameter value, steady_time deadline,
                                       const std::stop_token& stop) const {
    this->require_writable();
    const item_to_put<T> item(value);
    queue_node& n = node_in(in());
    return attempt_until(in(), slot(), generation(), queue_has_room, n.head, deadline, stop,
                         [&](root_transaction& tx) {
                             require_open("put into", tx, n);
                             if (!has_room(n)) return false;
                             Order::put(tx, n, item);
                             return true;
                         });
}

template <typename T, typename Order>
template <typename Range>
typename basic_queue<T, Order>::size_type
basic_queue<T, Order>::put_batches(const Range& values, const std::stop_token& stop) const {
    this->require_writable();
    const items_to_put<T> items(values);
    queue_node& n = node_in(in());
    std::uint64_t first = 0;
    const auto put_next = [&](root_transaction& tx) {
        require_open("put into", tx, n);
        const std::uint64_t left = items.count() - first;
        const std::uint64_t count = n.maxsize == 0 ? left : std::min(left, n.maxsize);
        if (!has_room(n, count)) {
            if (count > 1) expect_batch_waiters(tx, n);
            return false;
        }
        Order::put_many(tx, n, items, first, count);
        first += count;
        return true;
    };
    while (first != items.count() &&
           attempt_until(in(), slot(), generation(), queue_has_room, n.head, some_day, stop, put_next)) {}
    return first;
}

// ---- getting -------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
std::optional<T> basic_queue<T, Order>::get_before(steady_time deadline, const std::stop_token& stop) const {
    this->require_writable();
    queue_node& n = node_in(in());
    taken_item<T> item;
    const bool is_there = attempt_until(in(), slot(), generation(), queue_has_item, n.tail, deadline, stop,
                                        [&](root_transaction& tx) {
                                            if (n.head == n.tail) {
                                                require_open("get from", tx, n);
                                                return false;
                                            }
                                            Order::take(tx, n, item);
                                            return true;
                                        });
    if (!is_there) return std::nullopt;
    return item.get();
}

template <typename T, typename Order>
std::vector<T> basic_queue<T, Order>::get_batch(size_type most, const std::stop_token& stop) const {
    this->require_writable();
    queue_node& n = node_in(in());
    std::vector<taken_item<T>> items;
    if (most != 0) {
        attempt_until(in(), slot(), generation(), queue_has_item, n.tail, some_day, stop,
                      [&](root_transaction& tx) {
                          if (n.head == n.tail) {
                              require_open("get from", tx, n);
                              return false;
                          }
                          Order::take_many(tx, n, std::min<std::uint64_t>(most, n.tail - n.head), items);
                          return true;
                      });
    }
    std::vector<T> values;
    values.reserve(items.size());
    for (const taken_item<T>& item : items) values.push_back(item.get());
    return values;
}

// ---- counting --------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
template <typename Get>
auto basic_queue<T, Order>::read(Get value) const {
    const quick_look look(in(), slot(), generation());
    if (look.may_look()) [[likely]] {
        const auto seen = value(node_in(in()));
        if (look.is_whole()) [[likely]]
            return seen;
    }
    decltype(value(node_in(in()))) seen{};
    read_root(in(), slot(), generation(), [&](segment& s) {
        seen = value(node_in(s));
        return read_result::done;
    });
    return seen;
}

template <typename T, typename Order>
typename basic_queue<T, Order>::size_type basic_queue<T, Order>::size() const {
    // Only putting moves no version, and tail alone: what is whole is the size at the moment when tail was read.
    return read([](const queue_node& n) -> std::uint64_t { return load_word(n.tail) - load_word(n.head); });
}

template <typename T, typename Order>
typename basic_queue<T, Order>::size_type basic_queue<T, Order>::maxsize() const {
    return read([](const queue_node& n) -> std::uint64_t { return load_word(n.maxsize); });
}

template <typename T, typename Order>
bool basic_queue<T, Order>::is_closed() const {
    return read([](const queue_node& n) { return load_enum(n.state) != queue_state::open; });
}

template <typename T, typename Order>
std::vector<T> basic_queue<T, Order>::snapshot() const {
    std::vector<taken_item<T>> items;
    read_root(in(), slot(), generation(), [&](segment& s) { return Order::copy_all(s, node_in(s), items); });
    std::vector<T> values;
    values.reserve(items.size());
    for (const taken_item<T>& item : items) values.push_back(item.get());
    return values;
}

template <typename T, typename Order>
void basic_queue<T, Order>::append_repr_to(std::string& text) const {
    text += kind_name(kind);
    text += '(';
    append_element(text, snapshot());
    if (const size_type most = maxsize(); most != 0) text += ", maxsize=" + std::to_string(most);
    text += ')';
}

// ---- what was taken is done --------------------------------------------------------------------------------------------

template <typename T, typename Order>
void basic_queue<T, Order>::task_done() const {
    this->require_writable();
    root_transaction tx(in(), slot(), generation());
    finish_item(tx, node_in(in()));
}

template <typename T, typename Order>
bool basic_queue<T, Order>::join_before(steady_time deadline, const std::stop_token& stop) const {
    this->require_writable();
    queue_node& n = node_in(in());
    return attempt_until(in(), slot(), generation(), queue_all_done, n.done, deadline, stop,
                         [&](root_transaction&) { return n.done == n.tail; });
}

// ---- ending ------------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
void basic_queue<T, Order>::shutdown(bool immediate) const {
    this->require_writable();
    root_transaction tx(in(), slot(), generation());
    close_queue(tx, node_in(in()), immediate);
}

}  // namespace cairn::inline v0::detail
