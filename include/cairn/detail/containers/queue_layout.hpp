// queue_layout.hpp - what a queue is in its root's arena.
//
// Items have tickets, from 0 on: `head` is taken next, `tail` is filled next. They lie in chunks that are linked in the
// order of tickets; the end of each queue knows its own chunk, so that an item is found by one multiplication:
//
//   chunk      | queue_chunk | slot | slot | ...
//   slot       an element in place (`stride` bytes), or a blob_slot
//   address    base + ticket * stride, where base is as if the chunk began with ticket 0
//
//   head_chunk                          tail_chunk            spare_chunk
//   | . . . taken, head ... | -next-> | ..., tail, unused | | kept for the next chunk to be linked |
//
// An item that is leased lies in a lease_record of its own, and stays there when it comes back to the front of the queue.
//
// A chunk whose last item is taken becomes the spare one, or is freed. The only chunk of an empty queue is used again from
// its beginning when it is full: a queue that is emptied as fast as it is filled lives in one chunk.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/words.hpp>
#include <cairn/detail/containers/list_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Numbers of the event counts of a queue's root.
enum queue_event : std::uint32_t {
    queue_has_item = 0,
    queue_has_room = 1,
    queue_all_done = 2,
    queue_has_dead_letter = 3,  // an item of the queue of dead letters, which is in the same root
};

enum class queue_state : std::uint8_t {
    open = 0,
    closed = 1,  // takes no more items; gives out what it has
    shut = 2     // ... and what comes back from a lease is dropped
};

enum class queue_order : std::uint8_t { fifo = 0, lifo = 1, priority = 2 };

/// A node of another order than fifo has a list_node at head_chunk, of slots or of heap_entries, and none of the words about
/// chunks; head and tail count, too.
/// Everything but maxsize, stride and form is written under the root's lock, and logged, except tail where
/// it is the whole change.
struct queue_node {
    std::uint64_t head;  // ticket to take next: as many items have been taken. Only grows
    std::uint64_t
        head_limit;  // first ticket beyond the head chunk; above head, unless it is empty and full at once
    std::uint64_t head_base;  // offset at which ticket 0 would be if the head chunk began with it; wraps
    std::uint64_t tail;       // ticket to fill next: as many items have been put. Only grows
    std::uint64_t tail_limit;
    std::uint64_t tail_base;
    std::uint64_t done;            // items that need not be waited for any more; at most tail. Only grows
    std::uint64_t maxsize;         // 0: no limit. Set by create, then constant
    std::uint32_t returned_count;  // items that were leased and came back: they are taken first
    std::uint32_t leased_count;    // items that somebody works on
    std::uint64_t returned;        // offset of the first lease_record of these, by ticket; 0: none
    std::uint64_t leased;          // ... and of those, the newest lease first
    std::uint64_t last_lease;      // number given to a lease; never reused
    std::uint64_t dead_letters;    // offset of another queue_node; 0: none. Set by create, then constant
    std::uint64_t head_chunk;      // offset; 0: none yet
    std::uint64_t tail_chunk;
    std::uint64_t spare_chunk;        // 0: none
    std::int64_t closed_nanoseconds;  // since 1970
    std::uint32_t closed_pid;
    std::uint32_t stride;  // bytes from item to item. Set by create, then constant
    element_form form;     // set by create, then constant
    queue_state state;
    std::uint8_t
        has_batch_waiters;  // who waits for room may wait for more than one place; may be wrongly 1. Not logged
    std::uint8_t is_dead_letters;  // 1: of the queue that is the root's node. Constant
    std::uint32_t max_deliveries;  // after so many leases an item is a dead letter; 0: never. Constant
    queue_order order;             // set by create, then constant
    std::uint8_t reserved_[3];
    std::uint32_t holder_count;  // places in the array of queue_holder
    std::uint64_t holders;       // offset of the array
    std::uint64_t lost;          // items of processes that ended before they were done; they are among `done`
    // Not logged, these three.
    std::uint64_t
        next_sweep;  // of the coarse monotonic clock, nanoseconds; compare-and-swap without the lock
    std::uint64_t batch_putter;  // thread_token of who waits for several places at once; 0: nobody
    std::uint64_t batch_places;  // so many are kept for it
};
static_assert(std::is_standard_layout_v<queue_node> && sizeof(queue_node) == 200);
static_assert(offsetof(queue_node, head_chunk) == 104);  // format 2; a change needs a new format number

/// What a process has taken with a plain get, and not said to be done.
struct queue_holder {
    std::uint64_t participant;  // its number; 0: of nobody yet
    std::uint64_t taken;        // 0: the place is free
};
static_assert(sizeof(queue_holder) == 16);

constexpr std::uint32_t first_queue_holders = 4;
constexpr std::uint32_t most_queue_holders = 4096;  // as many as there can be participants, and more

/// An item of a priority queue, in the heap: the first is the smallest, and none is smaller than the one at half its place.
struct heap_entry {
    std::uint64_t sequence;  // that it was put with: of equals the older one comes first
    std::uint64_t item;      // offset of a block that is its slot
};
static_assert(sizeof(heap_entry) == 16);

/// An item outside the chunks: leased, or come back. Its slot follows, as in a chunk.
struct lease_record {
    std::uint64_t next;  // offset, in the chain of its kind; 0: none
    std::uint64_t previous;
    std::uint64_t lease;        // its number; 0: it came back
    std::uint64_t participant;  // who has it, or had it last
    std::uint64_t ticket;       // that it was taken with: those that come back keep their order
    std::uint32_t deliveries;   // how often it was leased
    std::uint32_t reserved_;
};
static_assert(std::is_standard_layout_v<lease_record> && sizeof(lease_record) == 48);

/// Beginning of a chunk. `next` says nothing in the tail chunk and in the spare one.
struct queue_chunk {
    std::uint64_t next;        // offset
    std::uint64_t slot_count;  // set when it is allocated, then constant
};
static_assert(sizeof(queue_chunk) == 16);

constexpr std::uint64_t first_queue_chunk_bytes = 1024;  // chosen freely: small queues stay small
constexpr std::uint64_t largest_queue_chunk_bytes =
    16384;  // whole pages: a larger one would make nothing faster
constexpr std::uint64_t largest_queue_slot_bytes = 256;

constexpr std::uint64_t queue_slots_in(std::uint64_t chunk_bytes, std::uint32_t stride) noexcept {
    return (chunk_bytes - sizeof(queue_chunk)) / stride;
}

/// Bytes of a chunk with that many slots.
constexpr std::uint64_t queue_chunk_bytes(std::uint64_t slot_count, std::uint32_t stride) noexcept {
    return round_up(sizeof(queue_chunk) + slot_count * stride, 8);
}

/// How many slots the chunk after one of `slot_count` has: twice the bytes, up to the largest.
constexpr std::uint64_t next_queue_slot_count(std::uint64_t slot_count, std::uint32_t stride) noexcept {
    if (slot_count == 0) return queue_slots_in(first_queue_chunk_bytes, stride);
    return queue_slots_in(
        std::min(2 * std::bit_ceil(queue_chunk_bytes(slot_count, stride)), largest_queue_chunk_bytes),
        stride);
}

}  // namespace cairn::inline CAIRN_ABI::detail
