// events.hpp - event counts: how waiting for a change of a root works.
//
// No pthread condition variable lives in shared memory: one killed waiter would hang the next but one signaller. An
// event count is a futex word that is bumped, and a flag that says whether anybody may sleep; the flag may be wrongly
// set but never wrongly clear.
//
//   waiter  under the lock, predicate false: flag = 1, read sequence, unlock, sleep while the sequence is that one
//   waker   under the lock, before the commit: if the flag is set, bump the sequence and wake as many as were enabled
// A waker that is killed before the wake has not committed, so nobody missed anything; after it, those who are up find
// EOWNERDEAD, recover, and look again. Every sleep ends after a tick, 150 ms at most, since a waiter can be killed with
// a wake in its hand. (Model: waits.)
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Under the root's lock, before the commit of the change: wakes up to `count` sleepers if there may be any.
CAIRN_API void wake(root_transaction& tx, std::uint32_t event, std::uint32_t count) noexcept;
CAIRN_API void wake_all(root_transaction& tx, std::uint32_t event) noexcept;
/// The same for all sleepers that have one of these bits: returns how many there were. For waits where it matters who is woken.
CAIRN_API int wake_some(root_transaction& tx, std::uint32_t event, std::uint32_t bits) noexcept;
/// Of sleepers whom nobody means in particular.
constexpr std::uint32_t all_bits = 0xffff'ffff;

/// Under the root's lock, after the predicate was found false: registers the caller as a waiter and returns what to
/// pass to sleep() once the lock is free.
CAIRN_API std::uint32_t prepare_to_sleep(root_transaction& tx, std::uint32_t event) noexcept;

/// Without the lock: sleeps until the event is bumped, the deadline or the tick. The caller then locks and looks again. `bits`: for
/// wake_some().
CAIRN_API void sleep(root_slot& slot, std::uint32_t event, std::uint32_t sequence,
                     std::chrono::steady_clock::time_point deadline, std::uint32_t bits = all_bits) noexcept;

/// Without the lock: as wake() of one. For a waiter that cannot look once more itself.
void wake_without_lock(root_slot& slot, std::uint32_t event) noexcept;

/// Without the lock, from any thread: makes every sleeper look again (a stop_token's callback, an erased root).
CAIRN_API void disturb_sleepers(root_slot& slot, std::uint32_t event) noexcept;

}  // namespace cairn::inline CAIRN_ABI::detail
