// SPDX-License-Identifier: BSL-1.0
#include "support/storm/aftermath.hpp"

#include "inspect/verify.hpp"
#include "segment/lifecycle.hpp"
#include "support/crash/segment_audit.hpp"
#include <cairn/detail/segment/segment.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

using cairn::detail::root_slot;
using cairn::detail::root_state;
using cairn::detail::segment;

constexpr std::size_t pages_of_an_empty_arena = 16 + 16;
constexpr std::uint32_t most_slot_pages =
    20;  // for two and a half dozen roots at once: more than any storm has

void require_sound(const segment& s, const char* when) {
    if (const std::string problem = audit_segment(s); !problem.empty())
        throw storm_failure(std::string(when) + ": " + problem);
    if (const auto problems = cairn::detail::verify_segment(s); !problems.empty())
        throw storm_failure(std::string(when) + ", verify_segment: " + problems.front());
}

// Who died with a lock, and had changed nothing, leaves its mark until the next one takes the lock. So does who gave up at its
// limit. Reading takes none.
void take_locks_of_the_dead(segment& s) {
    for (std::uint32_t link = s.control().first_slot; link != 0; link = s.slot(link - 1).next_slot) {
        root_slot& slot = s.slot(link - 1);
        const bool is_live = slot.state == static_cast<std::uint32_t>(root_state::live);
        if (!is_live || !cairn::detail::inspect(slot.lock).owner_died) continue;
        const cairn::detail::root_transaction repaired(s, slot, slot.generation);
    }
}

// Of the objects, which are removed after each round; the segment's own are counted for all its life.
void count_recoveries(const segment& s, storm_tally& tally) {
    for (std::uint32_t link = s.control().first_slot; link != 0; link = s.slot(link - 1).next_slot) {
        const root_slot& slot = s.slot(link - 1);
        if (slot.state != static_cast<std::uint32_t>(root_state::live)) continue;
        tally.recoveries += slot.recovery_count;
        tally.rollbacks += slot.rolled_back_count;
    }
    tally.segment_recoveries = s.control().recovery_count;
}

// Of an object in parts, all of them.
std::size_t count_roots(const segment& s) {
    std::size_t count = 0;
    for (std::uint32_t link = s.control().first_slot; link != 0; link = s.slot(link - 1).next_slot)
        if (s.slot(link - 1).state == static_cast<std::uint32_t>(root_state::live)) ++count;
    return count;
}

// An empty arena keeps its young pages and one span (arena.hpp). Whatever is leaked once in a storm is leaked hundreds of
// times.
void require_little_memory(const segment& s, std::size_t roots) {
    const page_use kept = count_pages(s);
    if (kept.of_objects() > roots * pages_of_an_empty_arena)
        throw storm_failure("cleared objects keep " + std::to_string(kept.of_objects()) + " pages");
    if (kept.slots > most_slot_pages)
        throw storm_failure("control blocks take " + std::to_string(kept.slots) + " pages");
}

}  // namespace

void look_after_storm(const crew_plan& plan) {
    storm_tally& tally = plan.weather->tally;
    const cairn::detail::segment_ptr attached = attach_to_storm(plan);
    const segment& s = *attached;
    const cairn::manager m(attached);

    const auto objects = join_rows(*plan.rows, m);
    for (const auto& object : objects) object->touch();
    take_locks_of_the_dead(*attached);
    require_sound(s, "after the storm");
    count_recoveries(s, tally);

    const ledger noted(*plan.book);
    tally.operations += noted.operations();
    tally.refusals += noted.refusals();
    tally.in_flight += noted.in_flight();
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if (const std::string problem = objects[i]->problem(noted); !problem.empty())
            throw storm_failure((*plan.rows)[i].name + ": " + problem);
    }

    for (const auto& object : objects) object->clear();
    require_sound(s, "after clearing");
    require_little_memory(s, count_roots(s));
    for (const cairn::object_info& object : m.objects()) static_cast<void>(m.remove(object.name));
    require_sound(s, "after removing everything");
    if (const std::uint32_t left = count_pages(s).of_objects(); left != 0)
        throw storm_failure("leaked: " + std::to_string(left) + " pages belong to nobody");
    const std::uint32_t here = plan.inherited ? 2 : 1;  // this one, and the supervisor
    if (const std::uint32_t counted = m.stats().process_count; counted != here)
        throw storm_failure(std::to_string(counted) + " processes count as attached, expected " +
                            std::to_string(here));
}

}  // namespace cairn_test
