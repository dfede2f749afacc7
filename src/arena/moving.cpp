// SPDX-License-Identifier: BSL-1.0
#include "arena/moving.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "segment/extents.hpp"
#include "segment/segment_guard.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint32_t most_stretches_looked_at = 4096;  // under one hold of the segment's lock: some 100 us
// A run is put together inside so many times its pages, and the blocks of these go elsewhere. A narrow window (6 was tried) finds no way in
// segments of few large blocks.
constexpr std::uint64_t widest_window = 1000;
constexpr std::uint64_t most_plan_looks = 1 << 20;  // some 20 ms
constexpr std::uint64_t looks_worth_a_page = 50;    // to copy it takes some 1 us

// A free stretch.
struct hole {
    std::uint32_t count;
    std::uint32_t page;
    std::size_t stretch;
};

// Which holes a way has filled, of all ways one after the other: by stretch, the number of the last way that did.
class filled_holes {
public:
    explicit filled_holes(std::size_t stretch_count) : ways_(stretch_count) {}
    void begin_way() noexcept { ++way_; }
    [[nodiscard]] bool contains(std::size_t stretch) const noexcept { return ways_[stretch] == way_; }
    void insert(std::size_t stretch) noexcept { ways_[stretch] = way_; }

private:
    std::vector<std::uint32_t> ways_;
    std::uint32_t way_ = 0;
};

// The smallest first, so that the one is found that a block fits in best.
std::vector<hole> holes_of(const page_picture& picture) {
    std::vector<hole> holes;
    for (std::size_t i = 0; i < picture.stretches.size(); ++i) {
        const page_picture::stretch& at = picture.stretches[i];
        if (at.is == page_picture::use::free) holes.push_back({at.count, at.page, i});
    }
    std::sort(holes.begin(), holes.end(), [](const hole& a, const hole& b) {
        return a.count != b.count ? a.count < b.count : a.page < b.page;
    });
    return holes;
}

// One way to put a run together, from a free stretch to the right: the hole [at, at + free) takes in what is free behind it, and
// passes each block, which goes to a hole elsewhere, or to the left end of this one.
class gathering {
public:
    gathering(const page_picture& picture, const std::vector<hole>& holes, filled_holes& filled,
              std::size_t first, std::uint32_t pages, bool slides_first, std::uint64_t& looks_left)
        : picture_(picture), holes_(holes), filled_(filled), first_(first), pages_(pages),
          slides_first_(slides_first), looks_left_(looks_left) {
        filled_.begin_way();
    }

    // False where that is no way, or costs as much as the best one.
    bool run(std::uint64_t best_cost) {
        const auto& stretches = picture_.stretches;
        window_end_ = stretches[first_].page + widest_window * pages_;
        at_ = stretches[first_].page;
        free_ = stretches[first_].count;
        for (std::size_t i = first_ + 1; free_ < pages_; ++i) {
            if (i == stretches.size() || !look()) return false;
            const page_picture::stretch& next = stretches[i];
            if (next.is == page_picture::use::fixed || std::uint64_t{next.page} + next.count > window_end_)
                return false;
            if (next.is == page_picture::use::free) {
                free_ += next.count;
                continue;
            }
            cost_ += next.count;
            if (cost_ >= best_cost ||
                !(slides_first_ ? slide(next) || send_away(next) : send_away(next) || slide(next)))
                return false;
        }
        return true;
    }

    [[nodiscard]] std::uint64_t cost() const noexcept { return cost_; }
    [[nodiscard]] std::vector<block_move> take_moves() noexcept { return std::move(moves_); }

private:
    bool look() noexcept { return looks_left_ != 0 && looks_left_-- != 0; }

    bool slide(const page_picture::stretch& block) {
        if (block.count > free_) return false;  // it would overlap itself
        moves_.push_back({{block.page, block.count, block.place}, at_});
        at_ += block.count;
        return true;
    }

    bool send_away(const page_picture::stretch& block) {
        auto to = std::lower_bound(holes_.begin(), holes_.end(), block.count,
                                   [](const hole& h, std::uint32_t count) { return h.count < count; });
        for (; to != holes_.end() && look(); ++to) {
            const bool is_in_window = to->stretch >= first_ && to->page < window_end_;
            if (is_in_window || filled_.contains(to->stretch)) continue;
            filled_.insert(to->stretch);
            moves_.push_back({{block.page, block.count, block.place}, to->page});
            free_ += block.count;
            return true;
        }
        return false;
    }

    const page_picture& picture_;
    const std::vector<hole>& holes_;
    filled_holes& filled_;
    std::size_t first_;
    std::uint32_t pages_;
    bool slides_first_;
    std::uint64_t& looks_left_;
    std::uint64_t window_end_ = 0;
    std::uint32_t at_ = 0;
    std::uint32_t free_ = 0;
    std::uint64_t cost_ = 0;
    std::vector<block_move> moves_;
};

struct plan {
    std::uint64_t cost = std::numeric_limits<std::uint64_t>::max();
    std::vector<block_move> moves;
};

// Whether there is a better one. Once there is one, the search for one still better costs no more than to carry it out.
bool find_plan(const page_picture& picture, std::uint32_t pages, std::uint64_t& looks_left, plan& best) {
    const std::vector<hole> holes = holes_of(picture);
    filled_holes filled(picture.stretches.size());
    std::uint64_t left = looks_left - std::min<std::uint64_t>(looks_left, picture.stretches.size());
    std::uint64_t not_for_this = 0;
    const auto save_looks = [&] {
        if (best.moves.empty() || left <= best.cost * looks_worth_a_page) return;
        not_for_this += left - best.cost * looks_worth_a_page;
        left = best.cost * looks_worth_a_page;
    };
    save_looks();
    bool is_better = false;
    // Large holes first: they have the least to take in, and what is found then ends the other attempts soon.
    for (auto first = holes.rbegin(); first != holes.rend() && left != 0; ++first) {
        for (const bool slides_first : {false, true}) {
            gathering way(picture, holes, filled, first->stretch, pages, slides_first, left);
            if (!way.run(best.cost)) continue;
            best = {way.cost(), way.take_moves()};
            is_better = true;
            save_looks();
        }
    }
    looks_left = left + not_for_this;
    return is_better;
}

std::uint32_t end_of(const page_picture& picture) noexcept {
    if (picture.stretches.empty()) return 0;
    return picture.stretches.back().page + picture.stretches.back().count;
}

page_picture mirror_of(const page_picture& picture) {
    page_picture mirror;
    const std::uint32_t end = end_of(picture);
    for (auto each = picture.stretches.rbegin(); each != picture.stretches.rend(); ++each)
        mirror.add(end - each->page - each->count, each->count, each->is, each->place);
    return mirror;
}

}  // namespace

void page_picture::add(std::uint32_t page, std::uint32_t count, use is, std::uint64_t place) {
    if (count == 0) return;
    if (is != use::movable && !stretches.empty() && stretches.back().is == is)
        stretches.back().count += count;
    else stretches.push_back({page, count, is, place});
}

page_picture picture_of(segment& s, const std::vector<movable_block>& blocks) {
    page_picture picture;
    std::uint32_t page = 0;
    auto block = blocks.begin();
    for (bool is_done = false; !is_done;) {
        const segment_guard guard(s);
        const std::uint32_t end = s.committed_pages();
        for (std::uint32_t looks = most_stretches_looked_at; looks != 0 && page < end; --looks) {
            if (block != blocks.end() && block->page < page)
                throw_corrupt(s, "two blocks of an object overlap");
            if (block != blocks.end() && block->page == page) {
                picture.add(page, block->count, page_picture::use::movable, block->place);
                page += block->count;
                ++block;
                continue;
            }
            const page_stretch found = stretch_at(s, page);
            // A block begins an extent, so that what lies before it ends there, unless the map is damaged.
            const std::uint32_t most = block != blocks.end() ? block->page - page : end - page;
            const std::uint32_t count = std::min(found.count, most);
            picture.add(page, count, found.are_free ? page_picture::use::free : page_picture::use::fixed);
            page += count;
        }
        is_done = page >= end;
    }
    return picture;
}

std::uint32_t longest_free_run(const page_picture& picture) noexcept {
    std::uint32_t longest = 0;
    for (const page_picture::stretch& each : picture.stretches)
        if (each.is == page_picture::use::free) longest = std::max(longest, each.count);
    return longest;
}

std::vector<block_move> plan_moves(const page_picture& picture, std::uint32_t pages,
                                   std::uint64_t& looks_left) {
    const std::uint64_t most = std::min(looks_left, most_plan_looks);
    std::uint64_t left = most / 2;
    plan best;
    find_plan(picture, pages, left, best);
    // Seen in a mirror, holes take in what lies to their left.
    const page_picture reversed = mirror_of(picture);
    left += most - most / 2;
    if (find_plan(reversed, pages, left, best)) {
        const std::uint32_t end = end_of(picture);
        for (block_move& move : best.moves) {
            move.block.page = end - move.block.page - move.block.count;
            move.to = end - move.to - move.block.count;
        }
    }
    looks_left -= most - left;
    return std::move(best.moves);
}

}  // namespace cairn::inline CAIRN_ABI::detail
