#include "segment/directory.hpp"

#include <atomic>

#include "base/hash.hpp"
#include "base/names.hpp"
#include "os/identity.hpp"
#include "segment/extents.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/error.hpp>

namespace cairn::inline v0::detail {

namespace {

constexpr std::uint32_t slot_extent_pages = 4;
constexpr std::uint32_t slots_in_extent = slot_extent_pages * page_bytes / root_slot_bytes;

std::uint32_t& bucket_of(segment& s, std::uint64_t hash) {
    return s.at<std::uint32_t>(s.header().buckets_offset)[hash % s.header().bucket_count];
}

// A new extent of control blocks, linked in by the segment's log: until the commit they are unreachable.
void add_slots(segment_guard& guard) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    reserve_run(guard, slot_extent_pages);
    const std::uint32_t page = take_run(guard, nullptr, slot_extent_pages, extent_purpose::slots);
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
    clear(slot.extent_pages, slot.lock.acquired_count, slot.contended_count);
    clear(slot.outstanding, slot.decided_root, slot.decided_number);
    clear(slot.type_name, slot.fingerprint, slot.type_name_bytes);
    clear(slot.recovery_count, slot.rolled_back_count, slot.last_recovery_nanoseconds);
    clear(slot.last_dead_thread, slot.last_operation, slot.last_undone_bytes, slot.poison_reason);
    zero_shared(&slot.operation, sizeof slot.operation);
    zero_shared(&slot.arena, sizeof slot.arena);
    zero_shared(slot.name, sizeof slot.name);
    for (stored_event_count& event : slot.events) store_word(event.waiters, 0);
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
    guard.store(control.pending_slot, link);
    guard.store(slot.state, static_cast<std::uint32_t>(root_state::building));
    guard.store(slot.extents, 0);
    guard.commit();
    // 2. Nobody finds it yet, so nothing is logged until publish_root().
    reset_for_new_root(slot);
    store_word(slot.kind, static_cast<std::uint32_t>(kind));
    store_word(slot.name_hash, hash_name(s, name));
    store_word(slot.name_bytes, static_cast<std::uint32_t>(name.size()));
    copy_in(slot.name, name.data(), name.size());
    store_word(slot.created_nanoseconds, os::now_since_epoch_nanoseconds());
    return slot;
}

void publish_root(segment_guard& guard, root_slot& slot) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    std::uint32_t& bucket = bucket_of(s, slot.name_hash);
    store_word(slot.settled, slot.extents);
    store_word(slot.next_in_bucket, bucket);
    // release: pairs with the acquire of a read-only process, which looks for objects without the lock
    std::atomic_thread_fence(std::memory_order_release);
    guard.store(control.last_generation, control.last_generation + 1);
    guard.store(slot.generation, control.last_generation);
    guard.store(slot.state, static_cast<std::uint32_t>(root_state::live));
    guard.store(bucket, s.slot_number(slot) + 1);
    guard.store(control.live_root_count, control.live_root_count + 1);
    guard.store(control.pending_slot, 0);
    guard.commit();
}

void erase_root(segment_guard& guard, root_slot& slot) {
    segment& s = guard.in();
    segment_control& control = guard.control();
    const std::uint32_t link = s.slot_number(slot) + 1;
    std::uint32_t* from = &bucket_of(s, slot.name_hash);
    std::uint32_t steps = most_slots(s);
    while (*from != link) {
        if (*from == 0 || steps-- == 0) throw_corrupt(s, "an object is not in its chain of the directory");
        from = &slot_at(s, *from).next_in_bucket;
    }
    guard.store(*from, slot.next_in_bucket);
    guard.store(control.last_generation, control.last_generation + 1);
    guard.store(slot.generation, control.last_generation);
    guard.store(slot.state, static_cast<std::uint32_t>(root_state::erasing));
    guard.store(control.live_root_count, control.live_root_count - 1);
    guard.store(control.pending_slot, link);
    guard.commit();
    finish_pending_root(guard);
}

void finish_pending_root(segment_guard& guard) {
    segment_control& control = guard.control();
    const std::uint32_t link = load_word(control.pending_slot);
    if (link == 0) return;
    CAIRN_CHECK(guard.is_clean(), "a pending root is finished between transactions");
    root_slot& slot = slot_at(guard.in(), link);
    while (slot.extents != 0) {
        give_back_extent(guard, &slot, slot.extents - 1);
        guard.commit();
    }
    guard.store(slot.state, static_cast<std::uint32_t>(root_state::free));
    guard.store(slot.next_free_slot, control.first_free_slot);
    guard.store(control.first_free_slot, link);
    guard.store(control.pending_slot, 0);
    guard.commit();
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

}  // namespace cairn::inline v0::detail
