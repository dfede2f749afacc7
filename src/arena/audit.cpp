// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <map>

#include "arena/size_classes.hpp"
#include "cairn/detail/arena/arena.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// What one extent (or run) of a root should be full of.
struct run_use {
    extent_purpose purpose = extent_purpose::none;
    std::uint64_t bytes = 0;
    std::uint64_t reached = 0;  // blocks
    std::uint64_t used_bytes = 0;
};

std::string at_offset(segment_offset offset) {
    return " at offset " + std::to_string(offset);
}

}  // namespace

arena_audit::arena_audit(const segment& s, const root_slot& slot) : segment_(s), slot_(slot) {}

void arena_audit::fail(const std::string& what) {
    if (problem_.empty()) problem_ = "arena: " + what;
}

void arena_audit::reached(segment_offset block, std::uint64_t bytes) {
    if (bytes == 0) fail("a block without bytes is reached" + at_offset(block));
    else blocks_.emplace_back(block, bytes);
}

std::string arena_audit::finish() {
    const segment& s = segment_;
    const std::uint32_t pages = s.committed_pages();
    // 1. The extents of this root, in its chain.
    std::map<segment_offset, run_use> extents;
    std::uint64_t chain_pages = 0;
    std::uint32_t previous = 0;
    for (std::uint32_t link = slot_.extents; link != 0;) {
        if (link > pages || extents.size() > pages)
            return "arena: the chain of extents leads outside or has no end";
        const page_entry& entry = s.page(link - 1);
        if (tag_state(entry.tag) != extent_state::used || entry.owner != s.slot_number(slot_) + 1 ||
            entry.previous != previous)
            return "arena: an extent in the chain is not this object's";
        const std::uint64_t count = std::uint64_t{1} << tag_order(entry.tag);
        if (tag_purpose(entry.tag) == extent_purpose::log) return "arena: a spilled log was left behind";
        extents[s.page_offset(link - 1)] = {tag_purpose(entry.tag), count * page_bytes, 0, 0};
        chain_pages += count;
        previous = link;
        link = entry.next;
    }
    if (chain_pages != slot_.extent_pages) return "arena: extent_pages is not the sum of the chain";
    if (slot_.extents != slot_.settled) return "arena: extents in doubt were left behind";
    if (slot_.pending_free != 0) return "arena: blocks that wait to be freed were left behind";
    if (extents.empty() && !blocks_.empty()) return "arena: blocks without extents";

    // 2. Free blocks count as used by the free lists.
    const arena_header& arena = slot_.arena;
    std::vector<std::pair<segment_offset, std::uint64_t>> blocks = blocks_;
    for (std::uint32_t c = 0; c < loose_class_count; ++c) {
        std::uint64_t steps = pages * (page_bytes / 16);
        for (segment_offset block = arena.loose_free[c]; block != 0;) {
            const auto* link = s.find<std::uint64_t>(block, class_bytes(c));
            if (link == nullptr || steps-- == 0) return "arena: a free list leads outside or has no end";
            blocks.emplace_back(block, class_bytes(c));
            block = *link;
        }
    }
    if (arena.bump != arena.bump_end) blocks.emplace_back(arena.bump, arena.bump_end - arena.bump);

    // 3. Every block in the extent that it lies in, none over another.
    std::sort(blocks.begin(), blocks.end());
    segment_offset last_end = 0;
    std::uint64_t large_pages = 0;
    for (const auto& [block, bytes] : blocks) {
        if (block < last_end) return "arena: two blocks overlap" + at_offset(block);
        auto extent = extents.upper_bound(block);
        if (extent == extents.begin()) return "arena: a block lies in no extent" + at_offset(block);
        --extent;
        auto& [start, use] = *extent;
        if (block >= start + use.bytes) return "arena: a block lies in no extent" + at_offset(block);
        if (use.purpose == extent_purpose::large) {
            const std::uint64_t whole = round_up(bytes, page_bytes);
            large_pages += whole / page_bytes;
            last_end = block + whole;
            continue;
        }
        const bool is_rest = use.purpose == extent_purpose::loose && block == arena.bump &&
                             bytes == arena.bump_end - arena.bump;
        const std::uint64_t whole = is_rest ? bytes : class_bytes(class_of(bytes));
        if (bytes > largest_small_bytes && !is_rest)
            return "arena: a large block in an extent of small ones" + at_offset(block);
        if (block + whole > start + use.bytes) return "arena: a block crosses its extent" + at_offset(block);
        last_end = block + whole;
        ++use.reached;
        use.used_bytes += whole;
    }

    // 4. Nothing is left over.
    std::uint64_t large_extent_pages = 0;
    for (const auto& [start, use] : extents) {
        if (use.purpose == extent_purpose::large) large_extent_pages += use.bytes / page_bytes;
        if (use.purpose == extent_purpose::loose && use.used_bytes != use.bytes)
            return "arena: leaked bytes in the young page" + at_offset(start);
        if (use.purpose != extent_purpose::span) continue;
        const auto* span = s.find<span_header>(start);
        if (span->size_class >= small_class_count)
            return "arena: a span of no known class" + at_offset(start);
        const std::uint64_t used = span->state >> 16 & 0xffff;
        const std::uint64_t bump = span->state >> 32 & 0xffff;
        if (used != use.reached) {
            return "arena: a span with " + std::to_string(used) + " blocks in use, of which " +
                   std::to_string(use.reached) + " are reached" + at_offset(start);
        }
        std::uint64_t free = 0;
        for (std::uint64_t index = span->state & 0xffff; index != 0; ++free) {
            if (index > span->block_count || free > span->block_count)
                return "arena: the free list of a span leads outside or has no end" + at_offset(start);
            index = *s.at<std::uint64_t>(start + sizeof(span_header) +
                                         (index - 1) * class_bytes(span->size_class)) &
                    0xffff;
        }
        if (bump > span->block_count || used + free != bump)
            return "arena: a span has lost blocks" + at_offset(start);
    }
    if (large_pages != large_extent_pages) {
        return "arena: " + std::to_string(large_extent_pages) + " pages of large blocks, of which " +
               std::to_string(large_pages) + " are reached";
    }
    return problem_;
}

}  // namespace cairn::inline CAIRN_ABI::detail
