// directory.hpp - the named roots of a segment.
//
// Stored        name buckets (heads of chains through root_slot::next_in_bucket), chain of all slots, chain of free ones.
// Protected by  the segment's lock, which a creation holds from begin to end.
// Commit        begin: the slot is `building` and control.pending_slot names it. publish: one commit of the segment.
//               erase: one commit takes the name away and makes the slot `erasing`; the rest is finish_pending_root().
// Death         a pending root is finished off by the next holder of the segment's lock.
#pragma once

#include <string_view>

#include "segment/segment_guard.hpp"

namespace cairn::inline v0::detail {

/// The live root of that name, or null.
root_slot* find_root(const segment_guard& guard, std::string_view name);

/// Takes a slot for a new root of that name, which nobody can find yet; the caller fills it in without logging, and
/// ends with publish_root() or finish_pending_root(). Throws segment_full.
root_slot& begin_root(segment_guard& guard, std::string_view name, object_kind kind);
void publish_root(segment_guard& guard, root_slot& slot);

/// Takes the root out of the directory and gives its memory back. The caller holds the root's lock.
void erase_root(segment_guard& guard, root_slot& slot);

/// Gives back what the pending root has, if there is one, and frees its slot. Bounded steps, each committed; can be
/// interrupted and repeated.
void finish_pending_root(segment_guard& guard);

std::uint64_t hash_name(const segment& s, std::string_view name) noexcept;

/// Slot of a link read from the segment; throws corrupt_segment when it leads outside.
root_slot& slot_at(const segment& s, std::uint32_t link);

/// More steps than this no chain of slots has, whatever the segment says.
std::uint32_t most_slots(const segment& s) noexcept;

/// Throw invalid_name.
void require_segment_name(std::string_view name);
void require_object_name(const segment& s, std::string_view name);

}  // namespace cairn::inline v0::detail
