// descriptor.hpp - cairn::descriptor, a file descriptor that can be an argument and an element: a listening socket for services, a file
// for a task.
//
//   const cairn::descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));   // takes it over
//   bind(socket.get(), ...), listen(socket.get(), 100);
//   sm.add<server>(2, socket);                                                          // one backlog for both workers
//
// Handle        copies refer to the same descriptor, which is closed with the last of them; a forked child's are its own.
// Stored        which process has it, under what number, and which file that is. Who reads it gets a descriptor of its own for that file:
//               from that process (pidfd_getfd), or what it has inherited under that number. So it is an address, not the file: when it
//               is read, its process has to have it open still, or the reader has to have inherited it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {
class owned_descriptor;
}

/// A file descriptor that closes itself. Empty unless told; copies are cheap.
///
/// As an argument of a service it is there, under the same number, in each worker, also in those that are started later: the program may
/// close its own meanwhile. As an argument of a task, or an element of a container, it is looked up by the process that decodes it.
/// That is `refused` where
/// - the process that encoded it has ended, or closed it, and the reader has not inherited it: a pool's workers have what
///   `start_nursery({.keep = {fd}})` keeps;
/// - the system does not let the reader look into that process: another user's, or (Yama's ptrace_scope 1, Ubuntu's default) any that
///   is no descendant of the reader.
///
/// Safety: as std::shared_ptr.
class CAIRN_API descriptor {
public:
    descriptor() noexcept = default;
    /// Takes the descriptor over, and has it closed by exec.
    ///
    /// @throws invalid_argument  it is not open
    explicit descriptor(int fd);

    /// Another one for the same file, which leaves `fd` to its owner.
    ///
    /// @throws invalid_argument  it is not open
    /// @throws system_failure    no descriptor left
    [[nodiscard]] static descriptor copy_of(int fd);

    /// Its number; -1 when empty.
    [[nodiscard]] int get() const noexcept;
    explicit operator bool() const noexcept { return get() >= 0; }

    /// Whether they are copies of each other.
    friend bool operator==(const descriptor&, const descriptor&) = default;
    /// "descriptor(7)"
    friend CAIRN_API std::ostream& operator<<(std::ostream& out, const descriptor& fd);

private:
    std::shared_ptr<const detail::owned_descriptor> file_;
};

/// A socket that systemd has opened for this program.
struct passed_descriptor {
    std::string name;  ///< FileDescriptorName=; "unknown" where it was not said
    descriptor fd;
};

/// What systemd's socket activation has passed (LISTEN_FDS, for this process by LISTEN_PID): copies, each time. Empty when there is none.
/// The originals are closed by exec from here on.
///
/// @throws system_failure  no descriptor left
CAIRN_API std::vector<passed_descriptor> passed_descriptors();

/// 32 bytes, whatever it is.
template <>
struct codec<descriptor> {
    static std::string type_name() { return "descriptor"; }
    static std::size_t size(const descriptor&) noexcept { return encoded_bytes; }
    CAIRN_API static void encode(const descriptor& value, std::byte* to);
    /// @throws refused          see descriptor
    /// @throws corrupt_segment  no such bytes
    CAIRN_API static descriptor decode(std::span<const std::byte> bytes);
    CAIRN_API static void append_repr(std::string& to, const descriptor& value);

    static constexpr std::size_t encoded_bytes = 32;
};

}  // namespace cairn::inline CAIRN_ABI
