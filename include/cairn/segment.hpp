// segment.hpp - how a segment is made and opened: options that manager and shmctl share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/base/time_limit.hpp>

namespace cairn::inline CAIRN_ABI {

/// For manager::create and open_or_create.
struct segment_options {
    /// Most the segment can grow to, in bytes. 0: the least of the machine's memory, the control group's, 64 GiB, RLIMIT_FSIZE and a quarter of RLIMIT_AS.
    /// Costs address space, not memory.
    std::uint64_t max_size = 0;
    /// Backed from the start, in bytes; 0: 256 KiB (or max_size, if that is less).
    std::uint64_t initial_size = 0;
    /// Permission bits of the file in /dev/shm.
    mode_t mode = 0600;
    /// Only unlink() or `shmctl rm` removes it.
    bool persist = false;
    /// Most processes that can be attached at a time, up to 65 536; 0: 512. Each costs 128 bytes.
    std::uint32_t max_participants = 0;
    /// The longest that a plain operation of this process waits for a lock in the segment; then it throws timeout_error, which
    /// names the holder, and nothing has happened. Without it, it waits. Operations with a limit of their own keep that one.
    /// It is the process's: of several managers of one segment the last one that was given it counts.
    time_limit lock_timeout = {};
};

enum class open_mode { read_write, read_only };

/// For manager::open.
struct open_options {
    open_mode mode = open_mode::read_write;
    /// Accept a segment that belongs to this user; without it only one's own is opened.
    std::optional<uid_t> owner = std::nullopt;
    /// Wait so long for a segment of that name, if there is none: for processes that start before it is made.
    time_limit wait = std::chrono::nanoseconds(0);
    /// As in segment_options. It also bounds open() itself.
    time_limit lock_timeout = {};
};

}  // namespace cairn::inline CAIRN_ABI
