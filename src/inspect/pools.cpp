// pools.cpp - what a pool of workers says of itself, also when its owner is dead.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstring>

#include "inspect/roots.hpp"
#include "inspect/state.hpp"
#include "os/identity.hpp"
#include "pool/pool_core.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;
using namespace detail::inspecting;

namespace {

constexpr std::uint64_t longest_failure_text = 4096;

presence presence_in(const source& from, os::process_identity identity) {
    if (from.where.is_image || !from.is_of_this_boot) return presence::dead;
    if (!from.sees_processes()) return presence::unknown;
    return os::is_alive(identity) ? presence::alive : presence::dead;
}

const char* state_name(pool_state state) noexcept {
    switch (state) {
        case pool_state::open: return "open";
        case pool_state::closing: return "closing";
        case pool_state::broken: break;
    }
    return "broken";
}

void add_task(pool_worker_facts& facts, const source& from, const worker_slot& worker,
              const task_record& task) {
    facts.state = worker.order == worker_order::none ? "running" : "ending";
    facts.task = task.id;
    facts.attempt = task.attempts;
    facts.item_count = task.item_count;
    facts.item = static_cast<std::uint32_t>(std::min<std::uint64_t>(worker.progress / 2, task.item_count));
    facts.is_stop_asked = task.stop_asked != 0;
    const std::uint64_t now = monotonic_nanoseconds();
    if (from.has_living_processes() && task.started <= now)
        facts.seconds = static_cast<double>(now - task.started) / 1e9;
}

// Every link is input.
void fill(pool_facts& facts, const source& from, const segment& s, const pool_node& node) {
    facts.state = state_name(node.state);
    const auto* const text = s.find<std::byte>(node.failure, node.failure_bytes);
    if (node.failure != 0 && text != nullptr)
        facts.failure.assign(reinterpret_cast<const char*>(text),
                             std::min(node.failure_bytes, longest_failure_text));
    facts.waiting_count = node.waiting_count;
    facts.finished_count = node.results;
    facts.died_count = node.died_count;
    facts.retried_count = node.retried_count;
    facts.wanted_worker_count = node.target;
    facts.nursery = os::pid_of(node.nursery);
    if (node.nursery != 0) facts.nursery_alive = presence_in(from, node.nursery);
    std::uint64_t left = s.committed_bytes() / sizeof(task_record);
    const auto count_unread = [&](const result_lists& lists) {
        for (segment_offset at = lists.first_finished; at != 0 && left != 0; --left) {
            const auto* const task = s.find<task_record>(at);
            if (task == nullptr) break;
            ++facts.unread_count;
            at = task->next;
        }
    };
    count_unread(node.lists);
    for (std::uint32_t i = 0; i < node.worker_capacity; ++i) {
        const worker_slot& worker = worker_at(s, node, i);
        if (worker.incarnation == 0) continue;
        count_unread(worker.lists);
        pool_worker_facts one;
        one.place = static_cast<int>(i);
        one.pid = os::pid_of(worker.identity);
        one.alive = presence_in(from, worker.identity);
        one.state = worker.stage == worker_stage::starting ? "starting" : "idle";
        one.tasks_done = worker.tasks_done;
        const auto* const task = worker.task == 0 ? nullptr : s.find<task_record>(worker.task);
        if (task != nullptr) {
            ++facts.running_count;
            add_task(one, from, worker, *task);
        }
        facts.workers.push_back(std::move(one));
    }
}

}  // namespace

std::vector<pool_facts> inspection::pools() const {
    const source& from = state_->from;
    image in(from);
    bool is_whole = false;
    std::vector<pool_facts> all;
    for (const std::uint32_t link : all_slots(in, is_whole)) {
        root_slot slot{};
        if (!read_slot(from, link, slot) || !is_visible(slot) || slot.part_of != 0 ||
            slot.kind != static_cast<std::uint32_t>(object_kind::pool))
            continue;
        pool_facts facts;
        std::vector<std::string> notes;
        const bool is_there = read_root(from, link, slot.generation, notes, [&](image& at, root_slot& seen) {
            facts = {};
            facts.name = name_of(seen);
            const segment_ptr s = at.load_root(seen) ? at.view() : segment_ptr();
            const auto* const node = s ? s->find<pool_node>(seen.node) : nullptr;
            if (node == nullptr || !check_pool_node(*s, *node).empty())
                facts.notes.emplace_back("damaged: its node makes no sense");
            else fill(facts, from, *s, *node);
        });
        if (!is_there) continue;  // removed meanwhile
        facts.notes.insert(facts.notes.end(), notes.begin(), notes.end());
        all.push_back(std::move(facts));
    }
    std::sort(all.begin(), all.end(),
              [](const pool_facts& a, const pool_facts& b) { return a.name < b.name; });
    return all;
}

}  // namespace cairn::inline CAIRN_ABI
