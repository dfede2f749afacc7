// aftermath.hpp - a process that comes when everybody is gone, and looks at what a storm has left.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/storm/crew.hpp"

namespace cairn_test {

/// In a child, at rest: repairs by ordinary use, checks every invariant, all notes and all pages, removes every object.
/// Adds to the tally; throws storm_failure.
void look_after_storm(const crew_plan& plan);

}  // namespace cairn_test
