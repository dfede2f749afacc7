// key.hpp - what can be a key of a dict or an element of a set: how it is hashed, and when two of them are equal.
//
// key_traits<T>::hash(key, seed), key_traits<T>::equal(a, b). Both are part of the stored format: the hash depends on the
// value alone, never on the process or on bytes that are none of the value's.
//
//   numbers, enumerations   one word, mixed; -0.0 as 0.0 (NaN equals nothing, so that it is never found)
//   std::string             XXH3 of its bytes; a string_view finds it
//   all else                XXH3 of its canonical encoding, below: field by field, part by part, without padding
//   plain structs without   need == and has_unique_object_representations: their bytes are hashed, and padding or a float
//   CAIRN_FIELDS            among them would give equal keys different hashes
//   codecs of users         need ==, and values that are equal must be encoded alike
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/base/hash.hpp>
#include <cairn/detail/codec/equal.hpp>
#include <cairn/detail/codec/shapes.hpp>
#include <cairn/fields.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// For codecs whose equal values may be encoded differently.
template <typename T>
inline constexpr bool is_never_key = false;

template <typename T>
constexpr bool is_key();

template <typename T>
struct key_trait : std::bool_constant<is_key<T>()> {};

template <typename T>
constexpr bool is_key() {
    if constexpr (number_or_enum<T> || std::is_same_v<T, std::string> || std::is_same_v<T, std::monostate>) {
        return true;
    } else if constexpr (shape_of<T> != shape::other) {
        return all_parts<key_trait>(parts_of<T>{});
    } else if constexpr (has_fields<T>) {
        return with_fields<T>(
            []<auto... Members>() { return (key_trait<field_type<Members>>::value && ...); });
    } else if constexpr (stored_as_is<T>) {
        return std::equality_comparable<T> && std::has_unique_object_representations_v<T>;
    } else {
        return has_codec<T> && std::equality_comparable<T> && !is_never_key<T>;
    }
}

template <typename T>
concept key_type = codable<T> && is_key<T>();

template <typename T>
constexpr bool require_key();

template <typename... Ts>
constexpr bool require_key_parts(part_list<Ts...>) {
    return (require_key<std::remove_all_extents_t<Ts>>() && ...);
}

/// Explains, at compile time, why a type cannot be a key.
template <typename T>
constexpr bool require_key() {
    if constexpr (!require_element<T>()) {
        return false;
    } else if constexpr (is_key<T>()) {
        return true;
    } else if constexpr (shape_of<T> != shape::other) {
        return require_key_parts(parts_of<T>{});
    } else if constexpr (has_fields<T>) {
        return with_fields<T>(
            []<auto... Members>() { return require_key_parts(part_list<field_type<Members>...>{}); });
    } else {
        static_assert(std::equality_comparable<T>, "cairn: a key needs == or CAIRN_FIELDS");
        static_assert(
            !std::equality_comparable<T> || !stored_as_is<T>,
            "cairn: a key with padding or floating-point members cannot be hashed by its bytes: name its "
            "members with CAIRN_FIELDS");
        static_assert(!std::equality_comparable<T> || stored_as_is<T>,
                      "cairn: this type cannot be a key: its equal values may be encoded differently");
        return false;
    }
}

/// The value of a number as a word: equal numbers, equal words.
template <number_or_enum T>
CAIRN_INLINE constexpr std::uint64_t word_of(T value) noexcept {
    if constexpr (std::is_enum_v<T>) return word_of(static_cast<std::underlying_type_t<T>>(value));
    else if constexpr (std::is_integral_v<T>) return static_cast<std::uint64_t>(value);
    else if constexpr (sizeof(T) == 4) return value == 0 ? 0U : std::bit_cast<std::uint32_t>(value);
    else if constexpr (sizeof(T) == 8) return value == 0 ? 0U : std::bit_cast<std::uint64_t>(value);
    else return word_of(static_cast<double>(value));  // a long double has padding
}

/// Collects the canonical encoding of a key: fixed-size parts by their bytes, others with their length in front, so that
/// no two different keys have the same.
class canonical_bytes {
public:
    template <typename T>
    void append(const T& value) {
        if constexpr (number_or_enum<T>) {
            const std::uint64_t word = word_of(value);
            append_bytes(&word, sizeof(T) < sizeof word ? sizeof(T) : sizeof word);
        } else if constexpr (std::is_same_v<T, std::string>) {
            append(std::uint64_t{value.size()});
            append_bytes(value.data(), value.size());
        } else if constexpr (std::is_same_v<T, std::monostate>) {
            return;
        } else if constexpr (shape_of<T> != shape::other) {
            append_in_shape(value);
        } else if constexpr (has_fields<T>) {
            with_fields<T>([&]<auto... Members>() { (append(value.*Members), ...); });
        } else if constexpr (stored_as_is<T>) {
            append_bytes(&value, sizeof value);
        } else {
            std::vector<std::byte> encoded(codec<T>::size(value));
            codec<T>::encode(value, encoded.data());
            append(std::uint64_t{encoded.size()});
            append_bytes(encoded.data(), encoded.size());
        }
    }

    [[nodiscard]] std::span<const std::byte> get() const noexcept {
        return large_.empty() ? std::span(small_).first(count_) : std::span(large_);
    }

private:
    template <typename T>
    void append_in_shape(const T& value) {
        if constexpr (shape_of<T> == shape::array) {
            for (const auto& item : value) append(item);
        } else if constexpr (shape_of<T> == shape::vector) {
            append(std::uint64_t{value.size()});
            for (const typename T::value_type& item : value) append(item);
        } else if constexpr (shape_of<T> == shape::optional) {
            append(value.has_value());
            if (value) append(*value);
        } else if constexpr (shape_of<T> == shape::tuple) {
            [&]<std::size_t... Index>(std::index_sequence<Index...>) {
                (append(std::get<Index>(value)), ...);
            }(std::make_index_sequence<std::tuple_size_v<T>>());
        } else if constexpr (shape_of<T> == shape::variant) {
            append(std::uint64_t{value.index()});
            if (!value.valueless_by_exception()) std::visit([&](const auto& held) { append(held); }, value);
        } else {
            static_assert(shape_of<T> == shape::map);
            append(std::uint64_t{value.size()});
            for (const auto& [key, mapped] : value) append(key), append(mapped);
        }
    }

    void append_bytes(const void* from, std::size_t bytes) {
        if (bytes == 0) return;
        if (large_.empty() && count_ + bytes <= small_.size()) {
            std::memcpy(small_.data() + count_, from, bytes);
            count_ += bytes;
            return;
        }
        if (large_.empty())
            large_.assign(small_.begin(), small_.begin() + static_cast<std::ptrdiff_t>(count_));
        const auto* first = static_cast<const std::byte*>(from);
        large_.insert(large_.end(), first, first + bytes);
    }

    std::array<std::byte, 128> small_;
    std::size_t count_ = 0;
    std::vector<std::byte> large_;
};

struct key_equality {
    template <typename T>
    static bool equal(const T& a, const T& b) {
        if constexpr (shape_of<T> != shape::other) return equal_in_shape<key_equality>(a, b);
        else if constexpr (has_fields<T>) return equal_in_fields<key_equality>(a, b);
        else return a == b;
    }
};

template <typename T>
struct key_traits {
    static_assert(require_key<T>());

    CAIRN_INLINE static std::uint64_t hash(const T& key, std::uint64_t seed) {
        if constexpr (number_or_enum<T>) {
            return hash_word(word_of(key), seed);
        } else if constexpr (stored_as_is<T> && !has_fields<T>) {
            return hash_bytes(&key, sizeof key, seed);
        } else {
            canonical_bytes bytes;
            bytes.append(key);
            return hash_bytes(bytes.get().data(), bytes.get().size(), seed);
        }
    }
    CAIRN_INLINE static bool equal(const T& a, const T& b) { return key_equality::equal(a, b); }
};

/// Keys are strings; a view finds them.
template <>
struct key_traits<std::string> {
    static std::uint64_t hash(std::string_view key, std::uint64_t seed) {
        return hash_bytes(key.data(), key.size(), seed);
    }
    static bool equal(std::string_view a, std::string_view b) { return a == b; }
};

}  // namespace cairn::inline CAIRN_ABI::detail
