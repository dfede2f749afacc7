// SPDX-License-Identifier: BSL-1.0
#include "cairn/version.hpp"

#include <cairn/detail/segment/segment_layout.hpp>

#define CAIRN_TEXT_OF(x) #x
#define CAIRN_TEXT(x) CAIRN_TEXT_OF(x)

namespace cairn::inline CAIRN_ABI {

const char* version() noexcept {
    return CAIRN_TEXT(CAIRN_VERSION_MAJOR) "." CAIRN_TEXT(CAIRN_VERSION_MINOR) "." CAIRN_TEXT(
        CAIRN_VERSION_PATCH);
}

std::uint32_t format_version() noexcept {
    return detail::segment_format;
}

}  // namespace cairn::inline CAIRN_ABI
