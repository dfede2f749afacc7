// decode_msgpack.cpp - MessagePack as decoded elements.
// SPDX-License-Identifier: BSL-1.0
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codec/msgpack_item.hpp"
#include "inspect/decode.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

element_value take_decoded(std::span<const std::byte>& rest) {
    msgpack_item item;
    if (!take_item(rest, item)) return {std::monostate{}};
    switch (item.kind) {
        case msgpack_kind::nil: return {nullptr};
        case msgpack_kind::boolean: return {item.number != 0};
        case msgpack_kind::signed_integer: return {static_cast<std::int64_t>(item.number)};
        case msgpack_kind::unsigned_integer: return {item.number};
        case msgpack_kind::floating: return {item.floating};
        case msgpack_kind::text: return {std::string(item.text())};
        case msgpack_kind::binary:
        case msgpack_kind::extension: return {std::vector<std::byte>(item.bytes.begin(), item.bytes.end())};
        case msgpack_kind::array: {
            std::vector<element_value> items;
            for (std::uint64_t i = 0; i < item.count; ++i) items.push_back(take_decoded(rest));
            return {std::move(items)};
        }
        case msgpack_kind::map: break;
    }
    std::vector<element_pair> pairs;
    for (std::uint64_t i = 0; i < item.count; i += 2) {
        element_value key = take_decoded(rest);
        pairs.push_back({std::move(key), take_decoded(rest)});
    }
    return {std::move(pairs)};
}

}  // namespace

element_value decode_msgpack(std::span<const std::byte> value) {
    return take_decoded(value);
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
