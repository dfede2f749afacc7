// worker_output.hpp - what a service's worker writes to stdout and stderr: each line by one write, so that lines of several processes
// do not mix.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Of stdio and of std::cout, cerr, clog. A `prefix` that is not empty stands before each line. Text without the end of its line is
/// written when that comes, or at the process's end (stdout: also when it is flushed). Before other threads are there.
void write_whole_lines(const std::string& prefix);

}  // namespace cairn::inline CAIRN_ABI::detail
