// channel_storm.hpp - channels in storms.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "support/storm/storm.hpp"

namespace cairn_test {

/// Lines of which each item is taken once and in order, whoever has the ends; and one that is closed and removed under those
/// who are at its ends.
std::vector<storm_row> channel_storm_rows();

}  // namespace cairn_test
