// identity.hpp - which process is that, and is it still alive?
//
// A pid alone says nothing for long: pids are reused, and a zombie answers kill(pid, 0). Pid and start time together
// name one process for as long as the system is up, but not what runs in it: a process that has become another program
// (exec) has lost its mappings and locks as if it had been killed. The place of its stack, which the kernel chooses anew
// at each exec, tells the two apart.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <system_error>

#include <sys/types.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// pid in the low 22 bits (the kernel's largest is 2^22); above them 16 bits of where the stack is, 0 if not known; above
/// these the start time in clock ticks since boot, modulo 2^26 (a week). 0: nobody.
using process_identity = std::uint64_t;

constexpr unsigned pid_bits = 22;
constexpr unsigned stack_bits = 16;

constexpr pid_t pid_of(process_identity identity) noexcept {
    return static_cast<pid_t>(identity & ((std::uint64_t{1} << pid_bits) - 1));
}

/// Of the calling process; async-signal-safe, so that a forked child can ask. 0 when /proc cannot be read.
process_identity own_identity() noexcept;

/// The same, and the name of the program as ps shows it, at no further cost: zeros behind it, where it does not fill `program`.
process_identity own_identity(std::array<char, 32>& program) noexcept;

/// Of the process `pid`; 0 when there is none, or only a zombie of it.
process_identity identity_of(pid_t pid) noexcept;

/// False once the process has ended (a zombie has) or become another program. Where the latter cannot be seen (another
/// user's process, address randomisation switched off) such a process counts as alive. Cost: three system calls.
CAIRN_API bool is_alive(process_identity identity) noexcept;

/// The thread of that id is one of the process. A process's first thread counts as long as the process is there.
bool has_thread(pid_t process, pid_t thread) noexcept;

/// Inodes of the calling thread's pid and time namespaces; 0 when not known, or where the kernel has none. By the thread: the
/// process's first may have ended, and what /proc says of it with it.
std::uint64_t pid_namespace() noexcept;
std::uint64_t time_namespace() noexcept;

/// The id of the running system, which is another one after each start. An error where it cannot be read: no id stands for that, since
/// what is made by one process is judged by others.
[[nodiscard]] std::error_code boot_id(std::array<std::uint64_t, 2>& id) noexcept;

pid_t thread_id() noexcept;

std::int64_t now_since_epoch_nanoseconds() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
