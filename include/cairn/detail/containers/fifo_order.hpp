// fifo_order.hpp - first in, first out: items in linked chunks (queue_core.hpp).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include <cairn/detail/containers/early_copy.hpp>
#include <cairn/detail/containers/queue_items.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T>
class queue;

}  // namespace cairn::inline CAIRN_ABI

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
struct fifo_order {
    using queue_type = queue<T>;
    using dead_letter_queue = queue<T>;
    static constexpr object_kind kind = object_kind::queue;
    static constexpr queue_order order = queue_order::fifo;
    static constexpr std::uint32_t stride = element_traits<T>::stride;
    static constexpr element_form form = element_traits<T>::form;

    static segment_offset create(root_transaction& tx, std::uint64_t maxsize, std::uint32_t max_deliveries) {
        return create_queue(tx, stride, form, order, maxsize, max_deliveries);
    }

    /// Each of these commits; there is room, and there are items.
    static void put(root_transaction& tx, queue_node& node, const item_to_put<T>& item) {
        item.write(tx, next_queue_slot(tx, node, stride, node.tail));
        commit_items(tx, node, 1);
    }
    static void put_many(root_transaction& tx, queue_node& node, const items_to_put<T>& items,
                         std::uint64_t first, std::uint64_t count) {
        const std::uint64_t tail = node.tail;
        for (std::uint64_t i = 0; i < count; ++i)
            items.write(tx, next_queue_slot(tx, node, stride, tail + i), first + i);
        commit_items(tx, node, count);
    }
    static void take(root_transaction& tx, queue_node& node, const std::byte* slot) {
        commit_taken(tx, node, form, slot);
    }
    /// The same with a copy, of what is decoded by copying it; it may have been copied before.
    static void take(root_transaction& tx, queue_node& node, element_copy<T>& item) {
        const std::byte* slot = first_queue_slot(tx, node, stride);
        if (item.copy(tx.in(), slot) == read_result::torn) throw_damaged(tx.in(), tx.slot());
        commit_taken(tx, node, form, slot);
    }
    static void take(root_transaction& tx, queue_node& node, early_copy<T>& early) {
        if (!early.is_next(tx.slot(), node)) return take(tx, node, early.item());
        commit_taken(tx, node, form, first_queue_slot(tx, node, stride));
    }
    static void take_many(root_transaction& tx, queue_node& node, std::uint64_t count) {
        commit_many_taken(tx, node, count);
    }

    /// The slot of the item that comes next.
    static const std::byte* next_slot(root_transaction& tx, queue_node& node) {
        return first_queue_slot(tx, node, stride);
    }
    /// Copies the next `count`, before take_many(). What it may have changed is rolled back if that does not follow.
    static void copy_next(root_transaction& tx, queue_node& node, std::uint64_t count,
                          std::vector<element_copy<T>>& items) {
        if (copy(tx.in(), node, count, items) == read_result::torn) throw_damaged(tx.in(), tx.slot());
    }

    /// To `slot`, outside the chunks; the caller commits.
    static void move_first(root_transaction& tx, queue_node& node, std::byte* slot) {
        detail::move_first(tx, node, slot);
    }

    /// Behind what is in `items`, in the order in which they would be taken.
    static read_result copy_all(const segment& s, const queue_node& node,
                                std::vector<element_copy<T>>& items) {
        // acquire: pairs with the release of a put, which moves no version; the items are there
        const std::uint64_t tail = __atomic_load_n(&node.tail, __ATOMIC_ACQUIRE);
        return copy(s, node, tail - load_word(node.head), items);
    }

private:
    static read_result copy(const segment& s, const queue_node& node, std::uint64_t count,
                            std::vector<element_copy<T>>& items) {
        // Torn or damaged: no queue has more items than its segment has bytes.
        if (count > s.committed_bytes() / stride) return read_result::torn;
        const std::size_t before = items.size();
        items.resize(before + count);
        queue_walk walk(s, node, stride);
        std::uint64_t left = s.committed_bytes();  // blobs do not overlap
        for (element_copy<T>& item : std::span(items).subspan(before)) {
            const std::byte* slot = walk.next();
            if (slot == nullptr || item.copy(s, slot) == read_result::torn) return read_result::torn;
            if (item.byte_count() > left) return read_result::torn;
            left -= item.byte_count();
        }
        return read_result::done;
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail
