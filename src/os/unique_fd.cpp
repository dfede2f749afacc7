// SPDX-License-Identifier: BSL-1.0
#include "os/unique_fd.hpp"

#include <cerrno>

#include <fcntl.h>

namespace cairn::inline CAIRN_ABI::detail::os {

unique_fd above_standard(int fd) noexcept {
    unique_fd given(fd);
    if (fd < 0 || fd > STDERR_FILENO) return given;
    const uncancellable in_one_piece;
    const int above = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    given.reset();
    if (above < 0) errno = error;
    return unique_fd(above);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
