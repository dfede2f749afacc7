// processors.hpp - what threads may run on.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// How many processors the system has online, as it was at the first call; at least 1. Not how many this process may use: one
/// that is bound to a processor may wait for one that is bound to another.
int processor_count() noexcept;

/// Lets another thread run on this processor, if one wants to.
void yield_processor() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
