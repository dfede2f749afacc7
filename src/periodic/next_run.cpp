// SPDX-License-Identifier: BSL-1.0
#include "periodic/next_run.hpp"

#include <algorithm>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr double most_jitter = 0.05;  // futurist's

// Whole spacings before `time`, on the clock's own scale; negative before its zero.
std::int64_t multiples_until(steady_time time, std::chrono::nanoseconds spacing) noexcept {
    const std::int64_t at = time.time_since_epoch().count();
    const std::int64_t each = spacing.count();
    return at / each - (at % each < 0 ? 1 : 0);
}

// 0 where `to` is before `from`. Differences of a clock's times fit: it starts near 0.
std::int64_t whole_spacings(steady_time from, steady_time to, std::chrono::nanoseconds spacing) noexcept {
    return to <= from ? 0 : (to - from) / spacing;
}

}  // namespace

steady_time later_by(steady_time time, std::chrono::nanoseconds by) noexcept {
    return by > steady_time::max() - std::max(time, steady_time{}) ? steady_time::max() : time + by;
}

bool has_jitter(strategy by) noexcept {
    return by == strategy::last_started_jitter || by == strategy::last_finished_jitter ||
           by == strategy::aligned_last_finished_jitter;
}

bool counts_from_start(strategy by) noexcept {
    return by == strategy::last_started || by == strategy::last_started_jitter;
}

next_run plan_next_run(strategy by, std::chrono::nanoseconds spacing, const run_times& last,
                       double part) noexcept {
    const std::int64_t before_start = whole_spacings(last.due, last.started, spacing);
    const auto skipped = [](std::int64_t count) { return static_cast<std::uint64_t>(count); };
    const std::chrono::nanoseconds jitter =
        has_jitter(by) ? std::chrono::duration_cast<std::chrono::nanoseconds>(most_jitter * part * spacing)
                       : std::chrono::nanoseconds(0);
    switch (by) {
        case strategy::last_finished:
        case strategy::last_finished_jitter:
            return {later_by(later_by(last.finished, spacing), jitter), skipped(before_start)};
        case strategy::aligned_last_finished:
        case strategy::aligned_last_finished_jitter: {
            const std::int64_t passed = multiples_until(last.finished, spacing);
            const steady_time aligned = later_by(steady_time(passed * spacing), spacing);
            const std::int64_t while_running =
                std::max<std::int64_t>(0, passed - multiples_until(last.started, spacing));
            return {later_by(aligned, jitter), skipped(before_start + while_running)};
        }
        case strategy::fixed_rate: {
            // The first of due + k * spacing that is after the start and not before the end: an instant that was overdue
            // when the run started belongs to that run.
            const std::int64_t until_end = whole_spacings(last.due, last.finished, spacing);
            const bool ends_between = last.finished > last.due &&
                                      (last.finished - last.due) % spacing != std::chrono::nanoseconds(0);
            const std::int64_t steps = std::max(before_start + 1, until_end + (ends_between ? 1 : 0));
            return {later_by(last.due, steps * spacing), skipped(steps - 1)};
        }
        case strategy::last_started:
        case strategy::last_started_jitter: break;
    }
    return {later_by(later_by(last.started, spacing), jitter), skipped(before_start)};
}

steady_time plan_after_take_over(strategy by, std::chrono::nanoseconds spacing, steady_time from,
                                 steady_time now, double part) noexcept {
    // Of another clock, or damaged.
    if (from > now) return later_by(now, spacing);
    const steady_time next = plan_next_run(by, spacing, {from, from, from}, part).due;
    if (next > now) return next;
    return next + whole_spacings(next, now, spacing) * spacing;
}

}  // namespace cairn::inline CAIRN_ABI::detail
