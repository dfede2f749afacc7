// SPDX-License-Identifier: BSL-1.0
#include "os/processors.hpp"

#include <algorithm>
#include <atomic>

#include <sched.h>
#include <unistd.h>

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constinit std::atomic<int> known_count = 0;

}  // namespace

int processor_count() noexcept {
    // relaxed: whoever finds none looks for itself
    int count = known_count.load(std::memory_order_relaxed);
    if (count != 0) return count;
    const long online = ::sysconf(_SC_NPROCESSORS_ONLN);
    count = online < 0 ? 2 : static_cast<int>(std::max(1L, online));  // not known: then there are several
    known_count.store(count, std::memory_order_relaxed);
    return count;
}

void yield_processor() noexcept {
    ::sched_yield();
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
