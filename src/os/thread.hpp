// thread.hpp - threads that somebody joins, with errors as codes.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <system_error>

#include <pthread.h>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Starts a thread with the system's usual stack and the caller's signal mask. EAGAIN: no further thread allowed.
std::error_code start_thread(pthread_t& thread, void* (*body)(void*), void* argument) noexcept;

/// The same, with all signals blocked in it.
std::error_code start_quiet_joinable(pthread_t& thread, void* (*body)(void*), void* argument) noexcept;

/// Waits for its end, and gives its stack back. Once for each thread that was started.
void join_thread(pthread_t thread) noexcept;

/// Instead of join_thread(): its stack goes back when it ends.
void detach_thread(pthread_t thread) noexcept;

[[nodiscard]] pthread_t own_thread() noexcept;

struct stack_range {
    std::uintptr_t lowest = 0;  ///< address
    std::size_t size = 0;       ///< bytes; 0: the system does not say
};
/// The calling thread's stack. Cost: a few microseconds.
[[nodiscard]] stack_range own_stack() noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail::os
