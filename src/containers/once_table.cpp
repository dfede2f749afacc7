// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/once_table.hpp"

#include "containers/numbering.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/containers/dict_core.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr dict_shape once_shape = {.key_form = dict_key_form::word,
                                   .value_form = dict_value_form::in_place,
                                   .key_bytes = 8,
                                   .value_bytes = 8,
                                   .reserved_ = 0};

std::uint64_t& sequence_in(std::byte* record) noexcept {
    return *reinterpret_cast<std::uint64_t*>(record + once_shape.value_at());
}

dict_key key_of(const segment& s, std::uint64_t client) noexcept {
    return word_key(client, s.header().hash_seed);
}

}  // namespace

numbering note_number(root_transaction& tx, once_id id) {
    segment& s = tx.in();
    const segment_offset table = load_word(tx.slot().once);
    if (table == 0) return numbering::unknown_client;
    dict_change change(tx, dict_at(s, table, once_shape));
    std::byte* const record = change.find<once_shape>(key_of(s, id.client));
    if (record == nullptr) return numbering::unknown_client;
    std::uint64_t& last = sequence_in(record);
    if (load_word(last) >= id.sequence) return numbering::happened;
    tx.begin_change();
    tx.store(last, id.sequence);
    return numbering::noted;
}

void require_number(const segment& s, const root_slot& slot, once_id id) {
    if (id.sequence != 0) return;
    throw invalid_argument("use of " + describe_object(s, slot) +
                           ": .once has the sequence 0; the operations of a client are numbered from 1 on");
}

void make_room_for_client(segment& s, root_slot& slot, std::uint64_t generation, std::uint64_t client) {
    root_transaction tx(s, slot, generation);
    tx.begin_change();
    if (load_word(slot.once) == 0) {
        const segment_offset table = create_dict(tx, once_shape);
        tx.store(slot.once, table);
    }
    dict_change change(tx, dict_at(s, load_word(slot.once), once_shape));
    const dict_key key = key_of(s, client);
    if (change.find<once_shape>(key) == nullptr) {
        const std::uint64_t none = 0;
        change.insert(key, std::as_bytes(std::span(&none, 1)));
    }
    change.commit();
}

numbered_transaction::numbered_transaction(segment& s, root_slot& slot, std::uint64_t generation,
                                           once_id id) {
    require_number(s, slot, id);
    for (;;) {
        all_.emplace(s, slot, generation);
        const numbering found = note_number(all_->tx_, id);
        has_happened_ = found == numbering::happened;
        if (found != numbering::unknown_client) return;
        all_.reset();
        make_room_for_client(s, slot, generation, id.client);
    }
}

std::uint64_t last_sequence(segment& s, root_slot& slot, std::uint64_t generation, std::uint64_t client) {
    std::uint64_t last = 0;
    const dict_key key = key_of(s, client);
    read_root(s, slot, generation, [&](const segment& in) {
        last = 0;
        const root_slot& seen = *in.at<root_slot>(s.offset_of(&slot));
        const segment_offset table = load_word(seen.once);
        if (table == 0) return read_result::done;
        const auto* node = in.find<dict_node>(table);
        if (node == nullptr) return read_result::torn;
        bool torn = false;
        if (std::byte* const record = find_word(in, *node, once_shape.record_bytes(), key, torn))
            last = load_word(sequence_in(record));
        return torn ? read_result::torn : read_result::done;
    });
    return last;
}

void forget_client(root_transaction& tx, std::uint64_t client) {
    if (load_word(tx.slot().once) == 0) return;
    dict_change change(tx, dict_at(tx.in(), load_word(tx.slot().once), once_shape));
    std::byte* const record = change.find<once_shape>(key_of(tx.in(), client));
    if (record == nullptr) return;
    change.erase(record);
    change.commit();
}

std::string check_once_table(const segment& s, const root_slot& slot, arena_audit& audit) {
    if (load_word(slot.once) == 0) return {};
    auto* node = s.find<dict_node>(load_word(slot.once));
    if (node == nullptr || !(node->shape == once_shape))
        return "its table of what has happened makes no sense";
    try {
        const std::string problem = check_dict(s, *node, audit);
        return problem.empty() ? problem : "what has happened: " + problem;
    } catch (const corrupt_segment&) {
        return "what has happened: a link leads outside";
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
