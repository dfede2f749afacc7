// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/list_core.hpp"

#include <algorithm>

#include "arena/size_classes.hpp"
#include "containers/list_chunks.hpp"
#include "segment/extents.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

bool makes_sense(const segment& s, const list_node& node) noexcept {
    return is_stride(node.stride) &&
           (node.form == element_form::in_place ||
            (node.form == element_form::blob && node.stride == sizeof(blob_slot))) &&
           node.size <= node.limit && node.limit <= s.committed_bytes() / node.stride;
}

std::byte* run_at(root_transaction& tx, const chunk_links& links, std::uint64_t index, std::uint64_t count) {
    std::byte* first = find_run(tx.in(), links, index, count);
    if (first == nullptr) throw_corrupt(tx.in(), "a chunk of a list lies outside");
    return first;
}

// Moves limit and tail_base to the chunk that `index` lies in.
void point_tail_at(root_transaction& tx, list_node& node, const list_geometry& g, std::uint64_t index,
                   segment_offset chunk) {
    const list_geometry::position at = g.locate(index);
    const std::uint64_t first = index - at.within;
    tx.store(node.tail_base, chunk - first * g.stride);
    tx.store(node.limit, first + g.chunk_elements(at.superblock));
}

}  // namespace

segment_offset create_list(root_transaction& tx, std::uint32_t stride, element_form form) {
    const segment_offset offset = allocate(tx, sizeof(list_node));
    list_node& node = *tx.in().at<list_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.stride, stride);
    copy_in_fixed<sizeof form>(&node.form, &form);
    store_word(node.base_log2, static_cast<std::uint8_t>(list_geometry(stride).base_log2));
    return offset;
}

list_node& list_at(const segment& s, segment_offset offset, std::uint32_t stride, element_form form) {
    auto* node = s.find<list_node>(offset);
    // Word by word: a read-only process holds no lock here.
    std::uint8_t stored_form = 0;
    if (node != nullptr) copy_out_fixed<sizeof stored_form>(&stored_form, &node->form);
    if (node == nullptr || load_word(node->stride) != stride ||
        stored_form != static_cast<std::uint8_t>(form))
        throw_corrupt(s, "the node of a list makes no sense");
    return *node;
}

list_node& sound_node(root_transaction& tx, segment_offset offset, std::uint32_t stride, element_form form) {
    list_node& node = list_at(tx.in(), offset, stride, form);
    if (!makes_sense(tx.in(), node)) throw_corrupt(tx.in(), "the node of a list makes no sense");
    return node;
}

list_node& sound_node(root_transaction& tx, segment_offset offset) {
    auto* node = tx.in().find<list_node>(offset);
    if (node == nullptr || !makes_sense(tx.in(), *node))
        throw_corrupt(tx.in(), "the node of a list makes no sense");
    return *node;
}

void extend_tail(root_transaction& tx, list_node& node) {
    if (!makes_sense(tx.in(), node)) throw_corrupt(tx.in(), "the node of a list makes no sense");
    const chunk_links links = links_of(node);
    const std::uint64_t index = node.size;
    const segment_offset chunk = ensure_chunk(tx, links, links.geometry.locate(index));
    point_tail_at(tx, node, links.geometry, index, chunk);
}

void reserve_elements(root_transaction& tx, list_node& node, std::uint64_t count) {
    const chunk_links links = links_of(node);
    if (count > node.size) require_possible(tx.in(), (count - node.size) * node.stride);
    require_pages(tx.in(), missing_pages_of_chunks(tx.in(), links, node.size, count));
    for (std::uint64_t index = 0; index < count;) {
        const list_geometry::position at = links.geometry.locate(index);
        static_cast<void>(ensure_chunk(tx, links, at));
        index += links.geometry.chunk_elements(at.superblock) - at.within;
    }
}

std::byte* element_at(root_transaction& tx, list_node& node, std::uint64_t index) {
    std::byte* element = find_element(tx.in(), links_of(node), index);
    if (element == nullptr) throw_corrupt(tx.in(), "a chunk of a list lies outside");
    return element;
}

void append_elements(root_transaction& tx, list_node& node, std::uint32_t stride, const std::byte* bytes,
                     std::uint64_t count) {
    if (count == 0) return;
    if (node.limit - node.size >= count) {
        // Into the tail chunk, beyond the end; the store of the size makes them elements.
        copy_in_elements(next_element(tx, node, stride, count), bytes, count * stride);
        tx.publish(node.size, node.size + count);
        return;
    }
    require_possible(tx.in(), count * stride);
    const chunk_links links{&node.directory, node.chunks, list_geometry(stride)};
    require_pages(tx.in(), missing_pages_of_chunks(tx.in(), links, node.size, node.size + count));
    // Tail and size change together, so readers must not see the size before the commit.
    tx.begin_change();
    std::uint64_t index = node.size;
    segment_offset chunk = 0;
    for (std::uint64_t left = count; left != 0;) {
        const list_geometry::position at = links.geometry.locate(index);
        chunk = ensure_chunk(tx, links, at);
        const std::uint64_t here = std::min(left, links.geometry.chunk_elements(at.superblock) - at.within);
        std::byte* to = tx.in().at<std::byte>(chunk) + at.within * stride;
        tx.log_if_joined(to, here * stride);
        copy_in_elements(to, bytes, here * stride);
        bytes += here * stride;
        index += here;
        left -= here;
    }
    point_tail_at(tx, node, links.geometry, index - 1, chunk);
    tx.store(node.size, index);
}

void rewrite_elements(root_transaction& tx, list_node& node, const std::byte* bytes) {
    const chunk_links links = links_of(node);
    const std::uint64_t size = node.size;
    const std::uint64_t stride = links.geometry.stride;
    // For the log, which is as long. In a transaction it may have room in pages that it has taken already.
    const std::uint64_t room = tx.room_in_area();
    if (size * stride > room) require_pages(tx.in(), (size * stride - room) / page_bytes);
    tx.begin_change();
    for (std::uint64_t index = 0; index < size;) {
        const list_geometry::position at = links.geometry.locate(index);
        const std::uint64_t count =
            std::min(size - index, links.geometry.chunk_elements(at.superblock) - at.within);
        log_elements(tx, run_at(tx, links, index, count), count * stride);
        index += count;
    }
    // All logged, which may throw segment_full, before the first byte changes.
    for (std::uint64_t index = 0; index < size;) {
        const list_geometry::position at = links.geometry.locate(index);
        const std::uint64_t count =
            std::min(size - index, links.geometry.chunk_elements(at.superblock) - at.within);
        copy_in_elements(run_at(tx, links, index, count), bytes + index * stride, count * stride);
        index += count;
    }
}

void copy_elements_out(const segment& s, const chunk_links& links, std::uint64_t first, std::uint64_t count,
                       std::byte* to, bool& torn) noexcept {
    const std::uint64_t stride = links.geometry.stride;
    while (count != 0) {
        const list_geometry::position at = links.geometry.locate(first);
        const std::uint64_t here = std::min(count, links.geometry.chunk_elements(at.superblock) - at.within);
        const std::byte* from = find_run(s, links, first, here);
        if (from == nullptr) {
            torn = true;
            return;
        }
        copy_out_elements(to, from, here * stride);
        to += here * stride;
        first += here;
        count -= here;
    }
}

void drop_last(root_transaction& tx, list_node& node) {
    tx.begin_change();
    const chunk_links links = links_of(node);
    const std::uint64_t last = node.size - 1;
    const std::byte* element = element_at(tx, node, last);
    const blob_slot slot =
        node.form == element_form::blob ? *reinterpret_cast<const blob_slot*>(element) : blob_slot{};
    const list_geometry::position at = links.geometry.locate(last);
    // The tail chunk is empty when the size is its first index; the one behind it, kept in case the list grows again,
    // goes when this one becomes empty, so that pushing and popping across the border allocates nothing.
    const std::uint64_t first = last - at.within;
    if (node.limit != first + links.geometry.chunk_elements(at.superblock))
        point_tail_at(tx, node, links.geometry, last,
                      tx.in().offset_of(element) - at.within * links.geometry.stride);
    tx.store(node.size, last);
    if (at.within == 0) {
        const std::uint64_t behind = first + links.geometry.chunk_elements(at.superblock);
        free_chunk(tx, links, links.geometry.locate(behind));
    }
    if (node.form == element_form::blob) free_blob(tx, slot);
}

// ---- blobs -----------------------------------------------------------------------------------------------------

void write_blob(root_transaction& tx, blob_slot& slot, std::span<const std::byte> bytes) {
    blob_slot value{0, 0};
    if (bytes.size() <= largest_slot_bytes) {
        if (!bytes.empty()) std::memcpy(&value, bytes.data(), bytes.size());
        value.last |= std::uint64_t{bytes.size()} << 56;
    } else {
        const segment_offset block = allocate(tx, bytes.size());
        copy_in(tx.in().at<std::byte>(block), bytes.data(), bytes.size());
        value = {block, blob_outside | bytes.size()};
    }
    copy_in_fixed<sizeof(blob_slot)>(&slot, &value);
}

void require_room_for(root_transaction& tx, std::span<const std::size_t> ends) {
    std::uint64_t pages = 0;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
        // Smaller ones may find room in pages that the object has.
        if (end - begin > largest_small_bytes) pages += block_bytes(end - begin) / page_bytes;
        begin = end;
    }
    require_pages(tx.in(), pages);
}

void free_blob(root_transaction& tx, const blob_slot& slot) {
    if (slot.last >> 56 != blob_outside >> 56) return;
    deallocate(tx, slot.first, slot.last & blob_length_mask);
}

const std::byte* find_blob(const segment& s, const blob_slot& slot, std::uint64_t& bytes) noexcept {
    const std::uint64_t tag = slot.last >> 56;
    if (tag <= largest_slot_bytes) {
        bytes = tag;
        return reinterpret_cast<const std::byte*>(&slot);
    }
    if (tag != blob_outside >> 56) return nullptr;
    bytes = slot.last & blob_length_mask;
    return s.find<std::byte>(slot.first, bytes);
}

// ---- inspection --------------------------------------------------------------------------------------------------

std::string check_list(const segment& s, list_node& node, arena_audit& audit) {
    if (!makes_sense(s, node)) return "list: size, limit or stride make no sense";
    audit.reached(s.offset_of(&node), sizeof node);
    const chunk_links links = links_of(node);
    if (std::string problem = check_chunks(s, links, audit); !problem.empty()) return problem;
    for (std::uint64_t i = 0; i < node.size; ++i) {
        const std::byte* element = find_element(s, links, i);
        if (element == nullptr) return "list: element " + std::to_string(i) + " has no chunk";
        if (node.form != element_form::blob) {
            // All of a chunk's elements are there if one is.
            const list_geometry::position at = links.geometry.locate(i);
            i += links.geometry.chunk_elements(at.superblock) - at.within - 1;
            continue;
        }
        blob_slot slot{};
        copy_out_fixed<sizeof slot>(&slot, element);
        std::uint64_t bytes = 0;
        const std::byte* at = find_blob(s, slot, bytes);
        if (at == nullptr) return "list: element " + std::to_string(i) + " lies outside the segment";
        if (slot.last >> 56 == blob_outside >> 56) audit.reached(slot.first, bytes);
    }
    if (node.size < node.limit) {
        const list_geometry::position tail = links.geometry.locate(node.size);
        const std::uint64_t first = node.size - tail.within;
        if (node.limit != first + links.geometry.chunk_elements(tail.superblock))
            return "list: limit is not the end of the tail chunk";
        const std::byte* element = find_element(s, links, node.size);
        if (element == nullptr || s.offset_of(element) != node.tail_base + node.size * node.stride)
            return "list: tail_base does not lead to the tail chunk";
    }
    return {};
}

}  // namespace cairn::inline CAIRN_ABI::detail
