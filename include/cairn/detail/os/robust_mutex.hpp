// robust_mutex.hpp - the lock of roots and segments: a robust, process-shared, normal pthread mutex.
//
// Normal rather than recursive or error-checking, which compare thread ids and so mistake a forked child for its
// parent. Not priority-inheriting: every contended operation would enter the kernel. Never pthread_mutex_lock:
// glibc's unlock drops the waiters bit, so that a waker killed at the wrong instant strands the other sleepers on a
// free lock; a tick of 100 ms finds them.
#pragma once

#include <cerrno>
#include <cstdint>
#include <type_traits>

#include <pthread.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/thread_sanitizer.hpp>

namespace cairn::inline v0::detail {

/// A pthread mutex in room for the largest one we know (AArch64: 48 bytes).
union stored_mutex {
    pthread_mutex_t mutex;
    std::uint64_t reserved_[6];
};
static_assert(sizeof(stored_mutex) == 48 && std::is_standard_layout_v<stored_mutex>);

/// Throws system_failure where the C library has no such mutex.
CAIRN_API void initialize(stored_mutex& m);

/// What glibc calls a normal, robust, process-shared mutex (PTHREAD_MUTEX_ROBUST_NORMAL_NP, shared, never elided);
/// initialize() throws where it is called otherwise.
constexpr int stored_mutex_kind = 0x290;

/// Whether the bytes are those of a mutex that initialize() has made: of another kind the C library would do other things
/// with it, up to aborting the program.
CAIRN_INLINE bool is_initialized(const stored_mutex& m) noexcept {
    return m.mutex.__data.__kind == stored_mutex_kind;
}

/// Waits for the lock: a short spin, then sleeps of 100 ms at most. Returns 0 or EOWNERDEAD, or what the C library says
/// of a damaged mutex (EINVAL, ENOTRECOVERABLE, EDEADLK). One that is held by nobody has lost its owner, too: the kernel
/// cannot release what a thread held that called exec and was not its process's first.
CAIRN_API CAIRN_COLD int lock_contended(stored_mutex& m) noexcept;

/// Whether the lock says that it is held, and its holder is a thread that there is not, or the calling one, which must
/// not hold it. Of a lock from another pid namespace the answer means nothing.
CAIRN_API bool is_held_by_nobody(const stored_mutex& m) noexcept;

/// glibc's trylock that finds a mutex lost (ENOTRECOVERABLE) keeps it locked; the next one to come would wait for ever.
CAIRN_API CAIRN_COLD void let_go_of_lost(stored_mutex& m) noexcept;

/// 0 or EOWNERDEAD: locked; EBUSY: not. ENOTRECOVERABLE: lost, or damaged; EINVAL: no lock.
CAIRN_INLINE int try_lock(stored_mutex& m) noexcept {
    if (!is_initialized(m)) [[unlikely]]
        return EINVAL;
    const int result = pthread_mutex_trylock(&m.mutex);
    if (result == ENOTRECOVERABLE) [[unlikely]]
        let_go_of_lost(m);
    else if (result != EBUSY) say_taken(&m);
    return result;
}

/// After EOWNERDEAD, once what it protects is whole again.
CAIRN_INLINE void mark_consistent(stored_mutex& m) noexcept {
    pthread_mutex_consistent(&m.mutex);
}

CAIRN_INLINE void unlock(stored_mutex& m) noexcept {
    say_given_back(&m);
    pthread_mutex_unlock(&m.mutex);
}

/// What the lock word says, for inspection: thread id of the holder, and whether it died.
struct lock_word {
    std::uint32_t thread_id;
    bool owner_died;
    bool has_waiters;
};
CAIRN_API lock_word inspect(const stored_mutex& m) noexcept;

}  // namespace cairn::inline v0::detail
