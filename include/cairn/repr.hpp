// repr.hpp - Python's notation of values: 1, 2.5, True, 'text', [1, 2].
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>

#include <cairn/codec.hpp>

namespace cairn::inline v0 {

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
inline constexpr bool is_vector = false;
template <typename T, typename A>
inline constexpr bool is_vector<std::vector<T, A>> = true;

template <typename T>
concept member_repr = requires(const T& value, std::string& to) { value.append_repr_to(to); };

template <typename T>
void append_element(std::string& to, const T& value) {
    if constexpr (member_repr<T>) value.append_repr_to(to);
    else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, float>) append_repr(to, value);
    else if constexpr (std::is_floating_point_v<T>) append_repr(to, static_cast<double>(value));
    else if constexpr (std::is_enum_v<T>) append_element(to, static_cast<std::underlying_type_t<T>>(value));
    else if constexpr (std::is_integral_v<T> && std::is_signed_v<T>)
        append_repr(to, static_cast<std::int64_t>(value));
    else if constexpr (std::is_integral_v<T>) append_repr(to, static_cast<std::uint64_t>(value));
    else if constexpr (std::is_convertible_v<const T&, std::string_view>)
        append_repr(to, std::string_view(value));
    else if constexpr (is_vector<T>) {
        to += '[';
        bool first = true;
        for (const auto& element : value) {
            if (!first) to += ", ";
            first = false;
            append_element(to, element);
        }
        to += ']';
    } else {
        append_bytes(to, codec<T>::type_name(), &value, plain<T> ? sizeof(T) : 0);
    }
}

}  // namespace detail

/// Python's notation of anything codable: repr(2.0) is "2.0", repr(std::string("it's")) is "\"it's\"".
template <typename T>
[[nodiscard]] std::string repr(const T& value) {
    std::string text;
    detail::append_element(text, value);
    return text;
}

}  // namespace cairn::inline v0
