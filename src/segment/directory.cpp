// SPDX-License-Identifier: BSL-1.0
#include "segment/directory.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "base/hash.hpp"
#include "base/names.hpp"
#include "os/identity.hpp"
#include "segment/extents.hpp"
#include "segment/name_table.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint32_t slot_extent_pages = 4;
constexpr std::uint32_t slots_in_extent = slot_extent_pages * page_bytes / root_slot_bytes;

// A new extent of control blocks, linked in by the segment's log: until the commit they are unreachable.
void add_slots(segment_guard& guard) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    reserve_run(guard, slot_extent_pages);
    const std::uint32_t page = take_run(guard, nullptr, slot_extent_pages, extent_purpose::roots);
    zero_shared(s.at<std::byte>(s.page_offset(page)), slot_extent_pages * page_bytes);
    const std::uint32_t first = page * static_cast<std::uint32_t>(page_bytes / root_slot_bytes);
    for (std::uint32_t i = 0; i < slots_in_extent; ++i) {
        root_slot& slot = s.slot(first + i);
        initialize(slot.lock);
        const bool last = i + 1 == slots_in_extent;
        store_word(slot.next_slot, last ? control.first_slot : first + i + 2);
        store_word(slot.next_free_slot, last ? control.first_free_slot : first + i + 2);
    }
    guard.store(control.first_slot, first + 1);
    guard.store(control.first_free_slot, first + 1);
    guard.store(control.slot_count, control.slot_count + slots_in_extent);
    guard.commit();
}

// Everything but what only grows: lock, version, generation, event sequences, committed, statistics of the slot's lock.
void reset_for_new_root(root_slot& slot) {
    // Word by word, as everything that a stale handle may look at meanwhile.
    const auto clear = [](auto&... words) { (store_word(words, 0), ...); };
    clear(slot.log_head, slot.node, slot.extents, slot.settled, slot.pending_free, slot.rolling_back);
    clear(slot.part_of, slot.given_up);
    clear(slot.extent_pages, slot.contended_count);
    store_word(slot.acquired_before, acquired_count(slot.lock));
    clear(slot.outstanding, slot.decided_root, slot.decided_number, slot.once);
    clear(slot.type_name, slot.fingerprint, slot.type_name_bytes);
    clear(slot.recovery_count, slot.rolled_back_count, slot.last_recovery_nanoseconds);
    clear(slot.last_dead_thread, slot.last_operation, slot.last_undone_bytes, slot.poison_reason);
    zero_shared(&slot.operation, sizeof slot.operation);
    zero_shared(&slot.arena, sizeof slot.arena);
    zero_shared(slot.name, sizeof slot.name);
    for (stored_event_count& event : slot.events) store_word(event.waiters, 0);
}

// A slot in the chain of pending ones.
root_slot& take_slot(segment_guard& guard) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    if (control.first_free_slot == 0) add_slots(guard);
    const std::uint32_t link = control.first_free_slot;
    root_slot& slot = slot_at(s, link);
    // Also a lock that is none: nothing is created any more in a segment with such damage, until `shmctl rm`.
    if (slot.state != static_cast<std::uint32_t>(root_state::free) || !is_initialized(slot.lock))
        throw_corrupt(s, "a free control block is in use");
    // 1. Pending: from here on a death gives everything back.
    guard.store(control.first_free_slot, slot.next_free_slot);
    guard.store(slot.next_free_slot, control.pending_slot);
    guard.store(control.pending_slot, link);
    guard.store(slot.state, static_cast<std::uint32_t>(root_state::building));
    guard.store(slot.extents, 0);
    guard.commit();
    // 2. Nobody finds it yet, so nothing is logged until publish_root().
    reset_for_new_root(slot);
    return slot;
}

bool is_pending(const root_slot& slot) noexcept {
    return slot.state == static_cast<std::uint32_t>(root_state::building) ||
           slot.state == static_cast<std::uint32_t>(root_state::erasing);
}

// The roots of one object in the chain of entrusted ones: its parts, and then the one that they are parts of.
struct entrusted_roots {
    std::uint32_t* link = nullptr;  // that leads to the first
    root_slot* whole = nullptr;
};

// Those that `link` leads to.
entrusted_roots entrusted_at(segment& s, std::uint32_t& link) {
    root_slot* at = &slot_at(s, link);
    for (std::uint32_t parts = 0; at->part_of != 0; ++parts) {
        if (parts == most_parts || at->state != static_cast<std::uint32_t>(root_state::building))
            throw_corrupt(s, "an object that is being made makes no sense");
        at = &slot_at(s, at->next_free_slot);
    }
    if (at->state != static_cast<std::uint32_t>(root_state::building) || !is_initialized(at->lock))
        throw_corrupt(s, "an object that is being made makes no sense");
    return {&link, at};
}

void make_pending(segment_guard& guard, const entrusted_roots& roots) {
    guard.store(guard.control().pending_slot, *roots.link);
    guard.store(*roots.link, roots.whole->next_free_slot);
    guard.store(roots.whole->next_free_slot, 0);
    guard.commit();
}

bool is_there(const root_slot& slot) noexcept {
    const std::uint32_t state = load_word(slot.state);
    return state == static_cast<std::uint32_t>(root_state::live) ||
           state == static_cast<std::uint32_t>(root_state::poisoned);
}

}  // namespace

std::uint64_t hash_name(const segment& s, std::string_view name) noexcept {
    return hash_bytes(name.data(), name.size(), s.header().hash_seed);
}

std::uint32_t most_slots(const segment& s) noexcept {
    return static_cast<std::uint32_t>((s.committed_bytes() - s.data_offset()) / root_slot_bytes);
}

root_slot& slot_at(const segment& s, std::uint32_t link) {
    if (link == 0 || link > most_slots(s)) throw_corrupt(s, "a link of its directory leads outside");
    return s.slot(link - 1);
}

root_slot* slot_if_any(const segment& s, std::uint64_t link) noexcept {
    if (link == 0 || link > most_slots(s)) return nullptr;
    root_slot& slot = s.slot(static_cast<std::uint32_t>(link - 1));
    const std::uint32_t page = s.page_of(s.offset_of(&slot));
    for (std::uint32_t order = 0; order <= max_order; ++order) {
        const page_entry& entry = s.page(page >> order << order);
        if (load_word(entry.tag) == make_tag(order, extent_state::used, extent_purpose::roots))
            return load_word(entry.owner) == 0 ? &slot : nullptr;
    }
    return nullptr;
}

root_slot* find_root(const segment_guard& guard, std::string_view name) {
    segment& s = guard.in();
    const std::uint64_t hash = hash_name(s, name);
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = bucket_of(s, hash); link != 0;) {
        root_slot& slot = slot_at(s, link);
        if (slot.name_hash == hash && slot.name_bytes == name.size() &&
            slot.name_bytes <= max_object_name_bytes &&
            std::string_view(slot.name, slot.name_bytes) == name) {
            if (!is_initialized(slot.lock)) throw_corrupt(s, "the lock of an object is not a lock");
            return &slot;
        }
        if (steps-- == 0) throw_corrupt(s, "a chain of its directory has no end");
        link = slot.next_in_bucket;
    }
    return nullptr;
}

root_slot& begin_root(segment_guard& guard, std::string_view name, object_kind kind) {
    grow_name_table(guard);
    root_slot& slot = take_slot(guard);
    store_word(slot.kind, static_cast<std::uint32_t>(kind));
    store_word(slot.name_hash, hash_name(guard.in(), name));
    store_word(slot.name_bytes, static_cast<std::uint32_t>(name.size()));
    copy_in(slot.name, name.data(), name.size());
    store_word(slot.created_nanoseconds, os::now_since_epoch_nanoseconds());
    return slot;
}

root_slot& begin_part(segment_guard& guard, const root_slot& whole, object_kind kind) {
    root_slot& slot = take_slot(guard);
    store_word(slot.kind, static_cast<std::uint32_t>(kind));
    store_word(slot.part_of, guard.in().slot_number(whole) + 1);
    // For messages only: no chain of names leads here.
    store_word(slot.name_hash, whole.name_hash);
    store_word(slot.name_bytes, whole.name_bytes);
    copy_across(slot.name, whole.name, sizeof slot.name);
    store_word(slot.created_nanoseconds, whole.created_nanoseconds);
    return slot;
}

constinit std::uint64_t long_contents_bytes = 64 << 10;

bool entrust_root(segment_guard& guard, root_slot& whole) {
    segment_control& control = guard.control();
    CAIRN_CHECK(whole.next_free_slot == 0, "the root is the first that was begun");
    // Tried, not waited for: who has it may wait for the segment's.
    const int result = try_lock(whole.lock, guard.in().own_token());
    if (result != 0 && result != EOWNERDEAD) return false;
    say_holder(whole.lock, guard.in().own_token());
    guard.store(whole.next_free_slot, control.building_slot);
    guard.store(control.building_slot, control.pending_slot);
    guard.store(control.pending_slot, 0);
    guard.commit();
    return true;
}

void recall_root(segment_guard& guard, root_slot& whole) {
    segment& s = guard.in();
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t* link = &guard.control().building_slot;; --steps) {
        if (*link == 0 || steps == 0) throw_corrupt(s, "an object that is being made is not in its chain");
        const entrusted_roots roots = entrusted_at(s, *link);
        if (roots.whole == &whole) return make_pending(guard, roots);
        link = &roots.whole->next_free_slot;
    }
}

void finish_abandoned_roots(segment_guard& guard) {
    segment& s = guard.in();
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t* link = &guard.control().building_slot; *link != 0;) {
        if (steps-- == 0) throw_corrupt(s, "the chain of objects that are being made has no end");
        const entrusted_roots roots = entrusted_at(s, *link);
        // A builder keeps the lock until its roots are pending again. So a free one is a dead builder's, too: somebody with a
        // handle to a former object has taken it over, and given it back.
        if (const lock_word lock = inspect(roots.whole->lock); lock.thread_id != 0 && !lock.owner_died) {
            link = &roots.whole->next_free_slot;
            continue;
        }
        make_pending(guard, roots);
        // The next object here is not to find a dead owner.
        const int result = try_lock(roots.whole->lock, s.own_token());
        if (result == 0 || result == EOWNERDEAD) {
            say_holder(roots.whole->lock, s.own_token());
            unlock(roots.whole->lock);
        }
        finish_pending_roots(guard);
    }
}

void publish_root(segment_guard& guard, root_slot& slot) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    const std::uint32_t own_link = s.slot_number(slot) + 1;
    std::uint32_t& bucket = bucket_of(s, slot.name_hash);
    const std::uint64_t generation = next_generation(guard);
    store_word(slot.next_in_bucket, bucket);
    // From the last part to the root itself, which is the one that was begun first.
    for (std::uint32_t link = control.pending_slot; link != 0;) {
        root_slot& each = slot_at(s, link);
        CAIRN_CHECK(link == own_link || each.part_of == own_link, "what is pending is one object");
        store_word(each.settled, each.extents);
        // release: pairs with the acquire of a read-only process, which looks for objects without the lock
        std::atomic_thread_fence(std::memory_order_release);
        guard.store(each.generation, generation);
        guard.store(each.state, static_cast<std::uint32_t>(root_state::live));
        link = each.next_free_slot;
    }
    guard.store(bucket, own_link);
    guard.store(control.live_root_count, control.live_root_count + 1);
    guard.store(control.pending_slot, 0);
    guard.commit();
}

void erase_root(segment_guard& guard, root_slot& slot, std::span<root_slot* const> parts) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    CAIRN_CHECK(parts.size() <= most_parts, "their records fit the segment's log");
    const std::uint32_t link = s.slot_number(slot) + 1;
    std::uint32_t* from = &bucket_of(s, slot.name_hash);
    std::uint32_t steps = most_slots(s);
    while (*from != link) {
        if (*from == 0 || steps-- == 0) throw_corrupt(s, "an object is not in its chain of the directory");
        from = &slot_at(s, *from).next_in_bucket;
    }
    const std::uint64_t generation = next_generation(guard);
    guard.store(*from, slot.next_in_bucket);
    std::uint32_t pending = 0;
    const auto end = [&](root_slot& root) {
        guard.store(root.generation, generation);
        guard.store(root.state, static_cast<std::uint32_t>(root_state::erasing));
        guard.store(root.next_free_slot, pending);
        pending = s.slot_number(root) + 1;
    };
    end(slot);
    for (root_slot* const part : parts) end(*part);
    guard.store(control.pending_slot, pending);
    guard.store(control.live_root_count, control.live_root_count - 1);
    guard.commit();
    finish_pending_roots(guard);
}

void finish_pending_roots(segment_guard& guard) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    while (const std::uint32_t link = load_word(control.pending_slot)) {
        CAIRN_CHECK(guard.is_clean(), "pending roots are finished between transactions");
        root_slot& slot = slot_at(s, link);
        // Also the end of a damaged chain that leads back: each is free once it was here.
        if (!is_pending(slot)) throw_corrupt(s, "an object that is not being made or removed is said to be");
        while (slot.extents != 0) {
            give_back_extent(guard, &slot, slot.extents - 1);
            guard.commit();
        }
        guard.store(control.pending_slot, slot.next_free_slot);
        guard.store(slot.state, static_cast<std::uint32_t>(root_state::free));
        guard.store(slot.next_free_slot, control.first_free_slot);
        guard.store(control.first_free_slot, link);
        guard.commit();
    }
}

std::vector<root_slot*> find_parts(const segment& s, const root_slot& whole) {
    std::vector<root_slot*> parts;
    if (load_word(whole.kind) != static_cast<std::uint32_t>(object_kind::sharded_dict)) return parts;
    const segment_offset at = load_word(whole.node);
    const auto* node = s.find<parts_node>(at);
    const std::uint32_t count = node == nullptr ? 0 : load_word(node->count);
    if (count == 0 || count > most_parts || s.find<parts_node>(at, parts_node_bytes(count)) == nullptr)
        throw_corrupt(s, "the node of an object in parts makes no sense");
    const std::uint32_t own_link = s.slot_number(whole) + 1;
    for (std::uint32_t i = 0; i < count; ++i) {
        root_slot& part = slot_at(s, load_word(part_links(*node)[i]));
        if (!is_there(part) || load_word(part.part_of) != own_link ||
            load_word(part.kind) != static_cast<std::uint32_t>(object_kind::dict) ||
            load_word(part.generation) != load_word(whole.generation) || !is_initialized(part.lock))
            throw_corrupt(s, "a part of an object is not its own");
        parts.push_back(&part);
    }
    std::vector<root_slot*> sorted = parts;
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        throw_corrupt(s, "an object has one part twice");
    return parts;
}

std::vector<root_slot*> find_parts_by_chain(const segment_guard& guard, const root_slot& whole) {
    segment& s = guard.in();
    std::vector<root_slot*> parts;
    if (whole.kind != static_cast<std::uint32_t>(object_kind::sharded_dict)) return parts;
    const std::uint32_t own_link = s.slot_number(whole) + 1;
    std::uint32_t steps = most_slots(s);
    for (std::uint32_t link = guard.control().first_slot; link != 0;) {
        // Also where it goes round through parts, which it would list twice.
        if (steps-- == 0) throw_corrupt(s, "the chain of all control blocks has no end");
        root_slot& slot = slot_at(s, link);
        if (slot.part_of == own_link && slot.generation == whole.generation && is_there(slot)) {
            if (parts.size() == most_parts || !is_initialized(slot.lock) || &slot == &whole)
                throw_corrupt(s, "a part of an object is not its own");
            parts.push_back(&slot);
        }
        link = slot.next_slot;
    }
    return parts;
}

void require_segment_name(std::string_view name) {
    if (const std::string problem = segment_name_problem(name); !problem.empty())
        throw invalid_name("segment name '" + printable_name(name) + "': " + problem);
}

void require_object_name(const segment& s, std::string_view name) {
    if (const std::string problem = object_name_problem(name); !problem.empty())
        throw invalid_name("object name '" + printable_name(name) + "' in " + describe_segment(s) + ": " +
                           problem);
}

}  // namespace cairn::inline CAIRN_ABI::detail
