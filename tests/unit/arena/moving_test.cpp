// moving_test.cpp - plans to move blocks, carried out on a picture of the pages: nothing overlaps, and a run is there afterwards.
// SPDX-License-Identifier: BSL-1.0
#include "arena/moving.hpp"

#include <algorithm>
#include <random>
#include <vector>

#include <doctest/doctest.h>

#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace moving_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

using use = page_picture::use;

// One entry for each page: the block it belongs to, or one of these.
constexpr long free_page = -1;
constexpr long fixed_page = -2;

std::vector<long> pages_of(const page_picture& picture) {
    std::vector<long> pages;
    for (const page_picture::stretch& each : picture.stretches) {
        REQUIRE(each.page == pages.size());
        const long value = each.is == use::free    ? free_page
                           : each.is == use::fixed ? fixed_page
                                                   : static_cast<long>(each.place);
        pages.insert(pages.end(), each.count, value);
    }
    return pages;
}

void carry_out(std::vector<long>& pages, const block_move& move) {
    const auto [page, count, place] = move.block;
    for (std::uint32_t i = 0; i < count; ++i) {
        REQUIRE(pages.at(page + i) == static_cast<long>(place));
        REQUIRE(pages.at(move.to + i) == free_page);
    }
    for (std::uint32_t i = 0; i < count; ++i) pages[move.to + i] = static_cast<long>(place);
    for (std::uint32_t i = 0; i < count; ++i) pages[page + i] = free_page;
}

std::vector<block_move> plan(const page_picture& picture, std::uint32_t pages) {
    std::uint64_t looks = 1 << 20;
    return plan_moves(picture, pages, looks);
}

std::uint32_t longest_run(const std::vector<long>& pages) {
    std::uint32_t longest = 0;
    std::uint32_t run = 0;
    for (const long page : pages) {
        run = page == free_page ? run + 1 : 0;
        longest = std::max(longest, run);
    }
    return longest;
}

}  // namespace

TEST_CASE("a plan makes the run that it promises, whatever lies where") {
    std::mt19937 random(20'261'130);
    int plans = 0;
    for (int round = 0; round < static_cast<int>(scaled(2000)); ++round) {
        page_picture picture;
        std::uint32_t page = 0;
        std::uint32_t free = 0;
        for (int i = 0; i < 60; ++i) {
            const auto count = static_cast<std::uint32_t>(1 + random() % 20);
            const auto kind = random() % 20;
            const use is = kind == 0 ? use::fixed : kind < 8 ? use::free : use::movable;
            picture.add(page, count, is, static_cast<std::uint64_t>(i));
            page += count;
            if (is == use::free) free += count;
        }
        const auto wanted = static_cast<std::uint32_t>(1 + random() % 80);
        std::vector<long> pages = pages_of(picture);
        CHECK(longest_free_run(picture) == longest_run(pages));
        if (longest_run(pages) >= wanted) continue;
        const std::vector<block_move> moves = plan(picture, wanted);
        if (moves.empty()) continue;
        ++plans;
        CHECK(wanted <= free);
        for (const block_move& move : moves) carry_out(pages, move);
        CHECK(longest_run(pages) >= wanted);
    }
    CHECK(plans > 0);
}

TEST_CASE("a block that fits nowhere else moves to the other end of the hole beside it") {
    page_picture picture;
    picture.add(0, 5, use::free);
    picture.add(5, 4, use::movable, 1);
    picture.add(9, 3, use::free);
    picture.add(12, 4, use::fixed);
    const std::vector<block_move> moves = plan(picture, 8);
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].block.page == 5);
    CHECK(moves[0].to == 0);
    CHECK(plan(picture, 9).empty());
    // And the other way round.
    page_picture mirror;
    mirror.add(0, 3, use::free);
    mirror.add(3, 4, use::movable, 1);
    mirror.add(7, 5, use::free);
    const std::vector<block_move> back = plan(mirror, 8);
    REQUIRE(back.size() == 1);
    CHECK(back[0].block.page == 3);
    CHECK(back[0].to == 8);
}

TEST_CASE("the cheapest of several ways is taken") {
    page_picture picture;
    picture.add(0, 6, use::free);
    picture.add(6, 5, use::movable, 1);
    picture.add(11, 4, use::free);
    picture.add(15, 1, use::movable, 2);
    picture.add(16, 6, use::free);
    picture.add(22, 1, use::fixed);
    const std::vector<block_move> moves = plan(picture, 10);
    REQUIRE(moves.size() == 1);
    CHECK(moves[0].block.place == 2);
}

TEST_CASE("a plan costs no more looks than it is given, and says how many") {
    page_picture picture;
    std::uint32_t page = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
        picture.add(page, 3, use::free);
        picture.add(page + 3, 4, use::movable, i);
        page += 7;
    }
    for (const std::uint64_t given : {std::uint64_t{0}, std::uint64_t{1000}, std::uint64_t{1} << 24}) {
        std::uint64_t left = given;
        CHECK(plan_moves(picture, 6, left).empty());
        CHECK(left <= given);
        CHECK(given - left <= 1 << 20);
        if (given == 1000) CHECK(left == 0);
    }
}

TEST_CASE("the picture of a segment has every page once, and free ones as many as there are") {
    const cairn::manager m({.max_size = 4 << 20});
    const opened_list<std::string> l(m.list<std::string>("l"));
    for (int i = 0; i < 40; ++i) l.push_back(std::string(20'000, 'x'));
    for (std::size_t i = 0; i < 40; i += 3) l.set(i, "");
    const page_picture picture = picture_of(l.in(), {});
    std::uint32_t page = 0;
    std::uint64_t free = 0;
    for (const page_picture::stretch& each : picture.stretches) {
        REQUIRE(each.page == page);
        page += each.count;
        if (each.is == use::free) free += each.count;
    }
    CHECK(page == l.in().committed_pages());
    CHECK(free == l.in().control().free_pages);
    const std::uint32_t inside = picture.stretches.front().page;
    CHECK_THROWS_AS(picture_of(l.in(), {{inside, 3, 0}, {inside + 1, 3, 1}}), cairn::corrupt_segment);
}

}  // namespace moving_test
