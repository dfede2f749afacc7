// root_transaction.cpp - entering a root and leaving it, and transactions inside one of the user's. What undoes them, and what they
// log, is in root_recovery.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/txn/root_transaction.hpp"

#include <exception>

#include "segment/extents.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/segment_guard.hpp"
#include "segment/trimming.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

void throw_gone(const segment& s, const root_slot& slot) {
    if (is_poisoned(slot)) {
        throw object_poisoned("use of " + describe_object(s, slot) + ": damaged beyond repair (reason " +
                              std::to_string(slot.poison_reason) + "); remove it with `shmctl rm`");
    }
    throw object_gone("use of an object in " + describe_segment(s) +
                      ": it was removed; get a new handle from the manager");
}

undo_log root_log(root_slot& slot) noexcept {
    return {&slot.log_head, slot.log, root_log_bytes, &slot};
}

namespace {

constexpr const char* inside_hint =
    "this thread is inside another operation (a callback, a transaction of another object, or what a signal "
    "handler has interrupted) and would wait for itself; do it after that operation, or, if both are of this "
    "object, use `transaction`";

constexpr const char* held_hint =
    "this thread holds it, and would wait for itself; give it back with unlock() before";

constexpr const char* other_copy_hint = "this thread is inside an operation on it that another copy of Cairn "
                                        "in this process has begun, and would wait for "
                                        "itself; do it after that operation";

[[noreturn]] void throw_inside(const char* what, const segment& s, const root_slot& slot,
                               const char* hint = inside_hint) {
    throw would_deadlock(std::string(what) + " " + describe_object(s, slot) + ": " + hint);
}

}  // namespace

root_transaction::root_transaction(segment_guard& guard, root_slot& slot)
    : segment_(guard.in()), slot_(slot), building_(&guard), area_(slot.log), role_(role::building) {
    outer = this_thread.open;
    this_thread.open = this;
}

root_transaction::root_transaction(segment& s, root_slot& slot)
    : segment_(s), slot_(slot), area_(slot.log), role_(role::building) {
    CAIRN_CHECK(this_thread.open != nullptr, "the builder is inside its operation");
    outer = this_thread.open;
    this_thread.open = this;
}

root_transaction::root_transaction(segment& s, root_slot& slot, std::uint64_t generation,
                                   root_transaction* before)
    : segment_(s), slot_(slot), area_(slot.log) {
    enter_behind(before, generation);
}

root_transaction::root_transaction(segment& s, root_slot& slot, std::uint64_t generation, inside_another)
    : segment_(s), slot_(slot), area_(slot.log) {
    enter_behind(this_thread.open, generation);
}

void root_transaction::enter_behind(open_transaction* before, std::uint64_t generation) {
    require_usable_thread();
    int result = EDEADLK;
    if (this_thread.open == before) {
        outer = before;
        this_thread.open = this;
        order_stores();
        result = try_lock(slot_.lock, segment_.own_token());
    }
    if (result != 0 || load_word(slot_.log_head) != 0 || load_word(slot_.generation) != generation ||
        !is_live(slot_))
        enter_slowly(result, generation);
}

void root_transaction::enter_slowly(int lock_result, std::uint64_t generation) {
    int result = lock_result;
    if (result == EDEADLK && this_thread.open != this) {
        if (join(generation)) return;
        throw_inside("use of", segment_, slot_);
    }
    const lock_limit limit = limit_in(segment_);
    if (result == EBUSY && load_word(slot_.generation) != generation) {
        // Gone for ever. Who holds the lock may be making the next object here, which can take long.
        this_thread.open = outer;
        throw_gone(segment_, slot_);
    }
    if (result == EBUSY) {
        const lock_watch watch(slot_.lock);
        result = lock_contended(slot_.lock, segment_.own_token(), limit, judge_of(segment_));
        if (result == 0 || result == EOWNERDEAD)
            store_word(slot_.contended_count, load_word(slot_.contended_count) + 1);
        if (result == EDEADLK) {
            this_thread.open = outer;
            const auto kind = static_cast<object_kind>(load_word(slot_.kind));
            throw_inside("use of", segment_, slot_, is_users_lock(kind) ? held_hint : other_copy_hint);
        }
        if (result == ETIMEDOUT || result == ECANCELED) {
            this_thread.open = outer;
            if (result == ECANCELED) throw limit_reached();
            watch.throw_timeout("use of " + describe_object(segment_, slot_));
        }
    }
    if (result != 0 && result != EOWNERDEAD) {
        this_thread.open = outer;
        throw_corrupt(segment_, "the lock of an object is not a lock");
    }
    const bool owner_died = result == EOWNERDEAD;
    bool is_whole = false;
    try {
        head_ = load_word(slot_.log_head);
        if (owner_died || head_ != 0) recover(owner_died);
        is_whole = true;
        if (load_word(slot_.generation) != generation || !is_live(slot_)) throw_gone(segment_, slot_);
    } catch (...) {
        leave_without_entering(is_whole || is_poisoned(slot_));
        throw;
    }
    if (owner_died) say_holder(slot_.lock, segment_.own_token());
}

root_transaction::root_transaction(segment& s, root_slot& slot, std::uint64_t generation, int lock_result)
    : segment_(s), slot_(slot), area_(slot.log) {
    if (lock_result != EDEADLK) this_thread.open = this;
    enter_slowly(lock_result, generation);
}

void single_store::enter_slowly(segment& s, std::uint64_t generation, int lock_result) {
    // Nor does it join a transaction: what it stores is not logged.
    if (lock_result == EDEADLK) throw_inside("use of", s, slot_);
    root_transaction full(s, slot_, generation, lock_result);
    // Entered: the lock and the mark are this writer's from now on.
    full.hand_over();
    this_thread.open = this;
}

void root_transaction::leave_without_entering(bool is_whole) noexcept {
    if (is_whole) unlock(slot_.lock);
    else unlock_unfinished(slot_.lock);  // its holder is still the one who died
    order_stores();
    this_thread.open = outer;
}

void root_transaction::leave_slowly() noexcept {
    if (open_transaction::is_inert) return;  // the parent's: neither lock nor log nor mark are this process's
    if (role_ == role::building) {
        this_thread.open = outer;
        return;
    }
    if (role_ == role::joined) return leave_joined();
    bool is_finished = true;
    const bool gives_back = (head_ != 0 && unsettled_) || undone_;
    try {
        if (is_poisoned(slot_)) {
            // What is left of it is not followed.
        } else if (head_ != 0) roll_back();
        else if (unsettled_) settle_in_any_case();
    } catch (const limit_reached&) {
        is_finished = false;
    } catch (const timeout_error&) {
        is_finished = false;
    } catch (...) {
        // Damaged: the root is poisoned, and says so to the next user.
    }
    // Also of what is left unfinished: its contents are whole, only pages are to be given back.
    if (!is_poisoned(slot_)) make_even(slot_);
    if (is_finished) {
        unlock(slot_.lock);
    } else {
        store_word(slot_.lock.holder, 0);  // nobody has died
        unlock_unfinished(slot_.lock);
    }
    order_stores();
    this_thread.open = outer;
    if (gives_back && is_finished) give_back_growth(segment_, pages_before_);
}

void root_transaction::throw_inert(const segment& s, const root_slot& slot) {
    throw invalid_state(
        "use of " + describe_object(s, slot) +
        ": this operation was begun by the parent of this forked process, and is its parent's alone");
}

// ---- inside a transaction of the user's ------------------------------------------------------------------------------

root_transaction* joinable(const root_slot& slot) noexcept {
    open_transaction* const open = this_thread.open;
    if (open == nullptr || !open->may_be_joined) return nullptr;
    // Only transactions of roots say that they may be joined.
    auto* const inner = static_cast<root_transaction*>(open);
    if (&inner->slot_ == &slot) return inner;
    if (!inner->joining_.is_second) return nullptr;
    auto* const first = static_cast<root_transaction*>(open->outer);
    return &first->slot_ == &slot ? first : nullptr;
}

void root_transaction::let_join(std::vector<freed_block>& freed, bool is_second) noexcept {
    if (role_ == role::alone) joining_.freed = &freed;
    joining_.is_second = is_second;
    order_stores();
    open_transaction::may_be_joined = true;  // by a signal handler, too, from here on
}

void root_transaction::end_joining() noexcept {
    open_transaction::may_be_joined = false;
    order_stores();
}

// An operation inside may have failed to be rolled back.
void root_transaction::require_sound() const {
    if (!is_live(slot_)) throw_gone(segment_, slot_);
}

bool root_transaction::join(std::uint64_t generation) {
    root_transaction* const joined = joinable(slot_);
    if (joined == nullptr) return false;
    root_transaction& around = *joined;
    if (load_word(slot_.generation) != generation || !is_live(slot_)) throw_gone(segment_, slot_);
    // From here on a signal handler that interrupts this one joins nothing.
    outer = this_thread.open;
    this_thread.open = this;
    order_stores();
    try {
        around.begin_change();
        around.ensure_log_is_open();
    } catch (...) {
        this_thread.open = outer;
        throw;
    }
    role_ = role::joined;
    head_ = around.head_;
    area_ = around.area_;
    area_bytes_ = around.area_bytes_;
    unsettled_ = around.unsettled_;
    pages_before_ = around.pages_before_;
    joining_.around = &around;
    joining_.freed = around.joining_.freed;
    joining_.began = joining_.saved = here();
    joining_.exceptions = std::uncaught_exceptions();
    return true;
}

void root_transaction::leave_joined() noexcept {
    // What it has committed before it failed goes, too: an operation happens whole or not at all.
    const bool is_done = is_at(joining_.saved) && std::uncaught_exceptions() == joining_.exceptions;
    try {
        if (!is_done && !is_poisoned(slot_)) roll_back_to(joining_.began);
    } catch (...) {
        // Damaged: the root is poisoned, which the next operation says, or the commit of the transaction.
    }
    root_transaction& around = *joining_.around;
    around.head_ = head_;
    around.area_ = area_;
    around.area_bytes_ = area_bytes_;
    around.unsettled_ = unsettled_;
    around.pages_before_ = pages_before_;
    if (is_poisoned(slot_)) around.changing_ = false;  // the version stays odd
    order_stores();
    this_thread.open = outer;
}

root_transaction::savepoint root_transaction::here() const noexcept {
    return {head_, area_, area_bytes_, load_word(slot_.extents), joining_.freed->size()};
}

// Pages are taken without a record of their own, and freeing is only remembered.
bool root_transaction::is_at(const savepoint& point) const noexcept {
    return head_ == point.head && load_word(slot_.extents) == point.extents &&
           joining_.freed->size() == point.freed_count;
}

// Who acts on what it has read compares the version under the lock; inside a transaction, too.
void root_transaction::begin_change_specially() noexcept {
    if (role_ == role::building) return;  // nobody reads what is being built
    changing_ = true;
    store_word(slot_.version, load_word(slot_.version) + 2);
}

void root_transaction::commit_specially() {
    // A stored operation is not decided by its first commit here: its steps need memory for the log.
    if (role_ == role::joined && load_word(slot_.operation.kind) == 0) joining_.saved = here();
}

void root_transaction::free_later(segment_offset block, std::uint64_t bytes) {
    joining_.freed->push_back({block, bytes});
}

void root_transaction::log_joined(void* place, std::uint64_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(place) / 8 * 8;
    const auto end = (reinterpret_cast<std::uintptr_t>(place) + bytes + 7) / 8 * 8;
    log(reinterpret_cast<void*>(begin), end - begin);
}

// As repair(), of a part of the log. A death after any store: the log is not empty, and all of it is undone.
void root_transaction::undo(segment_guard& guard, const savepoint& back) {
    // 1. Old bytes back.
    const std::int64_t undone = replay_backwards(segment_, root_log(slot_), back.head);
    if (undone < 0) {
        poison(poisoned_log);
        throw_gone(segment_, slot_);
    }
    // release: who looks without the lock and sees this number sees the old bytes
    __atomic_store_n(&slot_.rolled_back_count, load_word(slot_.rolled_back_count) + 1, __ATOMIC_RELEASE);
    store_word(slot_.last_undone_bytes, static_cast<std::uint64_t>(undone));
    order_stores();
    // 2. Out of the log, before the pages that it names are somebody else's.
    store_word(slot_.log_head, back.head);
    order_stores();
    head_ = back.head;
    area_ = back.area;
    area_bytes_ = back.area_bytes;
    joining_.freed->resize(back.freed_count);
    // 3. Extents that were taken since, the log's own among them, back to the segment.
    while (load_word(slot_.extents) != back.extents) {
        give_back_extent(guard, &slot_, slot_.extents - 1);
        guard.commit();
    }
}

void root_transaction::roll_back_to(const savepoint& back) {
    if (is_at(back)) return;
    // A part of it cannot be left to the next locker: it has to be finished, however long that takes.
    const unlimited_locks however_long;
    try {
        segment_guard guard(segment_);
        undo(guard, back);
    } catch (const error&) {
        if (is_live(slot_)) poison(poisoned_extents);
        throw;
    }
}

void require_outside(const char* what, const segment& s, const root_slot& slot, const char* hint) {
    if (this_thread.open != nullptr) throw_inside(what, s, slot, may_join(slot) ? hint : inside_hint);
}

}  // namespace cairn::inline CAIRN_ABI::detail
