// check.hpp - impossible states meet CAIRN_CHECK, in release builds too.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Writes the broken invariant to stderr and aborts: going on could damage what other processes share.
[[noreturn]] CAIRN_API CAIRN_COLD void check_failed(const char* what, const char* file, int line) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail

#define CAIRN_CHECK(condition, what)                                                                         \
    (static_cast<bool>(condition) ? static_cast<void>(0)                                                     \
                                  : ::cairn::detail::check_failed(what, __FILE__, __LINE__))
