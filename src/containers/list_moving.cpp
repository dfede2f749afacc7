// list_moving.cpp - blocks of a list move together where free pages lie apart.
//
// Each move is a transaction of its own: pages, the bytes, the slot that leads to them, the old pages given back. The list is the
// same before and after it. Readers without the lock wait meanwhile, since the version is odd.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <new>
#include <vector>

#include "arena/moving.hpp"
#include "arena/size_classes.hpp"
#include "cairn/detail/containers/list_core.hpp"
#include "containers/list_chunks.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// In looks, of some 20 ns.
constexpr std::uint64_t page_work = 50;       // copies a page
constexpr std::uint64_t new_page_work = 100;  // takes a page, which may be a hole, writes it, gives it back
constexpr std::uint64_t move_work = 200;      // a transaction

void spend(moving_work& work, std::uint64_t looks) noexcept {
    work.left -= std::min(work.left, looks);
}

std::uint64_t pages_for(std::uint64_t bytes) noexcept {
    return (bytes + page_bytes - 1) / page_bytes;
}

bool has_block(const blob_slot& slot) noexcept {
    return slot.last >> 56 == blob_outside >> 56;
}

// Of the list's blocks those that have pages of their own, by page; of a very long list those of the first elements.
std::vector<movable_block> large_blocks(root_transaction& tx, list_node& node, moving_work& work) {
    const segment& s = tx.in();
    const chunk_links links = links_of(node);
    const std::uint32_t owner = s.slot_number(tx.slot()) + 1;
    std::vector<movable_block> blocks;
    for (std::uint64_t i = 0; i < node.size && work.left != 0;) {
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
            // Each has a page that no other has.
            if (blocks.size() >= s.committed_pages()) throw_damaged(s, tx.slot());
            blocks.push_back({page, static_cast<std::uint32_t>(pages_for(bytes)), i + k});
        }
        spend(work, count);
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

// What an operation needs beside what the list has.
struct need {
    std::uint64_t least = 0;   // in one run
    std::uint64_t all = 0;     // in one run: enough for all of it
    std::uint64_t surely = 0;  // in all: small values may find room in pages that the list has
};

need need_for(const segment& s, list_node& node, std::uint64_t added, std::span<const std::size_t> ends) {
    need pages;
    std::uint64_t small_bytes = 0;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
        const std::size_t bytes = end - begin;
        if (bytes <= largest_small_bytes) small_bytes += bytes;
        else pages.surely += pages_for(bytes);
        pages.least = std::max(pages.least, pages_for(bytes));
        begin = end;
    }
    pages.all = pages.surely + pages_for(small_bytes);
    if (added == 0) return pages;
    const chunk_links links = links_of(node);
    const std::uint64_t chunks = missing_pages_of_chunks(s, links, node.size, node.size + added);
    if (chunks == 0) return pages;
    const list_geometry::position last = links.geometry.locate(node.size + added - 1);
    pages.all += chunks;
    pages.surely += chunks;
    pages.least = std::max(pages.least, pages_for(links.geometry.chunk_bytes(last.superblock)));
    return pages;
}

std::uint64_t cost_of(const std::vector<block_move>& moves) noexcept {
    std::uint64_t cost = 0;
    for (const block_move& move : moves) cost += move_work + page_work * move.block.count;
    return cost;
}

// What of a run is of use, where all values are as large as the largest.
std::uint64_t usable_of(std::uint64_t run, std::uint64_t least) noexcept {
    return run / least * least;
}

std::uint64_t usable_pages(const page_picture& picture, std::uint64_t least) noexcept {
    std::uint64_t pages = 0;
    for (const page_picture::stretch& each : picture.stretches)
        if (each.is == page_picture::use::free) pages += usable_of(each.count, least);
    return pages;
}

// For a run beside those that are of use already.
void keep_usable(page_picture& picture, std::uint64_t least) noexcept {
    for (page_picture::stretch& each : picture.stretches)
        if (each.is == page_picture::use::free && each.count >= least) each.is = page_picture::use::fixed;
}

// Where no plan makes a run as long as wanted, one that makes a shorter one comes first: a longer hole passes longer blocks.
std::vector<block_move> plan_some(const page_picture& picture, std::uint64_t wanted, moving_work& work) {
    const std::uint64_t longest = longest_free_run(picture);
    for (; wanted > longest && work.left != 0; wanted -= (wanted - longest + 3) / 4) {
        std::vector<block_move> moves = plan_moves(picture, static_cast<std::uint32_t>(wanted), work.left);
        if (!moves.empty()) return moves;
    }
    return {};
}

// Whether blocks have moved, and there is a run as long as the shortest that is of use. Goes for that one first, then for a longer one,
// up to what the last try lacked, and where that one comes to its end, for others.
bool gather(root_transaction& tx, list_node& node, const need& pages, std::uint64_t missing,
            moving_work& work) {
    bool has_moved = false;
    std::uint64_t most = 0;
    std::uint64_t goal = 0;
    std::uint64_t step = pages.least;
    for (;;) {
        page_picture picture = picture_of(tx.in(), large_blocks(tx, node, work));
        spend(work, 2 * picture.stretches.size());
        const std::uint64_t longest = longest_free_run(picture);
        const std::uint64_t usable = usable_pages(picture, pages.least);
        if (most == 0) {
            most = std::min(pages.all, longest + missing);
            goal = std::min(pages.all, usable + missing);
        }
        if (longest >= most) return has_moved;
        std::uint64_t wanted = pages.least;
        if (usable != 0) {
            wanted = std::min(most, longest + step);
            step *= 4;
        }
        std::vector<block_move> moves = plan_some(picture, wanted, work);
        if (moves.empty() && usable != 0 && usable < goal) {
            keep_usable(picture, pages.least);
            moves = plan_some(picture, pages.least, work);
        }
        const std::uint64_t cost = cost_of(moves);
        if (moves.empty() || cost > work.left) return has_moved && usable != 0;
        spend(work, cost);
        for (const block_move& move : moves) {
            if (!move_block(tx, node, move)) break;
            has_moved = true;
        }
    }
}

bool is_possible(const segment& s, const need& pages) noexcept {
    const std::uint64_t free = load_word(s.control().free_pages);
    return pages.least <= free && pages.surely <= free + (s.header().page_limit - s.committed_pages());
}

}  // namespace

void gather_free_pages(root_transaction& tx, list_node& node, std::uint64_t added,
                       std::span<const std::size_t> ends, moving_work& work) {
    if (tx.is_building() || tx.has_joined()) throw;
    const std::uint64_t taken = tx.slot().extent_pages;
    tx.roll_back();
    // How far the try came; the next one does that again.
    const std::uint64_t written = taken - std::min<std::uint64_t>(taken, tx.slot().extent_pages);
    if (written * new_page_work >= work.left) throw;
    spend(work, written * new_page_work);
    static_cast<void>(sound_node(tx, tx.in().offset_of(&node)));
    if (node.form != element_form::blob) throw;
    bool has_moved = false;
    try {
        const need pages = need_for(tx.in(), node, added, ends);
        const std::uint64_t missing = pages.all - std::min(pages.all, written);
        if (is_possible(tx.in(), pages))
            has_moved = gather(tx, node, pages, std::max(missing, pages.least), work);
    } catch (const segment_full&) {
        // Says less than what the operation itself has found.
    } catch (const std::bad_alloc&) {}
    if (!has_moved) throw;
}

}  // namespace cairn::inline CAIRN_ABI::detail
