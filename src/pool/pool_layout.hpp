// pool_layout.hpp - what a pool of worker processes is in its root's arena.
//
//   pool_node ─┬─ levels      tasks that wait, by priority, highest first; of each, a lane for each submitter
//              ├─ lists       of the owner: those of its tasks that are finished, and those that it has collected
//              ├─ spares      records for the next tasks
//              └─ workers     an array of worker_slot; a task that is taken is in its worker's slot and in no list. A worker may submit,
//                             too, and has lists for that
//
// Lanes            submitters are threads; those of one priority are served in turn, each in the order of its tasks. All waiting tasks
//                  of a submitter are in one lane, which is its own, unless more submitters than there are lanes have tasks waiting.
// Life of a task   waiting -> taken -> finished -> collected -> spare; taken -> waiting when its worker dies before it enters the
//                  task, when the task may be tried again, and when a worker leaves in the middle of a run. Each arrow is one commit
//                  under the root's lock, of everything it changes.
// Runs             a task is a call of each of `item_count` items, one after the other; a single call is a run of one. What is done
//                  of it is known by worker_slot::progress, so that a death costs the item that was being worked on, and
//                  whoever settles it has the rest done by another worker.
// Results          frames, one after the other (result_frame): in the record itself as long as they fit, else in a block that belongs to
//                  the worker's slot while it writes there, and to the record afterwards.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Numbers of the event counts of a pool's root.
enum pool_event : std::uint32_t {
    pool_has_task = 0,        // or whatever else an idle worker has to know
    pool_has_result = 1,      // or whatever else its owner has to know
    pool_has_room = 2,        // a task was taken
    pool_has_own_result = 3,  // for a task that a worker has submitted
};

enum class pool_state : std::uint32_t {
    open = 0,
    closing = 1,  // workers leave when no task is left
    broken = 2    // there are no workers, and there will be none: `failure` says why
};

/// What has come back to a submitter. Those that one which has gone did not collect are the owner's, who frees them.
struct result_lists {
    std::uint64_t first_finished;  // offset of a task that it has not looked at yet; 0: none
    std::uint64_t last_finished;
    std::uint64_t first_collected;  // of one that it is looking at; it frees them
};

/// Written under the root's lock; what says nothing else is logged.
struct pool_node {
    // These four only grow, and are not logged. After a step that was undone they are one too high: somebody looks in vain, a number is
    // left out.
    std::uint64_t changes;    // of what idle workers look at
    std::uint64_t results;    // tasks that were finished
    std::uint64_t taken;      // tasks that were taken
    std::uint64_t last_task;  // number given to a task; never reused

    std::uint64_t last_incarnation;  // number given to a worker; never reused
    std::uint64_t levels;            // offset of the first priority_level; 0: none
    std::uint64_t waiting_count;
    result_lists lists;
    std::uint64_t workers;          // offset of the array. Set by create, then constant
    std::uint32_t worker_capacity;  // places in it. Set by create, then constant
    std::uint32_t target;           // so many places are to have a worker: the first ones
    pool_state state;
    std::uint32_t failed_starts;  // workers in a row that have ended before they were ready
    std::uint64_t failure;        // offset of a text: why workers do not get ready; 0: none
    std::uint64_t failure_bytes;
    std::uint64_t died_count;     // workers that were killed, or ended in a task
    std::uint64_t retried_count;  // further starts after a death
    std::uint64_t nursery;        // process_identity of the last one; 0: none yet
    std::uint64_t first_spare;    // offset of a record that is no task, linked by `next`; 0: none
    std::uint64_t spare_count;
};
static_assert(std::is_standard_layout_v<pool_node> && sizeof(pool_node) == 160);

/// Tasks of one priority, of one submitter if it is not shared, in the order in which they were submitted.
struct task_lane {
    std::uint64_t first;  // offset; 0: none
    std::uint64_t last;
    std::uint64_t owner;  // the submitter that took it when it was empty. Not logged
};

/// Bits of a mask. Chosen freely: so many submitters keep out of each other's way.
constexpr std::uint32_t lane_count = 16;

/// Tasks of one priority.
struct priority_level {
    std::uint64_t next;  // offset of the next lower one; 0: none
    std::int64_t priority;
    // Not logged. A bit for each lane, set before it gets tasks, cleared where the last commit has left none.
    std::uint32_t used;
    std::uint32_t shared;  // not logged. The same, of those that have tasks of others than their owner
    std::uint32_t turn;    // the lane that is next, or whichever has tasks after it. Not logged
    std::uint32_t reserved_;
    task_lane lanes[lane_count];
};
static_assert(sizeof(priority_level) == 416);

enum class task_stage : std::uint32_t { waiting = 1, taken = 2, finished = 3 };

constexpr std::uint32_t inline_input_bytes = 64;
constexpr std::uint32_t inline_result_bytes = 128;
/// So many records are kept for the next tasks. Chosen freely: 90 KiB.
constexpr std::uint64_t most_spares = 256;

/// Bits of task_record::stop_asked: by cancel() of the future; the worker is to be killed for it.
constexpr std::uint32_t stop_by_cancel = 1;
constexpr std::uint32_t stop_by_kill = 2;

/// A task. `stop_asked` is written without the lock by whoever asks, the inline result by the worker that has it; the rest under
/// the root's lock, and logged, but for links, lane and `ended`, which mean nothing where a step that sets them is undone.
struct task_record {
    std::uint64_t id;
    std::uint64_t next;  // offset, in the list it is in; 0: none
    std::uint64_t previous;
    std::uint64_t token;   // its submitter's own
    std::uint64_t callee;  // address of a task_entry, the same in all processes of the family. Constant
    std::uint64_t input;   // offset of what the callee gets; 0: it is in here. Constant
    std::uint64_t input_bytes;
    std::uint64_t result;  // offset of a block of frames; 0: they are in here
    std::uint64_t result_bytes;
    std::int64_t priority;    // constant
    std::uint64_t timeout;    // nanoseconds for each item; 0: none. Constant
    std::uint64_t grace;      // nanoseconds between the request to stop and the kill. Constant
    std::uint64_t submitted;  // monotonic clock, nanoseconds
    std::uint64_t started;    // the last time
    std::uint64_t ended;
    task_stage stage;
    std::uint32_t item_count;  // constant
    std::uint32_t items_done;
    std::uint32_t attempts;  // at the item after those: how often it was taken
    std::uint32_t retries;   // further starts after a death. Constant
    std::uint32_t stop_asked;
    std::uint32_t is_cut;                        // 1: it was ended before all its items were done
    std::uint16_t submitter_place;               // of the worker that has submitted it. Constant
    std::uint16_t lane;                          // while it waits
    std::uint64_t submitter;                     // its incarnation; 0: the owner has. Constant
    std::uint64_t thread;                        // of that: who is served in turn with others. Constant
    std::byte inline_input[inline_input_bytes];  // constant
    std::byte inline_result[inline_result_bytes];
};
static_assert(std::is_standard_layout_v<task_record> && sizeof(task_record) == 360);
static_assert(offsetof(task_record, inline_result) % 8 == 0);

enum class worker_stage : std::uint32_t { starting = 0, ready = 1 };

/// What somebody wants of a worker. Belongs to its incarnation, and goes with it.
enum class worker_order : std::uint32_t {
    none = 0,
    leave = 1,  // after its task
    end = 2     // killed, for the task it has now; if it has ended that one first, it takes no other
};

/// A place for a worker. `progress` is written without the lock by the worker; the rest under the root's lock, and logged.
struct worker_slot {
    std::uint64_t incarnation;  // 0: nobody is here
    std::uint64_t identity;     // process_identity
    std::uint64_t participant;
    std::uint64_t task;      // offset; 0: none
    std::uint64_t progress;  // 2 * items done, and 1 more once the next one's user code is entered
    std::uint64_t deadline;  // when the item's time is up, monotonic clock, nanoseconds; 0: never. Not logged
    std::uint64_t scratch;   // offset of the block in which results are being written; 0: in the record
    std::uint64_t scratch_bytes;
    std::uint64_t tasks_done;
    worker_stage stage;
    worker_order order;
    // 1: it looks for tasks without sleeping, so that a push need not wake it. Not logged; set by the worker under the lock, cleared by
    // the push that counts on it.
    std::uint32_t is_looking;
    std::uint32_t waits;  // 1: its task waits for another. Not logged; written by the worker without the lock
    result_lists lists;   // of the tasks that it has submitted
    std::uint64_t reserved_more_[2];
};
static_assert(std::is_standard_layout_v<worker_slot> && sizeof(worker_slot) == 128);

enum class frame_kind : std::uint32_t {
    value = 1,
    exception = 2,
    died = 3,      // its worker: a death_report follows
    timed_out = 4  // the same
};

/// In front of each item's result, which follows and is filled up to 8 bytes.
struct result_frame {
    std::uint64_t bytes;
    frame_kind kind;
    std::uint32_t reserved_;
};
static_assert(sizeof(result_frame) == 16);

/// How a worker has ended.
struct death_report {
    std::int32_t pid;
    std::int32_t code;  // exit code; negative: the signal
    std::int32_t attempts;
    std::int32_t worker;  // its place
    std::uint32_t likely_oom;
    std::uint32_t reserved_;
};
static_assert(sizeof(death_report) == 24);

/// Kept free behind the frames, so that whoever settles a death can say it without memory.
constexpr std::uint32_t death_frame_bytes = sizeof(result_frame) + sizeof(death_report);

constexpr std::uint64_t frame_bytes(std::uint64_t payload) noexcept {
    return sizeof(result_frame) + round_up(payload, 8);
}

constexpr std::uint32_t most_workers = 1024;

}  // namespace cairn::inline CAIRN_ABI::detail
