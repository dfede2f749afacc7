// registry.hpp - the segments this process has attached, and what a fork means for them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include "os/file.hpp"
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Once a process: the fork handlers and the process's mark. Throws system_failure.
void prepare_process();

namespace registry {

/// Keeps others from attaching and forking meanwhile. Recursive.
class lock {
public:
    lock();
    lock(const lock&) = delete;
    lock& operator=(const lock&) = delete;
    ~lock();
};

/// The attached segment of that file, with a reference of the caller's; null when there is none in that mode.
segment_ptr find(const os::file_facts& facts, open_mode mode);
void add(segment& s);
void add_locked(segment& s);
void remove(segment& s) noexcept;
/// Calls it for each attached segment, kept alive meanwhile; without the registry's lock.
void for_each(void (*call)(segment& s)) noexcept;
/// All of them. For a forked child, which has one thread.
const std::vector<segment*>& attached_here() noexcept;
/// True when somebody beside the caller's one reference has it.
bool is_shared(const segment& s) noexcept;

}  // namespace registry

}  // namespace cairn::inline CAIRN_ABI::detail
