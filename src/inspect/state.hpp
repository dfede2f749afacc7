// state.hpp - what an inspection holds.
#pragma once

#include "inspect/image.hpp"

namespace cairn::inline v0 {

struct inspection::state {
    detail::inspecting::source from;
};

}  // namespace cairn::inline v0
