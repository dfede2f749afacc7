// repr.hpp - Python's notation of values: 1, 2.5, True, 'text', [1, 2], (1,), {'a': 1}, None.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <variant>
#include <vector>

#include <cairn/codec.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

CAIRN_API void append_repr(std::string& to, std::int64_t value);
CAIRN_API void append_repr(std::string& to, std::uint64_t value);
CAIRN_API void append_repr(std::string& to, double value);
CAIRN_API void append_repr(std::string& to, float value);
CAIRN_API void append_repr(std::string& to, bool value);
/// Quoted as Python does; what is not UTF-8 or not printable as an escape (\xNN).
CAIRN_API void append_repr(std::string& to, std::string_view text);
/// "<struct[24,8] 00ff...>" for what has no notation.
CAIRN_API void append_bytes(std::string& to, const std::string& type, const void* bytes, std::size_t count);
CAIRN_API void write(std::ostream& to, const std::string& text);

template <typename T>
void append_element(std::string& to, const T& value);

template <typename T>
concept member_repr = requires(const T& value, std::string& to) { value.append_repr_to(to); };

template <typename T>
concept codec_repr = requires(const T& value, std::string& to) { codec<T>::append_repr(to, value); };

/// Types of the user's own codec, and structs without CAIRN_FIELDS: "<point 0a00...>", their encoding.
template <typename T>
void append_encoded(std::string& to, const T& value) {
    std::vector<std::byte> bytes(codec<T>::size(value));
    codec<T>::encode(value, bytes.data());
    append_bytes(to, codec<T>::type_name(), bytes.data(), bytes.size());
}

/// Writes elements with a comma between, however many there are.
class repr_items {
public:
    explicit repr_items(std::string& to) : to_(to) {}
    template <typename T>
    std::string& next(const T& item) {
        if (!first_) to_ += ", ";
        first_ = false;
        append_element(to_, item);
        return to_;
    }

private:
    std::string& to_;
    bool first_ = true;
};

template <typename T>
void append_in_shape(std::string& to, const T& value) {
    repr_items items(to);
    if constexpr (shape_of<T> == shape::array || shape_of<T> == shape::vector) {
        to += '[';
        for (const first_part_of<T>& item : value) items.next(item);
        to += ']';
    } else if constexpr (shape_of<T> == shape::optional) {
        if (value) append_element(to, *value);
        else to += "None";
    } else if constexpr (shape_of<T> == shape::tuple) {
        to += '(';
        std::apply([&](const auto&... parts) { (items.next(parts), ...); }, value);
        to += std::tuple_size_v<T> == 1 ? ",)" : ")";
    } else if constexpr (shape_of<T> == shape::variant) {
        if (value.valueless_by_exception()) to += "None";
        else std::visit([&](const auto& held) { append_element(to, held); }, value);
    } else {
        static_assert(shape_of<T> == shape::map);
        to += '{';
        for (const auto& [key, mapped] : value) {
            items.next(key) += ": ";
            append_element(to, mapped);
        }
        to += '}';
    }
}

template <typename T>
void append_fields(std::string& to, const T& value) {
    to += '{';
    std::size_t i = 0;
    repr_items items(to);
    with_fields<T>([&]<auto... Members>() {
        ((items.next(cairn_fields_of(fields_tag<T>{}).names[i++]) += ": ",
          append_element(to, value.*Members)),
         ...);
    });
    to += '}';
}

/// Text in an array of char ends at the first zero, or with the array.
template <std::size_t N>
std::string_view text_of(const char (&text)[N]) {
    return std::string_view(text, N).substr(0, std::string_view(text, N).find('\0'));
}

template <typename T>
void append_element(std::string& to, const T& value) {
    if constexpr (member_repr<T>) value.append_repr_to(to);
    else if constexpr (codec_repr<T>) codec<T>::append_repr(to, value);
    else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, float>) append_repr(to, value);
    else if constexpr (std::is_floating_point_v<T>) append_repr(to, static_cast<double>(value));
    else if constexpr (std::is_enum_v<T>) append_element(to, static_cast<std::underlying_type_t<T>>(value));
    else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
        append_repr(to, static_cast<std::int64_t>(value));
    else if constexpr (std::is_integral_v<T>) append_repr(to, static_cast<std::uint64_t>(value));
    else if constexpr (std::is_array_v<T> && std::is_same_v<std::remove_extent_t<T>, char>)
        append_repr(to, text_of(value));
    else if constexpr (std::is_convertible_v<const T&, std::string_view>)
        append_repr(to, std::string_view(value));
    else if constexpr (std::is_same_v<T, std::monostate>) to += "None";
    else if constexpr (shape_of<T> != shape::other) append_in_shape(to, value);
    else if constexpr (has_fields<T>) append_fields(to, value);
    else append_encoded(to, value);
}

}  // namespace detail

/// Python's notation of anything codable: repr(2.0) is "2.0", repr(std::string("it's")) is "\"it's\"".
template <typename T>
[[nodiscard]] std::string repr(const T& value) {
    std::string text;
    detail::append_element(text, value);
    return text;
}

}  // namespace cairn::inline CAIRN_ABI
