// control_group.hpp - where the kernel says what a process's control group may use.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Folders of a control group and those around it, innermost first.
struct control_group_folders {
    std::vector<std::string> version_2;
    std::vector<std::string> version_1;  // of the one controller
};

/// @param groups      what /proc/self/cgroup says: lines like "0::/user.slice" (version 2) and "4:memory:/user.slice" (version 1)
/// @param mounted     where the groups are, "/sys/fs/cgroup"
/// @param controller  "memory", "cpu"
control_group_folders folders_of_control_group(const std::string& groups, const std::string& mounted,
                                               std::string_view controller);

}  // namespace cairn::inline CAIRN_ABI::detail::os
