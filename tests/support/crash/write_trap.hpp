// write_trap.hpp - films what this very process writes to a segment, or stops it at one of these stores.
//
// The mapping is made read-only. A store faults; the handler lets the one page be written and sets the processor's trap
// flag, so that it gets control again after that one instruction, looks what has changed, and closes the page again.
// Nothing runs between two stores but what runs anyway. x86-64 only: elsewhere step the process with ptrace instead.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "support/crash/film.hpp"

namespace cairn_test {

[[nodiscard]] bool can_trap_writes() noexcept;

/// Runs `work` and films the segment at `base` meanwhile. `from` is what is there now. Throws std::runtime_error when the
/// film got too long; what `work` throws passes through. Not for programs with several threads.
film film_writes(std::byte* base, const segment_image& from, const std::function<void()>& work);

/// Runs `work`, and stops this process with SIGSTOP that many instructions after that store (the first is 1) to the
/// segment. What `work` does after the last store is done at full speed.
void stop_at_store(std::byte* base, std::uint64_t bytes, std::uint64_t store, std::uint64_t instructions,
                   const std::function<void()>& work);

}  // namespace cairn_test
