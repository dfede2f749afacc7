// roots.hpp - the roots of a segment as an inspector finds them: which there are, who holds them, and one moment of them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "inspect/image.hpp"
#include "os/identity.hpp"
#include <cairn/detail/containers/list_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

/// Who holds a lock. A thread id means a living thread only where the source has living processes.
struct lock_holder {
    lock_state state = lock_state::free;
    std::uint32_t thread = 0;
    pid_t pid = 0;
    bool has_waiters = false;
};
lock_holder look_at(const stored_mutex& lock, const source& from);

/// Links (1 + number) of all control blocks, whatever their state: by their chain and, where that is broken, by the
/// extents they live in. `is_whole` tells which.
std::vector<std::uint32_t> all_slots(image& in, bool& is_whole);

/// Live and poisoned ones are what users see.
bool is_visible(const root_slot& slot) noexcept;
/// The object's name; "?" when it makes no sense.
std::string name_of(const root_slot& slot);
/// Type of its elements, as recorded; empty with `is_damaged` when the link leads nowhere.
std::string type_of(image& in, const root_slot& slot, bool& is_damaged);

/// The node of a list, judged alone: its form and stride make sense, and the segment has room for its elements. Or null.
list_node* node_in(image& in, const root_slot& slot);
list_node* node_in(image& in, segment_offset offset);

/// The control block as it is in the file at this moment; false when it is not there any more.
bool read_slot(const source& from, std::uint32_t link, root_slot& slot);

/// Nobody is in the middle of anything, living or dead, but for a user who holds a mutex: a copy that begins and ends like this, with the same counts, is
/// of one moment.
bool is_quiet(const root_slot& slot) noexcept;
/// The words that tell whether anybody was there between two looks.
bool is_same_moment(const root_slot& before, const root_slot& after) noexcept;

/// Calls `look` with an image in which the root stands still, and again with a fresh one when a writer came in between.
/// When the last writer is dead, with an image in which its work is undone or finished. Says in `notes` what the caller
/// of the caller should know. False when the root has gone.
bool read_root(const source& from, std::uint32_t link, std::uint64_t generation,
               std::vector<std::string>& notes, const std::function<void(image&, root_slot&)>& look);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
