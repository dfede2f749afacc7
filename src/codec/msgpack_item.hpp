// msgpack_item.hpp - MessagePack, one item after the other.
//
// An array or a map is an item that says how many items follow it (of a map, twice as many).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class msgpack_kind {
    nil,
    boolean,
    signed_integer,
    unsigned_integer,
    floating,
    text,
    binary,
    extension,
    array,
    map
};

struct msgpack_item {
    msgpack_kind kind = msgpack_kind::nil;
    std::uint64_t number = 0;  // of a boolean or integer
    double floating = 0;
    std::span<const std::byte> bytes;  // of text, binary, extension
    std::int8_t extension = 0;
    std::uint64_t count = 0;  // of the items that follow

    [[nodiscard]] std::string_view text() const noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

/// Takes an item off the front; false when what is there is none, or says that more follows than there are bytes.
bool take_item(std::span<const std::byte>& rest, msgpack_item& item) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
