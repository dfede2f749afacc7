// check_pages.cpp - the page map: extents, free lists, owners.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <map>

#include "inspect/structure.hpp"

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

struct owned_pages {
    std::uint64_t extents = 0;
    std::uint64_t pages = 0;
};

std::string at_page(std::uint32_t page) {
    return "page " + std::to_string(page) + ": ";
}

// What is wrong with the entry as the first of an extent, or nothing.
std::string problem_of_head(std::uint32_t page, const page_entry& entry, std::uint32_t pages) {
    const std::uint32_t order = tag_order(entry.tag);
    const auto state = tag_state(entry.tag);
    const auto purpose = tag_purpose(entry.tag);
    if (state != extent_state::free && state != extent_state::used) return "is in no extent";
    if (order > max_order || page % (1U << order) != 0 || pages - page < 1U << order)
        return "its extent of order " + std::to_string(order) + " does not fit there";
    if (state == extent_state::free) {
        return purpose == extent_purpose::none && entry.owner == 0
                   ? ""
                   : "a free extent has an owner or a purpose";
    }
    if (purpose == extent_purpose::none || purpose > extent_purpose::names)
        return "a used extent has no known purpose";
    if ((entry.owner == 0) != (purpose == extent_purpose::roots || purpose == extent_purpose::names))
        return "an extent's owner does not fit its purpose";
    return {};
}

void check_free_lists(const segment& s, const std::array<std::uint64_t, max_order + 1>& found,
                      problem_list& problems) {
    const std::uint32_t pages = s.committed_pages();
    for (std::uint32_t order = 0; order < std::size(s.control().free_heads); ++order) {
        std::uint64_t length = 0;
        std::uint32_t previous = 0;
        const std::string list = "free list of order " + std::to_string(order) + ": ";
        for (std::uint32_t link = s.control().free_heads[order]; link != 0;) {
            const bool there = link <= pages && order <= max_order && length < found[order];
            if (!there || s.page(link - 1).tag != make_tag(order, extent_state::free)) {
                problems.add(list + "leads to something else, or has no end");
                break;
            }
            const page_entry& entry = s.page(link - 1);
            if (entry.previous != previous) {
                problems.add(list + "page " + std::to_string(link - 1) + " does not lead back");
                break;
            }
            previous = link;
            link = entry.next;
            ++length;
        }
        if (order <= max_order && length != found[order]) {
            problems.add(list + "has " + std::to_string(length) + " extents, the page map " +
                         std::to_string(found[order]));
        }
    }
}

void check_owners(const segment& s, const std::map<std::uint32_t, owned_pages>& owners,
                  problem_list& problems) {
    for (const auto& [link, owned] : owners) {
        const root_slot* slot = slot_of(s, link);
        if (slot == nullptr || slot->state == static_cast<std::uint32_t>(root_state::free) ||
            slot->state > 4) {
            problems.add("leaked: " + std::to_string(owned.pages) + " pages belong to control block " +
                         std::to_string(link - 1) + ", which is not in use");
            continue;
        }
        // Their number equals that of the chain, whose members are all this root's: so they are the same ones.
        std::uint64_t extents = 0;
        std::uint64_t pages = 0;
        if (const std::string problem = check_extent_chain(s, *slot); !problem.empty()) {
            problems.add(describe_visible(*slot) + ": " + problem);
            continue;
        }
        for (std::uint32_t at = slot->extents; at != 0; at = s.page(at - 1).next) {
            ++extents;
            pages += std::uint64_t{1} << tag_order(s.page(at - 1).tag);
        }
        if (extents != owned.extents || pages != owned.pages || pages != slot->extent_pages) {
            problems.add(describe_visible(*slot) + ": its chain has " + std::to_string(extents) +
                         " extents of " + std::to_string(pages) + " pages, the page map " +
                         std::to_string(owned.extents) + " of " + std::to_string(owned.pages) +
                         ", its control block says " + std::to_string(slot->extent_pages) + " pages");
        }
    }
}

}  // namespace

void check_pages(const segment& s, problem_list& problems) {
    const std::uint64_t committed = s.committed_bytes();
    if (committed < s.data_offset() || committed > s.header().max_bytes ||
        (committed - s.data_offset()) % page_bytes != 0) {
        problems.add("segment: the number of committed bytes, " + std::to_string(committed) +
                     ", makes no sense");
        return;
    }
    const std::uint64_t shown = s.control().shown_bytes;
    if (shown > committed || shown <= s.data_offset() || shown % page_bytes != 0)
        problems.add("segment: the end of what readers may look at, " + std::to_string(shown) +
                     " bytes, makes no sense");
    const std::uint32_t pages = s.committed_pages();
    std::array<std::uint64_t, max_order + 1> free_extents{};
    std::uint64_t free_pages = 0;
    std::map<std::uint32_t, owned_pages> owners;
    for (std::uint32_t page = 0; page < pages && !problems.is_full();) {
        const page_entry& entry = s.page(page);
        if (std::string problem = problem_of_head(page, entry, pages); !problem.empty()) {
            problems.add(at_page(page) + problem);
            ++page;
            continue;
        }
        const std::uint32_t order = tag_order(entry.tag);
        const std::uint32_t end = page + (1U << order);
        if (tag_state(entry.tag) == extent_state::free) {
            ++free_extents[order];
            free_pages += 1U << order;
        } else if (entry.owner != 0) {
            owned_pages& owned = owners[entry.owner];
            ++owned.extents;
            owned.pages += 1U << order;
        }
        for (std::uint32_t inside = page + 1; inside < end; ++inside) {
            if (s.page(inside).tag == 0) continue;
            problems.add(at_page(inside) + "lies inside the extent of page " + std::to_string(page) +
                         ", and yet says something of its own");
            break;
        }
        page = end;
    }
    if (s.control().free_pages != free_pages) {
        problems.add("segment: it counts " + std::to_string(s.control().free_pages) +
                     " free pages, the page map " + std::to_string(free_pages));
    }
    check_free_lists(s, free_extents, problems);
    check_owners(s, owners, problems);
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
