// SPDX-License-Identifier: BSL-1.0
#include "os/fault.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

constinit std::atomic<fault_hook> fault{nullptr};

}  // namespace cairn::inline CAIRN_ABI::detail::os
