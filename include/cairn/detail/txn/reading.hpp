// reading.hpp - reads without the lock.
//
// A reader looks at the root's version, copies, and looks again: the same even version means that no writer was there.
// Readers write nothing, so they neither wait for each other nor slow writers down. After a few tries, or with a dead
// writer's odd version, the lock settles it: a read ends however busy writers are. A process that may only read cannot take
// it; it looks between a writer's changes, for some seconds, and reads in pieces what takes longer to copy than the writer
// leaves it alone.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr int optimistic_attempts = 8;

/// What the copying function found: `torn` means a link led nowhere, which is damage if the version did not change.
enum class read_result { done, torn };

CAIRN_API CAIRN_COLD void pause_reader() noexcept;
/// In a thread that is inside an operation: throws would_deadlock, unless that is a transaction of the user's on this root;
/// then object_gone when the root is not of that generation.
CAIRN_API CAIRN_COLD void require_joinable(const segment& s, const root_slot& slot, std::uint64_t generation);
[[noreturn]] CAIRN_API CAIRN_COLD void throw_damaged(const segment& s, const root_slot& slot);

/// A second view of a read-only segment in which a dead writer's work can be undone without touching the segment. Says
/// something only while no writer lives: look at the version afterwards.
CAIRN_API CAIRN_COLD segment_ptr private_view(segment& s, const root_slot& slot);

/// The first try of a read, for operations that want everything in registers: a closure whose address is taken, as
/// read_root() does for its second try, would not have it.
class quick_look {
public:
    CAIRN_INLINE quick_look(const segment& s, const root_slot& slot, std::uint64_t generation) : slot_(slot) {
        // The same every time, not only when a writer happens to be there. In a transaction of the user's: read_root().
        if (this_thread.open != nullptr) [[unlikely]] {
            require_joinable(s, slot, generation);
            return;
        }
        // acquire: pairs with the release of the even version; all stores of that change are seen
        version_ = __atomic_load_n(&slot.version, __ATOMIC_ACQUIRE);
        may_look_ = version_ % 2 == 0 && load_word(slot.generation) == generation;
    }
    [[nodiscard]] CAIRN_INLINE bool may_look() const noexcept { return may_look_; }
    /// True when what was copied since is whole.
    [[nodiscard]] CAIRN_INLINE bool is_whole() const noexcept {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the copy comes before the second look
        return load_word(slot_.version) == version_;
    }

private:
    const root_slot& slot_;
    std::uint64_t version_ = 0;
    bool may_look_ = false;
};

/// The rest of read_root(), out of line: tries again, then takes the lock. False, if it may give up, in a process that may
/// not, when a writer has changed the root during each of some copies.
using read_function = read_result (*)(void* copy, segment& s);
CAIRN_API CAIRN_COLD bool read_root_slowly(segment& s, root_slot& slot, std::uint64_t generation,
                                           read_function call, void* copy, bool may_give_up);

/// Runs `copy(segment&)`, which copies to private memory and returns a read_result, until what it copied is whole.
/// Throws object_gone, object_poisoned, corrupt_segment, would_deadlock; timeout_error in a process that may only read.
template <typename Copy>
void read_root(segment& s, root_slot& slot, std::uint64_t generation, Copy copy) {
    const quick_look look(s, slot, generation);
    if (look.may_look()) [[likely]] {
        const read_result result = copy(s);
        if (look.is_whole() && result == read_result::done) [[likely]]
            return;
    }
    read_root_slowly(
        s, slot, generation, [](void* again, segment& in) { return (*static_cast<Copy*>(again))(in); }, &copy,
        false);
}

/// The same for what takes long to copy. False in a process that may only read where a writer does not leave it the time: what
/// was copied is nothing then, and pieces are to be read.
template <typename Copy>
[[nodiscard]] bool read_root_whole(segment& s, root_slot& slot, std::uint64_t generation, Copy copy) {
    const quick_look look(s, slot, generation);
    if (look.may_look()) [[likely]] {
        const read_result result = copy(s);
        if (look.is_whole() && result == read_result::done) [[likely]]
            return true;
    }
    return read_root_slowly(
        s, slot, generation, [](void* again, segment& in) { return (*static_cast<Copy*>(again))(in); }, &copy,
        true);
}

/// How much of a container is read at once where it cannot be read as a whole: some microseconds.
constexpr std::uint64_t elements_in_piece = 256;

}  // namespace cairn::inline CAIRN_ABI::detail
