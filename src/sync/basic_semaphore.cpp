// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/sync/basic_semaphore.hpp"

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "segment/lock_timeout.hpp"
#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include "sync/attempts.hpp"
#include "sync/places.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>
#include <cairn/semaphore.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

namespace {

constexpr std::uint32_t permit_event = 0;
constexpr std::uint64_t most_permits = std::numeric_limits<std::int64_t>::max();

std::span<permit_holder> permit_holders_of(root_transaction& tx, const semaphore_node& node) {
    const std::span<permit_holder> holders = find_permit_holders(tx.in(), node);
    if (holders.size() != load_word(node.holder_count)) throw_damaged(tx.in(), tx.slot());
    return holders;
}

// A place of that participant, or 0: a free one. Null when there is none.
permit_holder* find_permit_place(std::span<permit_holder> holders, std::uint64_t participant) noexcept {
    for (permit_holder& each : holders) {
        const bool is_free = each.count == 0;
        if (participant == 0 ? is_free : !is_free && each.participant == participant) return &each;
    }
    return nullptr;
}

// False when there is none.
bool take_permit(root_transaction& tx, semaphore_node& node, bool is_recorded) {
    if (node.available == 0) return false;
    if (!is_recorded) {
        tx.publish(node.available, node.available - 1);
        return true;
    }
    const std::uint64_t self = tx.in().participant_number();
    const std::span<permit_holder> holders = permit_holders_of(tx, node);
    permit_holder* place = find_permit_place(holders, self);
    if (place == nullptr) place = find_permit_place(holders, 0);
    if (place == nullptr)
        place = &add_places(tx, node.holders, node.holder_count, holders, most_permit_holders);
    tx.begin_change();
    tx.store(place->participant, self);
    tx.store(place->count, place->count + 1);
    tx.store(node.available, node.available - 1);
    tx.commit();
    return true;
}

void permits_come_back(root_transaction& tx, semaphore_node& node, permit_holder& holder,
                       std::uint64_t count) {
    tx.begin_change();
    wake(tx, permit_event,
         static_cast<std::uint32_t>(
             std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max())));
    tx.store(holder.count, holder.count - count);
    tx.store(node.available, node.available + count);
    tx.commit();
}

std::vector<permit_holder> copy_permit_holders(segment& s, root_slot& slot, std::uint64_t generation,
                                               segment_offset node) {
    std::vector<permit_holder> copy;
    read_root(s, slot, generation, [&](segment& in) {
        const semaphore_node& seen = *in.at<semaphore_node>(node);
        const std::span<permit_holder> holders = find_permit_holders(in, seen);
        if (holders.size() != load_word(seen.holder_count)) return read_result::torn;
        copy.resize(holders.size());
        copy_out(copy.data(), holders.data(), holders.size_bytes());
        return read_result::done;
    });
    return copy;
}

// True when any came back.
bool return_permits_of_dead(segment& s, root_slot& slot, std::uint64_t generation, semaphore_node& node) {
    if (load_word(node.holder_count) == 0) return false;
    // 1. Who is dead, without the lock: that asks the system.
    std::vector<std::uint64_t> dead;
    for (const permit_holder& each : copy_permit_holders(s, slot, generation, s.offset_of(&node)))
        if (each.count != 0 && !is_participant_alive(s, each.participant)) dead.push_back(each.participant);
    if (dead.empty()) return false;
    std::sort(dead.begin(), dead.end());
    // 2. What they still have, under it. Numbers are never used again, so they are as dead as they were.
    root_transaction tx(s, slot, generation);
    bool is_any = false;
    for (permit_holder& each : permit_holders_of(tx, node)) {
        if (each.count == 0 || !std::binary_search(dead.begin(), dead.end(), each.participant)) continue;
        permits_come_back(tx, node, each, each.count);
        is_any = true;
    }
    return is_any;
}

}  // namespace

std::span<permit_holder> find_permit_holders(const segment& s, const semaphore_node& node) noexcept {
    return find_places<permit_holder>(s, node.holders, node.holder_count, most_permit_holders);
}

std::string check_semaphore_node(const semaphore_node& node, object_kind kind) {
    const std::uint32_t count = load_word(node.holder_count);
    const std::uint64_t most = kind == object_kind::bounded_semaphore ? load_word(node.bound) : most_permits;
    if (load_word(node.available) > most || most > most_permits)
        return "semaphore: it has more permits than it can have";
    return count > most_permit_holders ? "semaphore: who holds its permits is nowhere" : "";
}

std::string check_semaphore(const segment& s, const semaphore_node& node, object_kind kind,
                            arena_audit& audit) {
    if (std::string problem = check_semaphore_node(node, kind); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    const std::span<permit_holder> holders = find_permit_holders(s, node);
    if (holders.size() != node.holder_count || (node.holders == 0) != holders.empty())
        return "semaphore: who holds its permits is nowhere";
    if (!holders.empty()) audit.reached(node.holders, holders.size_bytes());
    const bool is_bounded = kind == object_kind::bounded_semaphore;
    std::uint64_t left = (is_bounded ? node.bound : most_permits) - node.available;
    std::vector<std::uint64_t> participants;
    for (const permit_holder& each : holders) {
        if (each.count > left) return "semaphore: more permits are held than it has";
        left -= each.count;
        if (each.count == 0) continue;
        if (each.participant == 0) return "semaphore: permits are held by nobody";
        participants.push_back(each.participant);
    }
    std::sort(participants.begin(), participants.end());
    if (std::adjacent_find(participants.begin(), participants.end()) != participants.end())
        return "semaphore: a process holds permits in two places";
    return is_bounded && left != 0 ? "semaphore: permits are nowhere" : "";
}

void basic_semaphore::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<semaphore_node>(node);
    if (found == nullptr || !check_semaphore_node(*found, object_kind::semaphore).empty())
        throw_corrupt(s, "the node of a semaphore makes no sense");
}

segment_offset basic_semaphore::create(root_transaction& tx, std::uint64_t value, bool is_bounded) {
    const segment_offset offset = allocate(tx, sizeof(semaphore_node));
    auto& node = *tx.in().at<semaphore_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.available, value);
    store_word(node.bound, is_bounded ? value : 0);
    return offset;
}

bool basic_semaphore::take_before(steady_time deadline, const std::stop_token& stop, bool is_recorded) const {
    require_writable();
    semaphore_node& n = node_ref();
    const auto attempt = [&](root_transaction& tx) { return take_permit(tx, n, is_recorded); };
    const auto look_for_dead = [&] { return return_permits_of_dead(in(), slot(), generation(), n); };
    return attempt_until_done({in(), slot(), generation(), permit_event, n.available}, deadline, stop,
                              attempt, look_for_dead);
}

void basic_semaphore::give_back(std::uint64_t count, bool is_recorded) const {
    root_transaction tx(in(), slot(), generation());
    semaphore_node& n = node_ref();
    const auto refuse = [&](const std::string& why) {
        throw invalid_state("release of " + describe_object(in(), slot()) + ": " + why);
    };
    if (is_recorded) {
        permit_holder* const own = find_permit_place(permit_holders_of(tx, n), in().participant_number());
        const std::uint64_t held = own == nullptr ? 0 : own->count;
        if (count > held)
            refuse("this process holds " + std::to_string(held) + " of its permits, and gives back " +
                   std::to_string(count));
        return permits_come_back(tx, n, *own, count);
    }
    if (count > most_permits - std::min(n.available, most_permits))
        refuse("it has " + std::to_string(n.available) + " permits, and cannot count " +
               std::to_string(count) + " more");
    wake(tx, permit_event,
         static_cast<std::uint32_t>(
             std::min<std::uint64_t>(count, std::numeric_limits<std::uint32_t>::max())));
    tx.publish(n.available, n.available + count);
}

void basic_semaphore::release(std::int64_t count) const {
    require_writable();
    if (count < 0) throw_argument("release of", "count is " + std::to_string(count) + ", expected 0 or more");
    if (count != 0) give_back(static_cast<std::uint64_t>(count), is_bounded_);
}

std::uint64_t basic_semaphore::value() const {
    // acquire: pairs with the release of publish(); who sees a permit sees what came before
    const std::uint64_t available = __atomic_load_n(&node_ref().available, __ATOMIC_ACQUIRE);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
    return available;
}

void basic_semaphore::append_repr_to(std::string& text) const {
    text += is_bounded_ ? "bounded_semaphore(" : "semaphore(";
    text += std::to_string(value());
    if (is_bounded_) text += " of " + std::to_string(load_word(node_ref().bound));
    text += ')';
}

void basic_semaphore::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace detail

using namespace detail;

semaphore_permit::semaphore_permit(const basic_semaphore& of) noexcept
    : of_(of), participant_(of.in().participant_number()) {}

bool semaphore_permit::is_held() const noexcept {
    return participant_ != 0 && participant_ == of_.in().participant_number();
}

void semaphore_permit::release() {
    if (!is_held()) {
        throw invalid_state(
            "release of a permit of " + describe_object(of_.in(), of_.slot()) +
            (participant_ == 0 ? ": it was given back before"
                               : ": it is of the parent of this forked process, and is its parent's alone"));
    }
    of_.give_back(1, true);
    participant_ = 0;
}

semaphore_permit::~semaphore_permit() {
    if (!is_held()) return;
    try {
        const unlimited_locks however_long;
        of_.give_back(1, true);
    } catch (...) {
        // It comes back when this process ends.
    }
}

}  // namespace cairn::inline CAIRN_ABI
