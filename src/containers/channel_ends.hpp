// channel_ends.hpp - who puts into a channel and who gets from it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "txn/root_pin.hpp"
#include <cairn/detail/containers/channel_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

inline stored_pin& pin_of(root_slot& slot, channel_end end) noexcept {
    return slot.pins[end];
}

/// Makes this thread the owner of the end, once its pin is free. Waits on the root's lock, so whoever has made the version odd
/// is done afterwards. Throws invalid_state where a living thread owns it, and whatever the lock throws.
void claim_end(const channel_reference& c, channel_end end);

}  // namespace cairn::inline CAIRN_ABI::detail
