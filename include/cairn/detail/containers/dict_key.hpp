// dict_key.hpp - keys of a type, encoded: equal keys have equal bytes, and nothing but bytes is compared in a segment.
//
// Numbers are one word. Everything else is encoded by its codec, after -0.0 has become 0.0 and the padding of structs
// zero. What is not equal to itself (NaN) is never looked for.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

#include <cairn/detail/codec/key.hpp>
#include <cairn/detail/containers/dict_core.hpp>
#include <cairn/detail/containers/element.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename K>
constexpr dict_key_form key_form_of() {
    if constexpr (number_or_enum<K> && sizeof(K) <= 8) return dict_key_form::word;
    else return inline_bytes<K>() != 0 ? dict_key_form::in_place : dict_key_form::blob;
}

/// Bytes of a number that are its value; the others of a long double are padding.
template <typename T>
constexpr std::size_t value_bytes() {
    return std::is_same_v<T, long double> && std::numeric_limits<T>::digits == 64 ? 10 : sizeof(T);
}

/// A struct that is stored by its bytes, among which may be some of no field.
template <typename T>
concept padded_struct = stored_as_is<T> && has_fields<T>;

/// Whether two equal values may be encoded differently.
template <typename T>
constexpr bool needs_canonical();

template <typename T>
struct needs_canonical_trait : std::bool_constant<!needs_canonical<T>()> {};

template <typename T>
constexpr bool needs_canonical() {
    if constexpr (std::is_floating_point_v<T> || padded_struct<T>) return true;
    else if constexpr (shape_of<T> != shape::other) return !all_parts<needs_canonical_trait>(parts_of<T>{});
    else if constexpr (has_fields<T>)
        return !with_fields<T>(
            []<auto... Members>() { return (needs_canonical_trait<field_type<Members>>::value && ...); });
    else return false;
}

/// Copies the fields of a struct to where they lie in it; what is between them stays as it is in `to`.
template <typename T>
void copy_without_padding(std::byte* to, const T& value) {
    if constexpr (std::is_array_v<T>) {
        for (std::size_t i = 0; i < std::extent_v<T>; ++i)
            copy_without_padding(to + i * sizeof(value[0]), value[i]);
    } else if constexpr (has_fields<T>) {
        with_fields<T>([&]<auto... Members>() {
            (copy_without_padding(to + (reinterpret_cast<const std::byte*>(&(value.*Members)) -
                                        reinterpret_cast<const std::byte*>(&value)),
                                  value.*Members),
             ...);
        });
    } else if constexpr (shape_of<T> == shape::array) {
        for (std::size_t i = 0; i < value.size(); ++i)
            copy_without_padding(to + i * sizeof(value[0]), value[i]);
    } else if constexpr (std::is_floating_point_v<T>) {
        std::memcpy(to, &value, value_bytes<T>());
    } else {
        std::memcpy(to, &value, sizeof value);
    }
}

/// Makes -0.0 0.0 and padding zero, wherever they are.
template <typename T>
void make_canonical(T& value) {
    if constexpr (!needs_canonical<T>()) {
        return;
    } else if constexpr (std::is_floating_point_v<T>) {
        if (value == 0) value = 0;
        std::memset(reinterpret_cast<std::byte*>(&value) + value_bytes<T>(), 0,
                    sizeof value - value_bytes<T>());
    } else if constexpr (shape_of<T> == shape::tuple) {
        std::apply([](auto&... parts) { (make_canonical(parts), ...); }, value);
    } else if constexpr (shape_of<T> == shape::optional) {
        if (value) make_canonical(*value);
    } else if constexpr (shape_of<T> == shape::variant) {
        // One without a value is refused when it is encoded.
        if (!value.valueless_by_exception()) std::visit([](auto& held) { make_canonical(held); }, value);
    } else if constexpr (shape_of<T> == shape::map) {
        T canonical;
        for (auto& [key, mapped] : value) {
            auto part = key;
            make_canonical(part);
            make_canonical(mapped);
            canonical.insert_or_assign(std::move(part), std::move(mapped));
        }
        value = std::move(canonical);
    } else if constexpr (shape_of<T> != shape::other) {
        for (auto& item : value) make_canonical(item);
    } else {
        with_fields<T>([&]<auto... Members>() { (make_canonical(value.*Members), ...); });
        if constexpr (padded_struct<T>) {
            std::array<std::byte, sizeof(T)> bytes{};
            copy_without_padding(bytes.data(), value);
            std::memcpy(static_cast<void*>(&value), bytes.data(), sizeof value);
        }
    }
}

/// False for NaN alone.
template <number_or_enum K>
CAIRN_INLINE constexpr bool equals_itself(K key) noexcept {
    if constexpr (std::is_floating_point_v<K>) return key == key;
    else return true;
}

template <typename K>
CAIRN_INLINE K key_of_word(std::uint64_t word) noexcept {
    if constexpr (std::is_same_v<K, bool>) {
        return word != 0;
    } else {
        K key;
        std::memcpy(&key, &word, sizeof key);  // the first bytes of a little-endian word
        return key;
    }
}

/// A key that is looked for or stored; encoded outside of every lock.
template <typename K>
class encoded_key {
    using parameter = typename element_traits<K>::parameter;

public:
    encoded_key(parameter key, std::uint64_t seed) {
        if constexpr (key_form_of<K>() == dict_key_form::word) {
            key_ = word_key(word_of(key), seed);
            is_nan_ = !equals_itself(key);
        } else if constexpr (std::is_same_v<K, std::string>) {
            key_ = bytes_key(std::as_bytes(std::span(key.data(), key.size())), seed);
        } else if constexpr (needs_canonical<K>()) {
            K canonical = key;
            make_canonical(canonical);
            is_nan_ = !key_traits<K>::equal(canonical, canonical);
            encode(canonical, seed);
        } else {
            encode(key, seed);
        }
    }
    encoded_key(const encoded_key&) = delete;
    encoded_key& operator=(const encoded_key&) = delete;

    [[nodiscard]] const dict_key& get() const noexcept { return key_; }
    /// It is not equal to itself, and so to no key that is there.
    [[nodiscard]] bool is_nan() const noexcept { return is_nan_; }

private:
    void encode(const K& key, std::uint64_t seed) {
        bytes_.emplace(key);
        key_ = bytes_key(bytes_->bytes(), seed);
    }

    dict_key key_;
    bool is_nan_ = false;
    std::optional<encoded<K>> bytes_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
