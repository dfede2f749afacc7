// futex.hpp - sleeping and waking, across processes (FUTEX_WAIT and FUTEX_WAKE without PRIVATE) and inside one.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// By which bits of a sleeper it can be woken: any.
constexpr std::uint32_t any_sleeper = std::numeric_limits<std::uint32_t>::max();

/// Sleeps while *word == expected, at most until `deadline` (steady clock). Returns on a wake, on another value, at
/// the deadline, on a signal, or for no reason: the caller looks again. `bits`: for futex_wake_some().
CAIRN_API void futex_wait(std::uint32_t* word, std::uint32_t expected,
                          std::chrono::steady_clock::time_point deadline,
                          std::uint32_t bits = any_sleeper) noexcept;

/// Wakes up to `count` sleepers; returns how many.
CAIRN_API int futex_wake(std::uint32_t* word, int count) noexcept;

/// Wakes all sleepers that have one of these bits; returns how many.
CAIRN_API int futex_wake_some(std::uint32_t* word, std::uint32_t bits) noexcept;

/// The same among the threads of this process alone, which costs the kernel less.
void futex_wait_private(std::uint32_t* word, std::uint32_t expected,
                        std::chrono::steady_clock::time_point deadline) noexcept;
int futex_wake_private(std::uint32_t* word, int count) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
