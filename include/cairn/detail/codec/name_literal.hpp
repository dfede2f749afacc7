// name_literal.hpp - text as a template argument: msgpack_codec<job, "job">.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/standard.hpp>

namespace cairn::inline CAIRN_ABI::detail {

template <std::size_t N>
struct name_literal {
    // NOLINTNEXTLINE(google-explicit-constructor): a literal becomes one where a template argument is expected
    constexpr name_literal(const char (&text)[N]) { std::copy_n(text, N, characters.begin()); }
    [[nodiscard]] constexpr std::string_view text() const { return {characters.data(), N - 1}; }

    std::array<char, N> characters{};
};

}  // namespace cairn::inline CAIRN_ABI::detail
