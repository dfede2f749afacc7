// SPDX-License-Identifier: BSL-1.0
#include "containers/channel_ring.hpp"

#include <array>
#include <new>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::size_t block_words = sizeof(channel_block) / sizeof(std::uint64_t);

using sample = std::array<std::uint64_t, channel_block::words_at / sizeof(std::uint64_t) + 4>;

// A block with a ring of so many words, in private memory.
void make_sample(sample& memory, std::uint64_t ring_words) {
    memory.fill(0);
    auto* block = reinterpret_cast<channel_block*>(memory.data());
    // What the constructor does not write keeps its zeros, as in a segment. The compiler must not see that it is this memory: what
    // was there before a new object it takes for gone, with -O3.
    asm volatile("" : "+r"(block) : : "memory");
    new (&block->ring)
        channel_ring(memory.data() + channel_block::words_at / sizeof(std::uint64_t), ring_words);
}

ring_constants find_constant_words() {
    alignas(cache_line_bytes) sample one;
    alignas(cache_line_bytes) sample other;
    make_sample(one, 1);
    make_sample(other, 2);
    ring_constants found;
    std::size_t count = 0;
    for (std::size_t i = 0; i < block_words; ++i)
        if (one.at(i) != 0 && one.at(i) == other.at(i)) found.words.at(count++) = {i, one.at(i)};
    found.has_more = count > found.few;
    for (; count < found.words.size(); ++count) found.words.at(count) = found.words.front();
    return found;
}

}  // namespace

const ring_constants constants_of_rings = find_constant_words();

bool is_ring_in_place_by_another(const channel_block& block, std::uint64_t ring_words) noexcept {
    alignas(cache_line_bytes) sample one;
    alignas(cache_line_bytes) sample other;
    make_sample(one, 1);
    make_sample(other, 2);
    const auto* words = reinterpret_cast<const std::uint64_t*>(&block);
    for (std::size_t i = 0; i < block_words; ++i)
        if (one.at(i) != 0 && one.at(i) == other.at(i) && load_word(words[i]) != one.at(i)) return false;
    return block.ring.index_limit() == ring_words + 1;
}

}  // namespace cairn::inline CAIRN_ABI::detail
