// robust_mutex.hpp - the lock of roots and segments: a robust, process-shared mutex that the kernel lets go of when its
// holder dies.
//
// It is the C library's protocol, on the C library's list (man 2 get_robust_list): the word has the holder's thread id, the
// lock is linked into the list that the kernel walks when a thread dies, and between the two `list_op_pending` names it. In
// line, because the C library's own functions cost as much as all else that an append does. Locks of both kinds mix
// in one list, since both keep it doubly linked in the same way; check_thread() sees to that.
//
// Thread ids are used again. So the word has a count of acquisitions in its other half, and who takes a dead owner's lock
// compares both; and beside it stands which participant's thread it was that took it with that count (`holder`, told after the
// lock was taken). A thread that ends is released by the kernel; one that is not there any more and was not released (it called
// exec, or its process took the mapping away before it ended) is told by its participant. Rule: a holder that is no thread of a
// living participant is nobody; an id alone names nobody. (Model: lock_word.)
//
// A lock that is given back wakes one of its sleepers, and says that it has no more: a waker that is killed between its
// store and its wake strands the others on a free lock. A tick of 100 ms finds them. A sleeper that gives up at its limit passes
// the wake on that it may have been given.
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

struct lock_limit;  // os/lock_limit.hpp

/// The word, and the links where the kernel looks for them: futex_offset before the entry of the list.
///
///   0                        8        16                                    24         32
///   | futex word | count     | holder | mark | acquired_high | holder_count | previous | next |
///                                     told
struct stored_mutex {
    // Lower half, the kernel's: thread id of the holder | FUTEX_WAITERS | FUTEX_OWNER_DIED. Upper half: how often it was taken,
    // modulo 2^32. Only the kernel stores one half alone.
    std::uint64_t word;
    std::uint64_t holder;  // thread_token of who took it with holder_count; written by the holder
    std::uint64_t
        told;  // see lock_mark, acquired_high(), holder_count(); written by the holder, after `holder`
    std::uint64_t previous;  // addresses in the process that holds it
    std::uint64_t next;
};
static_assert(sizeof(stored_mutex) == 40 && std::is_standard_layout_v<stored_mutex>);
static_assert(-static_cast<std::int64_t>(offsetof(stored_mutex, next)) == robust_futex_offset);
static_assert(offsetof(stored_mutex, previous) + sizeof(void*) == offsetof(stored_mutex, next));
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the kernel's half of the word is the first");

/// The lowest 16 bits of `told`: what initialize() leaves, and zeros are not.
constexpr std::uint16_t lock_mark = 0x6b63;
constexpr std::uint64_t one_acquisition = std::uint64_t{1} << 32;

/// The kernel's half of a word.
CAIRN_INLINE std::uint32_t futex_half(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word);
}
CAIRN_INLINE std::uint32_t count_half(std::uint64_t word) noexcept {
    return static_cast<std::uint32_t>(word >> 32);
}

/// The count that `holder` belongs to: the upper half of `told`.
CAIRN_INLINE std::uint32_t holder_count(std::uint64_t told) noexcept {
    return count_half(told);
}
/// Bits 32 to 47 of the number of acquisitions: bits 16 to 31 of `told`.
CAIRN_INLINE std::uint16_t acquired_high(std::uint64_t told) noexcept {
    return static_cast<std::uint16_t>(told >> 16);
}
CAIRN_INLINE bool has_mark(std::uint64_t told) noexcept {
    return static_cast<std::uint16_t>(told) == lock_mark;
}

/// How often it was taken. While somebody takes it, of either moment.
CAIRN_INLINE std::uint64_t acquired_count(const stored_mutex& m) noexcept {
    return std::uint64_t{acquired_high(load_word(m.told))} << 32 | count_half(load_word(m.word));
}

CAIRN_API void initialize(stored_mutex& m) noexcept;

/// Whether the bytes are those of a mutex that initialize() has made.
CAIRN_INLINE bool is_initialized(const stored_mutex& m) noexcept {
    return has_mark(load_word(m.told));
}

/// Who knows the participants: whether the thread of that token is none of a living one. Null: nobody knows.
struct holder_judge {
    bool (*is_gone)(const void* context, thread_token holder) noexcept = nullptr;
    const void* context = nullptr;
};

/// By whom the lock was taken. The holder's, right after; and the new owner's, once what a dead one left is repaired.
CAIRN_INLINE void say_holder(stored_mutex& m, thread_token self) noexcept {
    const std::uint64_t count = load_word(m.word) & ~(one_acquisition - 1);
    store_word(m.holder, self);
    // release: pairs with the acquire of whoever asks for the holder; it belongs to this count, or to a later one, whose word is
    // another
    __atomic_store_n(&m.told, count | (load_word(m.told) & (one_acquisition - 1)), __ATOMIC_RELEASE);
}

/// Waits for the lock: a short spin, then sleeps of 100 ms at most. Returns 0 or EOWNERDEAD; EINVAL for what is no lock;
/// EDEADLK when this thread holds it through another copy of the library; ECANCELED at the deadline or stop of `limit`,
/// ETIMEDOUT when its patience is over.
/// One that is held by nobody has lost its owner, too: the kernel cannot release what a thread held that called exec and
/// was not its process's first. `judge` tells of participants; it is asked after the first sleep, and then at each tick. As with
/// try_lock(), the thread was checked (require_usable_thread).
///
/// `starving`, if given, makes the lock fair to sleepers: it counts the threads that have waited for longer than
/// starvation_threshold and were woken in vain. While it is not 0, a newcomer takes a free lock only after one sleep among the
/// others, which the kernel wakes in the order in which they came. The caller looks at the word before it calls try_lock(). A
/// starving thread that is killed leaves the word too high; the first newcomer that nobody wakes for newcomer_sleep sets it to 0.
CAIRN_API CAIRN_COLD int lock_contended(stored_mutex& m, thread_token self, const lock_limit& limit,
                                        const holder_judge& judge,
                                        std::uint32_t* starving = nullptr) noexcept;

/// Whether the lock says that it is held, and its holder is a thread that there is not, or the calling one, which does
/// not hold it, or, as `judge` says, none of a living participant. Of a lock from another pid namespace the answer means
/// nothing.
CAIRN_API bool is_held_by_nobody(const stored_mutex& m, const holder_judge& judge) noexcept;

/// try_lock() for a lock that is not free: its owner may have died.
CAIRN_API CAIRN_COLD int try_lock_of_dead(stored_mutex& m, thread_token self) noexcept;

CAIRN_API CAIRN_COLD void wake_one(stored_mutex& m) noexcept;

// What the kernel does for us if we die from here on.
CAIRN_INLINE void announce(robust_list_words& list, stored_mutex* m) noexcept {
    order_stores();
    list.pending = m == nullptr ? 0 : reinterpret_cast<std::uint64_t>(&m->next);
    order_stores();
}

// The lowest bit of a link says something of the mutex that it leads to (that it inherits priorities), not of the address.
CAIRN_INLINE std::uint64_t& link_before(std::uint64_t entry) noexcept {
    return reinterpret_cast<std::uint64_t*>(entry & ~std::uint64_t{1})[-1];
}

/// Behind another lock, of ours or of another library.
CAIRN_API void link_behind(stored_mutex& m) noexcept;
/// Not the only one.
CAIRN_API void unlink_among(stored_mutex& m) noexcept;

// What is stored in the lock may be overwritten while it is held, where a segment is damaged: so what follows is kept in the
// thread, too. An empty list becomes one of one lock, mostly: that takes a few instructions, and the other cases are out of line.
CAIRN_INLINE void link(stored_mutex& m, robust_list_words& list) noexcept {
    const auto end = reinterpret_cast<std::uint64_t>(&list.first);
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    if (list.first != end) [[unlikely]]
        return link_behind(m);
    reinterpret_cast<std::uint64_t*>(end)[-1] = self;
    store_word(m.next, end);
    store_word(m.previous, end);
    order_stores();  // whole before the kernel finds it
    list.first = self;
    this_thread.few_held[0].entry = self;
    this_thread.held_count = only_lock;
}

CAIRN_INLINE void unlink(stored_mutex& m, robust_list_words& list) noexcept {
    const auto end = reinterpret_cast<std::uint64_t>(&list.first);
    // The first in the list, and the only one of ours, which was linked to the end.
    if (list.first != reinterpret_cast<std::uint64_t>(&m.next) || this_thread.held_count != only_lock)
        [[unlikely]]
        return unlink_among(m);
    reinterpret_cast<std::uint64_t*>(end)[-1] = end;
    list.first = end;
    this_thread.held_count = 0;
}

/// `told`, with acquired_high() one more.
constexpr std::uint64_t with_another_round(std::uint64_t told) noexcept {
    constexpr std::uint64_t high = std::uint64_t{0xffff} << 16;
    return (told & ~high) | ((told + 0x1'0000) & high);
}

/// 0 or EOWNERDEAD: locked. EBUSY: not. EINVAL: no lock. `self` is the calling thread's. After EOWNERDEAD `holder` says still who
/// died; until the lock is given back, a death of the new owner is another EOWNERDEAD. Requires require_usable_thread().
CAIRN_INLINE int try_lock(stored_mutex& m, thread_token self) noexcept {
    const std::uint64_t told = load_word(m.told);
    if (!has_mark(told)) [[unlikely]]
        return EINVAL;
    robust_list_words& list = *this_thread.robust_list;
    announce(list, &m);
    // What a free lock says whose last holder has told its count; where it has not, the slow way finds out.
    const std::uint64_t free = told & ~(one_acquisition - 1);
    std::uint64_t word = free;
    // acquire: pairs with the release of unlock()
    if (!__atomic_compare_exchange_n(&m.word, &word, free + one_acquisition + this_thread.thread_id, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) [[unlikely]]
        return try_lock_of_dead(m, self);
    link(m, list);
    announce(list, nullptr);
    store_word(m.holder, self);
    std::uint64_t next = told + one_acquisition;
    if (next < one_acquisition) [[unlikely]]
        next = with_another_round(
            next);  // with the count: whoever looks in between would store the old rounds again
    // release: as in say_holder()
    __atomic_store_n(&m.told, next, __ATOMIC_RELEASE);
    return 0;
}

CAIRN_INLINE void unlock(stored_mutex& m) noexcept {
    robust_list_words& list = *this_thread.robust_list;
    announce(list, &m);
    unlink(m, list);
    order_stores();
    // The count is the holder's until then. release: the next owner sees all that this one has done
    const std::uint64_t free = load_word(m.word) & ~(one_acquisition - 1);
    if ((futex_half(__atomic_exchange_n(&m.word, free, __ATOMIC_RELEASE)) & FUTEX_WAITERS) != 0) [[unlikely]]
        wake_one(m);
    announce(list, nullptr);
}

/// unlock() with work left to be done: the next locker gets EOWNERDEAD. `holder` stays, and is 0 where nobody has died.
CAIRN_API CAIRN_COLD void unlock_unfinished(stored_mutex& m) noexcept;

/// What the lock word says, for inspection: thread id of the holder, and whether it died.
struct lock_word {
    std::uint32_t thread_id;
    bool owner_died;
    bool has_waiters;
};
CAIRN_API lock_word inspect(const stored_mutex& m) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
