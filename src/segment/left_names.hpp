// left_names.hpp - the names that a process has left to its forked children.
//
// A segment's name goes with the last process, but one that ends by _exit (the usual end of a forked child) or is killed runs no
// code of ours, and no file system takes a name away because a process has ended. Where its parent has let go before, nobody is
// left who would do it. So a parent remembers what it has left to a living child, and looks again.
//
// Rule: who has left a segment to a forked child removes the name once only the dead have it: when it next makes, opens or looks for
// a segment, and when it calls exit.
// Looked at   under the segment's lock, as an opener looks that replaces what the dead have left (tests/models/names_model.py).
// Not         of segments left to strangers: what those leave when they are killed is for whoever opens it next.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// This process has given its participant slot back and the mapping is still there. Remembers the segment if it has its name yet and a
/// living child of this process has it; the last 32 such segments.
void note_left_name(const segment& s) noexcept;

/// Takes the names away that nobody alive has. Without left names one load; else a look at one process each, and a lock of the
/// segment where that one has ended. Nothing inside an operation.
void settle_left_names() noexcept;

/// In a forked child: they are its parent's. Async-signal-safe.
void forget_left_names() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
