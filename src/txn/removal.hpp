// removal.hpp - the end of a root.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string_view>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Takes the root of that name out of the directory, with its parts, wakes who waits on it, and gives its memory back.
/// False when there is none. Locks the roots first, in the order of their slots, then the segment.
bool remove_root(segment& s, std::string_view name);

}  // namespace cairn::inline CAIRN_ABI::detail
