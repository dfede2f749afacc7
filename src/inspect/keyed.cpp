// SPDX-License-Identifier: BSL-1.0
#include "inspect/keyed.hpp"

#include "containers/dict_tables.hpp"
#include <cairn/detail/containers/element.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

bool is_keyed(const root_slot& slot) noexcept {
    const auto kind = static_cast<object_kind>(slot.kind);
    return kind == object_kind::dict || kind == object_kind::set || kind == object_kind::name_space;
}

dict_node* dict_node_in(image& in, const root_slot& slot) {
    if (slot.node < in.header().data_offset || slot.node % 8 != 0) return nullptr;
    auto* node = in.find<dict_node>(slot.node);
    if (node == nullptr || node->shift > 63 || 63 - node->shift > largest_directory_depth) return nullptr;
    const dict_shape shape = node->shape;
    const bool has_key_form = shape.key_form >= dict_key_form::word &&
                              shape.key_form <= dict_key_form::blob &&
                              (shape.key_form == dict_key_form::in_place) == (shape.key_bytes != 0);
    const bool has_value_form = shape.value_form <= dict_value_form::beside_key &&
                                (shape.value_form == dict_value_form::in_place) == (shape.value_bytes != 0);
    if (!has_key_form || !has_value_form || shape.key_bytes > largest_inline_bytes ||
        shape.value_bytes > largest_inline_bytes)
        return nullptr;
    return node->size <= in.limit() / shape.record_bytes() ? node : nullptr;
}

namespace {

class record_walk {
public:
    record_walk(const segment& s, const dict_node& node, std::uint64_t first, std::uint64_t count,
                const std::function<void(const std::byte*)>& each)
        : s_(s), node_(node), before_(first), left_(count), each_(each),
          nodes_left_(s.committed_bytes() / order_node_bytes) {}

    void run() {
        if (node_.order_height <= largest_order_height) enter(node_.order_root, node_.order_height, 0);
    }

private:
    // Every node of the order is entered once, unless links go round: then their number is at its end.
    void enter(segment_offset at, std::uint32_t level, std::uint64_t first) {
        const auto* words = s_.find<std::uint64_t>(at, order_node_bytes);
        if (at == 0 || words == nullptr || nodes_left_ == 0) return;
        --nodes_left_;
        for (std::uint64_t i = 0; i < order_fanout && left_ != 0; ++i) {
            const std::uint64_t sequence = first + (i << (level * order_fanout_log2));
            if (words[i] == 0 || sequence >= node_.next_sequence) continue;
            if (level != 0) enter(words[i], level - 1, sequence);
            else visit(words[i], sequence);
        }
    }

    void visit(std::uint64_t hash, std::uint64_t sequence) {
        if (before_ != 0) {
            --before_;
            return;
        }
        --left_;
        bool torn = false;
        each_(find_by_sequence(s_, node_, node_.shape, hash, sequence, torn));
    }

    const segment& s_;
    const dict_node& node_;
    std::uint64_t before_;
    std::uint64_t left_;
    const std::function<void(const std::byte*)>& each_;
    std::uint64_t nodes_left_;
};

}  // namespace

void walk_records(const segment& s, const dict_node& node, std::uint64_t first, std::uint64_t count,
                  const std::function<void(const std::byte*)>& each) {
    record_walk(s, node, first, count, each).run();
}

std::pair<std::string, std::string> split_types(const std::string& both) {
    int depth = 0;
    for (std::size_t i = 0; i < both.size(); ++i) {
        const char c = both[i];
        if (c == '<' || c == '[' || c == '{' || c == '(') ++depth;
        if (c == '>' || c == ']' || c == '}' || c == ')') --depth;
        if (c == ',' && depth == 0) return {both.substr(0, i), both.substr(std::min(both.size(), i + 2))};
    }
    return {both, {}};
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
