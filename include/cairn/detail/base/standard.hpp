// standard.hpp - what public headers use of the standard library's largest headers, without the rest of these.
//
// That is durations and clocks, the concepts of ranges with std::ranges::subrange, std::less and its like, the algorithms.
// In the library of GCC 12 <chrono> brings the streams with it, <ranges> the views and <functional> unordered_map; a program
// that includes list.hpp alone would compile for half as long again. So of that one release the parts are named; every
// other library has its headers.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <tuple>
#include <utility>
#include <version>

#include <cairn/detail/base/export.hpp>

#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE == 12
// clang-format off
#include <bits/chrono.h>
#include <bits/refwrap.h>
#include <bits/stl_algo.h>
#include <bits/stl_function.h>
// These need what <bits/stl_algo.h> has.
#include <bits/ranges_algobase.h>
#include <bits/ranges_util.h>
// clang-format on
#else
#include <algorithm>
#include <chrono>
#include <functional>
#include <ranges>
#endif

namespace cairn::inline CAIRN_ABI::detail {

/// std::invoke, which is in <functional>.
template <typename Fn, typename... Args>
constexpr decltype(auto) call_with(Fn&& fn, Args&&... args) {
    return std::apply(std::forward<Fn>(fn), std::forward_as_tuple(std::forward<Args>(args)...));
}

}  // namespace cairn::inline CAIRN_ABI::detail
