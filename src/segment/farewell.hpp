// farewell.hpp - how a process lets go of a segment: its last handle goes, or the process ends.
//
// Rule: a mapping is not taken away while a thread of the process may be in an operation, and never during exit. The kernel
// releases the locks of a thread that ends one after the other, and stops at the first that it cannot read: so a held lock
// whose mapping is gone would stay held, and all that the thread had taken before it. exit() in a handler, or in another thread,
// ends handles while operations are under way.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Of a segment without handles: the process is no participant any more, the segment loses its name if nobody uses it, and the
/// mapping ends; at once, or when no thread is in an operation or holds a mutex of it any more. During exit it stays.
void end_mapping(segment* s) noexcept;

/// Ends the mappings that had to wait, if they may. Called where others come and go.
void end_waiting_mappings() noexcept;

/// In a forked child: what waits there is of threads that it has not, and stays mapped. Async-signal-safe.
void forget_waiting_mappings() noexcept;

/// Has the process's exit() call say_farewell(). May be called often: each time it runs before what is made later.
void prepare_for_exit() noexcept;

/// At the process's ordinary end: the segments that it has created or is the last to use lose their names, although their managers
/// are never destroyed (they are on the stack of whoever called exit). Nothing is unmapped from here on.
void say_farewell() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
