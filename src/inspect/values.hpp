// values.hpp - values and arrays, as they are stored.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>

#include "inspect/image.hpp"
#include "inspect/synchronisation.hpp"
#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/sync/sync_layout.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

/// The word of a value that is one, of that type; nothing where it is none.
std::optional<plain_state> cell_in(image& in, const root_slot& slot, const std::string& type);
/// The list of one that another value lies in; null where there is none, or it makes no sense.
list_node* element_in(image& in, const root_slot& slot);
void fill_value(object_facts& facts, image& in, const root_slot& slot);
/// The node of an array whose elements the segment has room for; or null.
const array_node* array_in(image& in, const root_slot& slot);
void fill_array(object_facts& facts, image& in, const root_slot& slot);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
