// SPDX-License-Identifier: BSL-1.0
#include "segment/farewell.hpp"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "base/never_destroyed.hpp"
#include "segment/internals.hpp"
#include "segment/left_names.hpp"
#include "segment/lifecycle.hpp"
#include "segment/participants.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constinit std::atomic<bool> is_at_exit = false;
// Chosen freely: exit handlers cost memory, and programs that attach more often than this know what they do.
constexpr int most_exit_handlers = 16;
constinit std::atomic<int> exit_handlers = 0;

// What could not be ended yet. Under the registry's lock.
constinit never_destroyed<std::vector<segment*>> waiting;

// A process that was made by a raw clone takes itself for its parent: it may end nothing that is the parent's.
bool may_end_mappings() noexcept {
    return !is_at_exit.load() && !is_raw_child() && !is_any_thread_in_operation();
}

// A user's mutex that is held while its last handle has gone: nobody can give it back, but the kernel releases it at its
// thread's end, and reads the mapping for that.
bool is_locked_here(const segment& s) noexcept {
    return is_any_lock_held_in(s.base(), s.header().max_bytes);
}

void leave_and_delete(segment* s) noexcept {
    if (s->is_writable() && s->internals().participant.load() != nullptr) {
        unregister_participant(*s);
        try {
            remove_if_unused(*s);
            note_left_name(*s);
        } catch (const error&) {
            // Destructors do not throw: a damaged segment keeps its name, and `shmctl gc` sees it.
        } catch (const limit_reached&) {
            // Somebody holds its lock, and so is alive.
        }
    }
    segment_access::drop(s);
}

}  // namespace

void end_mapping(segment* s) noexcept {
    if (may_end_mappings() && !is_locked_here(*s)) {
        leave_and_delete(s);
        return end_waiting_mappings();
    }
    if (is_at_exit.load()) return;
    try {
        const registry::lock held;
        waiting.get().push_back(s);
    } catch (const std::bad_alloc&) {
        // It stays mapped, and this process attached, until the process ends.
    }
}

void end_waiting_mappings() noexcept {
    for (;;) {
        segment* next = nullptr;
        {
            const registry::lock held;
            if (!may_end_mappings()) return;
            std::vector<segment*>& all = waiting.get();
            const auto free =
                std::find_if(all.begin(), all.end(), [](const segment* s) { return !is_locked_here(*s); });
            if (free == all.end()) return;
            next = *free;
            all.erase(free);
        }
        leave_and_delete(next);
    }
}

void forget_waiting_mappings() noexcept {
    // Not destroyed: they are the parent's participants, and memory may not be given back here.
    waiting.get().clear();
}

void prepare_for_exit() noexcept {
    // relaxed: a few more or less do no harm
    if (exit_handlers.load(std::memory_order_relaxed) >= most_exit_handlers) return;
    exit_handlers.fetch_add(1, std::memory_order_relaxed);
    std::atexit(say_farewell);
}

void say_farewell() noexcept {
    if (is_raw_child()) return;
    settle_left_names();
    is_at_exit.store(true);
    if (this_thread.open != nullptr)
        return;  // exit() in a handler that has interrupted an operation: as if killed
    registry::for_each([](segment& s) { take_name_along(s); });
}

}  // namespace cairn::inline CAIRN_ABI::detail
