// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/queue_lists.hpp"

#include <cstring>

#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::uint32_t list_stride(const queue_node& node) noexcept {
    return load_enum(node.order) == queue_order::lifo ? load_word(node.stride)
                                                      : std::uint32_t{sizeof(heap_entry)};
}

list_node* find_items(const segment& s, const queue_node& node) noexcept {
    auto* items = s.find<list_node>(load_word(node.head_chunk));
    return items != nullptr && load_word(items->stride) == list_stride(node) ? items : nullptr;
}

}  // namespace

list_node& items_of(root_transaction& tx, const queue_node& node) {
    return sound_node(tx, node.head_chunk, list_stride(node), element_form::in_place);
}

std::byte* list_slot_at(root_transaction& tx, list_node& items, std::uint64_t index) {
    return element_at(tx, items, index);
}

std::byte* next_list_slot(root_transaction& tx, list_node& items) {
    return next_element(tx, items, items.stride);
}

void add_list_item(root_transaction& tx, queue_node& node, list_node& items) {
    tx.store(items.size, items.size + 1);
    tx.store(node.tail, node.tail + 1);
}

void remove_last_item(root_transaction& tx, queue_node& node, list_node& items) {
    if (items.size == 0) throw_corrupt(tx.in(), "a queue counts other items than it has");
    drop_last(tx, items);
    tx.store(node.head, node.head + 1);
}

std::byte* heap_slot(const segment& s, const queue_node& node, const heap_entry& entry) {
    auto* slot = s.find<std::byte>(entry.item, node.stride);
    if (slot == nullptr) throw_corrupt(s, "an item of a queue lies outside");
    return slot;
}

void drop_any(root_transaction& tx, queue_node& node) {
    list_node& items = items_of(tx, node);
    if (items.size == 0) throw_corrupt(tx.in(), "a queue counts other items than it has");
    const std::byte* slot = element_at(tx, items, items.size - 1);
    segment_offset block = 0;
    if (node.order == queue_order::priority) {
        const heap_entry entry = *reinterpret_cast<const heap_entry*>(slot);
        slot = heap_slot(tx.in(), node, entry);
        block = entry.item;
    }
    const blob_slot blob =
        node.form == element_form::blob ? *reinterpret_cast<const blob_slot*>(slot) : blob_slot{0, 0};
    remove_last_item(tx, node, items);
    free_blob(tx, blob);
    if (block != 0) deallocate(tx, block, node.stride);
}

const std::byte* find_list_item(const segment& s, const queue_node& node, std::uint64_t index) noexcept {
    if (load_enum(node.order) == queue_order::priority) {
        heap_entry entry{};
        if (!find_heap_entry(s, node, index, entry)) return nullptr;
        return s.find<std::byte>(entry.item, load_word(node.stride));
    }
    list_node* items = find_items(s, node);
    return items == nullptr ? nullptr : find_element(s, links_of(*items), index);
}

bool find_heap_entry(const segment& s, const queue_node& node, std::uint64_t index,
                     heap_entry& entry) noexcept {
    list_node* items = find_items(s, node);
    const std::byte* at = items == nullptr ? nullptr : find_element(s, links_of(*items), index);
    if (at == nullptr) return false;
    copy_out_fixed<sizeof entry>(&entry, at);
    return true;
}

std::string check_list_items(const segment& s, const queue_node& node, arena_audit& audit) {
    list_node* items = find_items(s, node);
    if (items == nullptr || items->form != element_form::in_place) return "queue: its items are in no list";
    if (std::string problem = check_list(s, *items, audit); !problem.empty()) return "queue: " + problem;
    if (items->size != node.tail - node.head) return "queue: it counts other items than it has";
    for (std::uint64_t i = 0; i < items->size; ++i) {
        heap_entry entry{};
        if (node.order == queue_order::priority) {
            if (!find_heap_entry(s, node, i, entry) || entry.sequence >= node.tail)
                return "queue: item " + std::to_string(i) + " was never put";
            audit.reached(entry.item, node.stride);
        }
        const std::byte* slot = find_list_item(s, node, i);
        if (slot == nullptr) return "queue: item " + std::to_string(i) + " lies outside the segment";
        if (node.form != element_form::blob) continue;
        blob_slot blob{};
        std::memcpy(&blob, slot, sizeof blob);
        std::uint64_t bytes = 0;
        if (find_blob(s, blob, bytes) == nullptr)
            return "queue: item " + std::to_string(i) + " lies outside the segment";
        if (blob.last >> 56 == blob_outside >> 56) audit.reached(blob.first, bytes);
    }
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail
