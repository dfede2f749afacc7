// orphans.hpp - what the first process of a pid namespace owes to processes whose parents have ended.
//
// The kernel gives it these as children. Whoever waits for nothing but its own leaves them as zombies until its end.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Whether orphans come to this process: it is the first one of its namespace.
bool is_first_process() noexcept;

/// Which orphans are zombies is not known, since the program's own children may be, too, until it waits for them. So only
/// those are reaped that nobody has waited for from one look to the next.
class orphan_reaper {
public:
    /// Not `except`. Cost: a system call for each process that /proc has; without /proc it does nothing.
    void look(pid_t except) noexcept;

private:
    std::vector<pid_t> seen_;
};

}  // namespace cairn::inline CAIRN_ABI::detail::os
