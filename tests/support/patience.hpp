// patience.hpp - limits of time that grow with the machine, and waiting within them: on a busy or a slow one everything takes longer.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdlib>
#include <thread>

namespace cairn_test {

/// How many times as long as on an idle machine things may take: CAIRN_TEST_PATIENCE, which `tools/dev` measures before it
/// runs the tests; 1 unless told.
inline double patience() {
    static const double factor = [] {
        const char* given = std::getenv("CAIRN_TEST_PATIENCE");
        const double number = given != nullptr ? std::strtod(given, nullptr) : 1;
        return number > 1 ? number : 1;
    }();
    return factor;
}

/// A limit that turns a hang into a failure.
template <typename Rep, typename Period>
std::chrono::milliseconds patiently(std::chrono::duration<Rep, Period> limit) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(patience() * limit);
}

/// Looks again and again until `condition()`; false when that takes so long that something is wrong.
template <typename Condition>
bool eventually(const Condition& condition) {
    const auto limit = std::chrono::steady_clock::now() + patiently(std::chrono::seconds(20));
    while (!condition()) {
        if (std::chrono::steady_clock::now() > limit) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

}  // namespace cairn_test
