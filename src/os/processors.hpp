// processors.hpp - what threads may run on.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// How many processors the system has online, as it was at the first call; at least 1. Not how many this process may use: one
/// that is bound to a processor may wait for one that is bound to another.
int processor_count() noexcept;

/// How many processors this process may use: those that the calling thread is bound to (affinity), but no more than the quota of its
/// control group and those around it, rounded up; at least 1. Asks the system each time: it reads some small files.
int usable_processor_count() noexcept;

/// The quota alone, rounded up, of what /proc/self/cgroup says and of the groups below `mounted`: cpu.max of version 2,
/// cpu.cfs_quota_us by cpu.cfs_period_us of version 1. 0: there is none. For tests.
int control_group_processors(const std::string& groups, const std::string& mounted);

/// Lets another thread run on this processor, if one wants to.
void yield_processor() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
