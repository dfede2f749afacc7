// root_transaction.hpp - a writer in a root: the lock, the undo log, the version.
//
// The order of a writer's steps matters; a death after each leaves this:
//   1. lock                          nothing happened; the next locker gets EOWNERDEAD and finds an empty log
//   2. version odd (begin_change)    readers fall back to the lock; recovery makes it even
//   3. log, then store, repeatedly   recovery puts the old bytes back
//   4. wake waiters                  they find EOWNERDEAD, recover, and look again
//      pages that were taken         readers without the lock may follow offsets into them from here on (show_up_to)
//   5. commit: log_head = 0          done; recovery only tidies up extents and makes the version even
//   6. version even, unlock
// An operation that publishes with one store (an append) needs neither 2 nor 3: nothing that a reader may look at
// changes but that one word.
//
// Inside a transaction of the user's (containers/user_transaction.hpp) the root_transaction of an operation joins it: the lock, the
// log and the version are those of the transaction around it, and what it commits is a savepoint. Its steps:
//   2. version odd                   by whichever operation is the first; moved on by the others, staying odd
//   3. log, then store, repeatedly   as above. What an operation alone need not log, since nobody could see it, it does log
//                                    where it may have been something when the transaction began: log_if_joined()
//   5. savepoint                     nothing is stored. An operation that ends without it is undone from its beginning
//      freed blocks                  are freed when the transaction around commits: until then nobody gets them
//
// With another root (containers/pair_transaction.hpp) the commit is one store for both, in the root that was locked first: its `committed`
// becomes the number that `decided_number` says in both. Who finds a log compares the two, and takes it back, or forgets it. Until
// that is settled in the second root, `outstanding` of the first one names it: whoever gets the first one's lock from a dead owner
// settles the second before it does anything else, so no other transaction gets the same number meanwhile.
//
// Limits        a lock that is not free in time ends the operation (os/lock_limit.hpp). What is begun by then needs the
//               segment's lock at most for giving back pages: if that cannot be had either, the root is left as by a death
//               after step 3 or 5, and its lock given back as a dead owner's.
//
// Safety        one object, one thread, one scope. What is not committed when it goes out of scope is rolled back, for
//               whatever reason it goes (exception, pthread_exit, cancellation).
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <vector>

#include <cairn/detail/os/thread_state.hpp>
#include <cairn/detail/segment/segment.hpp>
#include <cairn/detail/segment/undo_log.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class segment_guard;

/// A block that is freed when the user's transaction commits.
struct freed_block {
    segment_offset offset;
    std::uint64_t bytes;
};

class root_transaction : private open_transaction {
public:
    /// Locks the root; repairs it if its last holder died. In a transaction of the user's on the same root: joins that.
    /// Throws object_gone (another generation lives there), object_poisoned, would_deadlock (this thread is inside another
    /// operation), refused.
    CAIRN_INLINE root_transaction(segment& s, root_slot& slot, std::uint64_t generation);

    /// Of several roots at once, which are locked in the order of their slots: `before` is the one locked last, if any.
    CAIRN_API root_transaction(segment& s, root_slot& slot, std::uint64_t generation,
                               root_transaction* before);

    /// Inside whatever operation this thread is in. For who has a limit to its lock waits: another thread may hold the two
    /// locks the other way round.
    struct inside_another {};
    CAIRN_API root_transaction(segment& s, root_slot& slot, std::uint64_t generation, inside_another);

    /// A root that is being built: nobody else can see it, so nothing is locked or logged.
    CAIRN_API root_transaction(segment_guard& guard, root_slot& slot);
    /// The same without the segment's lock: this thread holds the root's, outside of transactions.
    CAIRN_API root_transaction(segment& s, root_slot& slot);

    root_transaction(const root_transaction&) = delete;
    root_transaction& operator=(const root_transaction&) = delete;
    CAIRN_INLINE ~root_transaction();

    [[nodiscard]] segment& in() const noexcept { return segment_; }
    [[nodiscard]] root_slot& slot() const noexcept { return slot_; }

    /// Before the first store to something that a reader without the lock may look at.
    CAIRN_INLINE void begin_change();

    /// Records the old bytes and stores.
    template <word T>
    CAIRN_INLINE void store(T& to, std::type_identity_t<T> value);

    /// Records old bytes that the caller is about to overwrite: an aligned word of 1, 2, 4 or 8 bytes, or any number of
    /// bytes at a multiple of 8. May spill into the segment: throws segment_full.
    CAIRN_API void log(void* address, std::uint64_t bytes);

    /// The same, if it has joined another, for a place that nobody can see unless what was there is taken back: beyond the
    /// end of a list, say. To the next multiple of 8 on both sides.
    CAIRN_INLINE void log_if_joined(void* place, std::uint64_t bytes);

    /// So many bytes of old contents go into the log before it takes more pages.
    [[nodiscard]] std::uint64_t room_in_area() const noexcept;

    /// One store: from here on it is done. The transaction goes on with an empty log; the version stays as it is. If it has
    /// joined another: a savepoint.
    CAIRN_INLINE void commit();

    /// Commits a change that is one store of one word, if nothing else was logged; readers see all that came before.
    template <word T>
    CAIRN_INLINE void publish(T& to, std::type_identity_t<T> value);

    /// Stores one word over what readers may look at, as the whole change of this transaction: see single_store.
    CAIRN_INLINE void overwrite(std::uint64_t& to, std::uint64_t value);

    /// A run of pages for this root, in doubt until the commit. Throws segment_full.
    CAIRN_API std::uint32_t take_pages(std::uint32_t count, extent_purpose purpose);
    /// The run from there on, for a large block, if it is free. Only where nothing was logged yet, and in no other transaction.
    bool take_pages_at(std::uint32_t first, std::uint32_t count);
    /// Given back after the commit.
    CAIRN_API void free_pages(std::uint32_t page, std::uint32_t count);

    /// Undoes what was not committed. Also the way in which a dead process's work is undone.
    CAIRN_API void roll_back();

    /// A block that is to be freed with the transaction that this one has joined.
    CAIRN_API void free_later(segment_offset block, std::uint64_t bytes);

    [[nodiscard]] bool is_building() const noexcept { return role_ == role::building; }
    [[nodiscard]] bool has_joined() const noexcept { return role_ == role::joined; }
    [[nodiscard]] bool has_uncommitted() const noexcept { return head_ != 0; }
    [[nodiscard]] bool is_inert() const noexcept { return open_transaction::is_inert; }
    /// After user code ran: throws invalid_state in a child that it forked.
    void require_own() const {
        if (open_transaction::is_inert) [[unlikely]]
            throw_inert(segment_, slot_);
    }

private:
    friend class single_store;
    friend class user_transaction;
    friend class pair_transaction;
    friend struct users_lock;

    enum class role : std::uint8_t { alone, building, joined };
    /// How far the log had come.
    struct savepoint {
        std::uint64_t head;
        unsigned char* area;
        std::uint64_t area_bytes;
        std::uint32_t extents;  // what slot_.extents said
        std::size_t freed_count;
    };
    /// Of a transaction that has joined another, or may be joined: set when it does, or is made so.
    struct joining {
        root_transaction* around;
        std::vector<freed_block>* freed;  // of the outermost one
        savepoint began;
        savepoint saved;  // the last commit
        int exceptions;   // under way when it began
        bool is_second;   // the one around it may be joined as well
    };

    root_transaction(segment& s, root_slot& slot, std::uint64_t generation, int lock_result);
    void hand_over() noexcept { open_transaction::is_inert = true; }
    friend CAIRN_API root_transaction* joinable(const root_slot& slot) noexcept;
    bool join(std::uint64_t generation);
    void leave_joined() noexcept;
    void let_join(std::vector<freed_block>& freed, bool is_second = false) noexcept;
    void end_joining() noexcept;
    void require_sound() const;
    CAIRN_API CAIRN_COLD void begin_change_specially() noexcept;
    CAIRN_API CAIRN_COLD void commit_specially();
    CAIRN_API CAIRN_COLD void commit_unsettled();
    CAIRN_INLINE void commit_log() noexcept;
    void show_taken() const noexcept;
    [[nodiscard]] savepoint here() const noexcept;
    [[nodiscard]] bool is_at(const savepoint& point) const noexcept;
    void roll_back_to(const savepoint& back);
    void undo(segment_guard& guard, const savepoint& back);
    CAIRN_API CAIRN_COLD void log_joined(void* place, std::uint64_t bytes);

    void enter_behind(open_transaction* before, std::uint64_t generation);
    CAIRN_API CAIRN_COLD void enter_slowly(int lock_result, std::uint64_t generation);
    CAIRN_API CAIRN_COLD void leave_slowly() noexcept;
    void settle();
    CAIRN_API CAIRN_COLD void log_slowly(void* address, std::uint64_t bytes);
    [[noreturn]] CAIRN_API CAIRN_COLD static void throw_inert(const segment& s, const root_slot& slot);
    void leave_without_entering(bool is_whole) noexcept;
    void recover(bool owner_died);
    void settle_outstanding();
    void forget_decision() noexcept;
    std::uint32_t take_run_of(std::uint32_t count, extent_purpose purpose);
    void undo_log_of_root();
    void be_unsettled() noexcept;
    [[nodiscard]] bool needs_settling() const noexcept;
    void settle_in_any_case();
    void settle_under(segment_guard& guard);
    void require_settled();
    void be_overdue() noexcept;
    void poison(std::uint64_t reason) noexcept;
    void ensure_log_is_open();
    CAIRN_COLD void log_divided(unsigned char* from, std::uint64_t bytes);
    void spill(std::uint64_t bytes);

    segment& segment_;
    root_slot& slot_;
    segment_guard* building_ =
        nullptr;              // of role::building under the segment's lock; null: the root's own is held
    std::uint64_t head_ = 0;  // what slot_.log_head says
    unsigned char* area_ = nullptr;  // current area of the log
    std::uint64_t area_bytes_ = root_log_bytes;
    bool changing_ = false;   // version is odd by us
    bool unsettled_ = false;  // extents were taken or are to be given back
    bool undone_ =
        false;  // some were taken for nothing: the segment may have grown for them. Then unsettled_ until the end
    bool overdue_ = false;  // so since a commit or a rollback: nothing more is logged before it is done
    role role_ = role::alone;
    std::uint32_t pages_before_;  // of the segment, before it has grown for any of this; if unsettled_
    joining joining_;             // left alone by those that are alone: an operation has no time for it
};

/// A writer whose whole change is one store of one word (an append, a set of an integer): root_transaction without log and
/// version, since there is nothing to undo and no reader can see half of it.
class single_store : private open_transaction {
public:
    CAIRN_INLINE single_store(segment& s, root_slot& slot, std::uint64_t generation);
    single_store(const single_store&) = delete;
    single_store& operator=(const single_store&) = delete;
    CAIRN_INLINE ~single_store();

    /// Stores one word over an element that readers may look at. The version moves on after it, staying even: nobody waits,
    /// but who copies several elements (a snapshot) or acts on what it read (remove) looks again. A death between the two
    /// stores is a death of the lock's owner, whose recovery moves the version, too.
    template <std::size_t Bytes>
    CAIRN_INLINE void overwrite(void* word, const void* value) noexcept {
        __atomic_thread_fence(__ATOMIC_RELEASE);  // who sees this element sees the versions before it, too
        copy_in_fixed<Bytes>(word, value);
        // release: who sees this version sees the element
        __atomic_store_n(&slot_.version, load_word(slot_.version) + 2, __ATOMIC_RELEASE);
    }

    template <word T>
    CAIRN_INLINE void publish(T& to, std::type_identity_t<T> value) noexcept {
        // release: pairs with the readers' acquire; who sees the new value sees what it publishes
        __atomic_store_n(&to, value, __ATOMIC_RELEASE);
    }

private:
    CAIRN_API CAIRN_COLD void enter_slowly(segment& s, std::uint64_t generation, int lock_result);

    root_slot& slot_;
};

/// The transaction of the user's on that root, if this thread is in it, or in one on two of which it is one, and in no other
/// operation inside it; else null.
[[nodiscard]] CAIRN_API root_transaction* joinable(const root_slot& slot) noexcept;
[[nodiscard]] inline bool may_join(const root_slot& slot) noexcept {
    return joinable(slot) != nullptr;
}
/// Whether a log of that root is one of a transaction over two roots that was committed, and is to be forgotten.
[[nodiscard]] bool is_decided(const segment& s, const root_slot& slot) noexcept;
[[noreturn]] void throw_gone(const segment& s, const root_slot& slot);
/// Throws would_deadlock in a thread that is inside any operation; `hint` is for one that is in a transaction of this root.
CAIRN_API void require_outside(const char* what, const segment& s, const root_slot& slot, const char* hint);

/// The root's lock is not held: wakes and other event counts see events.hpp.
undo_log root_log(root_slot& slot) noexcept;

enum poison_reason : std::uint64_t {
    poisoned_log = 1,
    poisoned_extents = 2,
    poisoned_operation = 3,
    poisoned_decision = 4
};

// ---- inline ----------------------------------------------------------------------------------------------------

CAIRN_INLINE root_transaction::root_transaction(segment& s, root_slot& slot, std::uint64_t generation)
    : segment_(s), slot_(slot), area_(slot.log) {
    require_usable_thread();
    const bool nested = this_thread.open != nullptr;
    int result = EDEADLK;
    if (!nested) [[likely]] {
        this_thread.open = this;
        order_stores();
        result = try_lock(slot.lock, s.own_token());
    }
    if (result != 0 || load_word(slot.log_head) != 0 || load_word(slot.generation) != generation ||
        load_word(slot.state) != static_cast<std::uint32_t>(root_state::live)) [[unlikely]]
        enter_slowly(result, generation);
}

CAIRN_INLINE single_store::single_store(segment& s, root_slot& slot, std::uint64_t generation) : slot_(slot) {
    const bool nested = this_thread.open != nullptr;  // callers have just looked: the compiler asks once
    require_usable_thread();
    int result = EDEADLK;
    if (!nested) [[likely]] {
        this_thread.open = this;
        order_stores();
        result = try_lock(slot.lock, s.own_token());
    }
    if (result != 0 || load_word(slot.log_head) != 0 || load_word(slot.generation) != generation ||
        load_word(slot.state) != static_cast<std::uint32_t>(root_state::live)) [[unlikely]]
        enter_slowly(s, generation, result);
}

CAIRN_INLINE single_store::~single_store() {
    if (open_transaction::is_inert) [[unlikely]]
        return;
    unlock(slot_.lock);
    order_stores();
    this_thread.open = nullptr;
}

CAIRN_INLINE root_transaction::~root_transaction() {
    // `outer`: it is being built, or one of several roots, or has joined another.
    if (head_ != 0 || unsettled_ || open_transaction::is_inert || outer != nullptr) [[unlikely]] {
        leave_slowly();
        return;
    }
    if (changing_) {
        // release: pairs with the acquire of the readers' first look; they see all stores of the change
        __atomic_store_n(&slot_.version, load_word(slot_.version) + 1, __ATOMIC_RELEASE);
    }
    unlock(slot_.lock);
    order_stores();
    this_thread.open = nullptr;
}

CAIRN_INLINE void root_transaction::begin_change() {
    if (open_transaction::is_inert) [[unlikely]]
        throw_inert(segment_, slot_);
    if (changing_) return;
    if (role_ != role::alone) [[unlikely]]
        return begin_change_specially();
    changing_ = true;
    store_word(slot_.version, load_word(slot_.version) | 1);
    // release: a reader that sees any later store sees, after its acquire fence, the odd version, too
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

template <word T>
CAIRN_INLINE void root_transaction::store(T& to, std::type_identity_t<T> value) {
    if (role_ != role::building) {
        const std::uint64_t used = head_ & 0xffffffff;
        if (open_transaction::is_inert || used + 16 > area_bytes_) [[unlikely]] {
            log_slowly(&to, sizeof(T));
        } else {
            std::uint64_t old = 0;
            const T before = load_word(to);
            std::memcpy(&old, &before, sizeof before);
            auto* record = reinterpret_cast<std::uint64_t*>(area_ + used);
            store_word(record[0], old);
            store_word(record[1], log_record_word(segment_.offset_of(&to), sizeof(T)));
            head_ += 16;
            order_stores();  // the record is whole before it counts
            store_word(slot_.log_head, head_);
            order_stores();  // and counts before the word changes
        }
    }
    store_word(to, value);
}

CAIRN_INLINE void root_transaction::commit() {
    if (open_transaction::is_inert) [[unlikely]]
        throw_inert(segment_, slot_);
    if (role_ != role::alone) [[unlikely]]
        return commit_specially();
    if (unsettled_) [[unlikely]]
        return commit_unsettled();
    commit_log();
}

CAIRN_INLINE void root_transaction::commit_log() noexcept {
    order_stores();
    if (head_ != 0) {
        store_word(slot_.log_head, 0);
        head_ = 0;
        area_ = slot_.log;
        area_bytes_ = root_log_bytes;
    }
    order_stores();
}

CAIRN_INLINE void root_transaction::log_if_joined(void* place, std::uint64_t bytes) {
    if (role_ == role::joined) [[unlikely]]
        log_joined(place, bytes);
}

template <word T>
CAIRN_INLINE void root_transaction::publish(T& to, std::type_identity_t<T> value) {
    if (head_ != 0) [[unlikely]] {
        // Part of a larger transaction: undone with the rest. release: who sees the value before the commit, as a hint, sees
        // what it publishes, too
        __atomic_thread_fence(__ATOMIC_RELEASE);
        store(to, value);
        return;
    }
    if (open_transaction::is_inert) [[unlikely]]
        throw_inert(segment_, slot_);
    // release: pairs with the readers' acquire; who sees the new value sees what it publishes
    __atomic_store_n(&to, value, __ATOMIC_RELEASE);
}

CAIRN_INLINE void root_transaction::overwrite(std::uint64_t& to, std::uint64_t value) {
    if (head_ != 0 || changing_ || role_ != role::alone || open_transaction::is_inert) [[unlikely]] {
        begin_change();
        store(to, value);
        commit();
        return;
    }
    __atomic_thread_fence(__ATOMIC_RELEASE);  // who sees this word sees the versions before it, too
    store_word(to, value);
    // release: who sees this version sees the word
    __atomic_store_n(&slot_.version, load_word(slot_.version) + 2, __ATOMIC_RELEASE);
}

}  // namespace cairn::inline CAIRN_ABI::detail
