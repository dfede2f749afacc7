// segment_audit.hpp - walks a whole segment at rest, without the code that wrote it: the second opinion.
//
// It knows segment_layout.hpp and nothing of how its structures are changed. "At rest": nobody is in an operation, and
// whatever the dead had left has been repaired.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include <cairn/detail/segment/segment.hpp>

namespace cairn_test {

/// Empty, or the first thing that does not hold:
/// - every page lies in exactly one extent, free or used, and an extent's inner pages say nothing;
/// - each free extent is in the free list of its order, once; free_pages is their sum;
/// - each used extent is in the chain of its owner, once; those of the segment hold control blocks and names;
/// - each control block is in the chain of all, once; free ones are in the chain of free ones, live ones in their
///   bucket; none is being built or erased;
/// - logs are empty, locks free, versions even, no operation unfinished, no extent in doubt;
/// - every block of every container is reached once or free (arena_audit, check_list, check_dict).
std::string audit_segment(const cairn::detail::segment& s);

struct page_use {
    std::uint32_t committed = 0;
    std::uint32_t free = 0;
    std::uint32_t slots = 0;  // that hold control blocks, which are kept for later roots
    std::uint32_t names = 0;  // of the table of names, which does not get smaller
    [[nodiscard]] std::uint32_t of_objects() const noexcept { return committed - free - slots - names; }
};
page_use count_pages(const cairn::detail::segment& s);

}  // namespace cairn_test
