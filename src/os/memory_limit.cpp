// SPDX-License-Identifier: BSL-1.0
#include "os/memory_limit.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <limits>
#include <new>
#include <string_view>

#include "os/control_group.hpp"
#include "os/probe.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

std::uint64_t limit_in(const std::string& file) {
    const std::string text = read_small_file(file);
    std::uint64_t limit = no_limit;
    // "max" is no number.
    return std::from_chars(text.data(), text.data() + text.size(), limit).ec == std::errc() ? limit
                                                                                            : no_limit;
}

}  // namespace

std::uint64_t control_group_memory(const std::string& groups, const std::string& mounted) {
    const control_group_folders folders = folders_of_control_group(groups, mounted, "memory");
    std::uint64_t least = no_limit;
    for (const std::string& each : folders.version_2) least = std::min(least, limit_in(each + "/memory.max"));
    for (const std::string& each : folders.version_1)
        least = std::min(least, limit_in(each + "/memory.limit_in_bytes"));
    return least;
}

std::uint64_t control_group_memory() noexcept {
    static constinit std::atomic<std::uint64_t> known = 0;
    // relaxed: a number of its own; two threads that ask at once find the same
    if (const std::uint64_t limit = known.load(std::memory_order_relaxed); limit != 0) return limit;
    std::uint64_t limit = no_limit;
    try {
        limit = std::max<std::uint64_t>(
            1, control_group_memory(read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup"));
    } catch (const std::bad_alloc&) {
        return no_limit;
    }
    known.store(limit, std::memory_order_relaxed);
    return limit;
}

std::uint64_t oom_kills_in(const std::string& events) noexcept {
    constexpr std::string_view key = "oom_kill ";
    for (std::size_t at = 0; at < events.size();) {
        const std::size_t end = std::min(events.find('\n', at), events.size());
        const std::string_view line(events.data() + at, end - at);
        std::uint64_t count = 0;
        if (line.starts_with(key)) {
            std::from_chars(line.data() + key.size(), line.data() + line.size(), count);
            return count;
        }
        at = end + 1;
    }
    return 0;
}

std::uint64_t oom_kills() noexcept {
    try {
        const control_group_folders folders =
            folders_of_control_group(read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup", "memory");
        return folders.version_2.empty()
                   ? 0
                   : oom_kills_in(read_small_file(folders.version_2.front() + "/memory.events"));
    } catch (const std::bad_alloc&) {
        return 0;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
