// SPDX-License-Identifier: BSL-1.0
#include "fault/failing_memory.hpp"

#include <cstddef>
#include <cstdlib>
#include <new>

namespace cairn_test {

thread_local int allocations_left = -1;

}  // namespace cairn_test

#if !defined(CAIRN_TEST_OTHER_ALLOCATOR)

namespace {

void* allocate(std::size_t bytes) {
    int& left = cairn_test::allocations_left;
    if (left == 0) throw std::bad_alloc();
    if (left > 0) --left;
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

#endif
