// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/codec/msgpack.hpp"

#include <bit>

#include "codec/msgpack_item.hpp"
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// MessagePack is big-endian.
bool take_number(std::span<const std::byte>& rest, std::size_t bytes, std::uint64_t& value) noexcept {
    if (rest.size() < bytes) return false;
    value = 0;
    for (const std::byte each : rest.first(bytes)) value = value << 8U | std::to_integer<std::uint64_t>(each);
    rest = rest.subspan(bytes);
    return true;
}

bool take_bytes(std::span<const std::byte>& rest, std::uint64_t count, msgpack_item& item,
                msgpack_kind kind) noexcept {
    if (count > rest.size()) return false;
    item.kind = kind;
    item.bytes = rest.first(static_cast<std::size_t>(count));
    rest = rest.subspan(static_cast<std::size_t>(count));
    return true;
}

bool take_extension(std::span<const std::byte>& rest, std::uint64_t count, msgpack_item& item) noexcept {
    std::uint64_t type = 0;
    if (!take_number(rest, 1, type)) return false;
    item.extension = static_cast<std::int8_t>(type);
    return take_bytes(rest, count, item, msgpack_kind::extension);
}

// Each item that follows has a byte at least.
bool is_followed_by(std::span<const std::byte> rest, std::uint64_t count, msgpack_item& item,
                    msgpack_kind kind) noexcept {
    item.kind = kind;
    item.count = kind == msgpack_kind::map ? 2 * count : count;
    return item.count <= rest.size();
}

bool take_signed(std::span<const std::byte>& rest, std::size_t bytes, msgpack_item& item) noexcept {
    std::uint64_t value = 0;
    if (!take_number(rest, bytes, value)) return false;
    const auto unused_bits = static_cast<unsigned>(64 - 8 * bytes);
    item.kind = msgpack_kind::signed_integer;
    item.number = static_cast<std::uint64_t>(static_cast<std::int64_t>(value << unused_bits) >> unused_bits);
    return true;
}

bool take_floating(std::span<const std::byte>& rest, std::size_t bytes, msgpack_item& item) noexcept {
    std::uint64_t value = 0;
    if (!take_number(rest, bytes, value)) return false;
    item.kind = msgpack_kind::floating;
    // As doubles, as Python has them: nlohmann::json writes a double as a float where nothing is lost.
    item.floating = bytes == 4 ? static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(value)))
                               : std::bit_cast<double>(value);
    return true;
}

// The items that begin with 0xc0 to 0xdf, by their first byte.
bool take_marked(std::span<const std::byte>& rest, unsigned mark, msgpack_item& item) noexcept {
    std::uint64_t length = 0;
    switch (mark) {
        case 0xc0: item.kind = msgpack_kind::nil; return true;
        case 0xc2:
        case 0xc3:
            item.kind = msgpack_kind::boolean;
            item.number = mark - 0xc2;
            return true;
        case 0xc4:
        case 0xc5:
        case 0xc6:
            return take_number(rest, std::size_t{1} << (mark - 0xc4), length) &&
                   take_bytes(rest, length, item, msgpack_kind::binary);
        case 0xc7:
        case 0xc8:
        case 0xc9:
            return take_number(rest, std::size_t{1} << (mark - 0xc7), length) &&
                   take_extension(rest, length, item);
        case 0xca: return take_floating(rest, 4, item);
        case 0xcb: return take_floating(rest, 8, item);
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
            item.kind = msgpack_kind::unsigned_integer;
            return take_number(rest, std::size_t{1} << (mark - 0xcc), item.number);
        case 0xd0:
        case 0xd1:
        case 0xd2:
        case 0xd3: return take_signed(rest, std::size_t{1} << (mark - 0xd0), item);
        case 0xd4:
        case 0xd5:
        case 0xd6:
        case 0xd7:
        case 0xd8: return take_extension(rest, std::uint64_t{1} << (mark - 0xd4), item);
        case 0xd9:
        case 0xda:
        case 0xdb:
            return take_number(rest, std::size_t{1} << (mark - 0xd9), length) &&
                   take_bytes(rest, length, item, msgpack_kind::text);
        case 0xdc:
        case 0xdd:
            return take_number(rest, std::size_t{2} << (mark - 0xdc), length) &&
                   is_followed_by(rest, length, item, msgpack_kind::array);
        case 0xde:
        case 0xdf:
            return take_number(rest, std::size_t{2} << (mark - 0xde), length) &&
                   is_followed_by(rest, length, item, msgpack_kind::map);
        default: return false;  // 0xc1 is nothing
    }
}

bool take_value(std::span<const std::byte>& rest, int depth) noexcept {
    msgpack_item item;
    if (depth > most_nested_msgpack || !take_item(rest, item)) return false;
    for (std::uint64_t i = 0; i < item.count; ++i) {
        if (!take_value(rest, depth + 1)) return false;
    }
    return true;
}

void append_binary(std::string& to, std::span<const std::byte> bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const bool has_single = text.find('\'') != std::string_view::npos;
    const char quote = has_single && text.find('"') == std::string_view::npos ? '"' : '\'';
    to += 'b';
    to += quote;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == quote || c == '\\') to += '\\', to += c;
        else if (c == '\n') to += "\\n";
        else if (c == '\r') to += "\\r";
        else if (c == '\t') to += "\\t";
        else if (byte >= 0x20 && byte < 0x7f) to += c;
        else to += "\\x", to += digits[byte >> 4U], to += digits[byte & 0xfU];
    }
    to += quote;
}

void append_value(std::string& to, std::span<const std::byte>& rest) {
    msgpack_item item;
    if (!take_item(rest, item)) return;
    switch (item.kind) {
        case msgpack_kind::nil: to += "None"; return;
        case msgpack_kind::boolean: return append_repr(to, item.number != 0);
        case msgpack_kind::signed_integer: return append_repr(to, static_cast<std::int64_t>(item.number));
        case msgpack_kind::unsigned_integer: return append_repr(to, item.number);
        case msgpack_kind::floating: return append_repr(to, item.floating);
        case msgpack_kind::text: return append_repr(to, item.text());
        case msgpack_kind::binary: return append_binary(to, item.bytes);
        case msgpack_kind::extension:
            to += "ExtType(code=" + std::to_string(item.extension) + ", data=";
            append_binary(to, item.bytes);
            to += ')';
            return;
        case msgpack_kind::array:
        case msgpack_kind::map: break;
    }
    const bool is_map = item.kind == msgpack_kind::map;
    to += is_map ? '{' : '[';
    for (std::uint64_t i = 0; i < item.count; ++i) {
        if (is_map && i % 2 == 1) to += ": ";
        else if (i != 0) to += ", ";
        append_value(to, rest);
    }
    to += is_map ? '}' : ']';
}

}  // namespace

bool take_item(std::span<const std::byte>& rest, msgpack_item& item) noexcept {
    item = {};
    if (rest.empty()) return false;
    const auto mark = std::to_integer<unsigned>(rest[0]);
    rest = rest.subspan(1);
    if (mark >= 0xc0 && mark < 0xe0) return take_marked(rest, mark, item);
    if (mark >= 0xa0 && mark < 0xc0) return take_bytes(rest, mark & 0x1fU, item, msgpack_kind::text);
    if (mark >= 0x90 && mark < 0xa0) return is_followed_by(rest, mark & 0xfU, item, msgpack_kind::array);
    if (mark >= 0x80 && mark < 0x90) return is_followed_by(rest, mark & 0xfU, item, msgpack_kind::map);
    item.kind = msgpack_kind::signed_integer;
    item.number = static_cast<std::uint64_t>(std::int64_t{static_cast<std::int8_t>(mark)});
    return true;
}

bool is_msgpack(std::span<const std::byte> bytes) noexcept {
    return take_value(bytes, 1) && bytes.empty();
}

void append_msgpack_repr(std::string& to, std::span<const std::byte> bytes) {
    if (is_msgpack(bytes)) append_value(to, bytes);
    else to += '?';
}

void require_msgpack(const char* type, std::span<const std::byte> bytes) {
    if (is_msgpack(bytes)) return;
    throw invalid_argument(std::string("encode ") + type + ": it is no value, or nested deeper than " +
                           std::to_string(most_nested_msgpack) + " levels");
}

}  // namespace cairn::inline CAIRN_ABI::detail
