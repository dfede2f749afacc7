// SPDX-License-Identifier: BSL-1.0
#include "cairn/array.hpp"

#include "segment/segment_guard.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

segment_offset create_array(root_transaction& tx, std::uint32_t stride, std::uint64_t count,
                            const std::byte* from) {
    segment& s = tx.in();
    if (count > max_segment_bytes / stride) {
        throw segment_full("create an array of " + std::to_string(count) + " elements in " +
                           describe_segment(s) + ": more than any segment has room for");
    }
    const std::uint64_t bytes = round_up(count * stride, 8);
    const segment_offset elements = count == 0 ? 0 : allocate(tx, bytes);
    if (count != 0 && from == nullptr) zero_shared(s.at<std::byte>(elements), bytes);
    else if (count != 0) copy_in(s.at<std::byte>(elements), from, count * stride);
    const segment_offset offset = allocate(tx, sizeof(array_node));
    auto& node = *s.at<array_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.size, count);
    store_word(node.stride, stride);
    store_word(node.elements, elements);
    // A stale count of starving threads would make the first newcomer sleep for nothing.
    store_word(tx.slot().events[0].waiters, 0);
    return offset;
}

std::string check_array_node(const segment& s, const array_node& node) {
    const std::uint64_t count = load_word(node.size);
    const std::uint32_t stride = load_word(node.stride);
    const segment_offset elements = load_word(node.elements);
    if (stride == 0 || stride > page_bytes || stride != stride_for(stride))
        return "array: its stride makes no sense";
    if (count == 0) return elements == 0 ? "" : "array: elements of an empty one";
    if (count > s.committed_bytes() / stride || elements % 8 != 0 || elements < s.data_offset() ||
        elements > s.committed_bytes() || count * stride > s.committed_bytes() - elements)
        return "array: its elements lie outside";
    return check_mutex_node(node.lock, object_kind::recursive_mutex);
}

std::string check_array(const segment& s, const array_node& node, arena_audit& audit) {
    if (std::string problem = check_array_node(s, node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    if (node.size != 0) audit.reached(node.elements, round_up(node.size * node.stride, 8));
    return {};
}

const array_node& array_at(const segment& s, segment_offset offset, std::uint32_t stride) {
    const auto* node = s.find<array_node>(offset);
    if (node == nullptr || load_word(node->stride) != stride || !check_array_node(s, *node).empty())
        throw_corrupt(s, "the node of an array makes no sense");
    return *node;
}

void require_array_size(const segment& s, const root_slot& slot, const array_node& node,
                        std::uint64_t count) {
    if (load_word(node.size) == count) return;
    throw type_mismatch("open " + describe_object(s, slot) + ": it has " +
                        std::to_string(load_word(node.size)) + " elements, asked for " +
                        std::to_string(count));
}

void throw_not_array_owner(const char* operation, const segment& s, const root_slot& slot) {
    throw invalid_state(
        std::string(operation) + " " + describe_object(s, slot) +
        ": this thread does not have its lock; lock() it before, and use what data() returns until unlock()");
}

void throw_damaged_array(const segment& s) {
    throw_corrupt(s, "the elements of an array lie outside");
}

}  // namespace cairn::inline CAIRN_ABI::detail
