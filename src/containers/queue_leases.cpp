// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/queue_leases.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include <time.h>

#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::uint64_t record_bytes(const queue_node& node) noexcept {
    return sizeof(lease_record) + node.stride;
}

lease_record* find_record(const segment& s, const queue_node& node, segment_offset offset) noexcept {
    return s.find<lease_record>(offset, record_bytes(node));
}

lease_record& record_at(const segment& s, const queue_node& node, segment_offset offset) {
    lease_record* record = find_record(s, node, offset);
    if (record == nullptr) throw_corrupt(s, "a lease of a queue lies outside");
    return *record;
}

void unlink(root_transaction& tx, const queue_node& node, std::uint64_t& first, const lease_record& record) {
    if (record.previous != 0) tx.store(record_at(tx.in(), node, record.previous).next, record.next);
    else tx.store(first, record.next);
    if (record.next != 0) tx.store(record_at(tx.in(), node, record.next).previous, record.previous);
}

// Behind `previous`, or as the first.
void link(root_transaction& tx, const queue_node& node, std::uint64_t& first, lease_record& record,
          segment_offset previous) {
    const segment_offset own = tx.in().offset_of(&record);
    const segment_offset next = previous == 0 ? first : record_at(tx.in(), node, previous).next;
    tx.store(record.next, next);
    tx.store(record.previous, previous);
    if (previous == 0) tx.store(first, own);
    else tx.store(record_at(tx.in(), node, previous).next, own);
    if (next != 0) tx.store(record_at(tx.in(), node, next).previous, own);
}

blob_slot block_of(const queue_node& node, lease_record& record) noexcept {
    return node.form == element_form::blob ? *reinterpret_cast<const blob_slot*>(slot_of(record))
                                           : blob_slot{0, 0};
}

void add_done(root_transaction& tx, queue_node& node) {
    if (node.done == node.tail) return;  // task_done() was called for items that are leased
    if (node.done + 1 == node.tail) wake_all(tx, queue_all_done);
    tx.store(node.done, node.done + 1);
}

// This process's lease, or null. Its place may be another one's by now, or no record any more: then it is not in the chain
// with that number.
lease_record* find_own(root_transaction& tx, const queue_node& node, const lease_ticket& lease) {
    lease_record* record = find_record(tx.in(), node, lease.record);
    if (record == nullptr || lease.record % alignof(lease_record) != 0 || record->lease != lease.lease ||
        record->participant != tx.in().participant_number())
        return nullptr;
    if (record->previous == 0) return node.leased == lease.record ? record : nullptr;
    const lease_record* previous = find_record(tx.in(), node, record->previous);
    return previous != nullptr && previous->next == lease.record ? record : nullptr;
}

void forget(root_transaction& tx, queue_node& node, lease_record& record) {
    unlink(tx, node, node.leased, record);
    tx.store(node.leased_count, node.leased_count - 1);
}

// The item goes to the dead letters, whole; its record is freed. Throws segment_full.
void bury(root_transaction& tx, queue_node& node, lease_record& record) {
    queue_node& dead = queue_at(tx.in(), node.dead_letters, node.stride, node.form, queue_order::fifo);
    std::byte* slot = next_queue_slot(tx, dead, dead.stride, dead.tail);
    copy_across(slot, slot_of(record), node.stride);
    forget(tx, node, record);
    wake_getters(tx, dead, 1);
    tx.publish(dead.tail, dead.tail + 1);
    add_done(tx, node);
    deallocate(tx, tx.in().offset_of(&record), record_bytes(node));
    tx.commit();
}

void drop(root_transaction& tx, queue_node& node, lease_record& record) {
    const blob_slot block = block_of(node, record);
    forget(tx, node, record);
    add_done(tx, node);
    free_blob(tx, block);
    deallocate(tx, tx.in().offset_of(&record), record_bytes(node));
    tx.commit();
}

void put_back(root_transaction& tx, queue_node& node, lease_record& record) {
    forget(tx, node, record);
    segment_offset previous = 0;
    std::uint64_t left = node.returned_count;
    for (segment_offset at = node.returned; at != 0 && left != 0; --left) {
        const lease_record& other = record_at(tx.in(), node, at);
        if (other.ticket > record.ticket) break;
        previous = at;
        at = other.next;
    }
    tx.store(record.lease, 0);
    link(tx, node, node.returned, record, previous);
    tx.store(node.returned_count, node.returned_count + 1);
    wake_getters(tx, node, 1);
    tx.commit();
}

void give_back(root_transaction& tx, queue_node& node, lease_record& record) {
    tx.begin_change();
    if (node.state == queue_state::shut) return drop(tx, node, record);
    if (node.dead_letters != 0 && record.deliveries >= node.max_deliveries) {
        const queue_node& dead =
            queue_at(tx.in(), node.dead_letters, node.stride, node.form, queue_order::fifo);
        if (dead.state == queue_state::shut) return drop(tx, node, record);
        try {
            if (dead.state == queue_state::open) return bury(tx, node, record);
        } catch (const segment_full&) {
            tx.roll_back();  // no room for it there: it comes back once more
        }
    }
    put_back(tx, node, record);
}

std::vector<std::uint64_t> holders_of_leases(segment& s, root_slot& slot, std::uint64_t generation,
                                             const queue_node& node) {
    std::vector<std::uint64_t> holders;
    const segment_offset offset = s.offset_of(&node);
    read_root(s, slot, generation, [&](segment& in) {
        holders.clear();
        const queue_node& seen = *in.at<queue_node>(offset);
        const std::uint32_t stride = load_word(seen.stride);
        std::uint64_t left = load_word(seen.leased_count);
        for (segment_offset at = load_word(seen.leased); at != 0 && left != 0; --left) {
            const auto* record = in.find<lease_record>(at, sizeof(lease_record) + stride);
            if (record == nullptr) return read_result::torn;
            const std::uint64_t holder = load_word(record->participant);
            if (std::find(holders.begin(), holders.end(), holder) == holders.end()) holders.push_back(holder);
            // More have died since the last sweep than can live: the next one looks for the rest.
            if (holders.size() == most_participant_slots) return read_result::done;
            at = load_word(record->next);
        }
        return read_result::done;
    });
    return holders;
}

}  // namespace

lease_record& first_returned(const segment& s, const queue_node& node) {
    return record_at(s, node, node.returned);
}

void drop_returned(root_transaction& tx, queue_node& node) {
    tx.begin_change();
    lease_record& record = first_returned(tx.in(), node);
    const blob_slot block = block_of(node, record);
    unlink(tx, node, node.returned, record);
    tx.store(node.returned_count, node.returned_count - 1);
    free_blob(tx, block);
    deallocate(tx, tx.in().offset_of(&record), record_bytes(node));
}

bool drop_one_returned(root_transaction& tx, queue_node& node) {
    if (node.returned_count == 0) return false;
    drop_returned(tx, node);
    return true;
}

lease_record& new_lease_record(root_transaction& tx, const queue_node& node) {
    const std::uint64_t ticket = node.head;
    auto& record = *tx.in().at<lease_record>(allocate(tx, record_bytes(node)));
    zero_shared(&record, sizeof record);
    store_word(record.ticket, ticket);
    return record;
}

lease_ticket begin_lease(root_transaction& tx, queue_node& node, lease_record& record, bool came_back) {
    if (came_back) {
        unlink(tx, node, node.returned, record);
        tx.store(node.returned_count, node.returned_count - 1);
    }
    tx.store(node.last_lease, node.last_lease + 1);
    tx.store(record.lease, node.last_lease);
    tx.store(record.participant, tx.in().participant_number());
    tx.store(record.deliveries, record.deliveries + 1);
    link(tx, node, node.leased, record, 0);
    tx.store(node.leased_count, node.leased_count + 1);
    return {node.last_lease, record.deliveries, tx.in().offset_of(&record)};
}

bool finish_lease(root_transaction& tx, queue_node& node, const lease_ticket& lease) {
    lease_record* record = find_own(tx, node, lease);
    if (record == nullptr) return false;
    tx.begin_change();
    drop(tx, node, *record);
    return true;
}

bool return_lease(root_transaction& tx, queue_node& node, const lease_ticket& lease) {
    lease_record* record = find_own(tx, node, lease);
    if (record == nullptr) return false;
    give_back(tx, node, *record);
    return true;
}

bool return_leases_of_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
    if (load_word(node.leased_count) == 0) return false;
    // 1. Who is dead, without the lock: that asks the system.
    std::vector<std::uint64_t> dead = holders_of_leases(s, slot, generation, node);
    std::erase_if(dead, [&](std::uint64_t holder) { return is_participant_alive(s, holder); });
    if (dead.empty()) return false;
    // 2. What they still have, under it. One transaction for each: the log of many would need memory.
    root_transaction tx(s, slot, generation);
    std::uint64_t left = node.leased_count;
    bool has_returned = false;
    for (segment_offset at = node.leased; at != 0 && left != 0; --left) {
        lease_record& record = record_at(s, node, at);
        at = record.next;
        if (std::find(dead.begin(), dead.end(), record.participant) == dead.end()) continue;
        give_back(tx, node, record);
        has_returned = true;
    }
    return has_returned;
}

queue_node& node_with_leases(const segment& s, const root_slot& slot, queue_node& node) {
    if (load_word(node.is_dead_letters) == 0) return node;
    auto* whole = s.find<queue_node>(load_word(slot.node));
    if (whole == nullptr || load_word(whole->stride) != load_word(node.stride) ||
        load_word(whole->dead_letters) != s.offset_of(&node))
        throw_corrupt(s, "a queue of dead letters is no queue's");
    return *whole;
}

bool is_sweep_due(queue_node& node_with_leases) noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);  // cannot fail; some 5 ns
    const auto now =
        static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
    constexpr auto interval = static_cast<std::uint64_t>(std::chrono::nanoseconds(sweep_interval).count());
    std::uint64_t next = load_word(node_with_leases.next_sweep);
    if (now < next && next - now <= interval) return false;
    // relaxed: it orders nothing; of those who come at once, one sweeps
    return __atomic_compare_exchange_n(&node_with_leases.next_sweep, &next, now + interval, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

bool sweep_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
    return_owed_leases();
    bool is_any = return_leases_of_dead(s, slot, generation, node_with_leases(s, slot, node));
    if (load_word(slot.events[queue_all_done].waiters) != 0 && write_off_dead(s, slot, generation, node))
        is_any = true;
    return is_any;
}

std::string check_leases(const segment& s, const queue_node& node, arena_audit& audit) {
    const auto check_chain = [&](segment_offset first, std::uint64_t count, bool is_leased) -> std::string {
        segment_offset previous = 0;
        std::uint64_t ticket = 0;
        std::uint64_t found = 0;
        for (segment_offset at = first; at != 0; ++found) {
            lease_record* record = find_record(s, node, at);
            if (record == nullptr) return "queue: a lease lies outside";
            if (found == count) return "queue: it has more leases than it counts";
            audit.reached(at, record_bytes(node));
            if (record->previous != previous) return "queue: the chain of its leases does not lead back";
            if ((record->lease != 0) != is_leased || record->lease > node.last_lease)
                return "queue: a lease has a number that was never given";
            if (record->participant == 0 || record->deliveries == 0) return "queue: a lease is nobody's";
            if (!is_leased && record->ticket < ticket) return "queue: what came back is not in order";
            if (node.form == element_form::blob) {
                blob_slot slot{};
                std::memcpy(&slot, slot_of(*record), sizeof slot);
                std::uint64_t bytes = 0;
                if (find_blob(s, slot, bytes) == nullptr)
                    return "queue: a leased item lies outside the segment";
                if (slot.last >> 56 == blob_outside >> 56) audit.reached(slot.first, bytes);
            }
            ticket = record->ticket;
            previous = at;
            at = record->next;
        }
        return found == count ? "" : "queue: it has fewer leases than it counts";
    };
    if (std::string problem = check_chain(node.leased, node.leased_count, true); !problem.empty())
        return problem;
    return check_chain(node.returned, node.returned_count, false);
}

}  // namespace cairn::inline CAIRN_ABI::detail
