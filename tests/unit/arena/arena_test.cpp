// arena_test.cpp - blocks of a root against a model, with the audit after each step: nothing lost, nothing twice.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "arena/size_classes.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>

namespace arena_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

struct arena_bed {
    cairn::manager m;
    opened_list<char> root;
    std::map<segment_offset, std::uint64_t> blocks;  // what is allocated: offset -> bytes

    explicit arena_bed(const cairn::segment_options& options = {})
        : m(options), root(m.list<char>("arena")) {}

    [[nodiscard]] std::string audit() const {
        const root_slot& slot = root.slot();
        arena_audit audit(root.in(), slot);
        audit.reached(slot.type_name, slot.type_name_bytes + 1);
        if (std::string problem = check_list(root.in(), root.node_ref(), audit); !problem.empty())
            return problem;
        for (const auto& [block, bytes] : blocks) audit.reached(block, bytes);
        return audit.finish();
    }
    // Every block is filled with a byte of its own: two that overlap show.
    void fill(segment_offset block, std::uint64_t bytes) const {
        std::memset(root.in().at<char>(block), static_cast<int>(block / 16 % 251), bytes);
    }
    [[nodiscard]] bool is_intact(segment_offset block, std::uint64_t bytes) const {
        const auto* at = root.in().at<unsigned char>(block);
        for (std::uint64_t i = 0; i < bytes; ++i)
            if (at[i] != block / 16 % 251) return false;
        return true;
    }
};

std::uint64_t random_size(std::mt19937& random) {
    switch (random() % 8) {
        case 0: return 1 + random() % 16;
        case 1:
        case 2: return 1 + random() % 200;
        case 3:
        case 4: return 1 + random() % 1100;
        case 5: return 1 + random() % 9000;
        case 6: return 8100 + random() % 200;
        default: return random() % 20 == 0 ? 1 + random() % 3'000'000 : 1 + random() % 40'000;
    }
}

// A transaction of a few allocations and frees, kept or taken back.
void random_transaction(arena_bed& bed, std::mt19937& random) {
    std::map<segment_offset, std::uint64_t> after = bed.blocks;
    {
        root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
        tx.begin_change();
        const bool grow = bed.blocks.size() < 150 || random() % 2 == 0;
        for (std::uint64_t i = random() % 6; i > 0; --i) {  // allocate first, free last: the arena's rule
            if (!grow) break;
            const std::uint64_t bytes = random_size(random);
            const segment_offset block = allocate(tx, bytes);
            REQUIRE(block % 16 == 0);
            CAPTURE(block);
            CAPTURE(bytes);
            const auto next = after.lower_bound(block);
            const segment_offset next_block = next == after.end() ? 0 : next->first;
            const std::uint64_t next_bytes = next == after.end() ? 0 : next->second;
            CAPTURE(next_block);
            CAPTURE(next_bytes);
            REQUIRE((next == after.end() || block + bytes <= next->first));
            if (next != after.begin()) REQUIRE(std::prev(next)->first + std::prev(next)->second <= block);
            after[block] = bytes;
            bed.fill(block, bytes);
        }
        for (std::uint64_t i = random() % (grow ? 3 : 9); i > 0 && !bed.blocks.empty(); --i) {
            auto victim = bed.blocks.begin();
            std::advance(victim, static_cast<std::ptrdiff_t>(random() % bed.blocks.size()));
            if (after.erase(victim->first) == 0) continue;  // freed already in this transaction
            deallocate(tx, victim->first, victim->second);
        }
        if (random() % 4 == 0) after = bed.blocks;  // not committed: all as before
        else tx.commit();
    }
    bed.blocks = std::move(after);
}

}  // namespace

TEST_CASE("size classes cover every size with at most a fifth to spare") {
    for (std::uint64_t bytes = 1; bytes <= largest_small_bytes; ++bytes) {
        const std::uint32_t c = class_of(bytes);
        REQUIRE(c < small_class_count);
        REQUIRE(class_bytes(c) >= bytes);
        REQUIRE(class_bytes(c) % 16 == 0);
        if (c > 0) REQUIRE(class_bytes(c - 1) < bytes);
        if (bytes > 128) REQUIRE(class_bytes(c) - bytes < class_bytes(c) / 5 + 16);
        REQUIRE(block_bytes(bytes) == class_bytes(c));
    }
    for (std::uint64_t rest = 16; rest <= 4096; rest += 16) {
        const std::uint32_t c = largest_class_within(rest);
        REQUIRE(c < loose_class_count);
        REQUIRE(class_bytes(c) <= rest);
        if (c + 1 < loose_class_count) REQUIRE(class_bytes(c + 1) > rest);
    }
    CHECK(block_bytes(8193) == 3 * page_bytes);
}

TEST_CASE("random blocks are allocated, freed and rolled back without a byte lost") {
    arena_bed bed;
    const char* given = std::getenv("CAIRN_TEST_SEED");
    const auto seed = given == nullptr ? std::random_device{}() : static_cast<unsigned>(std::stoul(given));
    CAPTURE(seed);
    std::mt19937 random(seed);
    for (int step = 0; step < static_cast<int>(scaled(3000)); ++step) {
        CAPTURE(step);
        random_transaction(bed, random);
        REQUIRE(bed.audit() == "");
        if (step % 50 == 0) {
            for (const auto& [block, bytes] : bed.blocks) REQUIRE(bed.is_intact(block, bytes));
        }
    }
    // All freed: what is left is a few pages, whatever the history.
    root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
    tx.begin_change();
    for (const auto& [block, bytes] : bed.blocks) {
        deallocate(tx, block, bytes);
        tx.commit();
    }
    bed.blocks.clear();
    CHECK(bed.audit() == "");
    CHECK(bed.root.slot().extent_pages <= 16 + 16 * small_class_count);
}

TEST_CASE("a full segment refuses a block and takes the transaction back whole") {
    arena_bed bed(cairn::segment_options{.max_size = 600'000});
    std::size_t refusals = 0;
    std::mt19937 random(7);
    for (int step = 0; step < 400; ++step) {
        std::map<segment_offset, std::uint64_t> after = bed.blocks;
        try {
            root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
            tx.begin_change();
            for (int i = 0; i < 8; ++i) {
                const std::uint64_t bytes = 1 + random() % 20'000;
                after[allocate(tx, bytes)] = bytes;
            }
            tx.commit();
            bed.blocks = after;
        } catch (const cairn::segment_full&) {
            ++refusals;
            root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
            tx.begin_change();
            for (int i = 0; i < 12 && !bed.blocks.empty(); ++i) {
                auto victim = bed.blocks.begin();
                std::advance(victim, static_cast<std::ptrdiff_t>(random() % bed.blocks.size()));
                deallocate(tx, victim->first, victim->second);
                bed.blocks.erase(victim);
            }
            tx.commit();
        }
        REQUIRE(bed.audit() == "");
    }
    CHECK(refusals > 10);
}

TEST_CASE(
    "pages of small blocks go back, also those that were taken one by one, as there was no longer run") {
    arena_bed bed({.max_size = 4 << 20});
    const auto fill = [&](std::uint64_t bytes) {
        std::vector<segment_offset> added;
        try {
            for (;;) {
                root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
                const segment_offset block = allocate(tx, bytes);
                tx.commit();
                bed.blocks[block] = bytes;
                bed.fill(block, bytes);
                added.push_back(block);
            }
        } catch (const cairn::segment_full&) {}
        return added;
    };
    const auto free = [&](segment_offset block) {
        root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
        deallocate(tx, block, bed.blocks.at(block));
        tx.commit();
        bed.blocks.erase(block);
    };
    const std::vector<segment_offset> large = fill(3 * page_bytes);
    for (std::size_t i = 0; i < large.size(); i += 2) free(large[i]);
    const std::uint64_t pages = bed.root.slot().extent_pages;
    const std::uint64_t free_pages = bed.root.in().control().free_pages;
    const std::vector<segment_offset> small = fill(100);
    CHECK(small.size() > (free_pages - 1) * 36);
    CHECK(bed.audit() == "");
    for (const auto& [block, bytes] : bed.blocks) REQUIRE(bed.is_intact(block, bytes));
    std::mt19937 random(20'261'130);
    std::vector<segment_offset> in_any_order = small;
    std::shuffle(in_any_order.begin(), in_any_order.end(), random);
    for (const segment_offset block : in_any_order) free(block);
    CHECK(bed.audit() == "");
    CHECK(bed.root.slot().extent_pages <= pages + 65);  // young pages, which are kept, and one span
}

TEST_CASE("the audit sees a block that is lost, reached twice, or nobody's") {
    arena_bed bed;
    {
        root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
        tx.begin_change();
        for (const std::uint64_t bytes :
             {std::uint64_t{16}, std::uint64_t{500}, std::uint64_t{5000}, std::uint64_t{50000}})
            bed.blocks[allocate(tx, bytes)] = bytes;
        tx.commit();
    }
    REQUIRE(bed.audit() == "");
    const auto all = bed.blocks;
    for (const auto& [block, bytes] : all) {
        bed.blocks.erase(block);
        CHECK(bed.audit() != "");  // leaked
        bed.blocks = all;
        bed.blocks[block + 16] = 16;
        CHECK(bed.audit() != "");  // overlaps, or is nobody's
        bed.blocks = all;
    }
}

TEST_CASE("an offset that is no block is refused, not freed") {
    arena_bed bed;
    root_transaction tx(bed.root.in(), bed.root.slot(), bed.root.generation());
    tx.begin_change();
    CHECK_THROWS_AS(deallocate(tx, 0, 16), cairn::corrupt_segment);
    CHECK_THROWS_AS(deallocate(tx, 3, 16), cairn::corrupt_segment);
    CHECK_THROWS_AS(deallocate(tx, std::uint64_t{1} << 50, 16), cairn::corrupt_segment);
    CHECK_THROWS_AS(deallocate(tx, bed.root.in().page_offset(0), 20'000), cairn::corrupt_segment);
    CHECK_THROWS_AS(allocate(tx, std::uint64_t{1} << 60), cairn::error);
}

}  // namespace arena_test
