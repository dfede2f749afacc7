// root_state.hpp - words of a root's control block, for those who enter and leave it and those who repair it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

inline bool is_live(const root_slot& slot) noexcept {
    return load_word(slot.state) == static_cast<std::uint32_t>(root_state::live);
}

inline bool is_poisoned(const root_slot& slot) noexcept {
    return load_word(slot.state) == static_cast<std::uint32_t>(root_state::poisoned);
}

inline void make_even(root_slot& slot) noexcept {
    const std::uint64_t version = load_word(slot.version);
    // release: pairs with the readers' acquire; the repaired bytes come first
    if (version % 2 != 0) __atomic_store_n(&slot.version, version + 1, __ATOMIC_RELEASE);
}

}  // namespace cairn::inline CAIRN_ABI::detail
