// SPDX-License-Identifier: BSL-1.0
#include "os/ticks.hpp"

#include <chrono>
#include <thread>

#include <doctest/doctest.h>

namespace ticks_test {

using namespace cairn::detail;

TEST_CASE("ticks grow with time, and their rate turns them into seconds") {
    const os::tick_rate rate;
    const auto begin = std::chrono::steady_clock::now();
    const std::int64_t first = os::ticks();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    const std::int64_t second = os::ticks();
    const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - begin;
    const double measured = static_cast<double>(second - first) * rate.seconds_per_tick();
    CHECK(measured >= 0.0199);
    CHECK(measured <= passed.count() * 1.1);
}

}  // namespace ticks_test
