// SPDX-License-Identifier: BSL-1.0
#include "targets.hpp"

#include <algorithm>
#include <charconv>

#include <fnmatch.h>
#include <sys/stat.h>

#include "output.hpp"
#include <cairn/error.hpp>

namespace shmctl {

namespace {

bool is_path(std::string_view text) {
    return text.starts_with('/') || text.starts_with('.');
}

// The shortest part of a path that is a file rather than a directory is the image; what follows is the object.
std::size_t end_of_image(const std::string& path) {
    for (std::size_t slash = path.find('/', 1); slash != std::string::npos;
         slash = path.find('/', slash + 1)) {
        struct stat status = {};
        if (::stat(path.substr(0, slash).c_str(), &status) == 0 && !S_ISDIR(status.st_mode)) return slash;
    }
    return path.size();
}

// Nothing where a bound should be; false where it is no number.
bool parse_bound(std::string_view text, std::optional<std::int64_t>& bound) {
    if (text.empty()) return true;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bound.emplace(0));
    return error == std::errc{} && end == text.data() + text.size();
}

std::optional<subscript> parse_subscript(std::string_view inside) {
    subscript at;
    const std::size_t colon = inside.find(':');
    at.is_slice = colon != std::string_view::npos;
    if (!parse_bound(inside.substr(0, colon), at.first)) return std::nullopt;
    if (at.is_slice && !parse_bound(inside.substr(colon + 1), at.last)) return std::nullopt;
    if (!at.is_slice && !at.first) return std::nullopt;
    return at;
}

bool matches(const std::string& pattern, const std::string& name) {
    return ::fnmatch(pattern.c_str(), name.c_str(), FNM_NOESCAPE) == 0;
}

std::vector<std::string> names_of(const std::vector<cairn::segment_location>& all) {
    std::vector<std::string> names;
    for (const cairn::segment_location& each : all) names.push_back(each.target);
    return names;
}

}  // namespace

void throw_subscript(const std::string& target) {
    throw failure(wrong_usage,
                  "target '" + printable(target) +
                      "': expected [INDEX] or [FIRST:LAST] behind the object, or [KEY] behind a dict",
                  "for example `shmctl get jobs/results[3]` or `shmctl get 'jobs/results[10:20]'`");
}

bool is_glob(std::string_view text) {
    return text.find_first_of("*?[") != std::string_view::npos;
}

target parse_target(const std::string& text) {
    target parsed;
    parsed.text = text;
    if (text.empty()) throw failure(wrong_usage, "a target is empty", "`shmctl ls` shows what there is");
    std::size_t slash = text.find('/');
    if (is_path(text)) slash = end_of_image(text);
    else if (text.starts_with("pid:") && slash != std::string::npos) slash = text.find('/', slash + 1);
    parsed.segment = text.substr(0, slash);
    if (slash == std::string::npos || slash == text.size()) return parsed;
    std::string object = text.substr(slash + 1);
    if (object.ends_with(']')) {
        const std::size_t bracket = object.find('[');  // names have none
        if (bracket == std::string::npos) throw_subscript(text);
        parsed.key = object.substr(bracket + 1, object.size() - bracket - 2);
        parsed.at = parse_subscript(*parsed.key);
        object.resize(bracket);
    }
    if (parsed.key && (object.empty() || parsed.key->empty())) throw_subscript(text);
    if (!object.empty()) parsed.object = object;  // "jobs/" is jobs
    return parsed;
}

std::vector<cairn::segment_location> find_targets(const target& wanted) {
    std::string reason;  // what the library knows beyond that it is not there
    try {
        return {cairn::locate_segment(wanted.segment)};
    } catch (const cairn::no_such_segment& e) {
        const std::string text = e.what();
        if (is_path(wanted.segment))
            throw failure(not_found, text,
                          "with a '/' or '.' in front it is the path of a saved image; `shmctl ls` shows the "
                          "segments");
        if (wanted.segment.starts_with("pid:") && !is_glob(wanted.segment))
            reason = text.substr(std::min(text.find("': ") + 1, text.size()));
    } catch (const cairn::invalid_name& e) {
        if (!is_glob(wanted.segment)) throw;
    }
    const std::vector<cairn::segment_location> all = cairn::find_segments();
    std::vector<cairn::segment_location> found;
    if (is_glob(wanted.segment))
        for (const cairn::segment_location& each : all)
            if (matches(wanted.segment, each.target)) found.push_back(each);
    if (found.empty()) {
        throw failure(not_found,
                      "no segment '" + printable(wanted.segment) + "'" + reason +
                          did_you_mean(wanted.segment, names_of(all)),
                      all.empty() ? "there are no segments at all" : "`shmctl ls` shows all segments");
    }
    return found;
}

std::vector<std::string> find_objects(const cairn::inspection& segment, const target& wanted) {
    std::vector<std::string> all;
    for (const cairn::object_facts& each : segment.objects(false)) all.push_back(each.name);
    if (!wanted.object) return all;
    std::vector<std::string> found;
    for (const std::string& name : all)
        if (name == *wanted.object) return {name};
    if (is_glob(*wanted.object))
        for (const std::string& name : all)
            if (matches(*wanted.object, name)) found.push_back(name);
    if (found.empty()) {
        const std::string& in = segment.location().target;
        throw failure(not_found,
                      "no object '" + printable(*wanted.object) + "' in segment '" + printable(in) + "'" +
                          did_you_mean(*wanted.object, all),
                      all.empty() ? "the segment has no objects"
                                  : "`shmctl ls " + in + "` shows its objects");
    }
    return found;
}

}  // namespace shmctl
