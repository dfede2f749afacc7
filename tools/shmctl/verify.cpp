// verify.cpp - verify: does every invariant hold?
// SPDX-License-Identifier: BSL-1.0
#include <fmt/format.h>

#include "verbs.hpp"
#include "words.hpp"
#include <cairn/error.hpp>

namespace shmctl {

int verify(const arguments& given) {
    if (given.targets.empty())
        throw failure(wrong_usage, "verify what?", "for example `shmctl verify jobs` or `shmctl verify '*'`");
    table results({{"SEGMENT", "segment"},
                   {"RESULT", "result"},
                   {"OBJECTS", "object_count", style::count},
                   {"ITEMS", "item_count", style::count},
                   {"PAGES", "page_count", style::count},
                   {"PROBLEMS", "problems", style::list},
                   {"BUSY", "busy", style::list, true},
                   {"NOTES", "notes", style::list, true}});
    std::string lines;
    const auto add_lines = [&](const std::string& segment, const std::vector<std::string>& all) {
        for (const std::string& each : all) lines += printable(fmt::format("{}: {}", segment, each)) + '\n';
    };
    const int code = for_each_target(given.targets, [&](const std::string& text) {
        const target wanted = parse_target(text);
        if (wanted.object)
            throw failure(wrong_usage, "verify takes segments, and '" + text + "' is an object",
                          "verify the segment: `shmctl verify " + wanted.segment + "`");
        return for_each_segment(wanted, [&](const cairn::segment_location& where) {
            cairn::verification found;
            try {
                cairn::verify_options options;
                options.deep = given.deep;
                found = cairn::inspection(where).verify(options);
            } catch (const cairn::corrupt_segment& e) {
                results.add(where.target, {where.target, std::string("unreadable"), unknown{}, unknown{},
                                           unknown{}, std::vector<std::string>{e.what()},
                                           std::vector<std::string>{}, std::vector<std::string>{}});
                return report(e);
            }
            const char* result = !found.problems.empty() ? "problems"
                                 : !found.busy.empty()   ? "busy"
                                                         : "clean";
            results.add(where.target,
                        {where.target, std::string(result), found.object_count, found.item_count,
                         found.page_count, found.problems, found.busy, found.notes});
            add_lines(where.target, found.problems);
            add_lines(where.target, found.busy);
            if (!given.output.as_json)
                for (const std::string& note : found.notes) write_hint(where.target + ": " + note);
            if (!found.problems.empty()) return static_cast<int>(problems_found);
            return static_cast<int>(found.busy.empty() ? all_fine : busy);
        });
    });
    if (given.output.as_json) {
        if (!results.empty()) write_out(dump({{"segments", results.as_json()}}));
        return code;
    }
    if (!results.empty()) write_out(results.text(given.output));
    if (!given.output.names_only) write_out(lines);
    return code;
}

}  // namespace shmctl
