// image.hpp - the bytes of a segment as an inspector sees them: a private copy, made page by page as it is looked at.
//
// source        the file behind a segment, open for reading. It may be anything, and may change or shrink at any time.
// image         private memory of the segment's size. A page is read from the file when it is first asked for, and then
//               stays as it was: what was checked does not change behind the check. What a dead process left half-done
//               is finished in the image, never in the segment.
// Bounds        limit() is what the file really has, whatever its bytes say; find() hands out nothing beyond it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "os/file.hpp"
#include "os/probe.hpp"
#include <cairn/detail/segment/segment.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

struct source {
    segment_location where;
    std::string what;  // "segment 'jobs'", for messages
    os::unique_fd fd;
    os::file_facts file;
    segment_header header{};
    // Whether pids, start times and lock words say something about processes here and now.
    bool is_of_this_boot = false;
    bool is_of_this_pid_namespace = false;
    bool is_of_this_time_namespace = false;

    /// Whether a pid and a start time say something here.
    [[nodiscard]] bool sees_processes() const noexcept {
        return is_of_this_pid_namespace && is_of_this_time_namespace;
    }
    /// True where a thread id in a lock word, or an entry of the participants, may be a living process.
    [[nodiscard]] bool has_living_processes() const noexcept {
        return !where.is_image && is_of_this_boot && sees_processes();
    }
};

/// Throws no_such_segment, permission_denied, corrupt_segment, version_mismatch, system_failure.
source open_source(const segment_location& where);

/// Of the view of an image: nobody gives back its pages, so that all of them may be looked at. Where the mark makes no sense, whoever checks
/// it finds out.
void show_all(segment& view) noexcept;

class image {
public:
    /// Nothing is read yet but how much is committed. Throws system_failure, corrupt_segment.
    explicit image(const source& from);

    /// Bytes that exist: committed by the segment and there in the file.
    [[nodiscard]] std::uint64_t limit() const noexcept { return limit_; }
    /// The segment says that it has more: the file was shortened, or the segment's word is damaged.
    [[nodiscard]] bool is_truncated() const noexcept { return truncated_; }
    [[nodiscard]] const segment_header& header() const noexcept { return from_.header; }
    [[nodiscard]] const source& origin() const noexcept { return from_; }

    /// The bytes at `offset`, or null where there are none.
    template <typename T>
    [[nodiscard]] T* find(std::uint64_t offset, std::uint64_t bytes = sizeof(T)) {
        if (bytes > limit_ || offset > limit_ - bytes || offset % alignof(T) != 0) return nullptr;
        return load(offset, bytes) ? reinterpret_cast<T*>(memory_.base() + offset) : nullptr;
    }
    [[nodiscard]] segment_control* control() { return find<segment_control>(header().control_offset); }
    /// The entry of page `link - 1`, or null.
    [[nodiscard]] page_entry* entry(std::uint32_t link);
    /// The control block `link - 1`, or null.
    [[nodiscard]] root_slot* slot(std::uint32_t link);
    [[nodiscard]] std::uint64_t page_offset(std::uint32_t page) const noexcept {
        return header().data_offset + page * page_bytes;
    }
    [[nodiscard]] std::uint32_t page_count() const noexcept {
        return limit_ <= header().data_offset
                   ? 0
                   : static_cast<std::uint32_t>((limit_ - header().data_offset) / page_bytes);
    }

    /// Reads everything below the limit. False when the file has become shorter.
    bool load_all() { return load(0, limit_); }

    /// Reads what describes the segment as a whole: control block, participants, names, page map, control blocks.
    bool load_structure();
    /// Reads a root's extents, and what leads to them.
    bool load_root(const root_slot& slot);

    /// The image as the library sees a segment. What was not loaded is zero; what its control block says of the
    /// committed bytes is cut to the limit, so that no link can lead outside. Null when the file ends before the data.
    segment_ptr view() { return view(true); }
    /// The same, before recovery has looked at the end of the segment: see show_all().
    segment_ptr view_as_it_is() { return view(false); }

private:
    segment_ptr view(bool shows_all);

    bool load_extent(std::uint32_t page, std::uint32_t order);
    bool load(std::uint64_t offset, std::uint64_t bytes);

    const source& from_;
    os::private_memory memory_;
    std::uint64_t limit_ = 0;
    bool truncated_ = false;
    std::vector<bool> loaded_;  // by page of the file
};

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
