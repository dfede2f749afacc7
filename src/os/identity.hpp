// identity.hpp - which process is that, and is it still alive?
//
// A pid alone says nothing for long: pids are reused, and a zombie answers kill(pid, 0). Pid and start time together
// name one process for as long as the system is up.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline v0::detail::os {

/// pid in the low 22 bits (the kernel's largest is 2^22), start time in clock ticks since boot above. 0: nobody.
using process_identity = std::uint64_t;

constexpr unsigned pid_bits = 22;

constexpr pid_t pid_of(process_identity identity) noexcept {
    return static_cast<pid_t>(identity & ((std::uint64_t{1} << pid_bits) - 1));
}

/// Of the calling process; async-signal-safe, so that a forked child can ask. 0 when /proc cannot be read.
process_identity own_identity() noexcept;

/// Of the process `pid`; 0 when there is none, or only a zombie of it.
process_identity identity_of(pid_t pid) noexcept;

/// False once the process has ended (a zombie has). Cost: three system calls.
CAIRN_API bool is_alive(process_identity identity) noexcept;

/// Inode of the calling process's pid namespace; 0 when not known.
std::uint64_t pid_namespace() noexcept;

/// Of the running system; zero when not known.
std::array<std::uint64_t, 2> boot_id() noexcept;

/// Name of the running program, as ps shows it.
void program_name(char (&name)[32]) noexcept;

pid_t thread_id() noexcept;

std::int64_t now_since_epoch_nanoseconds() noexcept;

}  // namespace cairn::inline v0::detail::os
