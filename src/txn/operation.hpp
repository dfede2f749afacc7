// operation.hpp - operations that were committed but go on in small transactions.
//
// Dropping a million strings or moving the tail of a list neither fits the log nor may need memory. Such an operation
// commits a stored_operation in the control block: that is its commit point. Then it advances step by step, each step
// a transaction that does a bounded amount of work and moves `progress` along. Whoever gets the lock after a death
// finishes it first, so that nobody sees the middle.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Finishes slot().operation, if there is one. Never takes pages. Implemented by the containers, which know their nodes;
/// throws corrupt_segment when these are damaged.
void finish_stored_operation(root_transaction& tx);

}  // namespace cairn::inline CAIRN_ABI::detail
