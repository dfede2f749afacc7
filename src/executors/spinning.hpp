// spinning.hpp - looking for a while before sleeping, as far as that has paid for this thread.
//
// As containers/waiting.cpp learns it: what was in vain is tried for less time, and then hardly ever; what succeeded, for all of it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "executors/task_access.hpp"
#include "os/processors.hpp"
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/txn/reading.hpp>

namespace cairn::inline CAIRN_ABI::detail {

// About 8 us: what a sleep and a wake cost where the processor is not idle. No yields: on a busy machine each takes as long as the others
// like, while who sleeps is let in as soon as it is woken (24 us a round trip instead of 5, and 540 ns a task instead of 240).
constexpr int most_task_pauses = 256;
constexpr std::uint8_t most_task_halvings = 4;
constexpr std::uint8_t skips_between_task_trials = 32;

/// True as soon as `is_there()`; false when it was not for the time that looking is worth.
template <typename Look>
bool look_for_a_while(const Look& is_there) noexcept {
    if (os::processor_count() == 1) return false;
    thread_place& thread = own_place;
    if (thread.spin_halvings == most_task_halvings) {
        if (++thread.spins_skipped < skips_between_task_trials) return false;
        thread.spins_skipped = 0;
        thread.spin_halvings = most_task_halvings - 1;
    }
    for (int left = most_task_pauses >> thread.spin_halvings; left > 0; --left) {
        pause_reader();
        if (is_there()) {
            thread.spin_halvings = 0;
            return true;
        }
    }
    if (thread.spin_halvings < most_task_halvings) ++thread.spin_halvings;
    return false;
}

}  // namespace cairn::inline CAIRN_ABI::detail
