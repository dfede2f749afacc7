// pool_subject.cpp - a pool of worker processes, without processes: each step of its life on damaged bytes.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <cstdint>
#include <span>
#include <string>

#include "subjects.hpp"
#include "support/pools.hpp"

namespace cairn_test {

namespace {

constexpr std::uint32_t workers = 3;

// Tasks of two priorities that wait, with inputs in and beside their records; one that is being done, with results in a block; some that
// are finished for the owner and for a worker, some collected, spare records.
void build_pool(const cairn::manager& in, const char* /*name*/) {
    bare_pool::create(in, workers);
    bare_pool pool(in);
    pool.claim(0);
    pool.claim(1);
    for (std::uint64_t i = 0; i < 12; ++i)
        pool.push({.token = i,
                   .items = 3,
                   .input_bytes = 40 * i,
                   .by = i % 3 == 0 ? 1 : bare_pool::owner,
                   .thread = i % 5});
    for (int i = 0; i < 8; ++i) {
        pool.take(0);
        pool.run_items(0, i % 2 == 0 ? 8 : 200);
    }
    pool.take(0);
    pool.do_items(0, 1, 300);
    pool.begin_item(0);
    for (int i = 0; i < 2; ++i) pool.free(pool.collect());
    pool.collect();
    pool.collect(1);
    for (std::uint64_t i = 0; i < 4; ++i) pool.push({.token = 20 + i, .priority = 5, .input_bytes = 500});
    pool.break_it("why not");
}

void step_through(const bare_pool& pool, stored::worker_slot* places, attempts& attempt) {
    const auto step = [&](const char* name, const auto& body) {
        attempt(name, [&] {
            auto tx = pool.begin();
            body(tx, pool.node());
        });
    };
    step("push", [&](auto& tx, auto& node) {
        stored::segment_offset at = 0;
        const std::byte input[8] = {};
        stored::push_task(tx, node,
                          {.token = 1,
                           .callee = 0,
                           .input = input,
                           .priority = 2,
                           .timeout = 0,
                           .grace = 0,
                           .item_count = 1,
                           .retries = 0,
                           .submitter_place = 1,
                           .submitter = places[1].incarnation,
                           .thread = 17},
                          at);
    });
    for (std::uint32_t i = 0; i < workers; ++i) {
        stored::worker_slot& slot = places[i];
        stored::result_lists& lists = i == 0 ? pool.node().lists : slot.lists;
        step("collect", [&](auto& tx, auto&) {
            stored::segment_offset to[4] = {};
            static_cast<void>(stored::collect_tasks(tx, lists, to));
        });
        step("free", [&](auto& tx, auto& node) {
            stored::free_tasks(tx, node, lists, std::span(&lists.first_collected, 1));
        });
        step("free some", [&](auto& tx, auto& node) {
            const std::uint64_t two[] = {lists.first_collected,
                                         stored::task_at(tx.in(), lists.first_collected).next};
            stored::free_tasks(tx, node, lists, two);
        });
        step("repeat",
             [&](auto& tx, auto& node) { stored::repeat_task(tx, node, lists, lists.first_collected); });
        step("order_cancel",
             [&](auto& tx, auto& node) { static_cast<void>(stored::order_cancel(tx, node, slot.task, 3)); });
        step("grow", [&](auto& tx, auto&) { stored::grow_scratch(tx, slot, 1000); });
        step("finish", [&](auto& tx, auto& node) {
            if (slot.task != 0) stored::finish_task(tx, node, slot, 7);
            tx.commit();
        });
        step("take", [&](auto& tx, auto& node) { static_cast<void>(stored::take_task(tx, node, slot, 8)); });
        step("input", [&](auto& tx, auto&) {
            static_cast<void>(stored::input_of(tx.in(), stored::task_at(tx.in(), slot.task)));
        });
        step("look", [&](auto& tx, auto& node) { static_cast<void>(stored::begin_looking(tx, node, slot)); });
        step("withdraw", [&](auto& tx, auto& node) {
            static_cast<void>(
                stored::withdraw_task(tx, node, node.levels + 64, 9, stored::withdrawal::cancelled));
        });
        step("settle", [&](auto& tx, auto& node) {
            stored::settle_death(tx, node, i, slot.incarnation,
                                 {.pid = 1, .code = -SIGKILL, .likely_oom = false}, 9);
        });
        step("claim", [&](auto& tx, auto& node) { stored::claim_worker(tx, node, i, 99); });
        step("leave", [&](auto& tx, auto& node) { stored::leave_pool(tx, node, slot); });
    }
    step("cancel",
         [&](auto& tx, auto& node) { static_cast<void>(stored::cancel_tasks_of_workers(tx, node, 100)); });
    step("order_all", [&](auto& tx, auto& node) { stored::order_all(tx, node); });
    step("set_target", [&](auto& tx, auto& node) { stored::set_target(tx, node, 1); });
    step("record_failure", [&](auto& tx, auto& node) { stored::record_failure(tx, node, "no"); });
    step("check", [&](auto& tx, auto& node) {
        cairn::detail::arena_audit audit(tx.in(), pool.slot());
        static_cast<void>(stored::check_pool(tx.in(), node, audit));
    });
    step("close", [&](auto& tx, auto& node) { stored::close_pool(tx, node); });
}

std::function<void(attempts&, bool)> open_pool(const cairn::manager& in, const char* /*name*/) {
    const bare_pool pool(in);
    // Looked at once, as in a pool's processes.
    stored::worker_slot* const places =
        &stored::worker_at(pool.in(), stored::pool_at(pool.in(), pool.in().offset_of(&pool.node())), 0);
    static_cast<void>(stored::worker_at(pool.in(), pool.node(), workers - 1));
    return [pool, places](attempts& attempt, bool writes) {
        // Nobody reads a pool but under its lock, and by inspection.
        if (writes) step_through(pool, places, attempt);
    };
}

constexpr subject pool_of_workers = {bare_pool::name, &build_pool, &open_pool};

}  // namespace

std::span<const subject> pool_subjects() {
    return {&pool_of_workers, 1};
}

}  // namespace cairn_test
