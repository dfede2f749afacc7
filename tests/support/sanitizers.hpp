// sanitizers.hpp - which sanitizer a test is built with, for the few that one cannot run under.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/thread_sanitizer.hpp>

namespace cairn_test {

/// AddressSanitizer and UBSan's look at dynamic types read /proc: a process that has no descriptor left dies of them.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool has_address_sanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool has_address_sanitizer = true;
#else
inline constexpr bool has_address_sanitizer = false;
#endif
#else
inline constexpr bool has_address_sanitizer = false;
#endif

/// ThreadSanitizer writes the output buffers at _exit, so that its own reports are not lost.
#if defined(CAIRN_THREAD_SANITIZER)
inline constexpr bool has_thread_sanitizer = true;
#else
inline constexpr bool has_thread_sanitizer = false;
#endif

}  // namespace cairn_test
