// undo_log.hpp - old bytes, so that what a dead process had begun can be taken back.
//
// A record is the old bytes, padded to 8, followed by one word: offset << 16 | bytes. The word is last so that replay
// can walk backwards. A record counts once the log's head, stored after it, says so:
//
//   log    | old bytes | offset, 5 | old bytes ... | offset, 8 |  not yet counted
//                                                              ^ head
//
// head is area << 32 | bytes in that area: area 0 is the log built into the control block, else 1 + page of an extent
// that starts with a log_area_header, whose previous_head says where the log went on before. Storing 0 there commits.
// Bytes of memory that this transaction allocated need no record, except words that the allocator keeps in free memory.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class segment;

/// Where a log lives.
struct undo_log {
    std::uint64_t* head;
    unsigned char* area;  // the built-in one
    std::uint32_t area_bytes;
    const root_slot* root;  // whose it is; null: the segment's
};

constexpr std::uint64_t log_record_max_bytes = 0xfff8;

constexpr std::uint64_t log_record_word(segment_offset offset, std::uint64_t bytes) noexcept {
    return offset << 16 | bytes;
}

/// Puts back every counted record, newest first, or those behind `until`, which the head was before; leaves the head alone,
/// so that it can be done again. Returns the number of bytes put back, or -1 when the log is damaged: then nothing that the damaged record names was touched.
/// A record may name only what its owner's transactions write, whatever stands in a damaged one: a root's log its own
/// control block and extents, the segment's log its lists, its map and what it keeps in control blocks. No log names a
/// lock, a version or a log.
/// Never allocates, never throws: it runs for the dead.
std::int64_t replay_backwards(const segment& s, const undo_log& log, std::uint64_t until = 0) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
