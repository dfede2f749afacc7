// check_directory.cpp - control blocks and the names that lead to them.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <vector>

#include "base/names.hpp"
#include "inspect/parts.hpp"
#include "inspect/roots.hpp"
#include "inspect/structure.hpp"
#include "segment/directory.hpp"
#include "segment/name_table.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail::inspecting {

namespace {

std::string control_block(std::uint32_t link) {
    return "control block " + std::to_string(link - 1) + ": ";
}

// All control blocks by their chain; `is_known` says which links are in it.
std::vector<std::uint32_t> walk_slots(const segment& s, std::vector<bool>& is_known, problem_list& problems) {
    std::vector<std::uint32_t> links;
    const segment_control& control = s.control();
    is_known.assign((s.committed_bytes() - s.data_offset()) / root_slot_bytes + 1, false);
    for (std::uint32_t link = control.first_slot; link != 0;) {
        const root_slot* slot = slot_of(s, link);
        if (slot == nullptr || is_known[link]) {
            problems.add("segment: the chain of control blocks leads outside, or has no end");
            break;
        }
        if (slot_if_any(s, link) == nullptr)
            problems.add(control_block(link) + "lies in no extent of control blocks");
        is_known[link] = true;
        links.push_back(link);
        link = slot->next_slot;
    }
    if (links.size() != control.slot_count) {
        problems.add("segment: it counts " + std::to_string(control.slot_count) +
                     " control blocks, their chain has " + std::to_string(links.size()));
    }
    return links;
}

void check_free_slots(const segment& s, const std::vector<std::uint32_t>& links,
                      const std::vector<bool>& is_known, problem_list& problems) {
    std::vector<bool> is_in_list(is_known.size());
    for (std::uint32_t link = s.control().first_free_slot; link != 0;) {
        if (link >= is_known.size() || !is_known[link] || is_in_list[link]) {
            problems.add("segment: the chain of free control blocks leads to none, or has no end");
            return;
        }
        is_in_list[link] = true;
        link = slot_of(s, link)->next_free_slot;
    }
    std::vector<bool> is_in_pending(is_known.size());
    for (const std::uint32_t first : {s.control().pending_slot, s.control().building_slot}) {
        for (std::uint32_t link = first;
             link != 0 && link < is_known.size() && is_known[link] && !is_in_pending[link];) {
            is_in_pending[link] = true;
            link = slot_of(s, link)->next_free_slot;
        }
    }
    for (const std::uint32_t link : links) {
        const root_slot& slot = *slot_of(s, link);
        const bool is_free = slot.state == static_cast<std::uint32_t>(root_state::free);
        if (is_free != is_in_list[link])
            problems.add(control_block(link) + (is_free ? "is free, and yet not in the chain of free ones"
                                                        : "is in use, and yet in the chain of free ones"));
        if (is_free && slot.extents != 0) problems.add(control_block(link) + "is free, and yet has extents");
        if (slot.state > static_cast<std::uint32_t>(root_state::poisoned))
            problems.add(control_block(link) + "is in no known state");
        const bool is_pending = slot.state == static_cast<std::uint32_t>(root_state::building) ||
                                slot.state == static_cast<std::uint32_t>(root_state::erasing);
        if (is_pending && !is_in_pending[link])
            problems.add(control_block(link) + "was left while it was made or removed");
        if (slot.generation > s.control().last_generation)
            problems.add(control_block(link) + "has a generation that was never given out");
    }
}

// That there is one where buckets of it are in use, and that its extent is one. Throws corrupt_segment.
void check_level(const segment& s, std::uint32_t level, std::uint32_t buckets, problem_list& problems) {
    const std::uint32_t first = name_bucket_count << level;
    const bool is_used = buckets > first;
    const std::uint32_t link = s.control().name_levels[level];
    if (link == 0 && !is_used) return;
    static_cast<void>(bucket_at(s, first));
    const auto order =
        static_cast<std::uint32_t>(std::countr_zero(first * sizeof(std::uint32_t) / page_bytes));
    const page_entry& entry = s.page(link - 1);
    if (entry.tag != make_tag(order, extent_state::used, extent_purpose::names) || entry.owner != 0)
        problems.add("segment: a level of its table of names lies in something else");
}

void check_names(const segment& s, const std::vector<std::uint32_t>& links, const std::vector<bool>& is_known,
                 problem_list& problems) {
    std::vector<bool> is_named(is_known.size());
    std::uint32_t buckets = 0;
    try {
        buckets = bucket_count(s);
        for (std::uint32_t level = 0; level < name_level_count; ++level)
            check_level(s, level, buckets, problems);
        if (buckets > name_bucket_count) static_cast<void>(bucket_at(s, buckets - 1));
    } catch (const corrupt_segment&) {
        problems.add("segment: its table of names makes no sense");
        return;
    }
    for (std::uint32_t bucket = 0; bucket < buckets && !problems.is_full(); ++bucket) {
        for (std::uint32_t link = bucket_at(s, bucket); link != 0;) {
            if (link >= is_known.size() || !is_known[link] || is_named[link]) {
                problems.add("segment: a chain of names leads to no object, or has no end");
                break;
            }
            is_named[link] = true;
            const root_slot& slot = *slot_of(s, link);
            const bool is_sane = slot.name_bytes != 0 && slot.name_bytes <= max_object_name_bytes;
            const std::string_view name(slot.name, is_sane ? slot.name_bytes : 0);
            if (!is_visible(slot)) {
                problems.add(control_block(link) + "has a name, and yet no object lives there");
            } else if (!is_sane || !object_name_problem(name).empty()) {
                problems.add(control_block(link) + "has a name that cannot be one");
            } else if (slot.name_hash != hash_name(s, name) ||
                       bucket_number(slot.name_hash, buckets) != bucket) {
                problems.add(describe_visible(slot) + ": its name does not lead to it");
            }
            link = slot.next_in_bucket;
        }
    }
    std::vector<std::string> names;
    for (const std::uint32_t link : links) {
        const root_slot& slot = *slot_of(s, link);
        if (!is_visible(slot)) continue;
        if (slot.part_of != 0) {
            const root_slot* whole = slot_of(s, slot.part_of);
            if (is_named[link]) problems.add(describe_visible(slot) + ": a chain of names leads to it");
            if (whole == nullptr || !is_visible(*whole) || !has_parts(*whole) ||
                whole->generation != slot.generation)
                problems.add(describe_visible(slot) + ": there is no such object");
            continue;
        }
        names.push_back(name_of(slot));
        if (!is_named[link]) problems.add(describe_visible(slot) + ": no chain of names leads to it");
    }
    std::sort(names.begin(), names.end());
    if (const auto twin = std::adjacent_find(names.begin(), names.end()); twin != names.end())
        problems.add("segment: two objects are called '" + *twin + "'");
    if (names.size() != s.control().live_root_count) {
        problems.add("segment: it counts " + std::to_string(s.control().live_root_count) +
                     " objects, there are " + std::to_string(names.size()));
    }
}

}  // namespace

root_slot* slot_of(const segment& s, std::uint32_t link) noexcept {
    const std::uint64_t end = (s.committed_bytes() - s.data_offset()) / root_slot_bytes;
    return link == 0 || link > end ? nullptr : &s.slot(link - 1);
}

std::string describe_visible(const root_slot& slot) {
    if (slot.part_of != 0) return "shard of sharded_dict '" + name_of(slot) + "'";
    return std::string(kind_name(static_cast<object_kind>(slot.kind))) + " '" + name_of(slot) + "'";
}

void check_directory(const segment& s, problem_list& problems) {
    const segment_control& control = s.control();
    const lock_word lock = inspect(control.lock);
    if (lock.owner_died || lock.thread_id != 0) problems.add("segment: its lock is not free");
    if (control.log_bytes != 0) problems.add("segment: its undo log is not empty");
    if (control.pending_slot != 0) problems.add("segment: an object is still being made or removed");
    if (control.committed_bytes < s.data_offset()) return;
    std::vector<bool> is_known;
    const std::vector<std::uint32_t> links = walk_slots(s, is_known, problems);
    check_free_slots(s, links, is_known, problems);
    check_names(s, links, is_known, problems);
    const auto* participants = s.at<participant_slot>(s.header().participants_offset);
    for (std::uint32_t i = 0; i < s.header().participant_count; ++i) {
        if (participants[i].number > control.last_participant)
            problems.add("participant " + std::to_string(i) + ": its number was never given out");
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::inspecting
