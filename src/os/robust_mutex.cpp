#include "cairn/detail/os/robust_mutex.hpp"

#include <climits>
#include <ctime>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cairn/detail/base/words.hpp>
#include <cairn/error.hpp>

namespace cairn::inline v0::detail {

namespace {

// Spinning for longer than a sleep and a wake-up costs (some 5 us of the two processes' time) would not pay; a hand-over
// between two spinning processes takes 0.2 us.
constexpr int spin_rounds = 100;
constexpr long tick_nanoseconds = 100'000'000;

inline void pause_processor() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

// ThreadSanitizer (Clang 16) does not know pthread_mutex_clocklock, and would take what the lock protects for races.
#if defined(CAIRN_THREAD_SANITIZER)
constexpr clockid_t tick_clock = CLOCK_REALTIME;
int lock_until(stored_mutex& m, const timespec& deadline) noexcept {
    return pthread_mutex_timedlock(&m.mutex, &deadline);
}
#else
constexpr clockid_t tick_clock = CLOCK_MONOTONIC;
int lock_until(stored_mutex& m, const timespec& deadline) noexcept {
    return pthread_mutex_clocklock(&m.mutex, tick_clock, &deadline);
}
#endif

// glibc keeps the futex word first: the kernel's robust list depends on its place, so it cannot move.
std::uint32_t read_word(const stored_mutex& m) noexcept {
    // relaxed: only a hint whether trying is worth it
    return static_cast<std::uint32_t>(__atomic_load_n(&m.mutex.__data.__lock, __ATOMIC_RELAXED));
}

bool is_nobody(std::uint32_t word) noexcept {
    const std::uint32_t thread = word & FUTEX_TID_MASK;
    if (thread == 0 || (word & FUTEX_OWNER_DIED) != 0) return false;
    if (thread == static_cast<std::uint32_t>(::syscall(SYS_gettid))) return true;
    return ::syscall(SYS_tkill, thread, 0) != 0 && errno == ESRCH;
}

// The kernel walks the locks of a dying thread before it forgets the thread, but leaves those alone that another thread id
// has: a thread that calls exec gets the id of its process's first thread before that, so a lock that it held as another one
// stays locked by an id that nobody has any more. Here it becomes what the kernel would have made of it.
void mark_if_held_by_nobody(stored_mutex& m) noexcept {
    const std::uint32_t word = read_word(m);
    if (!is_nobody(word)) return;
    // Only if it is still the same word: the thread may have died, and the kernel marked it, between the two. relaxed:
    // the lock is taken, with acquire, by whoever finds the mark.
    auto expected = static_cast<int>(word);
    const auto marked = static_cast<int>((word & FUTEX_WAITERS) | FUTEX_OWNER_DIED);
    __atomic_compare_exchange_n(&m.mutex.__data.__lock, &expected, marked, false, __ATOMIC_RELAXED,
                                __ATOMIC_RELAXED);
}

}  // namespace

bool is_held_by_nobody(const stored_mutex& m) noexcept {
    const std::uint32_t word = read_word(m);
    // The word again: the thread may have died, and the kernel marked it, between the two.
    return is_nobody(word) && read_word(m) == word;
}

void initialize(stored_mutex& m) {
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);
    if (error == 0) error = pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_NORMAL);
    if (error == 0) error = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    if (error == 0) error = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    // Made here and copied, word by word: a stale reader may look at the place where it is to be. An unlocked mutex of
    // glibc's is its bytes, whatever their address.
    pthread_mutex_t fresh;
    if (error == 0) error = pthread_mutex_init(&fresh, &attributes);
    pthread_mutexattr_destroy(&attributes);
    if (error == 0 && fresh.__data.__kind != stored_mutex_kind) error = ENOTSUP;
    if (error != 0)
        throw system_failure("make a robust mutex: the C library refuses", {error, std::generic_category()});
    copy_in_fixed<sizeof fresh>(&m.mutex, &fresh);
}

void let_go_of_lost(stored_mutex& m) noexcept {
    auto* word = reinterpret_cast<std::uint32_t*>(&m.mutex.__data.__lock);
    const auto self = static_cast<std::uint32_t>(::syscall(SYS_gettid));
    std::uint32_t seen = read_word(m);
    // Only from ourselves: a fixed C library has let go, and somebody else may look at it by now.
    while ((seen & FUTEX_TID_MASK) == self) {
        // release: as an unlock; those asleep find it lost, one after the other
        if (!__atomic_compare_exchange_n(word, &seen, 0U, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            continue;
        ::syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
        return;
    }
}

int lock_contended(stored_mutex& m) noexcept {
    for (int round = 0; round < spin_rounds; ++round) {
        const std::uint32_t word = read_word(m);
        if ((word & FUTEX_TID_MASK) == 0) {
            const int result = try_lock(m);
            if (result != EBUSY) return result;
        }
        pause_processor();
    }
    for (;;) {
        // Before each sleep: whoever comes to a damaged lock finds out at once.
        mark_if_held_by_nobody(m);
        timespec deadline = {};
        ::clock_gettime(tick_clock, &deadline);
        deadline.tv_nsec += tick_nanoseconds;
        if (deadline.tv_nsec >= 1'000'000'000) {
            deadline.tv_nsec -= 1'000'000'000;
            ++deadline.tv_sec;
        }
        const int result = lock_until(m, deadline);
        if (result != ETIMEDOUT) {
            say_taken(&m);
            return result;
        }
    }
}

lock_word inspect(const stored_mutex& m) noexcept {
    const std::uint32_t word = read_word(m);
    return {word & FUTEX_TID_MASK, (word & FUTEX_OWNER_DIED) != 0, (word & FUTEX_WAITERS) != 0};
}

}  // namespace cairn::inline v0::detail
