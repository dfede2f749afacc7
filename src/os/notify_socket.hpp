// notify_socket.hpp - a datagram to whoever supervises this process: sd_notify(3).
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>
#include <system_error>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// One datagram to the socket at `path`; one that begins with @ is in the abstract namespace. Does not wait.
/// ENAMETOOLONG, ECONNREFUSED, ENOENT and what else sendto says.
std::error_code send_datagram(const std::string& path, std::string_view text) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
