// queue_check.cpp - what must hold of a queue, for recovery's tests and for shmctl.
// SPDX-License-Identifier: BSL-1.0
#include <cstring>

#include "cairn/detail/containers/queue_core.hpp"
#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/detail/containers/queue_leases.hpp>
#include <cairn/detail/containers/queue_lists.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::string check_counts(const segment& s, const queue_node& node) {
    if (std::uint64_t{node.returned_count} + node.leased_count > s.committed_bytes() / sizeof(lease_record) ||
        node.returned_count + std::uint64_t{node.leased_count} > node.head)
        return "queue: it has more leases than it can have given";
    if ((node.dead_letters != 0) != (node.max_deliveries != 0))
        return "queue: its dead letters make no sense";
    return {};
}

}  // namespace

std::string check_queue_node(const segment& s, const queue_node& node) {
    const bool is_blob = node.form == element_form::blob;
    if (!is_blob && node.form != element_form::in_place) return "queue: its items have no known form";
    if (node.stride == 0 || node.stride > largest_queue_slot_bytes ||
        node.stride != stride_for(node.stride) || (is_blob && node.stride != sizeof(blob_slot)))
        return "queue: its items have no possible size";
    if (node.state > queue_state::shut) return "queue: its state is no known one";
    if (node.order > queue_order::priority) return "queue: its order is no known one";
    const bool is_fifo = node.order == queue_order::fifo;
    if (node.head > node.tail || node.done > node.tail || (!is_fifo && node.head_chunk == 0))
        return "queue: head, tail and done make no sense";
    if (!is_fifo && node.tail - node.head > s.committed_bytes())
        return "queue: it has more items than there is room";
    if (!is_fifo) return check_counts(s, node);
    if (node.head > node.head_limit || node.tail > node.tail_limit || node.head_limit > node.tail_limit)
        return "queue: head, tail and their limits make no sense";
    // No queue has more items than its segment has bytes: loops over them have an end.
    if (node.tail_limit - node.head > s.committed_bytes())
        return "queue: it has more items than there is room";
    if ((node.head_chunk == 0) != (node.tail_chunk == 0) || (node.head_chunk == 0 && node.tail_limit != 0))
        return "queue: it has one end only";
    return check_counts(s, node);
}

namespace {

class queue_checker {
public:
    queue_checker(const segment& s, queue_node& node, arena_audit& audit)
        : s_(s), node_(node), audit_(audit) {}

    std::string run() {
        if (std::string problem = check_queue_node(s_, node_); !problem.empty()) return problem;
        audit_.reached(s_.offset_of(&node_), sizeof node_);
        if (std::string problem = check_leases(s_, node_, audit_); !problem.empty()) return problem;
        if (std::string problem = check_holders(s_, node_, audit_); !problem.empty()) return problem;
        if (node_.dead_letters != 0) {
            auto* dead = s_.find<queue_node>(node_.dead_letters);
            if (dead == nullptr || dead->dead_letters != 0 || dead == &node_ ||
                dead->stride != node_.stride || dead->form != node_.form || dead->order != queue_order::fifo)
                return "queue: its dead letters are no queue of its items";
            if (std::string problem = queue_checker(s_, *dead, audit_).run(); !problem.empty())
                return "dead letters of the " + problem;
        }
        if (node_.order != queue_order::fifo) return check_list_items(s_, node_, audit_);
        if (node_.spare_chunk != 0) static_cast<void>(enter(node_.spare_chunk));
        if (node_.head_chunk != 0) check_chunks();
        if (problem_.empty() && node_.form == element_form::blob) check_blobs();
        return problem_;
    }

private:
    void fail(const std::string& what) {
        if (problem_.empty()) problem_ = "queue: " + what;
    }

    /// Slots of the chunk; 0 when it is none.
    std::uint64_t enter(segment_offset offset) {
        const auto* chunk = s_.find<queue_chunk>(offset);
        const std::uint64_t count = chunk == nullptr ? 0 : chunk->slot_count;
        if (count == 0 || count > largest_queue_chunk_bytes ||
            s_.find<std::byte>(offset, queue_chunk_bytes(count, node_.stride)) == nullptr) {
            fail("a chunk lies outside, or has no possible size");
            return 0;
        }
        audit_.reached(offset, queue_chunk_bytes(count, node_.stride));
        return count;
    }

    void check_chunks() {
        segment_offset offset = node_.head_chunk;
        std::uint64_t limit = node_.head_limit;
        for (;;) {
            const std::uint64_t count = enter(offset);
            if (count == 0) return;
            const std::uint64_t first = limit - count;
            const std::uint64_t base = offset + sizeof(queue_chunk) - first * node_.stride;
            if (offset == node_.head_chunk &&
                (base != node_.head_base || (node_.head < first && count <= limit)))
                return fail("head does not lie in the head chunk");
            if (offset == node_.tail_chunk) {
                if (base != node_.tail_base || limit != node_.tail_limit ||
                    (node_.tail < first && count <= limit))
                    return fail("tail does not lie in the tail chunk");
                break;
            }
            if (limit == node_.head && offset == node_.head_chunk)
                return fail("a chunk without items is kept");
            if (limit >= node_.tail_limit) return fail("its chunks do not lead from head to tail");
            offset = s_.find<queue_chunk>(offset)->next;
            const auto* next = s_.find<queue_chunk>(offset);
            limit += next == nullptr ? 0 : next->slot_count;
        }
        if (node_.head == node_.head_limit && node_.tail != node_.head) fail("head is behind its chunk");
    }

    void check_blobs() {
        queue_walk walk(s_, node_, node_.stride);
        for (std::uint64_t ticket = node_.head; ticket != node_.tail; ++ticket) {
            const std::byte* item = walk.next();
            if (item == nullptr) return fail("an item has no slot");
            blob_slot slot{};
            std::memcpy(&slot, item, sizeof slot);
            std::uint64_t bytes = 0;
            if (find_blob(s_, slot, bytes) == nullptr)
                return fail("item " + std::to_string(ticket - node_.head) + " lies outside the segment");
            if (slot.last >> 56 == blob_outside >> 56) audit_.reached(slot.first, bytes);
        }
    }

    const segment& s_;
    queue_node& node_;
    arena_audit& audit_;
    std::string problem_;
};

}  // namespace

std::string check_queue(const segment& s, queue_node& node, arena_audit& audit) {
    return queue_checker(s, node, audit).run();
}

}  // namespace cairn::inline CAIRN_ABI::detail
