// queue_lists.hpp - queues of another order than first in, first out: their items are in a list.
//
// lifo      a list of slots; the last one is taken next
// priority  a list of heap_entries, a binary heap; each leads to a block that is the slot of its item
// Head and tail of the node count what was taken and put, as in every queue. All changes are logged.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The list of a queue, judged under the lock. Throws corrupt_segment.
CAIRN_API list_node& items_of(root_transaction& tx, const queue_node& node);

/// The slot of item `index` of a lifo queue, or the entry of a priority queue. Throws corrupt_segment.
CAIRN_API std::byte* list_slot_at(root_transaction& tx, list_node& items, std::uint64_t index);

/// Where the next one goes, with room made.
CAIRN_API std::byte* next_list_slot(root_transaction& tx, list_node& items);
/// What was written there counts; the caller wakes and commits.
CAIRN_API void add_list_item(root_transaction& tx, queue_node& node, list_node& items);
/// The last one counts no more; the caller has taken over, or frees, what it led to.
CAIRN_API void remove_last_item(root_transaction& tx, queue_node& node, list_node& items);

/// The slot that an entry of a heap leads to. Throws corrupt_segment.
CAIRN_API std::byte* heap_slot(const segment& s, const queue_node& node, const heap_entry& entry);

/// Takes the last item of the list away, with its blocks.
void drop_any(root_transaction& tx, queue_node& node);

/// The slot of item `index` of the list, without the lock: null where links lead nowhere.
CAIRN_API const std::byte* find_list_item(const segment& s, const queue_node& node,
                                          std::uint64_t index) noexcept;
/// The entry of a heap there; false where links lead nowhere.
CAIRN_API bool find_heap_entry(const segment& s, const queue_node& node, std::uint64_t index,
                               heap_entry& entry) noexcept;

/// Blocks and invariants of the list; empty, or what does not hold.
std::string check_list_items(const segment& s, const queue_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
