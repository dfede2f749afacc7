// report.hpp - what a suite has covered, as numbers that docs/crash-safety.md prints.
//
// With CAIRN_REPORT_DIR in the environment, report_figures("storm", {{"kills", 812}}) leaves DIR/storm.json there: one
// flat object of numbers. Without it nothing is written. Python tests do the same in models/checker.py, and
// `tools/dev figures` reads all of it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace cairn_test {

/// Keys are words joined by underscores, the unit last (wait_max_microseconds). Called again in the same process, it adds
/// to what the suite has reported: other keys join, equal ones are replaced. Throws std::runtime_error when the file
/// cannot be written, so that no figure is missing in silence.
void report_figures(const std::string& suite, const std::vector<std::pair<std::string, double>>& figures);

}  // namespace cairn_test
