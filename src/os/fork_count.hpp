// fork_count.hpp - whether children that were forked are still on their way to the library's fork handler.
//
// A child counts as a user of its parent's segments once its fork handler has registered it. A parent that forks and
// leaves at once would else find itself the last user, and take the segment's name away from the child.
//
// A family of processes has one count, in memory that all forked from the first one share: a child may fork and end
// before its parent looks. Children made by _Fork run no handlers, and are not counted.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Begins to count, unless this process belongs to a family that does. False when the system gives no page for it.
bool begin_fork_count() noexcept;

/// Before a fork. One that fails is counted, too: nobody arrives from it.
void count_fork() noexcept;
/// In the child, once it is registered.
void count_arrival() noexcept;

/// Those that `forker` has forked, and that are on their way, will not arrive: all its children have ended, and it forks none meanwhile.
void forget_forks_of(pid_t forker) noexcept;

/// Whether this process has forked, or tried to, since it was forked itself.
[[nodiscard]] bool has_forked() noexcept;

[[nodiscard]] bool has_forks_on_their_way() noexcept;
/// Returns when all forked children have arrived, or after `longest`; those that are missing then are not waited for
/// again, and not counted when they arrive after all.
/// Where all that are missing were forked by this process, `may_arrive` is asked now and then; once it says no, none of them is
/// waited for any more: a fork may have failed, and a child been killed before its first instruction.
void wait_for_arrivals(std::chrono::milliseconds longest, bool (*may_arrive)(const void* context) noexcept,
                       const void* context) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
