// list_core.hpp - lists of elements of any size, without their type.
//
// Stored        list_layout.hpp.
// Protected by  the root's lock for every write. Readers without it compare the root's version; every offset they
//               follow is checked, since it may be torn or damaged.
// Invariants    size <= limit; the chunk of every index below size exists; limit is the end of the tail chunk.
// Commit        append: the store of size. pop, set: the root's log. insert, erase, erase_if, reverse, clear: the commit of
//               a stored_operation, which whoever gets the lock next carries to its end.
// Death         before the commit: rolled back. After it: finished.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Where the chunks of a list are linked: in a node, or in a stored_operation that drops them.
struct chunk_links {
    std::uint64_t* directory;
    std::uint64_t* chunks;
    list_geometry geometry;
};

CAIRN_INLINE chunk_links links_of(list_node& node) noexcept {
    return {&node.directory, node.chunks, list_geometry(node.stride)};
}

/// Address of an element, or null where there is none: links are checked, values may be torn. Every word that is
/// followed is one inside the backed part; what it leads to is checked in turn.
CAIRN_INLINE std::byte* find_element(const segment& s, const chunk_links& links, std::uint64_t index,
                                     const segment_bounds& inside) noexcept {
    const list_geometry& g = links.geometry;
    const list_geometry::position at = g.locate(index);
    std::uint64_t link = 0;
    if (at.superblock < inline_superblocks) {
        link = load_word(links.chunks[at.superblock]);
    } else {
        const std::uint64_t entry =
            load_word(*links.directory) + (at.superblock - inline_superblocks) * sizeof(link);
        if (at.superblock - inline_superblocks >= directory_entries || !inside.has(entry, 8)) [[unlikely]]
            return nullptr;
        link = load_word(*s.at<std::uint64_t>(entry & ~std::uint64_t{7}));
        if (g.has_table(at.superblock)) {
            const std::uint64_t chunk_entry = link + at.chunk * 8;
            if (!inside.has(chunk_entry, 8)) [[unlikely]]
                return nullptr;
            link = load_word(*s.at<std::uint64_t>(chunk_entry & ~std::uint64_t{7}));
        }
    }
    const std::uint64_t element = (link & ~std::uint64_t{7}) + at.within * g.stride;
    return inside.has(element, g.stride) ? s.at<std::byte>(element) : nullptr;
}
CAIRN_INLINE std::byte* find_element(const segment& s, const chunk_links& links,
                                     std::uint64_t index) noexcept {
    return find_element(s, links, index, segment_bounds(s));
}

/// The same for `count` elements that lie side by side.
CAIRN_INLINE std::byte* find_run(const segment& s, const chunk_links& links, std::uint64_t index,
                                 std::uint64_t count) noexcept {
    std::byte* first = find_element(s, links, index);
    if (first == nullptr || !segment_bounds(s).has_run(s.offset_of(first), count * links.geometry.stride))
        return nullptr;
    return first;
}

/// A new list node, zero elements.
CAIRN_API segment_offset create_list(root_transaction& tx, std::uint32_t stride, element_form form);

/// Throws corrupt_segment when the node makes no sense for that stride and form.
CAIRN_API list_node& list_at(const segment& s, segment_offset node, std::uint32_t stride, element_form form);

/// Under the lock, before the words of a node are followed: throws corrupt_segment when they make no sense for that
/// stride and form, or when there were more elements than the segment has bytes.
CAIRN_API list_node& sound_node(root_transaction& tx, segment_offset offset, std::uint32_t stride,
                                element_form form);
/// ... when whatever the node says itself is to be believed, if it can be.
list_node& sound_node(root_transaction& tx, segment_offset offset);

/// Makes room for one more element: the chunk where index `size` goes becomes the tail chunk.
CAIRN_API CAIRN_COLD void extend_tail(root_transaction& tx, list_node& node);

/// Under the lock: where index `size` goes, in the tail chunk; null where the node's words are damaged. `limit` says whether it has room.
CAIRN_INLINE std::byte* find_tail(const segment& s, const list_node& node, std::uint64_t size,
                                  std::uint32_t stride, std::uint64_t count = 1) noexcept {
    const segment_offset at = node.tail_base + size * stride;
    const std::uint32_t alignment = stride < 8 ? stride : 8;
    if (!segment_bounds::under_lock(s).has_run(at, count * stride) || at % alignment != 0) [[unlikely]]
        return nullptr;
    return s.at<std::byte>(at);
}

/// Address of index `size`, with room made, and with `count` elements behind it inside the segment.
CAIRN_INLINE std::byte* next_element(root_transaction& tx, list_node& node, std::uint32_t stride,
                                     std::uint64_t count = 1) {
    if (node.size == node.limit) [[unlikely]]
        extend_tail(tx, node);
    std::byte* next = find_tail(tx.in(), node, node.size, stride, count);
    if (next == nullptr) [[unlikely]]
        throw_damaged(tx.in(), tx.slot());
    tx.log_if_joined(next, count * stride);
    return next;
}

/// Chunks for indices below `count`.
CAIRN_API void reserve_elements(root_transaction& tx, list_node& node, std::uint64_t count);

/// The element's address, for operations under the lock; index below size. Throws corrupt_segment.
CAIRN_API std::byte* element_at(root_transaction& tx, list_node& node, std::uint64_t index);

/// Appends `count` elements, already encoded in place, `stride` apart in `bytes`. The stride is the caller's: a damaged
/// arena may hand out the node itself as new memory, so what a node said before an allocation may be gone after it.
CAIRN_API void append_elements(root_transaction& tx, list_node& node, std::uint32_t stride,
                               const std::byte* bytes, std::uint64_t count);

/// Replaces all elements by `size` others, as in append_elements(); blobs only change places. All or nothing.
CAIRN_API void rewrite_elements(root_transaction& tx, list_node& node, const std::byte* bytes);

/// Copies elements as they are stored; `torn` is set when a link leads nowhere. Needs no lock.
CAIRN_API void copy_elements_out(const segment& s, const chunk_links& links, std::uint64_t first,
                                 std::uint64_t count, std::byte* to, bool& torn) noexcept;

/// Takes the last element away; a blob's block is freed.
CAIRN_API void drop_last(root_transaction& tx, list_node& node);

/// Each of these begins a stored operation and carries it through; they commit.
CAIRN_API void erase_elements(root_transaction& tx, list_node& node, std::uint64_t first, std::uint64_t last);
/// Of the elements [first, last) those whose bit is set, in one pass. Needs a block for more than 64 bits: throws segment_full.
CAIRN_API void erase_marked_elements(root_transaction& tx, list_node& node, std::uint64_t first,
                                     std::uint64_t last, std::span<const std::uint64_t> bits);
CAIRN_API void clear_elements(root_transaction& tx, list_node& node);
CAIRN_API void reverse_elements(root_transaction& tx, list_node& node);
/// Makes room for the new element of an insert and returns where to write it; insert_prepared() then moves it in.
CAIRN_API std::byte* prepare_insert(root_transaction& tx, list_node& node);
CAIRN_API void insert_prepared(root_transaction& tx, list_node& node, std::uint64_t index);

// ---- blobs -----------------------------------------------------------------------------------------------------

/// Writes a slot with these bytes; the slot itself is not logged (new, or logged by the caller).
CAIRN_API void write_blob(root_transaction& tx, blob_slot& slot, std::span<const std::byte> bytes);

/// Before blobs are written that end at these places of one buffer: throws segment_full where there is no memory for all of them.
CAIRN_API void require_room_for(root_transaction& tx, std::span<const std::size_t> ends);

/// Frees the block of a slot, if it has one; the slot is left as it is.
CAIRN_API void free_blob(root_transaction& tx, const blob_slot& slot);

/// Where the bytes of a blob are, from a copy of its slot: null for damaged ones. `slot` must outlive the result.
CAIRN_API const std::byte* find_blob(const segment& s, const blob_slot& slot, std::uint64_t& bytes) noexcept;

/// What an operation may spend on moving blocks, over all of its tries: some 100 ms, in looks of 20 ns.
struct moving_work {
    std::uint64_t left = 5'000'000;
};

/// In the handler of a segment_full: undoes what is not committed, and moves large blocks of a list of blobs so that free pages come to
/// lie side by side, for values of which the n-th ends at ends[n] of their bytes, `added` of them as new elements. Commits; no element
/// changes. Throws the exception again where nothing has moved or the work is spent, and in a transaction of the user's, whose blocks
/// stay until its end.
CAIRN_API CAIRN_COLD void gather_free_pages(root_transaction& tx, list_node& node, std::uint64_t added,
                                            std::span<const std::size_t> ends, moving_work& work);

/// For one value.
inline void gather_free_pages(root_transaction& tx, list_node& node, std::uint64_t added, std::size_t bytes,
                              moving_work& work) {
    gather_free_pages(tx, node, added, std::span(&bytes, 1), work);
}

// ---- inspection --------------------------------------------------------------------------------------------------

/// Reports every block of the list to the audit; empty, or the first invariant that does not hold.
CAIRN_API std::string check_list(const segment& s, list_node& node, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
