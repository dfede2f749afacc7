// SPDX-License-Identifier: BSL-1.0
#include "txn/removal.hpp"

#include <algorithm>
#include <optional>
#include <vector>

#include "os/room_for_locks.hpp"
#include "segment/directory.hpp"
#include "txn/root_pin.hpp"
#include <cairn/detail/txn/events.hpp>
#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

static_assert(most_parts + 3 <= most_held_locks,
              "the locks of an object in parts, its own, the segment's, and one");

// The roots of one object, as they were found in the directory.
struct doomed_object {
    root_slot* whole = nullptr;
    std::vector<root_slot*> parts;
    std::uint64_t generation = 0;
    std::vector<root_slot*> in_order;            // all of them, in the order in which they are locked
    std::vector<root_transaction*> locked = {};  // of these, in the same order
    std::vector<root_slot*> poisoned = {};       // and those that nobody can lock as a live one any more
};

std::optional<doomed_object> find_object(segment& s, std::string_view name, const doomed_object* before) {
    const segment_guard guard(s);
    root_slot* slot = find_root(guard, name);
    if (slot == nullptr) return std::nullopt;
    // Generations only grow, so the one that was gone cannot be back: it is in the directory and not alive.
    if (before != nullptr && before->whole == slot && before->generation == slot->generation)
        throw_corrupt(s, "an object of its directory does not exist");
    doomed_object found{slot, find_parts_by_chain(guard, *slot), slot->generation, {}};
    found.in_order = found.parts;
    found.in_order.push_back(slot);
    std::sort(found.in_order.begin(), found.in_order.end());
    return found;
}

// All locks are held, but those of the poisoned roots: of these only the memory is left to give back.
void erase(segment& s, const doomed_object& object) {
    segment_guard guard(s);
    for (const root_slot* each : object.poisoned) {
        if (each->generation != object.generation ||
            each->state != static_cast<std::uint32_t>(root_state::poisoned))
            throw object_gone("remove an object in " + describe_segment(s) +
                              ": somebody else has removed it");
    }
    erase_root(guard, *object.whole, object.parts);
    // Odd since the last owner died; nobody holds the lock, who would make it even. A death before this costs the next
    // object here its reads without the lock, until its first change.
    for (root_slot* each : object.poisoned) {
        if (const std::uint64_t version = load_word(each->version); version % 2 != 0)
            __atomic_store_n(&each->version, version + 1, __ATOMIC_RELEASE);  // release: as a writer's end
    }
}

// Its memory goes: nobody may be in it without a lock. Only now, since readers wait for odd versions: no wait for another
// lock comes behind it. The version of a poisoned root is odd, and stays so.
void send_everybody_out(segment& s, const doomed_object& object) {
    for (root_transaction* each : object.locked) each->begin_change();
    for (root_slot* each : object.in_order) wait_for_pins(s, *each);
}

// Locks the roots from `next` on, one inside the other, so that they are unlocked in the opposite order, and erases them.
void remove_from(segment& s, doomed_object& object, std::size_t next) {
    if (next == object.in_order.size()) {
        send_everybody_out(s, object);
        return erase(s, object);
    }
    root_slot& slot = *object.in_order[next];
    std::optional<root_transaction> tx;
    try {
        tx.emplace(s, slot, object.generation, object.locked.empty() ? nullptr : object.locked.back());
        object.locked.push_back(&*tx);
    } catch (const object_poisoned&) {
        object.poisoned.push_back(&slot);
    }
    remove_from(s, object, next + 1);
    if (!tx) return;
    // Whoever sleeps on the object looks again, and finds it gone.
    for (std::uint32_t event = 0; event < event_count_slots; ++event) wake_all(*tx, event);
}

}  // namespace

bool remove_root(segment& s, std::string_view name) {
    const room_for_locks room;
    std::optional<doomed_object> object;
    for (;;) {
        object = find_object(s, name, object ? &*object : nullptr);
        if (!object) return false;
        try {
            remove_from(s, *object, 0);
            return true;
        } catch (const object_gone&) {
            // Somebody else removed it between the two locks; there may be a new one of that name.
        }
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
