// SPDX-License-Identifier: BSL-1.0
#include "cairn/shared_mutex.hpp"

#include <algorithm>
#include <optional>
#include <stop_token>

#include "os/processors.hpp"
#include "segment/internals.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/participants.hpp"
#include "segment/segment_guard.hpp"
#include "txn/root_pin.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/txn/events.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace {

// Of readers that go out while a writer waits. The first one says how many threads starve at the lock.
constexpr std::uint32_t reader_left_event = 1;

// What a reader of a short section needs, which is less than a sleep costs.
constexpr std::chrono::microseconds longest_look{20};

constexpr std::uint32_t count_bits = 8;
constexpr std::uint32_t most_counted = (1U << count_bits) - 1;

// seq_cst, all four: of a reader that says it is in and looks for a writer, and a writer that says it comes and looks for readers,
// one sees the other. The same for a reader that goes, and a writer that is about to sleep.
std::uint32_t load_in_order(const std::uint32_t& word) noexcept {
    return __atomic_load_n(&word, __ATOMIC_SEQ_CST);
}
void store_in_order(std::uint32_t& word, std::uint32_t value) noexcept {
    __atomic_store_n(&word, value, __ATOMIC_SEQ_CST);
}
bool swap_in_order(std::uint32_t& word, std::uint32_t& seen, std::uint32_t value) noexcept {
    return __atomic_compare_exchange_n(&word, &seen, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool is_stage(std::uint32_t writer, writer_stage stage) noexcept {
    return writer == static_cast<std::uint32_t>(stage);
}

// What stands for a lock in the lines of processes.
std::uint32_t number_of(const segment& s, const root_slot& slot) noexcept {
    return s.slot_number(slot) + 1;
}

std::uint32_t count_in(std::uint32_t place, std::uint32_t number) noexcept {
    return place >> count_bits == number ? place & most_counted : 0;
}

// Two threads may take two places for one lock, which is as good.
bool come_in(participant_slot& own, std::uint32_t number) noexcept {
    for (std::uint32_t i = 0; i < shared_lock_places; ++i) {
        std::uint32_t& place = own.shared_locks[(number + i) % shared_lock_places];
        std::uint32_t seen = load_word(place);
        while (seen == 0 || (seen >> count_bits == number && (seen & most_counted) != most_counted))
            if (swap_in_order(place, seen, seen == 0 ? number << count_bits | 1 : seen + 1)) return true;
    }
    return false;
}

bool go_out(participant_slot& own, std::uint32_t number) noexcept {
    for (std::uint32_t i = 0; i < shared_lock_places; ++i) {
        std::uint32_t& place = own.shared_locks[(number + i) % shared_lock_places];
        std::uint32_t seen = load_word(place);
        while (seen >> count_bits == number)
            if (swap_in_order(place, seen, (seen & most_counted) == 1 ? 0 : seen - 1)) return true;
    }
    return false;
}

// fn(line, count) of each process that says it reads, until fn returns true. Whether it did.
template <typename Fn>
bool for_each_reader(const segment& s, const root_slot& slot, const Fn& fn) noexcept {
    const std::uint32_t number = number_of(s, slot);
    const std::uint32_t used =
        std::min(load_in_order(s.control().used_participants), s.header().participant_count);
    for (std::uint32_t i = 0; i < used; ++i) {
        const participant_slot& line = participant_at(s, i);
        const std::uint32_t count = count_shared_locks(line, number);
        // A process claims the slot before it says anything there.
        if (count != 0 && load_word(line.identity) != 0 && fn(line, count)) return true;
    }
    return false;
}

bool says_anybody_reads(const segment& s, const root_slot& slot) noexcept {
    return for_each_reader(s, slot, [](const participant_slot&, std::uint32_t) { return true; });
}

// The process of one that lives; 0: there is none.
pid_t find_reader(const segment& s, const root_slot& slot) noexcept {
    pid_t found = 0;
    for_each_reader(s, slot, [&](const participant_slot& line, std::uint32_t) {
        if (has_left(s, line)) return false;
        found = os::pid_of(load_word(line.identity));
        return found != 0;
    });
    return found;
}

// Where some are dead: what they say is not looked at again.
bool have_all_left(segment& s, const root_slot& slot) noexcept {
    if (find_reader(s, slot) != 0) return false;
    forget_dead_participants(s);
    return true;
}

[[noreturn]] void throw_readers(const segment& s, const root_slot& slot, std::chrono::nanoseconds waited) {
    std::string text =
        "lock of " + describe_object(s, slot) + ": its readers were not out within " + in_seconds(waited);
    if (const pid_t reader = find_reader(s, slot); reader != 0) {
        text += ": " + describe_holder(static_cast<std::uint32_t>(reader)) + " is in";
    }
    throw timeout_error(text);
}

struct wakes_writer {
    root_slot& slot;
    void operator()() const noexcept { disturb_sleepers(slot, reader_left_event); }
};

}  // namespace

namespace detail {

std::string check_shared_mutex_node(const shared_mutex_node& node) {
    if (load_word(node.writer) > static_cast<std::uint32_t>(writer_stage::is_in))
        return "shared_mutex: its writer is nowhere";
    if (load_word(node.died) > 1) return "shared_mutex: its writer has neither died nor not";
    return check_mutex_node(node.lock, object_kind::mutex);
}

std::string check_shared_mutex(const segment& s, const shared_mutex_node& node, arena_audit& audit) {
    audit.reached(s.offset_of(&node), sizeof node);
    return check_shared_mutex_node(node);
}

std::uint32_t count_shared_locks(const participant_slot& of, std::uint32_t number) noexcept {
    std::uint32_t count = 0;
    for (const std::uint32_t& place : of.shared_locks) count += count_in(load_in_order(place), number);
    return count;
}

std::uint32_t count_readers(const segment& s, const root_slot& slot) noexcept {
    std::uint32_t all = 0;
    for_each_reader(s, slot, [&](const participant_slot& line, std::uint32_t count) {
        if (!has_left(s, line)) all += count;
        return false;
    });
    return all;
}

}  // namespace detail

void shared_mutex::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<shared_mutex_node>(node);
    if (found == nullptr || !check_shared_mutex_node(*found).empty())
        throw_corrupt(s, "the node of a shared_mutex makes no sense");
}

segment_offset shared_mutex::create(root_transaction& tx) {
    if (number_of(tx.in(), tx.slot()) >= 1U << (32 - count_bits))
        throw segment_full("create a shared_mutex in " + describe_segment(tx.in()) +
                           ": it has too many objects");
    const segment_offset offset = allocate(tx, sizeof(shared_mutex_node));
    zero_shared(tx.in().at<shared_mutex_node>(offset), sizeof(shared_mutex_node));
    // A stale count of starving threads would make the first newcomer sleep for nothing.
    store_word(tx.slot().events[0].waiters, 0);
    store_word(tx.slot().events[reader_left_event].waiters, 0);
    return offset;
}

// ---- writers -----------------------------------------------------------------------------------------------------------

bool shared_mutex::take_lock(steady_time deadline, const std::stop_token& stop) const {
    if (deadline == at_once) return lock_.try_lock();
    if (deadline != no_deadline) return lock_.try_lock_until(deadline, stop);
    if (stop.stop_possible()) return lock_.lock(stop);
    lock_.lock();
    return true;
}

// What a dead owner of the lock has left. A death between the two stores: the next one does the same.
void shared_mutex::take_over() const noexcept {
    shared_mutex_node& n = node_ref();
    const std::uint32_t writer = load_word(n.writer);
    if (is_stage(writer, writer_stage::none)) return;
    if (is_stage(writer, writer_stage::is_in)) store_word(n.died, 1);
    order_stores();
    store_word(n.writer, static_cast<std::uint32_t>(writer_stage::none));
    order_stores();
}

void shared_mutex::open() const noexcept {
    // release: readers that see it see what was written
    __atomic_store_n(&node_ref().writer, static_cast<std::uint32_t>(writer_stage::none), __ATOMIC_RELEASE);
    lock_.unlock();
}

bool shared_mutex::wait_for_readers(steady_time deadline, const std::stop_token& stop) const {
    if (!says_anybody_reads(in(), slot())) return true;
    if (deadline == at_once) return have_all_left(in(), slot());
    // 1. By looking.
    if (os::processor_count() > 1) {
        const steady_time end = std::chrono::steady_clock::now() + longest_look;
        do {
            pause_reader();
            if (!says_anybody_reads(in(), slot())) return true;
        } while (std::chrono::steady_clock::now() < end);
    }
    // 2. By sleeping, to the next tick at most: who dies wakes nobody.
    const operation_limit own = {deadline, stop.stop_possible() ? &stop : nullptr};
    const limited_locks in_time(own);
    const lock_limit limit = limit_in(in());
    limited_wait wait(limit);
    std::optional<std::stop_callback<wakes_writer>> on_stop;
    if (stop.stop_possible()) on_stop.emplace(stop, wakes_writer{slot()});
    stored_event_count& left = slot().events[reader_left_event];
    bool is_late = false;
    for (;;) {
        store_in_order(left.waiters, 1);
        const std::uint32_t sequence = load_in_order(left.sequence);
        if (have_all_left(in(), slot())) break;
        const wait_end end = wait.is_over();
        is_late = end != wait_end::none;
        if (end == wait_end::patience && deadline == no_deadline) {
            store_word(left.waiters, 0);
            throw_readers(in(), slot(), wait.so_far());
        }
        if (is_late) break;
        sleep(slot(), reader_left_event, sequence, wait.next_look(std::chrono::seconds(1)));
    }
    store_word(left.waiters, 0);
    return !is_late;
}

bool shared_mutex::lock_before(steady_time deadline, const std::stop_token& stop) const {
    if (!take_lock(deadline, stop)) return false;
    take_over();
    shared_mutex_node& n = node_ref();
    store_in_order(n.writer, static_cast<std::uint32_t>(writer_stage::comes));
    bool is_alone = false;
    try {
        is_alone = wait_for_readers(deadline, stop);
    } catch (...) {
        open();
        throw;
    }
    if (!is_alone) {
        open();
        return false;
    }
    store_word(n.writer, static_cast<std::uint32_t>(writer_stage::is_in));
    order_stores();
    return true;
}

void shared_mutex::unlock() const {
    // It says why not.
    if (!lock_.is_owned()) return lock_.unlock();
    store_word(node_ref().died, 0);
    order_stores();
    open();
}

shared_mutex::leaves_unless_repaired::~leaves_unless_repaired() {
    try {
        if (of_.lock_.is_owned() && load_word(of_.node_ref().died) != 0) of_.open();
    } catch (const error&) {
        // It was removed: nobody's any more.
    }
}

// ---- readers -----------------------------------------------------------------------------------------------------------

bool shared_mutex::share_before(steady_time deadline, const std::stop_token& stop) const {
    require_writable();
    require_usable_thread();
    if (this_thread.open != nullptr) require_outside("lock_shared of", in(), slot(), "");
    participant_slot* const own = in().internals().participant.load();
    if (own == nullptr) throw_not_writable(in(), "lock_shared of " + describe_object(in(), slot()));
    const std::uint32_t number = number_of(in(), slot());
    const auto refuse = [&] {
        throw invalid_state("lock_shared of " + describe_object(in(), slot()) +
                            ": this process has no more places for locks that it reads under: " +
                            std::to_string(shared_lock_places) + " different ones, " +
                            std::to_string(most_counted) + " times each");
    };
    // 1. In, unless there is a writer. Another lock that has this one's place has no reader by that.
    if (!come_in(*own, number)) refuse();
    if (is_stage(load_in_order(node_ref().writer), writer_stage::none) &&
        load_word(slot().generation) == generation() && is_live(slot()))
        return true;
    unlock_shared();
    // 2. As the owner of the lock, when there can be none.
    if (!take_lock(deadline, stop)) return false;
    take_over();
    const bool has_room = come_in(*own, number);
    lock_.unlock();
    if (!has_room) refuse();
    return true;
}

void shared_mutex::unlock_shared() const {
    participant_slot* const own = in().internals().participant.load();
    if (own == nullptr || !go_out(*own, number_of(in(), slot()))) {
        throw invalid_state("unlock_shared of " + describe_object(in(), slot()) +
                            ": this process has none of its shared locks");
    }
    if (load_word(slot().generation) != generation()) return;
    if (is_stage(load_in_order(node_ref().writer), writer_stage::comes) &&
        load_in_order(slot().events[reader_left_event].waiters) != 0)
        disturb_sleepers(slot(), reader_left_event);
}

// ---- what it is like ---------------------------------------------------------------------------------------------------

bool shared_mutex::owner_died() const {
    const bool died = load_word(node_ref().died) != 0;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation()) throw_gone(in(), slot());
    return died;
}

void shared_mutex::mark_consistent() const {
    if (!lock_.is_owned()) return lock_.mark_consistent();
    store_word(node_ref().died, 0);
}

bool shared_mutex::is_locked() const {
    const bool has_writer = is_stage(load_word(node_ref().writer), writer_stage::is_in);
    return lock_.is_locked() && has_writer;
}

bool shared_mutex::is_owned() const {
    return lock_.is_owned();
}

std::uint32_t shared_mutex::readers() const {
    const std::uint32_t all = count_readers(in(), slot());
    if (load_word(slot().generation) != generation()) throw_gone(in(), slot());
    return all;
}

void shared_mutex::append_repr_to(std::string& text) const {
    const std::uint32_t all = readers();
    text += "shared_mutex(";
    if (is_locked()) text += "held by " + describe_thread(in(), load_word(slot().lock.holder));
    else if (all != 0) text += std::to_string(all) + (all == 1 ? " reader" : " readers");
    else text += "free";
    text += ')';
}

void shared_mutex::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI
