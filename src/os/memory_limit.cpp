// SPDX-License-Identifier: BSL-1.0
#include "os/memory_limit.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <limits>
#include <new>

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

// Of a group and all around it.
std::uint64_t least_limit(const std::string& root, std::string group, const char* file) {
    std::uint64_t least = no_limit;
    for (;;) {
        least = std::min(least, limit_in(root + group + "/" + file));
        const std::size_t parent = group.rfind('/');
        if (group.empty() || parent == std::string::npos) return least;
        group.resize(parent);
    }
}

}  // namespace

std::uint64_t control_group_memory(const std::string& groups, const std::string& mounted) {
    std::uint64_t least = no_limit;
    // Lines like "0::/user.slice" (version 2) and "4:memory:/user.slice" (version 1).
    for (std::size_t begin = 0; begin < groups.size();) {
        const std::size_t end = std::min(groups.find('\n', begin), groups.size());
        const std::string line = groups.substr(begin, end - begin);
        begin = end + 1;
        const std::size_t first = line.find(':');
        const std::size_t second = first == std::string::npos ? first : line.find(':', first + 1);
        if (second == std::string::npos) continue;
        const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
        const std::string group = line.substr(second + 1);
        if (controllers == ",,") least = std::min(least, least_limit(mounted, group, "memory.max"));
        else if (controllers.find(",memory,") != std::string::npos)
            least = std::min(least, least_limit(mounted + "/memory", group, "memory.limit_in_bytes"));
    }
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

}  // namespace cairn::inline CAIRN_ABI::detail::os
