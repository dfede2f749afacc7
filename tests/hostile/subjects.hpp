// subjects.hpp - the kinds of objects that stand in the damaged segments. A container joins by one row in subjects.cpp:
// a function that makes contents, and one that calls every operation of a handle.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <span>

#include "attempts.hpp"
#include <cairn/manager.hpp>

namespace cairn_test {

struct subject {
    const char* name;  // of the object
    /// Makes the object, with contents that use all its structures: several blocks, freed ones between them.
    void (*build)(const cairn::manager& in, const char* name);
    /// Finds the object (throws cairn::error) and returns what calls every operation of its handle: those that write only
    /// when told. Two steps, so that the damage may also come between them.
    std::function<void(attempts& attempt, bool writes)> (*open)(const cairn::manager& in, const char* name);
};

/// Finds an object, and calls what reads it, what writes it, what reads it.
template <typename Handle, auto Read, auto Write>
std::function<void(attempts&, bool)> open_as(const cairn::manager& in, const char* name) {
    const auto found = in.find<Handle>(name);
    if (!found) throw cairn::no_such_object("the object is not found any more");
    return [handle = *found](attempts& attempt, bool writes) {
        Read(handle, attempt);
        if (!writes) return;
        Write(handle, attempt);
        Read(handle, attempt);
    };
}

/// Queues of each kind.
std::span<const subject> queue_subjects();

std::span<const subject> pool_subjects();
std::span<const subject> service_subjects();

/// Values, arrays, namespaces and onces.
std::span<const subject> value_subjects();

/// Locks and the like.
std::span<const subject> sync_subjects();

/// All of them.
std::span<const subject> subjects();

}  // namespace cairn_test
