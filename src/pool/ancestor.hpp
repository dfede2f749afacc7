// ancestor.hpp - start_nursery(): the process that guardians of later pools are forked from.
//
//   owner ── ancestor ── guardian of a pool ── nursery ── workers
//
// Ancestor      forked early, with one thread; waits for requests on a socket, and forks a guardian for each. It has neither user code nor
//               segments of its own: that of a pool comes with the request, and goes when its guardian has it.
// Its end       comes with the owner's, or with that of the socket. Guardians that it has forked go on: they see their owner by its
//               pidfd.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "pool/family.hpp"

namespace cairn::inline CAIRN_ABI::detail {

/// Has the guardian of that pool forked by this process's ancestor. False where there is none any more.
/// `family.loaded` becomes the ancestor's. @throws refused, system_failure
bool fork_by_ancestor(pool_family& family, pid_t& guardian, os::unique_fd& pidfd);

/// Those of start_nursery()'s .keep that are still the files which they were.
std::vector<int> descriptors_kept_by_nursery();

/// Once a process: on stderr, where the program has threads that are not Cairn's.
void warn_of_threads(const char* what) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
