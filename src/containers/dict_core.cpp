// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/dict_core.hpp"

#include <algorithm>

#include "containers/dict_tables.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t pair_header_bytes = 8;  // of a block of key and value: the key's length

// Compares private bytes with shared ones, which begin at a multiple of 8 and are word by word what they are.
bool equals_shared(const std::byte* shared, const std::byte* own, std::uint64_t bytes) noexcept {
    while (bytes >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, own, 8);
        if (load_word(*reinterpret_cast<const std::uint64_t*>(shared)) != word) return false;
        shared += 8;
        own += 8;
        bytes -= 8;
    }
    if (bytes == 0) return true;
    std::array<std::byte, 8> rest{};
    copy_out(rest.data(), shared, bytes);
    return std::memcmp(rest.data(), own, bytes) == 0;
}

// Word by word: a read-only process looks without a lock.
bool has_shape(const dict_node& node, dict_shape shape) noexcept {
    const dict_shape& stored = node.shape;
    dict_key_form key_form{};  // Clang's atomics know no enumerations
    dict_value_form value_form{};
    copy_out_fixed<sizeof key_form>(&key_form, &stored.key_form);
    copy_out_fixed<sizeof value_form>(&value_form, &stored.value_form);
    return key_form == shape.key_form && value_form == shape.value_form &&
           load_word(stored.key_bytes) == shape.key_bytes &&
           load_word(stored.value_bytes) == shape.value_bytes;
}

blob_slot slot_in(const std::byte* record, std::uint32_t at) noexcept {
    return {word_in(record, at), word_in(record, at + 8)};
}

// The block that key and value share, as long as its slot says; null where it lies outside.
const std::byte* find_pair(const segment& s, const blob_slot& slot, std::uint64_t& key_bytes,
                           std::uint64_t& bytes) noexcept {
    bytes = slot.last & blob_length_mask;
    if (!is_outside(slot) || bytes < pair_header_bytes) return nullptr;
    const auto* block = s.find<std::byte>(slot.first, bytes);
    if (block == nullptr || slot.first % 8 != 0) return nullptr;
    key_bytes = word_in(block, 0);
    const std::uint64_t rest = bytes - pair_header_bytes;
    return key_bytes <= rest && round_up(key_bytes, 8) <= rest ? block : nullptr;
}

}  // namespace

dict_key bytes_key(std::span<const std::byte> bytes, std::uint64_t seed) noexcept {
    return {hash_bytes(bytes.data(), bytes.size(), seed), 0, bytes};
}

const std::byte* find_key_bytes(const segment& s, dict_shape shape, const std::byte* record, blob_slot& slot,
                                std::uint64_t& bytes) noexcept {
    if (shape.key_form == dict_key_form::in_place) {
        bytes = shape.key_bytes;
        return record + shape.key_at();
    }
    slot = slot_in(record, shape.key_at());
    if (shape.value_form != dict_value_form::beside_key) return find_blob(s, slot, bytes);
    std::uint64_t all = 0;
    const std::byte* block = find_pair(s, slot, bytes, all);
    return block == nullptr ? nullptr : block + pair_header_bytes;
}

const std::byte* find_value_bytes(const segment& s, dict_shape shape, const std::byte* record,
                                  blob_slot& slot, std::uint64_t& bytes) noexcept {
    if (shape.value_form == dict_value_form::in_place) {
        bytes = shape.value_bytes;
        return record + shape.value_at();
    }
    slot = slot_in(record, shape.value_at());
    if (shape.value_form != dict_value_form::beside_key) return find_blob(s, slot, bytes);
    std::uint64_t key_bytes = 0;
    std::uint64_t all = 0;
    const std::byte* block = find_pair(s, slot, key_bytes, all);
    if (block == nullptr) return nullptr;
    const std::uint64_t value_at = pair_header_bytes + round_up(key_bytes, 8);
    bytes = all - value_at;
    return block + value_at;
}

std::byte* find_record(const segment& s, const dict_node& node, dict_shape shape, const dict_key& key,
                       bool& torn) noexcept {
    const std::uint32_t record_bytes = shape.record_bytes();
    if (shape.key_form == dict_key_form::word) return find_word(s, node, record_bytes, key, torn);
    dict_table table;
    if (!find_table(s, node, record_bytes, key.hash, table)) {
        torn = true;
        return nullptr;
    }
    return find_in_table(table, record_bytes, key.hash, torn, [&](const std::byte* record) {
        if (word_in(record, 8) != key.hash) return false;
        blob_slot slot{};
        std::uint64_t bytes = 0;
        const std::byte* stored = find_key_bytes(s, shape, record, slot, bytes);
        if (stored == nullptr) {
            torn = true;
            return false;
        }
        return bytes == key.bytes.size() && equals_shared(stored, key.bytes.data(), bytes);
    });
}

segment_offset create_dict(root_transaction& tx, dict_shape shape) {
    const segment_offset offset = allocate(tx, sizeof(dict_node));
    dict_node& node = *tx.in().at<dict_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.directory, tx.in().offset_of(&node.single));
    store_word(node.seed, tx.in().header().hash_seed);
    store_word(node.shift, 63);
    copy_in_fixed<sizeof shape.key_form>(&node.shape.key_form, &shape.key_form);
    copy_in_fixed<sizeof shape.value_form>(&node.shape.value_form, &shape.value_form);
    store_word(node.shape.key_bytes, shape.key_bytes);
    store_word(node.shape.value_bytes, shape.value_bytes);
    return offset;
}

dict_node& dict_at(const segment& s, segment_offset offset, dict_shape shape) {
    auto* node = s.find<dict_node>(offset);
    // Only what never changes: a writer may be there, or have died there, and nobody holds the root's lock here.
    if (node == nullptr || !has_shape(*node, shape) || load_word(node->seed) != s.header().hash_seed)
        throw_corrupt(s, "the node of a dict makes no sense");
    return *node;
}

// ---- change ------------------------------------------------------------------------------------------------------

void dict_change::throw_torn() const {
    throw_damaged(tx_.in(), tx_.slot());
}

void dict_change::free_later(segment_offset offset, std::uint64_t bytes) {
    if (few_count_ < few_frees_.size()) few_frees_[few_count_++] = {offset, bytes};
    else more_frees_.push_back({offset, bytes});
}

void dict_change::free_blob_later(const blob_slot& slot) {
    if (is_outside(slot)) free_later(slot.first, slot.last & blob_length_mask);
}

void dict_change::free_fields_later(const std::byte* record) {
    const dict_shape shape = node_.shape;
    if (shape.key_form == dict_key_form::blob) free_blob_later(slot_in(record, shape.key_at()));
    if (shape.value_form == dict_value_form::blob) free_blob_later(slot_in(record, shape.value_at()));
}

// Not logged: the caller's field belongs to nobody yet, or was logged.
void dict_change::write_pair(std::byte* field, std::span<const std::byte> key,
                             std::span<const std::byte> value) {
    const std::uint64_t value_at = pair_header_bytes + round_up(key.size(), 8);
    const std::uint64_t bytes = value_at + value.size();
    const segment_offset block = allocate(tx_, bytes);
    auto* to = tx_.in().at<std::byte>(block);
    const std::uint64_t key_bytes = key.size();
    copy_in_fixed<8>(to, &key_bytes);
    copy_in(to + pair_header_bytes, key.data(), key.size());
    copy_in(to + value_at, value.data(), value.size());
    const blob_slot slot{block, blob_outside | bytes};
    copy_in_fixed<sizeof slot>(field, &slot);
}

namespace {

// In place, up to the next multiple of 8.
void write_padded(std::byte* field, std::span<const std::byte> bytes) noexcept {
    if (bytes.size() == 8) return copy_in_fixed<8>(field, bytes.data());
    const std::size_t whole = bytes.size() / 8 * 8;
    copy_in(field, bytes.data(), whole);
    if (whole == bytes.size()) return;
    std::uint64_t rest = 0;
    std::memcpy(&rest, bytes.data() + whole, bytes.size() - whole);
    copy_in_fixed<8>(field + whole, &rest);
}

}  // namespace

void dict_change::write_fields(std::byte* fields, const dict_key& key, std::span<const std::byte> value) {
    const dict_shape shape = node_.shape;
    std::byte* field = fields + shape.key_at();
    if (shape.has_hash()) copy_in_fixed<8>(fields + 8, &key.hash);
    if (shape.value_form == dict_value_form::beside_key) return write_pair(field, key.bytes, value);
    switch (shape.key_form) {
        case dict_key_form::word: copy_in_fixed<8>(field, &key.word); break;
        case dict_key_form::in_place: write_padded(field, key.bytes); break;
        case dict_key_form::blob: write_blob(tx_, *reinterpret_cast<blob_slot*>(field), key.bytes); break;
    }
    field = fields + shape.value_at();
    if (shape.value_form == dict_value_form::in_place) write_padded(field, value);
    else if (shape.value_form == dict_value_form::blob)
        write_blob(tx_, *reinterpret_cast<blob_slot*>(field), value);
}

void dict_change::insert(const dict_key& key, std::span<const std::byte> value) {
    looked_in_ = {};
    tx_.begin_change();
    const auto [header, groups] = make_room(key.hash);
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    std::uint32_t index = home_of(key.hash, groups);
    std::byte* group = group_at(header, record_bytes, index);
    for (std::uint32_t left = groups; (~tags_of(group) & each_top_bit) == 0; --left) {
        if (left == 0) throw_torn();
        if (++index == groups) index = 0;
        group = group_at(header, record_bytes, index);
    }
    const std::uint64_t tags = tags_of(group);
    const std::uint32_t place = place_of(~tags & each_top_bit);
    std::byte* record = record_in(group, record_bytes, place);
    const std::uint64_t sequence = node_.next_sequence;
    add_to_order(key.hash);
    // The place may be that of a record which this transaction has erased: its bytes are needed to take that back.
    if (has_erased_) tx_.log(record, record_bytes);
    copy_in_fixed<8>(record, &sequence);
    write_fields(record, key, value);
    tx_.store(tags_of(group), with_tag(tags, place, tag_of(key.hash)));
    store_counts(header, header.used + (tag_at(tags, place) == tag_empty ? 1 : 0), header.live + 1);
    tx_.store(node_.next_sequence, sequence + 1);
    tx_.store(node_.size, node_.size + 1);
}

void dict_change::replace(std::byte* record, std::span<const std::byte> value) {
    tx_.begin_change();
    const dict_shape shape = node_.shape;
    std::byte* field = record + shape.value_at();
    if (shape.value_form == dict_value_form::none) return;
    const bool is_in_place = shape.value_form == dict_value_form::in_place;
    const blob_slot old = is_in_place ? blob_slot{} : slot_in(record, shape.value_at());
    tx_.log(field, shape.value_form == dict_value_form::beside_key ? sizeof old : shape.value_field_bytes());
    if (is_in_place) return write_padded(field, value);
    if (shape.value_form == dict_value_form::blob) {
        write_blob(tx_, *reinterpret_cast<blob_slot*>(field), value);
    } else {
        std::uint64_t key_bytes = 0;
        std::uint64_t bytes = 0;
        const std::byte* block = find_pair(tx_.in(), old, key_bytes, bytes);
        if (block == nullptr) throw_damaged(tx_.in(), tx_.slot());
        write_pair(field, {block + pair_header_bytes, key_bytes}, value);
    }
    free_blob_later(old);
}

void dict_change::erase(std::byte* record) {
    tx_.begin_change();
    const segment& s = tx_.in();
    const std::uint32_t record_bytes = node_.shape.record_bytes();
    const std::uint64_t hash = hash_of(node_, record);
    const std::uint64_t entry = entries_of(s, node_)[entry_index(node_, hash)];
    dict_table_header& header = header_of(s, node_, entry);
    std::byte* first = group_at(header, record_bytes, 0);
    const auto distance = static_cast<std::uint64_t>(record - first);
    if (record < first || distance >= entry_groups(entry) * group_bytes(record_bytes))
        throw_damaged(s, tx_.slot());
    std::byte* group = first + distance / group_bytes(record_bytes) * group_bytes(record_bytes);
    const auto place = static_cast<std::uint32_t>(static_cast<std::uint64_t>(record - group) / record_bytes);
    if (place >= group_places || record != record_in(group, record_bytes, place))
        throw_damaged(s, tx_.slot());
    const std::uint64_t tags = tags_of(group);
    // Searches go on behind a group that was full, and end in this one if they do so already.
    const bool ends_here = has_empty(tags);
    free_fields_later(record);
    tx_.store(tags_of(group), with_tag(tags, place, ends_here ? tag_empty : tag_erased));
    store_counts(header, header.used - (ends_here ? 1 : 0), header.live - 1);
    tx_.store(node_.size, node_.size - 1);
    forget_in_order(word_in(record, 0));
    if (is_sparse(header.live, entry_groups(entry))) shrink_later(hash);
}

void dict_change::tidy_up_and_commit() {
    for (std::uint32_t i = 0; i < few_count_; ++i) deallocate(tx_, few_frees_[i].offset, few_frees_[i].bytes);
    for (const freed_block& each : more_frees_) deallocate(tx_, each.offset, each.bytes);
    tx_.commit();
    few_count_ = 0;
    more_frees_.clear();
    has_erased_ = tx_.has_joined();
    if (trim_count_ == 0) return;  // nothing was erased
    trim_order(tx_, node_, last_trim_);
    for (const std::uint64_t sequence : more_trims_) trim_order(tx_, node_, sequence);
    trim_count_ = 0;
    more_trims_.clear();
    // Where one cannot be, the others cannot either, or would take as long to find that out.
    for (const std::uint64_t hash : sparse_)
        if (!shrink_table(hash)) break;
    sparse_.clear();
}

}  // namespace cairn::inline CAIRN_ABI::detail
