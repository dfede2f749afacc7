// SPDX-License-Identifier: BSL-1.0
#include "cairn/barrier.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <vector>

#include "os/identity.hpp"
#include "segment/internals.hpp"
#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include "sync/attempts.hpp"
#include "sync/places.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace {

constexpr std::uint32_t round_event = 0;

std::span<barrier_member> members_of(root_transaction& tx, const barrier_node& node) {
    const std::span<barrier_member> members = find_barrier_members(tx.in(), node);
    if (members.size() != load_word(node.member_count)) throw_damaged(tx.in(), tx.slot());
    return members;
}

// The place of that participant, or 0: a free one.
barrier_member* find_member(std::span<barrier_member> members, std::uint64_t participant) noexcept {
    for (barrier_member& each : members)
        if (each.participant == participant) return &each;
    return nullptr;
}

std::uint32_t own_pid(const segment& s) noexcept {
    return static_cast<std::uint32_t>(os::pid_of(s.internals().identity));
}

std::vector<barrier_member> copy_members(segment& s, root_slot& slot, std::uint64_t generation,
                                         segment_offset node) {
    std::vector<barrier_member> copy;
    read_root(s, slot, generation, [&](segment& in) {
        const barrier_node& seen = *in.at<barrier_node>(node);
        const std::span<barrier_member> members = find_barrier_members(in, seen);
        if (members.size() != load_word(seen.member_count)) return read_result::torn;
        copy.resize(members.size());
        copy_out(copy.data(), members.data(), members.size_bytes());
        return read_result::done;
    });
    return copy;
}

// As far as is known, which is for the last two rounds that failed. Longer ago, and it waits since before two resets: it has failed.
bool has_passed(const barrier_node& node, std::uint64_t round) noexcept {
    const std::uint64_t failed = load_word(node.failed);
    return round > failed || (round != failed && round > load_word(node.failed_before));
}

// Somebody has gone from a round whose time was up while the lock could not be had.
bool is_left(const root_slot& slot, const barrier_node& node) noexcept {
    std::atomic_thread_fence(
        std::memory_order_seq_cst);  // pairs with leave(): a mark or the round's end is seen
    return load_word(slot.given_up) == load_word(node.round);
}

}  // namespace

namespace detail {

std::span<barrier_member> find_barrier_members(const segment& s, const barrier_node& node) noexcept {
    return find_places<barrier_member>(s, node.members, node.member_count, most_barrier_members);
}

std::string check_barrier_node(const barrier_node& node) {
    const std::uint32_t parties = load_word(node.parties);
    if (parties == 0) return "barrier: it is for nobody";
    if (load_word(node.arrived) >= parties) return "barrier: more have come than there are parties";
    // The same for a moment: see fail().
    if (load_word(node.failed) > load_word(node.round) || load_word(node.round) == 0 ||
        load_word(node.failed_before) > load_word(node.failed))
        return "barrier: its rounds make no sense";
    if (load_word(node.is_broken) > 1 || load_word(node.end) > static_cast<std::uint32_t>(barrier_end::reset))
        return "barrier: its state is no known one";
    return load_word(node.member_count) > most_barrier_members ? "barrier: who takes part is nowhere" : "";
}

std::string check_barrier(const segment& s, const barrier_node& node, arena_audit& audit) {
    if (std::string problem = check_barrier_node(node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    const std::span<barrier_member> members = find_barrier_members(s, node);
    if (members.size() != node.member_count || (node.members == 0) != members.empty())
        return "barrier: who takes part is nowhere";
    if (!members.empty()) audit.reached(node.members, members.size_bytes());
    if (node.failed == node.round) return "barrier: its rounds make no sense";
    if (node.is_broken != 0 && node.arrived != 0) return "barrier: it is broken, and somebody waits for it";
    std::vector<std::uint64_t> participants;
    for (const barrier_member& each : members)
        if (each.participant != 0) participants.push_back(each.participant);
    std::sort(participants.begin(), participants.end());
    if (std::adjacent_find(participants.begin(), participants.end()) != participants.end())
        return "barrier: a process takes part in two places";
    return {};
}

}  // namespace detail

void barrier::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<barrier_node>(node);
    if (found == nullptr || !check_barrier_node(*found).empty())
        throw_corrupt(s, "the node of a barrier makes no sense");
}

segment_offset barrier::create(root_transaction& tx, std::uint32_t parties) {
    const segment_offset offset = allocate(tx, sizeof(barrier_node));
    auto& node = *tx.in().at<barrier_node>(offset);
    zero_shared(&node, sizeof node);
    store_word(node.parties, parties);
    store_word(node.round, static_cast<std::uint64_t>(os::now_since_epoch_nanoseconds()));
    return offset;
}

void barrier::require_there() const {
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after what was read
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
}

void barrier::require_parties(std::int64_t parties) const {
    const std::size_t stored = this->parties();
    if (stored == static_cast<std::uint64_t>(parties)) return;
    throw type_mismatch("open " + describe_object(in(), slot()) + ": it is for " + std::to_string(stored) +
                        " parties, asked for " + std::to_string(parties));
}

// ---- a round -----------------------------------------------------------------------------------------------------------

std::size_t barrier::wait_before(steady_time deadline, const std::stop_token& stop) const {
    arrival mine = arrive_before(deadline, stop);
    static_cast<void>(wait_for_end(mine, deadline, stop));
    return leave(mine);
}

barrier::arrival barrier::arrive_before(steady_time deadline, const std::stop_token& stop) const {
    require_writable();
    const operation_limit limit = {deadline, &stop};
    try {
        const limited_locks in_time(limit);
        root_transaction tx(in(), slot(), generation());
        return arrive(tx);
    } catch (const limit_reached&) {
        throw timeout_error("wait for " + describe_object(in(), slot()) +
                            ": its lock was not free before the time was up; this one has not come");
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
}

bool barrier::wait_for_end(arrival& mine, steady_time deadline, const std::stop_token& stop) const {
    if (mine.is_over) return true;
    const std::uint64_t& round = node_ref().round;
    const auto is_over = [&](root_transaction& tx) {
        if (load_word(round) == mine.round) return false;
        mine.is_over = true;
        mine.has_passed = has_passed(node_ref(), mine.round);
        if (!mine.has_passed) mine.why = describe_end(tx);
        return true;
    };
    // Who has only come leaves it to its ticks to look for the dead.
    bool is_tick = false;
    const auto at_ticks = [&] { return std::exchange(is_tick, true) && look_around(); };
    return attempt_until_done({in(), slot(), generation(), round_event, round}, deadline, stop, is_over,
                              at_ticks);
}

std::size_t barrier::leave(arrival& mine) const {
    if (!mine.is_over) break_round(mine);
    if (!mine.has_passed) throw_broken(mine.why);
    return mine.index;
}

barrier::arrival barrier::arrive(root_transaction& tx) const {
    barrier_node& n = node_ref();
    honour_mark(tx);
    if (n.is_broken != 0) throw_broken(describe_end(tx));
    const bool is_last = n.arrived + 1 >= n.parties;
    arrival mine = {.round = n.round, .index = n.arrived, .is_over = is_last, .has_passed = is_last};
    be_member(tx);
    tx.begin_change();
    if (is_last) {
        wake_all(tx, round_event);
        tx.store(n.arrived, 0);
        tx.store(n.round, mine.round + 1);
    } else {
        tx.store(n.arrived, mine.index + 1);
    }
    tx.commit();
    return mine;
}

// Committed before the arrival: a member that has not come yet is one that is enrolled.
void barrier::be_member(root_transaction& tx) const {
    barrier_node& n = node_ref();
    const std::uint64_t self = tx.in().participant_number();
    const std::span<barrier_member> members = members_of(tx, n);
    if (find_member(members, self) != nullptr) return;
    barrier_member* place = find_member(members, 0);
    if (place == nullptr) place = &add_places(tx, n.members, n.member_count, members, most_barrier_members);
    tx.begin_change();
    tx.store(place->participant, self);
    tx.store(place->pid, own_pid(tx.in()));
    tx.store(place->has_ended, 0);
    tx.commit();
}

// The round that fills fails, with what else the caller changes before the commit.
void barrier::fail(root_transaction& tx, barrier_end end, std::uint32_t culprit) const {
    barrier_node& n = node_ref();
    tx.begin_change();
    wake_all(tx, round_event);
    tx.store(n.failed_before, n.failed);
    tx.store(n.failed, n.round);
    tx.store(n.round, n.round + 1);
    tx.store(n.arrived, 0);
    tx.store(n.end, static_cast<std::uint32_t>(end));
    tx.store(n.culprit, culprit);
}

void barrier::break_by(root_transaction& tx, barrier_end end, std::uint32_t culprit) const {
    fail(tx, end, culprit);
    tx.store(node_ref().is_broken, 1);
    tx.commit();
}

void barrier::honour_mark(root_transaction& tx) const {
    if (is_left(slot(), node_ref()) && node_ref().is_broken == 0) break_by(tx, barrier_end::timed_out, 0);
}

// At a tick, without the lock: true when the round was ended.
bool barrier::look_around() const {
    barrier_node& n = node_ref();
    if (is_left(slot(), n)) {
        root_transaction tx(in(), slot(), generation());
        honour_mark(tx);
        return true;
    }
    // 1. Who is dead, without the lock: that asks the system.
    std::vector<std::uint64_t> dead;
    for (const barrier_member& each : copy_members(in(), slot(), generation(), node()))
        if (each.participant != 0 && !is_participant_alive(in(), each.participant))
            dead.push_back(each.participant);
    if (dead.empty()) return false;
    // 2. Whether they still take part, under it. Numbers are never used again, so they are as dead as they were.
    root_transaction tx(in(), slot(), generation());
    if (n.is_broken != 0) return true;
    const barrier_member* first = nullptr;
    for (const std::uint64_t each : dead) {
        barrier_member* const found = find_member(members_of(tx, n), each);
        if (found == nullptr) continue;
        if (first == nullptr) first = found;
        tx.publish(found->has_ended, 1);
    }
    if (first == nullptr) return false;
    break_by(tx, barrier_end::died, first->pid);
    return true;
}

// The time is up: unless the round is over by now, it has failed. Where the lock cannot be had, a mark says so.
void barrier::break_round(arrival& mine) const {
    const operation_limit limit = {already_over, nullptr};
    barrier_node& n = node_ref();
    try {
        const limited_locks in_time(limit);
        root_transaction tx(in(), slot(), generation());
        if (n.round == mine.round) break_by(tx, barrier_end::timed_out, own_pid(tx.in()));
        mine.why = describe_end(tx);
        mine.has_passed = has_passed(n, mine.round);
    } catch (const limit_reached&) {
        store_word(slot().given_up, mine.round);
        std::atomic_thread_fence(std::memory_order_seq_cst);  // the look at the round comes after
        mine.why = "the time was up";
        mine.has_passed = load_word(n.round) != mine.round && has_passed(n, mine.round);
    } catch (...) {
        throw;  // as above
    }
}

std::string barrier::describe_end(root_transaction& tx) const {
    const barrier_node& n = node_ref();
    const std::string who = "pid " + std::to_string(n.culprit);
    switch (static_cast<barrier_end>(n.end)) {
        case barrier_end::died: {
            std::string all;
            for (const barrier_member& each : members_of(tx, n))
                if (each.participant != 0 && each.has_ended != 0)
                    all += (all.empty() ? "pid " : ", pid ") + std::to_string(each.pid);
            return (all.empty() ? who : all) + " has taken part, and has ended";
        }
        case barrier_end::timed_out:
            return n.culprit == 0 ? "the time of one of those who waited was up"
                                  : "the time of " + who + " was up";
        case barrier_end::aborted: return who + " has called abort()";
        case barrier_end::reset: return who + " has called reset()";
        case barrier_end::none: break;
    }
    return "for no reason that is known";
}

void barrier::throw_broken(const std::string& why) const {
    throw broken_barrier("wait for " + describe_object(in(), slot()) + ": it is broken: " + why);
}

// ---- what else is done with it -----------------------------------------------------------------------------------------

void barrier::abort() const {
    require_writable();
    root_transaction tx(in(), slot(), generation());
    if (node_ref().is_broken == 0) break_by(tx, barrier_end::aborted, own_pid(in()));
}

void barrier::reset() const {
    require_writable();
    root_transaction tx(in(), slot(), generation());
    barrier_node& n = node_ref();
    const std::span<barrier_member> members = members_of(tx, n);
    tx.begin_change();
    if (n.arrived != 0) fail(tx, barrier_end::reset, own_pid(in()));
    if (n.members != 0) {
        deallocate(tx, n.members, members.size_bytes());
        tx.store(n.members, 0);
        tx.store(n.member_count, 0);
    }
    tx.store(n.is_broken, 0);
    tx.commit();
}

void barrier::enroll() const {
    require_writable();
    root_transaction tx(in(), slot(), generation());
    honour_mark(tx);
    if (node_ref().is_broken != 0) throw_broken(describe_end(tx));
    be_member(tx);
}

bool barrier::broken() const {
    const bool is_broken = load_word(node_ref().is_broken) != 0 || is_left(slot(), node_ref());
    require_there();
    return is_broken;
}

std::size_t barrier::parties() const {
    const std::size_t count = load_word(node_ref().parties);
    require_there();
    return count;
}

std::size_t barrier::waiting() const {
    const std::size_t count = load_word(node_ref().arrived);
    require_there();
    return count;
}

void barrier::append_repr_to(std::string& text) const {
    const bool is_broken = broken();
    text += "barrier(";
    text += is_broken ? "broken" : std::to_string(waiting()) + " of " + std::to_string(parties());
    text += ')';
}

void barrier::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI
