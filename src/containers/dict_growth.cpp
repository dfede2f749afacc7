// dict_growth.cpp - tables that are built anew, larger or as two, when they have no room left.
// SPDX-License-Identifier: BSL-1.0
#include <new>

#include "containers/dict_tables.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {
constexpr std::uint64_t least_most_directory_bytes = 4096;  // chosen freely: so large it may be in any dict
}

// The table of a hash, with a place for one more record.
dict_change::roomy_table dict_change::make_room(std::uint64_t hash) {
    const segment& s = tx_.in();
    for (;;) {
        dict_table table;
        if (!find_table(s, node_, node_.shape.record_bytes(), hash, table)) throw_torn();
        if (table.count != 0) [[likely]] {
            auto& header = *reinterpret_cast<dict_table_header*>(table.groups - sizeof(dict_table_header));
            if (header.used < most_records(table.count)) [[likely]]
                return {header, table.count};
        }
        const std::uint64_t entry = entries_of(s, node_)[entry_index(node_, hash)];
        if (entry == 0) {
            const std::uint32_t depth = depth_of(node_);
            replace_entries(hash, depth, dict_entry(build_table(1, depth), 1), 0);
            continue;
        }
        grow_table(hash, entry, header_of(s, node_, entry));
    }
}

// Hashes that differ by chance need two to four entries for each table. Keys that a split does not part (NaN, which is never equal
// to what is there, or keys that somebody has made for it) would double the directory with each of them: their table
// grows instead.
bool dict_change::may_double_directory() const noexcept {
    const std::uint64_t bytes = (std::uint64_t{2} << depth_of(node_)) * sizeof(std::uint64_t);
    return bytes <= least_most_directory_bytes + node_.size * node_.shape.record_bytes() / 4;
}

// Builds the table of a hash anew, larger or without what was erased, or as two.
CAIRN_COLD void dict_change::grow_table(std::uint64_t hash, std::uint64_t entry,
                                        const dict_table_header& header) {
    const segment& s = tx_.in();
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    const std::uint32_t groups = entry_groups(entry);
    const std::uint32_t depth = header.depth;
    if (depth > depth_of(node_)) throw_damaged(s, tx_.slot());

    const bool is_half_erased = header.live <= most_records(groups) / 2;
    const bool may_split =
        depth < depth_of(node_) || (depth != largest_directory_depth && may_double_directory());
    if (is_half_erased || !is_full_size(groups, record_bytes, depth) || !may_split) {
        const std::uint32_t now = is_half_erased ? groups : more_groups(groups, record_bytes);
        if (table_bytes(now, record_bytes) > max_segment_bytes || now >> (64 - entry_offset_bits) != 0)
            throw_damaged(s, tx_.slot());
        const segment_offset table = build_table(now, depth);
        rebuild_table(entry, table, now);
        replace_entries(hash, depth, dict_entry(table, now), dict_entry(table, now));
    } else {
        if (depth == depth_of(node_)) double_directory();
        const segment_offset zeros = build_table(groups, depth + 1);
        const segment_offset ones = build_table(groups, depth + 1);
        split_table(entry, 63 - depth, zeros, ones);
        replace_entries(hash, depth, dict_entry(zeros, groups), dict_entry(ones, groups));
    }
    free_later(entry_table(entry), table_bytes(groups, record_bytes));
}

// No memory for the note: the table stays as it is until another erase.
void dict_change::shrink_later(std::uint64_t hash) noexcept {
    if (tx_.has_joined()) return;  // blocks that are freed there are used again only after it
    try {
        sparse_.push_back(hash);
    } catch (const std::bad_alloc&) {
        return;
    }
}

// A table that has lost nearly all that it had is built anew, small. A transaction of its own, after that of the erase; what fails
// in it fails nobody. False when it has failed.
CAIRN_COLD bool dict_change::shrink_table(std::uint64_t hash) noexcept {
    const segment& s = tx_.in();
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    try {
        const std::uint64_t entry = entries_of(s, node_)[entry_index(node_, hash)];
        const dict_table_header& header = header_of(s, node_, entry);
        const std::uint32_t groups = entry_groups(entry);
        const std::uint32_t depth = header.depth;
        if (!is_sparse(header.live, groups) || depth > depth_of(node_)) return true;
        const std::uint32_t now = groups_for(header.live, record_bytes);
        if (now >= groups) return true;
        const segment_offset table = build_table(now, depth);
        rebuild_table(entry, table, now);
        replace_entries(hash, depth, dict_entry(table, now), dict_entry(table, now));
        deallocate(tx_, entry_table(entry), table_bytes(groups, record_bytes));
        tx_.commit();
        return true;
    } catch (...) {
        try {
            tx_.roll_back();
        } catch (...) {
            // Whatever is logged next does it first, or the end of the transaction.
        }
    }
    return false;
}

// Clears header and tags; nobody reads a record whose tag is not live.
segment_offset dict_change::build_table(std::uint32_t groups, std::uint32_t depth) {
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    const segment_offset table = allocate(tx_, table_bytes(groups, record_bytes));
    auto& header = *tx_.in().at<dict_table_header>(table);
    zero_shared(&header, sizeof header);
    store_word(header.depth, depth);
    for (std::uint32_t i = 0; i < groups; ++i) store_word(tags_of(group_at(header, record_bytes, i)), 0);
    return table;
}

namespace {

// A size that is known when this is compiled, for the records that most dicts have, or that the node says: half of the work
// of moving a record is finding where it lies.
template <std::uint32_t Bytes>
struct fixed_size {
    constexpr operator std::uint32_t() const noexcept { return Bytes; }
};

template <typename Fn>
void with_record_bytes(std::uint32_t bytes, Fn fn) {
    switch (bytes) {
        case 16: return fn(fixed_size<16>{});  // a set of words
        case 24: return fn(fixed_size<24>{});  // words to words
        case 32: return fn(fixed_size<32>{});  // strings to strings, words to strings
        default: return fn(bytes);
    }
}

template <typename Size, typename Fn>
CAIRN_INLINE void for_each_record(dict_table_header& table, std::uint32_t groups, Size record_bytes, Fn fn) {
    for (std::uint32_t i = 0; i < groups; ++i) {
        std::byte* group = group_at(table, record_bytes, i);
        for (std::uint64_t bits = tags_of(group) & each_top_bit; bits != 0; bits &= bits - 1)
            fn(record_in(group, record_bytes, place_of(bits)));
    }
}

// A new table that records are moved to. New memory: nothing is logged, and what it counts is stored at the end.
template <typename Size>
class moving_target {
public:
    moving_target(dict_table_header& header, std::uint32_t groups, Size record_bytes) noexcept
        : header_(header), groups_(groups), most_(most_records(groups)), record_bytes_(record_bytes) {}
    moving_target(const moving_target&) = delete;
    moving_target& operator=(const moving_target&) = delete;
    ~moving_target() {
        store_word(header_.used, live_);
        store_word(header_.live, live_);
    }

    // False: it has no room, which is damage.
    CAIRN_INLINE bool take(const std::byte* record, std::uint64_t hash) noexcept {
        if (live_ == most_) return false;
        std::uint32_t index = home_of(hash, groups_);
        std::byte* group = group_at(header_, record_bytes_, index);
        for (std::uint32_t left = groups_; !has_empty(tags_of(group)); --left) {
            if (left == 0) return false;
            if (++index == groups_) index = 0;
            group = group_at(header_, record_bytes_, index);
        }
        const std::uint64_t tags = tags_of(group);
        const std::uint32_t place = place_of(~tags & each_top_bit);
        std::byte* to = record_in(group, record_bytes_, place);
        for (std::uint32_t at = 0; at < record_bytes_; at += 8)
            store_word(*reinterpret_cast<std::uint64_t*>(to + at), word_in(record, at));
        // The place was empty: all bits of its byte are 0.
        store_word(tags_of(group), tags | tag_of(hash) << (8 * place));
        ++live_;
        return true;
    }

private:
    dict_table_header& header_;
    std::uint32_t groups_;
    std::uint32_t most_;
    Size record_bytes_;
    std::uint32_t live_ = 0;
};

}  // namespace

// Copies the live records of a table into another one.
void dict_change::rebuild_table(std::uint64_t entry, segment_offset table, std::uint32_t groups) {
    const segment& s = tx_.in();
    dict_table_header& from = header_of(s, node_, entry);
    with_record_bytes(node_.shape.record_bytes(), [&](auto record_bytes) {
        moving_target target(*s.at<dict_table_header>(table), groups, record_bytes);
        for_each_record(from, entry_groups(entry), record_bytes, [&](const std::byte* record) {
            if (!target.take(record, hash_of(node_, record))) throw_damaged(s, tx_.slot());
        });
    });
}

// ... into two, by one bit of their hashes.
void dict_change::split_table(std::uint64_t entry, std::uint32_t bit, segment_offset zeros,
                              segment_offset ones) {
    const segment& s = tx_.in();
    const std::uint32_t groups = entry_groups(entry);
    dict_table_header& from = header_of(s, node_, entry);
    with_record_bytes(node_.shape.record_bytes(), [&](auto record_bytes) {
        moving_target zero(*s.at<dict_table_header>(zeros), groups, record_bytes);
        moving_target one(*s.at<dict_table_header>(ones), groups, record_bytes);
        for_each_record(from, groups, record_bytes, [&](const std::byte* record) {
            const std::uint64_t hash = hash_of(node_, record);
            if (!((hash >> bit & 1) != 0 ? one : zero).take(record, hash)) throw_damaged(s, tx_.slot());
        });
    });
}

// Every entry becomes two, side by side.
void dict_change::double_directory() {
    const segment& s = tx_.in();
    const std::uint32_t depth = depth_of(node_);
    const std::uint64_t count = std::uint64_t{1} << depth;
    const std::uint64_t* old = entries_of(s, node_);
    const segment_offset offset = allocate(tx_, 2 * count * 8);
    auto* entries = s.at<std::uint64_t>(offset);
    for (std::uint64_t i = 0; i < count; ++i) {
        store_word(entries[2 * i], old[i]);
        store_word(entries[2 * i + 1], old[i]);
    }
    if (depth == 0) tx_.store(node_.single, 0);
    else free_later(node_.directory, count * 8);
    tx_.store(node_.directory, offset);
    tx_.store(node_.shift, node_.shift - 1);
}

// The entries of the table that a hash leads to, `depth` bits deep: the first half of them, and the second.
void dict_change::replace_entries(std::uint64_t hash, std::uint32_t depth, std::uint64_t zeros,
                                  std::uint64_t ones) {
    std::uint64_t* entries = entries_of(tx_.in(), node_);
    const std::uint64_t count = std::uint64_t{1} << (depth_of(node_) - depth);
    const std::uint64_t first = entry_index(node_, hash) & ~(count - 1);
    for (std::uint64_t i = 0; i < count; ++i)
        tx_.store(entries[first + i], i < (count + 1) / 2 ? zeros : ones);
}

}  // namespace cairn::inline CAIRN_ABI::detail
