// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/value_cell.hpp"

#include "segment/segment_guard.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Lets go of a cell at the end of an operation that is in no transaction of the user's, if that was not done with the change.
class held_cell {
public:
    held_cell(root_slot& slot, bool is_for_long) noexcept : slot_(slot), is_for_long_(is_for_long) {
        hold_cell(slot);
    }
    held_cell(const held_cell&) = delete;
    held_cell& operator=(const held_cell&) = delete;
    ~held_cell() {
        if (!is_for_long_) let_go(load_word(slot_.cell.value));
    }

    void let_go(std::uint64_t value) noexcept {
        const cell_look seen = look_at_cell(slot_.cell);
        // Nobody else changes a held one.
        static_cast<void>(replace_cell(slot_.cell, seen, value, seen.control + 1));
        is_for_long_ = true;
    }

private:
    root_slot& slot_;
    bool is_for_long_;
};

}  // namespace

void begin_cell(root_slot& slot, std::uint64_t value) noexcept {
    for (;;) {
        const cell_look seen = look_at_cell(slot.cell);
        if (replace_cell(slot.cell, seen, value, (seen.control | cell_is_held) + 1)) return;
    }
}

void hold_cell(root_slot& slot) noexcept {
    for (;;) {
        const cell_look seen = look_at_cell(slot.cell);
        if ((seen.control & cell_is_held) != 0) return;
        if (replace_cell(slot.cell, seen, seen.value, seen.control + 1)) return;
    }
}

std::uint64_t change_cell_under_lock(segment& s, root_slot& slot, std::uint64_t generation, void* how,
                                     word_change next) {
    root_transaction tx(s, slot, generation);
    held_cell held(slot, tx.has_joined());
    const std::uint64_t old = load_word(slot.cell.value);
    const std::uint64_t value = next(how, old);
    tx.require_own();
    if (tx.has_joined()) {
        tx.begin_change();
        tx.store(slot.cell.value, value);
        tx.commit();
    } else {
        held.let_go(value);
    }
    return old;
}

std::uint64_t read_cell_slowly(segment& s, root_slot& slot, std::uint64_t generation) {
    std::uint64_t value = 0;
    read_root(s, slot, generation, [&](const segment& in) {
        // What a transaction has read stays as it is until its end.
        if (may_join(slot)) hold_cell(slot);
        value = load_word(in.at<root_slot>(s.offset_of(&slot))->cell.value);
        return read_result::done;
    });
    return value;
}

segment_offset create_cell_node(root_transaction& tx, std::uint32_t bytes, std::uint64_t value) {
    const segment_offset offset = allocate(tx, sizeof(value_node));
    auto& node = *tx.in().at<value_node>(offset);
    store_word(node.form, value_form::cell);
    store_word(node.bytes, bytes);
    store_word(node.element, 0);
    begin_cell(tx.slot(), value);
    return offset;
}

segment_offset create_element_node(root_transaction& tx, segment_offset element) {
    const segment_offset offset = allocate(tx, sizeof(value_node));
    auto& node = *tx.in().at<value_node>(offset);
    store_word(node.form, value_form::element);
    store_word(node.bytes, 0);
    store_word(node.element, element);
    return offset;
}

std::string check_value_node(const segment& s, const value_node& node) {
    const std::uint32_t bytes = load_word(node.bytes);
    switch (load_word(node.form)) {
        case value_form::cell:
            if (bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8) return {};
            return "value: it has no size";
        case value_form::element:
            if (s.find<list_node>(load_word(node.element)) != nullptr) return {};
            return "value: it lies outside";
    }
    return "value: it is of no known form";
}

std::string check_value(const segment& s, const value_node& node, arena_audit& audit) {
    if (std::string problem = check_value_node(s, node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    if (node.form == value_form::cell) return {};
    list_node& element = *s.at<list_node>(node.element);
    if (element.size != 1) return "value: it has no value";
    return check_list(s, element, audit);
}

const value_node& value_at(const segment& s, segment_offset offset, value_form form, std::uint32_t bytes) {
    const auto* node = s.find<value_node>(offset);
    if (node == nullptr || load_word(node->form) != form || load_word(node->bytes) != bytes ||
        !check_value_node(s, *node).empty())
        throw_corrupt(s, "the node of a value makes no sense");
    return *node;
}

}  // namespace cairn::inline CAIRN_ABI::detail
