// supervision.hpp - the system calls of processes that look after others: guardians, nurseries, workers of pools.
//
// Nothing throws here, and nothing takes memory: these processes are forked from programs that may have threads.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>

#include <signal.h>
#include <sys/types.h>

#include "os/unique_fd.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Orphans among its descendants become this process's children.
void become_subreaper() noexcept;

/// While it lives, no signal is delivered to the calling thread: a child that is forked meanwhile has none delivered before it is ready.
class blocked_signals {
public:
    blocked_signals() noexcept;
    blocked_signals(const blocked_signals&) = delete;
    blocked_signals& operator=(const blocked_signals&) = delete;
    ~blocked_signals();

private:
    sigset_t before_;
};

/// No signal is delivered any more but those that cannot be blocked.
void block_all_signals() noexcept;
/// A descriptor that polls readable when a child has ended. After block_all_signals().
std::error_code open_child_signal(unique_fd& fd) noexcept;
/// Reads away what it says: the children are looked for anyway.
void drain_child_signal(int fd) noexcept;

/// The reverse in a worker: none is blocked, all have their default action again, but for SIGINT, SIGHUP and SIGQUIT, which do
/// nothing: they come to the whole group, and the program decides. Not ignored, as what a task execs would inherit that.
void set_worker_signals() noexcept;

/// Of this process, unless it is higher already: the kernel kills it sooner when memory runs out. 0 changes nothing. Needs no privilege;
/// where it cannot be done, it is not.
void raise_oom_score_adj(int least) noexcept;

/// A counter that polls readable while it is not 0, and that children share.
std::error_code open_bell(unique_fd& fd) noexcept;
/// Whether two more descriptors can be had at the moment.
std::error_code try_two_descriptors() noexcept;
void ring(int bell) noexcept;
/// What a bell or a pidfd is, by the kernel's own number of it: a program that closes what it does not know may have another file
/// there by now. 0 where it is no such file; nothing where that cannot be told (no /proc, no descriptor left).
std::optional<std::uint64_t> number_of_bell(int fd) noexcept;
std::optional<std::uint64_t> pid_of_pidfd(int fd) noexcept;
/// Of a process that was reaped.
constexpr std::uint64_t pid_of_the_reaped = ~std::uint64_t{0};
void silence(int bell) noexcept;

/// Waits until one of the descriptors is readable; negative ones are left out. `is_readable` says which.
void wait_for_any(std::span<const int> fds, std::span<bool> is_readable,
                  std::chrono::milliseconds longest) noexcept;

/// Reaps any child that has ended; 0 when there is none. `code` as child_status. `has_children` is false when there are none left.
pid_t reap_any(int& code, bool& has_children) noexcept;

/// A child that has ended, and stays to be reaped: by its pid. 0 when there is none. `code` as child_status.
pid_t find_ended_child(int& code) noexcept;

/// Calls `call` with the pid of each child of this process. False where the kernel does not list them.
bool for_each_child(void (*call)(pid_t child, void* context), void* context) noexcept;

/// Closes all descriptors but 0, 1, 2 and those of `kept`, which is put in order.
void close_other_descriptors(std::span<int> kept) noexcept;

/// Has a thread of this process look at the descriptor, and SIGKILL the process once that is readable: however the others block their
/// signals, and whatever number they close. Once for each process.
std::error_code die_with(int owner_pidfd) noexcept;

/// SIGKILLs the calling process at that time, however it is blocked, unless it is set anew; 0: never.
std::error_code set_own_end(std::uint64_t monotonic_nanoseconds) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
