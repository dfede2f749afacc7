// real_kill.hpp - victims that really die by SIGKILL, with a neighbour who waits for their lock or comes right after.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include "support/crash/experiment.hpp"

namespace cairn_test {

struct kill_outcome {
    bool was_blocked = false;  // the neighbour was asleep on a lock when the victim died
    double microseconds = 0;   // from the kill to the end of the neighbour's operation
    std::string failure;       // empty: all is well
};

/// Where a victim dies: so many instructions after a store to the segment; `store` 0 is the start of the operation.
struct kill_place {
    std::uint64_t store = 0;
    std::uint64_t instructions = 0;
};

/// Leads a victim to that place in the operation and kills it. The neighbour begins its own operation before the kill or
/// right after it, and then checks the live segment as any image is checked.
kill_outcome kill_for_real(const experiment& what, kill_place where, bool neighbour_first);

}  // namespace cairn_test
