// SPDX-License-Identifier: BSL-1.0
#include "os/processors.hpp"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <limits>
#include <new>
#include <string>
#include <system_error>

#include <sched.h>
#include <unistd.h>

#include "os/control_group.hpp"
#include "os/probe.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constinit std::atomic<int> known_count = 0;

// Reads a number and the blanks behind it; false for "max", "-1" and what is none.
bool read_number(const char*& at, const char* end, std::int64_t& number) noexcept {
    const auto [behind, error] = std::from_chars(at, end, number);
    if (error != std::errc() || number <= 0) return false;
    at = behind;
    while (at != end && (*at == ' ' || *at == '\n')) ++at;
    return true;
}

// Processors of a quota and a period as in "200000 100000"; `least` when that says none, or more.
int quota_in(const std::string& text, int least) noexcept {
    const char* at = text.data();
    const char* const end = at + text.size();
    std::int64_t quota = 0;
    std::int64_t period = 0;
    if (!read_number(at, end, quota) || !read_number(at, end, period)) return least;
    return static_cast<int>(std::min<std::int64_t>(least, quota / period + (quota % period != 0 ? 1 : 0)));
}

int bound_count() noexcept {
    cpu_set_t set;
    if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return processor_count();  // more than fit into the set
}

}  // namespace

int processor_count() noexcept {
    // relaxed: whoever finds none looks for itself
    int count = known_count.load(std::memory_order_relaxed);
    if (count != 0) return count;
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    count = online < 0 ? 2 : static_cast<int>(std::max(1L, online));  // not known: then there are several
    known_count.store(count, std::memory_order_relaxed);
    return count;
}

int control_group_processors(const std::string& groups, const std::string& mounted) {
    constexpr int no_quota = std::numeric_limits<int>::max();
    const control_group_folders folders = folders_of_control_group(groups, mounted, "cpu");
    int least = no_quota;
    for (const std::string& each : folders.version_2)
        least = quota_in(read_small_file(each + "/cpu.max"), least);
    for (const std::string& each : folders.version_1)
        least = quota_in(read_small_file(each + "/cpu.cfs_quota_us") + " " +
                             read_small_file(each + "/cpu.cfs_period_us"),
                         least);
    return least == no_quota ? 0 : least;
}

int usable_processor_count() noexcept {
    const int bound = bound_count();
    try {
        const int quota = control_group_processors(read_small_file("/proc/self/cgroup"), "/sys/fs/cgroup");
        return quota == 0 ? bound : std::min(bound, quota);
    } catch (const std::bad_alloc&) {
        return bound;
    }
}

void yield_processor() noexcept {
    ::sched_yield();
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
