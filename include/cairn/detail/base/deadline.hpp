// deadline.hpp - from a user's timeout, of any duration type, to a point of the steady clock.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

using steady_time = std::chrono::steady_clock::time_point;

/// The instant `timeout` from now; the far end of the clock where the sum would overflow (duration::max() is a
/// customary "for ever"). Rounded up, so that a wait never ends early; zero, negative and NaN are now.
template <typename Rep, typename Period>
steady_time deadline_after(const std::chrono::duration<Rep, Period>& timeout) {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<long double, std::nano> nanoseconds = timeout;
    if (!(nanoseconds.count() > 0)) return now;
    const auto room = steady_time::max() - now;
    if (nanoseconds >= room) return steady_time::max();
    return now + std::chrono::ceil<std::chrono::nanoseconds>(nanoseconds);
}

}  // namespace cairn::inline CAIRN_ABI::detail
