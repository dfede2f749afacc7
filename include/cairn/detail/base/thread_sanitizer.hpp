// thread_sanitizer.hpp - what ThreadSanitizer has to be told of locks, since it cannot see it.
//
// It follows locks through the C library's functions, and loses one that a forked child makes anew: it goes on believing
// that the forking thread holds the old one. So such a lock says itself what it means: who takes one sees what was done
// before it was given back. Nothing in other builds.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>

#if defined(__SANITIZE_THREAD__)
#define CAIRN_THREAD_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAIRN_THREAD_SANITIZER 1
#endif
#endif

#if defined(CAIRN_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#endif

/// Of functions that look at what other threads change, and for which any moment's value will do.
#if defined(__clang__)
#define CAIRN_UNCHECKED_BY_TSAN __attribute__((no_sanitize("thread")))
#else
#define CAIRN_UNCHECKED_BY_TSAN __attribute__((no_sanitize_thread))
#endif

namespace cairn::inline CAIRN_ABI::detail {

/// Right after the lock at that address was taken.
CAIRN_INLINE void say_taken([[maybe_unused]] void* lock) noexcept {
#if defined(CAIRN_THREAD_SANITIZER)
    __tsan_acquire(lock);
#endif
}

/// Right before it is given back.
CAIRN_INLINE void say_given_back([[maybe_unused]] void* lock) noexcept {
#if defined(CAIRN_THREAD_SANITIZER)
    __tsan_release(lock);
#endif
}

}  // namespace cairn::inline CAIRN_ABI::detail
