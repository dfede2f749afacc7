// python.hpp - Python's pools as peers, in a process of their own.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include "support/report.hpp"

namespace cairn_bench {

/// One figure of python_pools.py, in nanoseconds. Throws not_here where there is no python3, or it says no number.
double python_figure(const std::string& name, int count);

/// Registers it, in manual time; with a smaller count in a smoke run.
void add_python(const std::string& name, const std::string& python_name, int count, int count_of_smoke_run);

/// What a smoke run is to be told; main() says it before it adds benchmarks.
void set_smoke_run(bool is_one);
bool is_smoke_run();

}  // namespace cairn_bench
