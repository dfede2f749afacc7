// guarded_run.hpp - many small pieces of work that may crash or hang, in a child that is watched: the piece that did is
// named, and a new child goes on behind it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "attempts.hpp"

namespace cairn_test {

struct bad_end {
    std::uint64_t number = 0;  // of the piece
    std::string how;           // "was killed by signal 11, in texts.insert"
};

struct guarded_result {
    std::vector<bad_end> bad;
    std::uint64_t results = 0;  // operations that gave one
    std::uint64_t errors = 0;   // ... that threw a cairn::error
    std::uint64_t slowest = 0;  // the piece that took longest
    std::chrono::nanoseconds longest{};
};

/// How long one piece may take: of the processor, whatever else the machine does, or asleep.
constexpr std::chrono::seconds longest_work{3};
constexpr std::chrono::seconds longest_sleep{20};
/// After so many bad ends the rest is left out.
constexpr std::size_t most_bad_ends = 20;

/// Calls work(i, attempts) for first <= i < first + count. With CAIRN_HOSTILE_UNWATCHED set without child and watch, as a
/// debugger likes it.
guarded_result run_guarded(std::uint64_t first, std::uint64_t count,
                           const std::function<void(std::uint64_t, attempts&)>& work);

}  // namespace cairn_test
