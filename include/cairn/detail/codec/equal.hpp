// equal.hpp - whether two elements are equal, also where their type has no ==.
//
//   std's own            part by part: a std::vector<job> is compared although a job has CAIRN_FIELDS and no ==
//   with ==              by it; keys with CAIRN_FIELDS by their fields all the same, since that is what is hashed
//   with CAIRN_FIELDS    field by field
//
// Never by bytes: padding has any. So -0.0 equals 0.0, and NaN nothing.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <concepts>
#include <cstddef>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/codec/shapes.hpp>
#include <cairn/fields.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <typename T>
constexpr bool is_equatable();

template <typename T>
struct equatable_trait : std::bool_constant<is_equatable<T>()> {};

template <typename T>
constexpr bool is_equatable() {
    if constexpr (shape_of<T> != shape::other) {
        return all_parts<equatable_trait>(parts_of<T>{});
    } else if constexpr (std::equality_comparable<T>) {
        return true;
    } else if constexpr (has_fields<T>) {
        return with_fields<T>(
            []<auto... Members>() { return (equatable_trait<field_type<Members>>::value && ...); });
    } else {
        return false;
    }
}

/// What index(), count(), remove() and contains() need.
template <typename T>
concept equatable = is_equatable<T>();

/// `Equal` says how parts that are none of std's templates are compared.
template <typename Equal, typename T>
bool equal_in_shape(const T& a, const T& b) {
    const auto same = [](const auto& x, const auto& y) { return Equal::equal(x, y); };
    if constexpr (shape_of<T> == shape::array) {
        return std::equal(std::begin(a), std::end(a), std::begin(b), same);
    } else if constexpr (shape_of<T> == shape::vector) {
        return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                          [](const typename T::value_type& x, const typename T::value_type& y) {
                              return Equal::equal(x, y);
                          });
    } else if constexpr (shape_of<T> == shape::optional) {
        return a.has_value() == b.has_value() && (!a.has_value() || same(*a, *b));
    } else if constexpr (shape_of<T> == shape::tuple) {
        return [&]<std::size_t... Index>(std::index_sequence<Index...>) {
            return (same(std::get<Index>(a), std::get<Index>(b)) && ...);
        }(std::make_index_sequence<std::tuple_size_v<T>>());
    } else if constexpr (shape_of<T> == shape::variant) {
        if (a.index() != b.index() || a.valueless_by_exception()) return a.index() == b.index();
        return [&]<std::size_t... Index>(std::index_sequence<Index...>) {
            return ((a.index() == Index && same(*std::get_if<Index>(&a), *std::get_if<Index>(&b))) || ...);
        }(std::make_index_sequence<std::variant_size_v<T>>());
    } else {
        static_assert(shape_of<T> == shape::map);
        return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](const auto& x, const auto& y) {
            return same(x.first, y.first) && same(x.second, y.second);
        });
    }
}

template <typename Equal, typename T>
bool equal_in_fields(const T& a, const T& b) {
    return with_fields<T>([&]<auto... Members>() { return (Equal::equal(a.*Members, b.*Members) && ...); });
}

/// Compares elements as the containers' searches do.
struct element_equality {
    template <typename T, typename U>
    bool operator()(const T& a, const U& b) const {
        if constexpr (std::is_same_v<T, U>) return equal(a, b);
        else return a == b;
    }

    template <equatable T>
    static bool equal(const T& a, const T& b) {
        if constexpr (shape_of<T> != shape::other) return equal_in_shape<element_equality>(a, b);
        else if constexpr (std::equality_comparable<T>) return a == b;
        else return equal_in_fields<element_equality>(a, b);
    }
};

/// Elements can be compared with values of another type: strings with views.
template <typename T, typename U>
concept compares_with =
    (std::is_same_v<T, U> && equatable<T>) || (!std::is_same_v<T, U> && requires(const T& t, const U& u) {
        { t == u } -> std::convertible_to<bool>;
    });

template <equatable T>
bool equal_elements(const T& a, const T& b) {
    return element_equality::equal(a, b);
}

/// The first of the elements that equals `value`; of strings also a view does.
template <typename T, typename U>
    requires compares_with<T, U>
auto find_equal(const std::vector<T>& values, const U& value) {
    return std::find_if(values.begin(), values.end(),
                        [&](const T& item) { return element_equality()(item, value); });
}

template <typename T, typename U>
    requires compares_with<T, U>
std::size_t count_equal(const std::vector<T>& values, const U& value) {
    return static_cast<std::size_t>(std::count_if(
        values.begin(), values.end(), [&](const T& item) { return element_equality()(item, value); }));
}

}  // namespace cairn::inline CAIRN_ABI::detail
