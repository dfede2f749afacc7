// dict_tables.hpp - how large the tables of a dict are, and how a link to one is followed under the lock.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <bit>

#include "segment/segment_guard.hpp"
#include <cairn/detail/containers/dict_core.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::uint64_t full_table_bytes = 16384;  // what one insert moves at most: 6 us
constexpr std::uint64_t large_table_bytes = 65536;
constexpr std::uint32_t large_table_depth =
    12;  // from here on fewer, larger tables, so that the directory stays small

constexpr std::uint32_t groups_in(std::uint64_t bytes, std::uint32_t record_bytes) noexcept {
    return static_cast<std::uint32_t>((bytes - sizeof(dict_table_header)) / group_bytes(record_bytes));
}

/// Of one that is about twice as large, and fills the pages or the block that it takes.
constexpr std::uint32_t more_groups(std::uint32_t groups, std::uint32_t record_bytes) noexcept {
    const std::uint64_t bytes = std::bit_ceil(table_bytes(groups, record_bytes));
    return std::max(groups + 1, groups_in(2 * bytes, record_bytes));
}

constexpr bool is_full_size(std::uint32_t groups, std::uint32_t record_bytes, std::uint32_t depth) noexcept {
    const std::uint64_t most = depth < large_table_depth ? full_table_bytes : large_table_bytes;
    return 2 * std::bit_ceil(table_bytes(groups, record_bytes)) > most;
}

/// Small ones are not worth it.
constexpr std::uint32_t least_shrunk_groups = 4;

/// Few enough for a table of a quarter of the size at most, in which they are doubled before it has to grow.
constexpr bool is_sparse(std::uint32_t live, std::uint32_t groups) noexcept {
    return groups >= least_shrunk_groups && live < most_records(groups) / 8;
}

/// Of a table with room for twice as many.
constexpr std::uint32_t groups_for(std::uint32_t live, std::uint32_t record_bytes) noexcept {
    std::uint32_t groups = 1;
    while (most_records(groups) < 2 * live + 1) groups = more_groups(groups, record_bytes);
    return groups;
}

inline std::uint32_t depth_of(const dict_node& node) noexcept {
    return 63 - node.shift;
}

inline std::uint64_t entry_index(const dict_node& node, std::uint64_t hash) noexcept {
    return (hash >> 1) >> node.shift;
}

/// The directory's entries. Throws corrupt_segment.
inline std::uint64_t* entries_of(const segment& s, const dict_node& node) {
    if (depth_of(node) > largest_directory_depth)
        throw_corrupt(s, "the directory of a dict has no possible size");
    auto* entries = s.find<std::uint64_t>(node.directory, std::uint64_t{8} << depth_of(node));
    if (entries == nullptr) throw_corrupt(s, "the directory of a dict lies outside");
    return entries;
}

/// The table of an entry that is not 0. Throws corrupt_segment.
inline dict_table_header& header_of(const segment& s, const dict_node& node, std::uint64_t entry) {
    auto* header = s.find<dict_table_header>(entry_table(entry),
                                             table_bytes(entry_groups(entry), node.shape.record_bytes()));
    if (header == nullptr || entry_groups(entry) == 0) throw_corrupt(s, "a table of a dict lies outside");
    return *header;
}

inline std::byte* group_at(dict_table_header& header, std::uint32_t record_bytes,
                           std::uint32_t group) noexcept {
    return reinterpret_cast<std::byte*>(&header) + sizeof header + group * group_bytes(record_bytes);
}
inline std::uint64_t& tags_of(std::byte* group) noexcept {
    return *reinterpret_cast<std::uint64_t*>(group);
}
inline std::byte* record_in(std::byte* group, std::uint32_t record_bytes, std::uint32_t place) noexcept {
    return group + sizeof(std::uint64_t) + std::uint64_t{place} * record_bytes;
}

inline std::uint64_t hash_of(const dict_node& node, const std::byte* record) noexcept {
    return node.shape.has_hash() ? word_in(record, 8) : hash_word(word_in(record, 8), node.seed);
}

inline bool is_outside(const blob_slot& slot) noexcept {
    return slot.last >> 56 == blob_outside >> 56;
}

/// The cell of a sequence number; null where it has no leaf. `torn`: a link leads nowhere.
std::uint64_t* find_cell(const segment& s, const dict_node& node, std::uint64_t sequence,
                         bool& torn) noexcept;

/// The record with that sequence number, which the order knows by its hash.
std::byte* find_by_sequence(const segment& s, const dict_node& node, dict_shape shape, std::uint64_t hash,
                            std::uint64_t sequence, bool& torn) noexcept;

/// Gives back nodes of the order that an erase has emptied, each in a transaction of its own.
void trim_order(root_transaction& tx, dict_node& node, std::uint64_t sequence);

}  // namespace cairn::inline CAIRN_ABI::detail
