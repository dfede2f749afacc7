#include "os/processors.hpp"

#include <algorithm>

#include <sched.h>

namespace cairn::inline v0::detail::os {

namespace {

int count_processors() noexcept {
    cpu_set_t usable;
    CPU_ZERO(&usable);
    // More processors than the set has room for: then there are several.
    if (::sched_getaffinity(0, sizeof usable, &usable) != 0) return 2;
    return std::max(1, CPU_COUNT(&usable));
}

}  // namespace

int usable_processor_count() noexcept {
    static const int count = count_processors();
    return count;
}

void yield_processor() noexcept {
    ::sched_yield();
}

}  // namespace cairn::inline v0::detail::os
