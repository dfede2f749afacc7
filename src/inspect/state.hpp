// state.hpp - what an inspection holds.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "inspect/image.hpp"

namespace cairn::inline CAIRN_ABI {

struct inspection::state {
    detail::inspecting::source from;
};

}  // namespace cairn::inline CAIRN_ABI
