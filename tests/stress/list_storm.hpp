// list_storm.hpp - lists, and the directory they are in, as rows of a storm.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "support/storm/storm.hpp"

namespace cairn_test {

/// Bags of tokens with every operation that says what it took; a first-in-first-out list; one with all other operations;
/// names that come and go.
std::vector<storm_row> list_storm_rows();

}  // namespace cairn_test
