// names.hpp - what a segment and an object may be called.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <string_view>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Why `name` cannot be a segment's, or empty: 1-200 bytes, no '/', no control characters, no '.' or '-' in front, not
/// "pid:...".
std::string segment_name_problem(std::string_view name);

/// Why `name` cannot be an object's, or empty: 1-255 bytes of UTF-8 without control characters and '['.
std::string object_name_problem(std::string_view name);

bool is_utf8(std::string_view text) noexcept;

/// The name for a message: control characters, which would cut it short or change a terminal, as \xNN.
std::string printable_name(std::string_view name);

}  // namespace cairn::inline CAIRN_ABI::detail
