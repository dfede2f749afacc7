// synchronisation.hpp - locks and the like in an image, whose bytes may be anything.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inspect/image.hpp"
#include <cairn/detail/sync/sync_layout.hpp>
#include <cairn/inspect.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

/// What is for synchronisation, and has a state rather than elements.
bool is_synchronisation(object_kind kind) noexcept;

/// Fills in `status`, `items` and `holders`; a note where its node makes no sense.
void fill_synchronisation(object_facts& facts, image& in, const root_slot& slot);

/// Who reads under a shared_mutex, into its holders and its status. `number`: of its slot.
void add_readers(object_facts& facts, image& in, std::uint32_t number);
/// "held, taken 2 times; its owner before died with it"
std::string lock_status_of(const mutex_node& node, const root_slot& slot);

/// The state as a value of a type, for contents(): whether a lock is held ... Nothing where the node makes no sense.
struct plain_state {
    std::string type;
    std::vector<std::byte> bytes;
};
std::optional<plain_state> state_in(image& in, const root_slot& slot);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
