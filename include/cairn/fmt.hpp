// fmt.hpp - handles and their proxies in fmt::format, and in std::format where the standard library has it.
//
//   fmt::print("{}\n", results);            // [1, 2, 3], as std::cout << results
//   fmt::print("{:>20}|{}\n", results[0], cairn::repr(anything_codable));
//
// Python's notation, with the format specifications of a string. Needs {fmt} 9 or newer.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <ranges>
#include <string_view>
#include <type_traits>
#include <version>
#ifdef __cpp_lib_format
#include <format>
#endif

#include <fmt/format.h>

#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What prints as what it refers to: a list<int>, l[0].
template <typename T>
concept prints_what_it_holds = member_repr<T> && (handle_type<T> || requires { typename T::is_cairn_proxy; });

}  // namespace cairn::inline CAIRN_ABI::detail

// A list is a range, too; this keeps <fmt/ranges.h> from formatting it a second way, in whichever order they are included.
FMT_BEGIN_NAMESPACE
template <typename T, typename Char>
struct is_range;
template <cairn::detail::prints_what_it_holds T>
struct is_range<T, char> : std::false_type {};
FMT_END_NAMESPACE

template <cairn::detail::prints_what_it_holds T>
struct fmt::formatter<T, char> : fmt::formatter<std::string_view, char> {
    template <typename Context>
    auto format(const T& value, Context& context) const {
        return fmt::formatter<std::string_view, char>::format(cairn::repr(value), context);
    }
};

#ifdef __cpp_lib_format
#ifdef __cpp_lib_format_ranges
// Constrained by what the standard's own is constrained by, and more.
template <std::ranges::input_range T>
    requires std::same_as<T, std::remove_cvref_t<T>> && cairn::detail::prints_what_it_holds<T>
constexpr std::range_format std::format_kind<T> = std::range_format::disabled;
#endif

template <cairn::detail::prints_what_it_holds T>
struct std::formatter<T, char> : std::formatter<std::string_view, char> {
    template <typename Context>
    auto format(const T& value, Context& context) const {
        return std::formatter<std::string_view, char>::format(cairn::repr(value), context);
    }
};
#endif
