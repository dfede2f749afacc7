// elements.hpp - which types can be elements, what they are called, and what the compiler says of the others.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/codec/shapes.hpp>
#include <cairn/fields.hpp>

namespace cairn::inline CAIRN_ABI {

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
concept number_or_enum = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// A Cairn handle says so itself (list<T>::is_cairn_handle).
template <typename T>
concept handle_type = requires { typename T::is_cairn_handle; };

template <typename T>
constexpr bool fields_are_plain();

/// Stored by its bytes: arithmetic types, enums, and trivially copyable classes that are not std's. One with CAIRN_FIELDS
/// only if its fields are such, or arrays of them: a std::optional has a layout that is not ours to promise.
template <typename T>
concept plain =
    std::is_trivially_copyable_v<T> && std::is_same_v<T, std::remove_cv_t<T>> && !std::is_pointer_v<T> &&
    !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T> && !std::is_array_v<T> && !is_of_std<T>() &&
    (number_or_enum<T> || std::is_class_v<T> || std::is_union_v<T>)&&fields_are_plain<T>();

/// Stored by its bytes, and by the library's codec: a specialisation of the user's own comes first.
template <typename T>
concept stored_as_is = plain<T> && requires { typename codec<T>::keeps_bytes; };

template <typename T>
constexpr bool is_plain_field() {
    if constexpr (shape_of<T> == shape::array)
        return item_count<T> != 0 && is_plain_field<first_part_of<T>>();
    else return stored_as_is<T> && !handle_type<T>;
}

template <typename T>
constexpr bool fields_are_plain() {
    if constexpr (has_fields<T>)
        return with_fields<T>(
            []<auto... Members>() { return (is_plain_field<field_type<Members>>() && ...); });
    else return true;
}

/// codec<T> has the four functions that codec.hpp shows.
template <typename T>
concept has_codec = requires(const T& value, std::byte* to, std::span<const std::byte> bytes) {
    { codec<T>::type_name() } -> std::convertible_to<std::string>;
    { codec<T>::size(value) } -> std::convertible_to<std::size_t>;
    codec<T>::encode(value, to);
    { codec<T>::decode(bytes) } -> std::convertible_to<T>;
};

/// Can be a part of an element: what can be an element, and, in a struct with CAIRN_FIELDS, an array of that.
template <typename T>
constexpr bool is_part() {
    if constexpr (std::is_array_v<T>) return is_part<std::remove_extent_t<T>>();
    else return std::is_same_v<T, std::remove_cv_t<T>> && has_codec<T> && !handle_type<T>;
}

template <typename T>
struct part_trait : std::bool_constant<is_part<T>()> {};

template <typename T>
concept made_of_parts =
    !std::is_array_v<T> && shape_of<T> != shape::other && all_parts<part_trait>(parts_of<T>{});

template <typename T>
constexpr bool are_fields_parts() {
    if constexpr (has_fields<T>)
        return with_fields<T>(
            []<auto... Members>() { return (part_trait<field_type<Members>>::value && ...); });
    else return false;
}

/// Stored field by field.
template <typename T>
concept encoded_by_fields =
    has_fields<T> && !plain<T> && std::is_default_constructible_v<T> && are_fields_parts<T>();

/// Decoded by codecs of the library alone, down to the last part: a codec of the library's says so.
template <typename T>
constexpr bool is_decoded_by_library();

template <typename T>
struct decoded_by_library_trait : std::bool_constant<is_decoded_by_library<T>()> {};

template <typename T>
constexpr bool is_decoded_by_library() {
    if constexpr (std::is_array_v<T>) return is_decoded_by_library<std::remove_extent_t<T>>();
    else if constexpr (stored_as_is<T>) return true;  // NOLINT(bugprone-branch-clone)
    else if constexpr (!requires { typename codec<T>::is_of_library; }) return false;
    else if constexpr (shape_of<T> != shape::other) return all_parts<decoded_by_library_trait>(parts_of<T>{});
    else if constexpr (has_fields<T>)
        return with_fields<T>(
            []<auto... Members>() { return (decoded_by_library_trait<field_type<Members>>::value && ...); });
    else return true;
}

/// A vector whose encoding is the bytes of its items.
template <typename T>
constexpr bool is_run() {
    if constexpr (shape_of<T> == shape::vector)
        return stored_as_is<first_part_of<T>> && !std::is_same_v<first_part_of<T>, bool> &&
               std::is_default_constructible_v<first_part_of<T>> && is_decoded_by_library<T>();
    else return false;
}

/// Decoding it is copying its bytes.
template <typename T>
constexpr bool is_copied_whole() {
    return stored_as_is<T> || std::is_same_v<T, std::string> || is_run<T>();
}

/// How many bytes an element occupies in place; 0: it is a blob.
template <typename T>
constexpr std::size_t inline_bytes() {
    if constexpr (stored_as_is<T>) return sizeof(T) <= largest_inline_bytes ? sizeof(T) : 0;
    else return 0;
}

// ---- names -------------------------------------------------------------------------------------------------------------

/// Name of an arithmetic type: known by width and sign, whatever the language calls it.
template <typename T>
std::string arithmetic_name() {
    if constexpr (std::is_same_v<T, bool>) return "bool";
    else if constexpr (std::is_floating_point_v<T>) return "float" + std::to_string(8 * sizeof(T));
    else return (std::is_signed_v<T> ? "int" : "uint") + std::to_string(8 * sizeof(T));
}

/// The name of a part: of an element as its codec says, of an array "int32[4]", of one of char "char[8]", which is text.
template <typename T>
std::string part_name() {
    if constexpr (std::is_array_v<T>) {
        using item = std::remove_extent_t<T>;
        const std::string name = std::is_same_v<item, char> ? "char" : part_name<item>();
        return name + "[" + std::to_string(std::extent_v<T>) + "]";
    } else {
        return codec<T>::type_name();
    }
}

/// Builds "job {id: int32, weight: float64}".
class CAIRN_API field_names {
public:
    explicit field_names(std::string_view type) : type_(type) {}
    /// A field of a struct that is stored by its bytes. Its place is named only where it is not where a C compiler puts it.
    void add_at(std::string_view name, const std::string& type, std::size_t offset, std::size_t bytes,
                std::size_t alignment);
    /// A field of a struct that is stored field by field.
    void add(std::string_view name, const std::string& type, bool looks_plain);
    /// "[16,8]" after the type's name, if bytes or alignment are not what the fields make them.
    std::string of_bytes(std::size_t bytes, std::size_t alignment) const;
    /// "packed", if it could be taken for one of the others.
    std::string of_parts() const;

private:
    std::string type_;
    std::string fields_;
    std::size_t end_ = 0;
    std::size_t alignment_ = 1;
    bool all_look_plain_ = true;
};

/// Where a member lies in its class.
template <typename T, auto Member>
std::size_t offset_of_field() {
    alignas(T) static const std::byte memory[sizeof(T)] = {};
    const auto* at = reinterpret_cast<const T*>(memory);
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(&(at->*Member)) - memory);
}

template <typename T>
std::string fields_name() {
    field_names names(cairn_fields_of(fields_tag<T>{}).type_name);
    std::size_t i = 0;
    const auto next = [&] { return cairn_fields_of(fields_tag<T>{}).names[i++]; };
    with_fields<T>([&]<auto... Members>() {
        if constexpr (plain<T>)
            (names.add_at(next(), part_name<field_type<Members>>(), offset_of_field<T, Members>(),
                          sizeof(field_type<Members>), alignof(field_type<Members>)),
             ...);
        else
            (names.add(next(), part_name<field_type<Members>>(), is_plain_field<field_type<Members>>()), ...);
    });
    if constexpr (plain<T>) return names.of_bytes(sizeof(T), alignof(T));
    else return names.of_parts();
}

template <typename T>
std::string plain_name() {
    if constexpr (std::is_arithmetic_v<T>) return arithmetic_name<T>();
    else if constexpr (std::is_enum_v<T>) return arithmetic_name<std::underlying_type_t<T>>();
    else if constexpr (has_fields<T>) return fields_name<T>();
    else return "struct[" + std::to_string(sizeof(T)) + "," + std::to_string(alignof(T)) + "]";
}

/// "map<str, int64>" of map and the types of its parts.
template <typename... Ts>
std::string parts_name(const char* of, part_list<Ts...>) {
    std::string name = of;
    const char* before = "<";
    ((name += before, name += part_name<Ts>(), before = ", "), ...);
    if constexpr (sizeof...(Ts) == 0) name += before;
    return name + '>';
}

[[noreturn]] CAIRN_API void throw_undecodable(const std::string& type, std::size_t bytes);
[[noreturn]] CAIRN_API void throw_valueless();

// ---- what the compiler says --------------------------------------------------------------------------------------------

template <typename T>
constexpr bool require_element();

template <typename T>
constexpr bool require_field() {
    static_assert(!std::is_const_v<T>, "cairn: a field is assigned when it is read back: it cannot be const");
    if constexpr (std::is_const_v<T>) return false;
    else return require_element<std::remove_all_extents_t<T>>();
}

template <typename... Ts>
constexpr bool require_parts(part_list<Ts...>) {
    return (require_element<Ts>() && ...);
}

/// Explains, at compile time, why a type cannot be an element.
template <typename T>
constexpr bool require_element() {
    constexpr bool is_value = !std::is_reference_v<T> && std::is_same_v<T, std::remove_cv_t<T>>;
    constexpr bool is_address =
        std::is_pointer_v<T> || std::is_member_pointer_v<T> || std::is_null_pointer_v<T>;
    constexpr bool is_view = std::is_same_v<T, std::string_view>;
    static_assert(is_value, "cairn: an element is a value type: drop const, volatile and &");
    static_assert(!is_address,
                  "cairn: a pointer means nothing in another process: store a value or an index");
    static_assert(!is_view, "cairn: a string_view points into this process: store a std::string");
    static_assert(
        !handle_type<T>,
        "cairn: a handle (cairn::list, ...) is no plain value: name the object, and store the name");
    if constexpr (!is_value || is_address || is_view || handle_type<T>) {
        return false;
    } else if constexpr (has_codec<T>) {
        return true;
    } else if constexpr (shape_of<T> != shape::other && !std::is_array_v<T>) {
        return require_parts(parts_of<T>{});
    } else if constexpr (has_fields<T>) {
        constexpr bool fields_are_fine =
            with_fields<T>([]<auto... Members>() { return (require_field<field_type<Members>>() && ...); });
        static_assert(!fields_are_fine || std::is_default_constructible_v<T>,
                      "cairn: a type with CAIRN_FIELDS is read back into an object that was made without "
                      "arguments: give "
                      "it a default constructor");
        return false;
    } else {
        static_assert(
            has_codec<T>,
            "cairn: this type has no codec: elements are numbers, enumerations, std::string, trivially "
            "copyable structs, structs with CAIRN_FIELDS, std::vector, array, optional, tuple, pair, "
            "variant and map of these, or types with a specialisation of cairn::codec");
        return false;
    }
}

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
