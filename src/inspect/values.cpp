// SPDX-License-Identifier: BSL-1.0
#include "inspect/values.hpp"

#include <cstring>
#include <vector>

#include "inspect/roots.hpp"
#include <cairn/detail/containers/value_cell.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

const value_node* value_node_in(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    return in.find<value_node>(slot.node);
}

}  // namespace

std::optional<plain_state> cell_in(image& in, const root_slot& slot, const std::string& type) {
    const value_node* node = value_node_in(in, slot);
    if (node == nullptr || node->form != value_form::cell || node->bytes == 0 ||
        node->bytes > sizeof slot.cell.value)
        return std::nullopt;
    plain_state state{type, std::vector<std::byte>(node->bytes)};
    std::memcpy(state.bytes.data(), &slot.cell.value, state.bytes.size());
    return state;
}

list_node* element_in(image& in, const root_slot& slot) {
    const value_node* node = value_node_in(in, slot);
    return node != nullptr && node->form == value_form::element ? node_in(in, node->element) : nullptr;
}

void fill_value(object_facts& facts, image& in, const root_slot& slot) {
    facts.items = 1;
    if (const auto word = cell_in(in, slot, {})) facts.element_bytes = word->bytes.size();
    else if (const list_node* element = element_in(in, slot)) facts.element_bytes = element->stride;
    else facts.notes.emplace_back("damaged: its node makes no sense");
}

const array_node* array_in(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    const auto* node = in.find<array_node>(slot.node);
    if (node == nullptr || node->stride == 0 || node->stride > page_bytes ||
        node->size > in.limit() / node->stride || node->elements % 8 != 0)
        return nullptr;
    const bool is_inside =
        node->size == 0 || (node->elements >= in.header().data_offset && node->elements <= in.limit() &&
                            node->size * node->stride <= in.limit() - node->elements);
    return is_inside ? node : nullptr;
}

void fill_array(object_facts& facts, image& in, const root_slot& slot) {
    if (const array_node* node = array_in(in, slot)) {
        facts.items = node->size;
        facts.element_bytes = node->size * node->stride;
        facts.status = lock_status_of(node->lock, slot);
    } else {
        facts.notes.emplace_back("damaged: its node makes no sense");
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
