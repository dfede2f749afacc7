// time_limit.hpp - a limit of time in options: of any duration type, or none.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>

namespace cairn::inline CAIRN_ABI {

/// The longest time that something may take, of any std::chrono duration type. No limit where none is given; NaN is 0.
class time_limit {
public:
    constexpr time_limit() noexcept = default;
    template <typename Rep, typename Period>
    constexpr time_limit(
        const std::chrono::duration<Rep, Period>& time) noexcept {  // NOLINT(google-explicit-constructor)
        const std::chrono::duration<long double, std::nano> exact = time;
        if (exact >= std::chrono::nanoseconds::max()) return;
        nanoseconds_ = exact.count() > 0 ? std::chrono::ceil<std::chrono::nanoseconds>(exact)
                                         : std::chrono::nanoseconds(0);
    }
    [[nodiscard]] constexpr bool is_given() const noexcept {
        return nanoseconds_ != std::chrono::nanoseconds::max();
    }
    [[nodiscard]] constexpr std::chrono::nanoseconds nanoseconds() const noexcept { return nanoseconds_; }

private:
    std::chrono::nanoseconds nanoseconds_ = std::chrono::nanoseconds::max();
};

}  // namespace cairn::inline CAIRN_ABI
