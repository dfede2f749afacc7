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

}  // namespace cairn::inline CAIRN_ABI::detail::os
