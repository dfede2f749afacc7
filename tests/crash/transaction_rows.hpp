// transaction_rows.hpp - rows about transactions: of all objects that have them, and over two.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "crash/list_rows.hpp"

namespace cairn_test {

void add_transaction_rows(experiment_table& table);
/// About cairn::transaction, over two objects.
void add_pair_rows(experiment_table& table);
/// About operations with a number.
void add_once_rows(experiment_table& table);

}  // namespace cairn_test
