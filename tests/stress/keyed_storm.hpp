// keyed_storm.hpp - dicts and sets in storms.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "support/storm/storm.hpp"

namespace cairn_test {

std::vector<storm_row> keyed_storm_rows();

}  // namespace cairn_test
