// SPDX-License-Identifier: BSL-1.0
#include "inspect/synchronisation.hpp"

#include <cstring>

#include <cairn/detail/os/robust_mutex.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

object_kind kind_of(const root_slot& slot) noexcept {
    return static_cast<object_kind>(slot.kind);
}

template <typename Node>
const Node* node_at(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    return in.find<Node>(slot.node);
}

const mutex_node* mutex_in(image& in, const root_slot& slot) {
    const auto* node = node_at<mutex_node>(in, slot);
    return node != nullptr && check_mutex_node(*node, kind_of(slot)).empty() ? node : nullptr;
}

template <typename T>
plain_state state_of(const char* type, T value) {
    plain_state state{type, std::vector<std::byte>(sizeof value)};
    std::memcpy(state.bytes.data(), &value, sizeof value);
    return state;
}

// "held, taken 2 times; its owner before died with it"
std::string status_of(const mutex_node& node, const root_slot& slot) {
    const lock_word word = inspect(slot.lock);
    const bool is_held = word.thread_id != 0 && !word.owner_died;
    const auto state = static_cast<hold_state>(node.state);
    if (!is_held && state == hold_state::free) return "free";
    if (!is_held) return "free; its owner died with it";
    std::string text = "held";
    if (node.depth != 0) text += ", taken " + std::to_string(std::uint64_t{node.depth} + 1) + " times";
    if (state == hold_state::owner_died) text += "; its owner before died with it";
    return text;
}

}  // namespace

bool is_synchronisation(object_kind kind) noexcept {
    return is_users_lock(kind);
}

void fill_synchronisation(object_facts& facts, image& in, const root_slot& slot) {
    if (const mutex_node* node = mutex_in(in, slot)) {
        facts.status = status_of(*node, slot);
        return;
    }
    facts.notes.emplace_back("damaged: its node makes no sense");
}

std::optional<plain_state> state_in(image& in, const root_slot& slot) {
    if (mutex_in(in, slot) == nullptr) return std::nullopt;
    const lock_word word = inspect(slot.lock);
    return state_of("bool", static_cast<std::uint8_t>(word.thread_id != 0 && !word.owner_died ? 1 : 0));
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
