// descriptor_passing.hpp - messages between processes, with descriptors in them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <system_error>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Two connected sockets, which keep messages apart.
std::error_code open_socket_pair(unique_fd& one, unique_fd& other) noexcept;

constexpr std::size_t most_passed_descriptors = 4;

/// One message. Of the descriptors the receiver gets copies; at most most_passed_descriptors.
std::error_code send_message(int socket, std::span<const std::byte> bytes, std::span<const int> fds) noexcept;

/// Waits for one message. `bytes` is its size, 0 when the other side has ended; descriptors that it has less of stay invalid.
std::error_code receive_message(int socket, std::span<std::byte> to, std::size_t& bytes,
                                std::span<unique_fd> fds) noexcept;

/// Another descriptor for the same file, closed by exec, above those of the standard streams.
std::error_code copy_descriptor(int fd, unique_fd& copy) noexcept;

/// The same, for one that another process has under that number. EPERM: as for ptrace. EBADF: it has none there. ENOSYS: Linux before 5.6.
std::error_code copy_descriptor_of(int pidfd, int number, unique_fd& copy) noexcept;

void close_by_exec(int fd) noexcept;

/// Not of an eventfd, a pidfd and the like, which are all of one inode.
bool has_file_type(mode_t mode) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
