// pools.hpp - a pool's root without processes: each step of its life by hand.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "pool/frames.hpp"
#include "pool/pool_core.hpp"
#include "pool/pool_root.hpp"
#include <cairn/detail/txn/events.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

namespace stored = cairn::detail;

struct bare_task {
    std::uint64_t token = 0;
    std::uint32_t items = 1;
    std::uint32_t retries = 0;
    std::int64_t priority = 0;
    std::uint64_t input_bytes = 0;
    int by = -1;  // the worker that submits it; less than 0: the owner
    std::uint64_t thread = 0;
};

class bare_pool {
public:
    static constexpr const char* name = "subject";
    static constexpr int owner = -1;

    static void create(const cairn::manager& m, std::uint32_t workers) {
        static_cast<void>(stored::pool_access::make(m, name, workers));
    }
    explicit bare_pool(const cairn::manager& m) : manager_(m), root_(stored::pool_access::make(m, name, 1)) {}

    [[nodiscard]] const cairn::manager& manager() const noexcept { return manager_; }
    [[nodiscard]] stored::segment& in() const noexcept { return *root_.in; }
    [[nodiscard]] stored::root_slot& slot() const noexcept { return *root_.slot; }
    [[nodiscard]] stored::pool_node& node() const { return *root_.in->at<stored::pool_node>(root_.node); }
    [[nodiscard]] stored::worker_slot& worker(std::uint32_t index) const {
        return stored::worker_at(*root_.in, node(), index);
    }
    [[nodiscard]] stored::task_record& task_of(std::uint32_t index) const {
        return stored::task_at(*root_.in, worker(index).task);
    }
    [[nodiscard]] stored::root_transaction begin() const {
        return stored::root_transaction(*root_.in, *root_.slot, root_.generation);
    }

    // -- the owner

    stored::segment_offset push(const bare_task& task) {
        std::vector<std::byte> input(task.input_bytes);
        for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<std::byte>(i);
        stored::segment_offset at = 0;
        auto tx = begin();
        try {
            stored::push_task(
                tx, node(),
                {.token = task.token,
                 .callee = 0,
                 .input = input,
                 .priority = task.priority,
                 .timeout = 0,
                 .grace = 0,
                 .item_count = task.items,
                 .retries = task.retries,
                 .submitter_place = task.by < 0 ? 0U : static_cast<std::uint32_t>(task.by),
                 .submitter = task.by < 0 ? 0U : worker(static_cast<std::uint32_t>(task.by)).incarnation,
                 .thread = task.thread},
                at);
        } catch (const cairn::segment_full&) {}
        return at;
    }
    /// Of the task with that token, waiting.
    bool withdraw(std::uint64_t token) {
        auto tx = begin();
        const stored::segment_offset at = find(token);
        return at != 0 && stored::withdraw_task(tx, node(), at, stored::task_at(in(), at).id,
                                                stored::withdrawal::cancelled);
    }
    /// Of the task that the worker has.
    bool withdraw_taken(std::uint32_t index, stored::withdrawal why) {
        auto tx = begin();
        const stored::segment_offset at = worker(index).task;
        return stored::withdraw_task(tx, node(), at, stored::task_at(in(), at).id, why);
    }
    stored::segment_offset collect(int by = owner) {
        auto tx = begin();
        stored::segment_offset at = 0;
        return stored::collect_tasks(tx, lists(by), std::span(&at, 1)) == 0 ? 0 : at;
    }
    /// As many as there are, up to `most`, in one step.
    void collect_many(std::size_t most, int by = owner) {
        std::vector<stored::segment_offset> to(most);
        auto tx = begin();
        static_cast<void>(stored::collect_tasks(tx, lists(by), to));
    }
    void free(stored::segment_offset at, int by = owner) { free_many(std::span(&at, 1), by); }
    void free_many(std::span<const stored::segment_offset> tasks, int by = owner) {
        auto tx = begin();
        stored::free_tasks(tx, node(), lists(by), tasks);
    }
    [[nodiscard]] stored::segment_offset first_collected(int by = owner) const {
        return lists(by).first_collected;
    }
    [[nodiscard]] stored::segment_offset second_collected() const {
        return stored::task_at(in(), first_collected()).next;
    }
    [[nodiscard]] std::vector<stored::segment_offset> all_collected(int by = owner) const {
        std::vector<stored::segment_offset> all;
        for (stored::segment_offset at = first_collected(by); at != 0; at = stored::task_at(in(), at).next)
            all.push_back(at);
        return all;
    }
    void free_collected() {
        while (first_collected() != 0) free(first_collected());
    }
    void repeat(stored::segment_offset at, int by = owner) {
        auto tx = begin();
        stored::repeat_task(tx, node(), lists(by), at);
    }
    void set_target(std::uint32_t target) {
        auto tx = begin();
        stored::set_target(tx, node(), target);
    }
    std::size_t cancel_tasks_of_workers(std::size_t most) {
        auto tx = begin();
        return stored::cancel_tasks_of_workers(tx, node(), most);
    }
    void close() {
        auto tx = begin();
        stored::close_pool(tx, node());
    }
    void order_cancel(std::uint32_t index) {
        auto tx = begin();
        const stored::segment_offset task = worker(index).task;
        static_cast<void>(stored::order_cancel(tx, node(), task, stored::task_at(in(), task).id));
    }

    void order_all() {
        auto tx = begin();
        stored::order_all(tx, node());
    }

    // -- workers

    bool claim_only(std::uint32_t index) {
        auto tx = begin();
        return stored::claim_worker(tx, node(), index, 1000 + index);
    }
    void be_ready(std::uint32_t index) {
        auto tx = begin();
        stored::be_ready(tx, node(), worker(index));
    }
    bool claim(std::uint32_t index) {
        const bool is_mine = claim_only(index);
        if (is_mine) be_ready(index);
        return is_mine;
    }
    void record_failure(const std::string& text) {
        auto tx = begin();
        stored::record_failure(tx, node(), text);
    }
    bool look(std::uint32_t index) {
        auto tx = begin();
        return stored::begin_looking(tx, node(), worker(index));
    }
    /// Hands over what it has done, and takes the next, as a worker does.
    stored::next_step take(std::uint32_t index) {
        auto tx = begin();
        if (worker(index).task != 0) stored::finish_task(tx, node(), worker(index), now);
        const stored::next_step next = stored::take_task(tx, node(), worker(index), now);
        if (next != stored::next_step::run) tx.commit();
        return next;
    }
    void finish_and_leave(std::uint32_t index) {
        auto tx = begin();
        stored::finish_task(tx, node(), worker(index), now);
        stored::leave_pool(tx, node(), worker(index));
    }
    void leave(std::uint32_t index) {
        auto tx = begin();
        stored::leave_pool(tx, node(), worker(index));
    }
    void grow(std::uint32_t index, std::uint64_t bytes) {
        auto tx = begin();
        stored::grow_scratch(tx, worker(index), bytes);
    }
    void begin_item(std::uint32_t index) {
        // As a worker does: room for whoever settles its death.
        const auto done = static_cast<std::uint32_t>(worker(index).progress / 2);
        const std::uint64_t wanted =
            stored::end_of_frames(frames_of(index), room_of(index), done) + stored::death_frame_bytes;
        if (wanted > room_of(index)) grow(index, wanted);
        stored::store_word(worker(index).progress, worker(index).progress | 1);
    }
    /// So many items, each with a result of `bytes`: its number again and again.
    void do_items(std::uint32_t index, std::uint32_t count, std::uint64_t bytes = 8) {
        for (; count != 0; --count) {
            const std::uint64_t item = worker(index).progress / 2;
            begin_item(index);
            const std::uint64_t end =
                stored::end_of_frames(frames_of(index), room_of(index), static_cast<std::uint32_t>(item));
            const std::uint64_t wanted = end + stored::frame_bytes(bytes) + stored::death_frame_bytes;
            if (wanted > room_of(index)) grow(index, wanted);
            const stored::result_frame frame{bytes, stored::frame_kind::value, 0};
            stored::copy_in(frames_of(index) + end, &frame, sizeof frame);
            const std::vector<std::byte> payload(bytes, static_cast<std::byte>(item + 1));
            stored::copy_in(frames_of(index) + end + sizeof frame, payload.data(), payload.size());
            stored::store_word(worker(index).progress, 2 * item + 2);
        }
    }
    /// All that are left of its task.
    void run_items(std::uint32_t index, std::uint64_t bytes) {
        const stored::task_record& task = task_of(index);
        do_items(index, task.item_count - static_cast<std::uint32_t>(worker(index).progress / 2), bytes);
    }
    void set_deadline(std::uint32_t index) { stored::store_word(worker(index).deadline, now - 1); }

    // -- deaths

    bool kill(std::uint32_t index, int code) {
        auto tx = begin();
        return stored::settle_death(
            tx, node(), index, worker(index).incarnation,
            {.pid = static_cast<pid_t>(1000 + index), .code = code, .likely_oom = false}, now);
    }
    void count_failed_start() {
        auto tx = begin();
        stored::count_failed_start(tx, node());
    }
    void register_nursery(std::uint64_t identity) {
        auto tx = begin();
        stored::register_nursery(tx, node(), identity);
    }
    void break_it(const std::string& why) {
        auto tx = begin();
        stored::break_pool(tx, node(), why);
    }

    // -- looking at it

    /// Sets the flag of a sleeper that there is none of: the wake is a system call.
    void pretend_sleeper(std::uint32_t event) { stored::store_word(slot().events[event].waiters, 1); }

    /// What must hold, and does not; empty as a rule.
    [[nodiscard]] std::string problem() const {
        const auto tx = begin();
        cairn::detail::arena_audit audit(in(), slot());
        audit.reached(slot().type_name, slot().type_name_bytes + 1);
        const std::string found = stored::check_pool(in(), node(), audit);
        return found.empty() ? audit.finish() : found;
    }
    /// Of tasks in any list, or in a worker's hands.
    [[nodiscard]] std::uint64_t count_tasks() const {
        std::uint64_t count = 0;
        for_each_task([&](const char* /*where*/, const stored::task_record& /*task*/) { ++count; });
        return count;
    }

    /// Of these, while nobody is a worker: those that the owner gets back.
    [[nodiscard]] std::uint64_t count_of_owner() const {
        std::uint64_t count = 0;
        for_each_task([&](const char* /*where*/, const stored::task_record& task) {
            if (task.submitter == 0 || task.stage == stored::task_stage::finished) ++count;
        });
        return count;
    }

    /// All that matters, as text; without tasks of that token.
    [[nodiscard]] std::string picture(std::uint64_t without_token) const {
        const auto tx = begin();
        const stored::pool_node& n = node();
        std::string text = "state " + std::to_string(static_cast<int>(n.state)) + " target " +
                           std::to_string(n.target) + " incarnations " + std::to_string(n.last_incarnation) +
                           " failed " + std::to_string(n.failed_starts) + " died " +
                           std::to_string(n.died_count) + " retried " + std::to_string(n.retried_count) +
                           " nursery " + std::to_string(n.nursery) + " failure " +
                           std::to_string(n.failure_bytes) + "\n";
        for (std::uint32_t i = 0; i < n.worker_capacity; ++i) {
            const stored::worker_slot& w = worker(i);
            text += "worker " + std::to_string(i) + ": " + std::to_string(w.incarnation) + " " +
                    std::to_string(w.identity) + " stage " + std::to_string(static_cast<int>(w.stage)) +
                    " order " + std::to_string(static_cast<int>(w.order)) + " done " +
                    std::to_string(w.tasks_done) + " scratch " + std::to_string(w.scratch_bytes);
            if (w.task != 0) text += " progress " + std::to_string(w.progress);
            text += "\n";
        }
        for_each_task([&](const char* where, const stored::task_record& task) {
            if (task.token == without_token) return;
            text += std::string(where) + ": token " + std::to_string(task.token) + " items " +
                    std::to_string(task.items_done) + "/" + std::to_string(task.item_count) + " attempts " +
                    std::to_string(task.attempts) + " stage " + std::to_string(static_cast<int>(task.stage)) +
                    " by " + std::to_string(task.submitter) + " input " + std::to_string(task.input_bytes) +
                    " results " + std::to_string(task.result_bytes) + frames_of(task) + "\n";
        });
        return text;
    }

    static constexpr std::uint64_t now = 1'000'000;

private:
    [[nodiscard]] stored::result_lists& lists(int by) const {
        return by < 0 ? node().lists : worker(static_cast<std::uint32_t>(by)).lists;
    }
    [[nodiscard]] std::byte* frames_of(std::uint32_t index) const {
        const stored::worker_slot& w = worker(index);
        return w.scratch == 0 ? task_of(index).inline_result : in().at<std::byte>(w.scratch);
    }
    [[nodiscard]] std::uint64_t room_of(std::uint32_t index) const {
        return worker(index).scratch == 0 ? stored::inline_result_bytes : worker(index).scratch_bytes;
    }

    template <typename Fn>
    void for_each_task(Fn fn) const {
        const auto walk = [&](const char* where, stored::segment_offset at) {
            while (at != 0) {
                const stored::task_record& task = stored::task_at(in(), at);
                fn(where, task);
                at = task.next;
            }
        };
        for (stored::segment_offset at = node().levels; at != 0;) {
            const auto& level = *in().at<stored::priority_level>(at);
            for (const stored::task_lane& lane : level.lanes) walk("waiting", lane.first);
            at = level.next;
        }
        walk("finished", node().lists.first_finished);
        walk("collected", node().lists.first_collected);
        for (std::uint32_t i = 0; i < node().worker_capacity; ++i) {
            if (worker(i).task != 0) fn(("taken by " + std::to_string(i)).c_str(), task_of(i));
            walk(("finished for " + std::to_string(i)).c_str(), worker(i).lists.first_finished);
            walk(("collected by " + std::to_string(i)).c_str(), worker(i).lists.first_collected);
        }
    }

    [[nodiscard]] stored::segment_offset find(std::uint64_t token) const {
        for (stored::segment_offset level = node().levels; level != 0;) {
            const auto& l = *in().at<stored::priority_level>(level);
            for (const stored::task_lane& lane : l.lanes)
                for (stored::segment_offset at = lane.first; at != 0; at = stored::task_at(in(), at).next)
                    if (stored::task_at(in(), at).token == token) return at;
            level = l.next;
        }
        return 0;
    }

    /// " v8:1 died": kinds of the results of the items that are done, with their sizes and first bytes.
    [[nodiscard]] std::string frames_of(const stored::task_record& task) const {
        if (task.stage == stored::task_stage::taken) return {};
        stored::frame_reader reader(
            task.result == 0
                ? std::span<const std::byte>(task.inline_result, stored::inline_result_bytes)
                : std::span<const std::byte>(in().at<std::byte>(task.result), task.result_bytes));
        std::string text;
        stored::frame_kind kind{};
        std::span<const std::byte> payload;
        for (std::uint32_t i = 0; i < task.items_done; ++i) {
            if (!reader.next(kind, payload)) return text + " BROKEN";
            text += " " + std::to_string(static_cast<int>(kind)) + ":" + std::to_string(payload.size());
            if (kind != stored::frame_kind::value) continue;
            for (const std::byte each : payload)
                if (each != payload.front()) text += "!";
            text += "=" + std::to_string(std::to_integer<int>(payload.front()));
        }
        return text;
    }

    cairn::manager manager_;
    stored::root_reference root_;
};

}  // namespace cairn_test
