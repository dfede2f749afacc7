// list_moving.cpp - blocks of a list move together where free pages lie apart.
//
// Each move is a transaction of its own: pages, the bytes, the slot that leads to them, the old pages given back. The list is the
// same before and after it. Readers without the lock wait meanwhile, since the version is odd.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <vector>

#include "arena/moving.hpp"
#include "cairn/detail/containers/list_core.hpp"
#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr int most_tries = 8;   // of an operation: several values are given their pages one after the other
constexpr int most_plans = 16;  // chosen freely; others may take the pages that one has counted on

std::uint64_t pages_for(std::uint64_t bytes) noexcept {
    return (bytes + page_bytes - 1) / page_bytes;
}

bool has_block(const blob_slot& slot) noexcept {
    return slot.last >> 56 == blob_outside >> 56;
}

// Of the list's blocks those that have pages of their own, by page.
std::vector<movable_block> large_blocks(root_transaction& tx, list_node& node) {
    const segment& s = tx.in();
    const chunk_links links = links_of(node);
    const std::uint32_t owner = s.slot_number(tx.slot()) + 1;
    std::vector<movable_block> blocks;
    for (std::uint64_t i = 0; i < node.size;) {
        const list_geometry::position at = links.geometry.locate(i);
        const std::uint64_t count =
            std::min(node.size - i, links.geometry.chunk_elements(at.superblock) - at.within);
        const std::byte* run = find_run(s, links, i, count);
        if (run == nullptr) throw_damaged(s, tx.slot());
        const auto* slots = reinterpret_cast<const blob_slot*>(run);
        for (std::uint64_t k = 0; k < count; ++k) {
            if (!has_block(slots[k])) continue;
            const std::uint64_t bytes = slots[k].last & blob_length_mask;
            if (s.find<std::byte>(slots[k].first, bytes) == nullptr) throw_damaged(s, tx.slot());
            const std::uint32_t page = s.page_of(slots[k].first);
            const page_entry& entry = s.page(page);
            if (s.page_offset(page) != slots[k].first || entry.owner != owner ||
                tag_state(entry.tag) != extent_state::used || tag_purpose(entry.tag) != extent_purpose::large)
                continue;
            blocks.push_back({page, static_cast<std::uint32_t>(pages_for(bytes)), i + k});
        }
        i += count;
    }
    std::sort(blocks.begin(), blocks.end(),
              [](const movable_block& a, const movable_block& b) { return a.page < b.page; });
    return blocks;
}

// False where the pages are not free any more.
bool move_block(root_transaction& tx, list_node& node, const block_move& move) {
    if (!tx.take_pages_at(move.to, move.block.count)) {
        tx.roll_back();
        return false;
    }
    tx.begin_change();
    segment& s = tx.in();
    auto& slot = *reinterpret_cast<blob_slot*>(element_at(tx, node, move.block.place));
    const std::uint64_t bytes = slot.last & blob_length_mask;
    const segment_offset to = s.page_offset(move.to);
    copy_across(s.at<std::byte>(to), s.at<std::byte>(slot.first), bytes);
    tx.store(slot.first, to);
    tx.free_pages(move.block.page, move.block.count);
    tx.commit();
    return true;
}

// Puts a run of so many pages together. False where there is no way.
bool gather_run(root_transaction& tx, list_node& node, std::uint32_t pages) {
    // What one plan cannot do several may: a longer hole passes longer blocks.
    for (int plans_left = most_plans; plans_left != 0; --plans_left) {
        const page_picture picture = picture_of(tx.in(), large_blocks(tx, node));
        const std::uint32_t longest = longest_free_run(picture);
        if (longest >= pages) return true;
        std::vector<block_move> moves;
        for (std::uint32_t wanted = pages; wanted > longest && moves.empty();
             wanted -= (wanted - longest + 3) / 4)
            moves = plan_moves(picture, wanted);
        if (moves.empty()) return false;
        for (const block_move& move : moves)
            if (!move_block(tx, node, move)) break;
    }
    return false;
}

bool gather(root_transaction& tx, list_node& node, std::uint64_t least_bytes, std::uint64_t most_bytes) {
    // Not for want of a piece that is long enough.
    if (pages_for(most_bytes) > load_word(tx.in().control().free_pages)) return false;
    // The list may have asked for its next chunk as well.
    const list_geometry geometry(node.stride);
    const std::uint64_t chunk =
        node.size == node.limit ? geometry.chunk_bytes(geometry.locate(node.size).superblock) : 0;
    const std::uint64_t least = std::max(pages_for(least_bytes), pages_for(chunk));
    for (std::uint64_t pages = pages_for(most_bytes) + pages_for(chunk);;
         pages = std::max(pages / 2, least)) {
        if (pages <= load_word(tx.in().control().free_pages) &&
            gather_run(tx, node, static_cast<std::uint32_t>(pages)))
            return true;
        if (pages <= least) return false;
    }
}

}  // namespace

void gather_free_pages(root_transaction& tx, list_node& node, std::uint64_t least_bytes,
                       std::uint64_t most_bytes, int& tries) {
    if (++tries > most_tries || node.form != element_form::blob || tx.is_building() || tx.has_joined()) throw;
    tx.roll_back();
    if (!gather(tx, node, least_bytes, most_bytes)) throw;
}

}  // namespace cairn::inline CAIRN_ABI::detail
