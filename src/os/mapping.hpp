// mapping.hpp - one mapping of a segment's file, by Boost.Interprocess.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

#include <boost/interprocess/mapped_region.hpp>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

enum class map_access { read_write, read_only, private_copy };

/// Movable owner of a mapping. The address range may be larger than the file: pages appear as the file grows.
class mapping {
public:
    mapping() = default;
    /// Maps [0, bytes) of the file, shared, without reserving swap; keeps it out of core dumps, where it would make
    /// the kernel hold a dead owner's locks for seconds.
    static std::error_code create(int fd, std::uint64_t bytes, map_access access, mapping& out);

    [[nodiscard]] std::byte* base() const noexcept { return static_cast<std::byte*>(region_.get_address()); }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return region_.get_size(); }

    /// Backs pages of the mapping without a descriptor: for a program that closed all of them.
    [[nodiscard]] std::error_code populate(std::uint64_t offset, std::uint64_t bytes) const noexcept;

    /// Zeroed memory of the process's own in place of pages of the file.
    [[nodiscard]] std::error_code cover(std::uint64_t offset, std::uint64_t bytes) const noexcept;

private:
    boost::interprocess::mapped_region region_;
};

/// Enters pages that write_zeros() backed into this process's page table, by reading here and there: a read fault maps its
/// neighbours, too, in a shared mapping for writing as well, where a write fault maps one page. Where the kernel does not,
/// the faults come later. (MADV_POPULATE_READ and _WRITE take as long as a fault for each page, less the way in and out.)
void map_ahead(const std::byte* begin, std::uint64_t bytes) noexcept;

/// A private, zeroed page that a child made behind the C library's back (a raw clone) finds zeroed again.
std::error_code map_wiped_on_fork(std::uint64_t*& word);

}  // namespace cairn::inline CAIRN_ABI::detail::os
