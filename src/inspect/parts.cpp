// SPDX-License-Identifier: BSL-1.0
#include "inspect/parts.hpp"

#include "inspect/roots.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

bool is_possible(std::uint32_t count) noexcept {
    return count != 0 && count <= most_parts;
}

}  // namespace

bool has_parts(const root_slot& slot) noexcept {
    return slot.part_of == 0 && slot.kind == static_cast<std::uint32_t>(object_kind::sharded_dict);
}

bool is_part_of(const root_slot& part, const root_slot& whole, std::uint32_t link) noexcept {
    return part.part_of == link && part.generation == whole.generation && is_visible(part) &&
           part.kind == static_cast<std::uint32_t>(object_kind::dict);
}

const parts_node* parts_node_in(const segment& s, const root_slot& whole) noexcept {
    const auto* node = s.find<parts_node>(whole.node);
    if (node == nullptr || !is_possible(node->count) ||
        s.find<parts_node>(whole.node, parts_node_bytes(node->count)) == nullptr)
        return nullptr;
    return node;
}

std::vector<std::uint32_t> parts_in(image& in, const root_slot& whole, std::uint32_t link) {
    if (whole.node < in.header().data_offset || whole.node % 8 != 0) return {};
    const auto* node = in.find<parts_node>(whole.node);
    if (node == nullptr || !is_possible(node->count) ||
        in.find<parts_node>(whole.node, parts_node_bytes(node->count)) == nullptr)
        return {};
    std::vector<std::uint32_t> links(part_links(*node), part_links(*node) + node->count);
    for (const std::uint32_t each : links) {
        const root_slot* part = in.slot(each);
        if (part == nullptr || !is_part_of(*part, whole, link)) return {};
    }
    return links;
}

std::optional<std::vector<std::uint32_t>> parts_now(const source& from, root_slot whole, std::uint32_t link) {
    for (;;) {
        image now(from);  // with no page that is older than `whole`
        std::vector<std::uint32_t> links = parts_in(now, whole, link);
        if (!links.empty()) return links;
        root_slot again{};
        if (!read_slot(from, link, again) || again.generation != whole.generation ||
            again.state != whole.state)
            return std::nullopt;
        // Nobody changes it but who removes it, which is not one store; and that one is at it.
        if (again.version % 2 != 0 && look_at(again.lock, from).state == lock_state::held)
            return std::nullopt;
        // The same root, and nonsense in it. Unless `whole` is half of one that came and half of one that went.
        if (again.node == whole.node) return links;
        whole = again;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
