// channels.hpp - items of channels in an image, whose bytes may be anything.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "inspect/image.hpp"
#include <cairn/detail/containers/channel_core.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_channel(const root_slot& slot) noexcept;

/// Of "int64, boost 1.74" the type of an item; empty where it was another version of Boost than this library's, whose rings
/// lie otherwise.
std::string_view channel_item_type(std::string_view recorded_name);

/// The node of a channel whose root was loaded, with a ring that makes sense. Or null.
channel_node* channel_node_in(const segment& s, const root_slot& slot);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
