// queue_impl.hpp - bodies of basic_queue.hpp.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/basic_queue.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Items that came back from leases, in order.
template <typename T>
read_result copy_returned(const segment& s, const queue_node& node, std::vector<element_copy<T>>& items) {
    std::uint64_t left = load_word(node.returned_count);
    std::uint64_t bytes_left = s.committed_bytes();  // blobs do not overlap
    for (segment_offset at = load_word(node.returned); at != 0 && left != 0; --left) {
        auto* record = s.find<lease_record>(at, sizeof(lease_record) + element_traits<T>::stride);
        element_copy<T> item;
        if (record == nullptr || item.copy(s, slot_of(*record)) == read_result::torn ||
            item.byte_count() > bytes_left)
            return read_result::torn;
        bytes_left -= item.byte_count();
        items.push_back(std::move(item));
        at = load_word(record->next);
    }
    return read_result::done;
}

// ---- putting -------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
template <typename Attempt>
bool basic_queue<T, Order>::attempt_get(steady_time deadline, const std::stop_token& stop,
                                        const Attempt& take) const {
    this->require_writable();
    queue_node& n = node_in(in());
    return attempt_until<queue_wait::item>(
        in(), slot(), generation(), n, deadline, stop, [&](root_transaction& tx, queue_progress& progress) {
            if (queued_count(n) == 0) {
                if (n.state == queue_state::open)
                    progress.is_swept = false;  // it was closed in a transaction that was taken back
                if (n.leased_count == 0 || progress.is_swept) require_open("get from", tx, n);
                progress.is_asked = n.state != queue_state::open;
                return false;
            }
            require_list_stride(tx, n);
            take(tx, n);
            return true;
        });
}

template <typename T, typename Order>
bool basic_queue<T, Order>::put_before(parameter value, steady_time deadline,
                                       const std::stop_token& stop) const {
    this->require_writable();
    const item_to_put<T> item(value);
    queue_node& n = node_in(in());
    return attempt_until<queue_wait::room>(in(), slot(), generation(), n, deadline, stop,
                                           [&](root_transaction& tx, queue_progress&) {
                                               require_open("put into", tx, n);
                                               if (!has_room(n)) return false;
                                               require_list_stride(tx, n);
                                               Order::put(tx, n, item);
                                               return true;
                                           });
}

template <typename T, typename Order>
bool basic_queue<T, Order>::put(parameter value, const exactly_once& how) const {
    this->require_writable();
    queue_node& n = node_in(in());
    const auto has_room_now = [&](root_transaction& tx, queue_progress&) {
        require_open("put into", tx, n);
        return has_room(n);
    };
    for (;;) {
        const once_outcome outcome =
            do_once(in(), slot(), generation(), how.once, [&] { return try_put(value); });
        if (outcome != once_outcome::refused) return outcome == once_outcome::done;
        // Full: waits outside, where others can make room.
        static_cast<void>(
            attempt_until<queue_wait::room>(in(), slot(), generation(), n, no_deadline, {}, has_room_now));
    }
}

template <typename T, typename Order>
template <typename Range>
typename basic_queue<T, Order>::size_type
basic_queue<T, Order>::put_batches(Range& values, const std::stop_token& stop) const {
    this->require_writable();
    const items_to_put<T> items(values);
    queue_node& n = node_in(in());
    std::uint64_t first = 0;
    const auto put_next = [&](root_transaction& tx, queue_progress&) {
        require_open("put into", tx, n);
        const std::uint64_t left = items.count() - first;
        const std::uint64_t count = n.maxsize == 0 ? left : std::min(left, n.maxsize);
        const bool is_room = count == 1 ? has_room(n) : has_places(tx, n, count, !stop.stop_requested());
        if (!is_room) return false;
        require_list_stride(tx, n);
        Order::put_many(tx, n, items, first, count);
        if (count != 1) forget_places(tx, n);
        first += count;
        return true;
    };
    try {
        while (first != items.count() &&
               attempt_until<queue_wait::room>(in(), slot(), generation(), n, no_deadline, stop, put_next)) {}
    } catch (...) {
        give_up_places(in(), slot(), generation(), n);
        throw;
    }
    if (first != items.count()) give_up_places(in(), slot(), generation(), n);
    return first;
}

// ---- getting -------------------------------------------------------------------------------------------------------

// After a failure that an item was left in: whoever else waits looks.
template <typename T, typename Order>
void basic_queue<T, Order>::pass_wake_on() const noexcept {
    try {
        root_transaction tx(in(), slot(), generation());
        const queue_node& n = node_in(in());
        if (queued_count(n) != 0) wake_getters(tx, n, 1);
    } catch (...) {  // it has gone, and so everybody was woken; or this is no place to wait from
    }
}

// What an attempt has found and left, to be decoded without the lock. It may have been woken for it.
template <typename T, typename Order>
template <typename Item>
void basic_queue<T, Order>::decode_outside(Item& item) const {
    try {
        item.decode_outside();
    } catch (...) {
        pass_wake_on();
        throw;
    }
}

// What came back comes first.
template <typename T, typename Order>
const std::byte* basic_queue<T, Order>::next_slot(root_transaction& tx, queue_node& n) {
    if (n.returned_count == 0) [[likely]]
        return Order::next_slot(tx, n);
    require_stride(tx, n);
    return slot_of(first_returned(tx.in(), n));
}

// ... which is decoded. Commits.
template <typename T, typename Order>
void basic_queue<T, Order>::take_next(root_transaction& tx, queue_node& n, const std::byte* slot) {
    remember_taken(tx, n, 1);
    if (n.returned_count == 0) [[likely]]
        return Order::take(tx, n, slot);
    wake_putters(tx, n, 1);
    drop_returned(tx, n);
    tx.commit();
}

template <typename T, typename Order>
void basic_queue<T, Order>::take_returned(root_transaction& tx, queue_node& n, element_copy<T>& item) {
    require_stride(tx, n);
    if (item.copy(tx.in(), slot_of(first_returned(tx.in(), n))) == read_result::torn)
        throw_damaged(tx.in(), tx.slot());
    wake_putters(tx, n, 1);
    drop_returned(tx, n);
    tx.commit();
}

template <typename T, typename Order>
std::optional<T> basic_queue<T, Order>::get_before(steady_time deadline, const std::stop_token& stop) const {
    if constexpr (may_be_large) {
        return get_early<early_copy<T>>(deadline, stop);
    } else if constexpr (is_copied_whole<T>()) {
        element_copy<T> item;
        const bool is_there = attempt_get(deadline, stop, [&](root_transaction& tx, queue_node& n) {
            remember_taken(tx, n, 1);
            if (n.returned_count == 0) [[likely]]
                Order::take(tx, n, item);
            else take_returned(tx, n, item);
        });
        if (!is_there) return std::nullopt;
        return item.take();
    } else {
        return get_decoded(deadline, stop);
    }
}

template <typename T, typename Order>
std::optional<T> basic_queue<T, Order>::get_decoded(steady_time deadline, const std::stop_token& stop) const {
    for (element_to_take<T> item;; decode_outside(item)) {
        bool is_left = false;
        const bool is_there = attempt_get(deadline, stop, [&](root_transaction& tx, queue_node& n) {
            const std::byte* slot = next_slot(tx, n);
            is_left = !item.prepare(tx, slot);
            if (!is_left) take_next(tx, n, slot);
        });
        if (!is_there) return std::nullopt;
        if (!is_left) return item.take();
    }
}

// As get_before(), of what is copied before the lock is taken, if it is large.
template <typename T, typename Order>
template <typename Early>
std::optional<T> basic_queue<T, Order>::get_early(steady_time deadline, const std::stop_token& stop) const {
    this->require_writable();
    Early early;
    const queue_node& seen = node_in(in());
    // What came back comes first. And what is found when it was waited for is left for one look, too.
    if (load_word(seen.tail) > load_word(seen.head) && load_word(seen.returned_count) == 0)
        early.look(in(), slot(), seen);
    for (;;) {
        bool is_left = false;
        const bool is_there = attempt_get(deadline, stop, [&](root_transaction& tx, queue_node& n) {
            const bool came_back = n.returned_count != 0;
            is_left = !came_back && early.is_wanted(first_queue_slot(tx, n, Order::stride));
            if (is_left) return;
            remember_taken(tx, n, 1);
            if (came_back) take_returned(tx, n, early.item());
            else Order::take(tx, n, early);
        });
        if (!is_there) return std::nullopt;
        if (!is_left) return early.item().take();
        early.look(in(), slot(), seen);
    }
}

// False when they are to be decoded first.
template <typename T, typename Order>
bool basic_queue<T, Order>::take_batch(root_transaction& tx, queue_node& n, size_type most,
                                       batch_to_take<T>& batch) {
    constexpr bool is_priority =
        Order::order == queue_order::priority;  // its comparison has decoded them here
    for (std::uint64_t count = std::min({std::uint64_t{most}, queued_count(n), batch.most()});; count /= 2) {
        try {
            batch.copies().clear();
            Order::copy_next(tx, n, count, batch.copies());
            if (!batch.prepare(is_priority || tx.has_joined())) return false;
            remember_taken(tx, n, count);
            Order::take_many(tx, n, count);
            return true;
        } catch (const segment_full&) {
            // The log of a long batch needs memory. One item can always be taken: else a full segment would stay full.
            if (count == 1) throw;
            tx.roll_back();
        }
    }
}

template <typename T, typename Order>
std::vector<T> basic_queue<T, Order>::get_batch(size_type most, const std::stop_token& stop) const {
    batch_to_take<T> batch;
    if (most == 0) return {};
    for (;; decode_outside(batch)) {
        bool is_left = false;
        const bool is_there = attempt_get(no_deadline, stop, [&](root_transaction& tx, queue_node& n) {
            if (n.returned_count == 0) {
                is_left = !take_batch(tx, n, most, batch);
                return;
            }
            // What came back does not lie with the others: it makes a batch of its own.
            const std::byte* slot = next_slot(tx, n);
            batch.copies().clear();
            if (batch.copies().emplace_back().copy(tx.in(), slot) == read_result::torn)
                throw_damaged(tx.in(), tx.slot());
            is_left = !batch.prepare(tx.has_joined());
            if (!is_left) take_next(tx, n, slot);
        });
        if (!is_there) return {};
        if (!is_left) return batch.take();
    }
}

template <typename T, typename Order>
std::optional<typename basic_queue<T, Order>::lease_type>
basic_queue<T, Order>::lease_before(steady_time deadline, const std::stop_token& stop) const {
    require_outside("lease of an item of", in(), slot(), lease_hint);
    lease_ticket ticket;
    for (element_to_take<T> item;; decode_outside(item)) {
        bool is_left = false;
        const bool is_there = attempt_get(deadline, stop, [&](root_transaction& tx, queue_node& n) {
            require_stride(tx, n);
            is_left = !item.prepare(tx, next_slot(tx, n));
            if (is_left) return;
            tx.begin_change();
            const bool came_back = n.returned_count != 0;
            lease_record& record = came_back ? first_returned(tx.in(), n) : new_lease_record(tx, n);
            if (!came_back) Order::move_first(tx, n, slot_of(record));
            ticket = begin_lease(tx, n, record, came_back);
            wake_putters(tx, n, 1);
            tx.commit();
        });
        if (!is_there) return std::nullopt;
        if (!is_left)
            return lease_type(root_reference{this->hold(), &slot(), generation(), node()}, ticket,
                              item.take());
    }
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
    return read([](const queue_node& n) { return queued_count(n); });
}

template <typename T, typename Order>
typename basic_queue<T, Order>::size_type basic_queue<T, Order>::maxsize() const {
    return read([](const queue_node& n) -> std::uint64_t { return load_word(n.maxsize); });
}

template <typename T, typename Order>
typename basic_queue<T, Order>::size_type basic_queue<T, Order>::leased() const {
    return read([](const queue_node& n) { return load_word(n.leased_count); });
}

template <typename T, typename Order>
std::optional<typename basic_queue<T, Order>::dead_letter_queue> basic_queue<T, Order>::dead_letters() const {
    const segment_offset dead = read([](const queue_node& n) { return load_word(n.dead_letters); });
    if (dead == 0) return std::nullopt;
    dead_letter_queue::validate(in(), dead);
    return dead_letter_queue(root_reference{this->hold(), &slot(), generation(), dead});
}

template <typename T, typename Order>
bool basic_queue<T, Order>::is_closed() const {
    return read([](const queue_node& n) { return load_enum(n.state) != queue_state::open; });
}

template <typename T, typename Order>
std::vector<T> basic_queue<T, Order>::snapshot() const {
    std::vector<element_copy<T>> items;
    std::size_t returned = 0;
    read_root(in(), slot(), generation(), [&](segment& s) {
        items.clear();
        if (copy_returned(s, node_in(s), items) == read_result::torn) return read_result::torn;
        returned = items.size();
        return Order::copy_all(s, node_in(s), items);
    });
    std::vector<T> values;
    values.reserve(items.size());
    for (element_copy<T>& item : items) values.push_back(item.take());
    if constexpr (Order::order == queue_order::priority) Order::arrange(values, returned);
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
void basic_queue<T, Order>::task_done() const try {
    this->require_writable();
    root_transaction tx(in(), slot(), generation());
    finish_item(tx, node_in(in()));
}
CAIRN_THROWS_UNLOCKED

template <typename T, typename Order>
bool basic_queue<T, Order>::join_before(steady_time deadline, const std::stop_token& stop) const {
    this->require_writable();
    queue_node& n = node_in(in());
    return attempt_until<queue_wait::all_done>(
        in(), slot(), generation(), n, deadline, stop,
        [&](root_transaction&, queue_progress&) { return n.done == n.tail; });
}

template <typename T, typename Order>
typename basic_queue<T, Order>::size_type basic_queue<T, Order>::lost() const {
    return count_lost(in(), slot(), generation(), node());
}

// ---- ending ------------------------------------------------------------------------------------------------------------

template <typename T, typename Order>
void basic_queue<T, Order>::shutdown(bool immediate) const try {
    this->require_writable();
    root_transaction tx(in(), slot(), generation());
    close_queue(tx, node_in(in()), immediate);
}
CAIRN_THROWS_UNLOCKED

}  // namespace cairn::inline CAIRN_ABI::detail
