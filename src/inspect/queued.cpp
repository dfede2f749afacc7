// SPDX-License-Identifier: BSL-1.0
#include "inspect/queued.hpp"

#include <algorithm>
#include <cstring>

#include <cairn/detail/containers/queue_leases.hpp>
#include <cairn/detail/containers/queue_lists.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_queue(const root_slot& slot) noexcept {
    const auto kind = static_cast<object_kind>(slot.kind);
    return kind == object_kind::queue || kind == object_kind::lifo_queue ||
           kind == object_kind::priority_queue;
}

queue_node* queue_node_in(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    auto* node = in.find<queue_node>(slot.node);
    if (node == nullptr) return nullptr;
    const bool is_blob = node->form == element_form::blob;
    if (!is_blob && node->form != element_form::in_place) return nullptr;
    if (node->stride == 0 || node->stride > largest_queue_slot_bytes ||
        node->stride != stride_for(node->stride))
        return nullptr;
    if (is_blob && node->stride != sizeof(blob_slot)) return nullptr;
    return node->head <= node->tail && queued_count(*node) <= in.limit() / node->stride ? node : nullptr;
}

void walk_items(const segment& s, const queue_node& node, std::uint64_t first, std::uint64_t count,
                const std::function<void(const std::byte*)>& each) {
    const std::uint64_t size = queued_count(node);
    const std::uint64_t end = first >= size ? size : first + std::min(count, size - first);
    std::uint64_t i = 0;
    bool is_lost = false;  // behind a link that leads nowhere there is nothing to be found
    const auto visit = [&](const std::byte* item) {
        is_lost = item == nullptr;
        if (i++ >= first) each(item);
    };
    segment_offset at = node.returned;
    const std::uint64_t returned = std::min<std::uint64_t>(node.returned_count, end);
    while (i < returned) {
        auto* record = is_lost ? nullptr : s.find<lease_record>(at, sizeof(lease_record) + node.stride);
        if (record != nullptr) at = record->next;
        visit(record == nullptr ? nullptr : slot_of(*record));
    }
    is_lost = false;
    if (node.order != queue_order::fifo) {
        // A priority queue's as they lie in its heap: only its users know how to compare them.
        const std::uint64_t stored = node.tail - node.head;
        const std::uint64_t before = i;
        while (i < end) {
            const std::uint64_t k = i - before;
            visit(find_list_item(s, node, node.order == queue_order::lifo ? stored - 1 - k : k));
        }
        return;
    }
    queue_walk walk(s, node, node.stride);
    while (i < end) visit(is_lost ? nullptr : walk.next());
}

const std::byte* find_item_bytes(const segment& s, const queue_node& node, const std::byte* item,
                                 std::uint64_t type_bytes, blob_slot& copy, std::uint64_t& bytes) {
    if (node.form != element_form::blob) {
        bytes = type_bytes != 0 && type_bytes <= node.stride ? type_bytes : node.stride;
        return item;
    }
    std::memcpy(&copy, item, sizeof copy);
    return find_blob(s, copy, bytes);
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
