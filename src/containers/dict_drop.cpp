// dict_drop.cpp - clear: a stored operation, so that it needs no memory and does a bounded amount of work in each step.
//
// arguments[0]  the group in the current table from which on blobs are still there
// progress      phase 0: directory entries that still lead to tables; they are done from the last to the first
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "containers/dict_tables.hpp"
#include "txn/operation.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t entries_in_step = 4096;

enum phase : std::uint32_t { tables = 0, directory = 1, order = 2, rest = 3 };

bool has_blobs(dict_shape shape) noexcept {
    return shape.key_form == dict_key_form::blob || shape.value_form == dict_value_form::blob;
}

void free_fields(root_transaction& tx, dict_shape shape, const std::byte* record) {
    const auto free_at = [&](std::uint32_t at) {
        free_blob(tx, {word_in(record, at), word_in(record, at + 8)});
    };
    if (shape.key_form == dict_key_form::blob) free_at(shape.key_at());
    if (shape.value_form == dict_value_form::blob) free_at(shape.value_at());
}

void free_blobs_of(root_transaction& tx, const dict_node& node, std::uint64_t entry) {
    stored_operation& op = tx.slot().operation;
    dict_table_header& header = header_of(tx.in(), node, entry);
    const std::uint32_t record_bytes = node.shape.record_bytes();
    while (op.arguments[0] < entry_groups(entry)) {
        std::byte* group = group_at(header, record_bytes, static_cast<std::uint32_t>(op.arguments[0]));
        // One record in each step: what freeing two blobs logs fits the control block in any case.
        if (const std::uint64_t live = tags_of(group) & each_top_bit; live != 0) {
            free_fields(tx, node.shape, record_in(group, record_bytes, place_of(live)));
            tx.store(tags_of(group), with_tag(tags_of(group), place_of(live), tag_erased));
        } else {
            tx.store(op.arguments[0], op.arguments[0] + 1);
        }
        tx.commit();
    }
}

void drop_tables(root_transaction& tx, dict_node& node) {
    stored_operation& op = tx.slot().operation;
    const std::uint64_t* entries = entries_of(tx.in(), node);
    if (op.progress > std::uint64_t{1} << depth_of(node))
        throw_corrupt(tx.in(), "an unfinished clear of a dict makes no sense");
    while (op.progress != 0) {
        std::uint64_t left = op.progress;
        const std::uint64_t least = left - std::min(left, entries_in_step);
        // All entries of one table lie side by side; it goes with the first of them.
        while (left > least + 1 && (entries[left - 1] == 0 || entries[left - 2] == entries[left - 1])) --left;
        if (left != op.progress) {
            tx.store(op.progress, left);
            tx.commit();
            continue;
        }
        const std::uint64_t entry = entries[left - 1];
        const bool is_first = left == 1 || entries[left - 2] != entry;
        if (entry != 0 && is_first) {
            if (has_blobs(node.shape)) free_blobs_of(tx, node, entry);
            deallocate(tx, entry_table(entry), table_bytes(entry_groups(entry), node.shape.record_bytes()));
        }
        tx.store(op.arguments[0], 0);
        tx.store(op.progress, left - 1);
        tx.commit();
    }
}

void drop_directory(root_transaction& tx, dict_node& node) {
    if (depth_of(node) != 0) {
        static_cast<void>(entries_of(tx.in(), node));
        deallocate(tx, node.directory, std::uint64_t{8} << depth_of(node));
        tx.store(node.directory, tx.in().offset_of(&node.single));
        tx.store(node.shift, 63);
    }
    tx.store(node.single, 0);
}

// Frees the last node of the order that leads to nothing else. False when there is none left.
bool drop_last_order_node(root_transaction& tx, dict_node& node) {
    if (node.order_root == 0) return false;
    std::uint64_t* link = &node.order_root;
    for (std::uint32_t level = node.order_height;; --level) {
        auto* words = tx.in().find<std::uint64_t>(*link, order_node_bytes);
        if (words == nullptr || level > largest_order_height)
            throw_corrupt(tx.in(), "a link in the order of a dict leads outside");
        std::uint64_t* last = nullptr;
        for (std::uint64_t i = level == 0 ? 0 : order_fanout; i-- != 0;) {
            if (words[i] == 0) continue;
            last = &words[i];
            break;
        }
        if (last == nullptr) break;
        link = last;
    }
    deallocate(tx, *link, order_node_bytes);
    tx.store(*link, 0);
    return true;
}

void next_phase(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    tx.store(op.phase, op.phase + 1);
    tx.commit();
}

}  // namespace

void go_on_dropping_dict(root_transaction& tx) {
    stored_operation& op = tx.slot().operation;
    auto* found = tx.in().find<dict_node>(op.node);
    if (found == nullptr || !check_dict_node(tx.in(), *found).empty())
        throw_corrupt(tx.in(), "an unfinished operation has no dict");
    dict_node& node = *found;
    if (op.phase == phase::tables) {
        drop_tables(tx, node);
        next_phase(tx);
    }
    if (op.phase == phase::directory) {
        drop_directory(tx, node);
        next_phase(tx);
    }
    if (op.phase == phase::order) {
        while (drop_last_order_node(tx, node)) tx.commit();
        next_phase(tx);
    }
    tx.store(node.order_leaf, 0);
    tx.store(node.order_height, 0);
    tx.store(node.next_sequence, 0);
    tx.store(op.kind, static_cast<std::uint32_t>(operation_kind::none));
    tx.commit();
}

void clear_dict(root_transaction& tx, dict_node& node) {
    static_cast<void>(entries_of(tx.in(), node));  // nothing is begun with a directory of no possible size
    tx.begin_change();
    stored_operation& op = tx.slot().operation;
    tx.store(op.phase, 0);
    tx.store(op.node, tx.in().offset_of(&node));
    tx.store(op.progress, std::uint64_t{1} << depth_of(node));
    tx.store(op.arguments[0], 0);
    tx.store(op.kind, static_cast<std::uint32_t>(operation_kind::dict_drop));
    tx.store(node.size, 0);
    tx.commit();
    finish_stored_operation(tx);
}

}  // namespace cairn::inline CAIRN_ABI::detail
