// root_recovery.cpp - a root_transaction's log: how it is written, undone by its process or another, and how the pages that were in
// doubt are settled.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <bit>
#include <limits>

#include "cairn/detail/txn/root_transaction.hpp"
#include "os/futex.hpp"
#include "os/identity.hpp"
#include "os/mapping.hpp"
#include "os/room_for_locks.hpp"
#include "segment/backing.hpp"
#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/segment_guard.hpp"
#include "txn/operation.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/base/check.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

constexpr std::uint32_t least_spill_pages = 16;
constexpr std::uint32_t most_spill_pages = 16384;  // 64 MiB a piece
// The longest record that a log of one page has room for. What is longer is divided: a nearly full segment may have no larger piece.
constexpr std::uint64_t log_bytes_in_page = page_bytes - sizeof(log_area_header) - 8;
constexpr std::uint64_t least_divided_bytes = 256;  // what is left of an area and shorter is not used
static_assert(log_bytes_in_page % 8 == 0);

// All waiters of a root look again; flags may be cleared since every sleeper is up.
void wake_everyone(root_slot& slot) noexcept {
    for (stored_event_count& event : slot.events) {
        __atomic_fetch_add(&event.sequence, 1, __ATOMIC_RELAXED);
        os::futex_wake(&event.sequence, std::numeric_limits<int>::max());
        store_word(event.waiters, 0);
    }
}

// What was begun under a limit is finished a little later rather than left to the next locker, if that is a matter of a
// moment; and not under a lock that somebody holds for long.
class last_grace {
public:
    last_grace() noexcept : before_(this_thread.limit) {
        if (before_ == nullptr) return;
        extended_ = *before_;
        const steady_time end = std::chrono::steady_clock::now() + lock_grace;
        if (extended_.stop != nullptr && extended_.stop->stop_requested()) {
            extended_.stop = nullptr;
            extended_.deadline = end;
        } else if (extended_.deadline != no_deadline && extended_.deadline != at_once) {
            extended_.deadline = std::max(extended_.deadline, end);
        } else {
            return;
        }
        this_thread.limit = &extended_;
    }
    last_grace(const last_grace&) = delete;
    last_grace& operator=(const last_grace&) = delete;
    ~last_grace() { this_thread.limit = before_; }

private:
    const operation_limit* before_;
    operation_limit extended_;
};

}  // namespace

// ---- recovery --------------------------------------------------------------------------------------------------

void root_transaction::recover(bool owner_died) {
    {
        // First of all: a remover that died between its stores and its commit has left the slot's state and generation
        // in the segment's log. Until the guard has put them back, the object looks gone, and is not.
        const segment_guard guard(segment_);
    }
    settle_outstanding();
    const std::uint64_t version = load_word(slot_.version);
    if (!is_live(slot_)) {
        // Erased or being built: there is nothing to replay into, its pages may be somebody else's by now.
        store_word(slot_.log_head, 0);
        head_ = 0;
        forget_decision();
        if (!is_poisoned(slot_)) make_even(slot_);
        return;
    }
    if (owner_died && load_word(slot_.lock.holder) != 0) {  // 0: left unfinished by one who lives
        store_word(slot_.recovery_count, load_word(slot_.recovery_count) + 1);
        store_word(slot_.last_dead_thread, thread_of(load_word(slot_.lock.holder)));
        store_word(slot_.last_recovery_nanoseconds, os::now_since_epoch_nanoseconds());
        store_word(slot_.last_operation, load_word(slot_.operation.kind));
    }
    store_word(slot_.version, version | 1);
    std::atomic_thread_fence(std::memory_order_release);  // as in begin_change()
    undo_log_of_root();
    try {
        if (needs_settling()) {
            segment_guard guard(segment_);
            settle_under(guard);
            unsettled_ = false;
        }
        if (load_word(slot_.operation.kind) != 0) {
            const unlimited_locks however_long;
            finish_stored_operation(*this);
        }
    } catch (const timeout_error&) {
        throw;
    } catch (const error&) {
        if (is_live(slot_)) poison(poisoned_operation);
        throw;
    }
    wake_everyone(slot_);
    make_even(slot_);
    changing_ =
        false;  // the stored operation had set it; what the caller changes next needs a version of its own
}

// The second root of a transaction that this was the first root of: as long as it asks this one whether it was committed, no other
// transaction may begin here.
void root_transaction::settle_outstanding() {
    const std::uint64_t link = load_word(slot_.outstanding);
    if (link == 0) return;
    // In a private view no transaction begins.
    if (segment_.participant_number() != 0) {
        const std::uint64_t own = std::uint64_t{segment_.slot_number(slot_)} + 1;
        root_slot* const second = link > own ? slot_if_any(segment_, link) : nullptr;
        if (second == nullptr) {
            poison(poisoned_decision);
            throw_gone(segment_, slot_);
        }
        // acquire: who has wiped it looks at this root no more. Only the holder of this root's lock names it anywhere.
        if (__atomic_load_n(&second->decided_root, __ATOMIC_ACQUIRE) == own) {
            const room_for_locks room;
            try {
                const root_transaction settled(segment_, *second, load_word(second->generation), this);
            } catch (const object_gone&) {
            } catch (const object_poisoned&) {}
        }
    }
    store_word(slot_.outstanding, 0);
    order_stores();
}

bool is_decided(const segment& s, const root_slot& slot) noexcept {
    const root_slot* const first = slot_if_any(s, load_word(slot.decided_root));
    return first != nullptr && load_word(first->committed) == load_word(slot.decided_number);
}

void root_transaction::forget_decision() noexcept {
    if (load_word(slot_.decided_root) == 0) return;
    // release: whoever has the first root's lock and sees this may begin a transaction with the same number
    __atomic_store_n(&slot_.decided_root, 0, __ATOMIC_RELEASE);
    order_stores();
}

// Old bytes back; which pages are to be given back is known afterwards. Needs no lock but the root's.
void root_transaction::undo_log_of_root() {
    if (load_word(slot_.log_head) != 0 && load_word(slot_.rolling_back) == 0 && is_decided(segment_, slot_)) {
        // Of a transaction over two roots, and committed: done.
        store_word(slot_.log_head, 0);
        order_stores();
    }
    if (load_word(slot_.log_head) != 0) {
        // 1. Old bytes back. A death here: done again, from the same log.
        if (load_word(slot_.rolling_back) == 0) {
            const std::int64_t undone = replay_backwards(segment_, root_log(slot_));
            if (undone < 0) {
                poison(poisoned_log);
                throw_gone(segment_, slot_);
            }
            // release: who looks without the lock and sees this number sees the old bytes
            __atomic_store_n(&slot_.rolled_back_count, load_word(slot_.rolled_back_count) + 1,
                             __ATOMIC_RELEASE);
            store_word(slot_.last_undone_bytes, static_cast<std::uint64_t>(undone));
            order_stores();
            // 2. Said so, before the log goes: the extents in doubt are to be given back, not kept.
            store_word(slot_.rolling_back, 1);
            order_stores();
        }
        // 3. Nothing in the log any more: it must not be replayed into pages that somebody else may get in settle_under().
        store_word(slot_.log_head, 0);
        order_stores();
    }
    // A log that is empty is nobody's to decide.
    forget_decision();
    head_ = 0;
    area_ = slot_.log;
    area_bytes_ = root_log_bytes;
    unsettled_ = true;
    if (load_word(slot_.rolling_back) != 0 && load_word(slot_.extents) == load_word(slot_.settled)) {
        store_word(slot_.rolling_back, 0);
        order_stores();
    }
    if (!needs_settling()) unsettled_ = false;
}

bool root_transaction::needs_settling() const noexcept {
    return load_word(slot_.rolling_back) != 0 || load_word(slot_.extents) != load_word(slot_.settled) ||
           load_word(slot_.pending_free) != 0;
}

void root_transaction::roll_back() {
    if (role_ == role::building) return;
    if (role_ == role::joined) return roll_back_to(joining_.saved);
    if (head_ == 0) return;
    begin_change();
    const bool has_taken = unsettled_;
    undo_log_of_root();
    try {
        if (unsettled_) settle_in_any_case();
        // Whoever leaves gives back what the segment has grown by, as far as no other try has used it.
        unsettled_ = undone_ = has_taken;
    } catch (const limit_reached&) {
        be_overdue();
        throw;
    } catch (const timeout_error&) {
        be_overdue();
        throw;
    } catch (const error&) {
        if (is_live(slot_)) poison(poisoned_extents);
        throw;
    }
}

// Whatever is logged next comes to log_slowly(), and there to require_settled().
void root_transaction::be_overdue() noexcept {
    overdue_ = true;
    area_bytes_ = 0;
}

void root_transaction::poison(std::uint64_t reason) noexcept {
    forget_decision();
    store_word(slot_.poison_reason, reason);
    order_stores();
    store_word(slot_.state, static_cast<std::uint32_t>(root_state::poisoned));
    // The version stays odd: readers come to the lock, and learn it there.
    wake_everyone(slot_);
    head_ = 0;
    changing_ = false;  // by whoever leaves it
}

// ---- extents ---------------------------------------------------------------------------------------------------

namespace {

// A run was taken as power-of-two pieces, largest first as its alignment allows: where the last one of them begins.
std::uint32_t last_piece(std::uint32_t page, std::uint32_t count) noexcept {
    std::uint32_t last = 0;
    std::uint32_t order = 0;
    while (last + (1U << (order = first_piece_order(page + last, count - last))) < count) last += 1U << order;
    return last;
}

void give_back_run(segment_guard& guard, root_slot& slot, std::uint32_t page, std::uint32_t count) {
    while (count != 0) {
        count = last_piece(page, count);
        give_back_extent(guard, &slot, page + count);
        guard.commit();
    }
}

}  // namespace

void root_transaction::commit_unsettled() {
    show_taken();
    commit_log();
    settle();
}

// Only what is there yet: an operation inside that was undone may have taken more, which others have given back to the system.
void root_transaction::show_taken() const noexcept {
    std::uint32_t end = 0;
    std::uint32_t steps = segment_.committed_pages();
    // Where the chain is damaged, settle_under() says so.
    for (std::uint32_t link = load_word(slot_.extents); link != load_word(slot_.settled) && link != 0;
         --steps) {
        if (steps == 0 || link > segment_.committed_pages()) break;
        const page_entry& entry = segment_.page(link - 1);
        end = std::max(end, link - 1 + (1U << std::min(tag_order(entry.tag), max_order)));
        link = entry.next;
    }
    if (end != 0 && end <= segment_.committed_pages()) show_up_to(segment_, segment_.page_offset(end));
}

// After a commit: what was asked for is done, so this must not fail because it is late.
void root_transaction::settle() {
    if (load_word(slot_.operation.kind) != 0) {
        // Its next steps cannot be left out.
        const unlimited_locks however_long;
        return settle_in_any_case();
    }
    try {
        settle_in_any_case();
    } catch (const limit_reached&) {
        be_overdue();
    } catch (const timeout_error&) {
        be_overdue();
    }
}

void root_transaction::require_settled() {
    if (!overdue_) return;
    settle_in_any_case();
    overdue_ = false;
    area_bytes_ = root_log_bytes;
}

void root_transaction::settle_in_any_case() {
    const last_grace grace;
    segment_guard guard(segment_);
    settle_under(guard);
    // Who has undone something stays unsettled until it leaves: what the segment has grown by is given back then, also if another
    // try was committed.
    unsettled_ = undone_;
}

void root_transaction::settle_under(segment_guard& guard) {
    // Extents in doubt back to the segment, one commit each.
    if (load_word(slot_.rolling_back) != 0) {
        while (load_word(slot_.extents) != load_word(slot_.settled)) {
            give_back_extent(guard, &slot_, slot_.extents - 1);
            guard.commit();
        }
        store_word(slot_.rolling_back, 0);
        order_stores();
    }
    // Extents that the transaction took are the root's now; those of its log are not needed any more.
    std::uint32_t steps = segment_.committed_pages();
    for (std::uint32_t link = slot_.extents; link != slot_.settled;) {
        if (steps-- == 0) throw_corrupt(segment_, "the chain of an object's extents has no end");
        const page_entry entry = guard.entry(link);
        if (tag_purpose(entry.tag) == extent_purpose::log) {
            give_back_extent(guard, &slot_, link - 1);
            guard.commit();
        }
        link = entry.next;
    }
    store_word(slot_.settled, slot_.extents);
    order_stores();
    // Runs that it unlinked, piece by piece from their end: first page and count say which pieces are left.
    while (slot_.pending_free != 0) {
        const std::uint32_t link = slot_.pending_free;
        static_cast<void>(guard.entry(link));
        auto& block = *segment_.at<pending_block>(segment_.page_offset(link - 1));
        const auto count = static_cast<std::uint32_t>(block.page_count);
        if (count == 0 || count > segment_.committed_pages() - (link - 1))
            throw_corrupt(segment_, "a block that waits to be freed has no size");
        const std::uint32_t last = last_piece(link - 1, count);
        if (last == 0) guard.store(slot_.pending_free, static_cast<std::uint32_t>(block.next));
        else guard.store(block.page_count, last);
        give_back_extent(guard, &slot_, link - 1 + last);
        guard.commit();
    }
}

namespace {

// A block finds its span by arithmetic, so a span begins at a multiple of its size.
std::uint32_t alignment_of(std::uint32_t count, extent_purpose purpose) noexcept {
    return purpose == extent_purpose::span ? count : 1;
}

}  // namespace

std::uint32_t root_transaction::take_pages(std::uint32_t count, extent_purpose purpose) {
    if (role_ == role::building && building_ != nullptr) {
        reserve_run(*building_, count, alignment_of(count, purpose));
        const std::uint32_t page = take_run(*building_, &slot_, count, purpose, alignment_of(count, purpose));
        building_->commit();
        show_up_to(segment_, segment_.page_offset(page + count));
        return page;
    }
    if (role_ == role::alone || role_ == role::joined) {
        // The log is not empty while extents are in doubt: that is how recovery knows them from the root's own.
        ensure_log_is_open();
        be_unsettled();
    }
    const std::uint32_t page = take_run_of(count, purpose);
    // Nothing that is built is committed by its own log.
    if (role_ == role::building) show_up_to(segment_, segment_.page_offset(page + count));
    // Written from front to back soon, as what is taken next to it: a fault for each page would be half of an append's time.
    os::map_ahead(segment_.at<std::byte>(segment_.page_offset(page)), count * page_bytes);
    return page;
}

bool root_transaction::take_pages_at(std::uint32_t first, std::uint32_t count) {
    CAIRN_CHECK(role_ == role::alone && head_ == 0, "a block is moved in a transaction of its own");
    ensure_log_is_open();
    be_unsettled();
    if (count > most_pages_backed_under_lock && load_word(segment_.control().holes_from) != 0)
        back_holes_ahead(segment_, first, first + count);
    segment_guard guard(segment_);
    const bool is_taken = take_run_at(guard, slot_, first, count, extent_purpose::large);
    guard.commit();
    return is_taken;
}

// Under the segment's lock only what is quickly done: nobody waits for a gigabyte that somebody else puts in.
std::uint32_t root_transaction::take_run_of(std::uint32_t count, extent_purpose purpose) {
    const std::uint32_t alignment = alignment_of(count, purpose);
    for (bool is_backed = false;; is_backed = true) {
        missing_pages missing;
        {
            segment_guard guard(segment_);
            missing = missing_for_run(guard, count, alignment);
            if (is_backed || missing.count() <= most_pages_backed_under_lock) {
                reserve_run(guard, count, alignment);
                const std::uint32_t page = take_run(guard, &slot_, count, purpose, alignment);
                guard.commit();
                return page;
            }
        }
        back_ahead(segment_, missing.from, missing.to);
    }
}

void root_transaction::free_pages(std::uint32_t page, std::uint32_t count) {
    if (role_ == role::building) {
        // Nobody can see the root, and whoever finds its builder dead gives back all extents that are still its own.
        if (building_ != nullptr) return give_back_run(*building_, slot_, page, count);
        segment_guard guard(segment_);
        return give_back_run(guard, slot_, page, count);
    }
    auto& block = *segment_.at<pending_block>(segment_.page_offset(page));
    log(&block, sizeof block);
    store_word(block.next, slot_.pending_free);
    store_word(block.page_count, count);
    store(slot_.pending_free, page + 1);
    be_unsettled();
}

void root_transaction::be_unsettled() noexcept {
    if (unsettled_) return;
    unsettled_ = true;
    pages_before_ = segment_.committed_pages();
}

// ---- log -------------------------------------------------------------------------------------------------------

void root_transaction::ensure_log_is_open() {
    if (head_ == 0) store(slot_.pending_free, load_word(slot_.pending_free));
}

void root_transaction::log(void* address, std::uint64_t bytes) {
    if (role_ == role::building) return;
    if (open_transaction::is_inert) throw_inert(segment_, slot_);
    if (bytes > log_bytes_in_page) return log_divided(static_cast<unsigned char*>(address), bytes);
    if (bytes != 0) log_slowly(address, bytes);
}

void root_transaction::log_divided(unsigned char* from, std::uint64_t bytes) {
    while (bytes != 0) {
        require_settled();
        // What is left of an area takes the last bytes, or many of them.
        if (room_in_area() < std::min(round_up(bytes, 8), least_divided_bytes)) spill(log_bytes_in_page);
        const std::uint64_t now = std::min({bytes, log_record_max_bytes, room_in_area()});
        log_slowly(from, now);
        from += now;
        bytes -= now;
    }
}

std::uint64_t root_transaction::room_in_area() const noexcept {
    const std::uint64_t used = (head_ & 0xffffffff) + 8;
    return used < area_bytes_ ? (area_bytes_ - used) / 8 * 8 : 0;
}

void root_transaction::log_slowly(void* address, std::uint64_t bytes) {
    if (open_transaction::is_inert) throw_inert(segment_, slot_);
    require_settled();
    const std::uint64_t padded = round_up(bytes, 8);
    if ((head_ & 0xffffffff) + padded + 8 > area_bytes_) spill(padded + 8);
    const std::uint64_t used = head_ & 0xffffffff;
    unsigned char* to = area_ + used;
    copy_across(to, address, bytes);  // a spilled log lies where a stale reader may look
    const std::uint64_t record = log_record_word(segment_.offset_of(address), bytes);
    copy_in_fixed<8>(to + padded, &record);
    head_ += padded + 8;
    order_stores();  // the record is whole before it counts
    store_word(slot_.log_head, head_);
    order_stores();  // and counts before the bytes change
}

// Goes on in an extent of its own: never in a block of the arena, which the replay would destroy.
void root_transaction::spill(std::uint64_t bytes) {
    const auto needed =
        static_cast<std::uint32_t>((bytes + sizeof(log_area_header) + page_bytes - 1) / page_bytes);
    std::uint32_t pages = std::clamp(static_cast<std::uint32_t>(std::bit_ceil(4 * area_bytes_) / page_bytes),
                                     least_spill_pages, most_spill_pages);
    // Where the last piece had to be a small one, there are no large ones: each look for one takes time.
    const bool are_small = area_ != slot_.log && area_bytes_ < least_spill_pages * page_bytes;
    if (are_small) pages = static_cast<std::uint32_t>(area_bytes_ / page_bytes);
    pages = std::max(pages, needed);
    be_unsettled();
    // As take_pages(), but an empty log stays empty only if nothing was taken: the marker must come first, and there is always
    // room for one record in the built-in log.
    if (head_ == 0) ensure_log_is_open();
    std::uint32_t page = 0;
    for (bool is_taken = false; !is_taken;) {
        try {
            page = take_run_of(pages, extent_purpose::log);
            is_taken = true;
        } catch (const segment_full&) {
            // There may be as much in smaller pieces.
            if (pages == needed) throw;
            pages = std::max(pages / 2, needed);
        }
    }
    auto& header = *segment_.at<log_area_header>(segment_.page_offset(page));
    store_word(header.previous_head, head_);
    store_word(header.bytes, pages * page_bytes);
    head_ = (std::uint64_t{page} + 1) << 32 | sizeof(log_area_header);
    area_ = reinterpret_cast<unsigned char*>(&header);
    area_bytes_ = header.bytes;
    order_stores();
    store_word(slot_.log_head, head_);
    order_stores();
}

}  // namespace cairn::inline CAIRN_ABI::detail
