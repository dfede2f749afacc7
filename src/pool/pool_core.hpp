// pool_core.hpp - the steps in a pool's life (pool_layout.hpp), each inside a transaction on its root. They know no types, and
// call no user code.
//
// Who does what    the owner submits, withdraws, collects; so do workers, for tasks of their own; workers take, finish, leave; whoever
//                  has seen a worker's end settles it.
// Kept             a task is in one list, or in one worker's slot. A step that is not committed has not happened: recovery undoes it.
// Wakes            before the commit, as everywhere (txn/events.hpp).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "os/identity.hpp"
#include "pool/pool_layout.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

segment_offset create_pool(root_transaction& tx, std::uint32_t worker_capacity, std::uint32_t target);
/// Throws corrupt_segment.
pool_node& pool_at(const segment& s, segment_offset node);
std::string check_pool(const segment& s, pool_node& node, arena_audit& audit);
/// Empty when its words make sense by themselves.
std::string check_pool_node(const segment& s, const pool_node& node);

/// Throws corrupt_segment.
worker_slot& worker_at(const segment& s, const pool_node& node, std::uint32_t index);
[[noreturn]] CAIRN_COLD void throw_no_task(const segment& s);
/// Throws corrupt_segment.
CAIRN_INLINE task_record& task_at(const segment& s, segment_offset task) {
    auto* const found = s.find<task_record>(task);
    if (found == nullptr) [[unlikely]]
        throw_no_task(s);
    return *found;
}
/// What its callee gets. Throws corrupt_segment.
std::span<const std::byte> input_of(const segment& s, const task_record& task);

// -- submitters -----------------------------------------------------------------------------------------------------

struct new_task {
    std::uint64_t token;
    std::uint64_t callee;
    std::span<const std::byte> input;
    std::int64_t priority;
    std::uint64_t timeout;
    std::uint64_t grace;
    std::uint32_t item_count;
    std::uint32_t retries;
    std::uint32_t submitter_place;  // of a worker
    std::uint64_t submitter;        // its incarnation; 0: the owner
    std::uint64_t thread;           // of that: who is served in turn with others
    std::uint64_t submitted = 0;    // monotonic clock, nanoseconds
};
/// Throws segment_full. `at` gets its place.
void push_task(root_transaction& tx, pool_node& node, const new_task& task, segment_offset& at);
enum class withdrawal {
    cancelled,    // whoever has it is asked to stop
    not_started,  // not after it has been started once
};
/// Takes a waiting task out, for good. False when it does not wait any more. `task` is that of `id`, as long as it is not freed.
bool withdraw_task(root_transaction& tx, pool_node& node, segment_offset task, std::uint64_t id,
                   withdrawal why);
/// Moves the first finished tasks to those that are collected, as many as `to` takes, and returns how many. `lists` are the
/// submitter's.
std::size_t collect_tasks(root_transaction& tx, result_lists& lists, std::span<segment_offset> to);
/// Frees collected tasks. Cheapest in the order in which they were collected. One step each, or for some that follow each other.
void free_tasks(root_transaction& tx, pool_node& node, result_lists& lists,
                std::span<const segment_offset> tasks);
/// Has a collected task of one item done once more, behind those that wait.
void repeat_task(root_transaction& tx, pool_node& node, result_lists& lists, segment_offset task);

// -- the owner ------------------------------------------------------------------------------------------------------

void set_target(root_transaction& tx, pool_node& node, std::uint32_t target);
void close_pool(root_transaction& tx, pool_node& node);
/// Whoever has the task is to be killed for it. 0 when nobody has it any more.
os::process_identity order_cancel(root_transaction& tx, pool_node& node, segment_offset task,
                                  std::uint64_t id);

/// Takes out waiting tasks that workers have submitted, `most` at the most, a commit each: cancelled for who waits for them. Returns
/// how many.
std::size_t cancel_tasks_of_workers(root_transaction& tx, pool_node& node, std::size_t most);
/// Every worker that has a task is to be killed for it; returns how many.
std::uint32_t order_all(root_transaction& tx, pool_node& node);

// -- workers --------------------------------------------------------------------------------------------------------

/// Becomes the worker of that place. False when it is not free, or not wanted.
bool claim_worker(root_transaction& tx, pool_node& node, std::uint32_t index, os::process_identity identity);
/// Its initializer has run: a failure of others before it is forgotten.
void be_ready(root_transaction& tx, pool_node& node, worker_slot& self);
/// Why workers do not get ready, for messages: the first reason since one was.
void record_failure(root_transaction& tx, pool_node& node, std::string_view text);

enum class next_step { run, wait, leave };
/// What an idle worker is to do; `run`: it has a task now, in its slot.
next_step take_task(root_transaction& tx, pool_node& node, worker_slot& self, std::uint64_t now);
/// Its task's items are done, as far as `progress` says: all, or the rest is for another worker.
void finish_task(root_transaction& tx, pool_node& node, worker_slot& self, std::uint64_t now);
/// After next_step::wait: whether this worker is to look for tasks for a while, and not to sleep: one of them does.
bool begin_looking(root_transaction& tx, const pool_node& node, worker_slot& self);
void leave_pool(root_transaction& tx, pool_node& node, worker_slot& self);
/// Room for `bytes` of frames in all, with what is there.
void grow_scratch(root_transaction& tx, worker_slot& self, std::uint64_t bytes);

// -- deaths ---------------------------------------------------------------------------------------------------------

struct worker_death {
    pid_t pid;
    int code;  // as death_report
    bool likely_oom;
};
/// "ended with code 7"
std::string end_in_words(int code, bool likely_oom);
/// After the end of the worker with that incarnation is certain. False when it was settled, or has left, before.
bool settle_death(root_transaction& tx, pool_node& node, std::uint32_t index, std::uint64_t incarnation,
                  const worker_death& death, std::uint64_t now);
void register_nursery(root_transaction& tx, pool_node& node, os::process_identity identity);
/// A child that was to become a worker has ended before it did.
void count_failed_start(root_transaction& tx, pool_node& node);
/// No worker can be had any more.
void break_pool(root_transaction& tx, pool_node& node, std::string_view why);

std::uint64_t monotonic_nanoseconds() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
