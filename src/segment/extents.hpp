// extents.hpp - the only thing a segment hands out: power-of-two runs of pages, by a buddy system.
//
// A run of any number of pages is given as the extents it decomposes into by alignment, largest where aligned: as in
// CIDR ranges, the pieces follow from first page and count alone. Every used extent is in its owner's chain.
//
// Protected by  the segment's lock; every function wants the guard, logs there, and leaves the commit to its caller.
// Death         a run that was taken but not yet committed by its root is newer in the chain than root_slot::settled:
//               the root's recovery gives it back.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Makes sure that a run of `pages` can be taken, growing the segment if need be: by commits of its own, so the guard
/// must be clean. With an `alignment` other than 1, which must be `pages` and a power of two, take_run() will give a
/// single extent: its first page is a multiple. Throws segment_full, system_failure.
void reserve_run(segment_guard& guard, std::uint32_t pages, std::uint32_t alignment = 1);

/// Throws segment_full where so many bytes have no room even in an empty segment. Before memory is taken for a part of them.
void require_possible(const segment& s, std::uint64_t bytes);

/// Before an operation that is going to take so many pages in all, and has taken none: throws segment_full where there cannot be as many.
/// Those that the segment would have to grow by the system allocates now, while they are nobody's and can go back: pages that readers
/// were shown stay in a file system of a fixed size.
void require_pages(segment& s, std::uint64_t pages);

/// Pages [from, to) that have to be backed for that: the segment would grow by them, or they may be holes. Throws segment_full.
struct missing_pages {
    std::uint32_t from = 0;
    std::uint32_t to = 0;
    [[nodiscard]] std::uint32_t count() const noexcept { return to - from; }
};
missing_pages missing_for_run(const segment_guard& guard, std::uint32_t pages, std::uint32_t alignment = 1);

/// Takes a run that reserve_run() has made sure of, with the same alignment; `owner` null: the segment itself. Returns its first page.
std::uint32_t take_run(segment_guard& guard, root_slot* owner, std::uint32_t pages, extent_purpose purpose,
                       std::uint32_t alignment = 1);

/// The run of `pages` from `first` on, if it is free; where it may have holes, they are backed first, so the guard must be clean. False also
/// where that are more than may be backed under the lock. Throws segment_full, system_failure.
bool take_run_at(segment_guard& guard, root_slot& owner, std::uint32_t first, std::uint32_t pages,
                 extent_purpose purpose);

/// Frees one extent, joining it with its free neighbours; takes it out of its owner's chain.
void give_back_extent(segment_guard& guard, root_slot* owner, std::uint32_t page);

/// Size in pages of the piece that a run of `count` pages from `page` begins with.
std::uint32_t first_piece_order(std::uint32_t page, std::uint32_t count) noexcept;

/// What a walk over all pages comes upon at `page`: so many from there on are free, or are not. Under the lock. The walk may have begun
/// when the extents were others.
struct page_stretch {
    bool are_free;
    std::uint32_t count;
};
page_stretch stretch_at(const segment& s, std::uint32_t page) noexcept;

/// Free pages at the end that readers without a lock do not look at leave the segment, by commits of its own: they are nobody's then.
/// (Model: growth.)
void drop_free_tail(segment_guard& guard);
/// After a death: pages at the end that are in no extent are nobody's.
void recover_tail(segment& s) noexcept;

/// Backs [committed, committed + bytes) and publishes the new limit. Exposed for creation and tests.
void grow(segment_guard& guard, std::uint32_t new_page_count);

}  // namespace cairn::inline CAIRN_ABI::detail
