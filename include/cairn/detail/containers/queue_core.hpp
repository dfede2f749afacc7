// queue_core.hpp - queues of items of any size, without their type.
//
// Stored        queue_layout.hpp.
// Protected by  the root's lock for every write. Readers without it (sizes, snapshots) compare the root's version, which
//               moves on with every item that is taken; every offset they follow is checked.
// Invariants    head <= tail, done <= tail; every slot with head <= ticket < tail is whole; chunks lead from the head to
//               the tail.
// Commit        put: the store of tail. get, and where chunks or blocks are linked or freed: the root's log.
//               A drop of many items: the commit of a stored operation. Whoever is enabled by it is woken before.
// Death         before the commit: rolled back, and the bytes beyond tail are nobody's. After it: done.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/containers/queue_layout.hpp>
#include <cairn/detail/txn/events.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// As load_word(), of an enum: Clang's atomics take integers only.
template <typename Enum>
CAIRN_INLINE Enum load_enum(const Enum& from) noexcept {
    static_assert(sizeof(Enum) == 1);
    return static_cast<Enum>(load_word(reinterpret_cast<const std::uint8_t&>(from)));
}

/// A new queue node, no items.
CAIRN_API segment_offset create_queue(root_transaction& tx, std::uint32_t stride, element_form form,
                                      queue_order order, std::uint64_t maxsize,
                                      std::uint32_t max_deliveries = 0);

/// Throws corrupt_segment when the node makes no sense for that stride and form.
CAIRN_API queue_node& queue_at(const segment& s, segment_offset node, std::uint32_t stride, element_form form,
                               queue_order order);

/// Where the item with that ticket lies, or null where the words that lead there are damaged.
CAIRN_INLINE std::byte* find_queue_slot(const segment& s, std::uint64_t base, std::uint64_t ticket,
                                        std::uint32_t stride) noexcept {
    const segment_offset at = base + ticket * stride;
    const std::uint32_t alignment = stride < 8 ? stride : 8;
    // The stride is a constant where an operation passes it, and may be damaged where a node does.
    if (stride == 0 || !segment_bounds(s).has(at, stride) || at % alignment != 0) [[unlikely]]
        return nullptr;
    return s.at<std::byte>(at);
}

/// Items that wait to be taken.
CAIRN_INLINE std::uint64_t queued_count(const queue_node& node) noexcept {
    return load_word(node.tail) - load_word(node.head) + load_word(node.returned_count);
}

/// For one item, beside what is kept for somebody who waits for several places.
CAIRN_INLINE bool has_room(const queue_node& node) noexcept {
    return node.maxsize == 0 || queued_count(node) + load_word(node.batch_places) < node.maxsize;
}

/// For several items. Where there is none, the caller may wait, and nobody else waits for several places, they are kept for the
/// calling thread from now on: single putters would take each that becomes free.
CAIRN_API bool has_places(root_transaction& tx, queue_node& node, std::uint64_t count,
                          bool may_wait) noexcept;
/// They are needed no more, or there were none.
CAIRN_API void forget_places(root_transaction& tx, queue_node& node) noexcept;
/// The same without the lock, of a put_many() that ends: it takes the lock however long that takes, since the others would wait
/// for the places.
CAIRN_API CAIRN_COLD void give_up_places(segment& s, root_slot& slot, std::uint64_t generation,
                                         queue_node& node) noexcept;
/// Without the lock, which it takes if who waits for several places is dead: they are anybody's again. True when it was.
CAIRN_API bool forget_places_of_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node);

CAIRN_API CAIRN_COLD void wake_sleeping_putters(root_transaction& tx, queue_node& node,
                                                std::uint64_t count) noexcept;

/// Before the commit of a change that makes room for `count` items. Those who wait for several places at once look in
/// any case: one of them could take along the wake of another, for whom the room would do.
CAIRN_INLINE void wake_putters(root_transaction& tx, queue_node& node, std::uint64_t count) noexcept {
    if (load_word(tx.slot().events[queue_has_room].waiters) == 0) [[likely]]
        return;
    wake_sleeping_putters(tx, node, count);
}

/// Under the lock, before somebody waits for several places at once.
CAIRN_INLINE void expect_batch_waiters(root_transaction& tx, queue_node& node) noexcept {
    static_cast<void>(tx);
    store_word(node.has_batch_waiters, 1);
}

/// What who waits for an item sleeps on.
CAIRN_INLINE std::uint32_t event_of_items(const queue_node& node) noexcept {
    return load_word(node.is_dead_letters) != 0 ? queue_has_dead_letter : queue_has_item;
}

/// Before the commit of a change that makes `count` items available.
CAIRN_INLINE void wake_getters(root_transaction& tx, const queue_node& node, std::uint64_t count) noexcept {
    const std::uint32_t event = event_of_items(node);
    if (load_word(tx.slot().events[event].waiters) == 0) [[likely]]
        return;
    wake(tx, event,
         static_cast<std::uint32_t>(
             std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max())));
}

// ---- putting -------------------------------------------------------------------------------------------------------

/// The tail chunk is full: links another one, in which `ticket` comes first.
CAIRN_API CAIRN_COLD void extend_queue(root_transaction& tx, queue_node& node, std::uint64_t ticket);

/// The slot of a ticket at the end of the queue, `ticket` being tail or what follows it in a batch. The stride is the
/// caller's: a damaged arena may hand out the node itself as new memory.
CAIRN_INLINE std::byte* next_queue_slot(root_transaction& tx, queue_node& node, std::uint32_t stride,
                                        std::uint64_t ticket) {
    if (ticket == node.tail_limit) [[unlikely]]
        extend_queue(tx, node, ticket);
    std::byte* slot = find_queue_slot(tx.in(), node.tail_base, ticket, stride);
    if (slot == nullptr) [[unlikely]]
        throw_damaged(tx.in(), tx.slot());
    tx.log_if_joined(slot, stride);
    // Who reads these bytes in place of a taken item's sees the version that has moved on since.
    __atomic_thread_fence(__ATOMIC_RELEASE);
    return slot;
}

/// What was written to the slots from tail on becomes items.
CAIRN_INLINE void commit_items(root_transaction& tx, queue_node& node, std::uint64_t count) {
    wake_getters(tx, node, count);
    tx.publish(node.tail, node.tail + count);
    tx.commit();
}

// ---- taking --------------------------------------------------------------------------------------------------------

/// The slot of the next item; there is one.
CAIRN_INLINE const std::byte* first_queue_slot(const root_transaction& tx, const queue_node& node,
                                               std::uint32_t stride) {
    const std::byte* slot = find_queue_slot(tx.in(), node.head_base, node.head, stride);
    if (slot == nullptr) [[unlikely]]
        throw_damaged(tx.in(), tx.slot());
    return slot;
}

/// Takes the next item of a fifo away, or any of another queue: its block is freed, a chunk left behind becomes the spare
/// one. The caller commits.
CAIRN_API void drop_first(root_transaction& tx, queue_node& node);

CAIRN_INLINE bool has_block(element_form form, const std::byte* slot) noexcept {
    return form == element_form::blob &&
           reinterpret_cast<const blob_slot*>(slot)->last >> 56 == blob_outside >> 56;
}

/// The item in the first slot was copied: it is taken, and that is all of the change.
CAIRN_INLINE void commit_taken(root_transaction& tx, queue_node& node, element_form form,
                               const std::byte* slot) {
    wake_putters(tx, node, 1);
    if (node.head + 1 != node.head_limit && !has_block(form, slot)) [[likely]] {
        tx.store(node.head, node.head + 1);
        tx.commit();
    } else {
        drop_first(tx, node);
        tx.commit();
    }
}

/// Moves the next item to `slot`, outside the chunks, with its block. The caller commits.
CAIRN_API void move_first(root_transaction& tx, queue_node& node, std::byte* slot);

/// As commit_taken() for the first `count` items.
CAIRN_API void commit_many_taken(root_transaction& tx, queue_node& node, std::uint64_t count);

/// Walks over the slots from head on; null where links lead nowhere. The stride is the caller's, who reads so many bytes.
class CAIRN_API queue_walk {
public:
    queue_walk(const segment& s, const queue_node& node, std::uint32_t stride) noexcept;
    /// The slot of the next ticket, and one further.
    const std::byte* next() noexcept;

private:
    const segment& segment_;
    std::uint32_t stride_;
    std::uint64_t ticket_;
    std::uint64_t limit_;
    std::uint64_t base_;
    segment_offset chunk_;
};

/// Drops all items below `target`, and those that came back if told so, in small steps; the first commit decides. Needs no
/// memory.
CAIRN_API void drop_items(root_transaction& tx, queue_node& node, std::uint64_t target,
                          bool returned_too = false);
/// Carries a drop to its end.
void go_on_dropping_items(root_transaction& tx);

/// An item has been dealt with. Commits. Throws invalid_state when all had been.
CAIRN_API void finish_item(root_transaction& tx, queue_node& node);

// ---- ending --------------------------------------------------------------------------------------------------------

/// No further items; everybody looks again. With `is_immediate` all items are dropped, and count as done.
CAIRN_API void close_queue(root_transaction& tx, queue_node& node, bool is_immediate);

/// "put into queue 'x' in segment 'y': closed at 14:02:11 by pid 4711"
[[noreturn]] CAIRN_COLD void throw_closed_at(const char* operation, const root_transaction& tx,
                                             std::int64_t nanoseconds, std::uint32_t pid);
[[noreturn]] CAIRN_API CAIRN_COLD void throw_closed(const char* operation, const root_transaction& tx,
                                                    const queue_node& node);

// ---- inspection ----------------------------------------------------------------------------------------------------

/// What can be judged of a node alone.
std::string check_queue_node(const segment& s, const queue_node& node);

/// Reports every block of the queue to the audit; empty, or the first invariant that does not hold.
CAIRN_API std::string check_queue(const segment& s, queue_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
