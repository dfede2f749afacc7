// literals.hpp - byte counts: 64_KiB, 1_MiB, 8_GiB.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::literals {

consteval std::uint64_t operator""_KiB(unsigned long long count) {
    return count << 10;
}
consteval std::uint64_t operator""_MiB(unsigned long long count) {
    return count << 20;
}
consteval std::uint64_t operator""_GiB(unsigned long long count) {
    return count << 30;
}

}  // namespace cairn::inline CAIRN_ABI::literals
