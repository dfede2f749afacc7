// parent_watch.hpp - how a daemon child notices that its parent process is gone.
//
// Not PR_SET_PDEATHSIG, which fires when the *thread* that forked ends. The parent opens a pidfd of itself before the
// fork; in the child a thread of its own waits for it to become readable, and then kills the child. That thread
// handles no signals and touches nothing of the program. exec() ends it, and with it the watch.
//
// The callable may close all descriptors, and the number may then be another file's. So what decides is whether the
// child has been given to another parent; the descriptor only makes that known at once, and without it the thread
// looks 20 times a second.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <system_error>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Called in the child: from now on it dies with its parent, at once if that is dead already.
///
/// @param parent        pidfd of the parent, opened by the parent before the fork; may be invalid
/// @param expected_pid  the parent's pid as the parent knows it
std::error_code die_with_parent(os::unique_fd parent, pid_t expected_pid) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
