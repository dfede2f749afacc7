// show.cpp - show: all about a segment or an object.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <thread>

#include <fmt/format.h>

#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>

namespace shmctl {

namespace {

std::string bytes_or_unknown(const std::optional<std::uint64_t>& bytes, const output_options& options) {
    return bytes ? human_bytes(*bytes, options) : "?";
}

std::string number_or_unknown(const std::optional<std::uint64_t>& number) {
    return number ? std::to_string(*number) : "?";
}

std::string removal_of(const cairn::segment_facts& facts) {
    if (facts.is_persistent) return "persistent: only unlink() or `shmctl rm` removes it";
    if (facts.is_removed_when_unused) return "removed when its last process goes";
    return "removed when its creator's last manager goes";
}

std::string recovery_words(std::uint64_t count, std::int64_t last_nanoseconds, std::uint32_t thread) {
    if (count == 0) return "none";
    return fmt::format("{} (last: thread {} died, {})", count, thread,
                       human_age(age_seconds(last_nanoseconds)));
}

// ---- segments ------------------------------------------------------------------------------------------------------

details describe(const segment_summary& summary, const output_options& options) {
    const cairn::segment_location& where = summary.where;
    const cairn::segment_facts& facts = summary.facts.value();
    const std::optional<std::uint64_t> objects = facts.object_count;
    std::string title = fmt::format("{}: {}", printable(where.target), summary.state);
    if (!where.is_image) title += fmt::format(", {}", counted(summary.live_count, "process", "processes"));
    title += fmt::format(", {} objects", number_or_unknown(objects));
    if (!summary.note.empty()) title += " (" + summary.note + ")";
    details about(title);
    about.value("segment", printable(where.target));
    about.value("state", summary.state);
    about.value("note", summary.note);
    about.value("process_count", summary.live_count);
    about.value("dead_process_count", summary.dead_count);
    about.value("object_count", known(objects));
    about.row("file",
              fmt::format("{}, inode {}, mode {:04o}, owner {}", printable(where.path), where.inode,
                          where.mode, user_name(where.owner)),
              {{"path", printable(where.path)},
               {"inode", where.inode},
               {"mode", fmt::format("{:04o}", where.mode)},
               {"owner", user_name(where.owner)}});
    about.row("name", printable(facts.name), {{"name", printable(facts.name)}});
    about.row(
        "created",
        fmt::format("{} by process {}", human_age(age_seconds(facts.created_nanoseconds)), facts.creator_pid),
        {{"age_seconds", age_seconds(facts.created_nanoseconds)},
         {"created_nanoseconds", facts.created_nanoseconds},
         {"creator_pid", static_cast<std::uint64_t>(facts.creator_pid)}});
    about.row(
        "life", removal_of(facts),
        {{"is_persistent", facts.is_persistent}, {"is_removed_when_unused", facts.is_removed_when_unused}});
    about.row("memory",
              fmt::format("{} used of {}, grows to {}", bytes_or_unknown(facts.used_bytes, options),
                          bytes_or_unknown(facts.size_bytes, options), human_bytes(facts.max_bytes, options)),
              {{"used_bytes", known(facts.used_bytes)},
               {"size_bytes", known(facts.size_bytes)},
               {"max_bytes", facts.max_bytes}});
    about.row("pages",
              fmt::format("{} of {} free", number_or_unknown(facts.free_page_count),
                          number_or_unknown(facts.page_count)),
              {{"page_count", known(facts.page_count)}, {"free_page_count", known(facts.free_page_count)}});
    std::string lock = "free";
    if (facts.lock_owner_died) lock = "DEAD owner, recovered by the next locker";
    else if (facts.lock_thread != 0) lock = fmt::format("held by {}", facts.lock_thread);
    about.row("lock", fmt::format("{}; acquired {}", lock, number_or_unknown(facts.acquired_count)),
              {{"lock", lock}, {"acquired_count", known(facts.acquired_count)}});
    about.row("recoveries", number_or_unknown(summary.recovery_count),
              {{"recovery_count", known(summary.recovery_count)}});
    about.row("format",
              fmt::format("{}, pid namespace {}{}{}", facts.format, facts.pid_namespace,
                          facts.is_of_this_pid_namespace ? "" : " (not this one)",
                          facts.is_of_this_time_namespace ? "" : ", of another time namespace"),
              {{"format", std::uint64_t{facts.format}},
               {"pid_namespace", facts.pid_namespace},
               {"is_of_this_boot", facts.is_of_this_boot},
               {"is_truncated", facts.is_truncated},
               {"is_retired", facts.is_retired}});
    return about;
}

table participants_of(const cairn::inspection& look) {
    table all({{"PID", "pid", style::number},
               {"STATE", "state"},
               {"PROGRAM", "program"},
               {"ROLE", "role"},
               {"NUMBER", "number", style::number}});
    for (const cairn::participant_facts& each : look.participants()) {
        const char* state = each.state == cairn::presence::alive  ? "alive"
                            : each.state == cairn::presence::dead ? "dead"
                                                                  : "unknown";
        all.add(std::to_string(each.pid),
                {static_cast<std::uint64_t>(each.pid), std::string(state), each.program,
                 std::string(each.is_creator ? "creator" : "participant"), each.number});
    }
    return all;
}

table objects_of(const cairn::inspection& look) {
    table all({{"OBJECT", "object"},
               {"TYPE", "type"},
               {"ITEMS", "item_count", style::count},
               {"BYTES", "size_bytes", style::bytes},
               {"LOCK", "lock"}});
    for (const cairn::object_facts& each : look.objects()) {
        all.add(each.name, {each.name, full_type(each), known(each.items), each.bytes,
                            each.state == "poisoned" ? std::string("poisoned") : lock_words(each)});
    }
    return all;
}

std::string indented(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = text.find('\n', at);
        out += "  " + text.substr(at, end - at) + "\n";
        at = end + 1;
    }
    return out;
}

void show_segment(const cairn::segment_location& where, const arguments& given, json& documents) {
    const cairn::inspection look(where);  // throws what summarize() would only note
    const segment_summary summary = summarize(where);
    if (!summary.facts) throw failure(not_found, "segment '" + where.target + "' has gone");
    const details about = describe(summary, given.output);
    const table participants = participants_of(look);
    const table objects = objects_of(look);
    if (given.output.as_json) {
        json document = about.as_json();
        document["participants"] = participants.as_json();
        document["objects"] = objects.as_json();
        documents.push_back(std::move(document));
        return;
    }
    output_options inner = given.output;
    inner.columns.clear();
    std::string text = about.text();
    if (!participants.empty()) text += "\n" + indented(participants.text(inner));
    if (!objects.empty()) text += "\n" + indented(objects.text(inner));
    write_out(text);
}

// ---- objects -------------------------------------------------------------------------------------------------------

// An object, and how long its lock has been held. Nobody reads a clock when locking, so that is what two looks see.
struct observed {
    cairn::object_facts object;
    std::vector<std::string> holders;  // of permits: "4711 worker-3 (2)"
    std::vector<std::string> waiters;  // the same of those who wait for a condition
    std::vector<std::string> members;  // and of those who take part in a barrier
    std::string holder_program;
    std::optional<std::uint64_t> held_milliseconds;  // at least so long
};

// By name, and whether they live.
std::vector<std::string> names_of(const cairn::inspection& look,
                                  const std::vector<cairn::permit_holder_facts>& processes,
                                  bool is_counted = true) {
    std::vector<std::string> all;
    if (processes.empty()) return all;
    const std::vector<cairn::participant_facts> participants = look.participants();
    for (const cairn::permit_holder_facts& each : processes) {
        std::string who = "a process that has gone";
        for (const cairn::participant_facts& one : participants) {
            if (one.number != each.participant) continue;
            who = fmt::format("{} {}{}", one.pid, printable(one.program),
                              one.state == cairn::presence::dead ? ", DEAD" : "");
        }
        all.push_back(is_counted ? fmt::format("{} ({})", who, each.count) : who);
    }
    return all;
}

observed observe(const cairn::inspection& look, const std::string& name) {
    using clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds between_looks(2);
    observed seen;
    const cairn::object_facts first = look.object(name);
    seen.holders = names_of(look, first.holders);
    seen.waiters = names_of(look, first.waiters);
    seen.members = names_of(look, first.members, false);
    const clock::time_point since = clock::now();
    if (first.lock != cairn::lock_state::held || look.location().is_image) {
        seen.object = first;
        return seen;
    }
    std::this_thread::sleep_for(between_looks);
    const clock::time_point until = clock::now();
    seen.object = look.object(name);
    const cairn::object_facts& second = seen.object;
    // The count tells a thread that still has it from one that has it again.
    if (second.lock == cairn::lock_state::held && second.lock_thread == first.lock_thread &&
        second.acquired_count == first.acquired_count && second.generation == first.generation) {
        const auto held = std::chrono::duration_cast<std::chrono::milliseconds>(until - since);
        seen.held_milliseconds = static_cast<std::uint64_t>(held.count());
    }
    for (const cairn::participant_facts& each : look.participants())
        if (each.pid == second.lock_pid && each.pid != 0) seen.holder_program = each.program;
    return seen;
}

// "held by 5120 worker-3, >= 2 ms"
std::string lock_and_age(const observed& seen) {
    std::string text = lock_words(seen.object);
    if (!seen.holder_program.empty()) text += " " + printable(seen.holder_program);
    if (seen.held_milliseconds) text += fmt::format(", >= {} ms", *seen.held_milliseconds);
    return text;
}

std::string memory_words(const cairn::object_facts& object, const output_options& options) {
    std::string text =
        fmt::format("{} in {}", human_bytes(object.bytes, options), counted(object.extent_count, "extent"));
    if (object.element_bytes && object.bytes != 0) {
        text += fmt::format(
            ", {} ({:.0f}%) of it elements in place", human_bytes(*object.element_bytes, options),
            100.0 * static_cast<double>(*object.element_bytes) / static_cast<double>(object.bytes));
    }
    return text;
}

details describe(const observed& seen, const std::string& segment, const output_options& options) {
    const cairn::object_facts& object = seen.object;
    const std::string items = !object.status.empty() ? object.status
                              : object.items         ? counted(*object.items, "item")
                                                     : "? items";
    details about(printable(fmt::format("{}/{}: {}, {}{}", segment, object.name, full_type(object), items,
                                        object.state == "live" ? "" : ", " + object.state)));
    about.value("segment", printable(segment));
    about.value("object", printable(object.name));
    about.value("kind", object.kind);
    about.value("state", object.state);
    about.value("item_count", known(object.items));
    if (!object.status.empty()) about.value("status", object.status);
    if (object.status.empty() || object.type != "")
        about.row(
            "type",
            fmt::format("{}   fingerprint {:016x}", object.type ? printable(*object.type) : "?",
                        object.fingerprint),
            {{"type", known(object.type)}, {"fingerprint", fmt::format("{:016x}", object.fingerprint)}});
    for (const std::string& holder : seen.holders) about.row("held by", holder, {});
    if (!seen.holders.empty()) about.value("holders", seen.holders);
    for (const std::string& waiter : seen.waiters) about.row("waiting", waiter, {});
    if (!seen.waiters.empty()) about.value("waiting", seen.waiters);
    for (const std::string& member : seen.members) about.row("takes part", member, {});
    if (!seen.members.empty()) about.value("members", seen.members);
    if (object.kind == "sharded_dict")
        about.row("shards", std::to_string(object.shard_count),
                  {{"shard_count", std::uint64_t{object.shard_count}}});
    about.row("memory", memory_words(object, options),
              {{"size_bytes", object.bytes},
               {"extent_count", object.extent_count},
               {"element_bytes", known(object.element_bytes)}});
    about.row("created", human_age(age_seconds(object.created_nanoseconds)),
              {{"age_seconds", age_seconds(object.created_nanoseconds)}, {"generation", object.generation}});
    about.row("version",
              fmt::format("{}{}", object.version, object.version % 2 != 0 ? " (being changed)" : ""),
              {{"version", object.version}});
    const double contended = object.acquired_count == 0
                                 ? 0
                                 : 100.0 * static_cast<double>(object.contended_count) /
                                       static_cast<double>(object.acquired_count);
    about.row("lock",
              fmt::format("{}; acquired {}, contended {:.1f} %{}", lock_and_age(seen),
                          human_count(object.acquired_count, options), contended,
                          object.has_waiters ? "; somebody waits" : ""),
              {{"lock", lock_words(object)},
               {"lock_pid",
                object.lock_pid != 0 ? cell(static_cast<std::uint64_t>(object.lock_pid)) : cell(nothing{})},
               {"lock_held_at_least_milliseconds",
                seen.held_milliseconds ? cell(*seen.held_milliseconds) : cell(nothing{})},
               {"has_waiters", object.has_waiters},
               {"acquired_count", object.acquired_count},
               {"contended_count", object.contended_count}});
    std::string recoveries =
        recovery_words(object.recovery_count, object.last_recovery_nanoseconds, object.last_dead_thread);
    if (object.rolled_back_count != 0)
        recoveries +=
            fmt::format("; rolled back {}, the last one {}", counted(object.rolled_back_count, "time"),
                        counted(object.last_undone_bytes, "byte"));
    about.row("recoveries", recoveries,
              {{"recovery_count", object.recovery_count},
               {"rolled_back_count", object.rolled_back_count},
               {"last_undone_bytes", object.last_undone_bytes}});
    if (object.state == "poisoned")
        about.row("poisoned",
                  fmt::format("damaged beyond repair (reason {}); remove it with `shmctl rm`",
                              object.poison_reason),
                  {{"poison_reason", object.poison_reason}});
    for (const std::string& note : object.notes) about.row("note", printable(note), {});
    about.value("notes", object.notes);
    return about;
}

}  // namespace

int show(const arguments& given) {
    if (given.targets.empty())
        throw failure(wrong_usage, "show what?",
                      "for example `shmctl show jobs` or `shmctl show jobs/results`");
    json documents = json::array();
    bool is_first = true;
    bool is_several = given.targets.size() > 1;
    const int code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        is_several = is_several || is_glob(wanted.segment + wanted.object.value_or(""));
        return for_each_segment(wanted, [&](const cairn::segment_location& where) {
            const auto separate = [&] {
                if (!is_first && !given.output.as_json) write_out("\n");
                is_first = false;
            };
            if (!wanted.object) {
                separate();
                show_segment(where, given, documents);
                return static_cast<int>(all_fine);
            }
            const cairn::inspection look(where);
            for (const std::string& name : find_objects(look, wanted)) {
                separate();
                const details about = describe(observe(look, name), where.target, given.output);
                if (given.output.as_json) documents.push_back(about.as_json());
                else write_out(about.text());
            }
            return static_cast<int>(all_fine);
        });
    });
    if (given.output.as_json && !documents.empty())
        write_out(dump(is_several ? json{{"shown", documents}} : documents.front()));
    return code;
}

}  // namespace shmctl
