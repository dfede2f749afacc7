// fault.hpp - the one place where tests make the system say no.
//
// Every call of os/ that can fail asks here first. Outside tests the hook is null: one relaxed load beside a
// system call.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail::os {

/// Gets the name of the call that is about to be made; returns 0 to let it through or the errno to fail with.
using fault_hook = int (*)(const char* call) noexcept;

CAIRN_API extern std::atomic<fault_hook> fault;

/// The errno with which the call named `call` shall fail, or 0.
inline int injected_fault(const char* call) noexcept {
    // relaxed: only a test of this process writes it, before it starts the work under test
    const fault_hook hook = fault.load(std::memory_order_relaxed);
    return hook == nullptr ? 0 : hook(call);
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
