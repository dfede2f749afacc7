// SPDX-License-Identifier: BSL-1.0
#include "segment/extents.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "segment/backing.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Grown by at least a quarter, so that a segment that keeps growing asks the system seldom; by 2 MiB at most, so that
// nobody waits longer than about half a millisecond for somebody else's growth (1.2 us a page, docs/design-notes.md).
constexpr std::uint32_t least_growth_pages = 16;
constexpr std::uint32_t most_slack_pages = 512;

std::uint32_t ceil_order(std::uint32_t pages) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(pages - 1));
}

void store_entry(segment_guard& guard, std::uint32_t page, const page_entry& value) {
    page_entry& at = guard.in().page(page);
    guard.log(&at, sizeof at);
    copy_in_fixed<sizeof(page_entry)>(&at, &value);
}

void push_free(segment_guard& guard, std::uint32_t page, std::uint32_t order) {
    std::uint32_t& head = guard.control().free_heads[order];
    const std::uint32_t old = load_word(head);
    if (old != 0) guard.store(guard.entry(old).previous, page + 1);
    store_entry(guard, page, {make_tag(order, extent_state::free), 0, old, 0});
    guard.store(head, page + 1);
}

// A page's entry may say anything; an extent lies inside the committed part, at a multiple of its size.
bool can_be_extent(const segment& s, std::uint32_t page, std::uint32_t order) noexcept {
    const std::uint32_t committed = s.committed_pages();
    return order <= max_order && page < committed && (1U << order) <= committed - page &&
           page % (1U << order) == 0;
}

void remove_free(segment_guard& guard, std::uint32_t page, std::uint32_t order) {
    if (!can_be_extent(guard.in(), page, order) ||
        guard.in().page(page).tag != make_tag(order, extent_state::free))
        throw_corrupt(guard.in(), "a free extent is not free");
    const page_entry at = guard.in().page(page);
    if (at.previous != 0) guard.store(guard.entry(at.previous).next, at.next);
    else guard.store(guard.control().free_heads[order], at.next);
    if (at.next != 0) guard.store(guard.entry(at.next).previous, at.previous);
    // It may end up inside a larger extent, where an old tag would be taken for a free one.
    guard.store(guard.in().page(page).tag, 0);
}

// Frees an extent, joined with its buddies as far as they are free: two free buddies never stay side by side.
void push_joined(segment_guard& guard, std::uint32_t page, std::uint32_t order) {
    const segment& s = guard.in();
    for (; order < max_order; ++order) {
        const std::uint32_t buddy = page ^ (1U << order);
        if (buddy >= s.committed_pages() || s.page(buddy).tag != make_tag(order, extent_state::free)) break;
        remove_free(guard, buddy, order);
        // Inside the joined extent: the upper half's entry says nothing any more.
        store_entry(guard, std::max(page, buddy), {0, 0, 0, 0});
        page = std::min(page, buddy);
    }
    push_free(guard, page, order);
}

// Splits [page, page + count) into the extents that alignment asks for.
template <typename Visit>
void for_each_piece(std::uint32_t page, std::uint32_t count, Visit visit) {
    while (count != 0) {
        const std::uint32_t order = first_piece_order(page, count);
        visit(page, order);
        page += 1U << order;
        count -= 1U << order;
    }
}

// The first page of the free extents that end, one beside the other, at page `end`; `end` if none does. Goes back no further than
// it must for `most` pages.
std::uint32_t first_of_free_run(const segment& s, std::uint32_t end, std::uint32_t most) {
    std::uint32_t first = end;
    for (std::uint32_t order = 0; end - first < most && order <= max_order && (1U << order) <= first;) {
        const std::uint32_t page = first - (1U << order);
        const std::uint32_t tag = page % (1U << order) == 0 ? s.page(page).tag : 0;
        if (tag_state(tag) == extent_state::inside || tag_order(tag) != order) {
            ++order;
            continue;
        }
        if (tag_state(tag) != extent_state::free) break;
        first = page;
        order = 0;
    }
    return first;
}

// Where the extent begins that a page lies in; the page itself where the map is damaged.
std::uint32_t first_of_extent(const segment& s, std::uint32_t page) noexcept {
    for (std::uint32_t order = 0; order <= max_order; ++order) {
        const std::uint32_t first = page >> order << order;
        const std::uint32_t tag = load_word(s.page(first).tag);
        if (tag_state(tag) != extent_state::inside && tag_order(tag) == order) return first;
    }
    return page;
}

// Whether `count` pages from `first` on, where an extent begins, are free extents one beside the other.
bool is_free_run(const segment& s, std::uint32_t first, std::uint32_t count) {
    const std::uint32_t committed = s.committed_pages();
    if (count > committed - first) return false;
    for (const std::uint32_t end = first + count; first < end;) {
        const std::uint32_t tag = s.page(first).tag;
        if (tag_state(tag) != extent_state::free || !can_be_extent(s, first, tag_order(tag))) return false;
        first += 1U << tag_order(tag);
    }
    return true;
}

std::uint32_t first_free_tail_page(const segment& s) {
    return first_of_free_run(s, s.committed_pages(), s.committed_pages());
}

// The smallest order with a free extent of at least `pages`, or max_order + 1.
std::uint32_t fitting_order(const segment_control& control, std::uint32_t pages) {
    std::uint32_t order = ceil_order(pages);
    while (order <= max_order && load_word(control.free_heads[order]) == 0) ++order;
    return order;
}

constexpr std::uint32_t no_page = std::numeric_limits<std::uint32_t>::max();

// Extents that are looked at before a larger one is broken up, and before a segment is said to be full: some 50 ns each.
constexpr std::uint32_t few_looks = 8;
constexpr std::uint32_t many_looks = 4096;

// A free run of `pages` around one of the free extents of that order.
std::uint32_t run_around_extents(const segment_guard& guard, std::uint32_t pages, std::uint32_t order,
                                 std::uint32_t looks) {
    const segment& s = guard.in();
    std::uint32_t link = load_word(guard.control().free_heads[order]);
    for (; link != 0 && looks != 0; --looks) {
        const std::uint32_t next = guard.entry(link).next;
        // What is free before it is part of the run, so that no crumbs are left there.
        const std::uint32_t first = first_of_free_run(s, link - 1, pages);
        if (is_free_run(s, first, pages)) return first;
        link = next;
    }
    return no_page;
}

// The smallest order of which each free run of so many pages has an extent.
std::uint32_t least_order_in_run(std::uint32_t pages) noexcept {
    return static_cast<std::uint32_t>(std::bit_width(pages + 1)) - 2;
}

// Extents need not be buddies to be a run together: else strings of five pages would take eight each.
std::uint32_t run_of_several(const segment_guard& guard, std::uint32_t pages, std::uint32_t looks) {
    for (std::uint32_t order = ceil_order(pages); order-- > least_order_in_run(pages);)
        if (const std::uint32_t first = run_around_extents(guard, pages, order, looks); first != no_page)
            return first;
    return no_page;
}

// Where a run begins that can be had without growing. With an `alignment`: one extent.
std::uint32_t find_run(const segment_guard& guard, std::uint32_t pages, std::uint32_t alignment) {
    const bool fits_an_extent = std::has_single_bit(pages);
    if (!fits_an_extent) {
        if (const std::uint32_t first = run_of_several(guard, pages, few_looks); first != no_page)
            return first;
    }
    if (const std::uint32_t order = fitting_order(guard.control(), pages); order <= max_order) {
        const std::uint32_t link = load_word(guard.control().free_heads[order]);
        static_cast<void>(guard.entry(link));
        return fits_an_extent ? link - 1 : first_of_free_run(guard.in(), link - 1, pages - 1);
    }
    if (alignment != 1) return no_page;
    const std::uint32_t tail = first_free_tail_page(guard.in());
    return guard.in().committed_pages() - tail >= pages ? tail : no_page;
}

[[noreturn]] void throw_full(const segment& s, std::uint32_t pages) {
    throw segment_full("grow " + describe_segment(s) + ": needs " + std::to_string(pages * page_bytes) +
                       " bytes in one piece, " +
                       std::to_string(load_word(s.control().free_pages) * page_bytes) +
                       " free in pieces, and it is at its maximum of " +
                       std::to_string(s.header().max_bytes) + " bytes; create it with a larger max_size");
}

// A run that is there, or how far the segment has to grow for it.
struct run_plan {
    std::uint32_t first = no_page;
    std::uint32_t grown_to = 0;
};

run_plan plan_run(const segment_guard& guard, std::uint32_t pages, std::uint32_t alignment) {
    const segment& s = guard.in();
    if (pages == 0 || pages > s.header().page_limit) throw_full(s, pages);
    if (const std::uint32_t first = find_run(guard, pages, alignment); first != no_page)
        return {.first = first};
    // An aligned run is one extent, which the free list of its order will have once enough of the tail is free: buddies
    // are always joined.
    const std::uint64_t end = std::uint64_t{round_up(first_free_tail_page(s), alignment)} + pages;
    if (end <= s.header().page_limit) return {.grown_to = static_cast<std::uint32_t>(end)};
    if (alignment == 1) {
        if (const std::uint32_t first = run_of_several(guard, pages, many_looks); first != no_page)
            return {.first = first};
    }
    throw_full(s, pages);
}

// Takes a run that is free. An extent begins at `begin`, which may be before its first page.
void take_free_run(segment_guard& guard, root_slot* owner, std::uint32_t begin, std::uint32_t first,
                   std::uint32_t pages, extent_purpose purpose) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    std::uint32_t end = begin;
    while (end < first + pages) {
        const std::uint32_t order = tag_order(s.page(end).tag);
        remove_free(guard, end, order);
        // Perhaps inside the run: a later look for the free tail must not take its old tag for a free extent.
        store_entry(guard, end, {0, 0, 0, 0});
        end += 1U << order;
    }
    const std::uint32_t owner_link = owner == nullptr ? 0 : s.slot_number(*owner) + 1;
    std::uint32_t chain = owner == nullptr ? 0 : load_word(owner->extents);
    for_each_piece(first, pages, [&](std::uint32_t page, std::uint32_t order) {
        if (owner != nullptr && chain != 0) guard.store(guard.entry(chain).previous, page + 1);
        store_entry(guard, page, {make_tag(order, extent_state::used, purpose), owner_link, chain, 0});
        if (owner != nullptr) chain = page + 1;
    });
    const auto is_left = [&](std::uint32_t page, std::uint32_t order) { push_free(guard, page, order); };
    for_each_piece(begin, first - begin, is_left);
    for_each_piece(first + pages, end - first - pages, is_left);
    if (owner != nullptr) {
        guard.store(owner->extents, chain);
        guard.store(owner->extent_pages, owner->extent_pages + pages);
    }
    guard.store(control.free_pages, control.free_pages - pages);
    // What the segment has itself (slots of roots, names) is looked at by everybody.
    if (owner == nullptr) show_up_to(s, s.page_offset(first + pages));
}

}  // namespace

void require_possible(const segment& s, std::uint64_t bytes) {
    if (bytes <= std::uint64_t{s.header().page_limit} * page_bytes) return;
    throw segment_full("grow " + describe_segment(s) + ": needs " + std::to_string(bytes) +
                       " bytes, more than its maximum of " + std::to_string(s.header().max_bytes) +
                       "; create it with a larger max_size");
}

namespace {

missing_pages missing_in_all(const segment& s, std::uint64_t pages) {
    const std::uint64_t free = load_word(s.control().free_pages);
    const std::uint32_t committed = s.committed_pages();
    if (pages <= free) return {};
    const std::uint64_t missing = pages - free;
    if (missing > s.header().page_limit - committed) {
        throw segment_full(
            "grow " + describe_segment(s) + ": needs " + std::to_string(pages * page_bytes) +
            " bytes in all, " + std::to_string(free * page_bytes) + " are free, and it can grow by " +
            std::to_string((s.header().page_limit - committed) * page_bytes) + " to its maximum of " +
            std::to_string(s.header().max_bytes) + "; create it with a larger max_size");
    }
    return {committed, committed + static_cast<std::uint32_t>(missing)};
}

}  // namespace

void require_pages(segment& s, std::uint64_t pages) {
    if (pages <= load_word(s.control().free_pages)) return;
    if (this_thread.in_segment_lock) {
        // Whoever holds the segment's lock builds what is small.
        static_cast<void>(missing_in_all(s, pages));
        return;
    }
    missing_pages missing;
    {
        // Without the lock the words may belong to a growth that is under way, or to one whose process died: the guard repairs that.
        const segment_guard guard(s);
        missing = missing_in_all(s, pages);
    }
    // A little is asked for when it is taken.
    if (missing.count() > most_pages_backed_under_lock) back_ahead(s, missing.from, missing.to);
}

std::uint32_t first_piece_order(std::uint32_t page, std::uint32_t count) noexcept {
    const auto by_count = static_cast<std::uint32_t>(std::bit_width(count)) - 1;
    const auto by_page = page == 0 ? max_order : static_cast<std::uint32_t>(std::countr_zero(page));
    return std::min({by_count, by_page, max_order});
}

page_stretch stretch_at(const segment& s, std::uint32_t page) noexcept {
    const std::uint32_t left = s.committed_pages() - page;
    const std::uint32_t first = first_of_extent(s, page);
    const std::uint32_t tag = load_word(s.page(first).tag);
    const bool is_one = tag_state(tag) != extent_state::inside && tag_order(tag) <= max_order &&
                        first % (1U << tag_order(tag)) == 0;
    if (!is_one) return {false, 1};  // damaged
    return {tag_state(tag) == extent_state::free, std::min(left, (1U << tag_order(tag)) - (page - first))};
}

void grow(segment_guard& guard, std::uint32_t new_page_count) {
    CAIRN_CHECK(guard.is_clean(), "growth is a transaction of its own");
    segment& s = guard.in();
    const std::uint32_t old_page_count = s.committed_pages();
    // 1. Backed by the system; a death here leaves backed pages that nobody knows of, and the next growth finds them.
    back_pages(s, old_page_count, new_page_count);
    // 2. Known to the segment. Entries beyond the old limit need no record: nobody looks there before the limit moves.
    guard.store(guard.control().free_pages, guard.control().free_pages + (new_page_count - old_page_count));
    guard.store(guard.control().committed_bytes, s.page_offset(new_page_count));
    zero_shared(&s.page(old_page_count), (new_page_count - old_page_count) * sizeof(page_entry));
    for_each_piece(old_page_count, new_page_count - old_page_count,
                   [&](std::uint32_t page, std::uint32_t order) { push_joined(guard, page, order); });
    // 3. Everybody's, but for readers without a lock: they see pages when what is in them is committed.
    guard.commit();
}

void drop_free_tail(segment_guard& guard) {
    segment& s = guard.in();
    for (;;) {
        const std::uint32_t pages = s.committed_pages();
        const std::uint32_t first = first_of_free_run(s, pages, 1);
        const std::uint32_t end = std::max(first, s.page_of(s.shown_bytes() + page_bytes - 1));
        if (end >= pages) return;
        // 1. Nobody's: in no list, and in no extent. A death before the commit is undone.
        const std::uint32_t order = tag_order(s.page(first).tag);
        remove_free(guard, first, order);
        store_entry(guard, first, {0, 0, 0, 0});
        for_each_piece(first, end - first,
                       [&](std::uint32_t page, std::uint32_t of) { push_free(guard, page, of); });
        guard.store(guard.control().free_pages, guard.control().free_pages - (pages - end));
        guard.commit();
        // 2. Behind the limit. A death before it: recover_tail(). Without a record, since what is in a log only makes the limit fall.
        store_word(guard.control().committed_bytes, s.page_offset(end));
        order_stores();
    }
}

void recover_tail(segment& s) noexcept {
    const std::uint32_t shown = s.page_of(s.shown_bytes() + page_bytes - 1);
    std::uint32_t end = s.committed_pages();
    while (end > shown) {
        const std::uint32_t first = first_of_extent(s, end - 1);
        const std::uint32_t tag = load_word(s.page(first).tag);
        if (tag_state(tag) != extent_state::inside && tag_order(tag) <= max_order) break;
        --end;
    }
    if (end != s.committed_pages()) store_word(s.control().committed_bytes, s.page_offset(end));
    order_stores();
}

missing_pages missing_for_run(const segment_guard& guard, std::uint32_t pages, std::uint32_t alignment) {
    const run_plan plan = plan_run(guard, pages, alignment);
    if (plan.first == no_page) return {guard.in().committed_pages(), plan.grown_to};
    if (load_word(guard.control().holes_from) == 0) return {};
    return {plan.first, plan.first + pages};
}

void reserve_run(segment_guard& guard, std::uint32_t pages, std::uint32_t alignment) {
    segment& s = guard.in();
    run_plan plan = plan_run(guard, pages, alignment);
    if (plan.first == no_page) {
        const std::uint32_t committed = s.committed_pages();
        const std::uint32_t slack = std::clamp(committed / 4, least_growth_pages, most_slack_pages);
        const std::uint32_t wanted =
            std::min(s.header().page_limit, std::max(plan.grown_to, committed + slack));
        try {
            grow(guard, wanted);
        } catch (const segment_full&) {
            // The file system is nearly full: what is needed may still be there.
            if (wanted == plan.grown_to) throw;
            grow(guard, plan.grown_to);
        }
        plan = plan_run(guard, pages, alignment);
    }
    // Before the run is taken: no memory is an error of the operation, which has changed nothing yet.
    if (plan.first != no_page && load_word(guard.control().holes_from) != 0)
        back_holes(s, plan.first, plan.first + pages);
}

std::uint32_t take_run(segment_guard& guard, root_slot* owner, std::uint32_t pages, extent_purpose purpose,
                       std::uint32_t alignment) {
    const std::uint32_t first = plan_run(guard, pages, alignment).first;
    if (first == no_page || !is_free_run(guard.in(), first, pages))
        throw_corrupt(guard.in(), "its lists of free extents are not what they were a moment ago");
    take_free_run(guard, owner, first, first, pages, purpose);
    return first;
}

bool take_run_at(segment_guard& guard, root_slot& owner, std::uint32_t first, std::uint32_t pages,
                 extent_purpose purpose) {
    segment& s = guard.in();
    if (pages == 0 || first >= s.committed_pages() || pages > s.committed_pages() - first) return false;
    const std::uint32_t begin = first_of_extent(s, first);
    if (!is_free_run(s, begin, first - begin + pages)) return false;
    if (load_word(guard.control().holes_from) != 0) {
        // Others do not wait for the lock until the system has allocated a long run.
        if (pages > most_pages_backed_under_lock && may_have_hole(s, first, first + pages)) return false;
        back_holes(s, first, first + pages);
    }
    take_free_run(guard, &owner, begin, first, pages, purpose);
    return true;
}

void give_back_extent(segment_guard& guard, root_slot* owner, std::uint32_t page) {
    segment& s = guard.in();
    page_entry at = guard.entry(page + 1);
    const std::uint32_t owner_link = owner == nullptr ? 0 : s.slot_number(*owner) + 1;
    if (tag_state(at.tag) != extent_state::used || !can_be_extent(s, page, tag_order(at.tag)) ||
        at.owner != owner_link)
        throw_corrupt(s, "an extent is given back that its owner does not have");
    std::uint32_t order = tag_order(at.tag);
    if (owner != nullptr) {
        if (at.previous != 0) guard.store(guard.entry(at.previous).next, at.next);
        else guard.store(owner->extents, at.next);
        if (at.next != 0) guard.store(guard.entry(at.next).previous, at.previous);
        // The oldest extent in no doubt moves on with the chain.
        if (load_word(owner->settled) == page + 1) guard.store(owner->settled, at.next);
        guard.store(owner->extent_pages, owner->extent_pages - (std::uint64_t{1} << order));
    }
    guard.store(guard.control().free_pages, guard.control().free_pages + (std::uint64_t{1} << order));
    push_joined(guard, page, order);
}

}  // namespace cairn::inline CAIRN_ABI::detail
