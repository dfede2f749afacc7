// transaction_rows.hpp - rows about transaction() of all objects that have it.
#pragma once

#include "crash/list_rows.hpp"

namespace cairn_test {

void add_transaction_rows(experiment_table& table);

}  // namespace cairn_test
