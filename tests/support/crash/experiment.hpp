// experiment.hpp - a row of the crash table: an operation in a state, and how to tell what has become of it.
//
// Every row is stepped, killed and recovered in the same way (laboratory.hpp); what differs between containers is said
// here: how the state is built, and what a process that has handles on the row's objects can do with them.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/crash/row_result.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

/// What has become of an operation. `unchanged`: before and after look the same.
enum class outcome { before, after, unchanged };
const char* name_of(outcome o) noexcept;

/// What somebody does first with an object whose last user died in it.
enum class approach {
    writer_first,   // takes the object's lock
    manager_first,  // takes the segment's lock
    reader_first,   // takes no lock, if it need not
};
constexpr approach approaches[] = {approach::writer_first, approach::manager_first, approach::reader_first};
const char* name_of(approach a) noexcept;

/// Something does not hold.
struct lab_failure : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A process with handles on the row's objects. All of these throw lab_failure, or what Cairn throws.
class visitor {
public:
    visitor() = default;
    visitor(const visitor&) = delete;
    visitor& operator=(const visitor&) = delete;
    virtual ~visitor() = default;

    /// The operation that is killed. Catches what it is meant to throw.
    virtual void operate() = 0;

    /// The first use after a death: it repairs. Returns what a reader saw before anything was repaired.
    virtual std::optional<outcome> touch(approach how) = 0;
    /// Reads everything, and says whether it is as before or as after the operation.
    virtual outcome look() = 0;
    /// Works on: grows, shrinks, empties, fills; everything must do what it does in a segment where nobody died.
    virtual void go_on() = 0;
    /// Removes every object of the segment.
    virtual void remove_all() = 0;

    /// What a second process is doing while the victim is killed: a change of its own, which waits for the lock.
    virtual void neighbour() = 0;
    /// It waited for what only the victim could have done, until its time was up: that says nothing of how long waits are.
    [[nodiscard]] virtual bool has_waited_in_vain() const { return false; }
    /// As look(), with the neighbour's change on top.
    virtual outcome look_after_neighbour() = 0;
};

struct experiment {
    std::string name;                 // "list<int64> push_back, at a chunk's end"
    std::vector<std::string> covers;  // "list::push_back": see tests/api/check_crash_coverage.py
    cairn::segment_options options;
    std::function<void(const cairn::manager&)> prepare;
    std::function<std::unique_ptr<visitor>(const cairn::manager&)> visit;
    /// For rows that are not about objects of a segment: does everything itself. The others above are not used then.
    std::function<void(const lab_settings&, row_result&)> procedure;
};

using experiment_table = std::vector<experiment>;

}  // namespace cairn_test
