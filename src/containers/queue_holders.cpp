// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/queue_holders.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <vector>

#include <time.h>

#include "os/identity.hpp"
#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Asked of the system in one task_done(), under the lock. Of the others it takes the word of the last time.
constexpr int most_asked_under_lock = 4;

// Who was alive a moment ago. One word for each place: a hash of segment and participant, and until when that counts.
class known_to_live {
public:
    static constexpr std::uint32_t milliseconds = 100;

    known_to_live(const segment& s, std::uint64_t participant, std::uint32_t now) noexcept
        : now_(now), mark_(mix(s.header().hash_seed + participant)), place_(places_[mark_ % places_.size()]) {
    }
    [[nodiscard]] bool is_known() const noexcept {
        const std::uint64_t word = place_.load(std::memory_order_relaxed);  // relaxed: a word of its own
        return word >> 32 == mark_ && static_cast<std::uint32_t>(word) - now_ <= milliseconds;
    }
    void remember() noexcept {
        place_.store(std::uint64_t{mark_} << 32 | static_cast<std::uint32_t>(now_ + milliseconds),
                     std::memory_order_relaxed);
    }
    static std::uint32_t now() noexcept {
        timespec time{};
        ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
        return static_cast<std::uint32_t>(time.tv_sec * 1000 + time.tv_nsec / 1'000'000);
    }

private:
    // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4).
    static std::uint32_t mix(std::uint64_t key) noexcept {
        return static_cast<std::uint32_t>(key * 0x9e3779b97f4a7c15 >> 32);
    }

    static inline std::array<std::atomic<std::uint64_t>, 1024> places_{};
    std::uint32_t now_;
    std::uint32_t mark_;
    std::atomic<std::uint64_t>& place_;
};

// Of several, those that were found alive a moment ago are taken to be so still.
bool is_known_dead(const segment& s, std::uint64_t participant, std::uint32_t now, int& asked) {
    known_to_live known(s, participant, now);
    if (known.is_known() || asked == most_asked_under_lock) return false;
    ++asked;
    if (!is_participant_alive(s, participant)) return true;
    known.remember();
    return false;
}

// Written off in one transaction: its log fits the control block.
constexpr std::size_t most_in_transaction = 16;

std::span<queue_holder> holders_of(root_transaction& tx, const queue_node& node) {
    const std::span<queue_holder> holders = find_holders(tx.in(), node);
    if (holders.empty()) throw_damaged(tx.in(), tx.slot());
    return holders;
}

void write_off(root_transaction& tx, queue_node& node, queue_holder& dead) {
    // At most: task_done() may have been called for what is leased, or for what nobody had taken yet.
    const std::uint64_t count = std::min(dead.taken, node.tail - node.done);
    if (count != 0 && node.done + count == node.tail) wake_all(tx, queue_all_done);
    tx.store(node.done, node.done + count);
    tx.store(node.lost, node.lost + count);
    tx.store(dead.taken, 0);
}

// Asks the system, under the lock: only when the array is full, which it rarely is twice. One is enough, and its notes fit the
// control block together with those of the get.
void write_off_one(root_transaction& tx, queue_node& node) {
    for (queue_holder& each : holders_of(tx, node)) {
        if (each.taken == 0 || is_participant_alive(tx.in(), each.participant)) continue;
        return write_off(tx, node, each);
    }
}

queue_holder* find_free(root_transaction& tx, const queue_node& node) {
    for (queue_holder& each : holders_of(tx, node))
        if (each.taken == 0) return &each;
    return nullptr;
}

// Twice as many places; null when there is no memory for them. Committed before the get: the queue is the same with them,
// and the log stays short.
queue_holder* add_places(root_transaction& tx, queue_node& node) {
    const std::span<queue_holder> old = holders_of(tx, node);
    const std::uint64_t old_bytes = old.size_bytes();
    if (old.empty() || old.size() * 2 > most_queue_holders) return nullptr;
    segment_offset grown = 0;
    try {
        grown = allocate(tx, 2 * old_bytes);
    } catch (const segment_full&) {
        tx.roll_back();  // inside a transaction of the user's it may have failed half way
        return nullptr;
    }
    auto* to = tx.in().at<std::byte>(grown);
    copy_across(to, old.data(), old_bytes);
    zero_shared(to + old_bytes, old_bytes);
    const segment_offset before = node.holders;
    const auto count = static_cast<std::uint32_t>(old.size());
    tx.store(node.holders, grown);
    tx.store(node.holder_count, 2 * count);
    deallocate(tx, before, old_bytes);
    tx.commit();
    return tx.in().at<queue_holder>(grown) + count;
}

// What each has taken, and the counts beside it, at one moment.
struct holders_picture {
    std::vector<queue_holder> holders;
    std::uint64_t lost = 0;
    std::uint64_t unfinished = 0;
};

holders_picture copy_holders(segment& s, root_slot& slot, std::uint64_t generation, segment_offset node) {
    holders_picture copy;
    read_root(s, slot, generation, [&](segment& in) {
        const queue_node& seen = *in.at<queue_node>(node);
        const std::span<queue_holder> holders = find_holders(in, seen);
        if (holders.empty()) return read_result::torn;
        copy.holders.resize(holders.size());
        copy_out(copy.holders.data(), holders.data(), holders.size_bytes());
        copy.lost = load_word(seen.lost);
        copy.unfinished = load_word(seen.tail) - load_word(seen.done);
        return read_result::done;
    });
    return copy;
}

void keep_dead(const segment& s, std::vector<queue_holder>& holders) {
    std::erase_if(holders, [&](const queue_holder& each) {
        return each.taken == 0 || is_participant_alive(s, each.participant);
    });
}

// Items that were taken when there was no memory to remember by whom.
bool has_forgotten(const queue_node& node, std::span<const queue_holder> holders) {
    std::uint64_t known = node.done + queued_count(node) + node.leased_count;
    for (const queue_holder& each : holders) known += each.taken;
    return known < node.tail;
}

}  // namespace

void add_new_holder(root_transaction& tx, queue_node& node, std::uint64_t count) {
    queue_holder* place = find_free(tx, node);
    if (place == nullptr) {
        write_off_one(tx, node);
        place = find_free(tx, node);
    }
    if (place == nullptr) place = add_places(tx, node);
    if (place == nullptr) return;
    tx.store(place->participant, tx.in().participant_number());
    tx.store(place->taken, count);
}

finished_item choose_finished(root_transaction& tx, const queue_node& node) {
    const std::uint64_t self = tx.in().participant_number();
    const std::span<queue_holder> holders = holders_of(tx, node);
    queue_holder* of_another = nullptr;
    for (queue_holder& each : holders) {
        if (each.taken == 0) continue;
        if (each.participant == self) return {&each, false};
        of_another = &each;
    }
    if (has_forgotten(node, holders)) return {};
    if (node.lost != 0) return {nullptr, true};
    if (of_another == nullptr) return {};
    int asked = 0;
    const std::uint32_t now = known_to_live::now();
    for (queue_holder& each : holders)
        if (each.taken != 0 && is_known_dead(tx.in(), each.participant, now, asked)) return {&each, false};
    return {of_another, false};
}

bool write_off_dead(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
    if (load_word(node.done) == load_word(node.tail)) return false;
    // 1. Who is dead, without the lock: that asks the system.
    std::vector<queue_holder> dead = copy_holders(s, slot, generation, s.offset_of(&node)).holders;
    keep_dead(s, dead);
    if (dead.empty()) return false;
    // 2. What they still have, under it. Numbers are never used again, so they are as dead as they were.
    root_transaction tx(s, slot, generation);
    std::size_t in_transaction = 0;
    bool is_any = false;
    for (queue_holder& each : holders_of(tx, node)) {
        const auto is_it = [&](const queue_holder& one) { return one.participant == each.participant; };
        if (each.taken == 0 || std::none_of(dead.begin(), dead.end(), is_it)) continue;
        tx.begin_change();
        write_off(tx, node, each);
        is_any = true;
        if (++in_transaction % most_in_transaction == 0) tx.commit();
    }
    tx.commit();
    return is_any;
}

std::uint64_t count_lost(segment& s, root_slot& slot, std::uint64_t generation, segment_offset node) {
    holders_picture seen = copy_holders(s, slot, generation, node);
    if (!can_tell_who_lives(s)) return seen.lost;
    keep_dead(s, seen.holders);
    std::uint64_t of_dead = 0;
    for (const queue_holder& each : seen.holders) of_dead += each.taken;
    return seen.lost + std::min(of_dead, seen.unfinished);
}

std::string check_holders(const segment& s, const queue_node& node, arena_audit& audit) {
    const std::span<queue_holder> holders = find_holders(s, node);
    if (holders.empty()) return "queue: who has taken its items is nowhere";
    audit.reached(node.holders, holders.size_bytes());
    std::uint64_t left = node.head;  // no more than that can have been taken
    for (const queue_holder& each : holders) {
        if (each.taken > left) return "queue: more items were taken than it had";
        left -= each.taken;
        if (each.taken != 0 && each.participant == 0) return "queue: items were taken by nobody";
    }
    return node.lost > node.done ? "queue: it has lost more items than are done" : "";
}

}  // namespace cairn::inline CAIRN_ABI::detail
