// inherited.hpp - what a process that was forked to look after others gives up of what it has inherited.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <vector>

#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// It is no participant any more but of `own`, if that is not null: else segments that open_or_create() has made would live as long as
/// it. Its children are participants again, by their fork.
void leave_other_segments(const segment* own) noexcept;

/// But for the standard streams, `kept`, and those of segments. What is open here stays open for as long as this process lives: a peer
/// would never see the end of a connection.
void close_inherited_descriptors(std::vector<int> kept);

}  // namespace cairn::inline CAIRN_ABI::detail
