// dict_growth.cpp - tables that are built anew, larger or as two, when they have no room left.
#include "containers/dict_tables.hpp"

namespace cairn::inline v0::detail {

// Makes sure that the table of a hash has a place for one more record.
void dict_change::make_room(std::uint64_t hash) {
    const segment& s = tx_.in();
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    for (;;) {
        const std::uint64_t entry = entries_of(s, node_)[entry_index(node_, hash)];
        if (entry == 0) {
            replace_entries(hash, depth_of(node_), dict_entry(build_table(1, depth_of(node_)), 1), 0);
            return;
        }
        dict_table_header& header = header_of(s, node_, entry);
        const std::uint32_t groups = entry_groups(entry);
        const std::uint32_t depth = header.depth;
        if (header.used < most_records(groups)) return;
        if (depth > depth_of(node_)) throw_damaged(s, tx_.slot());

        const bool is_half_erased = header.live <= most_records(groups) / 2;
        if (is_half_erased || !is_full_size(groups, record_bytes, depth) ||
            depth == largest_directory_depth) {
            const std::uint32_t now = is_half_erased ? groups : more_groups(groups, record_bytes);
            if (table_bytes(now, record_bytes) > max_segment_bytes || now >> (64 - entry_offset_bits) != 0)
                throw_damaged(s, tx_.slot());
            const segment_offset table = build_table(now, depth);
            move_records(entry, 0, table, table, now);
            replace_entries(hash, depth, dict_entry(table, now), dict_entry(table, now));
        } else {
            if (depth == depth_of(node_)) double_directory();
            const segment_offset zeros = build_table(groups, depth + 1);
            const segment_offset ones = build_table(groups, depth + 1);
            move_records(entry, 63 - depth, zeros, ones, groups);
            replace_entries(hash, depth, dict_entry(zeros, groups), dict_entry(ones, groups));
        }
        free_later(entry_table(entry), table_bytes(groups, record_bytes));
    }
}

segment_offset dict_change::build_table(std::uint32_t groups, std::uint32_t depth) {
    const std::uint64_t bytes = table_bytes(groups, node_.shape.record_bytes());
    const segment_offset table = allocate(tx_, bytes);
    auto& header = *tx_.in().at<dict_table_header>(table);
    zero_shared(&header, bytes);
    store_word(header.depth, depth);
    return table;
}

// Copies the live records of a table into new ones, by one bit of their hashes. New memory: nothing is logged.
void dict_change::move_records(std::uint64_t entry, std::uint32_t bit, segment_offset zeros,
                               segment_offset ones, std::uint32_t groups) {
    const segment& s = tx_.in();
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    dict_table_header& from = header_of(s, node_, entry);
    for (std::uint32_t i = 0; i < entry_groups(entry); ++i) {
        std::byte* group = group_at(from, record_bytes, i);
        for (std::uint64_t bits = tags_of(group) & each_top_bit; bits != 0; bits &= bits - 1) {
            const std::byte* record = record_in(group, record_bytes, place_of(bits));
            const std::uint64_t hash = hash_of(node_, record);
            auto& to = *s.at<dict_table_header>((hash >> bit & 1) != 0 ? ones : zeros);
            if (to.live >= most_records(groups)) throw_damaged(s, tx_.slot());
            std::uint32_t index = home_of(hash, groups);
            std::byte* target = group_at(to, record_bytes, index);
            for (std::uint32_t left = groups; !has_empty(tags_of(target)); --left) {
                if (left == 0) throw_damaged(s, tx_.slot());
                if (++index == groups) index = 0;
                target = group_at(to, record_bytes, index);
            }
            const std::uint64_t tags = tags_of(target);
            const std::uint32_t place = place_of(~tags & each_top_bit);
            std::byte* moved = record_in(target, record_bytes, place);
            for (std::uint32_t at = 0; at < record_bytes; at += 8)
                store_word(*reinterpret_cast<std::uint64_t*>(moved + at), word_in(record, at));
            store_word(tags_of(target), with_tag(tags, place, tag_of(hash)));
            store_word(to.used, to.used + 1);
            store_word(to.live, to.live + 1);
        }
    }
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

}  // namespace cairn::inline v0::detail
