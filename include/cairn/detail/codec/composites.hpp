// composites.hpp - codecs of types that are made of others (parts.hpp says how parts are written).
//
//   array, vector     the items
//   tuple, pair       the parts; a pair is a tuple of two
//   map               key, value, key, value, in the order of the keys
//   CAIRN_FIELDS      the fields, in the order of the list
//   optional          nothing, or the value: of a type whose values may have no bytes with a 1 in front
//   variant           the number of the alternative, one byte, then its value
//   monostate         nothing
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cairn/codec.hpp>
#include <cairn/detail/codec/parts.hpp>

namespace cairn::inline CAIRN_ABI {

template <>
struct codec<std::monostate> {
    using is_of_library = void;
    static std::string type_name() { return "none"; }
    static std::size_t size(std::monostate) { return 0; }
    static void encode(std::monostate, std::byte*) {}
    static std::monostate decode(std::span<const std::byte> bytes) {
        if (!bytes.empty()) detail::throw_undecodable(type_name(), bytes.size());
        return {};
    }
};

template <typename T>
    requires detail::made_of_parts<std::vector<T>>
struct codec<std::vector<T>> {
    using is_of_library = void;
    static std::string type_name() { return "vector<" + codec<T>::type_name() + ">"; }
    static std::size_t size(const std::vector<T>& value) {
        if constexpr (fixed != 0) return value.size() * fixed;
        else return detail::array_codec<T>::size(value);
    }
    static void encode(const std::vector<T>& value, std::byte* to) {
        if constexpr (is_copied) {
            if (!value.empty()) std::memcpy(to, value.data(), value.size() * sizeof(T));
        } else {
            for (const T& item : value) to = detail::write_part(item, to);
        }
    }
    static std::vector<T> decode(std::span<const std::byte> bytes) {
        std::vector<T> value;
        if constexpr (fixed != 0) {
            if (bytes.size() % fixed != 0) detail::throw_undecodable(type_name(), bytes.size());
            if constexpr (is_copied && std::is_default_constructible_v<T>) {
                value.resize(bytes.size() / fixed);
                if (!value.empty()) std::memcpy(static_cast<void*>(value.data()), bytes.data(), bytes.size());
                return value;
            }
            value.reserve(bytes.size() / fixed);
        }
        detail::part_reader reader(bytes, &type_name);
        while (!reader.at_end()) value.push_back(reader.template read<T>());
        return value;
    }

private:
    static constexpr std::size_t fixed = detail::fixed_bytes<T>();
    static constexpr bool is_copied = detail::stored_as_is<T> && !std::is_same_v<T, bool>;
};

template <typename T, std::size_t N>
    requires detail::made_of_parts<std::array<T, N>>
struct codec<std::array<T, N>> {
    using is_of_library = void;
    static std::string type_name() {
        return "array<" + codec<T>::type_name() + ", " + std::to_string(N) + ">";
    }
    static std::size_t size(const std::array<T, N>& value) { return detail::array_codec<T>::size(value); }
    static void encode(const std::array<T, N>& value, std::byte* to) {
        detail::array_codec<T>::encode(value, to);
    }
    static std::array<T, N> decode(std::span<const std::byte> bytes) {
        detail::part_reader reader(bytes, &type_name);
        if constexpr (std::is_default_constructible_v<T>) {
            std::array<T, N> value;
            for (T& item : value) reader.read_to(item);
            reader.done();
            return value;
        } else {
            return [&]<std::size_t... Index>(std::index_sequence<Index...>) {
                std::array<T, N> value{(static_cast<void>(Index), reader.template read<T>())...};
                reader.done();
                return value;
            }(std::make_index_sequence<N>());
        }
    }
};

namespace detail {

/// std::tuple and std::pair.
template <typename Tuple, typename... Ts>
struct tuple_codec {
    using is_of_library = void;
    static std::string type_name() { return parts_name("tuple", part_list<Ts...>{}); }
    static std::size_t size(const Tuple& value) {
        return std::apply([](const Ts&... parts) { return (part_size(parts) + ... + std::size_t{0}); },
                          value);
    }
    static void encode(const Tuple& value, std::byte* to) {
        static_cast<void>(to);
        std::apply([&](const Ts&... parts) { ((to = write_part(parts, to)), ...); }, value);
    }
    static Tuple decode(std::span<const std::byte> bytes) {
        part_reader reader(bytes, &type_name);
        Tuple value{reader.template read<Ts>()...};  // in braces: from left to right
        reader.done();
        return value;
    }
};

}  // namespace detail

template <typename... Ts>
    requires detail::made_of_parts<std::tuple<Ts...>>
struct codec<std::tuple<Ts...>> : detail::tuple_codec<std::tuple<Ts...>, Ts...> {};

template <typename A, typename B>
    requires detail::made_of_parts<std::pair<A, B>>
struct codec<std::pair<A, B>> : detail::tuple_codec<std::pair<A, B>, A, B> {};

template <typename K, typename V>
    requires detail::made_of_parts<std::map<K, V>>
struct codec<std::map<K, V>> {
    using is_of_library = void;
    static std::string type_name() { return detail::parts_name("map", detail::part_list<K, V>{}); }
    static std::size_t size(const std::map<K, V>& value) {
        std::size_t bytes = 0;
        for (const auto& [key, mapped] : value) bytes += detail::part_size(key) + detail::part_size(mapped);
        return bytes;
    }
    static void encode(const std::map<K, V>& value, std::byte* to) {
        for (const auto& [key, mapped] : value) to = detail::write_part(mapped, detail::write_part(key, to));
    }
    static std::map<K, V> decode(std::span<const std::byte> bytes) {
        std::map<K, V> value;
        detail::part_reader reader(bytes, &type_name);
        while (!reader.at_end()) {
            K key = reader.template read<K>();
            // In order, so that one map has one encoding, and each key once.
            if (!value.empty() && !value.key_comp()(std::prev(value.end())->first, key)) reader.fail();
            value.emplace_hint(value.end(), std::move(key), reader.template read<V>());
        }
        return value;
    }
};

template <typename T>
    requires detail::made_of_parts<std::optional<T>>
struct codec<std::optional<T>> {
    using is_of_library = void;
    static std::string type_name() { return "optional<" + codec<T>::type_name() + ">"; }
    static std::size_t size(const std::optional<T>& value) {
        return value ? mark_bytes + codec<T>::size(*value) : 0;
    }
    static void encode(const std::optional<T>& value, std::byte* to) {
        if (!value) return;
        if constexpr (mark_bytes != 0) *to++ = std::byte{1};
        codec<T>::encode(*value, to);
    }
    static std::optional<T> decode(std::span<const std::byte> bytes) {
        if (bytes.empty()) return std::nullopt;
        if constexpr (mark_bytes != 0) {
            if (bytes[0] != std::byte{1}) detail::throw_undecodable(type_name(), bytes.size());
        }
        return std::optional<T>(std::in_place, codec<T>::decode(bytes.subspan(mark_bytes)));
    }

private:
    static constexpr std::size_t mark_bytes = detail::fixed_bytes<T>() == 0 ? 1 : 0;
};

template <typename... Ts>
    requires detail::made_of_parts<std::variant<Ts...>>
struct codec<std::variant<Ts...>> {
    using is_of_library = void;
    static_assert(sizeof...(Ts) <= 256, "cairn: the alternative of a variant is stored in one byte");

    static std::string type_name() { return detail::parts_name("variant", detail::part_list<Ts...>{}); }
    /// @throws invalid_argument  valueless_by_exception()
    static std::size_t size(const std::variant<Ts...>& value) {
        if (value.valueless_by_exception()) detail::throw_valueless();
        return 1 + std::visit([]<typename T>(const T& held) { return codec<T>::size(held); }, value);
    }
    static void encode(const std::variant<Ts...>& value, std::byte* to) {
        *to++ = static_cast<std::byte>(value.index());
        std::visit([to]<typename T>(const T& held) { codec<T>::encode(held, to); }, value);
    }
    static std::variant<Ts...> decode(std::span<const std::byte> bytes) {
        if (bytes.empty() || std::to_integer<std::size_t>(bytes[0]) >= sizeof...(Ts))
            detail::throw_undecodable(type_name(), bytes.size());
        return decode_from<0>(std::to_integer<std::size_t>(bytes[0]), bytes.subspan(1));
    }

private:
    template <std::size_t Index>
    static std::variant<Ts...> decode_from(std::size_t index, std::span<const std::byte> bytes) {
        if constexpr (Index + 1 < sizeof...(Ts)) {
            if (index != Index) return decode_from<Index + 1>(index, bytes);
        }
        using alternative = std::variant_alternative_t<Index, std::variant<Ts...>>;
        return std::variant<Ts...>(std::in_place_index<Index>, codec<alternative>::decode(bytes));
    }
};

template <detail::encoded_by_fields T>
struct codec<T> {
    using is_of_library = void;
    static std::string type_name() { return detail::fields_name<T>(); }
    static std::size_t size(const T& value) {
        return detail::with_fields<T>(
            [&]<auto... Members>() { return (detail::part_size(value.*Members) + ... + std::size_t{0}); });
    }
    static void encode(const T& value, std::byte* to) {
        detail::with_fields<T>(
            [&]<auto... Members>() { ((to = detail::write_part(value.*Members, to)), ...); });
    }
    static T decode(std::span<const std::byte> bytes) {
        T value{};
        detail::part_reader reader(bytes, &type_name);
        detail::with_fields<T>([&]<auto... Members>() { (reader.read_to(value.*Members), ...); });
        reader.done();
        return value;
    }
};

}  // namespace cairn::inline CAIRN_ABI
