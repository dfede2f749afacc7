// failing_memory.hpp - the program's operator new throws std::bad_alloc from the n-th call on. Not with sanitizers, whose own
// allocation functions do not mix with this one.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAIRN_TEST_OTHER_ALLOCATOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAIRN_TEST_OTHER_ALLOCATOR
#endif
#endif

namespace cairn_test {

/// Calls of this thread that operator new still answers; -1: all.
extern thread_local int allocations_left;

}  // namespace cairn_test
