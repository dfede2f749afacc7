// backing.hpp - pages for a segment: the file behind it, extended while everybody is attached.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "os/unique_fd.hpp"
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Behind the system's words of EFBIG.
inline constexpr const char* file_limit_hint =
    " (this process may not make files so large: raise `ulimit -f`)";

/// Behind the system's words of ENOSPC, where the segment has a name.
std::string shm_limit_hint();

/// A descriptor of the segment's file for as long as this lives. The one from the attach, unless the program has closed it (daemons
/// close everything) and perhaps opened something else under its number; then by name; then by the mapping itself, which
/// wants privileges.
class backing_file {
public:
    explicit backing_file(segment& s);
    /// -1 when there is none.
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    os::unique_fd reopened_;
    int fd_ = -1;
};

/// Before what is there is committed: readers follow offsets below `end` from then on. The last page below it is somebody's, which keeps
/// the segment's limit behind it, and all pages below the limit are backed. Needs no lock. (Model: growth.)
void show_up_to(segment& s, std::uint64_t end) noexcept;

/// Gives back pages behind the segment's limit, below `end`. They are nobody's, also where another process has asked for them: its
/// growth backs them again. Under the segment's lock.
void punch_behind_limit(const segment& s, int fd, std::uint64_t end) noexcept;

/// Backs the data pages [from, to) and their entries in the page map. Throws segment_full (no room in the file
/// system, no memory), system_failure. Before a throw, pages behind the limit are given back, where there is a descriptor.
/// Under the segment's lock.
void back_pages(segment& s, std::uint32_t from, std::uint32_t to);

/// So many pages are backed under the segment's lock at most: about half a millisecond.
constexpr std::uint32_t most_pages_backed_under_lock = 512;

/// Without the segment's lock: has the system allocate pages that are not the segment's yet, so that back_pages() finds them. They
/// are nobody's until then: after a death the next growth finds them. Throws as back_pages(), and gives back then what lies
/// behind the limit. Takes the segment's lock.
void back_ahead(segment& s, std::uint32_t from, std::uint32_t to);

/// Backs pages of the segment that may be holes. Throws as back_pages(); what was backed by then stays.
void back_holes(segment& s, std::uint32_t from, std::uint32_t to);

/// Without the segment's lock: backs pages of the segment that may be holes, whoever has them by now. Throws as back_pages(). Another
/// trim may punch them again before the lock is had.
void back_holes_ahead(segment& s, std::uint32_t from, std::uint32_t to);

/// Whether a page of these is not backed, as far as the system tells: of pages that are allocated and were never written it says so, too.
bool may_have_hole(segment& s, std::uint32_t from, std::uint32_t to);

/// What the system has allocated for the segment's file: less than what is committed where nobody has written yet, more after a
/// death in a growth. Nothing where its file cannot be had.
std::optional<std::uint64_t> allocated_bytes(segment& s);

/// Whether that number is still a descriptor of the segment's file.
bool is_descriptor_of(int fd, const segment& s) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
