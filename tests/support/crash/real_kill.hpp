// real_kill.hpp - victims that really die by SIGKILL, with a neighbour who waits for their lock or comes right after.
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

/// Leads a victim `step` instructions into the operation and kills it. The neighbour begins its own operation before the
/// kill or right after it, and then checks the live segment as any image is checked.
kill_outcome kill_for_real(const experiment& what, std::uint64_t step, bool neighbour_first);

}  // namespace cairn_test
