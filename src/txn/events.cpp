// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/txn/events.hpp"

#include <algorithm>
#include <limits>

#include "os/futex.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A waiter can be killed with a wake in its hand, which nobody else then gets: everyone looks again this often. All of the
// machine do so together: who is woken when the processor is awake anyway costs half of one who has to wake it.
constexpr std::chrono::milliseconds sleeper_tick{125};
constexpr std::chrono::milliseconds shortest{25};

std::chrono::steady_clock::time_point next_tick() noexcept {
    const auto now = std::chrono::steady_clock::now();
    const auto since = now.time_since_epoch();
    return now + (sleeper_tick - (since + shortest) % sleeper_tick) + shortest;
}

}  // namespace

void wake(root_transaction& tx, std::uint32_t event, std::uint32_t count) noexcept {
    stored_event_count& e = tx.slot().events[event];
    if (load_word(e.waiters) == 0) return;
    // 1. Bumped: who has not gone to sleep yet will not.
    __atomic_fetch_add(&e.sequence, 1,
                       __ATOMIC_RELAXED);  // relaxed: the lock orders it for waiters, the futex for sleepers
    // 2. Woken. Nobody there: every registered waiter is up, so the flag may go, under the lock that they would take.
    const auto most = static_cast<int>(std::min<std::uint32_t>(count, std::numeric_limits<int>::max()));
    if (os::futex_wake(&e.sequence, most) == 0) store_word(e.waiters, 0);
}

void wake_all(root_transaction& tx, std::uint32_t event) noexcept {
    wake(tx, event, std::numeric_limits<std::uint32_t>::max());
}

int wake_some(root_transaction& tx, std::uint32_t event, std::uint32_t bits) noexcept {
    stored_event_count& e = tx.slot().events[event];
    if (load_word(e.waiters) == 0) return 0;
    __atomic_fetch_add(&e.sequence, 1, __ATOMIC_RELAXED);  // relaxed: as in wake()
    return os::futex_wake_some(&e.sequence, bits);         // others may sleep: the flag stays
}

std::uint32_t prepare_to_sleep(root_transaction& tx, std::uint32_t event) noexcept {
    stored_event_count& e = tx.slot().events[event];
    // The flag before the sequence is read: a waker that misses the one has bumped the other.
    store_word(e.waiters, 1);
    order_stores();
    return load_word(e.sequence);
}

void sleep(root_slot& slot, std::uint32_t event, std::uint32_t sequence,
           std::chrono::steady_clock::time_point deadline, std::uint32_t bits) noexcept {
    os::futex_wait(&slot.events[event].sequence, sequence, std::min(deadline, next_tick()), bits);
}

void wake_without_lock(root_slot& slot, std::uint32_t event) noexcept {
    __atomic_fetch_add(&slot.events[event].sequence, 1, __ATOMIC_RELAXED);  // relaxed: as in wake()
    os::futex_wake(&slot.events[event].sequence, 1);
}

void disturb_sleepers(root_slot& slot, std::uint32_t event) noexcept {
    __atomic_fetch_add(&slot.events[event].sequence, 1, __ATOMIC_RELAXED);
    os::futex_wake(&slot.events[event].sequence, std::numeric_limits<int>::max());
}

}  // namespace cairn::inline CAIRN_ABI::detail
