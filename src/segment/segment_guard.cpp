// SPDX-License-Identifier: BSL-1.0
#include "segment/segment_guard.hpp"

#include "segment/directory.hpp"
#include "segment/extents.hpp"
#include "segment/lock_timeout.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

undo_log segment_log(const segment& s) noexcept {
    return {&s.control().log_bytes, s.control().log, segment_log_bytes, nullptr};
}

void throw_corrupt(const segment& s, const char* what) {
    throw corrupt_segment("use of " + describe_segment(s) + ": damaged: " + what +
                          "; look at it with `shmctl verify`, and remove it with `shmctl rm`");
}

segment_guard::segment_guard(segment& s) : segment_(s) {
    require_usable_thread();
    if (this_thread.in_segment_lock) {
        throw would_deadlock(
            "use of " + describe_segment(s) +
            ": this thread is inside another operation on a segment (this is a signal handler) and "
            "would wait for itself; no operation is signal-safe");
    }
    outer = this_thread.open;
    this_thread.open = this;
    order_stores();  // a signal handler that finds the second mark finds the first, too
    this_thread.in_segment_lock = true;
    order_stores();
    stored_mutex& m = control().lock;
    int result = try_lock(m, s.own_token());
    if (result == EBUSY) {
        const lock_watch watch(m);
        result = lock_contended(m, s.own_token(), limit_in(s), judge_of(s));
        if (result == ETIMEDOUT || result == ECANCELED) {
            forget();
            if (result == ECANCELED) throw limit_reached();
            watch.throw_timeout("use of " + describe_segment(s));
        }
    }
    if (result == EDEADLK) {
        forget();
        throw would_deadlock(
            "use of " + describe_segment(s) +
            ": this thread is inside an operation on it that another copy of Cairn in this process "
            "has begun, and would wait for itself");
    }
    if (result != 0 && result != EOWNERDEAD) {
        forget();
        throw_corrupt(s, "its lock is not a lock");
    }
    // An exception here is past the constructor's guard: the lock is let go by hand, and what is damaged stays in the
    // log, so that the next one finds it, too.
    try {
        if (result == EOWNERDEAD || !is_clean() || load_word(control().pending_slot) != 0) recover();
        if (load_word(control().building_slot) != 0) finish_abandoned_roots(*this);
    } catch (...) {
        leave();
        throw;
    }
    if (result == EOWNERDEAD) say_holder(m, s.own_token());
}

segment_guard::~segment_guard() {
    if (is_inert) return;  // the parent's: neither log nor lock are this forked process's
    if (!is_clean()) {
        static_cast<void>(undo());
        forget_log();
    }
    leave();
}

void segment_guard::leave() noexcept {
    unlock(control().lock);
    order_stores();
    forget();
}

void segment_guard::forget() noexcept {
    this_thread.in_segment_lock = false;
    order_stores();
    this_thread.open = outer;
}

void segment_guard::recover() {
    store_word(control().recovery_count, load_word(control().recovery_count) + 1);
    roll_back();
    recover_tail(segment_);
    finish_pending_roots(*this);
}

void segment_guard::roll_back() {
    if (!undo()) throw_corrupt(segment_, "its undo log");
    forget_log();
}

bool segment_guard::undo() noexcept {
    // release: who looks without the lock, and finds the end of the log, finds that something was taken back, too
    __atomic_store_n(&control().rolled_back_count, load_word(control().rolled_back_count) + 1,
                     __ATOMIC_RELEASE);
    order_stores();
    return replay_backwards(segment_, segment_log(segment_)) >= 0;
}

void segment_guard::forget_log() noexcept {
    order_stores();
    // release: pairs with the acquire of who looks for a name without the lock
    __atomic_store_n(&control().log_bytes, 0, __ATOMIC_RELEASE);
    order_stores();
}

void segment_guard::log(const void* address, std::uint64_t bytes) {
    const std::uint64_t padded = round_up(bytes, 8);
    const std::uint64_t used = load_word(control().log_bytes);
    // What belongs to a transaction of a sound segment fits; in damaged lists of extents there may be more of them.
    if (used + padded + 8 > segment_log_bytes) throw_corrupt(segment_, "its lists of extents are not joined");
    unsigned char* to = control().log + used;
    copy_across(to, address, bytes);
    const std::uint64_t record = log_record_word(segment_.offset_of(address), bytes);
    copy_in_fixed<8>(to + padded, &record);
    order_stores();  // the record is whole before it counts
    store_word(control().log_bytes, used + padded + 8);
    order_stores();  // and counts before the bytes change
}

void segment_guard::commit() noexcept {
    forget_log();
}

page_entry& segment_guard::entry(std::uint32_t link) const {
    if (link == 0 || link > segment_.committed_pages())
        throw_corrupt(segment_, "a link of its page map leads outside");
    return segment_.page(link - 1);
}

}  // namespace cairn::inline CAIRN_ABI::detail
