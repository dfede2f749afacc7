// stdio.hpp - what happens to buffered output when a process forks and when the child ends.
//
// A fork copies the buffers: without care, what the parent had not written yet is written twice, and what the child
// has not written by its end is lost. So the parent writes out standard output before the fork (which also keeps the
// order of the lines), the child forgets whatever it inherited unwritten (the parent still has it and will write it),
// and writes out its own before it ends.
//
// Nothing here waits for a stream that another thread is using: fflush(nullptr) would, and a thread that reads
// standard input keeps that stream locked for as long as it waits for somebody to type.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// In the parent, before the fork.
void flush_before_fork() noexcept;

/// In the child, first thing: drops output that was buffered before the fork. Streams that are no files
/// (open_memstream) are left as they are, since nobody but the child will ever see its copy.
void forget_inherited_output() noexcept;

/// In the child, last thing.
void flush_before_end() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
