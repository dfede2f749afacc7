// room_for_locks.hpp - room for a thread that holds more locks than thread_state has room for.
//
// On the stack of whoever takes them: it needs no memory that could be missing, and no end of the thread that gives it back.
// A handler of a signal may lock and unlock at any point in here: the room never says more than there is.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Who removes an object in parts holds the lock of each part and that of the whole, and the segment's inside them; and one
/// to spare.
constexpr std::uint32_t most_held_locks = 67;

/// In scope from before the first of the locks until after the last. Throws as require_usable_thread() does.
class room_for_locks {
public:
    room_for_locks() {
        require_usable_thread();
        thread_state& thread = this_thread;
        record_only_lock();
        outer_ = thread.held;
        outer_room_ = thread.held_room;
        const std::uint32_t known = std::min(thread.held_count, outer_room_);
        std::copy_n(outer_, known, held_);
        // Of locks that were taken when there was no room nobody knows which they are.
        std::fill(held_ + known, held_ + std::min(thread.held_count, most_held_locks), held_lock{});
        thread.held = held_;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        thread.held_room = most_held_locks;
    }
    room_for_locks(const room_for_locks&) = delete;
    room_for_locks& operator=(const room_for_locks&) = delete;
    ~room_for_locks() {
        thread_state& thread = this_thread;
        record_only_lock();
        thread.held_room = outer_room_;
        std::atomic_signal_fence(std::memory_order_seq_cst);
        std::copy_n(held_, std::min(thread.held_count, outer_room_), outer_);
        thread.held = outer_;
    }

private:
    held_lock* outer_ = nullptr;
    std::uint32_t outer_room_ = 0;
    held_lock held_[most_held_locks];
};

}  // namespace cairn::inline CAIRN_ABI::detail
