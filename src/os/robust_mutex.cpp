// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/os/robust_mutex.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <limits>
#include <optional>
#include <stop_token>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/fault.hpp"
#include "os/futex.hpp"
#include <cairn/detail/os/lock_limit.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A hand-over from one processor to another costs ten times what an operation does. So who waits looks only now and then,
// and whoever has the lock does many operations meanwhile; some 16 us in all, which is about what a sleep and a wake cost.
constexpr int spin_looks = 32;
constexpr int pauses_between_looks = 32;
constexpr std::chrono::milliseconds tick{100};

// As in the mutex of Go. A waiter that is woken once or twice in vain has waited for less.
constexpr std::chrono::milliseconds starvation_threshold{1};
// How long a newcomer leaves a free lock to the sleeper that was woken for it. Longer than a wake takes on a busy machine.
constexpr std::chrono::milliseconds newcomer_sleep{3};

constexpr int longest_list = 4096;  // chosen freely: what a damaged one ends at

inline void pause_processor() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

constexpr std::uint64_t upper_half = ~(one_acquisition - 1);

// A dead owner's, also if a thread id is left in it, as the kernel never does, and damage may.
bool can_be_taken(std::uint64_t word) noexcept {
    return (word & FUTEX_TID_MASK) == 0 || (word & FUTEX_OWNER_DIED) != 0;
}

std::uint32_t* futex_of(stored_mutex& m) noexcept {
    return reinterpret_cast<std::uint32_t*>(&m.word);
}

bool read_own_memory(std::uint64_t address, stored_mutex& to) noexcept {
    if (os::injected_fault("process_vm_readv") != 0) return false;
    const iovec into = {&to, sizeof to};
    const iovec from = {reinterpret_cast<void*>(address), sizeof to};
    return ::process_vm_readv(::getpid(), &into, 1, &from, 1, 0) == static_cast<ssize_t>(sizeof to);
}

// Another copy of the library in this process knows nothing of what this one is in, and has a mapping of its own. So what this
// thread holds through that copy is in the thread's list, but at another address, and told by what is stored in it: of
// the locks of a list no two have the same links.
bool is_in_own_list(const stored_mutex& m) noexcept {
    const robust_list_words* const list = this_thread.robust_list;
    if (list == nullptr) return false;
    const auto end = reinterpret_cast<std::uint64_t>(&list->first);
    std::uint64_t at = list->first & ~std::uint64_t{1};
    for (int i = 0; at != end && i < longest_list; ++i) {
        // Links lie in segments, which may be damaged: the kernel reads what they lead to, and says no where nothing is.
        stored_mutex held;
        if (!read_own_memory(at - offsetof(stored_mutex, next), held)) return false;
        if (held.next == load_word(m.next) && held.previous == load_word(m.previous) &&
            held.told == load_word(m.told) && held.word == load_word(m.word))
            return true;
        at = held.next & ~std::uint64_t{1};
    }
    return false;
}

// That this thread has the lock by its number says nothing: exec passes numbers on.
bool is_nobody(std::uint64_t word, const stored_mutex& m, const holder_judge& judge) noexcept {
    const auto thread = static_cast<std::uint32_t>(word & FUTEX_TID_MASK);
    if (can_be_taken(word)) return false;
    if (thread == static_cast<std::uint32_t>(::syscall(SYS_gettid))) return !is_in_own_list(m);
    if (::syscall(SYS_tkill, thread, 0) != 0 && errno == ESRCH) return true;
    if (judge.is_gone == nullptr) return false;
    // acquire: pairs with the release of say_holder(). Of another acquisition it says nothing.
    if (holder_count(__atomic_load_n(&m.told, __ATOMIC_ACQUIRE)) != count_half(word)) return false;
    const thread_token holder = load_word(m.holder);
    return thread_of(holder) == thread && participant_of(holder) != 0 && judge.is_gone(judge.context, holder);
}

// The kernel walks the locks of a dying thread before it forgets the thread, but leaves those alone that another thread id
// has: a thread that calls exec gets the id of its process's first thread before that, so a lock that it held as another one
// stays locked by an id that nobody has any more. And the walk ends at a lock whose mapping is gone. Here it becomes what the
// kernel would have made of it.
void mark_if_held_by_nobody(stored_mutex& m, const holder_judge& judge) noexcept {
    std::uint64_t word = load_word(m.word);
    if (!is_nobody(word, m, judge)) return;
    // Only if it is still the same word and count: the thread may have died, and the kernel marked it, or another thread may have
    // its id and the lock by now. relaxed: the lock is taken, with acquire, by whoever finds the mark.
    const std::uint64_t marked = (word & upper_half) | (word & FUTEX_WAITERS) | FUTEX_OWNER_DIED;
    __atomic_compare_exchange_n(&m.word, &word, marked, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

// Takes a lock that nobody alive holds, or says EBUSY. `waiters` is kept in the word: others may sleep.
int take(stored_mutex& m, thread_token self, std::uint32_t waiters) noexcept {
    robust_list_words& list = *this_thread.robust_list;
    announce(list, &m);
    int result = EBUSY;
    std::uint64_t word = load_word(m.word);
    while (can_be_taken(word)) {
        const std::uint64_t taken =
            ((word & upper_half) + one_acquisition) | thread_of(self) | (word & FUTEX_WAITERS) | waiters;
        // acquire: pairs with the release of unlock(), or comes after the owner's death
        if (!__atomic_compare_exchange_n(&m.word, &word, taken, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            continue;
        link(m, list);
        result = (word & FUTEX_OWNER_DIED) != 0 ? EOWNERDEAD : 0;
        if (count_half(taken) == 0) store_word(m.told, with_another_round(load_word(m.told)));
        break;
    }
    announce(list, nullptr);
    if (result == 0) say_holder(m, self);  // of a dead one, it goes on to say who died
    return result;
}

}  // namespace

bool is_held_by_nobody(const stored_mutex& m, const holder_judge& judge) noexcept {
    const std::uint64_t word = load_word(m.word);
    // The word again: the thread may have died, and the kernel marked it, between the two.
    return is_nobody(word, m, judge) && load_word(m.word) == word;
}

void initialize(stored_mutex& m) noexcept {
    // Word by word: a stale reader may look at the place where it is to be.
    constexpr stored_mutex fresh = {0, 0, lock_mark, 0, 0};
    copy_in_fixed<sizeof fresh>(&m, &fresh);
}

int try_lock_of_dead(stored_mutex& m, thread_token self) noexcept {
    return take(m, self, 0);
}

void record_only_lock() noexcept {
    thread_state& thread = this_thread;
    if (thread.held_count != only_lock) return;
    thread.held[0] = {thread.few_held[0].entry, reinterpret_cast<std::uint64_t>(&thread.robust_list->first)};
    order_stores();  // a handler of a signal finds either
    thread.held_count = 1;
}

void link_behind(stored_mutex& m) noexcept {
    record_only_lock();
    thread_state& thread = this_thread;
    std::uint64_t& head = thread.robust_list->first;
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint64_t next = head;
    store_word(link_before(next), self);
    store_word(m.next, next);
    store_word(m.previous, reinterpret_cast<std::uint64_t>(&head));
    order_stores();  // whole before the kernel finds it
    head = self;
    const std::uint32_t count = thread.held_count++;
    if (count < thread.held_room) {
        // Another library's lock may go away meanwhile.
        const bool is_sure = count != 0 && next == thread.held[count - 1].entry;
        thread.held[count] = {self, is_sure ? next : 0};
    }
}

namespace {

// Not the one that was taken last, or one above a lock of another library.
void unlink_by_stored(stored_mutex& m) noexcept {
    thread_state& thread = this_thread;
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint32_t count = std::min(thread.held_count, thread.held_room);
    held_lock* const end = thread.held + count;
    held_lock* const at = std::find_if(thread.held, end, [&](const held_lock& l) { return l.entry == self; });
    // What is stored may be damaged; what is known of both neighbours is not.
    const bool is_known = end - at > 1 && at->below != 0 && at[1].below == self;
    const std::uint64_t next = is_known ? at->below : load_word(m.next);
    const std::uint64_t previous = is_known ? at[1].entry : load_word(m.previous);
    store_word(link_before(next), previous);
    *reinterpret_cast<std::uint64_t*>(previous) = next;
    if (at != end) {
        if (is_known) at[1].below = next;
        std::copy(at + 1, end, at);
        // The last place is now that of one that was taken when there was no room: which one, nobody knows.
        if (thread.held_count > thread.held_room) end[-1] = {};
        // What was above it has another one below now.
        for (held_lock* above = at; above != end - 1; ++above)
            if (above->below == self) above->below = 0;
    }
    --thread.held_count;
}

}  // namespace

void unlink_among(stored_mutex& m) noexcept {
    record_only_lock();
    thread_state& thread = this_thread;
    std::uint64_t& head = thread.robust_list->first;
    const auto self = reinterpret_cast<std::uint64_t>(&m.next);
    const std::uint32_t count = thread.held_count - 1;
    if (head != self || count >= thread.held_room || thread.held[count].entry != self ||
        thread.held[count].below == 0)
        return unlink_by_stored(m);
    const std::uint64_t next = thread.held[count].below;
    store_word(link_before(next), reinterpret_cast<std::uint64_t>(&head));
    head = next;
    thread.held_count = count;
}

void wake_one(stored_mutex& m) noexcept {
    os::futex_wake(futex_of(m), 1);
}

namespace {

// A stop wakes whoever sleeps on the lock. One that comes between the last look and the sleep is found at the tick.
struct wake_sleepers {
    stored_mutex& m;
    void operator()() const noexcept { os::futex_wake(futex_of(m), std::numeric_limits<int>::max()); }
};

// Somebody who has slept on the lock goes without it, and may have been the one who was woken.
void pass_wake_on(stored_mutex& m) noexcept {
    std::uint64_t word = load_word(m.word);
    while (!can_be_taken(word) && (word & FUTEX_WAITERS) == 0) {
        // relaxed: it orders nothing; the holder's exchange sees it, or this fails
        if (__atomic_compare_exchange_n(&m.word, &word, word | FUTEX_WAITERS, false, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED))
            return;
    }
    if (can_be_taken(word)) os::futex_wake(futex_of(m), 1);
}

}  // namespace

namespace {

// One waiter's part in the count of starving threads: see lock_contended().
class starvation {
public:
    explicit starvation(std::uint32_t* count) noexcept : count_(count) {
        if (count_ != nullptr) begin_ = std::chrono::steady_clock::now();
    }
    starvation(const starvation&) = delete;
    starvation& operator=(const starvation&) = delete;
    ~starvation() {
        if (!is_counted_) return;
        std::uint32_t before = load_word(*count_);
        // Not below 0: somebody may have set it to that. relaxed: a hint, which orders nothing.
        while (before != 0 && !__atomic_compare_exchange_n(count_, &before, before - 1, false,
                                                           __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    }
    [[nodiscard]] bool is_any() const noexcept { return count_ != nullptr && load_word(*count_) != 0; }
    // After a wake in vain.
    void look() noexcept {
        if (count_ == nullptr || std::chrono::steady_clock::now() - begin_ < starvation_threshold) return;
        if (!is_counted_) __atomic_fetch_add(count_, 1, __ATOMIC_RELAXED);
        else if (load_word(*count_) == 0) store_word(*count_, 1);
        is_counted_ = true;
    }
    // A newcomer was not woken while the lock was free: the threads that were counted have gone.
    void forget() noexcept { store_word(*count_, 0); }

private:
    std::uint32_t* count_;
    std::chrono::steady_clock::time_point begin_;
    bool is_counted_ = false;
};

}  // namespace

int lock_contended(stored_mutex& m, thread_token self, const lock_limit& limit, const holder_judge& judge,
                   std::uint32_t* starving) noexcept {
    if (!is_initialized(m)) return EINVAL;
    if (inspect(m).thread_id == thread_of(self) && is_in_own_list(m)) return EDEADLK;
    starvation turn(starving);
    for (int look = 0; look < spin_looks && !turn.is_any(); ++look) {
        for (int i = 0; i < pauses_between_looks; ++i) pause_processor();
        if (can_be_taken(load_word(m.word))) {
            const int result = take(m, self, 0);
            if (result != EBUSY) return result;
        }
    }
    // Who has slept may have been woken alone: it passes on that there may be others.
    std::uint32_t waiters = 0;
    limited_wait wait(limit);
    std::optional<std::stop_callback<wake_sleepers>> on_stop;
    if (limit.stop != nullptr) on_stop.emplace(*limit.stop, wake_sleepers{m});
    for (;;) {
        // Before each sleep: whoever comes to a damaged lock finds out at once. What has to be asked of files waits for the first tick.
        mark_if_held_by_nobody(m, waiters == 0 ? holder_judge{} : judge);
        const bool is_newcomer = waiters == 0 && turn.is_any();
        if (!is_newcomer) {
            if (const int result = take(m, self, waiters); result != EBUSY) return result;
        }
        std::uint64_t word = load_word(m.word);
        if (can_be_taken(word) && !is_newcomer) continue;
        if (const wait_end end = wait.is_over(); end != wait_end::none) {
            if (waiters != 0) pass_wake_on(m);
            return end == wait_end::limit ? ECANCELED : ETIMEDOUT;
        }
        if (waiters != 0) turn.look();
        if (can_be_taken(word)) {
            // Whoever takes it says that there are sleepers, or takes it out of turn, which ends with the sleep here.
            os::futex_wait(futex_of(m), futex_half(word), wait.next_look(newcomer_sleep));
            if (load_word(m.word) == word) turn.forget();
            waiters = FUTEX_WAITERS;
            continue;
        }
        // relaxed: it orders nothing; the holder's exchange sees it, or this fails
        if ((word & FUTEX_WAITERS) == 0 &&
            !__atomic_compare_exchange_n(&m.word, &word, word | FUTEX_WAITERS, false, __ATOMIC_RELAXED,
                                         __ATOMIC_RELAXED))
            continue;
        os::futex_wait(futex_of(m), futex_half(word) | FUTEX_WAITERS, wait.next_look(tick));
        waiters = FUTEX_WAITERS;
    }
}

void unlock_unfinished(stored_mutex& m) noexcept {
    robust_list_words& list = *this_thread.robust_list;
    announce(list, &m);
    unlink(m, list);
    order_stores();
    // release: as unlock(). Taken as a dead owner's, by whoever comes next.
    const std::uint64_t left = (load_word(m.word) & upper_half) | FUTEX_OWNER_DIED;
    if ((__atomic_exchange_n(&m.word, left, __ATOMIC_RELEASE) & FUTEX_WAITERS) != 0) wake_one(m);
    announce(list, nullptr);
}

lock_word inspect(const stored_mutex& m) noexcept {
    const std::uint32_t word = futex_half(load_word(m.word));
    return {word & FUTEX_TID_MASK, (word & FUTEX_OWNER_DIED) != 0, (word & FUTEX_WAITERS) != 0};
}

}  // namespace cairn::inline CAIRN_ABI::detail
