// robust_mutex.hpp - the lock of roots and segments: a robust, process-shared mutex that the kernel lets go of when its
// holder dies.
//
// It is the C library's protocol, on the C library's list (man 2 get_robust_list): the word has the holder's thread id, the
// lock is linked into the list that the kernel walks when a thread dies, and between the two `list_op_pending` names it. In
// line, because the C library's own functions cost as much as all else that an append does. Locks of both kinds mix
// in one list, since both keep it doubly linked in the same way; check_thread() sees to that.
//
// A lock that is given back wakes one of its sleepers, and says that it has no more: a waker that is killed between its
// store and its wake strands the others on a free lock. A tick of 100 ms finds them.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <linux/futex.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/words.hpp>
#include <cairn/detail/os/thread_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The word, and the links where the kernel looks for them: futex_offset before the entry of the list.
struct stored_mutex {
    std::uint32_t word;  // thread id of the holder | FUTEX_WAITERS | FUTEX_OWNER_DIED
    std::uint32_t
        holder;  // thread id of the last one to lock it; the kernel wipes that of a dead one from the word
    std::uint32_t mark;  // lock_mark
    std::uint32_t reserved_;
    std::uint64_t acquired_count;  // statistics
    std::uint64_t previous;        // addresses in the process that holds it
    std::uint64_t next;
};
static_assert(sizeof(stored_mutex) == 40 && std::is_standard_layout_v<stored_mutex>);
static_assert(-static_cast<std::int64_t>(offsetof(stored_mutex, next)) == robust_futex_offset);
static_assert(offsetof(stored_mutex, previous) + sizeof(void*) == offsetof(stored_mutex, next));

/// What initialize() leaves, and zeros are not.
constexpr std::uint32_t lock_mark = 0x6b636f6c;

CAIRN_API void initialize(stored_mutex& m) noexcept;

/// Whether the bytes are those of a mutex that initialize() has made.
CAIRN_INLINE bool is_initialized(const stored_mutex& m) noexcept {
    return load_word(m.mark) == lock_mark;
}

/// Waits for the lock: a short spin, then sleeps of 100 ms at most. Returns 0 or EOWNERDEAD, or EINVAL for what is no lock, or
/// EDEADLK when this thread holds it through another copy of the library.
/// One that is held by nobody has lost its owner, too: the kernel cannot release what a thread held that called exec and
/// was not its process's first. As with try_lock(), the thread was checked (require_usable_thread).
CAIRN_API CAIRN_COLD int lock_contended(stored_mutex& m) noexcept;

/// Whether the lock says that it is held, and its holder is a thread that there is not, or the calling one, which does
/// not hold it. Of a lock from another pid namespace the answer means nothing.
CAIRN_API bool is_held_by_nobody(const stored_mutex& m) noexcept;

/// try_lock() for a lock that is not free: its owner may have died.
CAIRN_API CAIRN_COLD int try_lock_of_dead(stored_mutex& m) noexcept;

CAIRN_API CAIRN_COLD void wake_one(stored_mutex& m) noexcept;

// What the kernel does for us if we die from here on.
CAIRN_INLINE void announce(stored_mutex* m) noexcept {
    order_stores();
    this_thread.robust_list->pending = m == nullptr ? 0 : reinterpret_cast<std::uint64_t>(&m->next);
    order_stores();
}

// The lowest bit of a link says something of the mutex that it leads to (that it inherits priorities), not of the address.
CAIRN_INLINE std::uint64_t& link_before(std::uint64_t entry) noexcept {
    return reinterpret_cast<std::uint64_t*>(entry & ~std::uint64_t{1})[-1];
}

CAIRN_INLINE void link(stored_mutex& m) noexcept {
    thread_state& thread = this_thread;
    std::uint64_t& head = thread.robust_list->first;
    const auto end = reinterpret_cast<std::uint64_t>(&head);
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint64_t next = head;
    link_before(next) = self;
    store_word(m.next, next);
    store_word(m.previous, end);
    order_stores();  // whole before the kernel finds it
    head = self;
    // What is stored in the lock may be overwritten while it is held, where a segment is damaged: so what follows is kept
    // here, too, unless it is another library's, which may go away meanwhile.
    const std::uint32_t count = thread.held_count++;
    if (count < thread.held_room) [[likely]] {
        const bool is_sure = next == end || (count != 0 && next == thread.held[count - 1].entry);
        thread.held[count] = {self, is_sure ? next : 0};
    }
}

/// Not the one that was taken last, or one above a lock of another library.
CAIRN_API CAIRN_COLD void unlink_by_stored(stored_mutex& m) noexcept;

CAIRN_INLINE void unlink(stored_mutex& m) noexcept {
    thread_state& thread = this_thread;
    std::uint64_t& head = thread.robust_list->first;
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint32_t count = thread.held_count - 1;
    if (head != self || count >= thread.held_room || thread.held[count].entry != self ||
        thread.held[count].below == 0) [[unlikely]]
        return unlink_by_stored(m);
    const std::uint64_t next = thread.held[count].below;
    link_before(next) = reinterpret_cast<std::uint64_t>(&head);
    head = next;
    thread.held_count = count;
}

/// 0 or EOWNERDEAD: locked. EBUSY: not. EINVAL: no lock. After EOWNERDEAD `holder` says still who died; until the lock is
/// given back, a death of the new owner is another EOWNERDEAD. Requires require_usable_thread().
CAIRN_INLINE int try_lock(stored_mutex& m) noexcept {
    if (!is_initialized(m)) [[unlikely]]
        return EINVAL;
    announce(&m);
    std::uint32_t expected = 0;
    // acquire: pairs with the release of unlock()
    if (!__atomic_compare_exchange_n(&m.word, &expected, this_thread.thread_id, false, __ATOMIC_ACQUIRE,
                                     __ATOMIC_RELAXED)) [[unlikely]]
        return try_lock_of_dead(m);
    link(m);
    announce(nullptr);
    store_word(m.holder, this_thread.thread_id);
    store_word(m.acquired_count, load_word(m.acquired_count) + 1);
    return 0;
}

CAIRN_INLINE void unlock(stored_mutex& m) noexcept {
    announce(&m);
    unlink(m);
    order_stores();
    // release: the next owner sees all that this one has done
    if ((__atomic_exchange_n(&m.word, 0U, __ATOMIC_RELEASE) & FUTEX_WAITERS) != 0) [[unlikely]]
        wake_one(m);
    announce(nullptr);
}

/// What the lock word says, for inspection: thread id of the holder, and whether it died.
struct lock_word {
    std::uint32_t thread_id;
    bool owner_died;
    bool has_waiters;
};
CAIRN_API lock_word inspect(const stored_mutex& m) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
