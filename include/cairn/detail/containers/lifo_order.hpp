// lifo_order.hpp - last in, first out: a list of slots (queue_lists.hpp).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include <cairn/detail/containers/fifo_order.hpp>
#include <cairn/detail/containers/queue_lists.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T>
class lifo_queue;

}  // namespace cairn::inline CAIRN_ABI

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
struct lifo_order {
    using queue_type = lifo_queue<T>;
    using dead_letter_queue = queue<T>;
    static constexpr object_kind kind = object_kind::lifo_queue;
    static constexpr queue_order order = queue_order::lifo;
    static constexpr std::uint32_t stride = element_traits<T>::stride;
    static constexpr element_form form = element_traits<T>::form;

    static segment_offset create(root_transaction& tx, std::uint64_t maxsize, std::uint32_t max_deliveries) {
        return create_queue(tx, stride, form, order, maxsize, max_deliveries);
    }

    /// Each of these commits; there is room, and there are items.
    static void put(root_transaction& tx, queue_node& node, const item_to_put<T>& item) {
        tx.begin_change();
        list_node& items = items_of(tx, node);
        item.write(tx, next_list_slot(tx, items));
        add_list_item(tx, node, items);
        wake_getters(tx, node, 1);
        tx.commit();
    }
    static void put_many(root_transaction& tx, queue_node& node, const items_to_put<T>& many,
                         std::uint64_t first, std::uint64_t count) {
        tx.begin_change();
        list_node& items = items_of(tx, node);
        for (std::uint64_t i = 0; i < count; ++i) {
            many.write(tx, next_list_slot(tx, items), first + i);
            add_list_item(tx, node, items);
        }
        wake_getters(tx, node, count);
        tx.commit();
    }
    static void take(root_transaction& tx, queue_node& node, const std::byte* /*slot*/) {
        take_many(tx, node, 1);
    }
    /// The same with a copy, of what is decoded by copying it.
    static void take(root_transaction& tx, queue_node& node, element_copy<T>& item) {
        const std::byte* slot = next_slot(tx, node);
        if (item.copy(tx.in(), slot) == read_result::torn) throw_damaged(tx.in(), tx.slot());
        take(tx, node, slot);
    }
    static void take_many(root_transaction& tx, queue_node& node, std::uint64_t count) {
        tx.begin_change();
        for (std::uint64_t i = 0; i < count; ++i) drop_first(tx, node);
        wake_putters(tx, node, count);
        tx.commit();
    }

    /// The slot of the item that comes next.
    static const std::byte* next_slot(root_transaction& tx, queue_node& node) {
        return slot_from_end(tx, items_of(tx, node), 0);
    }
    /// Copies the next `count`, before take_many().
    static void copy_next(root_transaction& tx, queue_node& node, std::uint64_t count,
                          std::vector<element_copy<T>>& items) {
        list_node& list = items_of(tx, node);
        for (std::uint64_t i = 0; i < count; ++i)
            if (items.emplace_back().copy(tx.in(), slot_from_end(tx, list, i)) == read_result::torn)
                throw_damaged(tx.in(), tx.slot());
    }

    /// To `slot`, outside the list; the caller commits.
    static void move_first(root_transaction& tx, queue_node& node, std::byte* slot) {
        tx.begin_change();
        list_node& items = items_of(tx, node);
        if (items.size == 0) throw_damaged(tx.in(), tx.slot());
        copy_across(slot, list_slot_at(tx, items, items.size - 1), stride);
        remove_last_item(tx, node, items);
    }

    /// Behind what is in `items`, in the order in which they would be taken.
    static read_result copy_all(const segment& s, const queue_node& node,
                                std::vector<element_copy<T>>& items) {
        const std::uint64_t count = load_word(node.tail) - load_word(node.head);
        if (count > s.committed_bytes() / stride || load_word(node.stride) != stride)
            return read_result::torn;
        std::uint64_t left = s.committed_bytes();  // blobs do not overlap
        for (std::uint64_t i = count; i-- != 0;) {
            const std::byte* slot = find_list_item(s, node, i);
            if (slot == nullptr || items.emplace_back().copy(s, slot) == read_result::torn ||
                items.back().byte_count() > left)
                return read_result::torn;
            left -= items.back().byte_count();
        }
        return read_result::done;
    }

private:
    static const std::byte* slot_from_end(root_transaction& tx, list_node& items, std::uint64_t index) {
        if (index >= items.size) throw_damaged(tx.in(), tx.slot());
        return list_slot_at(tx, items, items.size - 1 - index);
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail
