// queue_leases.hpp - items that somebody works on: they are out of the queue, and come back when they are not acknowledged.
//
// Stored        lease_record (queue_layout.hpp), in two chains: leased, and come back. The record says which participant has
//               the item, by a number that is never used again, and which lease that is.
// Commit        each change is one transaction of the root. Whoever acknowledges or returns names the lease, and is compared
//               with the record under the lock.
// Death         of a holder: whoever finds the queue empty looks whether the holders of leases are alive, without the lock,
//               and returns under the lock what is still theirs. So does, every sweep_interval, one of those who get, join
//               or sleep: the first that sees that it is time. (Model: leases.)
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What a holder knows of its lease.
struct lease_ticket {
    std::uint64_t lease = 0;
    std::uint32_t deliveries = 0;
    segment_offset record = 0;
};

CAIRN_INLINE std::byte* slot_of(lease_record& record) noexcept {
    return reinterpret_cast<std::byte*>(&record + 1);
}

/// The first of the items that came back; there is one. Throws corrupt_segment.
CAIRN_API lease_record& first_returned(const segment& s, const queue_node& node);

/// Takes it away for good, with its block. The caller commits.
CAIRN_API void drop_returned(root_transaction& tx, queue_node& node);

/// A record in no chain, for an item that the caller moves into its slot. Throws segment_full.
CAIRN_API lease_record& new_lease_record(root_transaction& tx, const queue_node& node);

/// This process has the item of the record from now on: a new one, or the first that came back. The caller commits.
CAIRN_API lease_ticket begin_lease(root_transaction& tx, queue_node& node, lease_record& record,
                                   bool came_back);

/// The item has been dealt with. Commits. False when this process has no such lease.
CAIRN_API bool finish_lease(root_transaction& tx, queue_node& node, const lease_ticket& lease);

/// Puts the item back at the front, or with the dead letters. Commits. False when this process has no such lease.
CAIRN_API bool return_lease(root_transaction& tx, queue_node& node, const lease_ticket& lease);

/// Without the lock, which it takes if holders of leases have died: returns what they had. True when there was anything.
CAIRN_API bool return_leases_of_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node);

/// How long an item of a dead holder may stay with it while the queue is used.
constexpr std::chrono::milliseconds sweep_interval{100};

/// Whose leases end in this queue: its own, or those of the queue whose dead letters it has. Throws corrupt_segment.
CAIRN_API queue_node& node_with_leases(const segment& s, const root_slot& slot, queue_node& node);

/// True for one of all who ask, every sweep_interval.
CAIRN_API bool is_sweep_due(queue_node& node_with_leases) noexcept;

/// Leases whose guards ended where the queue could not be had.
void return_owed_leases() noexcept;

/// return_owed_leases(), return_leases_of_dead(), and, if somebody joins, write_off_dead(). True when there was anything.
CAIRN_API bool sweep_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node);

/// Frees one record of those that came back, for a drop of all of them. False when there is none.
bool drop_one_returned(root_transaction& tx, queue_node& node);

/// Blocks and invariants of the leases; empty, or what does not hold.
std::string check_leases(const segment& s, const queue_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
