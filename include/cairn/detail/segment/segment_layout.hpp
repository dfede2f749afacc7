// segment_layout.hpp - format 5: everything that is stored in a segment, outside the arenas of the roots.
//
//   0            4096          (header)    (header)      (header)      (header)
//   | header     | control     | participant | buckets   | page map    | data: extents ...        -> max_bytes
//   | constant   | lock, log   | slots       | of names, | sparse      | first extents: root slots
//   |            |             |             | the first |             |
//
// The file is sparse: of the page map only the part that describes committed pages is backed. Pages of the data area
// are numbered from 0; extents are power-of-two runs of them, aligned to their size by page number (a buddy system).
//
// Protected by  control.lock for everything but: participants (claimed by compare-and-swap), committed_bytes (read by
//               anyone, written under the lock), and the root slots (each has a lock of its own).
// Commit        the store that empties control.log_bytes.
// Death         the next holder of the lock replays the log, then finishes what is pending: each root that was being
//               built or erased gives its extents back and its slot becomes free.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>
#include <cairn/detail/os/robust_mutex.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint32_t segment_format = 5;
constexpr std::uint64_t segment_magic = 0x314E524941430A89;  // "\x89\nCAIRN1": text tools damage it visibly
constexpr std::uint64_t page_bytes = 4096;                   // unit of extents, whatever the system's page is
constexpr std::size_t cache_line_bytes = 64;
constexpr std::uint32_t max_order = 27;  // 2^27 pages = 512 GiB; max_bytes is limited accordingly
constexpr std::uint64_t max_segment_bytes = page_bytes << max_order;
constexpr std::size_t max_segment_name_bytes = 200;
constexpr std::size_t max_object_name_bytes = 255;
constexpr std::uint32_t name_bucket_count = 1024;        // to begin with; chosen freely: 4 KiB of heads
constexpr std::uint32_t name_level_count = 12;           // each doubles them: 4 194 304 at most
constexpr std::uint32_t participant_slot_count = 512;    // unless told; chosen freely: 64 KiB
constexpr std::uint32_t most_participant_slots = 65536;  // more processes are `refused`

/// Page 0. Written once before the segment gets a name, then constant.
struct segment_header {
    std::uint64_t magic;
    std::uint32_t format;
    std::uint32_t header_bytes;  // sizeof(segment_header)
    std::uint64_t abi;           // abi_fingerprint() of the creator
    std::uint64_t max_bytes;     // of the mapping; the file may never be larger
    std::uint64_t control_offset;
    std::uint64_t participants_offset;
    std::uint64_t buckets_offset;
    std::uint64_t map_offset;   // of page_entry[page_limit]
    std::uint64_t data_offset;  // of page 0
    std::uint32_t page_limit;   // how many data pages there can ever be
    std::uint32_t participant_count;
    std::uint32_t bucket_count;
    std::uint32_t persist;             // 1: only unlink() or shmctl rm removes it
    std::uint32_t remove_when_unused;  // 1: made by open_or_create, removed when the last process goes
    std::uint32_t hash_algorithm;      // 1 = XXH3_64bits_withSeed
    std::uint64_t hash_seed;
    std::uint64_t boot_id[2];     // of the system that made it: start times mean something only there
    std::uint64_t pid_namespace;  // inode of the creator's; pids and lock words mean something only there
    std::uint64_t
        time_namespace;  // inode of the creator's; start times mean something only there. 0: the kernel has none
    std::int64_t created_nanoseconds;  // since 1970
    std::uint32_t creator_pid;
    std::uint32_t name_bytes;
    char name[208];          // not terminated when 200 long; anonymous segments have one, too
    std::uint64_t checksum;  // XXH3 of all bytes before it
};
static_assert(std::is_standard_layout_v<segment_header> && sizeof(segment_header) == 368);
static_assert(offsetof(segment_header, checksum) == 360);  // a change needs a new format number

/// What the bytes of an extent are for.
enum class extent_purpose : std::uint32_t {
    none = 0,
    roots = 1,  // the segment's, as names
    loose = 2,
    span = 3,
    large = 4,
    log = 5,
    names = 6
};

/// One for each data page; only the entry of an extent's first page says anything (tag 0: inside an extent).
/// Written under the segment's lock, logged there.
struct page_entry {
    std::uint32_t tag;    // order | state << 8 | purpose << 16
    std::uint32_t owner;  // 1 + number of the root's slot; 0: the segment
    std::uint32_t
        next;  // 1 + page number: of the next free extent of this order, or of the next one of this owner
    std::uint32_t previous;
};
static_assert(sizeof(page_entry) == 16);

enum class extent_state : std::uint32_t { inside = 0, free = 1, used = 2 };

constexpr std::uint32_t make_tag(std::uint32_t order, extent_state state,
                                 extent_purpose purpose = extent_purpose::none) noexcept {
    return order | static_cast<std::uint32_t>(state) << 8 | static_cast<std::uint32_t>(purpose) << 16;
}
constexpr std::uint32_t tag_order(std::uint32_t tag) noexcept {
    return tag & 0xff;
}
constexpr extent_state tag_state(std::uint32_t tag) noexcept {
    return static_cast<extent_state>(tag >> 8 & 0xff);
}
constexpr extent_purpose tag_purpose(std::uint32_t tag) noexcept {
    return static_cast<extent_purpose>(tag >> 16);
}

constexpr std::size_t segment_log_bytes =
    8192;  // splitting or joining all 27 orders needs less than half of it

/// From page 1 on. Written under its lock and logged, where nothing else is said.
struct segment_control {
    stored_mutex lock;
    std::uint64_t log_bytes;  // how much of `log` counts; 0 is the commit
    std::uint64_t
        committed_bytes;    // everything below is backed (but for holes in the map); published with one store
    std::uint32_t retired;  // 1: has lost its name or is about to; nobody may attach any more
    std::uint32_t
        pending_slot;  // 1 + slot: chain, by next_free_slot, of the roots that are being built or erased under the lock
    std::uint32_t first_free_slot;      // 1 + slot number
    std::uint32_t first_slot;           // 1 + slot number: chain of all slots there are
    std::uint64_t last_generation;      // given to a root; never reused
    std::uint64_t last_participant;     // number given to a participant; never reused; atomic, not logged
    std::uint64_t last_generated_name;  // not logged: only grows
    std::uint64_t free_pages;
    std::uint32_t slot_count;
    std::uint32_t live_root_count;
    std::uint32_t free_heads[32];  // by order: 1 + page number of the first free extent
    std::uint64_t recovery_count;  // not logged
    std::uint32_t
        building_slot;  // 1 + slot: the same of those that are built without it, under their own locks
    std::uint32_t bucket_count;                   // of names, in use: see src/segment/name_table.hpp
    std::uint32_t name_levels[name_level_count];  // 1 + first page of an extent of more buckets
    std::uint32_t rolled_back_count;              // of the segment's log; not logged
    std::uint32_t
        holes_from;  // 1 + page: free extents from there on may be holes; 0: none is; not logged, only falls
    std::uint32_t
        used_participants;  // slots that were ever claimed, or are about to be: the first ones; not logged, only grows
    std::uint32_t reserved_;
    std::uint64_t
        shown_bytes;  // readers without a lock follow offsets below it; not logged, only grows, never beyond committed_bytes
    unsigned char log[segment_log_bytes];
};
static_assert(std::is_standard_layout_v<segment_control> && offsetof(segment_control, log) % 8 == 0);

/// A line of them. More locks at a time a process does not have as a reader.
constexpr std::uint32_t shared_lock_places = 16;

/// One attached process. `identity` is the claim: pid, start time and place of the stack in one word, so that a claim is
/// one compare-and-swap and can be mistaken neither for a later process with the same pid nor for a later program in
/// the same process.
struct participant_slot {
    std::uint64_t identity;  // process_identity, 0: free
    std::uint64_t number;    // never reused; written after the claim
    std::uint64_t flags;     // 1: creator
    std::uint64_t reserved_;
    char program[32];  // for people; not terminated when it fills the field
    // In a line of their own: the locks of readers that this process has, (1 + slot number) << 8 | how often; 0: none. Compare-and-swap
    // by its threads. What is here of a process that has died, or has left, says nothing.
    std::uint32_t shared_locks[shared_lock_places];
};
static_assert(sizeof(participant_slot) == 128 && offsetof(participant_slot, shared_locks) == 64);

constexpr std::uint64_t participant_is_creator = 1;

constexpr std::size_t event_count_slots = 4;

/// How waiting works: `sequence` is a futex word that a waker bumps; `waiters` may be wrongly 1, never wrongly 0.
struct stored_event_count {
    std::uint32_t sequence;
    std::uint32_t waiters;
};

enum class root_state : std::uint32_t { free = 0, building = 1, live = 2, erasing = 3, poisoned = 4 };

enum class object_kind : std::uint32_t {
    none = 0,
    list = 1,
    dict = 2,
    set = 3,
    queue = 4,
    lifo_queue = 5,
    priority_queue = 6,
    channel = 7,
    value = 8,
    array = 9,
    name_space = 10,
    mutex = 11,
    recursive_mutex = 12,
    semaphore = 13,
    condition = 14,
    event = 15,
    barrier = 16,
    record = 17,
    sharded_dict = 18,
    pool = 19,
    latch = 20,
    once = 21,
    shared_mutex = 22,
    service_set = 23,
    bounded_semaphore = 24
};

/// Objects whose root's lock is the user's, who may hold it for any time; nothing else of the root changes meanwhile.
constexpr bool is_users_lock(object_kind kind) noexcept {
    return kind == object_kind::mutex || kind == object_kind::recursive_mutex || kind == object_kind::array ||
           kind == object_kind::once || kind == object_kind::shared_mutex;
}

/// An operation that was committed but whose work goes on in several small transactions (dropping a million strings,
/// moving the tail of a list). Whoever gets the lock finishes it first. Logged, written under the root's lock.
struct stored_operation {
    std::uint32_t kind;  // operation_kind; 0: none
    std::uint32_t phase;
    std::uint64_t node;  // offset of the container node it works on
    std::uint64_t progress;
    std::uint64_t arguments[5];
};
static_assert(sizeof(stored_operation) == 64);

// Sizes of small blocks: multiples of 16 up to 128, then four to each doubling. See arena.hpp.
constexpr std::uint32_t small_class_count = 32;  // up to 8192 bytes
constexpr std::uint32_t loose_class_count = 20;  // up to 1024 bytes: those also live in young pages

/// The arena's own words. Written under the root's lock and logged.
struct arena_header {
    std::uint64_t bump;  // next free byte of the young page; 0: none
    std::uint64_t bump_end;
    std::uint64_t loose_pages;  // young pages taken so far
    std::uint64_t
        loose_free[loose_class_count];  // offset of the first free block outside the spans, by class
    std::uint32_t partial_spans[small_class_count];  // 1 + page number of the first span with room, by class
    std::uint32_t
        empty_span;  // 1 + page of the one span without blocks that is kept in case it is needed again
    std::uint32_t reserved_;
};

constexpr std::size_t root_slot_bytes = 2048;
constexpr std::size_t root_log_bytes = 1024;

/// A way into a root beside its lock, for one thread at a time: see src/txn/root_pin.hpp. In the control block, since a thread
/// that was stopped for long may write here when the root has gone. Both words are thread tokens; 0: nobody's.
struct stored_pin {
    std::uint64_t owner;   // who may go in; written under the root's lock
    std::uint64_t holder;  // who is in; compare-and-swap
    std::uint64_t reserved_;
};
constexpr std::size_t pin_slots = 2;

/// A word that is changed without the lock, of a value: see containers/value_cell.hpp. `control` only grows, across reuse too.
struct alignas(16) stored_cell {
    std::uint64_t value;
    std::uint64_t control;  // counts changes by two; 1 in its last bit: changed under the lock only
};

/// The control block of a root: never moves, and its memory is never used for anything but a later root's.
/// lock, version, generation, the event counts' sequences and `committed` only ever grow, across reuse too.
struct root_slot {
    // The line of whoever changes something: an append touches no other in here but to read it.
    stored_mutex lock;
    std::uint64_t
        log_head;  // area << 32 | bytes; 0: empty, which is the commit. area 0 is `log`, else 1 + page
    std::uint64_t contended_count;  // not logged, as all statistics
    std::uint32_t rolling_back;     // 1: the log has been replayed, extents in doubt are being given back
    std::uint32_t
        part_of;  // 1 + slot of the root whose part this is; 0: has a name. Constant while it is live
    // The line that readers look at.
    std::uint64_t version;     // odd while what a reader may look at is being changed
    std::uint64_t generation;  // of the root that lives here; handles carry it
    std::uint32_t state;       // root_state
    std::uint32_t kind;        // object_kind
    std::uint64_t node;        // offset of the container's node
    // Extents. extents and settled are written under both locks, logged by the segment.
    std::uint32_t extents;  // 1 + page: chain of all extents of this root, newest first
    std::uint32_t settled;  // ... as it was when the last transaction was committed; newer ones are in doubt
    std::uint64_t extent_pages;  // sum of the chain; logged by the segment
    // Two-root transactions.
    std::uint64_t committed;
    std::uint64_t outstanding;
    std::uint64_t decided_root;
    std::uint64_t decided_number;
    // What it is. Constant while it is live.
    std::uint64_t type_name;  // offset; in the root's arena
    std::uint32_t type_name_bytes;
    std::uint32_t name_bytes;
    std::uint64_t fingerprint;  // of the type name
    std::uint64_t name_hash;
    std::uint32_t next_in_bucket;  // 1 + slot number; written under the segment's lock
    std::uint32_t next_slot;       // 1 + slot number: chain of all slots; set once
    std::uint32_t next_free_slot;  // 1 + slot number: of the next one that is free, pending, or built
    std::uint32_t
        pending_free;  // 1 + page: chain of large blocks unlinked by a commit, not yet given back; logged
    std::int64_t created_nanoseconds;
    // Deaths, for shmctl.
    std::uint64_t recovery_count;
    std::uint64_t rolled_back_count;
    std::int64_t last_recovery_nanoseconds;
    std::uint32_t last_dead_thread;  // thread id in the lock word; 0: not known
    std::uint32_t last_operation;    // kind of the stored operation that was finished, 0: none
    std::uint64_t last_undone_bytes;
    std::uint64_t poison_reason;
    stored_event_count events[event_count_slots];
    stored_operation operation;
    std::uint64_t once;  // offset of a dict_node: what has happened, by client; 0: none. Logged
    arena_header arena;
    char name[256];
    unsigned char log[root_log_bytes];
    std::uint64_t acquired_before;  // of the lock, by the roots that were here before; not logged
    std::uint64_t
        given_up;  // of a condition or a barrier: a wait has ended without the lock; not logged, may be wrongly set
    stored_pin
        pins[pin_slots];  // in two lines: the second begins one. Owners are the kind of object's to reset
    stored_cell cell;
};
static_assert(std::is_standard_layout_v<root_slot>);
static_assert(offsetof(root_slot, pins) / cache_line_bytes !=
              offsetof(root_slot, pins[1]) / cache_line_bytes);
static_assert(sizeof(root_slot) <= root_slot_bytes);
static_assert(offsetof(root_slot, version) == 64 && offsetof(root_slot, log) % 8 == 0);

/// The node of an object that is several roots (a sharded_dict). One root has its name and this node; its parts have
/// no name of their own, but its generation. Made and removed together with it: constant while it is live.
struct parts_node {
    std::uint32_t count;
    std::uint32_t reserved_;
    // and then, for each of the `count` parts, in their order: 1 + slot number
};
static_assert(sizeof(parts_node) == 8);

/// Chosen freely: more writers at once than this few machines have; their records in the segment's log, three for each when
/// they are removed, are less than half of it.
constexpr std::uint32_t most_parts = 64;
static_assert(most_parts * 3 * 16 <= segment_log_bytes / 2);

constexpr std::uint64_t parts_node_bytes(std::uint32_t count) noexcept {
    return sizeof(parts_node) + count * sizeof(std::uint32_t);
}
/// The first of the links behind a node.
CAIRN_INLINE std::uint32_t* part_links(parts_node& node) noexcept {
    return reinterpret_cast<std::uint32_t*>(&node + 1);
}
CAIRN_INLINE const std::uint32_t* part_links(const parts_node& node) noexcept {
    return reinterpret_cast<const std::uint32_t*>(&node + 1);
}

/// A run of memory that a block of the arena (or a spilled log) starts with while it waits to be given back.
struct pending_block {
    std::uint64_t next;        // 1 + page of the next pending block
    std::uint64_t page_count;  // still to be given back
};

/// First bytes of an extent with purpose log.
struct log_area_header {
    std::uint64_t previous_head;  // log_head as it was when this area was begun
    std::uint64_t bytes;          // of the extent
};

}  // namespace cairn::inline CAIRN_ABI::detail
