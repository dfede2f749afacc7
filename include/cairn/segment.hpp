// segment.hpp - how a segment is made and opened: options that manager and shmctl share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

/// For manager::create and open_or_create.
struct segment_options {
    /// Most the segment can grow to, in bytes. 0: the least of the machine's memory, 64 GiB and a quarter of RLIMIT_AS.
    /// Costs address space, not memory.
    std::uint64_t max_size = 0;
    /// Backed from the start, in bytes; 0: 256 KiB (or max_size, if that is less).
    std::uint64_t initial_size = 0;
    /// Permission bits of the file in /dev/shm.
    mode_t mode = 0600;
    /// Only unlink() or `shmctl rm` removes it.
    bool persist = false;
};

enum class open_mode { read_write, read_only };

/// For manager::open.
struct open_options {
    open_mode mode = open_mode::read_write;
    /// Accept a segment that belongs to this user; without it only one's own is opened.
    std::optional<uid_t> owner = std::nullopt;
};

}  // namespace cairn::inline CAIRN_ABI
