// version.hpp - the two version numbers: of the library, and of what it stores.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>

#include <cairn/detail/base/export.hpp>

#define CAIRN_VERSION_MAJOR 0
#define CAIRN_VERSION_MINOR 1
#define CAIRN_VERSION_PATCH 0
/// For comparisons: 0.1.0 is 100, 1.2.3 is 10203.
#define CAIRN_VERSION (CAIRN_VERSION_MAJOR * 10000 + CAIRN_VERSION_MINOR * 100 + CAIRN_VERSION_PATCH)

namespace cairn::inline CAIRN_ABI {

/// Of the library that is loaded: "0.1.0".
[[nodiscard]] CAIRN_API const char* version() noexcept;

/// Of the segments it makes and reads; checked when one is opened.
[[nodiscard]] CAIRN_API std::uint32_t format_version() noexcept;

}  // namespace cairn::inline CAIRN_ABI
