// priority_order.hpp - the smallest first, and of equals the oldest: a binary heap (queue_lists.hpp).
//
// The comparison is the user's, and runs under the queue's lock. When it throws, nothing has happened.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/fifo_order.hpp>
#include <cairn/detail/containers/queue_lists.hpp>

namespace cairn::inline CAIRN_ABI {

template <typename T, typename Compare>
class priority_queue;

}  // namespace cairn::inline CAIRN_ABI

namespace cairn::inline CAIRN_ABI::detail {

template <typename T, typename Compare>
struct priority_order {
    using queue_type = priority_queue<T, Compare>;
    using dead_letter_queue = queue<T>;
    static constexpr object_kind kind = object_kind::priority_queue;
    static constexpr queue_order order = queue_order::priority;
    static constexpr std::uint32_t stride = element_traits<T>::stride;
    static constexpr element_form form = element_traits<T>::form;

    static segment_offset create(root_transaction& tx, std::uint64_t maxsize, std::uint32_t max_deliveries) {
        return create_queue(tx, stride, form, order, maxsize, max_deliveries);
    }

    /// Each of these commits; there is room, and there are items.
    static void put(root_transaction& tx, queue_node& node, const item_to_put<T>& item) {
        tx.begin_change();
        const segment_offset slot = allocate(tx, stride);
        item.write(tx, tx.in().at<std::byte>(slot));
        insert(tx, node, slot);
        wake_getters(tx, node, 1);
        tx.commit();
    }
    static void put_many(root_transaction& tx, queue_node& node, const items_to_put<T>& many,
                         std::uint64_t first, std::uint64_t count) {
        tx.begin_change();
        for (std::uint64_t i = 0; i < count; ++i) {
            const segment_offset slot = allocate(tx, stride);
            many.write(tx, tx.in().at<std::byte>(slot), first + i);
            insert(tx, node, slot);
        }
        wake_getters(tx, node, count);
        tx.commit();
    }
    static void take(root_transaction& tx, queue_node& node, const std::byte* /*slot*/) {
        tx.begin_change();
        drop(tx, node, remove_smallest(tx, node));
        wake_putters(tx, node, 1);
        tx.commit();
    }
    /// The same with a copy, of what is decoded by copying it.
    static void take(root_transaction& tx, queue_node& node, element_copy<T>& item) {
        tx.begin_change();
        const heap_entry smallest = remove_smallest(tx, node);
        if (item.copy(tx.in(), heap_slot(tx.in(), node, smallest)) == read_result::torn)
            throw_damaged(tx.in(), tx.slot());
        drop(tx, node, smallest);
        wake_putters(tx, node, 1);
        tx.commit();
    }
    static void take_many(root_transaction& tx, queue_node& node, std::uint64_t count) {
        wake_putters(tx, node, count);
        tx.commit();
    }

    /// The slot of the item that comes next.
    static const std::byte* next_slot(root_transaction& tx, queue_node& node) {
        list_node& items = items_of(tx, node);
        if (items.size == 0) throw_damaged(tx.in(), tx.slot());
        return heap_slot(tx.in(), node, entry_at(tx, items, 0));
    }
    /// Copies the next `count`, before take_many(): which they are is known once those before them are out.
    static void copy_next(root_transaction& tx, queue_node& node, std::uint64_t count,
                          std::vector<element_copy<T>>& items) {
        tx.begin_change();
        for (std::uint64_t i = 0; i < count; ++i) {
            const heap_entry smallest = remove_smallest(tx, node);
            if (items.emplace_back().copy(tx.in(), heap_slot(tx.in(), node, smallest)) == read_result::torn)
                throw_damaged(tx.in(), tx.slot());
            drop(tx, node, smallest);
        }
    }

    /// To `slot`, outside the heap; the caller commits.
    static void move_first(root_transaction& tx, queue_node& node, std::byte* slot) {
        tx.begin_change();
        const heap_entry smallest = remove_smallest(tx, node);
        copy_across(slot, heap_slot(tx.in(), node, smallest), stride);
        deallocate(tx, smallest.item, stride);
    }

    /// Behind what is in `items`, in the order in which they were put: arrange() does the rest, without the lock.
    static read_result copy_all(const segment& s, const queue_node& node,
                                std::vector<element_copy<T>>& items) {
        const std::uint64_t count = load_word(node.tail) - load_word(node.head);
        if (count > s.committed_bytes() / sizeof(heap_entry) || load_word(node.stride) != stride)
            return read_result::torn;
        std::vector<heap_entry> entries(count);
        for (std::uint64_t i = 0; i < count; ++i)
            if (!find_heap_entry(s, node, i, entries[i])) return read_result::torn;
        std::sort(entries.begin(), entries.end(),
                  [](const heap_entry& a, const heap_entry& b) { return a.sequence < b.sequence; });
        std::uint64_t left = s.committed_bytes();  // blobs do not overlap
        for (const heap_entry& entry : entries) {
            const auto* slot = s.find<std::byte>(entry.item, stride);
            if (slot == nullptr || items.emplace_back().copy(s, slot) == read_result::torn ||
                items.back().byte_count() > left)
                return read_result::torn;
            left -= items.back().byte_count();
        }
        return read_result::done;
    }
    /// The elements from `first` on, in a vector, since those of a std::vector<bool> are no objects in a row.
    static void arrange(std::vector<T>& values, std::size_t first) {
        const auto begin = values.begin() + static_cast<std::ptrdiff_t>(first);
        if constexpr (std::is_same_v<T, bool>) {
            std::vector<char> sorted(begin, values.end());
            std::stable_sort(sorted.begin(), sorted.end(),
                             [](char a, char b) { return Compare{}(a != 0, b != 0); });
            std::copy(sorted.begin(), sorted.end(), begin);
        } else {
            std::stable_sort(begin, values.end(), Compare{});
        }
    }

private:
    static T value_of(root_transaction& tx, const queue_node& node, const heap_entry& entry) {
        element_copy<T> item;
        if (item.copy(tx.in(), heap_slot(tx.in(), node, entry)) == read_result::torn)
            throw_damaged(tx.in(), tx.slot());
        return item.take();
    }

    static bool is_before(root_transaction& tx, const T& a, std::uint64_t a_sequence, const T& b,
                          std::uint64_t b_sequence) {
        const Compare less{};
        const bool result = less(a, b) || (a_sequence < b_sequence && !less(b, a));
        tx.require_own();
        return result;
    }

    static heap_entry entry_at(root_transaction& tx, list_node& items, std::uint64_t index) {
        return *reinterpret_cast<const heap_entry*>(list_slot_at(tx, items, index));
    }
    static void set_entry(root_transaction& tx, list_node& items, std::uint64_t index,
                          const heap_entry& entry) {
        std::byte* to = list_slot_at(tx, items, index);
        tx.log(to, sizeof entry);
        copy_in_fixed<sizeof entry>(to, &entry);
    }

    static void insert(root_transaction& tx, queue_node& node, segment_offset slot) {
        list_node& items = items_of(tx, node);
        const heap_entry added{node.tail, slot};
        const T value = value_of(tx, node, added);
        std::uint64_t hole = items.size;
        copy_in_fixed<sizeof added>(next_list_slot(tx, items), &added);
        add_list_item(tx, node, items);
        while (hole != 0) {
            const std::uint64_t parent = (hole - 1) / 2;
            const heap_entry above = entry_at(tx, items, parent);
            if (!is_before(tx, value, added.sequence, value_of(tx, node, above), above.sequence)) break;
            set_entry(tx, items, hole, above);
            hole = parent;
        }
        set_entry(tx, items, hole, added);
    }

    // Out of the heap; its slot is the caller's.
    static heap_entry remove_smallest(root_transaction& tx, queue_node& node) {
        list_node& items = items_of(tx, node);
        if (items.size == 0) throw_damaged(tx.in(), tx.slot());
        const heap_entry smallest = entry_at(tx, items, 0);
        const heap_entry last = entry_at(tx, items, items.size - 1);
        remove_last_item(tx, node, items);
        const std::uint64_t size = items.size;
        if (size == 0) return smallest;
        const T value = value_of(tx, node, last);
        std::uint64_t hole = 0;
        for (std::uint64_t child = 1; child < size; child = 2 * hole + 1) {
            heap_entry below = entry_at(tx, items, child);
            std::optional<T> least(value_of(tx, node, below));
            if (child + 1 < size) {
                const heap_entry other = entry_at(tx, items, child + 1);
                T other_value = value_of(tx, node, other);
                if (is_before(tx, other_value, other.sequence, *least, below.sequence)) {
                    below = other;
                    least.emplace(std::move(other_value));
                    ++child;
                }
            }
            if (is_before(tx, value, last.sequence, *least, below.sequence)) break;
            set_entry(tx, items, hole, below);
            hole = child;
        }
        set_entry(tx, items, hole, last);
        return smallest;
    }

    static void drop(root_transaction& tx, const queue_node& node, const heap_entry& removed) {
        if constexpr (form == element_form::blob) {
            const std::byte* slot = heap_slot(tx.in(), node, removed);
            free_blob(tx, *reinterpret_cast<const blob_slot*>(slot));
        }
        deallocate(tx, removed.item, stride);
    }
};

}  // namespace cairn::inline CAIRN_ABI::detail
