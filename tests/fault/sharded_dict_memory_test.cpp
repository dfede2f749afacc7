// sharded_dict_memory_test.cpp - making an object in parts, when there is no memory for each of its allocations in turn. Not with
// sanitizers, whose own allocation functions do not mix with those here.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <cstdlib>
#include <new>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAIRN_TEST_OTHER_ALLOCATOR
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAIRN_TEST_OTHER_ALLOCATOR
#endif
#endif

#if !defined(CAIRN_TEST_OTHER_ALLOCATOR)

namespace {

thread_local int allocations_left = -1;  // -1: no end of them

void* allocate(std::size_t bytes) {
    if (allocations_left == 0) throw std::bad_alloc();
    if (allocations_left > 0) --allocations_left;
    if (void* memory = std::malloc(bytes != 0 ? bytes : 1)) return memory;
    throw std::bad_alloc();
}

}  // namespace

// Of the whole program, the library in it, too.
void* operator new(std::size_t bytes) {
    return allocate(bytes);
}
void operator delete(void* memory) noexcept {
    std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
    std::free(memory);
}

TEST_CASE("no memory to make a sharded_dict: it is not there; but for the handle's own two allocations") {
    const cairn::manager m;
    int not_there = 0;
    int there = 0;
    for (int n = 0;; ++n) {
        bool is_made = false;
        allocations_left = n;
        try {
            const auto d = m.sharded_dict<long, long>("d", {.shards = 16});
            is_made = true;
        } catch (const std::bad_alloc&) {}
        allocations_left = -1;
        if (is_made) break;
        (m.contains("d") ? there : not_there) += 1;
        if (m.contains("d")) CHECK(m.remove("d"));
        CHECK(m.stats().object_count == 0);
    }
    CHECK(not_there > 5);
    CHECK(there <= 2);
    CHECK(m.remove("d"));
}

#endif
