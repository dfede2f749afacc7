// directory.hpp - the named roots of a segment.
//
// Stored        name buckets (heads of chains through root_slot::next_in_bucket), chain of all slots, chains of free ones, of
//               pending ones, of entrusted ones. An object is one root; or one with its name, and parts that only its node
//               leads to.
// Protected by  the segment's lock, which a creation holds from begin to end. Where first contents are long, it holds that
//               at its begin and at its end, and between them the root's own lock: the roots are entrusted to it.
// Commit        begin: the slot is `building` and in the chain of pending ones. publish: one commit of the segment makes
//               all of them live. erase: one commit takes the name away and makes the object's roots `erasing` and
//               pending; the rest is finish_pending_roots().
// Death         pending roots are finished off by the next holder of the segment's lock: of an object in parts, all. So are
//               entrusted ones whose lock says that its owner has died, or has given up.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// The live root of that name, or null.
root_slot* find_root(const segment_guard& guard, std::string_view name);

/// Takes a slot for a new root of that name, which nobody can find yet; the caller fills it in without logging, and
/// ends with publish_root() or finish_pending_roots(). Throws segment_full.
root_slot& begin_root(segment_guard& guard, std::string_view name, object_kind kind);
/// The same for a part of `whole`, which was begun before: the two are published or finished off together.
root_slot& begin_part(segment_guard& guard, const root_slot& whole, object_kind kind);
/// What takes longer than this to copy is not copied under the segment's lock. Chosen freely: some 10 us. Not constant, for tests.
extern std::uint64_t long_contents_bytes;

/// Before the segment's lock is given back: what is pending, `whole` and its parts, is the calling thread's from now on, as long
/// as it holds the lock of `whole`. It may then be built without the segment's lock. False, and still pending, where that
/// lock is not free: somebody uses it with a handle to a former object.
[[nodiscard]] bool entrust_root(segment_guard& guard, root_slot& whole);
/// In another hold of the segment's lock: pending again. The lock of `whole` is given back by the caller, after the segment's.
void recall_root(segment_guard& guard, root_slot& whole);
/// Gives back what dead builders had. Called by each holder of the segment's lock.
void finish_abandoned_roots(segment_guard& guard);

/// Publishes the root, and the parts that were begun after it.
void publish_root(segment_guard& guard, root_slot& slot);

/// Takes the root out of the directory, with its parts, and gives their memory back. The caller holds the locks of all
/// of them, or they are poisoned.
void erase_root(segment_guard& guard, root_slot& slot, std::span<root_slot* const> parts = {});

/// Gives back what the pending roots have, if there are any, and frees their slots. Bounded steps, each committed; can be
/// interrupted and repeated.
void finish_pending_roots(segment_guard& guard);

/// The parts of a live root, in their order; none for the kinds that are one root. Under the segment's lock, or between
/// two looks at the generation. Throws corrupt_segment where they are not what belongs to it.
std::vector<root_slot*> find_parts(const segment& s, const root_slot& whole);

/// For who removes it: all parts that say they are this root's, whatever its node says, in the order of the chain of all
/// slots. Throws corrupt_segment where that goes round, or one of them has no lock.
std::vector<root_slot*> find_parts_by_chain(const segment_guard& guard, const root_slot& whole);

std::uint64_t hash_name(const segment& s, std::string_view name) noexcept;

/// Slot of a link read from the segment; throws corrupt_segment when it leads outside.
root_slot& slot_at(const segment& s, std::uint32_t link);
/// The same of a link that a root may have to another one: null when there is no control block there. Needs no lock: they stay.
root_slot* slot_if_any(const segment& s, std::uint64_t link) noexcept;

/// More steps than this no chain of slots has, whatever the segment says.
std::uint32_t most_slots(const segment& s) noexcept;

/// Throw invalid_name.
void require_segment_name(std::string_view name);
void require_object_name(const segment& s, std::string_view name);

}  // namespace cairn::inline CAIRN_ABI::detail
