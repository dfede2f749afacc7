// recovery.hpp - what the next user of a segment would do first, done in an image: take back, or finish, what a dead
// process had begun.
//
// The undo logs are replayed here, since the library's replay trusts that the segment was opened as a sound one. Then, if
// the chains that it will follow lead somewhere, the library's own recovery does the rest.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "inspect/image.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

struct recovery_report {
    std::vector<std::string> notes;     // what was done
    std::vector<std::string> problems;  // what could not be done
};

constexpr std::uint32_t every_root = 0;

/// Recovers the segment, then root `link`, or every root whose writer is not alive. The image is loaded whole.
recovery_report recover_roots(image& in, std::uint32_t link);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
