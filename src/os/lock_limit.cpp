// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/os/lock_limit.hpp"

#include <algorithm>

namespace cairn::inline CAIRN_ABI::detail {

bool limited_wait::is_limit_over(steady_time now) const noexcept {
    return (limit_.stop != nullptr && limit_.stop->stop_requested()) ||
           (limit_.deadline != no_deadline && now >= limit_.deadline);
}

wait_end limited_wait::is_over() noexcept {
    if (!limit_.is_any()) return wait_end::none;
    const steady_time now = std::chrono::steady_clock::now();
    if (!begin_) {
        begin_ = now;
        is_late_ = is_limit_over(now);
    }
    if (is_late_ ? now - *begin_ >= lock_grace : is_limit_over(now)) return wait_end::limit;
    return now - *begin_ >= limit_.patience ? wait_end::patience : wait_end::none;
}

steady_time limited_wait::next_look(std::chrono::nanoseconds most) const noexcept {
    const steady_time now = std::chrono::steady_clock::now();
    const auto no_later = [&](std::chrono::nanoseconds end) {
        most = std::min(most, std::max(std::chrono::nanoseconds(0), end - (now - *begin_)));
    };
    // What is left of the patience, rather than its end, which may lie beyond the clock's.
    if (begin_ && limit_.patience != endless_patience) no_later(limit_.patience);
    if (is_late_) no_later(lock_grace);
    return is_late_ ? now + most : std::min(limit_.deadline, now + most);
}

std::chrono::nanoseconds limited_wait::so_far() const noexcept {
    return begin_ ? std::chrono::steady_clock::now() - *begin_ : std::chrono::nanoseconds(0);
}

}  // namespace cairn::inline CAIRN_ABI::detail
