// sync_layout.hpp - what the objects of include/cairn/{mutex,shared_mutex,once,array,event,semaphore,condition,barrier,latch}.hpp store in their arenas.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <type_traits>

#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class segment;
class arena_audit;
class root_transaction;

/// What a lock's data is worth. Whoever takes the lock and does not find `free` is the next after a dead owner.
enum class hold_state : std::uint32_t {
    free = 0,        // given back
    held = 1,        // by the owner of the root's lock
    owner_died = 2,  // the same, after one who has died with it; nobody has called mark_consistent() yet
};

/// A mutex or a recursive_mutex. The lock itself is the root's: its slot, and so the lock's memory, is never anything else.
///
///   0         4         8           16
///   | state   | depth   | word      |
struct mutex_node {
    // hold_state; written by the lock's owner: after it has taken the lock, and before it gives it back.
    std::uint32_t state;
    // How often the owner of a recursive_mutex has taken it beyond the first time; written by the owner.
    std::uint32_t depth;
    // For who has the lock: of an exclusive periodic, from when its next run is counted, in nanoseconds of its clock; 0: no run yet.
    // Written by any thread of the owner's process.
    std::uint64_t word;
};
static_assert(std::is_standard_layout_v<mutex_node> && sizeof(mutex_node) == 16);

/// What must hold of the node of a lock of that kind; empty, or what does not.
std::string check_mutex_node(const mutex_node& node, object_kind kind);
std::string check_mutex(const segment& s, const mutex_node& node, object_kind kind, arena_audit& audit);

/// Where a writer of a shared_mutex is.
enum class writer_stage : std::uint32_t {
    none = 0,
    comes = 1,  // it has the lock, and waits for readers
    is_in = 2,
};

/// A shared_mutex. Readers are in the lines of their processes (participant_slot).
///
///   0         16       20
///   | lock    | writer | died |
struct shared_mutex_node {
    mutex_node lock;       // of writers, and of readers that have found one
    std::uint32_t writer;  // writer_stage. Written by the owner of the lock
    std::uint32_t
        died;  // 1: the last writer died when it was in, and none has given it back since. Written by the owner of the lock
};
static_assert(std::is_standard_layout_v<shared_mutex_node> && sizeof(shared_mutex_node) == 24);

std::string check_shared_mutex_node(const shared_mutex_node& node);
std::string check_shared_mutex(const segment& s, const shared_mutex_node& node, arena_audit& audit);
/// How often a process says that it has the lock, whose number is that of its slot and one more.
std::uint32_t count_shared_locks(const participant_slot& of, std::uint32_t number) noexcept;
/// How often living processes have it as readers: a hint, since they come and go meanwhile. Cost: a look at all processes.
std::uint32_t count_readers(const segment& s, const root_slot& slot) noexcept;

/// A once: who runs the initializer has the lock.
///
///   0         16
///   | lock    | done |
struct once_node {
    mutex_node lock;
    std::uint64_t done;  // 1: the initializer has returned. Stored by the owner of the lock, once
};
static_assert(std::is_standard_layout_v<once_node> && sizeof(once_node) == 24);

std::string check_once_node(const once_node& node);
std::string check_once(const segment& s, const once_node& node, arena_audit& audit);

/// An array: the lock of who has data(), and where the elements are. All but the lock is constant while it is there.
///
///   0         16     24       28          32
///   | lock    | size | stride | reserved_ | elements |
struct array_node {
    mutex_node lock;
    std::uint64_t size;
    std::uint32_t stride;  // bytes from one element to the next
    std::uint32_t reserved_;
    std::uint64_t elements;  // offset of the first; 0 where there are none
};
static_assert(std::is_standard_layout_v<array_node> && sizeof(array_node) == 40);

/// A new node; the elements are copied from there, or 0. Throws segment_full.
CAIRN_API segment_offset create_array(root_transaction& tx, std::uint32_t stride, std::uint64_t count,
                                      const std::byte* from);
/// Throws corrupt_segment when the node makes no sense for that stride. Needs no lock.
CAIRN_API const array_node& array_at(const segment& s, segment_offset node, std::uint32_t stride);
/// Throws type_mismatch when it has another number of elements.
CAIRN_API void require_array_size(const segment& s, const root_slot& slot, const array_node& node,
                                  std::uint64_t count);
[[noreturn]] CAIRN_API void throw_not_array_owner(const char* operation, const segment& s,
                                                  const root_slot& slot);
[[noreturn]] CAIRN_API void throw_damaged_array(const segment& s);
std::string check_array_node(const segment& s, const array_node& node);
std::string check_array(const segment& s, const array_node& node, arena_audit& audit);

/// An event.
///
///   0               8
///   | set   | count |
struct event_node {
    // Bit 0: it is set. Above: how often it was, so that who waits sees it also when it was cleared again. Stored under the lock.
    std::uint64_t word;
};
static_assert(std::is_standard_layout_v<event_node> && sizeof(event_node) == 8);

std::string check_event(const segment& s, const event_node& node, arena_audit& audit);

/// A semaphore or a bounded_semaphore.
///
///   0           8       16        24             28          32
///   | available | bound | holders | holder_count | reserved_ |
struct semaphore_node {
    std::uint64_t available;     // permits that are free; logged, or stored as the whole change
    std::uint64_t bound;         // of a bounded_semaphore: how many there are. Constant
    std::uint64_t holders;       // offset of permit_holder[holder_count]; 0: none yet. Logged
    std::uint32_t holder_count;  // places in the array, free ones too; logged
    std::uint32_t reserved_;
};
static_assert(std::is_standard_layout_v<semaphore_node> && sizeof(semaphore_node) == 32);

/// How many permits a process has that come back when it dies.
struct permit_holder {
    std::uint64_t participant;  // number, never used again; logged
    std::uint64_t count;        // 0: the place is free; logged
};
static_assert(sizeof(permit_holder) == 16);

/// As many as there can be participants, and as many dead ones that nobody has looked for yet.
constexpr std::uint32_t most_permit_holders = 2 * most_participant_slots;

/// The array; empty where there is none, or the words that lead there are damaged.
std::span<permit_holder> find_permit_holders(const segment& s, const semaphore_node& node) noexcept;
/// As far as each word can be judged alone: also where a writer is in the middle of a change.
std::string check_semaphore_node(const semaphore_node& node, object_kind kind);
std::string check_semaphore(const segment& s, const semaphore_node& node, object_kind kind,
                            arena_audit& audit);

/// A condition. Who waits has a ticket; whoever has a smaller one than `released` has been notified.
///
///   0       8          16        24             28          32
///   | began | released | waiters | waiter_count | reserved_ |
struct condition_node {
    std::uint64_t began;         // the next ticket; logged
    std::uint64_t released;      // logged, or stored as the whole change
    std::uint64_t waiters;       // offset of condition_waiter[waiter_count]; 0: none yet. Logged
    std::uint32_t waiter_count;  // places in the array, free ones too; logged
    std::uint32_t reserved_;
};
static_assert(std::is_standard_layout_v<condition_node> && sizeof(condition_node) == 32);

/// A thread that waits, or has been notified and has not come back from its wait yet.
struct condition_waiter {
    std::uint64_t thread;  // thread_token; 0: the place is free. Logged, or stored as the whole change
    std::uint64_t ticket;  // logged
};
static_assert(sizeof(condition_waiter) == 16);

/// Chosen freely: more threads than machines of this size have.
constexpr std::uint32_t most_condition_waiters = 1U << 20;

/// The array; empty where there is none, or the words that lead there are damaged.
std::span<condition_waiter> find_condition_waiters(const segment& s, const condition_node& node) noexcept;
/// How many of them wait and are not notified.
std::uint64_t count_waiting(std::span<const condition_waiter> waiters, const condition_node& node) noexcept;
/// As far as each word can be judged alone.
std::string check_condition_node(const condition_node& node);
std::string check_condition(const segment& s, const condition_node& node, arena_audit& audit);

/// Why a round of a barrier has failed.
enum class barrier_end : std::uint32_t {
    none = 0,
    died = 1,       // one who had taken part since the last reset
    timed_out = 2,  // one who waited; or a stop was requested
    aborted = 3,
    reset = 4,
};

/// A barrier. Rounds have numbers, which begin at the time when it was made: a number never means two rounds of one slot.
///
///   0       8        16              24        32             36        40        44          48    52        56
///   | round | failed | failed_before | members | member_count | parties | arrived | is_broken | end | culprit |
struct barrier_node {
    std::uint64_t round;          // that fills now; logged
    std::uint64_t failed;         // the last one that failed; 0: none yet. Logged
    std::uint64_t failed_before;  // and the one before that; logged
    std::uint64_t members;        // offset of barrier_member[member_count]; 0: none yet. Logged
    std::uint32_t member_count;   // places in the array, free ones too; logged
    std::uint32_t parties;        // constant
    std::uint32_t arrived;        // of this round; logged
    std::uint32_t is_broken;      // 1: until a reset; logged
    std::uint32_t end;            // barrier_end of `failed`; logged
    std::uint32_t culprit;        // pid of who has ended it, or has died; logged
};
static_assert(std::is_standard_layout_v<barrier_node> && sizeof(barrier_node) == 56);

/// A process that has taken part, or is enrolled, since the last reset.
struct barrier_member {
    std::uint64_t participant;  // number, never used again; 0: the place is free. Logged
    std::uint32_t pid;          // logged
    std::uint32_t has_ended;    // 1: it was found dead
};
static_assert(sizeof(barrier_member) == 16);

/// As many as there can be participants, and as many dead ones that nobody has looked for yet.
constexpr std::uint32_t most_barrier_members = 2 * most_participant_slots;

/// The array; empty where there is none, or the words that lead there are damaged.
std::span<barrier_member> find_barrier_members(const segment& s, const barrier_node& node) noexcept;
/// As far as each word can be judged alone.
std::string check_barrier_node(const barrier_node& node);
std::string check_barrier(const segment& s, const barrier_node& node, arena_audit& audit);

/// A latch.
///
///   0           8
///   | remaining |
struct latch_node {
    std::uint64_t remaining;  // only falls; stored as the whole change
};
static_assert(std::is_standard_layout_v<latch_node> && sizeof(latch_node) == 8);

std::string check_latch_node(const latch_node& node);
std::string check_latch(const segment& s, const latch_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
