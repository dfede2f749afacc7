// storm.hpp - processes that do random things to shared objects while others of them are being killed.
//
// A container joins with a row: how to get at it, and an adapter that does one random operation, noted in the journal.
// The storm goes in rounds. In each, a crew of processes works; a killer hits one every few milliseconds, and starts
// another. Every other round ends with the death of all at once. Then a process that comes anew looks at what is left:
// every invariant, every note, every page; clears the objects, and looks at the memory again.
//
// Environment   CAIRN_STORM_SEED       repeats the choices of a run (not its timing); a number
//               CAIRN_STRESS_MINUTES   how long all storms of a run are to take together
//               CAIRN_STORM_SECONDS    the same, in seconds
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/storm/journal.hpp"
#include "support/storm/ledger.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

/// Something in the object does not hold; ends the storm with this text.
struct storm_failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A shared object, as a process of the storm sees it. Used by several of its threads at once.
class storm_object {
public:
    storm_object() = default;
    storm_object(const storm_object&) = delete;
    storm_object& operator=(const storm_object&) = delete;
    virtual ~storm_object() = default;

    /// One random operation; all by actor::perform.
    virtual void operate(actor& by) const = 0;
    /// Calls fn under the object's lock, best in the middle of a change, if there is such a thing. In many cases fn does not
    /// return, and what it interrupts must be as if it had not been begun.
    virtual void hold(actor& by, const std::function<void()>& fn) const = 0;
    /// Takes the object's lock, so that what the last dead owner left is repaired.
    virtual void touch() const = 0;
    /// At rest: empty, or what does not hold.
    [[nodiscard]] virtual std::string problem(const ledger& noted) const = 0;
    /// At rest. The pages that are left then are counted.
    virtual void clear() const = 0;
};

struct storm_row {
    std::string name;
    /// Finds or creates it. `object` is its number in the journal.
    std::function<std::unique_ptr<storm_object>(const cairn::manager&, unsigned object)> join;
};

struct storm_options {
    /// How the processes of the crew come to the segment.
    enum class attachment { inherited, by_name };
    attachment attach = attachment::inherited;
    unsigned processes = 4;
    unsigned threads = 1;  // in each
    bool forks = false;    // threads fork children that work, too, and often outlive them
    bool stops = false;    // some are stopped and continued rather than killed
    bool aborts = false;   // some die of SIGABRT, dumping core
    bool exits = false;  // killed are only those who do not end when a signal's handler calls exit() or exec
    bool mishaps =
        false;  // some end their thread or their process, or run another program, while they hold a lock
    std::uint64_t max_bytes = 0;  // of the segment; 0: as usual
    std::chrono::milliseconds round{2000};
};

struct storm_tally {
    std::uint64_t rounds = 0;
    std::uint64_t processes = 0;  // started
    std::uint64_t kills = 0;      // by SIGKILL
    std::uint64_t aborts = 0;
    std::uint64_t cores = 0;  // that these dumped
    std::uint64_t stops = 0;
    std::uint64_t exits = 0;
    std::uint64_t mishaps = 0;
    std::uint64_t forks = 0;
    std::uint64_t operations = 0;  // that returned
    std::uint64_t refusals = 0;
    std::uint64_t in_flight = 0;   // when their process died
    std::uint64_t recoveries = 0;  // of objects
    std::uint64_t rollbacks = 0;   // of these, with something to undo
    std::uint64_t segment_recoveries = 0;
    char problem[1000] = {};  // empty when all is well
};

/// Runs a storm for that long (at least one round) and prints its tally under that title. Nothing is left behind.
storm_tally run_storm(const std::string& title, const std::vector<storm_row>& rows,
                      const storm_options& options, std::chrono::milliseconds duration);

/// What the environment gives to storms: this share of the time of all.
std::chrono::milliseconds storm_time(double share);
/// Printed once; from the environment if it is there.
std::uint64_t storm_seed();

}  // namespace cairn_test
