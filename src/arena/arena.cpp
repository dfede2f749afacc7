// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/arena/arena.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "arena/size_classes.hpp"
#include "arena/spans.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint64_t roomy_extent_pages = 64;  // from here on medium blocks get spans, too
constexpr std::uint64_t large_root_pages = 512;   // from here on spans are large

arena_header& header_of(root_transaction& tx) {
    return tx.slot().arena;
}

// The 8 bytes at the beginning of a free block.
std::uint64_t& link_word(const root_transaction& tx, segment_offset block, std::uint64_t bytes) {
    auto* word = tx.in().find<std::uint64_t>(block, std::max<std::uint64_t>(bytes, sizeof(std::uint64_t)));
    if (word == nullptr) throw_corrupt(tx.in(), "a block of an object lies outside");
    return *word;
}

struct span_state {
    std::uint32_t free_index;
    std::uint32_t used;
    std::uint32_t bump;
};

span_state unpack(std::uint64_t state) noexcept {
    return {static_cast<std::uint32_t>(state & 0xffff), static_cast<std::uint32_t>(state >> 16 & 0xffff),
            static_cast<std::uint32_t>(state >> 32 & 0xffff)};
}

std::uint64_t pack(const span_state& s) noexcept {
    return s.free_index | std::uint64_t{s.used} << 16 | std::uint64_t{s.bump} << 32;
}

span_header& span_at(const root_transaction& tx, std::uint32_t page) {
    if (page >= tx.in().committed_pages()) throw_corrupt(tx.in(), "a link of an arena leads outside");
    return *tx.in().at<span_header>(tx.in().page_offset(page));
}

// Tables, since every allocation looks, and a division takes as long as all else that it does.
template <std::uint32_t Pages>
constexpr auto blocks_in_spans = [] {
    std::array<std::uint32_t, class_of(largest_small_bytes) + 1> blocks{};
    for (std::uint32_t size_class = 0; size_class < blocks.size(); ++size_class)
        blocks[size_class] = blocks_in_span(size_class, Pages);
    return blocks;
}();

// How many pages a span of that class has which says that it has so many blocks; 0: none has.
std::uint32_t pages_of_span(std::uint32_t size_class, std::uint32_t block_count) noexcept {
    if (block_count == blocks_in_spans<large_span_pages>[size_class]) return large_span_pages;
    if (block_count == blocks_in_spans<small_span_pages>[size_class]) return small_span_pages;
    const bool is_least =
        size_class < loose_class_count && block_count == blocks_in_spans<least_span_pages>[size_class];
    return is_least ? least_span_pages : 0;
}

// A span whose blocks are all inside: what its header says of them is what it was made with.
span_header& span_at(const root_transaction& tx, std::uint32_t page, std::uint32_t size_class) {
    span_header& span = span_at(tx, page);
    const std::uint32_t pages = pages_of_span(size_class, span.block_count);
    if (pages == 0 || page % pages != 0 || tx.in().committed_pages() - page < pages ||
        span.size_class != size_class)
        throw_corrupt(tx.in(), "a span of an arena is not one");
    return span;
}

// The page that the span of a block begins with, which lies in `page`.
std::uint32_t first_page_of_span(const segment& s, std::uint32_t page) {
    for (const std::uint32_t pages : {large_span_pages, small_span_pages, least_span_pages}) {
        const std::uint32_t first = page / pages * pages;
        const auto order = static_cast<std::uint32_t>(std::countr_zero(pages));
        if (s.page(first).tag == make_tag(order, extent_state::used, extent_purpose::span)) return first;
    }
    throw_corrupt(s, "a block of an object is in no span");
}

segment_offset block_at(const root_transaction& tx, std::uint32_t page, std::uint32_t index,
                        std::uint32_t size_class) {
    return tx.in().page_offset(page) + sizeof(span_header) + std::uint64_t{index} * class_bytes(size_class);
}

// ---- partial spans -----------------------------------------------------------------------------------------------

void unlink_partial(root_transaction& tx, std::uint32_t page, span_header& span, std::uint32_t size_class) {
    static_cast<void>(page);
    if (span.previous_partial != 0)
        tx.store(span_at(tx, span.previous_partial - 1).next_partial, span.next_partial);
    else tx.store(header_of(tx).partial_spans[size_class], span.next_partial);
    if (span.next_partial != 0)
        tx.store(span_at(tx, span.next_partial - 1).previous_partial, span.previous_partial);
}

void link_partial(root_transaction& tx, std::uint32_t page, span_header& span, std::uint32_t size_class) {
    std::uint32_t& head = header_of(tx).partial_spans[size_class];
    if (head != 0) tx.store(span_at(tx, head - 1).previous_partial, page + 1);
    tx.store(span.next_partial, head);
    tx.store(span.previous_partial, 0);
    tx.store(head, page + 1);
}

segment_offset take_from_span(root_transaction& tx, std::uint32_t page, std::uint32_t size_class) {
    span_header& span = span_at(tx, page, size_class);
    span_state state = unpack(span.state);
    std::uint32_t index = 0;
    if (state.free_index != 0) {
        index = state.free_index - 1;
        if (index >= span.block_count) throw_corrupt(tx.in(), "a free block of a span lies outside");
        std::uint64_t& link = link_word(tx, block_at(tx, page, index, size_class), class_bytes(size_class));
        state.free_index = static_cast<std::uint32_t>(link & 0xffff);
        tx.log(&link, sizeof link);  // its new owner overwrites it
    } else {
        index = state.bump++;
        if (index >= span.block_count) throw_corrupt(tx.in(), "a span with room is full");
    }
    ++state.used;
    if (header_of(tx).empty_span == page + 1) tx.store(header_of(tx).empty_span, 0);
    tx.store(span.state, pack(state));
    if (state.used == span.block_count) unlink_partial(tx, page, span, size_class);
    return block_at(tx, page, index, size_class);
}

segment_offset take_from_new_span(root_transaction& tx, std::uint32_t size_class, std::uint32_t page,
                                  std::uint32_t pages) {
    span_header& span = span_at(tx, page);
    zero_shared(&span, sizeof span);
    store_word(span.size_class, size_class);
    store_word(span.block_count, blocks_in_span(size_class, pages));
    // New memory: no record for its bytes, and the partial list has no other member of this class.
    CAIRN_CHECK(load_word(header_of(tx).partial_spans[size_class]) == 0,
                "a new span is made when none has room");
    tx.store(header_of(tx).partial_spans[size_class], page + 1);
    return take_from_span(tx, page, size_class);
}

// A span wants many pages side by side. Where there are none, small blocks have a span of one page, which goes back to the segment as
// any other, and medium ones pages of their own: 0.
segment_offset take_from_new_span(root_transaction& tx, std::uint32_t size_class) {
    const bool is_small =
        tx.slot().extent_pages < large_root_pages && class_bytes(size_class) <= largest_in_small_span;
    std::uint32_t pages = is_small ? small_span_pages : large_span_pages;
    std::uint32_t page = 0;
    bool is_taken = false;
    try {
        page = tx.take_pages(pages, extent_purpose::span);
        is_taken = true;
    } catch (const segment_full&) {
        // Nothing was taken. What comes after it may also find the segment full, for its log, but has pages to give back.
    }
    if (!is_taken) {
        if (size_class >= loose_class_count) return 0;
        pages = least_span_pages;
        page = tx.take_pages(pages, extent_purpose::span);
    }
    return take_from_new_span(tx, size_class, page, pages);
}

// ---- young pages ---------------------------------------------------------------------------------------------------

void push_loose(root_transaction& tx, segment_offset block, std::uint32_t size_class, bool log_link) {
    std::uint64_t& link = link_word(tx, block, class_bytes(size_class));
    if (log_link) tx.log(&link, sizeof link);
    store_word(link, header_of(tx).loose_free[size_class]);
    tx.store(header_of(tx).loose_free[size_class], block);
}

// What is left of the young page becomes free blocks: nothing is lost.
void scatter_rest(root_transaction& tx) {
    arena_header& arena = header_of(tx);
    std::uint64_t at = arena.bump;
    while (at < arena.bump_end) {
        const std::uint32_t size_class = largest_class_within(arena.bump_end - at);
        push_loose(tx, at, size_class, true);
        at += class_bytes(size_class);
    }
}

segment_offset take_from_young_page(root_transaction& tx, std::uint32_t size_class) {
    arena_header& arena = header_of(tx);
    const std::uint64_t bytes = class_bytes(size_class);
    if (arena.bump_end - arena.bump > page_bytes)
        throw_corrupt(tx.in(), "a young page of an arena is not one");
    if (arena.bump_end - arena.bump < bytes) {
        const std::uint32_t page = tx.take_pages(1, extent_purpose::loose);
        if (arena.bump != arena.bump_end) scatter_rest(tx);
        const segment_offset begin = tx.in().page_offset(page);
        tx.store(arena.bump, begin);
        tx.store(arena.bump_end, begin + page_bytes);
        tx.store(arena.loose_pages, arena.loose_pages + 1);
    }
    const segment_offset block = arena.bump;
    static_cast<void>(link_word(tx, block, bytes));
    tx.store(arena.bump, block + bytes);
    return block;
}

std::uint32_t pages_for(std::uint64_t bytes) noexcept {
    return static_cast<std::uint32_t>((bytes + page_bytes - 1) / page_bytes);
}

}  // namespace

// Each class that a root uses has a span which is half empty, by chance. So a root has use for them when it is large, and they
// begin small.
constinit std::uint64_t most_loose_pages = 64;

std::uint64_t block_bytes(std::uint64_t bytes) noexcept {
    return bytes <= largest_small_bytes ? class_bytes(class_of(bytes))
                                        : std::uint64_t{pages_for(bytes)} * page_bytes;
}

segment_offset allocate(root_transaction& tx, std::uint64_t bytes) {
    CAIRN_CHECK(bytes != 0, "a block has at least one byte");
    if (bytes > max_segment_bytes) throw_corrupt(tx.in(), "a block larger than any segment is asked for");
    arena_header& arena = header_of(tx);
    if (bytes <= largest_small_bytes) {
        const std::uint32_t size_class = class_of(bytes);
        if (const std::uint32_t partial = arena.partial_spans[size_class]; partial != 0)
            return take_from_span(tx, partial - 1, size_class);
        if (size_class < loose_class_count) {
            if (const segment_offset block = arena.loose_free[size_class]; block != 0) {
                std::uint64_t& link = link_word(tx, block, class_bytes(size_class));
                const std::uint64_t next = link;
                tx.log(&link, sizeof link);  // its new owner overwrites it
                tx.store(arena.loose_free[size_class], next);
                return block;
            }
            const bool has_room = arena.bump_end - arena.bump >= class_bytes(size_class);
            if (has_room || arena.loose_pages < most_loose_pages) return take_from_young_page(tx, size_class);
        }
        if (size_class < loose_class_count || tx.slot().extent_pages >= roomy_extent_pages)
            if (const segment_offset block = take_from_new_span(tx, size_class); block != 0) return block;
    }
    return tx.in().page_offset(tx.take_pages(pages_for(bytes), extent_purpose::large));
}

void deallocate(root_transaction& tx, segment_offset block, std::uint64_t bytes) {
    const segment& s = tx.in();
    static_cast<void>(link_word(tx, block, bytes));
    if (tx.has_joined()) return tx.free_later(block, bytes);
    const std::uint32_t page = s.page_of(block);
    const std::uint32_t tag = s.page(page).tag;
    const bool heads_extent = tag_state(tag) == extent_state::used;
    if (heads_extent && tag_purpose(tag) == extent_purpose::large) {
        tx.free_pages(page, pages_for(bytes));
        return;
    }
    if (bytes == 0 || bytes > largest_small_bytes) throw_corrupt(s, "a large block of an object is not one");
    const std::uint32_t size_class = class_of(bytes);
    if (heads_extent && tag_purpose(tag) == extent_purpose::loose) {
        if (size_class >= loose_class_count) throw_corrupt(s, "a block of an object does not fit its page");
        push_loose(tx, block, size_class, true);
        return;
    }
    const std::uint32_t span_page = first_page_of_span(s, page);
    span_header& span = span_at(tx, span_page, size_class);
    const std::uint64_t inside = block - s.page_offset(span_page) - sizeof(span_header);
    if (inside % class_bytes(size_class) != 0 || inside / class_bytes(size_class) >= span.block_count)
        throw_corrupt(s, "a block of an object does not fit its span");
    span_state state = unpack(span.state);
    if (state.used == 0) throw_corrupt(s, "a block of an object is freed in an empty span");
    const bool was_full = state.used == span.block_count;
    if (state.used == 1 && !was_full) {
        // The last block. One empty span is kept, so that a list that comes and goes does not go to the segment each time.
        arena_header& arena = header_of(tx);
        if (arena.empty_span != 0) {
            unlink_partial(tx, span_page, span, size_class);
            tx.free_pages(span_page, pages_of_span(size_class, span.block_count));
            return;
        }
        tx.store(arena.empty_span, span_page + 1);
    }
    std::uint64_t& link = link_word(tx, block, class_bytes(size_class));
    tx.log(&link, sizeof link);
    store_word(link, state.free_index);
    state.free_index = static_cast<std::uint32_t>(inside / class_bytes(size_class)) + 1;
    --state.used;
    tx.store(span.state, pack(state));
    if (was_full) link_partial(tx, span_page, span, size_class);
}

}  // namespace cairn::inline CAIRN_ABI::detail
