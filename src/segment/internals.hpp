// internals.hpp - what a process knows of an attached segment and does not share.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>

#include "os/file.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

struct segment_internals {
    os::mapping map;
    os::unique_fd descriptor;           // for growth; the program may have closed it
    os::file_facts file;                // device and inode say whether a descriptor is still ours
    std::string path;                   // empty: anonymous
    os::process_identity identity = 0;  // of this process, as registered
    std::atomic<participant_slot*> participant{nullptr};
    std::atomic<std::uint32_t> managers{0};  // manager objects of this process
    std::atomic<bool> is_creator{false};     // cleared in forked children
    std::atomic<std::int64_t> lock_timeout{
        std::numeric_limits<std::int64_t>::max()};  // of managers, in nanoseconds
    std::atomic<const char*> refusal{nullptr};      // why a forked child may only read it
};

/// `s` is not writable: throws refused (a forked child that could not become a participant) or permission_denied;
/// `operation` begins the message.
[[noreturn]] void throw_not_writable(const segment& s, const std::string& operation);

/// Builds and ends segment objects; the only one that may.
struct segment_access {
    static segment* make();
    static void drop(segment* s) noexcept;
    static void set_mapping(segment& s, os::mapping map, bool writable);
    /// For inspection: private memory that holds a copy of a segment, and outlives the object.
    static void borrow_memory(segment& s, std::byte* base);
    static void set_name(segment& s, std::string name, bool anonymous);
    static void set_participant(segment& s, std::uint64_t number) noexcept;
    /// In a forked child that cannot be a participant: from here on it can only read. Async-signal-safe.
    static void forbid_writing(segment& s, const char* why) noexcept;
    static std::uint64_t reference_count(const segment& s) noexcept;
};

}  // namespace cairn::inline CAIRN_ABI::detail
