// SPDX-License-Identifier: BSL-1.0
#include "containers/channel_ring.hpp"

#include <array>
#include <new>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::size_t block_words = sizeof(channel_block) / sizeof(std::uint64_t);

// Where a block has words that are neither zero nor different from ring to ring.
struct constant_words {
    struct word_at {
        std::size_t index;
        std::uint64_t value;
    };
    std::array<word_at, 4> words{};
    std::size_t count = 0;
};

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

constant_words find_constant_words() {
    alignas(cache_line_bytes) sample one;
    alignas(cache_line_bytes) sample other;
    make_sample(one, 1);
    make_sample(other, 2);
    constant_words found;
    for (std::size_t i = 0; i < block_words; ++i)
        if (one.at(i) != 0 && one.at(i) == other.at(i)) found.words.at(found.count++) = {i, one.at(i)};
    return found;
}

const constant_words constants = find_constant_words();

}  // namespace

bool is_ring_in_place(const channel_block& block, std::uint64_t ring_words) noexcept {
    const auto* words = reinterpret_cast<const std::uint64_t*>(&block);
    for (std::size_t i = 0; i < constants.count; ++i)
        if (load_word(words[constants.words[i].index]) != constants.words[i].value) return false;
    return block.ring.index_limit() == ring_words + 1;
}

}  // namespace cairn::inline CAIRN_ABI::detail
