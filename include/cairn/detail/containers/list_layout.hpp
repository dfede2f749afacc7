// list_layout.hpp - what a list is in its root's arena.
//
// Elements never move because the list grows: they live in chunks that are linked, not reallocated. Superblock k has
// base << k elements; with base = 16 (8-byte elements):
//
//   superblock   0        1         2          3 ...                               k
//   elements     0..15    16..47    48..111    112..                               (base << k) of them
//                chunks[0] [1]      [2]        directory[0] ...
//
// Index i is found by arithmetic: with j = i + base, k is the number of base's doublings in j, and j - (base << k) the
// place in the superblock. A superblock of at most 1 MiB is one chunk; a larger one is a table of chunks of 1 MiB.
//
// An element in place occupies `stride` bytes; a blob (string, vector, user codec) a blob_slot of 16.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class element_form : std::uint8_t { in_place = 1, blob = 2 };

constexpr std::uint32_t inline_superblocks = 3;
constexpr std::uint32_t directory_entries =
    40;  // superblocks 3..42: more elements than any segment has bytes
constexpr std::uint64_t base_chunk_bytes = 128;         // small lists stay small
constexpr std::uint64_t largest_chunk_bytes = 1 << 20;  // what a list may have allocated and not yet filled

/// Everything but the geometry (stride, form, base) is written under the root's lock, logged; size also published.
struct list_node {
    std::uint64_t size;
    std::uint64_t limit;      // first index beyond the tail chunk, the one where index `size` goes
    std::uint64_t tail_base;  // offset at which index 0 would be if the tail chunk began with it; wraps
    std::uint64_t directory;  // offset of directory_entries superblocks, 0: none yet
    std::uint64_t chunks[inline_superblocks];
    std::uint32_t stride;  // bytes from element to element
    element_form form;
    std::uint8_t base_log2;  // of the elements in superblock 0
    std::uint16_t reserved_;
};
static_assert(std::is_standard_layout_v<list_node> && sizeof(list_node) == 64);
static_assert(offsetof(list_node, stride) == 56);  // format 2; a change needs a new format number

/// A value of any length. Up to 15 bytes live in the slot: bytes 0..14, and the length (below 16) in the last byte;
/// a longer one in a block of the arena: `first` its offset, `last` its length below a top byte of 0xff.
struct blob_slot {
    std::uint64_t first;
    std::uint64_t last;
};
static_assert(sizeof(blob_slot) == 16 && std::endian::native == std::endian::little);

constexpr std::uint64_t largest_slot_bytes = 15;
constexpr std::uint64_t blob_outside = std::uint64_t{0xff} << 56;
constexpr std::uint64_t blob_length_mask = ~blob_outside;

/// Elements of 1, 2 and 4 bytes are packed, all others start at multiples of 8.
constexpr std::uint32_t stride_for(std::size_t bytes) noexcept {
    if (bytes <= 2) return static_cast<std::uint32_t>(bytes);
    return static_cast<std::uint32_t>(bytes <= 4 ? 4 : round_up(bytes, 8));
}

/// Whether there are lists with that stride.
constexpr bool is_stride(std::uint32_t stride) noexcept {
    return stride != 0 && stride <= 2 * base_chunk_bytes && stride_for(stride) == stride;
}

/// Where the elements of a list with that stride are. Plain arithmetic, from the stride alone.
struct list_geometry {
    std::uint32_t stride;
    std::uint32_t base_log2;   // elements in superblock 0
    std::uint32_t chunk_log2;  // elements in the largest chunk

    constexpr explicit list_geometry(std::uint32_t element_stride) noexcept
        : stride(element_stride), base_log2(log2_floor(base_chunk_bytes / element_stride)),
          chunk_log2(log2_floor(largest_chunk_bytes / element_stride)) {}

    struct position {
        std::uint32_t superblock;
        std::uint64_t chunk;   // in the superblock's table; 0 if it has none
        std::uint64_t within;  // element in the chunk
    };

    [[nodiscard]] constexpr position locate(std::uint64_t index) const noexcept {
        const std::uint64_t shifted = index + (std::uint64_t{1} << base_log2);
        const auto width = static_cast<std::uint32_t>(std::bit_width(shifted | 1)) - 1;
        const std::uint64_t rest = shifted - (std::uint64_t{1} << width);
        if (width <= chunk_log2) return {width - base_log2, 0, rest};
        return {width - base_log2, rest >> chunk_log2, rest & ((std::uint64_t{1} << chunk_log2) - 1)};
    }

    /// A superblock with several chunks has a table of them.
    [[nodiscard]] constexpr bool has_table(std::uint32_t superblock) const noexcept {
        return superblock + base_log2 > chunk_log2;
    }
    [[nodiscard]] constexpr std::uint64_t table_entries(std::uint32_t superblock) const noexcept {
        return std::uint64_t{1} << (superblock + base_log2 - chunk_log2);
    }
    [[nodiscard]] constexpr std::uint64_t chunk_elements(std::uint32_t superblock) const noexcept {
        return std::uint64_t{1} << (has_table(superblock) ? chunk_log2 : superblock + base_log2);
    }
    [[nodiscard]] constexpr std::uint64_t chunk_bytes(std::uint32_t superblock) const noexcept {
        return round_up(chunk_elements(superblock) * stride, 8);
    }
    [[nodiscard]] constexpr std::uint64_t first_index(std::uint32_t superblock) const noexcept {
        return (std::uint64_t{1} << (superblock + base_log2)) - (std::uint64_t{1} << base_log2);
    }

private:
    static constexpr std::uint32_t log2_floor(std::uint64_t value) noexcept {
        return value == 0 ? 0 : static_cast<std::uint32_t>(std::bit_width(value)) - 1;
    }
};

/// stored_operation::kind
enum class operation_kind : std::uint32_t {
    none = 0,
    list_drop = 1,     // arguments: directory, chunks[3], size of what is dropped
    list_erase = 2,    // arguments: first, last, old size
    list_insert = 3,   // arguments: index, old size; the new element waits at old size + 1
    list_reverse = 4,  // arguments: size
    dict_drop = 5,     // arguments: a place in the table that is being dropped
    queue_drop = 6,    // arguments: the ticket that will be the next to take
    // arguments: index of the first bit, that behind the last, old size, the bits (offset of a block, or, up to 64 of them,
    // themselves), where the next element that stays goes
    list_compact = 7
};

}  // namespace cairn::inline CAIRN_ABI::detail
