// structure.hpp - what must hold in a segment, part by part. For segments that stand still: images, and attached ones that
// nobody else uses.
//
// Every function may be given any bytes, as long as the committed bytes of the control block are really there.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <cairn/detail/containers/list_layout.hpp>
#include <cairn/detail/segment/segment.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

/// Problems found, each a sentence that names the thing. A damaged segment would have millions: the first ones say it.
class problem_list {
public:
    static constexpr std::size_t most = 100;

    void add(std::string problem) {
        ++count_;
        if (all_.size() < most) all_.push_back(std::move(problem));
        else if (all_.size() == most) all_.emplace_back("and more");
    }
    void add_if(std::string problem) {
        if (!problem.empty()) add(std::move(problem));
    }
    [[nodiscard]] bool is_full() const noexcept { return all_.size() > most; }
    /// Of all that were added, also where there was no place for them any more: whoever compares it before and after a check
    /// must not go on into what that check found damaged.
    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::vector<std::string>& all() noexcept { return all_; }

private:
    std::vector<std::string> all_;
    std::size_t count_ = 0;
};

/// The control block `link - 1`; null when it lies outside.
root_slot* slot_of(const segment& s, std::uint32_t link) noexcept;

/// "list 'results'", "shard of sharded_dict 'prices'"
std::string describe_visible(const root_slot& slot);

// Each returns the first thing that is wrong, or nothing.

/// The chain of a root's extents: used, owned by it, linked both ways, with an end; `settled` is in it.
std::string check_extent_chain(const segment& s, const root_slot& slot);
/// A list's node, as far as it can be judged alone: no loop over its elements will be endless.
std::string check_list_node(const segment& s, const list_node& node);
/// An unfinished stored operation can be carried to its end.
std::string check_operation(const segment& s, const root_slot& slot);

/// Every page is in one extent, every extent is free or owned, and each is in the list or chain that it belongs to.
void check_pages(const segment& s, problem_list& problems);
/// Control blocks, free ones, name buckets, counts, participants, the segment's own log.
void check_directory(const segment& s, problem_list& problems);
/// A visible root: log, version, type, arena, container. `deep`: every element is a value of its type.
/// Returns how many items it has.
std::uint64_t check_root(const segment& s, const root_slot& slot, bool deep, problem_list& problems);

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
