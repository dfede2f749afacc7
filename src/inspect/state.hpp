// state.hpp - what an inspection holds.
#pragma once

#include "inspect/image.hpp"

namespace cairn::inline CAIRN_ABI {

struct inspection::state {
    detail::inspecting::source from;
};

}  // namespace cairn::inline CAIRN_ABI
