// dict_core.hpp - dicts and sets of any key and value, without their types.
//
// Stored        dict_layout.hpp.
// Protected by  the root's lock for every write. Readers without it compare the root's version; every offset they
//               follow is checked, since it may be torn or damaged.
// Invariants    size is the number of live records; each is found from the home of its hash without crossing a group
//               with an empty place, in the table that its hash leads to; each has a sequence number below next_sequence whose cell
//               in the order holds its hash; all other cells below next_sequence are 0 or have no leaf.
// Commit        the root's log; clear: the commit of a stored_operation, which whoever gets the lock next carries to
//               its end.
// Death         before the commit: rolled back. After it: finished. An order leaf without cells, which an erase would
//               have given back right after its commit, may stay: it is one of the tree's and goes with clear().
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/base/hash.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/dict_layout.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// The groups of one table; bounds are checked. None where there is no table yet.
struct dict_table {
    std::byte* groups = nullptr;
    std::uint32_t count = 0;
};

/// The table that a hash leads to. False where links are torn or damaged.
CAIRN_INLINE bool find_table(const segment& s, const dict_node& node, std::uint32_t record_bytes,
                             std::uint64_t hash, dict_table& table) noexcept {
    const segment_bounds inside(s);
    const std::uint64_t at =
        (load_word(node.directory) & ~std::uint64_t{7}) + ((hash >> 1) >> (load_word(node.shift) & 63)) * 8;
    if (!inside.has(at, 8)) [[unlikely]]
        return false;
    const std::uint64_t entry = load_word(*s.at<std::uint64_t>(at));
    const std::uint32_t groups = entry_groups(entry);
    const segment_offset offset = entry_table(entry) & ~std::uint64_t{7};
    if (groups == 0) [[unlikely]] {
        table = {};
        return entry == 0;
    }
    if (!inside.has_run(offset, table_bytes(groups, record_bytes))) [[unlikely]]
        return false;
    table = {s.at<std::byte>(offset + sizeof(dict_table_header)), groups};
    return true;
}

CAIRN_INLINE std::uint64_t word_in(const std::byte* record, std::uint32_t at) noexcept {
    return load_word(*reinterpret_cast<const std::uint64_t*>(record + at));
}

/// Larger groups (of records beyond 60 bytes) would take more of the cache than is won.
constexpr std::uint64_t most_prefetched_bytes = 512;

/// The group's records come over together with its tags rather than after them.
CAIRN_INLINE void prefetch_records(const std::byte* group, std::uint32_t record_bytes) noexcept {
    const std::uint64_t bytes = group_bytes(record_bytes);
    if (bytes > most_prefetched_bytes) return;
    for (std::uint64_t at = cache_line_bytes; at < bytes + cache_line_bytes; at += cache_line_bytes)
        __builtin_prefetch(group + std::min<std::uint64_t>(at, bytes - 1));
}

/// Looks for a record; `is_it(record)` is asked of those with the right tag. Null when there is none; `torn` when the
/// table has no end, which is damage if no writer was there.
template <typename Match>
CAIRN_INLINE std::byte* find_in_table(const dict_table& table, std::uint32_t record_bytes, std::uint64_t hash,
                                      bool& torn, Match is_it) noexcept {
    const std::uint64_t tag = tag_of(hash);
    std::uint32_t index = home_of(hash, table.count);
    for (std::uint32_t left = table.count; left != 0; --left) {
        std::byte* group = table.groups + index * group_bytes(record_bytes);
        prefetch_records(group, record_bytes);
        const std::uint64_t tags = word_in(group, 0);
        for (std::uint64_t bits = matching(tags, tag); bits != 0; bits &= bits - 1) {
            std::byte* record = group + sizeof tags + std::uint64_t{place_of(bits)} * record_bytes;
            if (is_it(record)) [[likely]]
                return record;
        }
        if (has_empty(tags)) [[likely]]
            return nullptr;
        if (++index == table.count) index = 0;
    }
    torn = table.count != 0;
    return nullptr;
}

/// A key as it is looked for: its hash, and its word or its bytes, encoded.
struct dict_key {
    std::uint64_t hash = 0;
    std::uint64_t word = 0;
    std::span<const std::byte> bytes;
};

CAIRN_INLINE dict_key word_key(std::uint64_t word, std::uint64_t seed) noexcept {
    return {hash_word(word, seed), word, {}};
}
CAIRN_API dict_key bytes_key(std::span<const std::byte> bytes, std::uint64_t seed) noexcept;

CAIRN_INLINE std::byte* find_word_in(const dict_table& table, std::uint32_t record_bytes, const dict_key& key,
                                     bool& torn) noexcept {
    return find_in_table(table, record_bytes, key.hash, torn,
                         [&](const std::byte* record) { return word_in(record, 8) == key.word; });
}

CAIRN_INLINE std::byte* find_word(const segment& s, const dict_node& node, std::uint32_t record_bytes,
                                  const dict_key& key, bool& torn) noexcept {
    dict_table table;
    if (!find_table(s, node, record_bytes, key.hash, table)) [[unlikely]] {
        torn = true;
        return nullptr;
    }
    return find_word_in(table, record_bytes, key, torn);
}

/// The record with that key, of any form; null when there is none. `torn`: a link leads nowhere.
CAIRN_API std::byte* find_record(const segment& s, const dict_node& node, dict_shape shape,
                                 const dict_key& key, bool& torn) noexcept;

/// The bytes of a value of any length; null where they lie outside. `slot` is room for a short value.
CAIRN_API const std::byte* find_value_bytes(const segment& s, dict_shape shape, const std::byte* record,
                                            blob_slot& slot, std::uint64_t& bytes) noexcept;
/// The same for a key that is not a word.
CAIRN_API const std::byte* find_key_bytes(const segment& s, dict_shape shape, const std::byte* record,
                                          blob_slot& slot, std::uint64_t& bytes) noexcept;

/// What the order holds for a hash: never 0, which stands for none. The last bit tells no tables apart.
constexpr std::uint64_t order_cell(std::uint64_t hash) noexcept {
    return hash == 0 ? 1 : hash;
}

/// A new node, without elements.
CAIRN_API segment_offset create_dict(root_transaction& tx, dict_shape shape);
/// Throws corrupt_segment when the node is not one of that shape. Needs no lock.
CAIRN_API dict_node& dict_at(const segment& s, segment_offset node, dict_shape shape);

/// One change of a dict or several that happen together: what they free is freed last, since a block freed in a transaction
/// may not be handed out again before the commit.
class CAIRN_API dict_change {
public:
    dict_change(root_transaction& tx, dict_node& node) : tx_(tx), node_(node), has_erased_(tx.has_joined()) {}
    dict_change(const dict_change&) = delete;
    dict_change& operator=(const dict_change&) = delete;

    [[nodiscard]] root_transaction& tx() const noexcept { return tx_; }
    [[nodiscard]] dict_node& node() const noexcept { return node_; }
    [[nodiscard]] dict_shape shape() const noexcept { return node_.shape; }

    /// Under the lock, where a link that leads nowhere is damage: throws corrupt_segment.
    template <dict_shape Shape>
    [[nodiscard]] CAIRN_INLINE std::byte* find(const dict_key& key) {
        // Of its own: Clang before 17 exports the parameter itself from whatever uses it as an object.
        constexpr dict_shape own = Shape;
        constexpr std::uint32_t record_bytes = Shape.record_bytes();
        bool torn = false;
        std::byte* record = nullptr;
        if constexpr (own.key_form == dict_key_form::word) {
            looked_for_ = key.hash;
            torn = !find_table(tx_.in(), node_, record_bytes, key.hash, looked_in_);
            if (!torn && looked_in_.count != 0) {
                __builtin_prefetch(looked_in_.groups - sizeof(dict_table_header), 1);  // for an insert
                record = find_word_in(looked_in_, record_bytes, key, torn);
            }
        } else {
            record = find_record(tx_.in(), node_, own, key, torn);
        }
        if (torn) [[unlikely]]
            throw_torn();
        return record;
    }

    /// Adds a record; the key is not there. `value` is encoded: in place, or of any length. Throws segment_full.
    void insert(const dict_key& key, std::span<const std::byte> value);
    /// The same right behind the find() that has not found it.
    template <dict_shape Shape>
    CAIRN_INLINE void insert_missing(const dict_key& key, std::span<const std::byte> value) {
        if constexpr (Shape.is_words()) {
            constexpr std::size_t value_bytes = Shape.value_bytes;
            std::uint64_t word = 0;
            if constexpr (value_bytes != 0) std::memcpy(&word, value.data(), value_bytes);
            if (insert_words<Shape>(key, word)) [[likely]]
                return;
        }
        insert(key, value);
    }
    /// Gives a record that is there another value. Throws segment_full.
    void replace(std::byte* record, std::span<const std::byte> value);
    /// Takes a record away. Needs no memory.
    void erase(std::byte* record);
    /// Frees what was replaced or erased, and commits. Then tables that have got sparse are made smaller, if there is memory.
    CAIRN_INLINE void commit() {
        if (few_count_ == 0 && trim_count_ == 0) [[likely]] {
            tx_.commit();
            has_erased_ = tx_.has_joined();
        } else {
            tidy_up_and_commit();
        }
    }

private:
    struct roomy_table {
        dict_table_header& header;
        std::uint32_t groups;
    };
    template <dict_shape Shape>
    CAIRN_INLINE bool insert_words(const dict_key& key, std::uint64_t value);
    void tidy_up_and_commit();
    void free_later(segment_offset offset, std::uint64_t bytes);
    void free_blob_later(const blob_slot& slot);
    void free_fields_later(const std::byte* record);
    void write_fields(std::byte* fields, const dict_key& key, std::span<const std::byte> value);
    void write_pair(std::byte* field, std::span<const std::byte> key, std::span<const std::byte> value);
    [[noreturn]] void throw_torn() const;
    CAIRN_INLINE void store_counts(dict_table_header& header, std::uint32_t used, std::uint32_t live);
    roomy_table make_room(std::uint64_t hash);
    void grow_table(std::uint64_t hash, std::uint64_t entry, const dict_table_header& header);
    segment_offset build_table(std::uint32_t groups, std::uint32_t depth);
    void rebuild_table(std::uint64_t entry, segment_offset table, std::uint32_t groups);
    void split_table(std::uint64_t entry, std::uint32_t bit, segment_offset zeros, segment_offset ones);
    [[nodiscard]] bool may_double_directory() const noexcept;
    void double_directory();
    void replace_entries(std::uint64_t hash, std::uint32_t depth, std::uint64_t zeros, std::uint64_t ones);
    void add_to_order(std::uint64_t hash);
    void shrink_later(std::uint64_t hash) noexcept;
    bool shrink_table(std::uint64_t hash) noexcept;
    void forget_in_order(std::uint64_t sequence);
    void trim_later(std::uint64_t sequence);

    root_transaction& tx_;
    dict_node& node_;
    dict_table looked_in_;  // by the last find(), for that hash
    std::uint64_t looked_for_ = 0;
    std::array<freed_block, 4> few_frees_;
    std::uint32_t few_count_ = 0;
    std::vector<freed_block> more_frees_;
    std::uint64_t last_trim_ = 0;
    std::uint64_t trim_count_ = 0;
    std::vector<std::uint64_t> more_trims_;
    std::vector<std::uint64_t> sparse_;  // hashes that lead to tables which may have become so
    bool has_erased_;                    // in this transaction, or perhaps in the one that it has joined
};

// Both at once, as the word that they are: one record of the log.
CAIRN_INLINE void dict_change::store_counts(dict_table_header& header, std::uint32_t used,
                                            std::uint32_t live) {
    static_assert(offsetof(dict_table_header, used) == 0 && offsetof(dict_table_header, live) == 4);
    tx_.store(*reinterpret_cast<std::uint64_t*>(&header), std::uint64_t{live} << 32 | used);
}

// insert() where there is nothing to allocate: the table has room, and so has the last leaf of the order. False when not.
template <dict_shape Shape>
CAIRN_INLINE bool dict_change::insert_words(const dict_key& key, std::uint64_t value) {
    constexpr std::uint32_t record_bytes = Shape.record_bytes();
    const dict_table table = looked_in_;
    const std::uint64_t sequence = node_.next_sequence;
    const std::uint64_t cell = sequence & (order_fanout - 1);
    const segment_offset leaf = node_.order_leaf & ~std::uint64_t{7};
    const bool is_looked_up = table.count != 0 && looked_for_ == key.hash;  // a NaN is not
    if (!is_looked_up || cell == 0 || has_erased_ ||
        !segment_bounds::under_lock(tx_.in()).has(leaf, order_node_bytes))
        return false;
    auto& header = *reinterpret_cast<dict_table_header*>(table.groups - sizeof(dict_table_header));
    if (header.used >= most_records(table.count)) return false;
    std::uint32_t index = home_of(key.hash, table.count);
    std::byte* group = table.groups + index * group_bytes(record_bytes);
    for (std::uint32_t left = table.count; (~word_in(group, 0) & each_top_bit) == 0; --left) {
        if (left == 0) throw_torn();
        if (++index == table.count) index = 0;
        group = table.groups + index * group_bytes(record_bytes);
    }
    auto& tags = *reinterpret_cast<std::uint64_t*>(group);
    const std::uint32_t place = place_of(~tags & each_top_bit);
    tx_.begin_change();
    // Not logged: nobody looks at cells from next_sequence on, nor at a record without a live tag.
    store_word(tx_.in().at<std::uint64_t>(leaf)[cell], order_cell(key.hash));
    auto* record =
        reinterpret_cast<std::uint64_t*>(group + sizeof tags + std::uint64_t{place} * record_bytes);
    store_word(record[0], sequence);
    store_word(record[1], key.word);
    if constexpr (Shape.value_form != dict_value_form::none) store_word(record[2], value);
    const bool was_empty = tag_at(tags, place) == tag_empty;
    tx_.store(tags, with_tag(tags, place, tag_of(key.hash)));
    store_counts(header, header.used + (was_empty ? 1 : 0), header.live + 1);
    tx_.store(node_.next_sequence, sequence + 1);
    tx_.store(node_.size, node_.size + 1);
    looked_in_ = {};
    return true;
}

/// Removes everything: begins a stored operation, and carries it through. Needs no memory.
CAIRN_API void clear_dict(root_transaction& tx, dict_node& node);

// ---- order -----------------------------------------------------------------------------------------------------

/// The first record at or after `sequence` in order of insertion; null when there is none. `sequence` becomes its.
/// Needs no lock; `torn` as above.
CAIRN_API std::byte* next_record(const segment& s, const dict_node& node, dict_shape shape,
                                 std::uint64_t& sequence, bool& torn) noexcept;
/// The one that was inserted last. Under the lock.
CAIRN_API std::byte* last_record(const segment& s, const dict_node& node, dict_shape shape,
                                 bool& torn) noexcept;

/// All records as they are stored, in order, and the bytes of their blobs behind each other. Needs no lock.
struct dict_copy {
    std::uint64_t count = 0;
    std::uint64_t version = 0;              // of the root, when a reader took it
    std::vector<std::byte> records;         // count * record_bytes
    std::vector<std::byte> blobs;           // of each record: key, then value, where they are blobs
    std::vector<std::uint64_t> blob_bytes;  // length of each of these
};
CAIRN_API read_result copy_dict(const segment& s, const dict_node& node, dict_shape shape, dict_copy& to);
/// `most` of those from `sequence` on and before `end`; `sequence` becomes the next one's.
CAIRN_API read_result copy_records(const segment& s, const dict_node& node, dict_shape shape,
                                   std::uint64_t& sequence, std::uint64_t end, std::uint64_t most,
                                   dict_copy& to);
/// One record, as copy_dict().
CAIRN_API read_result copy_record(const segment& s, dict_shape shape, const std::byte* record, dict_copy& to);

// ---- inspection --------------------------------------------------------------------------------------------------

/// Words of the node that make no sense by themselves; empty when all do.
CAIRN_API std::string check_dict_node(const segment& s, const dict_node& node);
/// Reports every block to the audit; empty, or the first invariant that does not hold.
CAIRN_API std::string check_dict(const segment& s, dict_node& node, arena_audit& audit);

/// For finish_stored_operation().
void go_on_dropping_dict(root_transaction& tx);

}  // namespace cairn::inline CAIRN_ABI::detail
