#include "os/processors.hpp"

#include <algorithm>

#include <sched.h>
#include <unistd.h>

namespace cairn::inline v0::detail::os {

int processor_count() noexcept {
    // Not known: then there are several.
    static const long count = ::sysconf(_SC_NPROCESSORS_ONLN);
    return count < 0 ? 2 : static_cast<int>(std::max(1L, count));
}

void yield_processor() noexcept {
    ::sched_yield();
}

}  // namespace cairn::inline v0::detail::os
