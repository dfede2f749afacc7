// manager_rows.hpp - rows about objects, about segments, about pools, and about services.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support/crash/experiment.hpp"

namespace cairn_test {

void add_manager_rows(experiment_table& table);
void add_lifecycle_rows(experiment_table& table);
void add_pool_rows(experiment_table& table);
void add_service_rows(experiment_table& table);

}  // namespace cairn_test
