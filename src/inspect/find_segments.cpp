// find_segments.cpp - which segments there are: files of /dev/shm by name, memfds by the descriptors that /proc shows.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <charconv>
#include <set>
#include <utility>

#include "base/names.hpp"
#include "os/file.hpp"
#include "os/probe.hpp"
#include "segment/left_names.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;

namespace {

constexpr std::string_view file_prefix = "cairn.";
constexpr std::string_view memfd_prefix = "/memfd:cairn.";
constexpr std::string_view memfd_suffix = " (deleted)";

void fill_in(segment_location& where, const os::file_facts& facts) {
    where.device = static_cast<std::uint64_t>(facts.device);
    where.inode = static_cast<std::uint64_t>(facts.inode);
    where.file_bytes = facts.bytes;
    where.owner = facts.owner;
    where.mode = facts.mode & 07777;
}

void add_named(std::vector<segment_location>& found) {
    std::vector<std::string> names;
    if (const auto reason = os::list_directory(os::shm_directory(), names);
        reason && reason.value() != ENOENT) {
        throw permission_denied("look into " + os::shm_directory() + ": " + reason.message(), reason);
    }
    for (const std::string& file : names) {
        if (!file.starts_with(file_prefix) || file.size() == file_prefix.size()) continue;
        segment_location where;
        where.name = file.substr(file_prefix.size());
        where.target = where.name;
        where.path = os::shm_directory() + "/" + file;
        os::file_facts facts;
        if (os::describe(where.path, facts)) continue;  // gone meanwhile
        fill_in(where, facts);
        found.push_back(std::move(where));
    }
}

// The anonymous segment behind one descriptor of a process; false when it is something else.
bool look_at_descriptor(pid_t pid, const std::string& number, segment_location& where) {
    where = {};
    where.path = "/proc/" + std::to_string(pid) + "/fd/" + number;
    const std::string link = os::read_link(where.path);
    if (!link.starts_with(memfd_prefix) || !link.ends_with(memfd_suffix)) return false;
    where.name = link.substr(memfd_prefix.size(), link.size() - memfd_prefix.size() - memfd_suffix.size());
    if (where.name.empty()) return false;
    where.target = "pid:" + std::to_string(pid) + "/" + where.name;
    where.is_anonymous = true;
    where.pid = pid;
    os::unique_fd fd;
    os::file_facts facts;
    if (os::open_for_reading(where.path, true, fd) || os::describe(fd.get(), facts)) return false;
    fill_in(where, facts);
    return true;
}

// Each memfd once in `seen`, so with the lowest process when processes come in ascending order.
void add_anonymous_of(pid_t pid, std::set<std::pair<std::uint64_t, std::uint64_t>>& seen,
                      std::vector<segment_location>& found) {
    std::vector<std::string> numbers;
    if (os::list_directory("/proc/" + std::to_string(pid) + "/fd", numbers))
        return;  // gone, or not ours to look at
    for (const std::string& number : numbers) {
        segment_location where;
        if (number.front() == '.' || !look_at_descriptor(pid, number, where)) continue;
        if (seen.emplace(where.device, where.inode).second) found.push_back(std::move(where));
    }
}

segment_location locate_image(const std::string& path) {
    segment_location where;
    where.target = where.path = path;
    where.name = path.substr(path.rfind('/') == std::string::npos ? 0 : path.rfind('/') + 1);
    where.is_image = true;
    os::unique_fd fd;
    os::file_facts facts;
    const auto reason = os::open_for_reading(path, true, fd);
    if (reason && (reason.value() == EACCES || reason.value() == EPERM))
        throw permission_denied("open image '" + path + "': " + reason.message(), reason);
    if (reason || os::describe(fd.get(), facts))
        throw no_such_segment("open image '" + path + "': " + (reason ? reason.message() : "gone"), reason);
    fill_in(where, facts);
    return where;
}

segment_location locate_anonymous(std::string_view target) {
    const std::string_view rest = target.substr(4);
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + slash, pid);
    if (error != std::errc{} || end != rest.data() + slash || pid <= 0)
        throw invalid_name("segment '" + std::string(target) +
                           "': expected pid:PID/NAME, as `shmctl ls` prints it");
    const std::string_view name = slash < rest.size() ? rest.substr(slash + 1) : std::string_view();
    std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
    std::vector<segment_location> found;
    add_anonymous_of(pid, seen, found);
    std::erase_if(found, [&](const segment_location& where) { return !name.empty() && where.name != name; });
    if (found.size() == 1) return found.front();
    if (!found.empty()) {
        throw invalid_name("segment '" + std::string(target) + "': process " + std::to_string(pid) +
                           " has several that this can mean; say pid:PID/NAME");
    }
    throw no_such_segment("open anonymous segment '" + std::string(target) + "': process " +
                          std::to_string(pid) +
                          (os::program_of(pid).empty() ? " does not exist" : " has none of that name open"));
}

}  // namespace

std::vector<segment_location> find_segments(bool with_anonymous) {
    settle_left_names();
    std::vector<segment_location> found;
    add_named(found);
    if (with_anonymous) {
        std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
        for (const pid_t pid : os::all_processes()) add_anonymous_of(pid, seen, found);
    }
    std::sort(found.begin(), found.end(), [](const segment_location& a, const segment_location& b) {
        return a.is_anonymous != b.is_anonymous ? b.is_anonymous
               : a.pid != b.pid                 ? a.pid < b.pid
                                                : a.target < b.target;
    });
    return found;
}

segment_location locate_segment(std::string_view target) {
    if (target.starts_with("pid:")) return locate_anonymous(target);
    if (target.starts_with('/') || target.starts_with('.')) return locate_image(std::string(target));
    if (const std::string problem = segment_name_problem(target); !problem.empty())
        throw invalid_name("segment name '" + std::string(target) + "': " + problem);
    settle_left_names();
    segment_location where;
    where.name = where.target = std::string(target);
    where.path = os::shm_directory() + "/" + std::string(file_prefix) + where.name;
    os::file_facts facts;
    if (const auto reason = os::describe(where.path, facts)) {
        if (reason.value() == EACCES)
            throw permission_denied("open segment '" + where.name + "': " + reason.message(), reason);
        throw no_such_segment("open segment '" + where.name + "': no such segment", reason);
    }
    fill_in(where, facts);
    return where;
}

void use_segment_directory(const std::string& path) {
    if (!os::set_shm_directory(path))
        throw invalid_argument("look for segments in a directory: its path has " +
                               std::to_string(path.size()) + " bytes, more than the system takes");
}

}  // namespace cairn::inline CAIRN_ABI
