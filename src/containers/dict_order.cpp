// dict_order.cpp - order of insertion: from sequence numbers to hashes, and from there to records.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <array>
#include <limits>

#include "containers/dict_tables.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t order_mask = order_fanout - 1;

std::uint64_t* node_at(const segment& s, segment_offset offset) noexcept {
    return s.find<std::uint64_t>(offset, order_node_bytes);
}

std::uint64_t* require_node(const segment& s, segment_offset offset) {
    std::uint64_t* node = node_at(s, offset);
    if (node == nullptr) throw_corrupt(s, "a link in the order of a dict leads outside");
    return node;
}

std::uint64_t index_at(std::uint64_t sequence, std::uint32_t level) noexcept {
    return sequence >> (level * order_fanout_log2) & order_mask;
}

bool is_beyond(std::uint64_t sequence, std::uint32_t height) noexcept {
    return height < largest_order_height && sequence >> ((height + 1) * order_fanout_log2) != 0;
}

bool is_all_zero(const std::uint64_t* node) noexcept {
    return std::all_of(node, node + order_fanout,
                       [](const std::uint64_t& word) { return load_word(word) == 0; });
}

segment_offset new_node(root_transaction& tx) {
    const segment_offset offset = allocate(tx, order_node_bytes);
    zero_shared(tx.in().at<std::byte>(offset), order_node_bytes);
    return offset;
}

// The leaf of a sequence number, made with all that leads to it.
segment_offset make_leaf(root_transaction& tx, dict_node& node, std::uint64_t sequence) {
    const segment& s = tx.in();
    if (node.order_height > largest_order_height)
        throw_corrupt(s, "the order of a dict has no possible height");
    if (node.order_root == 0) tx.store(node.order_root, new_node(tx));
    while (is_beyond(sequence, node.order_height)) {
        const segment_offset above = new_node(tx);
        store_word(*s.at<std::uint64_t>(above), node.order_root);
        tx.store(node.order_root, above);
        tx.store(node.order_height, node.order_height + 1);
    }
    segment_offset at = node.order_root;
    for (std::uint32_t level = node.order_height; level != 0; --level) {
        std::uint64_t& link = require_node(s, at)[index_at(sequence, level)];
        if (link == 0) tx.store(link, new_node(tx));
        at = link;
    }
    static_cast<void>(require_node(s, at));
    return at;
}

}  // namespace

void dict_change::add_to_order(std::uint64_t hash) {
    const std::uint64_t sequence = node_.next_sequence;
    if ((sequence & order_mask) == 0) {
        tx_.store(node_.order_leaf, make_leaf(tx_, node_, sequence));
        if (sequence != 0)
            trim_later(sequence - 1);  // the last leaf stays while it grows, also without cells
    }
    // Not logged: nobody looks at cells from next_sequence on.
    store_word(require_node(tx_.in(), node_.order_leaf)[sequence & order_mask], order_cell(hash));
}

void dict_change::forget_in_order(std::uint64_t sequence) {
    bool torn = false;
    std::uint64_t* cell = find_cell(tx_.in(), node_, sequence, torn);
    if (cell == nullptr) throw_damaged(tx_.in(), tx_.slot());
    tx_.store(*cell, 0);
    has_erased_ = true;
    trim_later(sequence);
}

void dict_change::trim_later(std::uint64_t sequence) {
    const std::uint64_t leaf = sequence >> order_fanout_log2;
    if (trim_count_ != 0 && last_trim_ >> order_fanout_log2 == leaf) return;
    if (trim_count_++ != 0) more_trims_.push_back(last_trim_);
    last_trim_ = sequence;
}

std::uint64_t* find_cell(const segment& s, const dict_node& node, std::uint64_t sequence,
                         bool& torn) noexcept {
    const std::uint32_t height = load_word(node.order_height);
    segment_offset at = load_word(node.order_root);
    if (height > largest_order_height || is_beyond(sequence, height)) {
        torn = true;
        return nullptr;
    }
    for (std::uint32_t level = height;; --level) {
        if (at == 0) return nullptr;
        std::uint64_t* words = node_at(s, at & ~std::uint64_t{7});
        if (words == nullptr) {
            torn = true;
            return nullptr;
        }
        if (level == 0) return &words[index_at(sequence, 0)];
        at = load_word(words[index_at(sequence, level)]);
    }
}

std::byte* find_by_sequence(const segment& s, const dict_node& node, dict_shape shape, std::uint64_t hash,
                            std::uint64_t sequence, bool& torn) noexcept {
    dict_table table;
    const std::uint32_t record_bytes = shape.record_bytes();
    if (!find_table(s, node, record_bytes, hash, table)) {
        torn = true;
        return nullptr;
    }
    std::byte* found = find_in_table(table, record_bytes, hash, torn,
                                     [&](const std::byte* record) { return word_in(record, 0) == sequence; });
    torn = torn || found == nullptr;
    return found;
}

namespace {

// The first cell at or after `sequence` that is not 0. False when there is none.
bool next_cell(const segment& s, const dict_node& node, std::uint64_t& sequence, std::uint64_t& hash,
               bool& torn) noexcept {
    const std::uint64_t end = load_word(node.next_sequence);
    const std::uint32_t height = load_word(node.order_height);
    const segment_offset root = load_word(node.order_root);
    if (height > largest_order_height) {
        torn = true;
        return false;
    }
    // Each leaf without cells is come by once; damaged links could lead to so many that it never ends.
    std::uint64_t leaves_left = s.committed_bytes() / order_node_bytes;
    while (sequence < end) {
        if (root == 0 || is_beyond(sequence, height) || leaves_left-- == 0) {
            torn = true;
            return false;
        }
        segment_offset at = root;
        for (std::uint32_t level = height;; --level) {
            const std::uint64_t* words = node_at(s, at & ~std::uint64_t{7});
            if (words == nullptr) {
                torn = true;
                return false;
            }
            // The first link of this node that leads anywhere: all numbers before it have no record.
            std::uint64_t index = index_at(sequence, level);
            const std::uint64_t first = index;
            while (index != order_fanout && load_word(words[index]) == 0) ++index;
            const std::uint32_t bits = level * order_fanout_log2;
            if (index == order_fanout) {
                if (level == largest_order_height) return false;  // beyond is no number at all
                const std::uint64_t span = bits + order_fanout_log2;
                sequence = ((sequence >> span) + 1) << span;
                break;
            }
            if (index != first) sequence = ((sequence >> bits) + (index - first)) << bits;
            if (level == 0) {
                hash = load_word(words[index]);
                return sequence < end;
            }
            at = load_word(words[index]);
        }
    }
    return false;
}

}  // namespace

std::byte* next_record(const segment& s, const dict_node& node, dict_shape shape, std::uint64_t& sequence,
                       bool& torn) noexcept {
    std::uint64_t hash = 0;
    if (!next_cell(s, node, sequence, hash, torn)) return nullptr;
    return find_by_sequence(s, node, shape, hash, sequence, torn);
}

std::byte* last_record(const segment& s, const dict_node& node, dict_shape shape, bool& torn) noexcept {
    const std::uint64_t end = node.next_sequence;
    if (node.size == 0) return nullptr;
    if (node.order_root == 0 || node.order_height > largest_order_height) {
        torn = true;
        return nullptr;
    }
    // Backwards, leaf by leaf; leaves without cells are given back, so that few are looked at in vain.
    std::uint64_t cells_left =
        s.committed_bytes() / sizeof(std::uint64_t);  // damaged links could have no end
    for (std::uint64_t sequence = end; sequence-- != 0;) {
        if (cells_left-- == 0) break;
        const std::uint64_t* cell = find_cell(s, node, sequence, torn);
        if (torn) return nullptr;
        if (cell == nullptr) {
            // Nothing below some node: on with the number before the first one below the lowest that is missing.
            std::uint32_t level = node.order_height;
            segment_offset at = node.order_root;
            while (level != 0) {
                const std::uint64_t* words = node_at(s, at);
                if (words == nullptr || words[index_at(sequence, level)] == 0) break;
                at = words[index_at(sequence, level)];
                --level;
            }
            sequence = sequence >> (level * order_fanout_log2) << (level * order_fanout_log2);
            continue;
        }
        if (*cell != 0) return find_by_sequence(s, node, shape, *cell, sequence, torn);
    }
    torn = true;  // none in spite of its size
    return nullptr;
}

read_result copy_dict(const segment& s, const dict_node& node, dict_shape shape, dict_copy& to) {
    to.records.reserve(std::min(load_word(node.size), s.committed_bytes() / shape.record_bytes()) *
                       shape.record_bytes());
    // Up to here: beside a process that inserts there is always one more, and what has been read is worth nothing then.
    const std::uint64_t end = load_word(node.next_sequence);
    std::uint64_t sequence = 0;
    return copy_records(s, node, shape, sequence, end, std::numeric_limits<std::uint64_t>::max(), to);
}

read_result copy_records(const segment& s, const dict_node& node, dict_shape shape, std::uint64_t& sequence,
                         std::uint64_t end, std::uint64_t most, dict_copy& to) {
    // So many at a time: while one record is waited for, the next ones are on their way.
    constexpr std::size_t batch = 32;
    std::array<std::uint64_t, batch> hashes{};
    std::array<std::uint64_t, batch> sequences{};
    bool torn = false;
    for (std::uint64_t left = most;;) {
        const std::uint64_t wanted = std::min<std::uint64_t>(batch, left);
        std::size_t count = 0;
        while (count != wanted && next_cell(s, node, sequence, hashes[count], torn) && sequence < end) {
            dict_table table;
            if (find_table(s, node, shape.record_bytes(), hashes[count], table) && table.count != 0) {
                __builtin_prefetch(table.groups +
                                   home_of(hashes[count], table.count) * group_bytes(shape.record_bytes()));
            }
            sequences[count++] = sequence++;
        }
        for (std::size_t i = 0; i < count && !torn; ++i) {
            const std::byte* record = find_by_sequence(s, node, shape, hashes[i], sequences[i], torn);
            if (record == nullptr || copy_record(s, shape, record, to) == read_result::torn) torn = true;
        }
        // A writer that comes and goes could keep a reader going for ever; what it has read is worth nothing then.
        if (torn || to.records.size() > s.committed_bytes()) return read_result::torn;
        left -= count;
        if (count != wanted || left == 0) return read_result::done;
    }
}

read_result copy_record(const segment& s, dict_shape shape, const std::byte* record, dict_copy& to) {
    const std::size_t at = to.records.size();
    to.records.resize(at + shape.record_bytes());
    copy_out(to.records.data() + at, record, shape.record_bytes());
    ++to.count;
    // The copy is private: its slots do not change between the look at them and the bytes they lead to.
    const std::byte* copy = to.records.data() + at;
    const auto append = [&](auto find) {
        blob_slot slot{};
        std::uint64_t bytes = 0;
        const std::byte* from = find(s, shape, copy, slot, bytes);
        if (from == nullptr || bytes > s.committed_bytes() - std::min(s.committed_bytes(), to.blobs.size()))
            return false;
        const std::size_t end = to.blobs.size();
        to.blobs.resize(end + bytes);
        if (from == reinterpret_cast<const std::byte*>(&slot)) {
            if (bytes != 0) std::memcpy(to.blobs.data() + end, from, bytes);
        } else {
            copy_out(to.blobs.data() + end, from, bytes);
        }
        to.blob_bytes.push_back(bytes);
        return true;
    };
    if (shape.key_form == dict_key_form::blob && !append(find_key_bytes)) return read_result::torn;
    const bool has_blob =
        shape.value_form == dict_value_form::blob || shape.value_form == dict_value_form::beside_key;
    if (has_blob && !append(find_value_bytes)) return read_result::torn;
    return read_result::done;
}

void trim_order(root_transaction& tx, dict_node& node, std::uint64_t sequence) {
    const segment& s = tx.in();
    for (std::uint32_t level = 0; level < node.order_height; ++level) {
        // The node on this level, and the word in the one above that leads to it.
        segment_offset at = node.order_root;
        std::uint64_t* link = nullptr;
        for (std::uint32_t above = node.order_height; above != level; --above) {
            link = &require_node(s, at)[index_at(sequence, above)];
            at = *link;
            if (at == 0) break;
        }
        if (at == 0) continue;
        // The leaf that grows stays, and so does all that leads to it.
        const std::uint64_t last = node.next_sequence == 0 ? 0 : node.next_sequence - 1;
        const std::uint32_t bits = (level + 1) * order_fanout_log2;
        if (last >> bits == sequence >> bits || !is_all_zero(require_node(s, at))) return;
        tx.store(*link, 0);
        deallocate(tx, at, order_node_bytes);
        tx.commit();
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
