// patience.hpp - limits of time that grow with the machine: on a busy or a slow one everything takes longer.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdlib>

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

}  // namespace cairn_test
