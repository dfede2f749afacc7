// pictures.hpp - what was there after a death, where both pictures that it may have are texts.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "support/crash/experiment.hpp"

namespace cairn_test {

inline outcome outcome_by(const std::string& found, const std::string& before, const std::string& after) {
    if (found == before) return before == after ? outcome::unchanged : outcome::before;
    if (found == after) return outcome::after;
    throw lab_failure("neither before nor after:\n" + found + "before:\n" + before + "after:\n" + after);
}

}  // namespace cairn_test
