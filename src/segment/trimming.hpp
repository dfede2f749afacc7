// trimming.hpp - pages that a segment does not use go back to the system.
//
// Free extents are punched out of the file. They stay the segment's: whoever takes such pages again has them backed first
// (extents.hpp, `holes_from`), so that no memory is segment_full there, as at a growth.
//
// Readers       without the lock may be in a page that was freed a moment ago, and what is kept of a removed object (the place of its
//               node) may be looked at at any time. They find zeros there, as they may find anything in a page that was used again, and
//               throw them away: version or generation have changed. But a look at a hole takes a page of the file system, and where
//               that can fail it is SIGBUS. So this is done where memory itself is the limit, in anonymous segments above all, and not
//               in a tmpfs of a fixed size, which /dev/shm is.
// Death         before or after a punch: there is a hole or not, and `holes_from` says that there may be.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// For tests: trims in /dev/shm, too, where the crash table has its segments. Nothing of theirs fills it.
extern bool trims_everywhere;

/// Also in /dev/shm: pages behind the limit that no reader can have seen (backing.hpp). Returns about how many bytes the system has got back: 0 where pages cannot go.
std::uint64_t trim_segment(segment& s);

/// After an operation that was undone, for which the segment may have grown from so many pages: those that are free go back, and so do
/// holes that were backed for it. Left to the
/// next trim if the operation has a limit, or where that is not possible.
void give_back_growth(segment& s, std::uint32_t pages_before) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
