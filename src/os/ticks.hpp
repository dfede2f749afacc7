// ticks.hpp - a clock for what is measured often and read rarely.
//
// The processor's counter costs 30 ns where the steady clock costs 70 (two-core virtual machine), which counts beside a task that
// takes 200. Its rate is not asked for: who wants seconds keeps one instant of both clocks, and compares.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// The counter now. Where it does not run at one rate all the time (CPUID says so), the nanoseconds of the steady clock.
/// Processors may differ by little: a difference may come out below 0.
std::int64_t ticks() noexcept;

/// How long ticks are, by two instants that both clocks have seen.
class tick_rate {
public:
    tick_rate() noexcept;
    /// Later: seconds for each tick since this object was made; the longer ago, the more exact.
    [[nodiscard]] double seconds_per_tick() const noexcept;

private:
    std::int64_t ticks_;
    std::chrono::steady_clock::time_point time_;
};

}  // namespace cairn::inline CAIRN_ABI::detail::os
