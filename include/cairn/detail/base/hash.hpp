// hash.hpp - hashes of stored data: XXH3 of bytes, and a mix for what fits a word.
//
// Both are part of the stored format: a process finds what another one has put under them.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>

#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// XXH3_64bits_withSeed. Not inline: xxhash.h takes a third of a second to compile.
CAIRN_API std::uint64_t hash_bytes(const void* data, std::size_t bytes, std::uint64_t seed) noexcept;

/// The finaliser of MurmurHash3: every bit of the value changes half of the bits of the hash, and no two values of one
/// seed share a hash.
CAIRN_INLINE constexpr std::uint64_t hash_word(std::uint64_t value, std::uint64_t seed) noexcept {
    // The constant keeps 0 under seed 0 from being the hash 0, which is what empty memory looks like.
    value ^= seed + 0x9e3779b97f4a7c15U;
    value ^= value >> 33U;
    value *= 0xff51afd7ed558ccdU;
    value ^= value >> 33U;
    value *= 0xc4ceb9fe1a85ec53U;
    return value ^ value >> 33U;
}

}  // namespace cairn::inline CAIRN_ABI::detail
