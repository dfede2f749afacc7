// spans.hpp - runs of blocks of one size.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include "arena/size_classes.hpp"
#include <cairn/detail/arena/arena.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint32_t least_span_pages = 1;  // of small blocks, in a segment that has no longer run
constexpr std::uint32_t small_span_pages = 4;
constexpr std::uint32_t large_span_pages = 16;
constexpr std::uint64_t largest_in_small_span = 2048;  // of larger blocks it would hold too few

/// So many young pages a root has before its classes get spans: 256 KiB. Not constant, for tests.
extern std::uint64_t most_loose_pages;

constexpr std::uint32_t blocks_in_span(std::uint32_t size_class, std::uint32_t pages) noexcept {
    return static_cast<std::uint32_t>((pages * page_bytes - sizeof(span_header)) / class_bytes(size_class));
}

}  // namespace cairn::inline CAIRN_ABI::detail
