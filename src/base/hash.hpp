// hash.hpp - XXH3, the one hash function of stored data; seed and algorithm are recorded in the segment.
#pragma once

#include <cstddef>
#include <cstdint>

namespace cairn::inline v0::detail {

constexpr std::uint32_t hash_algorithm_xxh3 = 1;

std::uint64_t hash_bytes(const void* data, std::size_t bytes, std::uint64_t seed) noexcept;

}  // namespace cairn::inline v0::detail
