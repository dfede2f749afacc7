#include "os/fault.hpp"

namespace cairn::inline v0::detail::os {

constinit std::atomic<fault_hook> fault{nullptr};

}  // namespace cairn::inline v0::detail::os
