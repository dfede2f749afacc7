// fork_count.hpp - whether children that this process has forked are still on their way to the library's fork handler.
//
// A child counts as a user of its parent's segments once its fork handler has registered it. A parent that forks and
// leaves at once would else find itself the last user, and take the segment's name away from the child.
#pragma once

#include <chrono>

namespace cairn::inline v0::detail::os {

/// Begins to count; again in each forked child, for its own children. False when the system gives no page for it.
bool renew_fork_count() noexcept;

/// Before a fork. One that fails is counted, too: nobody arrives from it.
void count_fork() noexcept;
/// In the child, once it is registered and before renew_fork_count().
void count_arrival() noexcept;

/// Returns when all forked children have arrived, or there are no children who could, or after `longest`; what is missing
/// then is not waited for again.
void wait_for_arrivals(std::chrono::milliseconds longest) noexcept;

}  // namespace cairn::inline v0::detail::os
