// SPDX-License-Identifier: BSL-1.0
#include "os/descriptor_passing.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "os/checked_call.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr std::size_t room_for_descriptors = CMSG_SPACE(most_passed_descriptors * sizeof(int));

}  // namespace

std::error_code open_socket_pair(unique_fd& one, unique_fd& other) noexcept {
    std::array<int, 2> ends{-1, -1};
    const int made = checked_call(
        "socketpair", [&] { return ::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()); });
    if (made < 0) return outcome(made);
    unique_fd rest(ends[1]);
    if (const auto error = take_over(ends[0], one)) return error;
    return take_over(rest.release(), other);
}

std::error_code send_message(int socket, std::span<const std::byte> bytes,
                             std::span<const int> fds) noexcept {
    alignas(cmsghdr) std::array<std::byte, room_for_descriptors> control{};
    iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (!fds.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(fds.size_bytes());
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference) there is room for one
        cmsghdr& header = *CMSG_FIRSTHDR(&message);
        header.cmsg_level = SOL_SOCKET;
        header.cmsg_type = SCM_RIGHTS;
        header.cmsg_len = CMSG_LEN(fds.size_bytes());
        std::memcpy(CMSG_DATA(&header), fds.data(), fds.size_bytes());
    }
    return outcome(checked_call("sendmsg", [&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); }));
}

std::error_code receive_message(int socket, std::span<std::byte> to, std::size_t& bytes,
                                std::span<unique_fd> fds) noexcept {
    alignas(cmsghdr) std::array<std::byte, room_for_descriptors> control{};
    iovec part{.iov_base = to.data(), .iov_len = to.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got =
        checked_call("recvmsg", [&] { return ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC); });
    if (got < 0) return outcome(got);
    bytes = static_cast<std::size_t>(got);
    std::size_t next = 0;
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            unique_fd received = above_standard(fd);
            if (next < fds.size()) fds[next++] = std::move(received);
        }
    }
    return {};
}

std::error_code copy_descriptor(int fd, unique_fd& copy) noexcept {
    return take_over(checked_call("fcntl", [&] { return ::fcntl(fd, F_DUPFD_CLOEXEC, 3); }), copy);
}

std::error_code copy_descriptor_of(int pidfd, int number, unique_fd& copy) noexcept {
    // By number: the C library has it only since 2.36.
    constexpr long pidfd_getfd = 438;
    return take_over(checked_call("pidfd_getfd", [&] { return ::syscall(pidfd_getfd, pidfd, number, 0U); }),
                     copy);
}

void close_by_exec(int fd) noexcept {
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

bool has_file_type(mode_t mode) noexcept {
    return (mode & S_IFMT) != 0;
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
