// sharded_dict_memory_test.cpp - making an object in parts, when there is no memory for each of its allocations in turn. Not with
// sanitizers, whose own allocation functions do not mix with those here.
//
// SPDX-License-Identifier: BSL-1.0
#include <new>

#include <doctest/doctest.h>

#include "fault/failing_memory.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

#if !defined(CAIRN_TEST_OTHER_ALLOCATOR)

namespace sharded_dict_memory_test {

using cairn_test::allocations_left;

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

}  // namespace sharded_dict_memory_test

#endif
