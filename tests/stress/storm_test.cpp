// storm_test.cpp - random work on shared objects while processes are killed, every few milliseconds, in every way there is.
// How long: support/storm/storm.hpp.
//
// SPDX-License-Identifier: BSL-1.0
#include "support/storm/storm.hpp"

#include <doctest/doctest.h>

#include "channel_storm.hpp"
#include "keyed_storm.hpp"
#include "list_storm.hpp"
#include "queue_storm.hpp"
#include "support/report.hpp"
#include "support/scratch.hpp"

using namespace cairn_test;

namespace {

// Of all storms of this run together.
void report(const storm_tally& tally) {
    static storm_tally all;
    all.kills += tally.kills + tally.aborts;
    all.operations += tally.operations;
    all.in_flight += tally.in_flight;
    all.recoveries += tally.recoveries + tally.segment_recoveries;
    const auto number = [](std::uint64_t n) { return static_cast<double>(n); };
    report_figures("storm", {{"kills", number(all.kills)},
                             {"operations", number(all.operations)},
                             {"in_flight", number(all.in_flight)},
                             {"recoveries", number(all.recoveries)}});
}

std::vector<storm_row> all_rows() {
    std::vector<storm_row> rows = list_storm_rows();
    for (storm_row& each : keyed_storm_rows()) rows.push_back(std::move(each));
    for (storm_row& each : queue_storm_rows()) rows.push_back(std::move(each));
    for (storm_row& each : channel_storm_rows()) rows.push_back(std::move(each));
    return rows;
}

storm_tally storm(const std::string& title, const storm_options& options, double share) {
    const storm_tally tally = run_storm(title, all_rows(), options, storm_time(share));
    REQUIRE(std::string(tally.problem) == "");
    report(tally);
    // What did not blow was no storm.
    CHECK(tally.kills > 0);
    CHECK(tally.operations > 1000);
    CHECK(tally.in_flight > 0);
    return tally;
}

}  // namespace

TEST_CASE("a storm: forked processes are killed at random, and everything acknowledged is there once") {
    CHECK(storm("inherited", {.processes = 4}, 0.2).recoveries > 0);
}

TEST_CASE("a storm: processes that attach by name are killed at random, while they attach, too") {
    CHECK(storm("by name", {.attach = storm_options::attachment::by_name, .processes = 4}, 0.2).recoveries >
          0);
}

TEST_CASE(
    "a storm: processes of several threads, whose threads die alone, which become other programs and leave") {
    const storm_tally tally =
        storm("threads and mishaps", {.processes = 3, .threads = 3, .mishaps = true}, 0.2);
    // One operation in 3000; a machine that is busy with other things may not come as far.
    if (tally.operations > 60'000) CHECK(tally.mishaps > 0);
}

TEST_CASE("a storm: processes are aborted with core dumps, and stopped and continued while they hold locks") {
    const storm_tally tally =
        storm("aborts and stops", {.processes = 4, .threads = 2, .stops = true, .aborts = true}, 0.2);
    CHECK(tally.aborts > 0);
    CHECK(tally.stops > 0);
}

TEST_CASE(
    "a storm: processes are told to end, and call exit or exec in the signal's handler, wherever they are") {
    // What a sanitizer does at exit is not for handlers.
    if (is_sanitized) return;
    CHECK(storm("exits", {.processes = 4, .threads = 2, .exits = true}, 0.15).exits > 0);
}

TEST_CASE("a storm: threads fork children that work on after their parents were killed, in a segment that is "
          "too small") {
    const storm_tally tally = storm("forks, and hardly any memory",
                                    {.attach = storm_options::attachment::by_name,
                                     .processes = 3,
                                     .threads = 2,
                                     .forks = true,
                                     .mishaps = true,
                                     .max_bytes = 1'500'000},
                                    0.2);
    CHECK(tally.forks > 0);
    CHECK(tally.refusals > 0);
}
