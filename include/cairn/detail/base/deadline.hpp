// deadline.hpp - from a user's timeout or deadline, of any duration type and clock, to a point of the steady clock.
//
// Rule: no arithmetic on a user's times is done in the user's representation, which may overflow. It is done in long double
// nanoseconds, which hold every one of them.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>

namespace cairn::inline CAIRN_ABI::detail {

using steady_time = std::chrono::steady_clock::time_point;
using long_nanoseconds = std::chrono::duration<long double, std::nano>;

/// The deadlines of operations that do not wait at all (`try_` forms), of those whose limit has passed already, and of those
/// that wait for as long as it takes.
constexpr steady_time at_once = steady_time::min();
constexpr steady_time already_over = at_once + std::chrono::nanoseconds(1);
constexpr steady_time no_deadline = steady_time::max();

/// The instant `timeout` from now; the far end of the clock where the sum would overflow (duration::max() is a
/// customary "for ever"). Rounded up, so that a wait never ends early; zero, negative and NaN are now.
template <typename Rep, typename Period>
steady_time deadline_after(const std::chrono::duration<Rep, Period>& timeout) {
    const auto now = std::chrono::steady_clock::now();
    const long_nanoseconds nanoseconds = timeout;
    if (!(nanoseconds.count() > 0)) return now;
    const auto room = steady_time::max() - now;
    if (nanoseconds >= room) return steady_time::max();
    return now + std::chrono::ceil<std::chrono::nanoseconds>(nanoseconds);
}

/// As deadline_after(); `already_over` for zero, negative and NaN.
template <typename Rep, typename Period>
steady_time wait_limit(const std::chrono::duration<Rep, Period>& timeout) {
    return timeout > timeout.zero() ? deadline_after(timeout) : already_over;
}

/// From now until `time`; not above 0 once it has come.
template <typename Clock, typename Duration>
long_nanoseconds time_left(const std::chrono::time_point<Clock, Duration>& time) {
    return long_nanoseconds(time.time_since_epoch()) - long_nanoseconds(Clock::now().time_since_epoch());
}

/// Calls attempt(steady_time), which is true when it has succeeded and false when that time was up, until `time` of any clock has come.
/// Another clock than the steady one may be set meanwhile, so it is asked again. `is_stopped` ends it as well.
template <typename Clock, typename Duration, typename Stopped, typename Attempt>
auto attempt_until_time(const std::chrono::time_point<Clock, Duration>& time, const Stopped& is_stopped,
                        const Attempt& attempt) {
    for (;;) {
        auto result = attempt(wait_limit(time_left(time)));
        if (result || std::is_same_v<Clock, std::chrono::steady_clock> || is_stopped() ||
            !(time_left(time).count() > 0))
            return result;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
