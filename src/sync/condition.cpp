// SPDX-License-Identifier: BSL-1.0
#include "cairn/condition.hpp"

#include <algorithm>
#include <atomic>
#include <span>
#include <vector>

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

constexpr std::uint32_t notified_event = 0;

std::span<condition_waiter> waiters_of(root_transaction& tx, const condition_node& node) {
    const std::span<condition_waiter> waiters = find_condition_waiters(tx.in(), node);
    if (waiters.size() != load_word(node.waiter_count)) throw_damaged(tx.in(), tx.slot());
    return waiters;
}

// Each sleeps with a bit of its own, as far as there are enough.
constexpr std::uint32_t bit_of(std::uint64_t ticket) noexcept {
    return std::uint32_t{1} << ticket % 32;
}

bool is_waiting(const condition_waiter& each, const condition_node& node) noexcept {
    return each.thread != 0 && each.ticket >= node.released;
}

struct whose_turn {
    std::uint64_t released;  // what that is to become
    std::uint32_t bits = 0;  // of those who wait and have a smaller ticket
    int count = 0;           // how many they are
};

whose_turn everybody_of(root_transaction& tx, const condition_node& node) {
    whose_turn turn{.released = node.began};
    for (const condition_waiter& each : waiters_of(tx, node)) {
        if (!is_waiting(each, node)) continue;
        turn.bits |= bit_of(each.ticket);
        ++turn.count;
    }
    return turn;
}

// The `count` of them who have waited longest, or all that there are.
whose_turn longest_of(root_transaction& tx, const condition_node& node, std::uint64_t count) {
    const std::span<condition_waiter> waiters = waiters_of(tx, node);
    if (count >= waiters.size()) return everybody_of(tx, node);
    if (count == 1) {
        const condition_waiter* longest = nullptr;
        for (const condition_waiter& each : waiters)
            if (is_waiting(each, node) && (longest == nullptr || each.ticket < longest->ticket))
                longest = &each;
        if (longest == nullptr) return {.released = node.began};
        return {.released = longest->ticket + 1, .bits = bit_of(longest->ticket), .count = 1};
    }
    std::vector<std::uint64_t> tickets;
    for (const condition_waiter& each : waiters)
        if (is_waiting(each, node)) tickets.push_back(each.ticket);
    if (count >= tickets.size()) return everybody_of(tx, node);
    const auto last = tickets.begin() + static_cast<std::ptrdiff_t>(count - 1);
    std::nth_element(tickets.begin(), last, tickets.end());
    whose_turn turn{.released = *last + 1};
    for (auto each = tickets.begin(); each <= last; ++each) turn.bits |= bit_of(*each);
    turn.count = static_cast<int>(count);
    return turn;
}

condition_waiter* find_waiter(std::span<condition_waiter> waiters, thread_token thread,
                              std::uint64_t ticket) noexcept {
    for (condition_waiter& each : waiters)
        if (each.thread == thread && each.ticket == ticket) return &each;
    return nullptr;
}

// What this thread has left behind where it could not have the lock, or a free one.
condition_waiter* find_waiting_place(std::span<condition_waiter> waiters, thread_token own) noexcept {
    condition_waiter* found = nullptr;
    for (condition_waiter& each : waiters) {
        if (each.thread == own) return &each;
        if (each.thread == 0 && found == nullptr) found = &each;
    }
    return found;
}

// Somebody's time was up while the lock could not be had. Whose record that is nobody knows; whoever is notified next may be the one.
bool has_mark(root_slot& slot) noexcept {
    // seq_cst: pairs with set_mark(); of a mark and a publication one is seen by the other
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return load_word(slot.given_up) != 0;
}
void set_mark(root_slot& slot) noexcept {
    store_word(slot.given_up, 1);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the look at `released` comes after
}

std::vector<condition_waiter> copy_waiters(segment& s, root_slot& slot, std::uint64_t generation,
                                           segment_offset node, std::uint64_t& released) {
    std::vector<condition_waiter> copy;
    read_root(s, slot, generation, [&](segment& in) {
        const condition_node& seen = *in.at<condition_node>(node);
        const std::span<condition_waiter> waiters = find_condition_waiters(in, seen);
        if (waiters.size() != load_word(seen.waiter_count)) return read_result::torn;
        released = load_word(seen.released);
        copy.resize(waiters.size());
        copy_out(copy.data(), waiters.data(), waiters.size_bytes());
        return read_result::done;
    });
    return copy;
}

}  // namespace

namespace detail {

std::span<condition_waiter> find_condition_waiters(const segment& s, const condition_node& node) noexcept {
    return find_places<condition_waiter>(s, node.waiters, node.waiter_count, most_condition_waiters);
}

std::uint64_t count_waiting(std::span<const condition_waiter> waiters, const condition_node& node) noexcept {
    std::uint64_t count = 0;
    for (const condition_waiter& each : waiters)
        if (is_waiting(each, node)) ++count;
    return count;
}

std::string check_condition_node(const condition_node& node) {
    if (load_word(node.waiter_count) > most_condition_waiters)
        return "condition: who waits for it is nowhere";
    return load_word(node.released) > load_word(node.began)
               ? "condition: it has notified more than have waited"
               : "";
}

std::string check_condition(const segment& s, const condition_node& node, arena_audit& audit) {
    if (std::string problem = check_condition_node(node); !problem.empty()) return problem;
    audit.reached(s.offset_of(&node), sizeof node);
    const std::span<condition_waiter> waiters = find_condition_waiters(s, node);
    if (waiters.size() != node.waiter_count || (node.waiters == 0) != waiters.empty())
        return "condition: who waits for it is nowhere";
    if (!waiters.empty()) audit.reached(node.waiters, waiters.size_bytes());
    std::vector<std::uint64_t> tickets;
    for (const condition_waiter& each : waiters) {
        if (each.thread == 0) continue;
        if (each.ticket >= node.began) return "condition: somebody waits with a ticket that nobody was given";
        tickets.push_back(each.ticket);
    }
    std::sort(tickets.begin(), tickets.end());
    if (std::adjacent_find(tickets.begin(), tickets.end()) != tickets.end())
        return "condition: two wait with one ticket";
    return {};
}

}  // namespace detail

void condition::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<condition_node>(node);
    if (found == nullptr || !check_condition_node(*found).empty())
        throw_corrupt(s, "the node of a condition makes no sense");
}

segment_offset condition::create(root_transaction& tx) {
    const segment_offset offset = allocate(tx, sizeof(condition_node));
    zero_shared(tx.in().at<condition_node>(offset), sizeof(condition_node));
    return offset;
}

bool condition::is_owner(const mutex& m) noexcept {
    try {
        return m.is_owned();
    } catch (const error&) {
        return false;
    }
}

// ---- waiting -----------------------------------------------------------------------------------------------------------

bool condition::wait_before(const mutex* m, steady_time deadline, const std::stop_token& stop) const {
    require_writable();
    if (m == nullptr || !m->is_owned())
        throw invalid_state("wait for " + describe_object(in(), slot()) + ": the lock is not held");
    const std::optional<std::uint64_t> ticket = begin(deadline, stop);
    if (!ticket) return false;
    try {
        m->unlock();
        static_cast<void>(sleep_until_notified(*ticket, deadline, stop));
    } catch (...) {
        try {
            lock_again(*m, deadline, stop);
        } catch (...) {
            pass_on(*ticket);
            throw;
        }
        pass_on(*ticket);
        throw;
    }
    try {
        lock_again(*m, deadline, stop);
    } catch (...) {
        pass_on(*ticket);
        throw;
    }
    // Notified only now: one that is killed before has not used it.
    return come_back(*ticket, deadline, stop);
}

// The ticket. Nothing: the time was up before there was one.
std::optional<std::uint64_t> condition::begin(steady_time deadline, const std::stop_token& stop) const {
    const operation_limit limit = {deadline, &stop};
    condition_node& n = node_ref();
    const thread_token own = in().own_token();
    try {
        for (bool may_grow = false;; may_grow = true) {
            {
                const limited_locks in_time(limit);
                root_transaction tx(in(), slot(), generation());
                const std::span<condition_waiter> waiters = waiters_of(tx, n);
                condition_waiter* place = find_waiting_place(waiters, own);
                if (place == nullptr && (may_grow || waiters.empty()))
                    place = &add_places(tx, n.waiters, n.waiter_count, waiters, most_condition_waiters);
                if (place != nullptr) {
                    const std::uint64_t ticket = n.began;
                    tx.begin_change();
                    tx.store(place->thread, own);
                    tx.store(place->ticket, ticket);
                    tx.store(n.began, ticket + 1);
                    tx.commit();
                    return ticket;
                }
            }
            const limited_locks in_time(limit);
            static_cast<void>(pass_on_of_dead(true));
        }
    } catch (const limit_reached&) {
        return std::nullopt;
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
}

bool condition::sleep_until_notified(std::uint64_t ticket, steady_time deadline,
                                     const std::stop_token& stop) const {
    const std::uint64_t& released = node_ref().released;
    const auto is_notified = [&](root_transaction&) { return ticket < load_word(released); };
    // Who has only begun to wait leaves it to its ticks to look for the dead.
    bool is_tick = false;
    const auto look_around = [&] {
        if (!std::exchange(is_tick, true)) return false;
        if (has_mark(slot())) {
            root_transaction tx(in(), slot(), generation());
            release_all(tx);
            return true;
        }
        return pass_on_of_dead(false);
    };
    return attempt_until_done({in(), slot(), generation(), notified_event, released, bit_of(ticket)},
                              deadline, stop, is_notified, look_around);
}

void condition::lock_again(const mutex& m, steady_time deadline, const std::stop_token& stop) const {
    if (m.lock_again(deadline, stop)) return;
    throw timeout_error(
        "wait for " + describe_object(in(), slot()) +
        ": its time is up, and the lock was not to be had again within a second after that: " +
        m.describe_with_holder());
}

// Whether it was notified. The record goes; where the lock cannot be had in time it stays, with a mark.
bool condition::come_back(std::uint64_t ticket, steady_time deadline, const std::stop_token& stop) const {
    const operation_limit limit = {deadline, &stop};
    condition_node& n = node_ref();
    const auto is_notified = [&] { return ticket < load_word(n.released); };
    try {
        const limited_locks in_time(limit);
        root_transaction tx(in(), slot(), generation());
        const bool was_notified = is_notified();
        if (condition_waiter* own = find_waiter(waiters_of(tx, n), in().own_token(), ticket))
            tx.publish(own->thread, 0);
        return was_notified;
    } catch (const limit_reached&) {
    } catch (const timeout_error&) {}
    if (is_notified()) return true;  // nobody is told anything by way of that record any more
    set_mark(slot());
    return is_notified();
}

// For one who does not come back, or with an exception: the next one gets its notification.
void condition::pass_on(std::uint64_t ticket) const noexcept {
    const operation_limit limit = {already_over, nullptr};
    try {
        const limited_locks in_time(limit);
        root_transaction tx(in(), slot(), generation());
        condition_node& n = node_ref();
        condition_waiter* const own = find_waiter(waiters_of(tx, n), in().own_token(), ticket);
        if (own == nullptr) return;
        if (is_waiting(*own, n)) return tx.publish(own->thread, 0);
        const whose_turn next = longest_of(tx, n, 1);
        tx.begin_change();
        static_cast<void>(wake_some(tx, notified_event, next.bits));
        tx.store(own->thread, 0);
        tx.store(n.released, next.released);
        tx.commit();
    } catch (const object_gone&) {
    } catch (...) {
        set_mark(slot());
    }
}

// True when a notification has found another one.
bool condition::pass_on_of_dead(bool of_threads) const {
    condition_node& n = node_ref();
    // 1. Who is dead, without the lock: that asks the system.
    std::uint64_t released = 0;
    std::vector<condition_waiter> dead;
    for (const condition_waiter& each : copy_waiters(in(), slot(), generation(), node(), released)) {
        if (each.thread == 0) continue;
        const bool is_alive = of_threads ? is_thread_alive(in(), each.thread)
                                         : is_participant_alive(in(), participant_of(each.thread));
        if (!is_alive) dead.push_back(each);
    }
    if (dead.empty()) return false;
    // 2. What they still have, under it. Nobody else has their numbers.
    root_transaction tx(in(), slot(), generation());
    bool is_any = false;
    for (const condition_waiter& each : dead) {
        condition_waiter* const found = find_waiter(waiters_of(tx, n), each.thread, each.ticket);
        if (found == nullptr) continue;
        if (is_waiting(*found, n)) {
            tx.publish(found->thread, 0);
            continue;
        }
        const whose_turn next = longest_of(tx, n, 1);
        tx.begin_change();
        static_cast<void>(wake_some(tx, notified_event, next.bits));
        tx.store(found->thread, 0);
        tx.store(n.released, next.released);
        tx.commit();
        is_any = true;
    }
    return is_any;
}

// ---- notifying ---------------------------------------------------------------------------------------------------------

// The mark goes once everybody is notified whose it can be.
void condition::release_all(root_transaction& tx) const {
    condition_node& n = node_ref();
    static_cast<void>(wake_some(tx, notified_event, everybody_of(tx, n).bits));
    tx.publish(n.released, n.began);
    order_stores();
    store_word(slot().given_up, 0);
}

void condition::notify(std::int64_t count) const {
    if (count < 0) throw_argument("notify", "count is " + std::to_string(count) + ", expected 0 or more");
    wake_longest(static_cast<std::uint64_t>(count));
}

void condition::wake_longest(std::uint64_t count) const {
    require_writable();
    condition_node& n = node_ref();
    // 1. Nobody there. acquire: the look at the generation comes after
    if (load_word(n.released) == load_word(n.began)) {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
        if (this_thread.open == nullptr) return;
    }
    bool is_somebody_missing = false;
    {
        root_transaction tx(in(), slot(), generation());
        if (count == 0 || n.released == n.began) return;
        if (has_mark(slot())) return release_all(tx);
        // 2. Their turn.
        const whose_turn turn = longest_of(tx, n, count);
        const int woken = wake_some(tx, notified_event, turn.bits);
        tx.publish(n.released, turn.released);
        if (has_mark(slot())) release_all(tx);
        is_somebody_missing = woken < turn.count;
    }
    // 3. Who does not sleep is awake, or dead: then the next one's turn.
    if (!is_somebody_missing) return;
    try {
        static_cast<void>(pass_on_of_dead(false));
    } catch (const error&) {
        // It was removed since, or its lock is not free: what has been told has been told. The others look at their ticks.
    }
}

std::uint64_t condition::waiting() const {
    condition_node seen{};
    const std::vector<condition_waiter> waiters =
        copy_waiters(in(), slot(), generation(), node(), seen.released);
    return count_waiting(waiters, seen);
}

void condition::append_repr_to(std::string& text) const {
    text += "condition(" + std::to_string(waiting()) + " waiting)";
}

void condition::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI
