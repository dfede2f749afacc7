// services.cpp - svc: services of managers that have a name: what they are, and orders to them. Orders wait in the segment until the
// manager's nursery obeys them, so they need no manager that works.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>

#include <unistd.h>

#include <fmt/format.h>

#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>
#include <cairn/service_control.hpp>

namespace shmctl {

namespace {

struct found_services {
    std::string segment;
    cairn::service_set_facts set;
};

table worker_table() {
    return table({{"SERVICE", "service"},
                  {"WORKER", "worker", style::number},
                  {"PID", "pid", style::number},
                  {"STATE", "state"},
                  {"SECONDS", "running_seconds", style::count},
                  {"BEAT", "beat_seconds", style::count},
                  {"RELOADS", "generation", style::number},
                  {"RESTARTS", "restart_count", style::count},
                  {"NOTE", "note"}});
}

cell seconds_cell(const std::optional<double>& seconds) {
    return seconds ? cell(static_cast<std::uint64_t>(std::llround(*seconds))) : cell(nothing{});
}

void add_process(table& to, const cairn::service_facts& service, const cairn::service_worker_facts& worker,
                 const cairn::service_process_facts& process, const std::string& note) {
    const bool is_dead = process.alive == cairn::presence::dead;
    to.add(std::to_string(process.pid),
           {printable(service.name), static_cast<std::uint64_t>(worker.id),
            static_cast<std::uint64_t>(process.pid), is_dead ? std::string("DEAD") : process.state,
            seconds_cell(process.seconds), seconds_cell(process.beat_seconds), process.generation,
            worker.restarts, note});
}

void add_missing(table& to, const cairn::service_facts& service, const cairn::service_worker_facts& worker) {
    std::string state = "missing";
    std::string note;
    if (service.is_given_up) state = "given up";
    else if (worker.wait_seconds) {
        state = "waits";
        note = fmt::format("started again in {:.1f} s", *worker.wait_seconds);
    }
    to.add("", {printable(service.name), static_cast<std::uint64_t>(worker.id), nothing{}, state, nothing{},
                nothing{}, nothing{}, worker.restarts, note});
}

table workers_of(const cairn::service_set_facts& set) {
    table workers = worker_table();
    for (const cairn::service_facts& service : set.services) {
        for (const cairn::service_worker_facts& worker : service.workers) {
            if (worker.process)
                add_process(workers, service, worker, *worker.process,
                            worker.successor ? "to be replaced" : std::string());
            if (worker.successor) {
                const bool is_newer =
                    worker.process && worker.successor->generation > worker.process->generation;
                add_process(workers, service, worker, *worker.successor,
                            worker.process && is_newer ? "takes its place" : "on its way out");
            }
            if (!worker.process && !worker.successor) add_missing(workers, service, worker);
        }
    }
    return workers;
}

std::string counted_services(const cairn::service_set_facts& set) {
    std::string text;
    for (const cairn::service_facts& each : set.services) {
        std::uint64_t ready = 0;
        for (const cairn::service_worker_facts& worker : each.workers)
            ready += worker.process && worker.process->state == "ready" &&
                             worker.process->alive != cairn::presence::dead
                         ? 1
                         : 0;
        if (!text.empty()) text += ", ";
        text += fmt::format("{} {} of {}", printable(each.name), ready, each.wanted_worker_count);
        if (each.is_given_up) text += " (given up)";
    }
    return text;
}

details describe(const found_services& found) {
    const cairn::service_set_facts& set = found.set;
    const bool is_alive = set.manager_alive == cairn::presence::alive;
    details about(fmt::format("{}: services, {}", printable(found.segment), set.state));
    about.value("segment", printable(found.segment));
    about.value("state", set.state);
    about.row("manager",
              set.manager == 0 ? "none"
                               : fmt::format("process {} ({}){}", set.manager, printable(set.program),
                                             is_alive ? "" : ", DEAD"),
              {{"manager_pid", static_cast<std::uint64_t>(set.manager)},
               {"program", printable(set.program)},
               {"is_manager_alive", is_alive}});
    const bool is_looked_after = set.supervisor_alive == cairn::presence::alive;
    std::string nursery = "none yet";
    if (set.supervisor != 0) {
        nursery = fmt::format("process {}{}", set.supervisor, is_looked_after ? "" : ", DEAD");
        // It looks each second.
        if (is_looked_after && set.looked_seconds && *set.looked_seconds > 5)
            nursery += fmt::format(", has not looked for {:.0f} s", *set.looked_seconds);
    }
    about.row(
        "nursery", nursery,
        {{"nursery_pid", static_cast<std::uint64_t>(set.supervisor)}, {"is_nursery_alive", is_looked_after}});
    about.row("services", counted_services(set), {});
    if (set.waiting_orders != 0)
        about.row("orders", counted(set.waiting_orders, "order waits", "orders wait"),
                  {{"waiting_order_count", set.waiting_orders}});
    for (const std::string& note : set.notes) about.row("note", note, {{"note", note}});
    return about;
}

json services_as_json(const cairn::service_set_facts& set) {
    json all = json::array();
    for (const cairn::service_facts& each : set.services)
        all.push_back({{"name", printable(each.name)},
                       {"restart", each.restart},
                       {"wanted_worker_count", each.wanted_worker_count},
                       {"restart_count", each.restarts},
                       {"is_given_up", each.is_given_up}});
    return all;
}

void find_in(std::vector<found_services>& to, const cairn::segment_location& where) {
    for (cairn::service_set_facts& each : cairn::inspection(where).service_sets())
        to.push_back({where.target, std::move(each)});
}

int status(const std::vector<std::string>& names, const arguments& given) {
    std::vector<found_services> all;
    int code = all_fine;
    if (names.empty()) {
        for (const cairn::segment_location& where : cairn::find_segments(false)) {
            try {
                find_in(all, where);
            } catch (const cairn::error&) {
                // Gone meanwhile, damaged, or of somebody else: `ls` says so.
            }
        }
    } else {
        code = for_each_target(names, [&](const std::string& text) {
            return for_each_segment(parse_target(text), [&](const cairn::segment_location& where) {
                find_in(all, where);
                return static_cast<int>(all_fine);
            });
        });
    }
    if (given.output.as_json) {
        json sets = json::array();
        for (const found_services& each : all) {
            json one = describe(each).as_json();
            one["services"] = services_as_json(each.set);
            one["workers"] = workers_of(each.set).as_json();
            sets.push_back(std::move(one));
        }
        write_out(dump({{"service_sets", std::move(sets)}}));
        return code;
    }
    for (const found_services& each : all) {
        if (given.output.names_only) {
            write_out(printable(each.segment) + "\n");
            continue;
        }
        write_out(describe(each).text());
        const table workers = workers_of(each.set);
        if (!workers.empty()) write_out(workers.text(given.output, given.is_long));
    }
    if (all.empty() && code == all_fine && !given.output.names_only)
        write_hint("no services that have a name");
    return code;
}

// -- orders

// Of a lock in the segment, which may be damaged, or held by a process that is stopped.
constexpr std::chrono::seconds lock_patience{3};

struct order {
    std::string action;
    std::string name;                   // the manager's
    std::vector<std::string> services;  // none: all
};

// Numbers of workers are of one service; a reload or restart may be of several that have one name.
bool is_of_one(const order& wanted) {
    return wanted.action == "scale" || wanted.action == "stop";
}

constexpr int most_workers = 4096;  // service_control.hpp

// "printer=4"
std::pair<std::string, int> parse_scale(const std::string& text) {
    const std::size_t at = text.rfind('=');
    int workers = 0;
    const char* const end = text.data() + text.size();
    const char* const number = at == std::string::npos ? end : text.data() + at + 1;
    const auto [last, error] = std::from_chars(number, end, workers);
    if (at == std::string::npos || number == end || error != std::errc{} || last != end)
        throw failure(wrong_usage, "scale what: '" + text + "'", "expected SERVICE=N, as printer=4");
    if (workers < 0 || workers > most_workers)
        throw failure(wrong_usage, fmt::format("scale '{}': workers is {}, expected 0 to {}",
                                               text.substr(0, at), workers, most_workers));
    return {text.substr(0, at), workers};
}

cairn::service_control controlled(const cairn::segment_location& where) {
    if (where.is_image || where.is_anonymous)
        throw failure(wrong_usage, fmt::format("'{}' can only be looked at: it is {}", where.target,
                                               where.is_image ? "a saved image" : "anonymous"));
    cairn::open_options options;
    options.lock_timeout = lock_patience;
    if (::geteuid() == 0) options.owner = where.owner;
    return cairn::service_control(where.name, options);
}

void require_consent(const std::string& what, const arguments& given) {
    if (given.force || given.dry_run) return;
    if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) {
        if (ask(fmt::format("stop {}?", what))) return;
        throw failure(problems_found, what + " was not stopped");
    }
    throw failure(busy, what + " is in use", "-f stops it all the same");
}

// Before anything is ordered: there is a manager, and all words make sense. So --dry-run refuses what the order itself would.
void require_orderable(const order& wanted, const cairn::segment_location& where,
                       const std::vector<cairn::service_set_facts>& sets) {
    std::vector<std::string> names;
    for (const cairn::service_set_facts& set : sets)
        for (const cairn::service_facts& each : set.services) names.push_back(each.name);
    for (const std::string& text : wanted.services) {
        const std::string name = wanted.action == "scale" ? parse_scale(text).first : text;
        const auto found = std::count(names.begin(), names.end(), name);
        if (found == 0)
            throw failure(not_found, fmt::format("no service '{}' in '{}'{}", name, where.target,
                                                 did_you_mean(name, names)));
        if (found > 1 && is_of_one(wanted))
            throw failure(wrong_usage, fmt::format("{} '{}': {} services of '{}' have that name",
                                                   wanted.action, name, found, where.target));
    }
    for (const cairn::service_set_facts& set : sets) {
        const std::string what = fmt::format("{} services '{}'", wanted.action, where.target);
        if (set.manager == 0) throw failure(problems_found, what + ": no manager runs");
        if (set.manager_alive == cairn::presence::dead)
            throw failure(problems_found,
                          fmt::format("{}: their manager, process {}, is dead", what, set.manager),
                          "start the program again");
    }
}

void give(const order& wanted, const cairn::segment_location& where, const arguments& given, table& done) {
    const std::vector<cairn::service_set_facts> sets = cairn::inspection(where).service_sets();
    if (sets.empty())
        throw failure(not_found, fmt::format("no services in segment '{}'", where.target),
                      "`shmctl svc status` lists those that have a name");
    require_orderable(wanted, where, sets);
    const bool stops_all = wanted.action == "stop" && wanted.services.empty();
    if (stops_all) require_consent("'" + where.target + "'", given);
    const auto say = [&](const std::string& service, const std::string& what) {
        done.add(where.target,
                 {where.target, service, std::string(given.dry_run ? "would order: " : "ordered: ") + what});
    };
    const cairn::service_control to = controlled(where);
    const auto each_service = [&](const auto& action) {
        if (wanted.services.empty()) {
            if (!given.dry_run) action(std::optional<std::string_view>());
            say("all", wanted.action);
        }
        for (const std::string& service : wanted.services) {
            if (!given.dry_run) action(std::optional<std::string_view>(service));
            say(printable(service), wanted.action);
        }
    };
    if (wanted.action == "reload") {
        each_service([&](std::optional<std::string_view> service) { to.reload(service); });
    } else if (wanted.action == "restart") {
        each_service([&](std::optional<std::string_view> service) { to.restart(service); });
    } else if (stops_all) {
        if (!given.dry_run) to.stop(given.kills);
        say("all", given.kills ? "stop, by SIGKILL" : "stop");
    } else {
        for (const std::string& text : wanted.services) {
            const auto [service, workers] =
                wanted.action == "scale" ? parse_scale(text) : std::pair<std::string, int>(text, 0);
            if (!given.dry_run) to.scale(service, workers);
            say(printable(service), counted(static_cast<std::uint64_t>(workers), "worker", "workers"));
        }
    }
}

}  // namespace

int control_services(const arguments& given) {
    static const std::vector<std::string> actions = {"status", "scale", "reload", "restart", "stop"};
    std::vector<std::string> words = given.targets;
    const std::string action = words.empty() ? "status" : words.front();
    if (!words.empty()) words.erase(words.begin());
    if (std::find(actions.begin(), actions.end(), action) == actions.end())
        throw failure(wrong_usage, "svc '" + action + "'" + did_you_mean(action, actions),
                      "expected status, scale, reload, restart or stop");
    if (action == "status") return status(words, given);
    if (words.empty())
        throw failure(wrong_usage, action + " what?",
                      action == "scale" ? "for example `shmctl svc scale web printer=4`"
                                        : "for example `shmctl svc " + action + " web`");
    if (action == "scale" && words.size() == 1)
        throw failure(wrong_usage, "scale which service?", "for example `shmctl svc scale web printer=4`");
    if (given.kills && (action != "stop" || words.size() != 1))
        throw failure(wrong_usage, "--kill is for `svc stop NAME` alone");
    const target wanted = parse_target(words.front());
    words.erase(words.begin());
    table done = table({{"NAME", "name"}, {"SERVICE", "service"}, {"ACTION", "action"}});
    const int code = for_each_segment(wanted, [&](const cairn::segment_location& where) {
        give({action, where.target, words}, where, given, done);
        return static_cast<int>(all_fine);
    });
    if (given.output.as_json) write_out(dump({{"dry_run", given.dry_run}, {"actions", done.as_json()}}));
    else if (!done.empty()) write_out(done.text(given.output));
    return code;
}

}  // namespace shmctl
