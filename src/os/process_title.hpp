// process_title.hpp - what ps shows as a process's command line.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Has /proc/self/cmdline say `title`, cut at 4 KiB. The text lies in memory of its own, so argv and environ, and who keeps pointers
/// into them, see no change. A child inherits it. EPERM, EINVAL: a kernel without CONFIG_CHECKPOINT_RESTORE.
std::error_code set_process_title(std::string_view title) noexcept;

/// The command line that the process was started with again.
std::error_code restore_process_title() noexcept;

/// The arguments that the process was started with, or its title; with spaces between them. Empty when /proc cannot be read.
std::string own_command_line();

/// The last part of the path that the program was started by; "" when not known.
std::string_view program_name() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
