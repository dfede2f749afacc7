// SPDX-License-Identifier: BSL-1.0
#include "pool/pool_core.hpp"

#include <algorithm>
#include <bit>
#include <csignal>
#include <cstring>
#include <ctime>
#include <limits>

#include "pool/frames.hpp"
#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"
#include "txn/operation.hpp"
#include <cairn/detail/txn/events.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

CAIRN_INLINE priority_level& level_at(const segment& s, segment_offset offset) {
    auto* level = s.find<priority_level>(offset);
    if (level == nullptr) [[unlikely]]
        throw_corrupt(s, "a pool's list of tasks lies outside");
    return *level;
}

// The next lower one; null at the end. They descend, so that a damaged list ends, too.
priority_level* level_below(const segment& s, const priority_level& level) {
    if (level.next == 0) return nullptr;
    priority_level& next = level_at(s, level.next);
    if (next.priority >= level.priority) throw_corrupt(s, "a pool's lists of tasks are not in order");
    return &next;
}

priority_level* highest_level(const segment& s, const pool_node& node) {
    return node.levels == 0 ? nullptr : &level_at(s, node.levels);
}

// Places for workers that are wanted.
std::span<worker_slot> wanted_workers(const segment& s, const pool_node& node) {
    const std::uint32_t count = std::min(node.target, node.worker_capacity);
    auto* const first = s.find<worker_slot>(node.workers, count * sizeof(worker_slot));
    if (first == nullptr) throw_corrupt(s, "a worker of a pool lies outside");
    return {first, count};
}

void count_up(std::uint64_t& counter) noexcept {
    store_word(counter, counter + 1);
}

task_lane& lane_of(const segment& s, priority_level& level, const task_record& task) {
    if (task.lane >= lane_count) throw_corrupt(s, "a task of a pool is in no lane");
    return level.lanes[task.lane];
}

// The lane that is next, of a level as the last commit has left it; lane_count: there are no tasks.
std::uint32_t next_lane(priority_level& level) noexcept {
    const std::uint32_t all = load_word(level.used) & ((1U << lane_count) - 1);
    const std::uint32_t turn = load_word(level.turn) % lane_count;
    // From the turn on, and then from the first on.
    const std::uint32_t before_turn = all & ((1U << turn) - 1);
    for (std::uint32_t left : {all ^ before_turn, before_turn}) {
        for (; left != 0; left &= left - 1) {
            const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
            if (level.lanes[at].first != 0) return at;
            store_word(level.used, load_word(level.used) & ~(1U << at));
            store_word(level.shared, load_word(level.shared) & ~(1U << at));
        }
    }
    return lane_count;
}

bool is_empty(const priority_level& level) noexcept {
    for (std::uint32_t left = load_word(level.used); left != 0; left &= left - 1)
        if (const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
            at < lane_count && level.lanes[at].first != 0)
            return false;
    return true;
}

// Where the next task of that submitter goes, as in executors/fair_queue.hpp.
std::uint32_t lane_for(priority_level& level, std::uint64_t thread) noexcept {
    constexpr std::uint32_t all = (1U << lane_count) - 1;
    std::uint32_t free = all;
    for (std::uint32_t left = load_word(level.used) & all; left != 0; left &= left - 1) {
        const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
        if (level.lanes[at].first == 0) continue;
        if (load_word(level.lanes[at].owner) == thread) return at;
        free &= ~(1U << at);
    }
    const auto home = static_cast<std::uint32_t>(thread % lane_count);
    const bool is_home_free = (free >> home & 1) != 0;
    // Once shared it stays so: tasks of this submitter may be in it.
    if (!is_home_free && (free == 0 || (load_word(level.shared) >> home & 1) != 0)) {
        store_word(level.shared, load_word(level.shared) | 1U << home);
        return home;
    }
    const std::uint32_t at = is_home_free ? home : static_cast<std::uint32_t>(std::countr_zero(free));
    store_word(level.lanes[at].owner, thread);
    store_word(level.shared, load_word(level.shared) & ~(1U << at));
    return at;
}

// The level of that priority, made if there is none; the levels are few.
priority_level& find_level(root_transaction& tx, pool_node& node, std::int64_t priority) {
    segment& s = tx.in();
    std::uint64_t* link = &node.levels;
    for (priority_level* level = highest_level(s, node); level != nullptr; level = level_below(s, *level)) {
        if (level->priority == priority) return *level;
        if (level->priority < priority) break;
        link = &level->next;
    }
    const segment_offset at = allocate(tx, sizeof(priority_level));
    auto& made = *s.at<priority_level>(at);
    zero_shared(&made, sizeof made);
    store_word(made.next, *link);
    store_word(made.priority, priority);
    tx.store(*link, at);
    return made;
}

// Of a task whose links mean nothing if this is undone: it is new, or a worker's, or log_links() has kept them.
void link_last(root_transaction& tx, std::uint64_t& first, std::uint64_t& last, task_record& task,
               segment_offset at) {
    store_word(task.next, 0);
    store_word(task.previous, last);
    if (last != 0) tx.store(task_at(tx.in(), last).next, at);
    else tx.store(first, at);
    tx.store(last, at);
}

void link_first(root_transaction& tx, std::uint64_t& first, std::uint64_t& last, task_record& task,
                segment_offset at) {
    store_word(task.next, first);
    store_word(task.previous, 0);
    if (first != 0) tx.store(task_at(tx.in(), first).previous, at);
    else tx.store(last, at);
    tx.store(first, at);
}

void log_links(root_transaction& tx, task_record& task) {
    tx.store(task.next, task.next);
    tx.store(task.previous, task.previous);
}

void unlink(root_transaction& tx, std::uint64_t& first, std::uint64_t* last, const task_record& task) {
    const segment& s = tx.in();
    if (task.previous != 0) tx.store(task_at(s, task.previous).next, task.next);
    else tx.store(first, task.next);
    if (task.next != 0) tx.store(task_at(s, task.next).previous, task.previous);
    else if (last != nullptr) tx.store(*last, task.previous);
}

// A worker that looks finds it; else one that sleeps is woken. Counted on once: it is found busy by the next.
void tell_one_worker(root_transaction& tx, const pool_node& node) {
    for (worker_slot& slot : wanted_workers(tx.in(), node)) {
        if (load_word(slot.is_looking) == 0) continue;
        store_word(slot.is_looking, 0);
        return;
    }
    wake(tx, pool_has_task, 1);
}

// Priorities that nobody uses any more take no room. The ordinary one stays.
void drop_if_empty(root_transaction& tx, pool_node& node, const priority_level& level) {
    if (level.priority == 0 || !is_empty(level)) return;
    const segment& s = tx.in();
    const segment_offset at = s.offset_of(&level);
    std::uint64_t* link = &node.levels;
    for (priority_level* each = highest_level(s, node); each != nullptr && each != &level;
         each = level_below(s, *each))
        link = &each->next;
    if (*link != at) throw_corrupt(s, "a list of a pool's tasks is not among its lists");
    tx.store(*link, level.next);
    deallocate(tx, at, sizeof level);
}

// Of a new task; wait_again() of another.
void be_waiting(root_transaction& tx, pool_node& node, task_record& task, segment_offset at, bool is_first) {
    priority_level& level = find_level(tx, node, task.priority);
    // Its lane of before may be another submitter's by now.
    const std::uint32_t place = lane_for(level, task.thread);
    store_word(task.lane, static_cast<std::uint16_t>(place));
    store_word(level.used, load_word(level.used) | 1U << place);
    task_lane& lane = level.lanes[place];
    if (is_first) {
        link_first(tx, lane.first, lane.last, task, at);
        store_word(level.turn, place);
    } else {
        link_last(tx, lane.first, lane.last, task, at);
    }
    tx.store(node.waiting_count, node.waiting_count + 1);
    count_up(node.changes);
    tell_one_worker(tx, node);
}

void wait_again(root_transaction& tx, pool_node& node, task_record& task, segment_offset at, bool is_first) {
    tx.store(task.stage, task_stage::waiting);
    be_waiting(tx, node, task, at, is_first);
}

// Where the results of that submitter go; null where it has gone.
result_lists* lists_for(const segment& s, pool_node& node, const task_record& task) {
    if (task.submitter == 0) return &node.lists;
    worker_slot& slot = worker_at(s, node, task.submitter_place);
    return slot.incarnation == task.submitter ? &slot.lists : nullptr;
}

void free_record(root_transaction& tx, pool_node& node, task_record& task, segment_offset at);

// Nobody waits for what a submitter that has gone has submitted.
void be_finished(root_transaction& tx, pool_node& node, task_record& task, segment_offset at,
                 std::uint64_t now) {
    result_lists* const lists = lists_for(tx.in(), node, task);
    count_up(node.results);
    wake(tx, pool_has_room, 1);  // the worker is free
    if (lists == nullptr) return free_record(tx, node, task, at);
    link_last(tx, lists->first_finished, lists->last_finished, task, at);
    tx.store(task.stage, task_stage::finished);
    store_word(task.ended, now);  // means nothing before
    wake_all(tx, lists == &node.lists ? pool_has_result : pool_has_own_result);
}

// What the worker's slot has of its task goes to the task.
void hand_over(root_transaction& tx, worker_slot& slot, task_record& task, std::uint32_t items_done) {
    if (task.items_done != items_done) {
        tx.store(task.items_done, items_done);
        if (items_done != task.item_count) tx.store(task.attempts, 0);
    }
    if (slot.scratch != 0) {
        tx.store(task.result, slot.scratch);
        tx.store(task.result_bytes, slot.scratch_bytes);
        tx.store(slot.scratch, 0);
        tx.store(slot.scratch_bytes, 0);
    }
    tx.store(slot.task, 0);
}

// Appends a whole chain of finished tasks.
void append_chain(root_transaction& tx, result_lists& to, segment_offset first, segment_offset last) {
    tx.store(task_at(tx.in(), first).previous, to.last_finished);
    if (to.last_finished != 0) tx.store(task_at(tx.in(), to.last_finished).next, first);
    else tx.store(to.first_finished, first);
    tx.store(to.last_finished, last);
}

// What has come back to a worker that goes is its owner's to free. Collected are a few at most: as many as are looked at at once.
void give_results_to_owner(root_transaction& tx, pool_node& node, worker_slot& slot) {
    result_lists& from = slot.lists;
    if (from.first_collected == 0 && from.first_finished == 0) return;
    if (const segment_offset first = from.first_collected; first != 0) {
        segment_offset last = first;
        std::uint64_t left = tx.in().committed_bytes() / sizeof(task_record);
        while (const segment_offset next = task_at(tx.in(), last).next) {
            if (left-- == 0) throw_corrupt(tx.in(), "a list of a pool's tasks has no end");
            last = next;
        }
        append_chain(tx, node.lists, first, last);
        tx.store(from.first_collected, 0);
    }
    if (from.first_finished != 0) {
        append_chain(tx, node.lists, from.first_finished, from.last_finished);
        tx.store(from.first_finished, 0);
        tx.store(from.last_finished, 0);
    }
    count_up(node.results);
}

void clear_worker(root_transaction& tx, pool_node& node, worker_slot& slot) {
    give_results_to_owner(tx, node, slot);
    tx.store(slot.incarnation, 0);
    tx.store(slot.identity, 0);
    tx.store(slot.participant, 0);
    tx.store(slot.stage, worker_stage::starting);
    tx.store(slot.order, worker_order::none);
    store_word(slot.is_looking, 0);
    count_up(node.changes);
}

// Of what it was: the blocks of a task that is in no list any more.
void free_blocks(root_transaction& tx, const task_record& task) {
    const segment_offset input = task.input;
    const std::uint64_t input_bytes = task.input_bytes;
    const segment_offset result = task.result;
    const std::uint64_t result_bytes = task.result_bytes;
    if (input != 0) deallocate(tx, input, input_bytes);
    if (result != 0) deallocate(tx, result, result_bytes);
}

void free_record(root_transaction& tx, pool_node& node, task_record& task, segment_offset at) {
    free_blocks(tx, task);
    if (node.spare_count >= most_spares) return deallocate(tx, at, sizeof task);
    tx.store(task.next, node.first_spare);
    tx.store(node.first_spare, at);
    tx.store(node.spare_count, node.spare_count + 1);
}

// All of it may be written without the log: `next`, which leads to the other spares if this is undone, is in it.
segment_offset new_record(root_transaction& tx, pool_node& node) {
    const segment_offset at = node.first_spare;
    if (at == 0) return allocate(tx, sizeof(task_record));
    task_record& record = task_at(tx.in(), at);
    tx.store(node.first_spare, record.next);
    tx.store(record.next, 0);
    tx.store(node.spare_count, node.spare_count - 1);
    return at;
}

void set_failure(root_transaction& tx, pool_node& node, std::string_view text) {
    if (text.empty() || node.failure != 0) return;
    const segment_offset at = allocate(tx, text.size());
    copy_in(tx.in().at<std::byte>(at), text.data(), text.size());
    tx.store(node.failure, at);
    tx.store(node.failure_bytes, text.size());
}

std::uint32_t items_in(std::uint64_t progress, const task_record& task) noexcept {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(progress / 2, task.item_count));
}

}  // namespace

std::uint64_t monotonic_nanoseconds() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

std::string end_in_words(int code, bool likely_oom) {
    if (code >= 0) return "ended with code " + std::to_string(code);
    return "was killed by signal " + std::to_string(-code) +
           (likely_oom ? " (the kernel has killed a process for want of memory about then)" : "");
}

segment_offset create_pool(root_transaction& tx, std::uint32_t worker_capacity, std::uint32_t target) {
    const segment_offset at = allocate(tx, sizeof(pool_node));
    const segment_offset workers = allocate(tx, worker_capacity * sizeof(worker_slot));
    auto& node = *tx.in().at<pool_node>(at);
    zero_shared(&node, sizeof node);
    zero_shared(tx.in().at<std::byte>(workers), worker_capacity * sizeof(worker_slot));
    store_word(node.workers, workers);
    store_word(node.worker_capacity, worker_capacity);
    store_word(node.target, target);
    return at;
}

pool_node& pool_at(const segment& s, segment_offset node) {
    auto* found = s.find<pool_node>(node);
    if (found == nullptr || !check_pool_node(s, *found).empty())
        throw_corrupt(s, "the node of a pool makes no sense");
    return *found;
}

worker_slot& worker_at(const segment& s, const pool_node& node, std::uint32_t index) {
    auto* slot = index < node.worker_capacity
                     ? s.find<worker_slot>(node.workers + std::uint64_t{index} * sizeof(worker_slot))
                     : nullptr;
    if (slot == nullptr) throw_corrupt(s, "a worker of a pool lies outside");
    return *slot;
}

void throw_no_task(const segment& s) {
    throw_corrupt(s, "a task of a pool lies outside");
}

std::span<const std::byte> input_of(const segment& s, const task_record& task) {
    const std::uint64_t bytes = load_word(task.input_bytes);
    const segment_offset at = load_word(task.input);
    const std::byte* const input = at == 0 ? task.inline_input : s.find<std::byte>(at, bytes);
    if (input == nullptr || (at == 0 && bytes > inline_input_bytes))
        throw_corrupt(s, "the input of a task lies outside");
    return {input, bytes};
}

// -- submitters -----------------------------------------------------------------------------------------------------

void push_task(root_transaction& tx, pool_node& node, const new_task& task, segment_offset& at) {
    segment& s = tx.in();
    tx.begin_change();
    at = new_record(tx, node);
    auto& record = *s.at<task_record>(at);
    segment_offset input = 0;
    if (task.input.size() > inline_input_bytes) {
        input = allocate(tx, task.input.size());
        copy_in(s.at<std::byte>(input), task.input.data(), task.input.size());
    } else {
        copy_in(record.inline_input, task.input.data(), task.input.size());
    }
    // All of its words, each once; be_waiting() stores the links and the lane.
    store_word(record.id, node.last_task + 1);
    store_word(record.token, task.token);
    store_word(record.callee, task.callee);
    store_word(record.input, input);
    store_word(record.input_bytes, task.input.size());
    store_word(record.result, 0);
    store_word(record.result_bytes, 0);
    store_word(record.priority, task.priority);
    store_word(record.timeout, task.timeout);
    store_word(record.grace, task.grace);
    store_word(record.submitted, task.submitted);
    store_word(record.started, 0);
    store_word(record.ended, 0);
    store_word(record.item_count, task.item_count);
    store_word(record.items_done, 0);
    store_word(record.attempts, 0);
    store_word(record.retries, task.retries);
    store_word(record.stop_asked, 0);
    store_word(record.is_cut, 0);
    store_word(record.submitter_place, static_cast<std::uint16_t>(task.submitter_place));
    store_word(record.submitter, task.submitter);
    count_up(node.last_task);
    store_word(record.thread, task.thread);
    store_word(record.stage, task_stage::waiting);
    be_waiting(tx, node, record, at, false);
    tx.commit();
}

bool withdraw_task(root_transaction& tx, pool_node& node, segment_offset task, std::uint64_t id,
                   withdrawal why) {
    task_record& record = task_at(tx.in(), task);
    if (record.id != id) return false;
    if (why == withdrawal::not_started && record.started != 0) return false;
    if (record.stage != task_stage::waiting) {
        if (why == withdrawal::cancelled && record.stage == task_stage::taken)
            store_word(record.stop_asked, record.stop_asked | stop_by_cancel);
        return false;
    }
    tx.begin_change();
    priority_level& level = find_level(tx, node, record.priority);
    task_lane& lane = lane_of(tx.in(), level, record);
    unlink(tx, lane.first, &lane.last, record);
    tx.store(node.waiting_count, node.waiting_count - 1);
    // Those that leave when no task is left, and who waits for room.
    count_up(node.changes);
    if (node.state == pool_state::closing) wake_all(tx, pool_has_task);
    wake(tx, pool_has_room, 1);
    drop_if_empty(tx, node, level);
    free_record(tx, node, record, task);
    tx.commit();
    return true;
}

std::size_t collect_tasks(root_transaction& tx, result_lists& lists, std::span<segment_offset> to) {
    const segment& s = tx.in();
    const segment_offset first = lists.first_finished;
    if (first == 0 || to.empty()) return 0;
    // The chain as it is, from one list to the other.
    std::size_t count = 0;
    segment_offset rest = first;
    task_record* last = nullptr;
    while (rest != 0 && count != to.size()) {
        task_record& each = task_at(s, rest);
        // What leads back is no circle.
        if (each.previous != (count == 0 ? 0 : to[count - 1]) || each.stage != task_stage::finished)
            throw_corrupt(s, "a list of a pool's finished tasks makes no sense");
        to[count++] = rest;
        last = &each;
        rest = each.next;
    }
    tx.begin_change();
    tx.store(lists.first_finished, rest);
    if (rest != 0) tx.store(task_at(s, rest).previous, 0);
    else tx.store(lists.last_finished, 0);
    // NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) there was one at least
    tx.store(last->next, lists.first_collected);
    if (lists.first_collected != 0) tx.store(task_at(s, lists.first_collected).previous, to[count - 1]);
    tx.store(lists.first_collected, first);
    tx.commit();
    return count;
}

namespace {

// How many of `tasks`, from the first one on, are neighbours in their list and records alone; `last` gets the last of these.
std::uint64_t count_neighbours(const segment& s, std::span<const segment_offset> tasks, task_record*& last) {
    std::uint64_t count = 0;
    for (const segment_offset at : tasks) {
        if (count != 0 && last->next != at) break;
        task_record& record = task_at(s, at);
        if (record.input != 0 || record.result != 0) break;
        last = &record;
        ++count;
    }
    return count;
}

}  // namespace

void free_tasks(root_transaction& tx, pool_node& node, result_lists& lists,
                std::span<const segment_offset> tasks) {
    const segment& s = tx.in();
    while (!tasks.empty()) {
        task_record& first = task_at(s, tasks.front());
        task_record* last = nullptr;
        const std::uint64_t count = count_neighbours(s, tasks, last);
        tx.begin_change();
        if (count > 1 && node.spare_count + count <= most_spares) {
            if (first.previous != 0) tx.store(task_at(s, first.previous).next, last->next);
            else tx.store(lists.first_collected, last->next);
            if (last->next != 0) tx.store(task_at(s, last->next).previous, first.previous);
            tx.store(last->next, node.first_spare);
            tx.store(node.first_spare, tasks.front());
            tx.store(node.spare_count, node.spare_count + count);
            tasks = tasks.subspan(count);
        } else {
            unlink(tx, lists.first_collected, nullptr, first);
            free_record(tx, node, first, tasks.front());
            tasks = tasks.subspan(1);
        }
        tx.commit();
    }
}

void repeat_task(root_transaction& tx, pool_node& node, result_lists& lists, segment_offset task) {
    task_record& record = task_at(tx.in(), task);
    tx.begin_change();
    unlink(tx, lists.first_collected, nullptr, record);
    log_links(tx, record);
    const segment_offset result = record.result;
    const std::uint64_t result_bytes = record.result_bytes;
    tx.store(record.result, 0);
    tx.store(record.result_bytes, 0);
    tx.store(record.items_done, 0);
    wait_again(tx, node, record, task, false);
    if (result != 0) deallocate(tx, result, result_bytes);
    tx.commit();
}

// -- the owner ------------------------------------------------------------------------------------------------------

void set_target(root_transaction& tx, pool_node& node, std::uint32_t target) {
    tx.begin_change();
    tx.store(node.target, target);
    count_up(node.changes);
    wake_all(tx, pool_has_task);
    tx.commit();
}

void close_pool(root_transaction& tx, pool_node& node) {
    if (node.state != pool_state::open) return;
    tx.begin_change();
    tx.store(node.state, pool_state::closing);
    count_up(node.changes);
    wake_all(tx, pool_has_task);
    tx.commit();
}

os::process_identity order_cancel(root_transaction& tx, pool_node& node, segment_offset task,
                                  std::uint64_t id) {
    const segment& s = tx.in();
    task_record& record = task_at(s, task);
    if (record.id != id || record.stage != task_stage::taken) return 0;
    for (std::uint32_t i = 0; i < node.worker_capacity; ++i) {
        worker_slot& slot = worker_at(s, node, i);
        if (slot.incarnation == 0 || slot.task != task) continue;
        tx.begin_change();
        tx.store(slot.order, worker_order::end);
        store_word(record.stop_asked, record.stop_asked | stop_by_kill);
        tx.commit();
        return slot.identity;
    }
    return 0;
}

std::size_t cancel_tasks_of_workers(root_transaction& tx, pool_node& node, std::size_t most) {
    const segment& s = tx.in();
    std::size_t count = 0;
    std::uint64_t left = s.committed_bytes() / sizeof(task_record);
    priority_level* level = highest_level(s, node);
    while (level != nullptr && count != most) {
        segment_offset at = 0;
        for (const task_lane& lane : level->lanes) {
            at = lane.first;
            while (at != 0 && task_at(s, at).submitter == 0) {
                if (left-- == 0) throw_corrupt(s, "a list of a pool's tasks has no end");
                at = task_at(s, at).next;
            }
            if (at != 0) break;
        }
        if (at == 0) {
            level = level_below(s, *level);
            continue;
        }
        task_record& task = task_at(s, at);
        task_lane& lane = lane_of(s, *level, task);
        tx.begin_change();
        unlink(tx, lane.first, &lane.last, task);
        log_links(tx, task);
        tx.store(node.waiting_count, node.waiting_count - 1);
        count_up(node.changes);
        if (node.state == pool_state::closing) wake_all(tx, pool_has_task);
        // As one whose worker was killed for a cancel.
        tx.store(task.stop_asked, task.stop_asked | stop_by_kill);
        tx.store(task.is_cut, 1);
        be_finished(tx, node, task, at, monotonic_nanoseconds());
        tx.commit();
        ++count;
    }
    return count;
}

std::uint32_t order_all(root_transaction& tx, pool_node& node) {
    std::uint32_t count = 0;
    tx.begin_change();
    for (std::uint32_t i = 0; i < node.worker_capacity; ++i) {
        worker_slot& slot = worker_at(tx.in(), node, i);
        if (slot.incarnation == 0 || slot.task == 0) continue;
        tx.store(slot.order, worker_order::end);
        ++count;
    }
    tx.commit();
    return count;
}

// -- workers --------------------------------------------------------------------------------------------------------

bool claim_worker(root_transaction& tx, pool_node& node, std::uint32_t index, os::process_identity identity) {
    if (index >= node.worker_capacity || index >= node.target || node.state == pool_state::broken)
        return false;
    if (node.state == pool_state::closing && node.waiting_count == 0) return false;
    worker_slot& slot = worker_at(tx.in(), node, index);
    if (slot.incarnation != 0) return false;
    tx.begin_change();
    tx.store(node.last_incarnation, node.last_incarnation + 1);
    tx.store(slot.incarnation, node.last_incarnation);
    tx.store(slot.identity, identity);
    tx.store(slot.participant, tx.in().participant_number());
    tx.store(slot.tasks_done, 0);
    tx.store(slot.stage, worker_stage::starting);
    tx.store(slot.order, worker_order::none);
    store_word(slot.waits, 0);
    tx.commit();
    return true;
}

void be_ready(root_transaction& tx, pool_node& node, worker_slot& self) {
    tx.begin_change();
    tx.store(self.stage, worker_stage::ready);
    tx.store(node.failed_starts, 0);
    // Why others before it did not get ready. What has broken the pool stays: it is read without the lock.
    if (const segment_offset text = node.failure; text != 0 && node.state != pool_state::broken) {
        const std::uint64_t bytes = node.failure_bytes;
        tx.store(node.failure, 0);
        tx.store(node.failure_bytes, 0);
        deallocate(tx, text, bytes);
    }
    tx.commit();
}

void record_failure(root_transaction& tx, pool_node& node, std::string_view text) {
    tx.begin_change();
    set_failure(tx, node, text);
    tx.commit();
}

namespace {

bool may_stay(const segment& s, const pool_node& node, const worker_slot& self) {
    if (self.order != worker_order::none || node.state == pool_state::broken) return false;
    return node.target == node.worker_capacity || &self < &worker_at(s, node, node.target);
}

priority_level* first_level_with_tasks(const segment& s, const pool_node& node) {
    priority_level* level = highest_level(s, node);
    while (level != nullptr && is_empty(*level)) level = level_below(s, *level);
    return level;
}

}  // namespace

bool begin_looking(root_transaction& tx, const pool_node& node, worker_slot& self) {
    for (const worker_slot& slot : wanted_workers(tx.in(), node))
        if (load_word(slot.is_looking) != 0) return false;
    store_word(self.is_looking, 1);
    return true;
}

next_step take_task(root_transaction& tx, pool_node& node, worker_slot& self, std::uint64_t now) {
    const segment& s = tx.in();
    store_word(self.is_looking, 0);
    if (!may_stay(s, node, self)) return next_step::leave;
    priority_level* const level = node.waiting_count == 0 ? nullptr : first_level_with_tasks(s, node);
    if (level == nullptr && node.waiting_count != 0)
        throw_corrupt(s, "a pool has no tasks where it says it has some");
    if (level == nullptr) return node.state == pool_state::open ? next_step::wait : next_step::leave;
    const std::uint32_t turn = next_lane(*level);
    task_lane& lane = level->lanes[turn];
    const segment_offset at = lane.first;
    task_record& task = task_at(s, at);
    tx.begin_change();
    unlink(tx, lane.first, &lane.last, task);
    store_word(level->turn, (turn + 1) % lane_count);
    tx.store(task.stage, task_stage::taken);
    tx.store(task.started, now);
    tx.store(task.attempts, task.attempts + 1);
    tx.store(node.waiting_count, node.waiting_count - 1);
    count_up(node.taken);
    tx.store(self.task, at);
    tx.store(self.progress, std::uint64_t{2} * task.items_done);
    if (task.result != 0) {  // it was begun by another worker
        tx.store(self.scratch, task.result);
        tx.store(self.scratch_bytes, task.result_bytes);
        tx.store(task.result, 0);
        tx.store(task.result_bytes, 0);
    }
    store_word(self.deadline, 0);
    wake(tx, pool_has_room, 1);
    drop_if_empty(tx, node, *level);
    tx.commit();
    return next_step::run;
}

void finish_task(root_transaction& tx, pool_node& node, worker_slot& self, std::uint64_t now) {
    const segment_offset at = self.task;
    task_record& task = task_at(tx.in(), at);
    tx.begin_change();
    const std::uint32_t items_done = items_in(self.progress, task);
    tx.store(self.tasks_done, self.tasks_done + (items_done - std::min(items_done, task.items_done)));
    hand_over(tx, self, task, items_done);
    const bool is_ended = self.order == worker_order::end;
    if (is_ended && items_done != task.item_count) tx.store(task.is_cut, 1);
    if (items_done == task.item_count || is_ended) be_finished(tx, node, task, at, now);
    else wait_again(tx, node, task, at, true);
    // No commit: the caller goes on to take another, and both are one step.
}

void leave_pool(root_transaction& tx, pool_node& node, worker_slot& self) {
    tx.begin_change();
    clear_worker(tx, node, self);
    if (node.state == pool_state::closing) wake_all(tx, pool_has_task);
    wake_all(tx, pool_has_result);
    tx.commit();
}

void grow_scratch(root_transaction& tx, worker_slot& self, std::uint64_t bytes) {
    segment& s = tx.in();
    const task_record& task = task_at(s, self.task);
    const std::uint64_t old_bytes = self.scratch == 0 ? inline_result_bytes : self.scratch_bytes;
    const std::uint64_t new_bytes = std::max(bytes, old_bytes + old_bytes / 2);
    tx.begin_change();
    const segment_offset made = allocate(tx, new_bytes);
    const segment_offset old = self.scratch;
    const auto* const from = old == 0 ? task.inline_result : s.find<std::byte>(old, old_bytes);
    if (from == nullptr) throw_corrupt(s, "the results of a task lie outside");
    copy_across(s.at<std::byte>(made), from, old_bytes);
    tx.store(self.scratch, made);
    tx.store(self.scratch_bytes, new_bytes);
    if (old != 0) deallocate(tx, old, old_bytes);
    tx.commit();
}

// -- deaths ---------------------------------------------------------------------------------------------------------

namespace {

// Says in a frame how the item has ended, behind the frames of those before it. Not logged: it counts with items_done. False where
// there is no room, since the worker could get none, or where the frames before make no sense: a task that was killed for writing wildly
// may have written there.
bool write_death(segment& s, const worker_slot& slot, task_record& task, std::uint32_t items_done,
                 frame_kind kind, const death_report& report) {
    const std::uint64_t room = slot.scratch == 0 ? inline_result_bytes : slot.scratch_bytes;
    std::byte* const begin = slot.scratch == 0 ? task.inline_result : s.find<std::byte>(slot.scratch, room);
    if (begin == nullptr) return false;
    const std::uint64_t at = end_of_frames(begin, room, items_done);
    if (at > room || room - at < death_frame_bytes) return false;
    const result_frame frame{sizeof report, kind, 0};
    copy_in(begin + at, &frame, sizeof frame);
    copy_in(begin + at + sizeof frame, &report, sizeof report);
    return true;
}

}  // namespace

bool settle_death(root_transaction& tx, pool_node& node, std::uint32_t index, std::uint64_t incarnation,
                  const worker_death& death, std::uint64_t now) {
    segment& s = tx.in();
    worker_slot& slot = worker_at(s, node, index);
    if (slot.incarnation != incarnation || incarnation == 0) return false;
    tx.begin_change();
    if (slot.stage == worker_stage::starting) tx.store(node.failed_starts, node.failed_starts + 1);
    if (slot.task != 0) {
        const segment_offset at = slot.task;
        task_record& task = task_at(s, at);
        const std::uint32_t items_done = items_in(slot.progress, task);
        const bool is_begun = slot.progress % 2 == 1 && items_done < task.item_count;
        // Those before it have gone well.
        const std::uint32_t attempts = items_done > task.items_done ? 1 : task.attempts;
        const bool is_timeout = slot.deadline != 0 && now >= slot.deadline && death.code == -SIGKILL;
        const bool is_cancelled = slot.order == worker_order::end;
        const bool is_over = is_begun && (is_timeout || is_cancelled || attempts > task.retries);
        const death_report report{.pid = death.pid,
                                  .code = death.code,
                                  .attempts = static_cast<std::int32_t>(attempts),
                                  .worker = static_cast<std::int32_t>(index),
                                  .likely_oom = death.likely_oom ? 1U : 0U,
                                  .reserved_ = 0};
        const bool is_told =
            is_over && write_death(s, slot, task, items_done,
                                   is_timeout ? frame_kind::timed_out : frame_kind::died, report);
        hand_over(tx, slot, task, items_done + (is_told ? 1 : 0));
        // A death before the item was entered is none of its attempts.
        if (!is_over) tx.store(task.attempts, is_begun ? attempts : attempts - 1);
        if (is_begun && !is_over) tx.store(node.retried_count, node.retried_count + 1);
        // What is ordered to end has no further items, and what cannot be told no further one either.
        const bool is_cut = is_cancelled || (is_over && !is_told);
        if (is_cut && task.items_done != task.item_count) tx.store(task.is_cut, 1);
        if (task.items_done == task.item_count || is_cut) be_finished(tx, node, task, at, now);
        else wait_again(tx, node, task, at, true);
        tx.store(node.died_count, node.died_count + 1);
    }
    clear_worker(tx, node, slot);
    wake_all(tx, pool_has_result);
    // The dead one may have had a wake in its hand.
    if (node.waiting_count != 0) wake_all(tx, pool_has_task);
    tx.commit();
    return true;
}

void register_nursery(root_transaction& tx, pool_node& node, os::process_identity identity) {
    tx.begin_change();
    tx.store(node.nursery, identity);
    tx.commit();
}

void count_failed_start(root_transaction& tx, pool_node& node) {
    tx.begin_change();
    tx.store(node.failed_starts, node.failed_starts + 1);
    tx.commit();
}

void break_pool(root_transaction& tx, pool_node& node, std::string_view why) {
    if (node.state == pool_state::broken) return;
    tx.begin_change();
    try {
        set_failure(tx, node, why);
    } catch (const segment_full&) {
        tx.roll_back();  // then without the reason
        tx.begin_change();
    }
    tx.store(node.state, pool_state::broken);
    count_up(node.changes);
    count_up(node.results);
    wake_all(tx, pool_has_task);
    wake_all(tx, pool_has_result);
    wake_all(tx, pool_has_room);
    tx.commit();
}

}  // namespace cairn::inline CAIRN_ABI::detail
