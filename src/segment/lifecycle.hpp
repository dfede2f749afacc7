// lifecycle.hpp - segments are born, opened, lose their names, and go.
//
// Born whole    a named segment is formatted without a name and then linked to /dev/shm/cairn.<name>: nobody ever sees
//               half of one. Death before the link leaves nothing: the file has no name.
// Names go only under the segment's lock: `retired` in the header first, then the unlink, if the name is still this
//               very file's. Whoever attaches takes the same lock and helps to finish. (Model: without it, gc removes a
//               segment in use, or somebody else's new one.)
// One mapping   per segment and process, found by device and inode.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "segment/internals.hpp"
#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

enum class removal { with_creator, when_unused };

/// Throw what API.md says: segment_exists, no_such_segment, invalid_name, permission_denied, corrupt_segment,
/// version_mismatch, refused, segment_full, system_failure.
segment_ptr create_named(std::string_view name, const segment_options& options, removal policy);
segment_ptr create_anonymous(std::string_view name, const segment_options& options);
segment_ptr open_named(std::string_view name, const open_options& options);
segment_ptr open_or_create_named(std::string_view name, const segment_options& options);

/// Attaches to the file behind `fd`, which is taken over; `path` empty for an anonymous segment or an image of one.
/// Null when the segment is retired: the caller looks the name up again.
segment_ptr attach(os::unique_fd fd, const std::string& path, const open_options& options);

/// Takes the name away, for good; the segment itself lives as long as somebody is attached.
void unlink_segment(segment& s);

/// After this process has given its participant slot back: nobody is left, so the name goes, unless persistent.
void remove_if_unused(segment& s);

/// The segment that `path` leads to, if it is `file`, loses its name where only the dead have it, unless persistent; this process
/// is not attached for that. Returns somebody who lives and has it, or 0 when there is nothing left to do; nothing when that is to be asked
/// again. Waits a second at most for forked children that are on their way, and may have it. Throws as attach(), and limit_reached when the segment's lock is not had within a second.
std::optional<os::process_identity> clear_away(const std::string& path, const os::file_facts& file);

/// When this process ends: as the end of its last manager and of its last handle would, as far as the name goes. It stays a
/// participant, since threads and handlers may use the segment to the end.
void take_name_along(segment& s) noexcept;

/// What `shmctl gc` does to a segment that it has attached for the purpose: forgets the dead, and takes the name away when
/// nobody else uses it, unless persistent. All under the segment's lock.
struct collected {
    std::uint32_t live_count = 0;  // other living participants
    std::uint32_t forgotten_count = 0;
    bool is_removed = false;
};
collected collect_if_unused(segment& s);

/// A manager object of this process comes or goes. The last one of the creator takes the name along, unless persistent.
void add_manager(segment& s) noexcept;
void drop_manager(segment& s) noexcept;

std::string path_of(std::string_view name);

}  // namespace cairn::inline CAIRN_ABI::detail
