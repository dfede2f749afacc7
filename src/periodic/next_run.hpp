// next_run.hpp - when something periodic is due again: the arithmetic of the strategies, without clocks and threads.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/periodic.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// One run, on the worker's clock.
struct run_times {
    steady_time due;
    steady_time started;
    steady_time finished;
};

struct next_run {
    steady_time due;
    std::uint64_t skipped;  // instants between the two runs
};

/// `part` is random, from 0 up to 1, for the strategies with jitter. Never before the run has started; may be before it has ended.
next_run plan_next_run(strategy by, std::chrono::nanoseconds spacing, const run_times& last,
                       double part) noexcept;

/// Of whoever takes over at `now`, where the runs before were counted from `from`. Of the instants that have passed the last one, which is
/// run at once; none beyond one spacing from now, whatever clock `from` is of.
steady_time plan_after_take_over(strategy by, std::chrono::nanoseconds spacing, steady_time from,
                                 steady_time now, double part) noexcept;

[[nodiscard]] bool has_jitter(strategy by) noexcept;
/// Whether the next run is counted from the start of the last one; else from its end, or, with fixed_rate, from when it was due.
[[nodiscard]] bool counts_from_start(strategy by) noexcept;

/// The far end of the clock where the sum would overflow.
steady_time later_by(steady_time time, std::chrono::nanoseconds by) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
