// numbering.hpp - numbers of operations, for transactions of every kind.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/once_id.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class numbering { noted, happened, unknown_client };

/// Throws invalid_argument for the number 0.
void require_number(const segment& s, const root_slot& slot, once_id id);
/// Stores the number in the transaction, unless it has happened, or the client has no record yet.
numbering note_number(root_transaction& tx, once_id id);
/// A record with the number 0, and the table if there is none, in a transaction of its own. Throws segment_full.
void make_room_for_client(segment& s, root_slot& slot, std::uint64_t generation, std::uint64_t client);

}  // namespace cairn::inline CAIRN_ABI::detail
