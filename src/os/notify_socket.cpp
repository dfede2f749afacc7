// SPDX-License-Identifier: BSL-1.0
#include "os/notify_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include <sys/socket.h>
#include <sys/un.h>

#include "os/checked_call.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

std::error_code send_datagram(const std::string& path, std::string_view text) noexcept {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) return from_errno(ENAMETOOLONG);
    std::copy(path.begin(), path.end(), address.sun_path);
    if (path.front() == '@') address.sun_path[0] = '\0';
    const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    const int socket = checked_call("socket", [] { return ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); });
    if (socket < 0) return outcome(socket);
    const unique_fd owned(socket);
    return outcome(checked_call("sendto", [&] {
        return ::sendto(owned.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                        reinterpret_cast<const sockaddr*>(&address), bytes);
    }));
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
