// size_classes.hpp - sizes of small blocks: multiples of 16 up to 128, then four to each doubling, up to 8 KiB. At most
// a fifth of a block is not used.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint64_t largest_small_bytes = 8192;

/// Class of a block of `bytes`, 1 to largest_small_bytes.
constexpr std::uint32_t class_of(std::uint64_t bytes) noexcept {
    if (bytes <= 128) return static_cast<std::uint32_t>((bytes + 15) / 16) - 1;
    const std::uint64_t last = bytes - 1;
    const auto doubling = static_cast<std::uint32_t>(std::bit_width(last)) - 1;  // 7 for 129..256
    const auto quarter = static_cast<std::uint32_t>(last >> (doubling - 2)) & 3;
    return 8 + (doubling - 7) * 4 + quarter;
}

constexpr std::uint64_t class_bytes(std::uint32_t size_class) noexcept {
    if (size_class < 8) return (std::uint64_t{size_class} + 1) * 16;
    const std::uint32_t doubling = 7 + (size_class - 8) / 4;
    return (std::uint64_t{1} << doubling) + ((std::uint64_t{(size_class - 8) % 4} + 1) << (doubling - 2));
}

/// The largest class of the loose ones that fits `bytes`, a multiple of 16 that is not 0.
constexpr std::uint32_t largest_class_within(std::uint64_t bytes) noexcept {
    std::uint32_t size_class = class_of(bytes < 1024 ? bytes : 1024);
    if (size_class != 0 && class_bytes(size_class) > bytes) --size_class;
    return size_class;
}

static_assert(class_of(1) == 0 && class_of(128) == 7 && class_of(129) == 8 && class_bytes(8) == 160);
static_assert(class_of(1024) == 19 && class_bytes(19) == 1024 && class_of(8192) == 31 &&
              class_bytes(31) == 8192);
static_assert(class_of(1025) == 20 && class_bytes(20) == 1280);

}  // namespace cairn::inline CAIRN_ABI::detail
