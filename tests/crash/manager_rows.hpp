// manager_rows.hpp - rows about objects and about segments.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/crash/experiment.hpp"

namespace cairn_test {

void add_manager_rows(experiment_table& table);
void add_lifecycle_rows(experiment_table& table);

}  // namespace cairn_test
