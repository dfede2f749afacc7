// moving.hpp - which blocks to move so that free pages that lie apart become one run.
//
// A container that knows who points to its blocks moves them when a segment has enough free pages, but no run that is long
// enough: each move is a transaction that changes no value. What is planned here is only a proposal. Other objects take and free
// pages meanwhile, so each step looks again (root_transaction::take_pages_at).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// A block with pages of its own that its container can move.
struct movable_block {
    std::uint32_t page;
    std::uint32_t count;
    std::uint64_t place;  // says the container where the link to it is
};

struct block_move {
    movable_block block;
    std::uint32_t to;  // free when its turn has come
};

/// All pages of a segment as stretches that are free, or a movable block, or neither.
struct page_picture {
    enum class use : std::uint8_t { free, movable, fixed };
    struct stretch {
        std::uint32_t page;
        std::uint32_t count;
        use is;
        std::uint64_t place;
    };
    std::vector<stretch> stretches;

    void add(std::uint32_t page, std::uint32_t count, use is, std::uint64_t place = 0);
};

/// Takes the segment's lock. `blocks` in the order of their pages; throws corrupt_segment where two of them overlap.
page_picture picture_of(segment& s, const std::vector<movable_block>& blocks);

std::uint32_t longest_free_run(const page_picture& picture) noexcept;

/// The moves, in their order, after which `pages` are free in one run: about the fewest pages that have to be copied. `pages` more than
/// are there in one run already. Empty where no way is found, with so many looks at stretches and holes (20 ns each) or with 2^20; takes
/// those that it needed off `looks_left`.
std::vector<block_move> plan_moves(const page_picture& picture, std::uint32_t pages,
                                   std::uint64_t& looks_left);

}  // namespace cairn::inline CAIRN_ABI::detail
