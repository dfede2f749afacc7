// processors.hpp - what threads may run on.
#pragma once

namespace cairn::inline v0::detail::os {

/// How many processors this process may use, as it was at the first call; at least 1.
int usable_processor_count() noexcept;

/// Lets another thread run on this processor, if one wants to.
void yield_processor() noexcept;

}  // namespace cairn::inline v0::detail::os
