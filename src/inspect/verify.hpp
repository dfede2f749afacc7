// verify.hpp - every invariant of a segment, checked.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <vector>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// All that is wrong in an attached segment which nobody else uses at this moment; empty when every invariant holds:
/// page map, free lists and owners cover the pages exactly, the directory leads to every object and nowhere else, all locks
/// are free and all logs empty, every block of every arena is reached once or free, every list is whole.
/// `deep` decodes every element as well.
/// Reads only; takes no lock, and never throws for damage.
CAIRN_API std::vector<std::string> verify_segment(const segment& s, bool deep = true);

}  // namespace cairn::inline CAIRN_ABI::detail
