// queue_holders.hpp - who has taken how many items with a plain get, and has not said task_done() for them.
//
// Stored        an array of queue_holder (queue_layout.hpp), in no order; one with nothing taken is free for anybody.
// Commit        with the get, and with the task_done, that change it.
// Death         of a holder, or its end: what it had taken is written off. It counts as done, so that join() ends, and as
//               lost. Found by who joins, before it sleeps and at its ticks, and when the array is full.
//
// task_done() is for an item of one's own, if there is one; else for one that was written off; else for somebody else's, for
// any process may say so for any other. So what is counted here never exceeds what join() waits for.
#pragma once

#include <cstdint>

#include <cairn/detail/containers/queue_core.hpp>

namespace cairn::inline v0::detail {

/// The array, or null where the words that lead there are damaged.
CAIRN_INLINE queue_holder* find_holders(const segment& s, const queue_node& node) noexcept {
    const std::uint64_t count = load_word(node.holder_count);
    return count > most_queue_holders
               ? nullptr
               : s.find<queue_holder>(load_word(node.holders), count * sizeof(queue_holder));
}

/// This process has taken `count` items, and that is yet to be committed. Not the first time.
[[nodiscard]] CAIRN_INLINE bool add_to_holder(root_transaction& tx, queue_node& node, std::uint64_t count) {
    const std::uint64_t self = tx.in().participant_number();
    queue_holder* holders = find_holders(tx.in(), node);
    if (holders == nullptr) [[unlikely]]
        throw_damaged(tx.in(), tx.slot());
    for (queue_holder* each = holders; each != holders + node.holder_count; ++each) {
        if (each->participant != self) continue;
        tx.store(each->taken, each->taken + count);
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

/// A place of somebody who has taken something: this process's if it has, else anybody's; null if there is none.
CAIRN_API queue_holder* find_unfinished(root_transaction& tx, const queue_node& node, bool own_only);

/// Without the lock, which it takes if holders have died: writes off what they had. True when there was anything.
CAIRN_API bool write_off_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node);

/// Items of holders that have died, and are not written off yet. Takes no lock.
CAIRN_API std::uint64_t count_of_dead(segment& s, root_slot& slot, std::uint64_t generation,
                                      segment_offset node);

/// Blocks and invariants of the holders; empty, or what does not hold.
std::string check_holders(const segment& s, const queue_node& node, arena_audit& audit);

}  // namespace cairn::inline v0::detail
