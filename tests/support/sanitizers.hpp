// sanitizers.hpp - which sanitizer a test is built with, for the few that one cannot run under.
#pragma once

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

}  // namespace cairn_test
