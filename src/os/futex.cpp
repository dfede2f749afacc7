// SPDX-License-Identifier: BSL-1.0
#include "os/futex.hpp"

#include <ctime>
#include <limits>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

void wait_on(std::uint32_t* word, std::uint32_t expected, std::chrono::steady_clock::time_point deadline,
             int scope, std::uint32_t bits) noexcept {
    const auto since_boot = deadline.time_since_epoch();
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_boot);
    timespec until = {};
    until.tv_sec = seconds.count();
    until.tv_nsec = std::chrono::duration_cast<std::chrono::nanoseconds>(since_boot - seconds).count();
    // BITSET: the absolute form, on CLOCK_MONOTONIC, which is what steady_clock reads
    ::syscall(SYS_futex, word, FUTEX_WAIT_BITSET | scope, expected, &until, nullptr, bits);
}

int wake_on(std::uint32_t* word, int count, int scope) noexcept {
    const long woken = ::syscall(SYS_futex, word, FUTEX_WAKE | scope, count, nullptr, nullptr, 0);
    return woken < 0 ? 0 : static_cast<int>(woken);
}

}  // namespace

static_assert(any_sleeper == FUTEX_BITSET_MATCH_ANY);

void futex_wait(std::uint32_t* word, std::uint32_t expected, std::chrono::steady_clock::time_point deadline,
                std::uint32_t bits) noexcept {
    wait_on(word, expected, deadline, 0, bits);
}

int futex_wake(std::uint32_t* word, int count) noexcept {
    return wake_on(word, count, 0);
}

int futex_wake_some(std::uint32_t* word, std::uint32_t bits) noexcept {
    const long woken = ::syscall(SYS_futex, word, FUTEX_WAKE_BITSET, std::numeric_limits<int>::max(), nullptr,
                                 nullptr, bits);
    return woken < 0 ? 0 : static_cast<int>(woken);
}

void futex_wait_private(std::uint32_t* word, std::uint32_t expected,
                        std::chrono::steady_clock::time_point deadline) noexcept {
    wait_on(word, expected, deadline, FUTEX_PRIVATE_FLAG, any_sleeper);
}

int futex_wake_private(std::uint32_t* word, int count) noexcept {
    return wake_on(word, count, FUTEX_PRIVATE_FLAG);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
