// SPDX-License-Identifier: BSL-1.0
#include "containers/list_chunks.hpp"

#include "arena/size_classes.hpp"
#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t directory_bytes = directory_entries * sizeof(std::uint64_t);
constexpr std::uint32_t superblock_count = inline_superblocks + directory_entries;

std::uint64_t table_bytes(const list_geometry& g, std::uint32_t superblock) noexcept {
    return g.table_entries(superblock) * sizeof(std::uint64_t);
}

// The word that links a superblock, or null while there is no directory. Throws corrupt_segment.
std::uint64_t* superblock_word(const segment& s, const chunk_links& links, std::uint32_t superblock) {
    if (superblock < inline_superblocks) return &links.chunks[superblock];
    if (superblock >= superblock_count) throw_corrupt(s, "a list is longer than any can be");
    if (*links.directory == 0) return nullptr;
    auto* directory = s.find<std::uint64_t>(*links.directory, directory_bytes);
    if (directory == nullptr) throw_corrupt(s, "the directory of a list lies outside");
    return &directory[superblock - inline_superblocks];
}

std::uint64_t* table_at(const segment& s, const list_geometry& g, std::uint32_t superblock,
                        segment_offset offset) {
    auto* table = s.find<std::uint64_t>(offset, table_bytes(g, superblock));
    if (table == nullptr) throw_corrupt(s, "a chunk table of a list lies outside");
    return table;
}

segment_offset chunk_at(const segment& s, const list_geometry& g, std::uint32_t superblock,
                        segment_offset offset) {
    if (s.find<std::byte>(offset, g.chunk_bytes(superblock)) == nullptr)
        throw_corrupt(s, "a chunk of a list lies outside");
    return offset;
}

bool is_all_zero(const std::uint64_t* words, std::uint64_t count) noexcept {
    for (std::uint64_t i = 0; i < count; ++i)
        if (words[i] != 0) return false;
    return true;
}

segment_offset allocate_zeroed(root_transaction& tx, std::uint64_t bytes) {
    const segment_offset block = allocate(tx, bytes);
    zero_shared(tx.in().at<std::byte>(block), bytes);
    return block;
}

}  // namespace

segment_offset ensure_chunk(root_transaction& tx, const chunk_links& links,
                            const list_geometry::position& at) {
    const list_geometry& g = links.geometry;
    const segment& s = tx.in();
    if (at.superblock >= inline_superblocks && *links.directory == 0)
        tx.store(*links.directory, allocate_zeroed(tx, directory_bytes));
    std::uint64_t* word = superblock_word(s, links, at.superblock);
    if (!g.has_table(at.superblock)) {
        if (*word == 0) tx.store(*word, allocate(tx, g.chunk_bytes(at.superblock)));
        return chunk_at(s, g, at.superblock, *word);
    }
    if (*word == 0) tx.store(*word, allocate_zeroed(tx, table_bytes(g, at.superblock)));
    std::uint64_t* table = table_at(s, g, at.superblock, *word);
    if (table[at.chunk] == 0) tx.store(table[at.chunk], allocate(tx, g.chunk_bytes(at.superblock)));
    return chunk_at(s, g, at.superblock, table[at.chunk]);
}

std::uint64_t missing_pages_of_chunks(const segment& s, const chunk_links& links, std::uint64_t first,
                                      std::uint64_t last) {
    const list_geometry& g = links.geometry;
    std::uint64_t pages = 0;
    for (std::uint64_t index = first; index < last;) {
        const list_geometry::position at = g.locate(index);
        const std::uint64_t* word = superblock_word(s, links, at.superblock);
        std::uint64_t link = word == nullptr ? 0 : *word;
        if (link != 0 && g.has_table(at.superblock)) link = table_at(s, g, at.superblock, link)[at.chunk];
        const std::uint64_t bytes = g.chunk_bytes(at.superblock);
        if (link == 0 && bytes > largest_small_bytes) pages += block_bytes(bytes) / page_bytes;
        index += g.chunk_elements(at.superblock) - at.within;
    }
    return pages;
}

void free_chunk(root_transaction& tx, const chunk_links& links, const list_geometry::position& at) {
    const list_geometry& g = links.geometry;
    const segment& s = tx.in();
    if (at.superblock >= superblock_count) return;
    std::uint64_t* word = superblock_word(s, links, at.superblock);
    if (word == nullptr || *word == 0) return;
    if (!g.has_table(at.superblock)) {
        deallocate(tx, *word, g.chunk_bytes(at.superblock));
        tx.store(*word, 0);
    } else {
        std::uint64_t* table = table_at(s, g, at.superblock, *word);
        if (table[at.chunk] != 0) {
            deallocate(tx, table[at.chunk], g.chunk_bytes(at.superblock));
            tx.store(table[at.chunk], 0);
        }
        if (is_all_zero(table, g.table_entries(at.superblock))) {
            deallocate(tx, *word, table_bytes(g, at.superblock));
            tx.store(*word, 0);
        }
    }
    if (at.superblock >= inline_superblocks && *word == 0 &&
        is_all_zero(word - (at.superblock - inline_superblocks), directory_entries)) {
        deallocate(tx, *links.directory, directory_bytes);
        tx.store(*links.directory, 0);
    }
}

bool last_chunk(const segment& s, const chunk_links& links, list_geometry::position& at) {
    const list_geometry& g = links.geometry;
    for (std::uint32_t superblock = superblock_count; superblock-- > 0;) {
        const std::uint64_t* word = superblock_word(s, links, superblock);
        if (word == nullptr || *word == 0) continue;
        if (!g.has_table(superblock)) {
            at = {superblock, 0, 0};
            return true;
        }
        const std::uint64_t* table = table_at(s, g, superblock, *word);
        for (std::uint64_t chunk = g.table_entries(superblock); chunk-- > 0;) {
            if (table[chunk] == 0) continue;
            at = {superblock, chunk, 0};
            return true;
        }
        at = {superblock, 0, 0};  // an empty table: free_chunk() frees it
        return true;
    }
    return false;
}

std::string check_chunks(const segment& s, const chunk_links& links, arena_audit& audit) {
    const list_geometry& g = links.geometry;
    if (*links.directory != 0) {
        if (s.find<std::uint64_t>(*links.directory, directory_bytes) == nullptr)
            return "list: the directory lies outside the segment";
        audit.reached(*links.directory, directory_bytes);
    }
    for (std::uint32_t superblock = 0; superblock < superblock_count; ++superblock) {
        const std::uint64_t* word = superblock_word(s, links, superblock);
        if (word == nullptr || *word == 0) continue;
        const std::uint64_t bytes = g.chunk_bytes(superblock);
        if (!g.has_table(superblock)) {
            if (s.find<std::byte>(*word, bytes) == nullptr) return "list: a chunk lies outside the segment";
            audit.reached(*word, bytes);
            continue;
        }
        const auto* table = s.find<std::uint64_t>(*word, table_bytes(g, superblock));
        if (table == nullptr) return "list: a chunk table lies outside the segment";
        audit.reached(*word, table_bytes(g, superblock));
        for (std::uint64_t chunk = 0; chunk < g.table_entries(superblock); ++chunk) {
            if (table[chunk] == 0) continue;
            if (s.find<std::byte>(table[chunk], bytes) == nullptr)
                return "list: a chunk lies outside the segment";
            audit.reached(table[chunk], bytes);
        }
    }
    return {};
}

namespace {

// Elements of less than 8 bytes may begin anywhere: the largest unit that address and length allow.
template <typename Unit>
void copy_units(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept {
    for (std::uint64_t i = 0; i < bytes; i += sizeof(Unit)) {
        const Unit value = __atomic_load_n(reinterpret_cast<const Unit*>(from + i), __ATOMIC_RELAXED);
        __atomic_store_n(reinterpret_cast<Unit*>(to + i), value, __ATOMIC_RELAXED);
    }
}

bool multiple_of(std::uint64_t unit, const std::byte* a, const std::byte* b, std::uint64_t bytes) noexcept {
    return (reinterpret_cast<std::uintptr_t>(a) | reinterpret_cast<std::uintptr_t>(b) | bytes) % unit == 0;
}

void copy_elements(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept {
    if (multiple_of(8, to, from, bytes)) copy_units<std::uint64_t>(to, from, bytes);
    else if (multiple_of(4, to, from, bytes)) copy_units<std::uint32_t>(to, from, bytes);
    else if (multiple_of(2, to, from, bytes)) copy_units<std::uint16_t>(to, from, bytes);
    else copy_units<std::uint8_t>(to, from, bytes);
}

}  // namespace

void copy_in_elements(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept {
    if (reinterpret_cast<std::uintptr_t>(to) % 8 == 0) copy_in(to, from, bytes);
    else copy_elements(to, from, bytes);
}

void copy_out_elements(std::byte* to, const std::byte* from, std::uint64_t bytes) noexcept {
    if (reinterpret_cast<std::uintptr_t>(from) % 8 == 0) copy_out(to, from, bytes);
    else copy_elements(to, from, bytes);
}

void log_elements(root_transaction& tx, std::byte* from, std::uint64_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(from) / 8 * 8;
    const auto end = (reinterpret_cast<std::uintptr_t>(from) + bytes + 7) / 8 * 8;
    tx.log(reinterpret_cast<void*>(begin), end - begin);
}

}  // namespace cairn::inline CAIRN_ABI::detail
