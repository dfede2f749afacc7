// laboratory.hpp - the crash laboratory: runs the rows of a table, and says what it has covered.
//
// For each row: a victim goes through the operation, and the segment is filmed (film.hpp), one frame for each store that
// changes it. Two cameras see the same: write_trap.hpp stops at the stores; ptrace steps through every instruction
// (victim.hpp), some twenty times as long, and also sees what the kernel might write. The second films a share of the rows
// that the seed chooses, and what the first cannot: segments that come and go. Every distinct image is given to a survivor
// and to a newcomer, who recover it by ordinary use; the survivor's recovery is filmed in turn, and each of its images
// recovered and checked (checker.hpp). Some victims are really killed, with somebody blocked on the lock (real_kill.hpp).
// Of the rows one in three is run, which the seed chooses: so every commit runs others.
//
// Environment   CAIRN_CRASH_SEED     chooses what a run that does not do everything does; a number
//               CAIRN_FULL=1         everything
//               CAIRN_CRASH_STEP_ALL=1  every row, and each of them stepped
//               CAIRN_CRASH_ROWS     only rows whose name contains this
//               CAIRN_REPORT_DIR     a folder for the totals (report.hpp)
//               CAIRN_CRASH_LIST     only says what the rows cover, and runs none
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/crash/checker.hpp"
#include "support/crash/experiment.hpp"
#include "support/crash/row_result.hpp"

namespace cairn_test {

/// Runs the chosen rows, on as many processors as there are (at most two). Prints a line for each.
std::vector<row_result> run_table(const experiment_table& table, const lab_settings& settings);

/// Prints "covers list::push_back" and the like, for each row: check_crash_coverage.py reads it.
void list_table(const experiment_table& table);

/// One row, in this process and its children.
row_result run_row(const experiment& what, const lab_settings& settings);

/// Films an operation, as a stepped victim goes through it. `thread` is set to the victim's.
film film_by_stepping(const experiment& what, std::uint32_t& thread);

/// The same, at the stores alone. Where can_trap_writes().
film film_by_stores(const experiment& what, std::uint32_t& thread);

/// Films what a survivor does first with an image, in a stepped child: some thousand times as slow as write_trap.hpp.
film film_recovery_by_stepping(const experiment& what, const segment_image& healthy,
                               const segment_image& image, approach how, std::uint32_t& thread);

/// Prints totals, and the distribution of the waits; reports them (report.hpp).
void report_totals(const std::vector<row_result>& results, std::size_t rows_of_table, double seconds);

}  // namespace cairn_test
