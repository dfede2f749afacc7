// dict_check.cpp - what must hold of a dict, for recovery's tests and for shmctl.
// SPDX-License-Identifier: BSL-1.0
#include "containers/dict_tables.hpp"

namespace cairn::inline CAIRN_ABI::detail {

std::string check_dict_node(const segment& s, const dict_node& node) {
    const dict_shape shape = node.shape;
    const bool has_key_form =
        shape.key_form == dict_key_form::word ||
        (shape.key_form == dict_key_form::in_place && shape.key_bytes != 0 && shape.key_bytes <= 256) ||
        shape.key_form == dict_key_form::blob;
    const bool has_value_form =
        shape.value_form == dict_value_form::none || shape.value_form == dict_value_form::blob ||
        (shape.value_form == dict_value_form::in_place && shape.value_bytes != 0 &&
         shape.value_bytes <= 256) ||
        (shape.value_form == dict_value_form::beside_key && shape.key_form == dict_key_form::blob);
    if (!has_key_form || !has_value_form) return "dict: its keys or values have no known form";
    if (node.seed != s.header().hash_seed) return "dict: its hashes have another seed than its segment's";
    if (node.shift > 63 || depth_of(node) > largest_directory_depth)
        return "dict: its directory has no possible size";
    if ((depth_of(node) == 0) != (node.directory == s.offset_of(&node.single)))
        return "dict: its directory is not where its size says";
    if (node.order_height > largest_order_height || node.size > node.next_sequence)
        return "dict: size, sequence or height make no sense";
    return {};
}

namespace {

class dict_checker {
public:
    dict_checker(const segment& s, dict_node& node, arena_audit& audit) : s_(s), node_(node), audit_(audit) {}

    std::string run() {
        audit_.reached(s_.offset_of(&node_), sizeof node_);
        check_tables();
        if (problem_.empty() && live_ != node_.size) fail("size is not the number of its records");
        if (problem_.empty()) check_order();
        if (problem_.empty() && cells_ != node_.size) fail("the order has another number of records");
        return problem_;
    }

private:
    void fail(const char* what) {
        if (problem_.empty()) problem_ = std::string("dict: ") + what;
    }

    void check_tables() {
        const std::uint64_t* entries = entries_of(s_, node_);
        const std::uint64_t count = std::uint64_t{1} << depth_of(node_);
        if (depth_of(node_) != 0) audit_.reached(node_.directory, count * 8);
        for (std::uint64_t i = 0; i < count && problem_.empty();) {
            const std::uint64_t entry = entries[i];
            if (entry == 0) {
                if (count != 1 || node_.size != 0) fail("an entry of its directory leads nowhere");
                return;
            }
            if (entry_table(entry) % 8 != 0) return fail("a table lies where none can");
            dict_table_header& header = header_of(s_, node_, entry);
            if (header.depth > depth_of(node_)) return fail("a table is deeper than the directory");
            const std::uint64_t run = std::uint64_t{1} << (depth_of(node_) - header.depth);
            if (i % run != 0) return fail("the entries of a table are not where its depth says");
            for (std::uint64_t k = 0; k < run; ++k)
                if (entries[i + k] != entry) return fail("a table has too few entries in the directory");
            check_table(entry, header, i);
            i += run;
        }
    }

    void check_table(std::uint64_t entry, dict_table_header& header, std::uint64_t index) {
        const std::uint32_t groups = entry_groups(entry);
        const std::uint32_t record_bytes = node_.shape.record_bytes();
        audit_.reached(entry_table(entry), table_bytes(groups, record_bytes));
        std::uint32_t used = 0;
        std::uint32_t live = 0;
        for (std::uint32_t i = 0; i < groups && problem_.empty(); ++i) {
            std::byte* group = group_at(header, record_bytes, i);
            for (std::uint32_t place = 0; place < group_places; ++place) {
                const std::uint64_t tag = tag_at(tags_of(group), place);
                if (tag == tag_empty) continue;
                ++used;
                if (tag == tag_erased) continue;
                ++live;
                if (!is_live_tag(tag)) return fail("a place has no possible tag");
                check_record(record_in(group, record_bytes, place), tag, header, index);
            }
        }
        if (used != header.used || live != header.live) fail("a table counts other records than it has");
        if (used >= groups * group_places) fail("a table has no empty place, where searches end");
        live_ += live;
    }

    void check_record(const std::byte* record, std::uint64_t tag, const dict_table_header& header,
                      std::uint64_t index) {
        const std::uint64_t hash = hash_of(node_, record);
        const std::uint64_t sequence = word_in(record, 0);
        const std::uint32_t rest = depth_of(node_) - header.depth;
        if (tag != tag_of(hash)) return fail("a record has another tag than its hash");
        if (entry_index(node_, hash) >> rest != index >> rest)
            return fail("a record is in another table than its hash leads to");
        if (sequence >= node_.next_sequence) return fail("a record has a number that was not given yet");
        bool torn = false;
        const std::uint64_t* cell = find_cell(s_, node_, sequence, torn);
        if (cell == nullptr || *cell != order_cell(hash)) return fail("a record is not in the order");
        if (find_by_sequence(s_, node_, node_.shape, hash, sequence, torn) != record || torn)
            return fail("a record is not found from where its hash leads to");
        check_blobs(record, hash);
    }

    void check_blobs(const std::byte* record, std::uint64_t hash) {
        const dict_shape shape = node_.shape;
        blob_slot slot{};
        std::uint64_t bytes = 0;
        if (shape.key_form != dict_key_form::word) {
            const std::byte* key = find_key_bytes(s_, shape, record, slot, bytes);
            if (key == nullptr) return fail("a key lies outside the segment");
            if (hash_bytes(key, bytes, node_.seed) != hash)
                return fail("a record has another hash than its key");
            if (shape.key_form == dict_key_form::blob && is_outside(slot))
                audit_.reached(slot.first, slot.last & blob_length_mask);
        }
        if (shape.value_form == dict_value_form::blob || shape.value_form == dict_value_form::beside_key) {
            if (find_value_bytes(s_, shape, record, slot, bytes) == nullptr)
                return fail("a value lies outside the segment");
            if (shape.value_form == dict_value_form::blob && is_outside(slot))
                audit_.reached(slot.first, slot.last & blob_length_mask);
        }
    }

    void check_order() {
        if (node_.next_sequence != 0 && node_.order_root == 0) return fail("it has no order");
        if (node_.order_root == 0) return;
        check_order_node(node_.order_root, node_.order_height, 0);
        const bool grows = node_.next_sequence % order_fanout != 0;
        if (grows && s_.find<std::uint64_t>(node_.order_leaf, order_node_bytes) == nullptr)
            return fail("the leaf of the order that grows lies outside");
        bool torn = false;
        if (grows && find_cell(s_, node_, node_.next_sequence - 1, torn) !=
                         s_.at<std::uint64_t>(node_.order_leaf) + (node_.next_sequence - 1) % order_fanout)
            fail("the leaf of the order that grows is not its last");
    }

    void check_order_node(segment_offset at, std::uint32_t level, std::uint64_t first) {
        const auto* words = s_.find<std::uint64_t>(at, order_node_bytes);
        if (words == nullptr) return fail("a link in its order leads outside");
        if (++order_nodes_ > s_.committed_bytes() / order_node_bytes) return fail("its order has no end");
        audit_.reached(at, order_node_bytes);
        for (std::uint64_t i = 0; i < order_fanout && problem_.empty(); ++i) {
            const std::uint64_t sequence = first + (i << (level * order_fanout_log2));
            if (words[i] == 0) continue;
            if (level != 0) check_order_node(words[i], level - 1, sequence);
            else if (sequence < node_.next_sequence) ++cells_;
        }
    }

    const segment& s_;
    dict_node& node_;
    arena_audit& audit_;
    std::string problem_;
    std::uint64_t live_ = 0;
    std::uint64_t cells_ = 0;
    std::uint64_t order_nodes_ = 0;
};

}  // namespace

std::string check_dict(const segment& s, dict_node& node, arena_audit& audit) {
    if (std::string problem = check_dict_node(s, node); !problem.empty()) return problem;
    return dict_checker(s, node, audit).run();
}

}  // namespace cairn::inline CAIRN_ABI::detail
