// backing.hpp - pages for a segment: the file behind it, extended while everybody is attached.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Backs the data pages [from, to) and their entries in the page map. Throws segment_full (no room in the file
/// system, no memory), system_failure. Pages that were backed before a throw are given
/// back, where there is a descriptor; what stays backed is nobody's.
void back_pages(segment& s, std::uint32_t from, std::uint32_t to);

}  // namespace cairn::inline CAIRN_ABI::detail
