// file.hpp - the files behind segments: memfds and entries of /dev/shm.
//
// Nothing throws here: calls return the system's error code, and the segment layer puts the name of the thing to it.
// EINTR is retried here.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <system_error>
#include <vector>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Where named segments live. A test may point it somewhere else (a small tmpfs) with set_shm_directory().
CAIRN_API std::string shm_directory();
/// False when the path is longer than PATH_MAX.
CAIRN_API bool set_shm_directory(const std::string& path);

struct file_facts {
    dev_t device = 0;
    ino_t inode = 0;
    std::uint64_t bytes = 0;
    std::uint64_t allocated_bytes = 0;
    uid_t owner = 0;
    mode_t mode = 0;
    bool is_regular = false;
    std::uint64_t link_count = 0;

    [[nodiscard]] bool same_file(const file_facts& other) const noexcept {
        return device == other.device && inode == other.inode;
    }
};

/// A nameless file in `directory` that link_file() can give a name.
std::error_code create_nameless(const std::string& directory, mode_t mode, unique_fd& fd);
/// A memfd; its name shows in /proc/PID/fd.
std::error_code create_anonymous(const std::string& name, unique_fd& fd);
/// Gives a nameless file its name; EEXIST when taken.
std::error_code link_file(const unique_fd& fd, const std::string& path);
/// O_NOFOLLOW, never creates, never blocks (a FIFO of that name).
std::error_code open_existing(const std::string& path, bool writable, unique_fd& fd);
/// Follows links (those of /proc lead to files without a name); invalid when it cannot be opened.
unique_fd open_following(const char* path);
std::error_code describe(int fd, file_facts& facts);
std::error_code describe(const std::string& path, file_facts& facts);
std::error_code remove_file(const std::string& path);
std::error_code set_mode(const unique_fd& fd, mode_t mode);
/// Backs the range with pages, growing the file if need be: a later touch cannot fail.
std::error_code allocate(int fd, std::uint64_t offset, std::uint64_t bytes);
/// Backs the range with pages of zeros that are ready to be mapped, many at one fault; each that allocate() backs costs a
/// fault of its own. What was written before an error stays.
std::error_code write_zeros(int fd, std::uint64_t offset, std::uint64_t bytes);
/// Where the first bytes from `offset` on are that no page is behind; the largest number when that is not known.
std::uint64_t first_hole(int fd, std::uint64_t offset);
/// Sets the file's size without backing it.
std::error_code set_size(const unique_fd& fd, std::uint64_t bytes);
/// Nobody can shrink the memfd any more.
std::error_code seal_against_shrinking(const unique_fd& fd);
/// Gives the pages of the range back; they read as zero afterwards.
std::error_code punch(int fd, std::uint64_t offset, std::uint64_t bytes);
/// Whether a hole of the file costs nobody more than memory: it reads as zeros through a mapping, and a page is there as long as the
/// machine has memory. Not in a tmpfs of a fixed size (/dev/shm), nor on a disk, nor where the system does not overcommit: a touch
/// there may be SIGBUS.
bool may_have_holes(int fd) noexcept;
/// Names of all entries of a directory.
std::error_code list_directory(const std::string& path, std::vector<std::string>& names);
/// Free bytes of the file system that holds `path`; 0 when not known.
std::uint64_t free_bytes(const std::string& path);

}  // namespace cairn::inline CAIRN_ABI::detail::os
