// sync_experiment.hpp - rows about locks and the like: what a process that was killed has done with them, told by a text.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <string>

#include "support/crash/experiment.hpp"

namespace cairn_test {

struct sync_row {
    std::string name;
    std::vector<std::string> covers;
    /// What read() says. The same: the operation changes nothing that it says.
    std::string before;
    std::string after;
    /// Makes what the row needs. Null: nothing.
    std::function<void(const cairn::manager&)> prepare;
    std::function<void(const cairn::manager&)> operation;
    /// Takes every lock, repairs what its owner has left, and says what is there: again and again the same.
    std::function<std::string(const cairn::manager&)> read;
    /// The first use after a death, which may be killed as well: takes every lock, and changes nothing that read() says. Null: read().
    std::function<void(const cairn::manager&)> touch;
    /// A change of the neighbour's, which waits for the victim where that is in its way; and what it changes in the text.
    std::function<void(const cairn::manager&)> neighbour;
    std::function<std::string(std::string)> with_neighbour;
    /// Uses everything once more.
    std::function<void(const cairn::manager&)> go_on;
};

void add_sync_row(experiment_table& table, sync_row row);

/// Locks, events and semaphores.
void add_sync_rows(experiment_table& table);
/// Conditions, barriers and latches.
void add_meeting_rows(experiment_table& table);
/// Values, arrays, namespaces and onces.
void add_value_rows(experiment_table& table);

}  // namespace cairn_test
