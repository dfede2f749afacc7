// shapes.hpp - which templates of std a type is made of; each has its own encoding, comparison and notation.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class shape { other, array, vector, optional, tuple, variant, map };

template <typename T>
inline constexpr shape shape_of = shape::other;
template <typename T, std::size_t N>
inline constexpr shape shape_of<std::array<T, N>> = shape::array;
template <typename T, std::size_t N>  // only as a field of a struct
inline constexpr shape shape_of<T[N]> = shape::array;
template <typename T>
inline constexpr shape shape_of<std::vector<T>> = shape::vector;
template <typename T>
inline constexpr shape shape_of<std::optional<T>> = shape::optional;
template <typename... Ts>
inline constexpr shape shape_of<std::tuple<Ts...>> = shape::tuple;
template <typename A, typename B>  // the tuple of two, as in Python
inline constexpr shape shape_of<std::pair<A, B>> = shape::tuple;
template <typename... Ts>
inline constexpr shape shape_of<std::variant<Ts...>> = shape::variant;
template <typename K, typename V>
inline constexpr shape shape_of<std::map<K, V>> = shape::map;

/// What a type of one of these shapes is made of.
template <typename... Ts>
struct part_list {};

template <typename T>
struct parts_of_type {
    using type = part_list<>;
};
template <typename T, std::size_t N>
struct parts_of_type<std::array<T, N>> {
    using type = part_list<T>;
};
template <typename T, std::size_t N>
struct parts_of_type<T[N]> {
    using type = part_list<T>;
};
template <template <typename...> typename Of, typename... Ts>
    requires(shape_of<Of<Ts...>> == shape::tuple || shape_of<Of<Ts...>> == shape::variant ||
             shape_of<Of<Ts...>> == shape::optional)
struct parts_of_type<Of<Ts...>> {
    using type = part_list<Ts...>;
};
template <typename T>
struct parts_of_type<std::vector<T>> {
    using type = part_list<T>;
};
template <typename K, typename V>
struct parts_of_type<std::map<K, V>> {
    using type = part_list<K, V>;
};
template <typename T>
using parts_of = typename parts_of_type<T>::type;

/// int of std::array<int, 3>.
template <typename T>
struct first_part;
template <typename T, typename... Ts>
struct first_part<part_list<T, Ts...>> {
    using type = T;
};
template <typename T>
using first_part_of = typename first_part<parts_of<T>>::type;

template <typename T>
inline constexpr std::size_t item_count = 0;
template <typename T, std::size_t N>
inline constexpr std::size_t item_count<std::array<T, N>> = N;
template <typename T, std::size_t N>
inline constexpr std::size_t item_count<T[N]> = N;

template <template <typename> typename Holds, typename... Ts>
constexpr bool all_parts(part_list<Ts...>) {
    return (Holds<Ts>::value && ...);
}

}  // namespace cairn::inline CAIRN_ABI::detail
