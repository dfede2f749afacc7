#include "txn/removal.hpp"

#include "segment/directory.hpp"
#include "txn/root_pin.hpp"
#include <cairn/detail/txn/events.hpp>
#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/error.hpp>

namespace cairn::inline v0::detail {

namespace {

// A root that nobody can lock any more as a live one: only its memory is left to give back.
bool remove_poisoned(segment& s, root_slot& slot, std::uint64_t generation) {
    wait_for_pins(s, slot);  // its version is odd, and stays so
    segment_guard guard(s);
    if (slot.generation != generation || slot.state != static_cast<std::uint32_t>(root_state::poisoned))
        return false;
    erase_root(guard, slot);
    // Odd since its last owner died; nobody holds its lock, who would make it even. A death before this costs the next
    // object here its reads without the lock, until its first change.
    if (const std::uint64_t version = load_word(slot.version); version % 2 != 0)
        __atomic_store_n(&slot.version, version + 1, __ATOMIC_RELEASE);  // release: as a writer's end
    return true;
}

}  // namespace

bool remove_root(segment& s, std::string_view name) {
    root_slot* slot = nullptr;
    std::uint64_t generation = 0;
    for (;;) {
        {
            segment_guard guard(s);
            const root_slot* before = slot;
            slot = find_root(guard, name);
            if (slot == nullptr) return false;
            // Generations only grow, so the one that was gone cannot be back: it is in the directory and not alive.
            if (slot == before && slot->generation == generation)
                throw_corrupt(s, "an object of its directory does not exist");
            generation = slot->generation;
        }
        try {
            root_transaction tx(s, *slot, generation);
            tx.begin_change();
            // Its memory goes: nobody may be in it without the lock.
            wait_for_pins(s, *slot);
            {
                segment_guard guard(s);
                erase_root(guard, *slot);
            }
            // Whoever sleeps on the object looks again, and finds it gone.
            for (std::uint32_t event = 0; event < event_count_slots; ++event) wake_all(tx, event);
            return true;
        } catch (const object_gone&) {
            // Somebody else removed it between the two locks; there may be a new one of that name.
        } catch (const object_poisoned&) {
            if (remove_poisoned(s, *slot, generation)) return true;
        }
    }
}

}  // namespace cairn::inline v0::detail
