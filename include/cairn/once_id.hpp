// once_id.hpp - names for operations that happen once, however often they are tried.
//
//   results.push_back(sum, {.once = {worker, number}});      // true: now. False: somebody has done it before
//
// A client is whoever does one thing after the other: a worker, a task, a request. Its operations are numbered upwards from 1. With the
// operation, in the same commit, the object remembers the number, so that a client that was killed, or the one who does its work
// from then on, can do its last operation again without knowing whether it was done.
//
// Stored        with each object: the highest number of each client that has used it, some 40 bytes a client and object, until
//               manager::forget(client) or the end of the object.
// Commit        that of the operation.
// Death         before the commit: neither the operation nor its number is there. After it: both are.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

/// Two operations on one object have the same id only if they are the same one.
struct once_id {
    std::uint64_t client = 0;
    /// From 1 on; an operation whose number is not above that of the last one of its client on the same object has happened.
    std::uint64_t sequence = 0;

    friend constexpr bool operator==(const once_id&, const once_id&) noexcept = default;
};

/// How an operation is to be done: l.push_back(v, {.once = id}).
struct exactly_once {
    once_id once;
};

}  // namespace cairn::inline CAIRN_ABI
