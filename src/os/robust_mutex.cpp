#include "cairn/detail/os/robust_mutex.hpp"

#include <algorithm>
#include <chrono>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/futex.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A hand-over from one processor to another costs ten times what an operation does. So who waits looks only now and then,
// and whoever has the lock does many operations meanwhile; some 16 us in all, which is about what a sleep and a wake cost.
constexpr int spin_looks = 32;
constexpr int pauses_between_looks = 32;
constexpr std::chrono::milliseconds tick{100};

inline void pause_processor() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

// A dead owner's, also if a thread id is left in it, as the kernel never does, and damage may.
bool can_be_taken(std::uint32_t word) noexcept {
    return (word & FUTEX_TID_MASK) == 0 || (word & FUTEX_OWNER_DIED) != 0;
}

bool is_nobody(std::uint32_t word) noexcept {
    const std::uint32_t thread = word & FUTEX_TID_MASK;
    if (can_be_taken(word)) return false;
    if (thread == static_cast<std::uint32_t>(::syscall(SYS_gettid))) return true;
    return ::syscall(SYS_tkill, thread, 0) != 0 && errno == ESRCH;
}

// The kernel walks the locks of a dying thread before it forgets the thread, but leaves those alone that another thread id
// has: a thread that calls exec gets the id of its process's first thread before that, so a lock that it held as another one
// stays locked by an id that nobody has any more. Here it becomes what the kernel would have made of it.
void mark_if_held_by_nobody(stored_mutex& m) noexcept {
    std::uint32_t word = load_word(m.word);
    if (!is_nobody(word)) return;
    // Only if it is still the same word: the thread may have died, and the kernel marked it, between the two. relaxed:
    // the lock is taken, with acquire, by whoever finds the mark.
    const std::uint32_t marked = (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    __atomic_compare_exchange_n(&m.word, &word, marked, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// Takes a lock that nobody alive holds, or says EBUSY. `waiters` is kept in the word: others may sleep.
int take(stored_mutex& m, std::uint32_t waiters) noexcept {
    announce(&m);
    int result = EBUSY;
    std::uint32_t word = load_word(m.word);
    while (can_be_taken(word)) {
        const std::uint32_t ours = this_thread.thread_id | (word & FUTEX_WAITERS) | waiters;
        // acquire: pairs with the release of unlock(), or comes after the owner's death
        if (!__atomic_compare_exchange_n(&m.word, &word, ours, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        link(m);
        result = (word & FUTEX_OWNER_DIED) != 0 ? EOWNERDEAD : 0;
        break;
    }
    announce(nullptr);
    if (result == 0) store_word(m.holder, this_thread.thread_id);
    if (result != EBUSY) store_word(m.acquired_count, load_word(m.acquired_count) + 1);
    return result;
}

}  // namespace

bool is_held_by_nobody(const stored_mutex& m) noexcept {
    const std::uint32_t word = load_word(m.word);
    // The word again: the thread may have died, and the kernel marked it, between the two.
    return is_nobody(word) && load_word(m.word) == word;
}

void initialize(stored_mutex& m) noexcept {
    // Word by word: a stale reader may look at the place where it is to be.
    constexpr stored_mutex fresh = {0, 0, lock_mark, 0, 0, 0, 0};
    copy_in_fixed<sizeof fresh>(&m, &fresh);
}

int try_lock_of_dead(stored_mutex& m) noexcept {
    return take(m, 0);
}

void unlink_by_stored(stored_mutex& m) noexcept {
    thread_state& thread = this_thread;
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint64_t next = load_word(m.next);
    const std::uint64_t previous = load_word(m.previous);
    link_before(next) = previous;
    *reinterpret_cast<std::uint64_t*>(previous) = next;
    const std::uint32_t count = std::min(thread.held_count, thread.held_room);
    held_lock* const end = thread.held + count;
    held_lock* const at = std::find_if(thread.held, end, [&](const held_lock& l) { return l.entry == self; });
    if (at != end) {
        std::copy(at + 1, end, at);
        // What was above it has another one below now.
        for (held_lock* above = at; above != end - 1; ++above)
            if (above->below == self) above->below = 0;
    }
    --thread.held_count;
}

void wake_one(stored_mutex& m) noexcept {
    os::futex_wake(&m.word, 1);
}

int lock_contended(stored_mutex& m) noexcept {
    if (!is_initialized(m)) return EINVAL;
    for (int look = 0; look < spin_looks; ++look) {
        for (int i = 0; i < pauses_between_looks; ++i) pause_processor();
        if (can_be_taken(load_word(m.word))) {
            const int result = take(m, 0);
            if (result != EBUSY) return result;
        }
    }
    // Who has slept may have been woken alone: it passes on that there may be others.
    std::uint32_t waiters = 0;
    for (;;) {
        // Before each sleep: whoever comes to a damaged lock finds out at once.
        mark_if_held_by_nobody(m);
        if (const int result = take(m, waiters); result != EBUSY) return result;
        std::uint32_t word = load_word(m.word);
        if (can_be_taken(word)) continue;
        // relaxed: it orders nothing; the holder's exchange sees it, or this fails
        if ((word & FUTEX_WAITERS) == 0 &&
            !__atomic_compare_exchange_n(&m.word, &word, word | FUTEX_WAITERS, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            continue;
        os::futex_wait(&m.word, word | FUTEX_WAITERS, std::chrono::steady_clock::now() + tick);
        waiters = FUTEX_WAITERS;
    }
}

lock_word inspect(const stored_mutex& m) noexcept {
    const std::uint32_t word = load_word(m.word);
    return {word & FUTEX_TID_MASK, (word & FUTEX_OWNER_DIED) != 0, (word & FUTEX_WAITERS) != 0};
}

}  // namespace cairn::inline CAIRN_ABI::detail
