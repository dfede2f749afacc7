// remove.cpp - rm and gc: the verbs that take away. They say what they did; everything goes through the library's own
// locks, but for files that are no segment of this library.
//
// SPDX-License-Identifier: BSL-1.0
#include <charconv>

#include <unistd.h>

#include <fmt/format.h>

#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>
#include <cairn/manager.hpp>

namespace shmctl {

namespace {

table action_table() {
    return table({{"TARGET", "target"}, {"ACTION", "action"}, {"NOTE", "note"}});
}

void print(const table& done, const arguments& given) {
    if (given.output.as_json) write_out(dump({{"dry_run", given.dry_run}, {"actions", done.as_json()}}));
    else if (!done.empty()) write_out(done.text(given.output));
}

// Asks where somebody can answer, or wants -f. Throws failure (busy).
void require_consent(const std::string& what, const std::string& in_use, const arguments& given) {
    if (given.force || given.yes || given.dry_run) return;
    if (::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1) {
        if (ask(fmt::format("remove {}? {}", what, in_use))) return;
        throw failure(problems_found, what + " was not removed");
    }
    throw failure(busy, fmt::format("{} is in use: {}", what, in_use),
                  "-f removes it all the same; who is attached goes on with it");
}

bool is_foreign(const std::string& state) {
    return state == "damaged" || state == "foreign" || state == "empty" || state == "unknown";
}

void remove_whole(const cairn::segment_location& where, const arguments& given, table& done) {
    const segment_summary summary = summarize(where);
    const std::string what = "segment '" + where.target + "'";
    if (summary.state == "gone") throw failure(not_found, "no " + what + " any more");
    if (summary.live_count != 0)
        require_consent(what, counted(summary.live_count, "living process", "living processes"), given);
    if (is_foreign(summary.state) && !given.force && !given.dry_run) {
        throw failure(damaged,
                      fmt::format("{} is not one that can be removed by its own lock: {}", what,
                                  summary.note.empty() ? summary.state : summary.note),
                      "-f removes the file");
    }
    if (!given.dry_run) cairn::remove_segment(where, given.force);
    std::string note = summary.state;
    if (!summary.note.empty()) note += ", " + summary.note;
    if (summary.live_count != 0)
        note += fmt::format("; {} still attached", counted(summary.live_count, "process", "processes"));
    done.add(where.target, {where.target, std::string(given.dry_run ? "would be removed" : "removed"), note});
}

void remove_objects(const cairn::segment_location& where, const target& wanted, const arguments& given,
                    table& done) {
    if (where.is_image || where.is_anonymous) {
        throw failure(wrong_usage, fmt::format("'{}' can only be looked at: it is {}", where.target,
                                               where.is_image ? "a saved image" : "anonymous"));
    }
    std::vector<std::string> names;
    std::uint64_t others = 0;
    {
        const cairn::inspection look(where);
        names = find_objects(look, wanted);
        for (const cairn::participant_facts& each : look.participants())
            others += each.state == cairn::presence::alive ? 1 : 0;
    }
    for (const std::string& name : names) {
        const std::string full = where.target + "/" + name;
        if (others != 0)
            require_consent("object '" + full + "'", counted(others, "living process", "living processes"),
                            given);
        if (!given.dry_run) {
            cairn::open_options options;
            if (::geteuid() == 0) options.owner = where.owner;
            const cairn::manager in = cairn::manager::open(where.name, options);
            if (!in.remove(name)) throw failure(not_found, "no object '" + full + "' any more");
        }
        done.add(full, {full, std::string(given.dry_run ? "would be removed" : "removed"), std::string()});
    }
    if (given.dry_run || others != 0) return;
    // shmctl was its only process, and has left.
    try {
        static_cast<void>(cairn::locate_segment(where.name));
    } catch (const cairn::no_such_segment&) {
        done.add(where.target,
                 {where.target, std::string("removed"), std::string("no living process uses it")});
    }
}

std::int64_t parse_duration(const std::string& text) {
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const std::string_view unit(end, static_cast<std::size_t>(text.data() + text.size() - end));
    std::int64_t factor = 0;
    if (unit == "s" || unit.empty()) factor = 1;
    else if (unit == "m") factor = 60;
    else if (unit == "h") factor = 3600;
    else if (unit == "d") factor = 86400;
    if (error != std::errc{} || factor == 0 || value < 0 || value > std::int64_t{1} << 40)
        throw failure(wrong_usage, "--older-than is '" + text + "'",
                      "expected a number and s, m, h or d: 90s, 10m, 1h, 2d");
    return value * factor;
}

// Everything that gc looks at, whatever state it is in.
std::vector<cairn::segment_location> candidates(const arguments& given, int& code) {
    if (given.targets.empty()) return cairn::find_segments(false);
    std::vector<cairn::segment_location> all;
    code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        if (wanted.object)
            throw failure(wrong_usage, "gc takes segments, and '" + text + "' is an object",
                          "`shmctl rm " + text + "` removes it");
        for (cairn::segment_location& where : find_targets(wanted)) {
            if (where.is_image || where.is_anonymous)
                throw failure(wrong_usage, "'" + text + "' has no name that could be taken away");
            all.push_back(std::move(where));
        }
        return static_cast<int>(all_fine);
    });
    return all;
}

}  // namespace

int remove(const arguments& given) {
    if (given.targets.empty())
        throw failure(wrong_usage, "rm what?", "for example `shmctl rm jobs` or `shmctl rm jobs/results`");
    table done = action_table();
    const int code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        if (wanted.at)
            throw failure(wrong_usage, "rm takes segments and objects, and '" + text + "' is an element");
        return for_each_segment(wanted, [&](const cairn::segment_location& where) {
            if (wanted.object) remove_objects(where, wanted, given, done);
            else remove_whole(where, given, done);
            return static_cast<int>(all_fine);
        });
    });
    print(done, given);
    return code;
}

int collect(const arguments& given) {
    const std::int64_t least_age = given.older_than.empty() ? 0 : parse_duration(given.older_than);
    int code = all_fine;
    table done = action_table();
    for (const cairn::segment_location& where : candidates(given, code)) {
        const segment_summary summary = summarize(where);
        if (!summary.facts) {
            // Not ours to judge; `rm -f` is for those.
            if (summary.state != "gone" && summary.state != "denied" && !given.output.names_only)
                write_hint(fmt::format("{} is left alone: {}; `shmctl rm -f` removes it", where.target,
                                       summary.note.empty() ? summary.state : summary.note));
            continue;
        }
        if (age_seconds(summary.facts->created_nanoseconds) < least_age) continue;
        // Nothing to do, and attaching would only disturb.
        if (summary.dead_count == 0 && summary.state != "orphan" && !summary.facts->is_retired) continue;
        try {
            const cairn::collect_result result = cairn::collect_segment(where, given.dry_run);
            const std::string note =
                summary.note.empty() ? "no living process" : "no living process, " + summary.note;
            if (result.is_removed)
                done.add(where.target,
                         {where.target, std::string(given.dry_run ? "would be removed" : "removed"), note});
            else if (result.forgotten_count != 0)
                done.add(where.target, {where.target, std::string(given.dry_run ? "would forget" : "forgot"),
                                        counted(result.forgotten_count, "dead process", "dead processes")});
        } catch (const cairn::no_such_segment&) {
            // Somebody else was faster.
        } catch (const std::exception& e) {
            code = std::max(code, report(e));
        }
    }
    print(done, given);
    if (code == all_fine && done.empty() && !given.output.as_json && !given.output.names_only)
        write_hint("nothing to collect");
    return code;
}

}  // namespace shmctl
