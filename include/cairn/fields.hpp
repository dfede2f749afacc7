// fields.hpp - CAIRN_FIELDS: tells Cairn what a struct of yours consists of.
//
//   namespace app {
//   struct job {
//       int id = 0;
//       double weight = 0;
//       std::vector<std::string> tags;
//   };
//   CAIRN_FIELDS(job, id, weight, tags)
//   }
//
// Beside the type, in its namespace, before the type is first used as an element. Then a job is an element, and a key
// when its fields can be; it is compared field by field where it has no == of its own, and prints as Python prints a
// dict: {'id': 1, 'weight': 2.5, 'tags': ['a']}. Other programs know it as "job {id: int32, weight: float64, ...}":
// another name or another list of fields is another type.
//
// Stored        as it lies in memory when it is trivially copyable and its fields are numbers, enumerations, arrays and
//               structs of these; otherwise each field by its codec, in the order of the list. What is not listed is not
//               stored in the second case: it is what the default constructor makes it.
// Fields        public data members that are neither references nor bit-fields. Up to 64 of them.
// Type names    with a comma in them need an alias: using pair = my_pair<int, int>; CAIRN_FIELDS(pair, a, b)
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <array>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/codec/each.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Carries the type to the function that CAIRN_FIELDS defines; a template, so that no conversion (to a base class) finds
/// the fields of another type.
template <typename T>
struct fields_tag {};

template <auto... Members>
struct field_list {
    static constexpr std::size_t count = sizeof...(Members);
    std::string_view type_name;
    std::array<std::string_view, sizeof...(Members)> names;
};

template <typename T>
concept has_fields = std::is_class_v<T> && requires { cairn_fields_of(fields_tag<T>{}); };

template <typename M>
struct member_of;
template <typename C, typename M>
struct member_of<M C::*> {
    using type = M;
};
/// int of &job::id.
template <auto Member>
using field_type = typename member_of<std::remove_const_t<decltype(Member)>>::type;

/// Calls fn.template operator()<&job::id, &job::weight>() with all members of the list.
template <typename T, typename Fn>
constexpr decltype(auto) with_fields(Fn&& fn) {
    return [&]<auto... Members>(const field_list<Members...>&) -> decltype(auto) {
        return fn.template operator()<Members...>();
    }(cairn_fields_of(fields_tag<T>{}));
}

}  // namespace cairn::inline CAIRN_ABI::detail

#define CAIRN_DETAIL_POINTER(type, field) &type::field
#define CAIRN_DETAIL_NAME(type, field) #field

/// CAIRN_FIELDS(type, field, ...): the fields of a struct, beside it; see the top of fields.hpp.
#define CAIRN_FIELDS(type, ...)                                                                              \
    [[maybe_unused]] constexpr ::cairn::detail::field_list<CAIRN_DETAIL_EACH(CAIRN_DETAIL_POINTER, type,     \
                                                                             __VA_ARGS__)>                   \
    cairn_fields_of(::cairn::detail::fields_tag<type>) noexcept {                                            \
        return {#type, {CAIRN_DETAIL_EACH(CAIRN_DETAIL_NAME, type, __VA_ARGS__)}};                           \
    }
