// row_result.hpp - what a row of the crash table has covered, and what it has found.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace cairn_test {

struct checker_counts {
    std::uint64_t images = 0;           // distinct, of the operation, each recovered and checked
    std::uint64_t skipped_images = 0;   // beyond the limit
    std::uint64_t films = 0;            // of recoveries
    std::uint64_t recovery_images = 0;  // distinct, of recoveries, each recovered and checked
    std::uint64_t skipped_recovery_images = 0;

    checker_counts& operator+=(const checker_counts& other) noexcept;
};

struct row_result {
    std::string name;
    std::uint64_t instructions = 0;  // stepped; 0 where the stores alone were filmed
    std::uint64_t stores = 0;        // that changed the segment, each filmed
    checker_counts counts;
    std::uint64_t kills = 0;
    std::vector<double> waits;  // microseconds from a kill to the neighbour's finished operation
    double seconds = 0;
    std::vector<std::string> failures;
};

// Rows and checkers run in processes of their own: what they count travels as words (name and failures do not).
std::ostream& operator<<(std::ostream& words, const checker_counts& counts);
std::istream& operator>>(std::istream& words, checker_counts& counts);
std::ostream& operator<<(std::ostream& words, const row_result& result);
std::istream& operator>>(std::istream& words, row_result& result);

struct lab_settings {
    std::uint64_t seed = 0;
    bool full = false;
    bool step_all = false;        // every row by ptrace, rather than the share that the seed chooses
    std::uint64_t row_share = 1;  // one row in so many, which the seed chooses
    std::string only;             // rows whose name contains this; then all such
    static lab_settings from_environment();
};

}  // namespace cairn_test
