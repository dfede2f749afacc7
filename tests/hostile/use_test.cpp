// use_test.cpp - damaged segments under every operation of the library: each ends in a result or a cairn::error, soon.
//
// CAIRN_SEED=n CAIRN_HOSTILE_COUNT=1 replays one piece of damage; a failure prints the two.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "ground.hpp"
#include "guarded_run.hpp"
#include "os/identity.hpp"
#include "support/report.hpp"

namespace use_test {

using namespace cairn_test;

// AddressSanitizer here looks at accesses to segments: millions of small operations, whose own allocations it need not
// remember for long.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
    return "detect_stack_use_after_return=0:malloc_context_size=2:quarantine_size_mb=4:"
           "thread_local_quarantine_size_kb=64";
}

namespace {

std::uint64_t from_environment(const char* variable, std::uint64_t otherwise) {
    const char* given = std::getenv(variable);
    return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

const bool has_full_run = std::getenv("CAIRN_FULL") != nullptr;

}  // namespace

TEST_CASE(
    "no damage makes an operation crash, hang, read outside its segment or throw what is no cairn::error") {
    const std::uint64_t first = from_environment("CAIRN_SEED", 20240611);
    const std::uint64_t count = from_environment("CAIRN_HOSTILE_COUNT", has_full_run   ? 20'000
                                                                        : is_sanitized ? 1'500
                                                                                       : 3'000);
    const std::vector<sound_segment> sound = make_sound_segments();
    const footprint before = take_footprint();
    std::optional<hostile_ground> ground(std::in_place);
    const guarded_result result = run_guarded(first, count, [&](std::uint64_t seed, attempts& attempt) {
        mutator with(seed, static_cast<std::uint32_t>(cairn::detail::os::thread_id()));
        const auto how = static_cast<treatment>(seed % treatment_count);
        // The large one takes five times as long as the others.
        const sound_segment& chosen =
            with.below(50) == 0 ? sound.back() : sound[with.below(sound.size() - 1)];
        std::string damaged = chosen.bytes;
        if (how == treatment::under_handles) with.damage(damaged, chosen.map);
        else damaged = with.spoil(std::move(damaged), chosen.map);
        ground->use_everything(how, chosen, damaged, seed, attempt);
        if (const std::string left = left_behind(); !left.empty()) attempt.fail(left);
    });
    for (const bad_end& each : result.bad) {
        INFO("CAIRN_SEED=", each.number, " CAIRN_HOSTILE_COUNT=1: ",
             std::string(describe(static_cast<treatment>(each.number % treatment_count))), ": ", each.how);
        CHECK(false);
    }
    MESSAGE(count, " damaged segments from seed ", first, ": ", result.results, " operations gave a result, ",
            result.errors, " an error; the slowest was seed ", result.slowest, " with ",
            std::chrono::duration_cast<std::chrono::milliseconds>(result.longest).count(), " ms");
    report_figures("hostile", {{"mutations", static_cast<double>(count)}});
    ground.reset();
    CHECK(result.errors > count);
    CHECK(result.results > count);
    CHECK(take_footprint() == before);
}

}  // namespace use_test
