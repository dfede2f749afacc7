// queue_storm.hpp - queues in storms.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "support/storm/storm.hpp"

namespace cairn_test {

/// Lines of which each item is taken once and in order, bounded and not; queues of each kind whose items are leased, with
/// dead letters and without; queues that are closed and removed under those who sleep in them.
std::vector<storm_row> queue_storm_rows();

}  // namespace cairn_test
