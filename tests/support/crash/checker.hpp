// checker.hpp - asks of every image of a film, and of every image of its recovery, what DESIGN.md promises.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "support/crash/row_result.hpp"
#include "support/crash/subject.hpp"

namespace cairn_test {

/// How much of a row is looked at. What is beyond a limit is left out evenly, and other seeds leave out other parts.
struct thoroughness {
    static constexpr std::uint64_t no_limit = ~std::uint64_t{0};

    bool every_approach = false;           // else one for each image, in turn
    std::uint64_t most_images = no_limit;  // those that differ in structure come first, see image_identity
    std::uint64_t most_films = no_limit;   // of recoveries
    std::uint64_t most_recovery_images = no_limit;
    std::uint64_t seed = 0;
};

/// Where a checker is: shared with whoever watches it.
struct checker_progress {
    std::atomic<std::uint64_t> count{0};
    std::atomic<std::uint32_t> next_frame{0};
    char where[200] = {};
};

/// Checks the frames from `first_frame` on. `thread` is the victim's. Failures are reported, and it goes on behind them.
/// Runs in a process of its own, which may hang or die of what it finds.
void check_film(const experiment& what, const film& of, std::uint32_t thread, const thoroughness& how,
                checker_progress& progress, checker_counts& counts,
                const std::function<void(const std::string&)>& report);

}  // namespace cairn_test
