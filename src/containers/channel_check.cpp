// channel_check.cpp - what must hold of a channel, for recovery's tests and for shmctl.
// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/channel_core.hpp"
#include "containers/channel_ring.hpp"
#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

std::string check_channel_node(const segment& s, const channel_node& node) {
    const std::uint64_t ring_words = load_word(node.ring_words);
    const std::uint64_t capacity = load_word(node.capacity);
    const std::uint32_t item_words = load_word(node.item_words);
    const std::uint32_t item_bytes = load_word(node.item_bytes);
    const element_form form = load_enum(node.form);
    if (form != (item_bytes == 0 ? element_form::blob : element_form::in_place))
        return "channel: its items have no known form";
    if (item_words != channel_item_words(item_bytes) || item_bytes > most_channel_words)
        return "channel: its items have no possible size";
    if (load_enum(node.state) > channel_state::closed) return "channel: its state is no known one";
    if (capacity == 0 || capacity > most_channel_words || ring_words == 0 ||
        ring_words > 2 * most_channel_words || (item_words != 0 && ring_words != capacity * item_words))
        return "channel: its capacity is no possible one";
    const std::uint64_t bytes = channel_block::words_at + buffer_words(ring_words) * sizeof(std::uint64_t);
    const segment_offset ring = load_word(node.ring);
    if (load_word(node.block_bytes) != cache_line_bytes + bytes ||
        ring != round_up(load_word(node.block), cache_line_bytes) ||
        s.find<std::byte>(ring, bytes) == nullptr)
        return "channel: its ring lies outside";
    const channel_block& block = *s.at<channel_block>(ring);
    if (!is_ring_in_place(block, ring_words)) return "channel: its ring leads elsewhere";
    if (block.ring.write_index() > ring_words || block.ring.read_index() > ring_words)
        return "channel: its indices make no sense";
    return {};
}

std::string check_channel(const segment& s, channel_node& node, arena_audit& audit) {
    if (std::string problem = check_channel_node(s, node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    audit.reached(node.block, node.block_bytes);
    const channel_block& block = block_of(s, node);
    const std::uint32_t count = count_at(block.put_mark, block.ring.write_index()) -
                                count_at(block.get_mark, block.ring.read_index());
    const std::vector<std::uint64_t> words = stored_items(s, node);
    std::uint64_t found = 0;
    for (std::size_t at = 0; at < words.size(); ++found)
        if (next_item(node.item_bytes, words, at).data() == nullptr) return "channel: an item is not whole";
    if (found != count) return "channel: it has other items than it counts";
    if (count > node.capacity) return "channel: it has more items than it may hold";
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail
