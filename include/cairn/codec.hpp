// codec.hpp - how element types are stored, and what they are called.
//
// codec<T> exists for trivially copyable types, std::string and std::vector of trivially copyable types; for other types
// specialise it:
//
//   template <> struct cairn::codec<my_type> {
//       static std::string type_name() { return "my_type"; }                  // part of the object's recorded type
//       static std::size_t size(const my_type& value);                        // encoded bytes
//       static void encode(const my_type& value, std::byte* to);              // writes size(value) bytes
//       static my_type decode(std::span<const std::byte> bytes);              // throws cairn::corrupt_segment
//   };
//
// The type's name is what other programs (and shmctl) know it by; it must change when the encoding does.
// Encoding and decoding run outside of every lock, and never on bytes that a writer may have torn.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <cairn/error.hpp>

namespace cairn::inline v0 {

template <typename T>
struct codec;

namespace detail {

/// The largest trivially copyable element that is stored in place; larger ones are stored as blobs.
constexpr std::size_t largest_inline_bytes = 256;

template <typename T>
constexpr std::string_view spelled_type() {
    return __PRETTY_FUNCTION__;
}

// "[with T = std::array<int, 3>; ...]" (GCC), "[T = std::array<int, 3>]" (Clang)
template <typename T>
constexpr bool is_of_std() {
    const std::string_view text = spelled_type<T>();
    const std::size_t at = text.find("T = ");
    return at != std::string_view::npos && text.substr(at + 4, 5) == "std::";
}

template <typename T>
inline constexpr bool is_array_of = false;
template <typename T, std::size_t N>
inline constexpr bool is_array_of<T[N]> = true;

/// Stored by its bytes: arithmetic types, enums, and trivially copyable classes that are not std's.
template <typename T>
concept plain =
    std::is_trivially_copyable_v<T> && std::is_same_v<T, std::remove_cv_t<T>> && !std::is_pointer_v<T> &&
    !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T> && !is_array_of<T> && !is_of_std<T>() &&
    (std::is_arithmetic_v<T> || std::is_enum_v<T> || std::is_class_v<T> || std::is_union_v<T>);

/// Name of an arithmetic type: known by width and sign, whatever the language calls it.
template <typename T>
std::string arithmetic_name() {
    if constexpr (std::is_same_v<T, bool>) return "bool";
    else if constexpr (std::is_floating_point_v<T>) return "float" + std::to_string(8 * sizeof(T));
    else return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T));
}

template <typename T>
std::string plain_name() {
    if constexpr (std::is_arithmetic_v<T>) return arithmetic_name<T>();
    else if constexpr (std::is_enum_v<T>) return arithmetic_name<std::underlying_type_t<T>>();
    else return "struct[" + std::to_string(sizeof(T)) + "," + std::to_string(alignof(T)) + "]";
}

[[noreturn]] CAIRN_API void throw_undecodable(const std::string& type, std::size_t bytes);

/// User codecs: the four functions of the comment above.
template <typename T>
concept has_codec = requires(const T& value, std::byte* to, std::span<const std::byte> bytes) {
    { codec<T>::type_name() } -> std::convertible_to<std::string>;
    { codec<T>::size(value) } -> std::convertible_to<std::size_t>;
    codec<T>::encode(value, to);
    { codec<T>::decode(bytes) } -> std::convertible_to<T>;
};

/// Stored by its bytes, and by the library's codec: a specialisation of the user's own comes first.
template <typename T>
concept stored_as_is = plain<T> && requires { typename codec<T>::keeps_bytes; };

/// A Cairn handle says so itself (list<T>::is_cairn_handle).
template <typename T>
concept handle_type = requires { typename T::is_cairn_handle; };

/// Explains, at compile time, why a type cannot be an element.
template <typename T>
constexpr bool require_element() {
    static_assert(!std::is_reference_v<T> && std::is_same_v<T, std::remove_cv_t<T>>,
                  "cairn: an element is a value type: drop const, volatile and &");
    static_assert(!std::is_pointer_v<T> && !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T>,
                  "cairn: a pointer means nothing in another process: store a value or an index");
    static_assert(!std::is_same_v<T, std::string_view>,
                  "cairn: a string_view points into this process: store a std::string");
    static_assert(
        !handle_type<T>,
        "cairn: a handle (cairn::list, ...) is no plain value: name the object, and store the name");
    if constexpr (std::is_reference_v<T> || std::is_pointer_v<T> || std::is_member_pointer_v<T> ||
                  std::is_null_pointer_v<T> || std::is_same_v<T, std::string_view> || handle_type<T>) {
        return false;
    } else {
        static_assert(
            has_codec<T>,
            "cairn: this type has no codec: elements are trivially copyable types (not of std), std::string, "
            "std::vector of trivially copyable types, or types with a specialisation of cairn::codec");
        return has_codec<T>;
    }
}

/// How many bytes an element occupies in place; 0: it is a blob.
template <typename T>
constexpr std::size_t inline_bytes() {
    if constexpr (stored_as_is<T>) return sizeof(T) <= largest_inline_bytes ? sizeof(T) : 0;
    else return 0;
}

}  // namespace detail

/// Trivially copyable types that are neither of std nor hold addresses: their bytes. A struct that hides a pointer
/// cannot be told from others: do not store one.
template <detail::plain T>
struct codec<T> {
    using keeps_bytes = void;
    static std::string type_name() { return detail::plain_name<T>(); }
    static constexpr std::size_t size(const T&) { return sizeof(T); }
    static void encode(const T& value, std::byte* to) { std::memcpy(to, &value, sizeof value); }
    static T decode(std::span<const std::byte> bytes) {
        if (bytes.size() != sizeof(T)) detail::throw_undecodable(type_name(), bytes.size());
        if constexpr (std::is_same_v<T, bool>) {
            return bytes[0] != std::byte{0};  // any other byte in a bool would be undefined behaviour
        } else {
            alignas(T) std::array<std::byte, sizeof(T)> storage;
            std::memcpy(storage.data(), bytes.data(), sizeof(T));
            return *std::launder(reinterpret_cast<const T*>(storage.data()));
        }
    }
};

/// Bytes; by convention UTF-8.
template <>
struct codec<std::string> {
    static std::string type_name() { return "str"; }
    static std::size_t size(const std::string& value) { return value.size(); }
    static void encode(const std::string& value, std::byte* to) {
        if (!value.empty()) std::memcpy(to, value.data(), value.size());
    }
    static std::string decode(std::span<const std::byte> bytes) {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }
};

/// The elements' bytes, one after the other.
template <detail::plain T>
    requires(!std::is_same_v<T, bool>)
struct codec<std::vector<T>> {
    static std::string type_name() { return "vector<" + codec<T>::type_name() + ">"; }
    static std::size_t size(const std::vector<T>& value) { return value.size() * sizeof(T); }
    static void encode(const std::vector<T>& value, std::byte* to) {
        if (!value.empty()) std::memcpy(to, value.data(), value.size() * sizeof(T));
    }
    static std::vector<T> decode(std::span<const std::byte> bytes) {
        if (bytes.size() % sizeof(T) != 0) detail::throw_undecodable(type_name(), bytes.size());
        if constexpr (std::is_default_constructible_v<T>) {
            std::vector<T> value(bytes.size() / sizeof(T));
            if (!value.empty()) std::memcpy(static_cast<void*>(value.data()), bytes.data(), bytes.size());
            return value;
        } else {
            std::vector<T> value;
            value.reserve(bytes.size() / sizeof(T));
            for (std::size_t i = 0; i < bytes.size(); i += sizeof(T))
                value.push_back(codec<T>::decode(bytes.subspan(i, sizeof(T))));
            return value;
        }
    }
};

/// What can be an element of a list.
template <typename T>
concept codable = detail::has_codec<T> && !detail::handle_type<T>;

}  // namespace cairn::inline v0
