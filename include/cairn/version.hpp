// version.hpp - the two version numbers: of the library, and of what it stores.
#pragma once

#include <cstdint>

#include <cairn/detail/base/export.hpp>

#define CAIRN_VERSION_MAJOR 0
#define CAIRN_VERSION_MINOR 1
#define CAIRN_VERSION_PATCH 0

namespace cairn::inline CAIRN_ABI {

/// Of the library that is loaded: "0.1.0".
[[nodiscard]] CAIRN_API const char* version() noexcept;

/// Of the segments it makes and reads; checked when one is opened.
[[nodiscard]] CAIRN_API std::uint32_t format_version() noexcept;

}  // namespace cairn::inline CAIRN_ABI
