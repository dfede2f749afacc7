// trimming.hpp - pages that a segment does not use go back to the system.
//
// In a file where a hole costs nothing but memory (an anonymous segment's above all) free extents are punched out. They stay the
// segment's: whoever takes such pages again has them backed first (extents.hpp, `holes_from`), so that no memory is segment_full there,
// as at a growth.
//
// Readers       without the lock may be in a page that was freed a moment ago, and what is kept of a removed object (the place of its
//               node) may be looked at at any time. They find zeros there, as they may find anything in a page that was used again, and
//               throw them away: version or generation have changed. But a look at a hole takes a page of the file system, and where
//               that can fail it is SIGBUS. So in a tmpfs of a fixed size, which /dev/shm is, that alone goes back which they were never
//               shown (shown_bytes): what was taken for transactions that are not committed. And there it leaves the segment, from its
//               end: what is committed behind a hole would show them the hole, too.
// Death         before or after a punch: there is a hole or not, and `holes_from` says that there may be.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// For tests: trims in /dev/shm, too, where the crash table has its segments. Nothing of theirs fills it.
extern bool trims_everywhere;
/// For tests: all files are as in a file system of a fixed size.
extern bool drops_everywhere;

/// In /dev/shm: pages at the end that readers were not shown. Returns about how many bytes the system has got back: 0 where pages cannot go.
std::uint64_t trim_segment(segment& s);

/// After an operation that was undone, for which the segment may have grown from so many pages: those that are free go back, and so do
/// holes that were backed for it. Left to the
/// next trim if the operation has a limit, or where that is not possible.
void give_back_growth(segment& s, std::uint32_t pages_before) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
