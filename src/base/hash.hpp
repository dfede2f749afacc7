// hash.hpp - XXH3, the one hash function of stored data; seed and algorithm are recorded in the segment.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/base/hash.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint32_t hash_algorithm_xxh3 = 1;

}  // namespace cairn::inline CAIRN_ABI::detail
