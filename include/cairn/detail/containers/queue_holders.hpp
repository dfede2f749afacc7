// queue_holders.hpp - who has taken how many items with a plain get, and has not said task_done() for them.
//
// Stored        an array of queue_holder (queue_layout.hpp), in no order; one with nothing taken is free for anybody.
// Commit        with the get, and with the task_done, that change it.
// Death         of a holder, or its end: what it had taken is written off. It counts as done, so that join() ends, and as
//               lost. Found by who joins, before it sleeps and at its ticks, and when the array is full.
//
// task_done() does not say for which item. It is taken to be for one of one's own, if there is one; else for one that nobody
// is remembered for; else for one that was written off; else for somebody else's, of the dead first. So what is counted here
// never exceeds what join() waits for; but a parent that says it for a living worker, while the item of a dead one is lost for
// good, makes good the lost one, and the worker's own word, or end, is waited for.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <span>

#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The array; empty where the words that lead there are damaged.
CAIRN_INLINE std::span<queue_holder> find_holders(const segment& s, const queue_node& node) noexcept {
    // Once: who takes no lock may see it grow.
    const std::uint32_t count = load_word(node.holder_count);
    if (count > most_queue_holders) [[unlikely]]
        return {};
    auto* holders = s.find<queue_holder>(load_word(node.holders), count * sizeof(queue_holder));
    return {holders, holders == nullptr ? 0 : count};
}

/// This process has taken `count` items, and that is yet to be committed. False the first time.
[[nodiscard]] CAIRN_INLINE bool add_to_holder(root_transaction& tx, queue_node& node, std::uint64_t count) {
    const std::uint64_t self = tx.in().participant_number();
    const std::span<queue_holder> holders = find_holders(tx.in(), node);
    if (holders.empty()) [[unlikely]]
        throw_damaged(tx.in(), tx.slot());
    for (queue_holder& each : holders) {
        if (each.participant != self) continue;
        tx.store(each.taken, each.taken + count);
        return true;
    }
    return false;
}

/// As add_to_holder(), of a process that has no place yet. Where there is no place and no memory for more, nobody is
/// remembered: what is taken then is not written off.
CAIRN_API CAIRN_COLD void add_new_holder(root_transaction& tx, queue_node& node, std::uint64_t count);

/// Before a get of so many items, with which it is committed.
CAIRN_INLINE void remember_taken(root_transaction& tx, queue_node& node, std::uint64_t count) {
    tx.begin_change();
    if (!add_to_holder(tx, node, count)) [[unlikely]]
        add_new_holder(tx, node, count);
}

/// Whose item task_done() is for: a place to take it from, or null, and whether it was written off.
struct finished_item {
    queue_holder* holder = nullptr;
    bool was_lost = false;
};
CAIRN_API finished_item choose_finished(root_transaction& tx, const queue_node& node);

/// Without the lock, which it takes if holders have died: writes off what they had. True when there was anything.
CAIRN_API bool write_off_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node);

/// Items of holders that have died, written off or not yet. Takes no lock.
CAIRN_API std::uint64_t count_lost(segment& s, root_slot& slot, std::uint64_t generation,
                                   segment_offset node);

/// Blocks and invariants of the holders; empty, or what does not hold.
std::string check_holders(const segment& s, const queue_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
