// SPDX-License-Identifier: BSL-1.0
#include "inspect/channels.hpp"

#include "containers/channel_ring.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_channel(const root_slot& slot) noexcept {
    return static_cast<object_kind>(slot.kind) == object_kind::channel;
}

std::string_view channel_item_type(std::string_view recorded_name) {
    const std::string with_version = channel_type_name({});
    if (!recorded_name.ends_with(with_version)) return {};
    return recorded_name.substr(0, recorded_name.size() - with_version.size());
}

channel_node* channel_node_in(const segment& s, const root_slot& slot) {
    auto* node = s.find<channel_node>(slot.node);
    return node != nullptr && check_channel_node(s, *node).empty() ? node : nullptr;
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
