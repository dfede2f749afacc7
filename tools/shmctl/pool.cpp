// pool.cpp - pool: pools of worker processes: what waits, what runs where, who died. Also when their owner is dead.
// SPDX-License-Identifier: BSL-1.0
#include <cmath>

#include <fmt/format.h>

#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>

namespace shmctl {

namespace {

struct found_pool {
    std::string segment;
    pid_t owner = 0;
    bool is_owner_alive = false;
    cairn::pool_facts pool;
};

table worker_table() {
    return table({{"WORKER", "worker", style::number},
                  {"PID", "pid", style::number},
                  {"STATE", "state"},
                  {"TASK", "task_id", style::number},
                  {"MS", "running_ms", style::count},
                  {"ATTEMPT", "attempt", style::number},
                  {"ITEM", "item_number", style::number},
                  {"OF", "item_count", style::number},
                  {"DONE", "task_count", style::count},
                  {"NOTE", "note"}});
}

// A number that only some workers have.
cell number_if(bool is_there, std::uint64_t number) {
    if (!is_there) return nothing{};
    return number;
}

table workers_of(const cairn::pool_facts& pool) {
    table workers = worker_table();
    for (const cairn::pool_worker_facts& each : pool.workers) {
        std::vector<cell> row{static_cast<std::uint64_t>(each.place), static_cast<std::uint64_t>(each.pid)};
        const bool is_dead = each.alive == cairn::presence::dead;
        row.emplace_back(is_dead ? "DEAD" : each.state);
        row.push_back(number_if(each.task.has_value(), each.task.value_or(0)));
        row.push_back(number_if(each.seconds.has_value(),
                                static_cast<std::uint64_t>(std::llround(each.seconds.value_or(0) * 1000))));
        row.push_back(number_if(each.task.has_value(), each.attempt));
        const bool is_run = each.item_count > 1;
        row.push_back(number_if(is_run, std::uint64_t{each.item} + 1));
        row.push_back(number_if(is_run, each.item_count));
        row.emplace_back(each.tasks_done);
        row.emplace_back(each.is_stop_asked ? "asked to stop" : "");
        workers.add(std::to_string(each.pid), std::move(row));
    }
    return workers;
}

std::string counted_tasks(const cairn::pool_facts& pool) {
    std::string text = fmt::format("{} waiting, {} running, {} finished", pool.waiting_count,
                                   pool.running_count, pool.finished_count);
    if (pool.unread_count != 0) text += fmt::format(" ({} not taken over yet)", pool.unread_count);
    if (pool.died_count != 0)
        text +=
            fmt::format("; {}", counted(pool.died_count, "worker died in a task", "workers died in tasks"));
    if (pool.retried_count != 0) text += fmt::format(", {} started again", pool.retried_count);
    return text;
}

details describe(const found_pool& found, const output_options& options) {
    const cairn::pool_facts& pool = found.pool;
    details about(fmt::format("{}/{}: pool, {}", printable(found.segment), printable(pool.name), pool.state));
    about.value("segment", printable(found.segment));
    about.value("object", printable(pool.name));
    about.value("state", pool.state);
    about.row("tasks", counted_tasks(pool),
              {{"waiting_count", pool.waiting_count},
               {"running_count", pool.running_count},
               {"finished_count", pool.finished_count},
               {"unread_count", pool.unread_count},
               {"died_count", pool.died_count},
               {"retried_count", pool.retried_count}});
    about.row(
        "owner", fmt::format("process {}{}", found.owner, found.is_owner_alive ? "" : ", DEAD"),
        {{"owner_pid", static_cast<std::uint64_t>(found.owner)}, {"is_owner_alive", found.is_owner_alive}});
    const bool is_nursery_alive = pool.nursery_alive == cairn::presence::alive;
    about.row(
        "nursery",
        pool.nursery == 0 ? "none yet"
                          : fmt::format("process {}{}", pool.nursery, is_nursery_alive ? "" : ", DEAD"),
        {{"nursery_pid", static_cast<std::uint64_t>(pool.nursery)}, {"is_nursery_alive", is_nursery_alive}});
    about.row("workers", fmt::format("{} of {}", pool.workers.size(), pool.wanted_worker_count),
              {{"worker_count", static_cast<std::uint64_t>(pool.workers.size())},
               {"wanted_worker_count", std::uint64_t{pool.wanted_worker_count}}});
    if (!pool.failure.empty())
        about.row("failure", printable(pool.failure), {{"failure", printable(pool.failure)}});
    for (const std::string& note : pool.notes) about.row("note", note, {{"note", note}});
    static_cast<void>(options);
    return about;
}

void find_in(std::vector<found_pool>& to, const cairn::segment_location& where, const target* wanted) {
    const cairn::inspection look(where);
    const std::vector<cairn::pool_facts> pools = look.pools();
    if (pools.empty()) return;
    const std::vector<std::string> names =
        wanted == nullptr ? std::vector<std::string>() : find_objects(look, *wanted);
    const pid_t owner = look.facts().creator_pid;
    bool is_alive = false;
    for (const cairn::participant_facts& each : look.participants())
        is_alive = is_alive || (each.pid == owner && each.state == cairn::presence::alive);
    for (const cairn::pool_facts& pool : pools) {
        if (wanted != nullptr && std::find(names.begin(), names.end(), pool.name) == names.end()) continue;
        to.push_back({where.target, owner, is_alive, pool});
    }
}

}  // namespace

int show_pools(const arguments& given) {
    std::vector<found_pool> all;
    int code = all_fine;
    if (given.targets.empty()) {
        for (const cairn::segment_location& where : cairn::find_segments()) {
            try {
                find_in(all, where, nullptr);
            } catch (const cairn::error&) {
                // Gone meanwhile, damaged, or of somebody else: `ls` says so.
            }
        }
    } else {
        code = for_each_target(given.targets, [&](const std::string& text) {
            const target wanted = parse_target(text);
            return for_each_segment(wanted, [&](const cairn::segment_location& where) {
                find_in(all, where, &wanted);
                return static_cast<int>(all_fine);
            });
        });
    }
    if (given.output.as_json) {
        json pools = json::array();
        for (const found_pool& each : all) {
            json one = describe(each, given.output).as_json();
            one["workers"] = workers_of(each.pool).as_json();
            pools.push_back(std::move(one));
        }
        write_out(dump({{"pools", std::move(pools)}}));
        return code;
    }
    for (const found_pool& each : all) {
        if (given.output.names_only) {
            write_out(printable(each.segment + "/" + each.pool.name) + "\n");
            continue;
        }
        write_out(describe(each, given.output).text());
        const table workers = workers_of(each.pool);
        if (!workers.empty()) write_out(workers.text(given.output, given.is_long));
    }
    if (all.empty() && !given.output.names_only) write_hint("no pools");
    return code;
}

}  // namespace shmctl
