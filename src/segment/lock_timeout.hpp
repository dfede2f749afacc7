// lock_timeout.hpp - locks of a segment that are not free in time: what limits a wait, and who is to be named.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>

#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The limit of this thread's operation, and the lock_timeout of the segment's manager where the operation has no deadline.
lock_limit limit_in(const segment& s) noexcept;

/// Who holds a lock in the segment, as its participants tell.
holder_judge judge_of(const segment& s) noexcept;

/// "1.0 s"
std::string in_seconds(std::chrono::nanoseconds time);
/// "pid 4711 (worker, stopped)", of a thread of it.
std::string describe_holder(std::uint32_t thread);

/// While it lives, this thread waits for locks however long it takes, whatever its operation's limit and the manager's lock_timeout.
class unlimited_locks {
public:
    unlimited_locks() noexcept;
    unlimited_locks(const unlimited_locks&) = delete;
    unlimited_locks& operator=(const unlimited_locks&) = delete;
    ~unlimited_locks();

private:
    const operation_limit* before_;
};

/// From the beginning of a wait for a lock: who has held it all the time is named as such.
class lock_watch {
public:
    explicit lock_watch(const stored_mutex& m) noexcept;
    /// "<what>: its lock was not free within 1.0 s: pid 4711 (worker, stopped) holds it".
    [[noreturn]] void throw_timeout(const std::string& what) const;

private:
    const stored_mutex& mutex_;
    std::uint64_t acquired_;
    steady_time begin_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
