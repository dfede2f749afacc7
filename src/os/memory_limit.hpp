// memory_limit.hpp - how much memory this process may use.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// The least memory limit of this process's control group and those around it (memory.max of cgroups(7) version 2,
/// memory.limit_in_bytes of version 1), as far as they are to be seen; the largest number when there is none. Asks the system once
/// in a process's life: it reads some small files.
std::uint64_t control_group_memory() noexcept;

/// The same, of what /proc/self/cgroup says and of the groups below `mounted`. For tests.
std::uint64_t control_group_memory(const std::string& groups, const std::string& mounted);

/// How many processes of this one's control group the kernel has killed for want of memory; 0 where it does not say.
std::uint64_t oom_kills() noexcept;
/// The same, of what memory.events of version 2 says.
std::uint64_t oom_kills_in(const std::string& events) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
