// crew.hpp - a process of a storm: what it does until somebody kills it, or it has a mishap.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "support/storm/journal.hpp"
#include "support/storm/storm.hpp"
#include <cairn/detail/segment/segment.hpp>

namespace cairn_test {

/// What all processes of a storm see.
struct storm_weather {
    std::atomic<bool> over{false};        // no further operation
    std::atomic<std::uint64_t> moves{0};  // operations begun; stands still when somebody hangs
    std::atomic<std::uint64_t> mishaps{0};
    std::atomic<std::uint64_t> forks{0};
    std::atomic<bool> has_problem{false};
    char problem[1000] = {};  // the first one
    storm_tally tally;        // written by the one who looks afterwards

    void report(const std::string& what) noexcept;
};

struct crew_plan {
    const std::vector<storm_row>* rows;
    storm_options options;
    std::string segment_name;              // by_name
    cairn::detail::segment_ptr inherited;  // else
    std::string directory;                 // to be in when core is dumped
    std::uint64_t seed = 0;
    const journal_book* book = nullptr;
    storm_weather* weather = nullptr;
};

/// The storm's segment, in a child.
cairn::detail::segment_ptr attach_to_storm(const crew_plan& plan);
std::vector<std::unique_ptr<storm_object>> join_rows(const std::vector<storm_row>& rows,
                                                     const cairn::manager& m);

/// In a child: works until the weather is over, and ends.
[[noreturn]] void live_in_storm(const crew_plan& plan);

/// Whether core dumps of this system are files in the current directory, which can be found and removed.
bool cores_are_local();

}  // namespace cairn_test
