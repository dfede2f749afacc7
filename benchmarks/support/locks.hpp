// locks.hpp - the bare locks, of the C library and of Cairn, that Cairn's objects are measured against.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>

#include <pthread.h>

#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/manager.hpp>

namespace cairn_bench {

/// The C library's robust mutex, as anybody would use it.
class bare_robust_lock {
public:
    static constexpr const char* name = "floor";
    bare_robust_lock() {
        pthread_mutexattr_t attributes;
        pthread_mutexattr_init(&attributes);
        pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
        pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
        pthread_mutex_init(&mutex_, &attributes);
        pthread_mutexattr_destroy(&attributes);
    }
    /// Whether the last owner died with it.
    bool lock() {
        if (pthread_mutex_lock(&mutex_) != EOWNERDEAD) return false;
        pthread_mutex_consistent(&mutex_);
        return true;
    }
    void unlock() { pthread_mutex_unlock(&mutex_); }

private:
    pthread_mutex_t mutex_;
};

/// Cairn's lock, and its way of waiting.
class cairn_lock {
public:
    static constexpr const char* name = "lock";
    cairn_lock() {
        const cairn::manager any;  // from the first one on, forked children are told from their parents
        cairn::detail::initialize(mutex_);
    }
    void lock() {
        cairn::detail::require_usable_thread();
        const cairn::detail::thread_token self = cairn::detail::this_thread.thread_id;
        if (cairn::detail::try_lock(mutex_, self) == EBUSY)
            cairn::detail::lock_contended(mutex_, self, {}, {});
    }
    void unlock() { cairn::detail::unlock(mutex_); }

private:
    cairn::detail::stored_mutex mutex_;
};

}  // namespace cairn_bench
