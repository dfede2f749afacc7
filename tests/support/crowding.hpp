// crowding.hpp - segments without a free page, so that whatever needs memory has to ask the system.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>

#include "os/fault.hpp"
#include "support/opened.hpp"
#include <cairn/error.hpp>
#include <cairn/list.hpp>

namespace cairn_test {

/// Takes all pages of the filler's segment that are free.
inline void use_up_pages(const cairn::list<char>& filler) {
    const opened_list<char> inside(filler);
    cairn::detail::segment& s = inside.in();
    cairn::detail::root_transaction tx(s, inside.slot(), inside.generation());
    while (s.control().free_pages != 0) {
        static_cast<void>(tx.take_pages(1, cairn::detail::extent_purpose::large));
        tx.commit();
    }
}

/// Repeats `add` until it throws segment_full, while the system gives nothing.
template <typename Add>
void use_up_memory(Add add) {
    cairn::detail::os::fault.store([](const char* /*call*/) noexcept { return ENOSPC; });
    try {
        for (;;) add();
    } catch (const cairn::segment_full&) {}
    cairn::detail::os::fault.store(nullptr);
}

}  // namespace cairn_test
