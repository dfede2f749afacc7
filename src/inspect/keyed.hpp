// keyed.hpp - records of dicts and sets in an image, whose bytes may be anything.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "inspect/image.hpp"
#include <cairn/detail/containers/dict_core.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_keyed(const root_slot& slot) noexcept;

/// The node of a dict or a set, judged alone: its forms are known, and the segment has room for its records. Or null.
dict_node* dict_node_in(image& in, const root_slot& slot);

/// Calls `each` with the records first, first + 1 ... in order of insertion, `count` at most; with null for one that its
/// order knows and its tables do not have. Ends whatever the links are.
void walk_records(const segment& s, const dict_node& node, std::uint64_t first, std::uint64_t count,
                  const std::function<void(const std::byte*)>& each);

/// "str, vector<int64>" as the names of its two types; the second is empty where there is but one.
std::pair<std::string, std::string> split_types(const std::string& both);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
