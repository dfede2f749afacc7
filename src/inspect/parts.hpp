// parts.hpp - objects that are several roots (a sharded_dict): which ones.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "inspect/image.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

/// Whether the root is one of an object in parts: the one with the name and the node.
bool has_parts(const root_slot& slot) noexcept;

/// Whether `part` is a part of the root `link`, which is `whole`.
bool is_part_of(const root_slot& part, const root_slot& whole, std::uint32_t link) noexcept;

/// The node of an object in parts, judged alone: its count is possible, and its links lie in the segment. Or null.
const parts_node* parts_node_in(const segment& s, const root_slot& whole) noexcept;

/// Links of the parts of the root `link`, in their order; none where its node makes no sense.
std::vector<std::uint32_t> parts_in(image& in, const root_slot& whole, std::uint32_t link);

/// The same as it is in the file by now, where objects are made and removed meanwhile. Nothing when `whole`, which was read
/// before, is there no more.
std::optional<std::vector<std::uint32_t>> parts_now(const source& from, root_slot whole, std::uint32_t link);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
