// nursery.hpp - what the workers of pools are copies of.
//
// A pool forks its workers. Without start_nursery() that is done from the program as it is when the pool is made, with whatever
// threads it has by then: a lock that one of them holds at that moment is taken in every worker, for ever. After
// start_nursery(), first thing in main, it is done from a process that was forked there: it has one thread, nothing open that it
// was not to keep, and has never run anything of the program's.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <vector>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

struct nursery_options {
    /// Descriptors that workers are to have, beside 0, 1, 2 and Cairn's segments.
    std::vector<int> keep = {};
};

/// Forks the process that the workers of later pools are copies of; it ends with this one. What the program opens, loads or changes
/// after this call is not in them. Warns on stderr when there are other threads already.
///
/// A pool with an `.initializer`, which may have captures, is forked from the program all the same. So is any where that process was
/// killed, or its connection closed by a program that closes all descriptors.
///
/// @throws invalid_state     it was called before in this process
/// @throws invalid_argument  a descriptor of `.keep` is not open
/// @throws system_failure    no process, descriptor or memory left
/// Cost    a fork, some 0.3 ms
CAIRN_API void start_nursery(const nursery_options& options = {});

}  // namespace cairn::inline CAIRN_ABI
