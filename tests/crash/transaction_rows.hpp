// transaction_rows.hpp - rows about transaction() of all objects that have it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "crash/list_rows.hpp"

namespace cairn_test {

void add_transaction_rows(experiment_table& table);

}  // namespace cairn_test
