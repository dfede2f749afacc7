// list.cpp - ls: the segments there are, or the objects of some of them.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdio>

#include "targets.hpp"
#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>

namespace shmctl {

namespace {

table segment_table() {
    return table({{"SEGMENT", "segment"},
                  {"STATE", "state"},
                  {"PROCS", "process_count", style::count},
                  {"OBJECTS", "object_count", style::count},
                  {"USED", "used_bytes", style::bytes},
                  {"SIZE", "size_bytes", style::bytes},
                  {"MAX", "max_bytes", style::bytes},
                  {"OWNER", "owner"},
                  {"CREATED", "age_seconds", style::age},
                  {"CREATOR", "creator_pid", style::number, true},
                  {"DEAD", "dead_process_count", style::count, true},
                  {"RECOVERIES", "recovery_count", style::count, true},
                  {"MODE", "mode", style::text, true},
                  {"INODE", "inode", style::number, true},
                  {"PATH", "path", style::text, true},
                  {"NOTE", "note"}});
}

void add_segment(table& to, const segment_summary& summary) {
    const cairn::segment_location& where = summary.where;
    char mode[8];
    std::snprintf(mode, sizeof mode, "%04o", static_cast<unsigned>(where.mode) & 07777U);
    std::vector<cell> row{where.target, summary.state};
    if (summary.facts) {
        const cairn::segment_facts& facts = *summary.facts;
        const bool has_processes = !where.is_image && summary.state != "unknown";
        row.push_back(has_processes ? cell(summary.live_count) : cell(nothing{}));
        row.push_back(facts.object_count ? cell(std::uint64_t{*facts.object_count}) : cell(unknown{}));
        row.push_back(known(facts.used_bytes));
        row.push_back(known(facts.size_bytes));
        row.emplace_back(facts.max_bytes);
        row.emplace_back(user_name(where.owner));
        row.emplace_back(age_seconds(facts.created_nanoseconds));
        row.emplace_back(static_cast<std::uint64_t>(facts.creator_pid));
        row.push_back(has_processes ? cell(summary.dead_count) : cell(nothing{}));
        row.push_back(known(summary.recovery_count));
    } else {
        for (int i = 0; i < 3; ++i) row.emplace_back(unknown{});
        row.emplace_back(where.file_bytes);
        row.emplace_back(unknown{});
        row.emplace_back(user_name(where.owner));
        for (int i = 0; i < 4; ++i) row.emplace_back(unknown{});
    }
    row.emplace_back(std::string(mode));
    row.emplace_back(where.inode);
    row.emplace_back(where.path);
    row.emplace_back(summary.note);
    to.add(where.target, std::move(row));
}

int list_segments(const arguments& given) {
    table segments = segment_table();
    std::uint64_t collectable = 0;
    for (const cairn::segment_location& where : cairn::find_segments()) {
        const segment_summary summary = summarize(where);
        if (summary.state == "gone") continue;
        add_segment(segments, summary);
        if (summary.is_collectable()) ++collectable;
    }
    const bool found_any = !segments.empty();
    segments.arrange(given.output);
    if (given.output.as_json) {
        write_out(dump({{"segments", segments.as_json()}}));
        return all_fine;
    }
    if (found_any) write_out(segments.text(given.output, given.is_long));
    if (given.output.names_only) return all_fine;
    if (!found_any) write_hint("there are no segments");
    if (collectable != 0) write_hint(counted(collectable, "segment") + " can be removed with `shmctl gc`");
    return all_fine;
}

table object_table(bool with_segment) {
    return table({{"SEGMENT", "segment", style::text, !with_segment},
                  {"OBJECT", "object"},
                  {"KIND", "kind"},
                  {"TYPE", "type"},
                  {"ITEMS", "item_count", style::count},
                  {"BYTES", "size_bytes", style::bytes},
                  {"VERSION", "version", style::count},
                  {"WAITERS", "has_waiters"},
                  {"LOCK", "lock"},
                  {"STATE", "state", style::text, true},
                  {"ACQUIRED", "acquired_count", style::count, true},
                  {"CONTENDED", "contended_count", style::count, true},
                  {"RECOVERIES", "recovery_count", style::count, true},
                  {"CREATED", "age_seconds", style::age, true},
                  {"NOTE", "notes", style::text, true}});
}

void add_object(table& to, const std::string& segment, const cairn::object_facts& object) {
    std::vector<cell> row{segment, object.name, object.kind};
    row.push_back(object.type == "" ? cell(nothing{}) : known(object.type));
    row.push_back(object.items || object.kind == "list" ? known(object.items) : cell(nothing{}));
    row.emplace_back(object.bytes);
    row.emplace_back(object.version);
    row.emplace_back(object.has_waiters);
    row.emplace_back(object.state == "poisoned" ? "poisoned" : lock_words(object));
    row.emplace_back(object.state);
    row.emplace_back(object.acquired_count);
    row.emplace_back(object.contended_count);
    row.emplace_back(object.recovery_count);
    row.emplace_back(age_seconds(object.created_nanoseconds));
    row.emplace_back(object.notes);
    to.add(segment + "/" + object.name, std::move(row));
}

}  // namespace

int list(const arguments& given) {
    if (given.targets.empty()) return list_segments(given);
    struct match {
        std::string segment;
        std::vector<cairn::object_facts> objects;
    };
    std::vector<match> matches;
    const int code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        return for_each_segment(wanted, [&](const cairn::segment_location& where) {
            const cairn::inspection look(where);
            match found{where.target, {}};
            const std::vector<std::string> names = find_objects(look, wanted);
            for (cairn::object_facts& object : look.objects())
                if (std::find(names.begin(), names.end(), object.name) != names.end())
                    found.objects.push_back(std::move(object));
            matches.push_back(std::move(found));
            return static_cast<int>(all_fine);
        });
    });
    if (matches.empty()) return code;
    table objects = object_table(matches.size() > 1);
    for (const match& each : matches)
        for (const cairn::object_facts& object : each.objects) add_object(objects, each.segment, object);
    const bool found_any = !objects.empty();
    objects.arrange(given.output);
    if (given.output.as_json) {
        write_out(dump({{"objects", objects.as_json()}}));
        return code;
    }
    if (found_any) write_out(objects.text(given.output, given.is_long));
    else if (!given.output.names_only) write_hint("no objects");
    return code;
}

}  // namespace shmctl
