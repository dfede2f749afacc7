// dict_layout.hpp - what a dict (or a set) is in its root's arena.
//
// Extendible hashing: the first bits of a key's hash choose a directory entry, which leads to a table; the low half of
// the hash a group of eight places in the table, from where on the record is looked for, group by group, until one has
// an empty place. A full table is replaced by two, so that an insert never moves more than one table; the directory
// doubles when a table has split more often than it.
//
//   hash       | depth bits: directory entry |      | 7 bits: tag | 32 bits: group in the table (6: shard) |
//   directory  | entry | entry | ...          2^depth of them; a table with fewer bits has several in a row
//   entry      | 24 bits: groups of the table | 40 bits: offset of the table |
//   table      | dict_table_header | group | group | ...
//   group      | 8 tags, a byte each | 8 records |     a lookup looks at the tags and, as a rule, at one record
//   tag        0x80 | 7 bits of the hash, or 0: never used, or 1: erased
//   record     | sequence | (hash) | key | (value) |
//
// A key that is a word (a number, an enum) is one word of its record, and its hash is computed; other keys have theirs
// in the record, and are bytes: in place, or a blob_slot. Where key and value are both of any length, they share one
// block: | key bytes: 8 | key, padded to 8 | value |.
//
// Order of insertion: each record has a sequence number, which only grows. The order is a tree of nodes of 16 words
// whose leaves hold, by sequence number, the hash of the record; 0 where it was erased. Records can so be moved
// without touching the order.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include <cairn/detail/base/words.hpp>
#include <cairn/detail/containers/list_layout.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class dict_key_form : std::uint8_t { word = 1, in_place = 2, blob = 3 };
enum class dict_value_form : std::uint8_t { none = 0, in_place = 1, blob = 2, beside_key = 3 };

constexpr std::uint32_t order_fanout_log2 = 4;  // chosen for small dicts: a leaf is 128 bytes
constexpr std::uint64_t order_fanout = 1 << order_fanout_log2;
constexpr std::uint64_t order_node_bytes = order_fanout * sizeof(std::uint64_t);
constexpr std::uint32_t largest_order_height = 64 / order_fanout_log2 - 1;

constexpr std::uint32_t group_places = 8;
constexpr std::uint64_t tag_empty = 0;
constexpr std::uint64_t tag_erased = 1;
constexpr std::uint64_t each_byte = 0x0101010101010101;
constexpr std::uint64_t each_top_bit = 0x8080808080808080;

constexpr std::uint32_t entry_offset_bits = 40;  // more than max_segment_bytes
constexpr std::uint64_t entry_offset_mask = (std::uint64_t{1} << entry_offset_bits) - 1;
constexpr std::uint32_t largest_directory_depth = 24;

/// What a record looks like; follows from the types of key and value.
struct dict_shape {
    dict_key_form key_form;
    dict_value_form value_form;
    std::uint16_t key_bytes;    // in place: as given; else 0
    std::uint16_t value_bytes;  // in place: as given; else 0
    std::uint16_t reserved_;

    [[nodiscard]] constexpr bool has_hash() const noexcept { return key_form != dict_key_form::word; }
    [[nodiscard]] constexpr std::uint32_t key_at() const noexcept { return has_hash() ? 16 : 8; }
    [[nodiscard]] constexpr std::uint32_t key_field_bytes() const noexcept {
        if (key_form == dict_key_form::word) return 8;
        if (key_form == dict_key_form::blob) return sizeof(blob_slot);
        return static_cast<std::uint32_t>(round_up(key_bytes, 8));
    }
    [[nodiscard]] constexpr std::uint32_t value_at() const noexcept {
        return value_form == dict_value_form::beside_key ? key_at() : key_at() + key_field_bytes();
    }
    [[nodiscard]] constexpr std::uint32_t value_field_bytes() const noexcept {
        if (value_form == dict_value_form::none) return 0;
        if (value_form == dict_value_form::in_place)
            return static_cast<std::uint32_t>(round_up(value_bytes, 8));
        return sizeof(blob_slot);
    }
    [[nodiscard]] constexpr std::uint32_t record_bytes() const noexcept {
        return value_at() + value_field_bytes();
    }
    /// Nothing in a record but words: sequence, key, and a value or none.
    [[nodiscard]] constexpr bool is_words() const noexcept {
        return key_form == dict_key_form::word &&
               (value_form == dict_value_form::none ||
                (value_form == dict_value_form::in_place && value_field_bytes() == 8));
    }
    friend constexpr bool operator==(const dict_shape&, const dict_shape&) noexcept = default;
};
static_assert(std::is_standard_layout_v<dict_shape> && sizeof(dict_shape) == 8);

/// Written under the root's lock, logged. What a lookup reads comes first.
struct dict_node {
    std::uint64_t directory;  // offset of the entries; `single` while there is one
    std::uint64_t single;
    std::uint64_t seed;   // of the hash; set by create, then constant
    std::uint32_t shift;  // 63 - depth: what (hash >> 1) is shifted by to choose an entry
    dict_shape shape;     // set by create, then constant
    std::uint32_t reserved_;
    std::uint64_t size;
    std::uint64_t next_sequence;
    std::uint64_t order_root;    // offset of the tree's root, 0: none
    std::uint64_t order_leaf;    // offset of the leaf that next_sequence belongs to, when it is not its first
    std::uint32_t order_height;  // levels above the leaves
    std::uint32_t reserved2_;
};
static_assert(std::is_standard_layout_v<dict_node> && sizeof(dict_node) == 80);
static_assert(offsetof(dict_node, shape) == 28 && offsetof(dict_node, size) == 40);

/// First bytes of a table. Written under the root's lock, logged.
struct dict_table_header {
    std::uint32_t used;  // places that are not empty: live and erased ones
    std::uint32_t live;
    std::uint32_t depth;  // bits of the hash that all records in it share
    std::uint32_t reserved_[5];
};
static_assert(sizeof(dict_table_header) == 32);

constexpr std::uint64_t dict_entry(segment_offset table, std::uint32_t groups) noexcept {
    return std::uint64_t{groups} << entry_offset_bits | table;
}
constexpr segment_offset entry_table(std::uint64_t entry) noexcept {
    return entry & entry_offset_mask;
}
constexpr std::uint32_t entry_groups(std::uint64_t entry) noexcept {
    return static_cast<std::uint32_t>(entry >> entry_offset_bits);
}
constexpr std::uint64_t group_bytes(std::uint32_t record_bytes) noexcept {
    return sizeof(std::uint64_t) + std::uint64_t{group_places} * record_bytes;
}
constexpr std::uint64_t table_bytes(std::uint32_t groups, std::uint32_t record_bytes) noexcept {
    return sizeof(dict_table_header) + groups * group_bytes(record_bytes);
}

/// As many records as a table takes: 13 of 16 places, so that groups are seldom full; always one less than there are.
constexpr std::uint32_t most_records(std::uint32_t groups) noexcept {
    const std::uint32_t places = groups * group_places;
    const std::uint32_t kept_free = places * 3 / 16;
    return places - (kept_free == 0 ? 1 : kept_free);
}

/// Where a record with that hash is looked for first.
constexpr std::uint32_t home_of(std::uint64_t hash, std::uint32_t groups) noexcept {
    return static_cast<std::uint32_t>((hash & 0xffffffff) * groups >> 32);
}
/// Which of `count` dicts, a power of two of at most 64, has the key: by the lowest bits, which choose nothing inside a dict.
/// Its directory takes the first bits, a tag seven in the middle, and a group the first ones of the low half.
constexpr std::uint32_t shard_of(std::uint64_t hash, std::uint32_t count) noexcept {
    return static_cast<std::uint32_t>(hash) & (count - 1);
}
constexpr std::uint64_t tag_of(std::uint64_t hash) noexcept {
    return (hash >> 32 & 0x7f) | 0x80;
}
/// The top bits of the tags that are this one; now and then of one more, which is a live one, too.
constexpr std::uint64_t matching(std::uint64_t tags, std::uint64_t tag) noexcept {
    const std::uint64_t difference = tags ^ (tag * each_byte);
    return (difference - each_byte) & ~difference & each_top_bit;
}
constexpr bool has_empty(std::uint64_t tags) noexcept {
    return ((tags - each_byte) & ~tags & each_top_bit) != 0;
}
constexpr std::uint64_t tag_at(std::uint64_t tags, std::uint32_t place) noexcept {
    return tags >> (8 * place) & 0xff;
}
constexpr std::uint64_t with_tag(std::uint64_t tags, std::uint32_t place, std::uint64_t tag) noexcept {
    return (tags & ~(std::uint64_t{0xff} << (8 * place))) | tag << (8 * place);
}
constexpr bool is_live_tag(std::uint64_t tag) noexcept {
    return tag >= 0x80;
}
/// A top bit of matching() as a place.
CAIRN_INLINE std::uint32_t place_of(std::uint64_t bits) noexcept {
    return static_cast<std::uint32_t>(__builtin_ctzll(bits)) / 8;
}

}  // namespace cairn::inline CAIRN_ABI::detail
