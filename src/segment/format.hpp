// format.hpp - a new segment's bytes, and the checks of somebody else's.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "os/file.hpp"
#include <cairn/detail/segment/segment_layout.hpp>
#include <cairn/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Word size, byte order, sizes of what is stored: what must be equal on both sides for a format to mean the same.
std::uint64_t abi_fingerprint() noexcept;

/// The id of the running system; `what` begins the text of the system_failure where it cannot be read. Rule: what cannot be read about the
/// system is an error, never a value that is stored or compared.
std::array<std::uint64_t, 2> require_boot_id(const std::string& what);

/// The constant part for a new segment. Throws invalid_argument, and system_failure where the system's id cannot be read.
segment_header make_header(std::string_view name, const segment_options& options, bool remove_when_unused);

/// The options' max_size, or the default: the least of the machine's memory, the control group's, 64 GiB, RLIMIT_FSIZE and a quarter of RLIMIT_AS.
/// Throws invalid_argument.
std::uint64_t effective_max_bytes(const segment_options& options);
/// Pages of data to back at birth.
std::uint32_t initial_pages(const segment_header& header, const segment_options& options);

/// How strictly a header is checked.
enum class header_use { attach, inspect };

/// Throws corrupt_segment, version_mismatch or refused, naming `what` ("segment 'jobs'").
void check_header(const segment_header& header, const std::string& what, std::uint64_t file_bytes,
                  header_use use);

/// Throws permission_denied or corrupt_segment: who may own the file, and who may write it.
void check_file(const os::file_facts& facts, const std::string& what, const open_options& options);

}  // namespace cairn::inline CAIRN_ABI::detail
