// program.hpp - runs another program the way a user does, and keeps what it wrote and how it ended.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

namespace cairn_test {

struct program_result {
    int code = 0;     // exit code, or minus the signal that ended it; -1000: killed by the watchdog
    std::string out;  // of a terminal: both
    std::string err;
};
std::ostream& operator<<(std::ostream& to, const program_result& r);

struct program_options {
    std::string input = {};                     // for its stdin
    std::vector<std::string> environment = {};  // "NAME=VALUE", beside what this process has
    bool on_terminal = false;                   // stdin, stdout and stderr are a terminal of 100 columns
    std::function<void()> before_exec = [] {};  // in the child; _exit there says that it could not
};

/// `arguments[0]` is the path of the program. Waits for its end.
program_result run_program(const std::vector<std::string>& arguments, const program_options& options = {});

}  // namespace cairn_test
