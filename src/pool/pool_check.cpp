// pool_check.cpp - what must hold of a pool, for recovery's tests and for shmctl.
// SPDX-License-Identifier: BSL-1.0
#include "pool/frames.hpp"
#include "pool/pool_core.hpp"

namespace cairn::inline CAIRN_ABI::detail {

std::string check_pool_node(const segment& s, const pool_node& node) {
    const auto state = load_word(node.state);
    if (state != pool_state::open && state != pool_state::closing && state != pool_state::broken)
        return "pool: its state is no known one";
    const std::uint32_t capacity = load_word(node.worker_capacity);
    if (capacity == 0 || capacity > most_workers ||
        s.find<worker_slot>(load_word(node.workers), capacity * sizeof(worker_slot)) == nullptr)
        return "pool: its workers lie outside, or are too many";
    if (load_word(node.target) > capacity) return "pool: it wants more workers than it has places for";
    if (load_word(node.waiting_count) > s.committed_bytes() / sizeof(task_record))
        return "pool: it has more tasks than there is room";
    return {};
}

namespace {

class pool_checker {
public:
    pool_checker(const segment& s, pool_node& node, arena_audit& audit)
        : s_(s), node_(node), audit_(audit), most_(s.committed_bytes() / sizeof(task_record)) {}

    std::string run() {
        if (std::string problem = check_pool_node(s_, node_); !problem.empty()) return problem;
        audit_.reached(s_.offset_of(&node_), sizeof node_);
        audit_.reached(node_.workers, node_.worker_capacity * sizeof(worker_slot));
        if (node_.failure != 0) {
            if (s_.find<std::byte>(node_.failure, node_.failure_bytes) == nullptr || node_.failure_bytes == 0)
                return "pool: why it has failed lies outside";
            audit_.reached(node_.failure, node_.failure_bytes);
        }
        check_levels();
        check_lists(node_.lists);
        check_spares();
        for (std::uint32_t i = 0; i < node_.worker_capacity && problem_.empty(); ++i) check_worker(i);
        if (problem_.empty() && waiting_ != node_.waiting_count)
            fail("it has " + std::to_string(waiting_) + " waiting tasks, and says " +
                 std::to_string(node_.waiting_count));
        return problem_;
    }

private:
    void fail(const std::string& what) {
        if (problem_.empty()) problem_ = "pool: " + what;
    }

    void check_lists(const result_lists& lists) {
        walk(lists.first_finished, &lists.last_finished, task_stage::finished);
        walk(lists.first_collected, nullptr, task_stage::finished);
    }

    void check_spares() {
        std::uint64_t count = 0;
        for (segment_offset at = node_.first_spare; at != 0; ++count) {
            const auto* record = s_.find<task_record>(at);
            if (record == nullptr || count == node_.spare_count) return fail("a spare record lies outside");
            audit_.reached(at, sizeof *record);
            at = record->next;
        }
        if (count != node_.spare_count) fail("it has other spare records than it says");
    }

    void check_levels() {
        std::int64_t before = std::numeric_limits<std::int64_t>::max();
        bool is_first = true;
        for (segment_offset at = node_.levels; at != 0 && problem_.empty();) {
            const auto* level = s_.find<priority_level>(at);
            if (level == nullptr) return fail("a list of waiting tasks lies outside");
            if (!is_first && level->priority >= before) return fail("its lists are not in order");
            audit_.reached(at, sizeof *level);
            for (lane_ = 0; lane_ < lane_count; ++lane_) {
                const task_lane& lane = level->lanes[lane_];
                if (lane.first != 0 && (level->used >> lane_ & 1) == 0)
                    fail("a lane with tasks is overlooked");
                waiting_ += walk(lane.first, &lane.last, task_stage::waiting);
            }
            before = level->priority;
            is_first = false;
            at = level->next;
        }
    }

    std::uint64_t walk(segment_offset first, const std::uint64_t* last, task_stage stage) {
        std::uint64_t count = 0;
        segment_offset previous = 0;
        for (segment_offset at = first; at != 0 && problem_.empty(); ++count) {
            const auto* task = s_.find<task_record>(at);
            if (task == nullptr || count > most_) {
                fail("a task lies outside, or a list of tasks has no end");
                return count;
            }
            if (stage == task_stage::waiting && task->lane != lane_)
                fail("a task is in another lane than its own");
            if (task->stage != stage) fail("a task is in a list that is not its stage's");
            if (task->previous != previous) fail("a list of tasks does not lead back");
            check_task(*task, at);
            previous = at;
            at = task->next;
        }
        if (last != nullptr && problem_.empty() && *last != previous) fail("a list of tasks has another end");
        return count;
    }

    void check_task(const task_record& task, segment_offset at) {
        audit_.reached(at, sizeof task);
        if (task.item_count == 0 || task.items_done > task.item_count)
            return fail("a task has more results than items");
        if (task.stage == task_stage::finished && task.items_done != task.item_count && task.is_cut == 0)
            return fail("a task is finished before its items are");
        if (task.id == 0 || task.id > node_.last_task)
            return fail("a task has a number that was never given");
        if (task.input == 0 && task.input_bytes > inline_input_bytes)
            return fail("the input of a task has no place");
        if (task.input != 0) {
            if (s_.find<std::byte>(task.input, task.input_bytes) == nullptr)
                return fail("the input of a task lies outside");
            audit_.reached(task.input, task.input_bytes);
        }
        if (task.result != 0) {
            if (s_.find<std::byte>(task.result, task.result_bytes) == nullptr)
                return fail("the results of a task lie outside");
            audit_.reached(task.result, task.result_bytes);
        }
        // Of one that was cut short the worker may have written wildly.
        if (task.stage != task_stage::taken && task.is_cut == 0)
            check_frames(task, task.result == 0 ? task.inline_result : s_.at<std::byte>(task.result),
                         task.result == 0 ? inline_result_bytes : task.result_bytes);
    }

    void check_frames(const task_record& task, const std::byte* begin, std::uint64_t bytes) {
        if (end_of_frames(begin, bytes, task.items_done) > bytes) fail("the results of a task are not whole");
    }

    void check_worker(std::uint32_t index) {
        const worker_slot& slot = worker_at(s_, node_, index);
        if (slot.incarnation > node_.last_incarnation) fail("a worker has a number that was never given");
        check_lists(slot.lists);
        if (slot.incarnation == 0 && (slot.lists.first_finished != 0 || slot.lists.first_collected != 0))
            fail("a worker that has gone has results");
        if (slot.scratch != 0) {
            if (s_.find<std::byte>(slot.scratch, slot.scratch_bytes) == nullptr)
                return fail("the results of a worker lie outside");
            audit_.reached(slot.scratch, slot.scratch_bytes);
        }
        if (slot.task == 0) {
            if (slot.scratch != 0) fail("a worker without a task has results");
            return;
        }
        const auto* task = s_.find<task_record>(slot.task);
        if (task == nullptr) return fail("a worker's task lies outside");
        if (slot.incarnation == 0) return fail("a task is in a place without a worker");
        if (task->stage != task_stage::taken) fail("a worker's task is not its own");
        if (task->result != 0) fail("a task's results are in two places");
        check_task(*task, slot.task);
    }

    const segment& s_;
    pool_node& node_;
    arena_audit& audit_;
    std::uint64_t most_;
    std::uint64_t waiting_ = 0;
    std::uint32_t lane_ = 0;  // being walked
    std::string problem_;
};

}  // namespace

std::string check_pool(const segment& s, pool_node& node, arena_audit& audit) {
    return pool_checker(s, node, audit).run();
}

}  // namespace cairn::inline CAIRN_ABI::detail
