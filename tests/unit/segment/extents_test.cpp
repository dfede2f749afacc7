// extents_test.cpp - the buddy system against a model: random runs are taken and given back, and after each step every
// page is accounted for.
//
// SPDX-License-Identifier: BSL-1.0
#include "segment/extents.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace extents_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

// Walks the page map as if it were all there is. Empty, or what is wrong.
std::string broken_map(const segment& s) {
    const segment_control& control = s.control();
    std::map<std::uint32_t, std::uint32_t> free;  // first page -> order
    std::uint32_t page = 0;
    while (page < s.committed_pages()) {
        const page_entry& entry = s.page(page);
        const std::uint32_t order = tag_order(entry.tag);
        if (order > max_order || page % (1U << order) != 0)
            return "page " + std::to_string(page) + " begins no extent";
        const extent_state state = tag_state(entry.tag);
        if (state != extent_state::free && state != extent_state::used)
            return "page " + std::to_string(page) + " is neither free nor used";
        if (state == extent_state::free) free[page] = order;
        page += 1U << order;
    }
    if (page != s.committed_pages()) return "the last extent reaches beyond the committed part";
    std::uint64_t free_pages = 0;
    for (const auto& [first, order] : free) {
        free_pages += 1U << order;
        const std::uint32_t buddy = first ^ (1U << order);
        const auto other = free.find(buddy);
        if (other != free.end() && other->second == order && order < max_order)
            return "buddies at page " + std::to_string(first) + " are not joined";
    }
    if (free_pages != control.free_pages) return "free_pages is wrong";
    for (std::uint32_t order = 0; order <= max_order; ++order) {
        std::uint32_t previous = 0;
        for (std::uint32_t link = control.free_heads[order]; link != 0;) {
            const auto found = free.find(link - 1);
            if (found == free.end() || found->second != order)
                return "the free list of order " + std::to_string(order) + " has what is not free";
            free.erase(found);
            if (s.page(link - 1).previous != previous) return "a free list is not linked both ways";
            previous = link;
            link = s.page(link - 1).next;
        }
    }
    return free.empty() ? "" : "a free extent is in no list";
}

segment& inside_of(const cairn::manager& m) {
    return opened_list<long>(m.list<long>("l")).in();
}

// The pieces that a run consists of, first page and order.
std::vector<std::pair<std::uint32_t, std::uint32_t>> pieces_of(std::uint32_t page, std::uint32_t count) {
    std::vector<std::pair<std::uint32_t, std::uint32_t>> pieces;
    while (count != 0) {
        const std::uint32_t order = first_piece_order(page, count);
        pieces.emplace_back(page, order);
        page += 1U << order;
        count -= 1U << order;
    }
    return pieces;
}

}  // namespace

TEST_CASE("runs of any length are taken and given back without losing a page") {
    const cairn::manager m(cairn::segment_options{.max_size = 64 << 20});
    segment& s = inside_of(m);
    std::mt19937 random(20'260'801);
    std::map<std::uint32_t, std::uint32_t> runs;  // first page -> count
    std::size_t refusals = 0;
    for (int step = 0; step < static_cast<int>(scaled(6000)); ++step) {
        segment_guard guard(s);
        const bool take = runs.empty() || random() % 100 < (step % 2000 < 1000 ? 60U : 35U);
        if (take) {
            const auto count =
                static_cast<std::uint32_t>(random() % 10 == 0 ? 1 + random() % 3000 : 1 + random() % 60);
            try {
                reserve_run(guard, count);
            } catch (const cairn::segment_full&) {
                ++refusals;
                continue;
            }
            const std::uint32_t page = take_run(guard, nullptr, count, extent_purpose::large);
            guard.commit();
            const auto after = runs.lower_bound(page);
            REQUIRE((after == runs.end() || page + count <= after->first));
            if (after != runs.begin()) REQUIRE(std::prev(after)->first + std::prev(after)->second <= page);
            REQUIRE(page + count <= s.committed_pages());
            for (const auto& [first, order] : pieces_of(page, count)) {
                REQUIRE(s.page(first).tag == make_tag(order, extent_state::used, extent_purpose::large));
                REQUIRE(first % (1U << order) == 0);
            }
            runs[page] = count;
        } else {
            auto victim = runs.begin();
            std::advance(victim, static_cast<std::ptrdiff_t>(random() % runs.size()));
            for (const auto& [first, order] : pieces_of(victim->first, victim->second)) {
                static_cast<void>(order);
                give_back_extent(guard, nullptr, first);
                guard.commit();
            }
            runs.erase(victim);
        }
        if (step % 16 == 0) REQUIRE(broken_map(s) == "");
    }
    CHECK(refusals > 0);
    segment_guard guard(s);
    for (const auto& [page, count] : runs) {
        for (const auto& piece : pieces_of(page, count)) {
            give_back_extent(guard, nullptr, piece.first);
            guard.commit();
        }
    }
    CHECK(broken_map(s) == "");
}

TEST_CASE("a run is put back when the guard goes without a commit") {
    const cairn::manager m(cairn::segment_options{.max_size = 256 << 20, .initial_size = 1 << 20});
    segment& s = inside_of(m);
    const std::uint64_t free_pages = s.control().free_pages;
    {
        segment_guard guard(s);
        reserve_run(guard, 37);
        static_cast<void>(take_run(guard, nullptr, 37, extent_purpose::large));
        CHECK_FALSE(guard.is_clean());
        CHECK(s.control().free_pages == free_pages - 37);
    }
    CHECK(s.control().free_pages == free_pages);
    CHECK(broken_map(s) == "");
}

TEST_CASE("growth hands out whole new extents and never moves what is there") {
    const cairn::manager m(cairn::segment_options{.max_size = 256 << 20, .initial_size = 200'000});
    segment& s = inside_of(m);
    std::byte* const base = s.base();
    for (std::uint32_t count = 1; count < 9000; count = count * 2 + 1) {
        segment_guard guard(s);
        reserve_run(guard, count);
        const std::uint32_t page = take_run(guard, nullptr, count, extent_purpose::large);
        guard.commit();
        // Backed: a touch of every page is no SIGBUS.
        for (std::uint32_t i = 0; i < count; ++i) *(s.base() + s.page_offset(page + i)) = std::byte{1};
        CHECK(broken_map(s) == "");
    }
    CHECK(s.base() == base);
}

TEST_CASE("what does not fit is segment_full, which names the segment and says what to do") {
    const cairn::manager m(cairn::segment_options{.max_size = 4 << 20});
    segment& s = inside_of(m);
    const std::string text = thrown_by<cairn::segment_full>([&] {
        segment_guard guard(s);
        reserve_run(guard, 2000);
    });
    CHECK(contains(text, "grow anonymous segment '"));
    CHECK(contains(text, "larger max_size"));
    CHECK(broken_map(s) == "");
    // The last page can still be had.
    segment_guard guard(s);
    const std::uint32_t rest = s.header().page_limit - s.committed_pages();
    reserve_run(guard, rest);
    CHECK_THROWS_AS(reserve_run(guard, 1u << 27), cairn::segment_full);
    CHECK_THROWS_AS(reserve_run(guard, 0xffffffff), cairn::segment_full);
}

TEST_CASE("all pages of a segment can be used, one by one") {
    const cairn::manager m(cairn::segment_options{.max_size = 1 << 20, .initial_size = 200'000});
    segment& s = inside_of(m);
    segment_guard guard(s);
    std::uint32_t taken = 0;
    try {
        for (;; ++taken) {
            reserve_run(guard, 1);
            static_cast<void>(take_run(guard, nullptr, 1, extent_purpose::large));
            guard.commit();
        }
    } catch (const cairn::segment_full&) {}
    CHECK(s.control().free_pages == 0);
    CHECK(s.committed_pages() == s.header().page_limit);
    CHECK(taken > 100);
    CHECK(broken_map(s) == "");
}

TEST_CASE("runs of any length fill a segment nearly whole") {
    // Buddies alone would give eight pages for five: 62 %.
    for (const std::uint32_t length : {3U, 5U, 9U, 33U, 65U}) {
        const cairn::manager m(cairn::segment_options{.max_size = 16 << 20});
        segment& s = inside_of(m);
        segment_guard guard(s);
        std::uint32_t pages = 0;
        try {
            for (;; pages += length) {
                reserve_run(guard, length);
                static_cast<void>(take_run(guard, nullptr, length, extent_purpose::large));
                guard.commit();
            }
        } catch (const cairn::segment_full&) {}
        CHECK(broken_map(s) == "");
        CHECK_MESSAGE(100 * pages > 94 * s.header().page_limit, length, " pages each: ", pages, " of ",
                      s.header().page_limit);
    }
}

TEST_CASE("a full segment still has the runs that lie across its extents") {
    const cairn::manager m(cairn::segment_options{.max_size = 8 << 20});
    segment& s = inside_of(m);
    segment_guard guard(s);
    std::vector<std::uint32_t> all;
    try {
        for (;;) {
            reserve_run(guard, 1);
            all.push_back(take_run(guard, nullptr, 1, extent_purpose::large));
            guard.commit();
        }
    } catch (const cairn::segment_full&) {}
    std::sort(all.begin(), all.end());
    // Six pages that no extent of four lies in: an odd page, a pair, a pair, a page.
    std::uint32_t first = all[all.size() / 2] / 8 * 8 + 1;
    for (const std::uint32_t page : {first, first + 1, first + 2}) {
        give_back_extent(guard, nullptr, page);
        guard.commit();
    }
    CHECK_THROWS_AS(reserve_run(guard, 4), cairn::segment_full);
    reserve_run(guard, 3);
    CHECK(take_run(guard, nullptr, 3, extent_purpose::large) == first);
    guard.commit();
    CHECK(broken_map(s) == "");
    CHECK_THROWS_AS(reserve_run(guard, 1), cairn::segment_full);
    // Four of them, where one extent would be two: only what need not be aligned gets them.
    first += 5;
    for (std::uint32_t page = first; page < first + 4; ++page) {
        give_back_extent(guard, nullptr, page);
        guard.commit();
    }
    CHECK_THROWS_AS(reserve_run(guard, 4, 4), cairn::segment_full);
    reserve_run(guard, 4);
    CHECK(take_run(guard, nullptr, 4, extent_purpose::large) == first);
    guard.commit();
    CHECK(broken_map(s) == "");
}

TEST_CASE("a walk over all pages comes upon each once, also when it begins inside an extent") {
    const cairn::manager m(cairn::segment_options{.max_size = 8 << 20});
    segment& s = inside_of(m);
    segment_guard guard(s);
    reserve_run(guard, 37);
    const std::uint32_t page = take_run(guard, nullptr, 37, extent_purpose::large);
    guard.commit();
    for (const std::uint32_t from : {0U, page + 5, page + 36, page + 37}) {
        std::uint64_t free = 0;
        std::uint32_t at = from;
        while (at < s.committed_pages()) {
            const page_stretch found = stretch_at(s, at);
            REQUIRE(found.count > 0);
            if (at >= page && at < page + 37) CHECK_FALSE(found.are_free);
            if (found.are_free) free += found.count;
            at += found.count;
        }
        CHECK(at == s.committed_pages());
        if (from == 0) CHECK(free == s.control().free_pages);
    }
}

TEST_CASE("a page of another owner cannot be given back") {
    const cairn::manager m;
    segment& s = inside_of(m);
    segment_guard guard(s);
    reserve_run(guard, 1);
    const std::uint32_t page = take_run(guard, nullptr, 1, extent_purpose::large);
    guard.commit();
    CHECK_THROWS_AS(give_back_extent(guard, &s.slot(0), page), cairn::corrupt_segment);
    CHECK_THROWS_AS(give_back_extent(guard, nullptr, s.committed_pages()), cairn::corrupt_segment);
    give_back_extent(guard, nullptr, page);
    guard.commit();
    CHECK_THROWS_AS(give_back_extent(guard, nullptr, page), cairn::corrupt_segment);
}

}  // namespace extents_test
