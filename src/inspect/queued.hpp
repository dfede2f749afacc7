// queued.hpp - items of queues in an image, whose bytes may be anything.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>

#include "inspect/image.hpp"
#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_queue(const root_slot& slot) noexcept;

/// The node of a queue, judged alone: its form and stride make sense, and the segment has room for its items. Or null.
queue_node* queue_node_in(image& in, const root_slot& slot);

/// Calls `each` with the slots of items first, first + 1 ... in the order in which they would be taken, `count` at most; with
/// null for one that links do not lead to. Ends whatever the links are.
void walk_items(const segment& s, const queue_node& node, std::uint64_t first, std::uint64_t count,
                const std::function<void(const std::byte*)>& each);

/// Where the bytes of an item are, from its slot; `copy` receives what the result may point into. Null for damaged ones.
const std::byte* find_item_bytes(const segment& s, const queue_node& node, const std::byte* item,
                                 std::uint64_t type_bytes, blob_slot& copy, std::uint64_t& bytes);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
