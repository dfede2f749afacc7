// root_pin.hpp - work on a root beside its lock, by one thread at each of its pins.
//
// Who may go in is written down under the lock (stored_pin::owner). Going in and out is two stores; who wants everybody out
// (a remover, a closer, whoever wants a picture of one moment) makes the version odd and waits until nobody is in.
//
//   worker                                        whoever wants it out
//   1. holder: 0 -> own token (full fence)         1. lock, version odd (full fence)
//   2. version odd, another generation, or         2. waits until each holder is 0, or dead
//      another owner: holder = 0, and to the lock  3. changes what it wants; the version becomes even
//   3. works; holder = 0 (release)
// One of the two sees the other: the worker the odd version, or the other one the holder.
//
// Death         a worker that is killed inside stays the holder; its owner mark stays, too. Who needs the pin, or wants
//               everybody out, asks the system whether that thread lives, and clears the word.
// Stale handles compare the generation once they are in, and write to nothing but `holder` before that, which is never the
//               memory of anything else. Only who has made `holder` its own puts it back to 0.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include <cairn/detail/os/thread_state.hpp>
#include <cairn/detail/txn/reading.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// "pid 4711", for messages; with the thread where it is not the process's first.
std::string describe_thread(const segment& s, thread_token token);

[[noreturn]] CAIRN_COLD void throw_inside(const segment& s, const root_slot& slot);

/// One stay at a pin. False when the lock has to be asked first: the root has changed hands or is being changed, or this
/// thread does not own the pin. Throws would_deadlock inside another operation of this thread.
class root_pin : private open_transaction {
public:
    CAIRN_INLINE root_pin(const segment& s, const root_slot& slot, std::uint64_t generation, stored_pin& pin)
        : pin_(pin) {
        require_usable_thread();
        if (this_thread.open != nullptr) [[unlikely]]
            throw_inside(s, slot);
        this_thread.open = this;
        const thread_token own = s.own_token();
        std::uint64_t nobody = 0;
        // seq_cst, and a fence where that is not one: the mark is seen by whoever has made the version odd before the look
        const bool is_holder =
            __atomic_compare_exchange_n(&pin.holder, &nobody, own, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
#if !defined(__x86_64__)
        std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
        // acquire: pairs with the release of the even version; what was changed under the lock is seen
        is_in_ = is_holder && __atomic_load_n(&slot.version, __ATOMIC_ACQUIRE) % 2 == 0 &&
                 load_word(slot.generation) == generation && load_word(pin.owner) == own;
        if (!is_in_) [[unlikely]]
            leave(is_holder);
    }
    root_pin(const root_pin&) = delete;
    root_pin& operator=(const root_pin&) = delete;
    CAIRN_INLINE ~root_pin() {
        if (is_in_) [[likely]]
            leave(true);
    }

    [[nodiscard]] CAIRN_INLINE bool is_in() const noexcept { return is_in_; }

private:
    CAIRN_INLINE void leave(bool is_holder) noexcept {
        if (open_transaction::is_inert) [[unlikely]]
            return;  // the parent's
        // release: pairs with the acquire of whoever waits for it; the work is done
        if (is_holder) __atomic_store_n(&pin_.holder, 0, __ATOMIC_RELEASE);
        this_thread.open = nullptr;
    }

    stored_pin& pin_;
    bool is_in_ = false;
};

/// Under the root's lock, once the version is odd, or where it is odd for good: returns when nobody is at work beside the
/// lock. Waits for a thread that is stopped there as for one that is stopped with a lock: asleep but for a look now and then,
/// and no longer than this thread's operation or the manager allows. Throws limit_reached, timeout_error.
void wait_for_pins(const segment& s, root_slot& slot);

/// As wait_for_pins(), at one pin, whatever the version: once its owner is dead, or is the caller.
void clear_holder(const segment& s, const root_slot& slot, stored_pin& pin);

}  // namespace cairn::inline CAIRN_ABI::detail
