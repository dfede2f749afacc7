// json.hpp - nlohmann::json as an element: list<nlohmann::json> is the list of anything that Python programmers expect.
//
//   auto log = m.list<nlohmann::json>("log");
//   log.push_back({{"id", 1}, {"tags", {"a", "b"}}});
//   std::cout << log;                                      // [{'id': 1, 'tags': ['a', 'b']}]
//
// Stored        as MessagePack, which is smaller than text, keeps numbers as they are, and which shmctl reads without this
//               library. The type is called "json".
// Limits        512 levels deep; deeper ones are invalid_argument. A json is no key: 1 equals 1.0, and is stored otherwise.
// Needs         nlohmann_json 3.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <cairn/codec.hpp>
#include <cairn/detail/codec/key.hpp>
#include <cairn/detail/codec/msgpack.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

template <typename Json>
struct json_codec {
    static std::string type_name() { return "json"; }
    /// Encodes it to see how many bytes that are.
    /// @throws invalid_argument  nested too deeply, or discarded by a parser
    static std::size_t size(const Json& value) { return encoded(value).size(); }
    static void encode(const Json& value, std::byte* to) {
        const std::vector<std::uint8_t> bytes = encoded(value);
        std::memcpy(to, bytes.data(), bytes.size());
    }
    static Json decode(std::span<const std::byte> bytes) {
        // Before nlohmann's reader, which recurses as deep as the bytes tell it to.
        if (!is_msgpack(bytes)) throw_undecodable(type_name(), bytes.size());
        const auto* first = reinterpret_cast<const std::uint8_t*>(bytes.data());
        Json value = Json::from_msgpack(first, first + bytes.size(), true, false);
        // MessagePack has more than JSON: keys that are no text.
        if (value.is_discarded()) throw_undecodable(type_name(), bytes.size());
        return value;
    }
    static void append_repr(std::string& to, const Json& value) {
        const std::vector<std::uint8_t> bytes = encoded(value);
        append_msgpack_repr(to, std::as_bytes(std::span(bytes)));
    }

private:
    static std::vector<std::uint8_t> encoded(const Json& value) {
        require_depth(value, 1);
        std::vector<std::uint8_t> bytes = Json::to_msgpack(value);
        require_msgpack("json", std::as_bytes(std::span(bytes)));
        return bytes;
    }
    // Before nlohmann's writer, which recurses, too.
    static void require_depth(const Json& value, int depth) {
        if (depth > most_nested_msgpack) require_msgpack("json", {});
        if (value.is_structured()) {
            for (const Json& item : value) require_depth(item, depth + 1);
        }
    }
};

template <>
inline constexpr bool is_never_key<nlohmann::json> = true;
template <>
inline constexpr bool is_never_key<nlohmann::ordered_json> = true;

}  // namespace detail

template <>
struct codec<nlohmann::json> : detail::json_codec<nlohmann::json> {};

/// Keeps the order of its keys.
template <>
struct codec<nlohmann::ordered_json> : detail::json_codec<nlohmann::ordered_json> {};

}  // namespace cairn::inline CAIRN_ABI
