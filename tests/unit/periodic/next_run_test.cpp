// next_run_test.cpp - when something periodic is due again, by each strategy.
// SPDX-License-Identifier: BSL-1.0
#include "periodic/next_run.hpp"

#include <chrono>
#include <ostream>

#include <doctest/doctest.h>

namespace next_run_test {

using namespace std::chrono_literals;
using cairn::strategy;
using cairn::detail::plan_next_run;
using cairn::detail::steady_time;

namespace {

constexpr steady_time at(std::chrono::nanoseconds time) {
    return steady_time(time);
}

struct planned {
    std::chrono::nanoseconds due;
    unsigned long skipped;
    friend bool operator==(const planned&, const planned&) = default;
    friend std::ostream& operator<<(std::ostream& to, const planned& p) {
        return to << p.due.count() << " ns, " << p.skipped << " skipped";
    }
};

planned next(strategy by, std::chrono::nanoseconds spacing, std::chrono::nanoseconds due,
             std::chrono::nanoseconds started, std::chrono::nanoseconds finished, double part = 0) {
    const auto n = plan_next_run(by, spacing, {at(due), at(started), at(finished)}, part);
    return {n.due.time_since_epoch(), n.skipped};
}

}  // namespace

TEST_CASE("last_started is one spacing after the start, also where that has passed") {
    CHECK(next(strategy::last_started, 1s, 1s, 1003ms, 1100ms) == planned{2003ms, 0});
    CHECK(next(strategy::last_started, 200ms, 200ms, 200ms, 500ms) == planned{400ms, 0});
    CHECK(next(strategy::last_started, 1s, 1s, 5500ms, 5500ms) == planned{6500ms, 4});
}

TEST_CASE("last_finished is one spacing after the end") {
    CHECK(next(strategy::last_finished, 200ms, 200ms, 200ms, 500ms) == planned{700ms, 0});
    CHECK(next(strategy::last_finished, 1s, 1s, 3s, 3s) == planned{4s, 2});
}

TEST_CASE("aligned_last_finished is at the next multiple of the spacing on the clock's own scale") {
    CHECK(next(strategy::aligned_last_finished, 1s, 2300ms, 2300ms, 2400ms) == planned{3s, 0});
    // A run that ends on a multiple waits for the next one, as futurist's.
    CHECK(next(strategy::aligned_last_finished, 1s, 2s, 2s, 3s) == planned{4s, 1});
    CHECK(next(strategy::aligned_last_finished, 1s, 2s, 2001ms, 5500ms) == planned{6s, 3});
    CHECK(next(strategy::aligned_last_finished, 1s, 2s, 6s, 6s) == planned{7s, 4});
    // Before the zero of the clock.
    CHECK(next(strategy::aligned_last_finished, 1s, -2500ms, -2500ms, -2400ms) == planned{-2s, 0});
    CHECK(next(strategy::aligned_last_finished, 1s, -3s, -3s, -3s) == planned{-2s, 0});
}

TEST_CASE("fixed_rate keeps to its instants, however late a run starts or ends") {
    CHECK(next(strategy::fixed_rate, 1s, 1s, 1s, 1s) == planned{2s, 0});
    CHECK(next(strategy::fixed_rate, 1s, 1s, 1900ms, 1950ms) == planned{2s, 0});
    // It ends at the next instant exactly: that one is not lost.
    CHECK(next(strategy::fixed_rate, 1s, 1s, 1s, 2s) == planned{2s, 0});
    CHECK(next(strategy::fixed_rate, 1s, 1s, 1s, 2001ms) == planned{3s, 1});
    CHECK(next(strategy::fixed_rate, 200ms, 200ms, 200ms, 500ms) == planned{600ms, 1});
}

TEST_CASE("fixed_rate makes one run of all that it has missed") {
    CHECK(next(strategy::fixed_rate, 1s, 1s, 5s, 5s) == planned{6s, 4});
    CHECK(next(strategy::fixed_rate, 1s, 1s, 5001ms, 5002ms) == planned{6s, 4});
    CHECK(next(strategy::fixed_rate, 1s, 1s, 5s, 6s) == planned{6s, 4});
}

TEST_CASE("jitter adds less than 5 percent of the spacing, and only where it is asked for") {
    for (const strategy by : {strategy::last_started, strategy::last_finished,
                              strategy::aligned_last_finished, strategy::fixed_rate}) {
        CHECK_FALSE(cairn::detail::has_jitter(by));
        CHECK(next(by, 1s, 1s, 1s, 1s, 0.5) == planned{2s, 0});
    }
    for (const strategy by : {strategy::last_started_jitter, strategy::last_finished_jitter,
                              strategy::aligned_last_finished_jitter}) {
        CHECK(cairn::detail::has_jitter(by));
        CHECK(next(by, 1s, 1s, 1s, 1s, 0) == planned{2s, 0});
        CHECK(next(by, 1s, 1s, 1s, 1s, 0.5) == planned{2025ms, 0});
        CHECK(next(by, 1s, 1s, 1s, 1s, 0.9999).due < 2050ms);
    }
}

TEST_CASE("what is due beyond the end of the clock is due at its end") {
    for (const strategy by : {strategy::last_started, strategy::last_finished,
                              strategy::aligned_last_finished, strategy::fixed_rate})
        CHECK(plan_next_run(by, std::chrono::nanoseconds::max(), {at(1s), at(2s), at(3s)}, 0).due ==
              steady_time::max());
    CHECK(cairn::detail::later_by(steady_time::max(), 1ns) == steady_time::max());
    CHECK(cairn::detail::later_by(steady_time::min(), 1s) == steady_time::min() + 1s);
}

TEST_CASE("who takes over goes on from the last run that was said, by the last instant that has passed") {
    const auto after = [](strategy by, std::chrono::nanoseconds from, std::chrono::nanoseconds now) {
        return cairn::detail::plan_after_take_over(by, 1s, at(from), at(now), 0).time_since_epoch();
    };
    for (const strategy by : {strategy::last_started, strategy::last_finished, strategy::fixed_rate}) {
        CHECK(after(by, 3100ms, 3200ms) == 4100ms);
        CHECK(after(by, 3100ms, 4100ms) == 4100ms);
        CHECK(after(by, 3100ms, 4200ms) == 4100ms);
        CHECK(after(by, 3100ms, 6s) == 5100ms);
    }
    CHECK(after(strategy::aligned_last_finished, 3100ms, 3200ms) == 4s);
    CHECK(after(strategy::aligned_last_finished, 3100ms, 6500ms) == 6s);
    // From another clock: it waits no longer than a spacing.
    CHECK(after(strategy::fixed_rate, 9000s, 5s) == 6s);
}

}  // namespace next_run_test
