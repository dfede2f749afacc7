// msgpack.hpp - what Cairn itself knows of MessagePack: whether bytes are one value of it, and what that looks like.
//
// Values of nlohmann::json and of msgpack-c's types are stored in it. Their libraries trust the lengths in it, or recurse
// as deep as the bytes say, so bytes from a segment are looked at first.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Deeper values are neither written nor read: their readers recurse.
constexpr int most_nested_msgpack = 512;

/// One whole value, nothing behind it, no deeper than that.
CAIRN_API bool is_msgpack(std::span<const std::byte> bytes) noexcept;

/// Python's notation of a value: {'a': [1, None, b'\x00']}; `?` if it is none.
CAIRN_API void append_msgpack_repr(std::string& to, std::span<const std::byte> bytes);

/// @throws invalid_argument  what a library has made of a value is not: it was too deep, or no value
CAIRN_API void require_msgpack(const char* type, std::span<const std::byte> bytes);

}  // namespace cairn::inline CAIRN_ABI::detail
