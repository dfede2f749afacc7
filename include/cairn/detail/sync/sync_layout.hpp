// sync_layout.hpp - what the objects of include/cairn/{mutex,event,semaphore}.hpp store in their arenas.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class segment;
class arena_audit;

/// What a lock's data is worth. Whoever takes the lock and does not find `free` is the next after a dead owner.
enum class hold_state : std::uint32_t {
    free = 0,        // given back
    held = 1,        // by the owner of the root's lock
    owner_died = 2,  // the same, after one who has died with it; nobody has called mark_consistent() yet
};

/// A mutex or a recursive_mutex. The lock itself is the root's: its slot, and so the lock's memory, is never anything else.
///
///   0         4         8           16
///   | state   | depth   | reserved_ |
struct mutex_node {
    // hold_state; written by the lock's owner: after it has taken the lock, and before it gives it back.
    std::uint32_t state;
    // How often the owner of a recursive_mutex has taken it beyond the first time; written by the owner.
    std::uint32_t depth;
    std::uint64_t reserved_;
};
static_assert(std::is_standard_layout_v<mutex_node> && sizeof(mutex_node) == 16);

/// What must hold of the node of a lock of that kind; empty, or what does not.
std::string check_mutex_node(const mutex_node& node, object_kind kind);
std::string check_mutex(const segment& s, const mutex_node& node, object_kind kind, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
