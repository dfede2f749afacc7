// attempts.hpp - operations of what processes wait for: an attempt under the root's lock, again and again until it is done or the
// time is up. One predicate for all who wait on the same event.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <stop_token>

#include <cairn/detail/containers/waiting.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

struct awaited {
    segment& in;
    root_slot& slot;
    std::uint64_t generation;
    std::uint32_t event;
    const std::uint64_t& word;      // changes when it is time to look again
    std::uint32_t bits = all_bits;  // for wake_some()
};

/// Calls attempt(root_transaction&) until it is true: it has done its work then, and committed it. Before the first sleep, and at each
/// tick, calls idle() without the lock: true says that it has done something which is worth another attempt. False when the
/// time was up first. What either throws ends it; a wake that had come for this waiter goes on to the next.
template <typename Attempt, typename Idle>
bool attempt_until_done(const awaited& of, steady_time deadline, const std::stop_token& stop,
                        const Attempt& attempt, const Idle& idle) {
    const operation_limit limit = {deadline, &stop};
    const auto try_once = [&](root_transaction& tx) {
        try {
            return attempt(tx);
        } catch (...) {
            wake(tx, of.event, 1);
            throw;
        }
    };
    const auto idle_in_time = [&] {
        const limited_locks in_time(limit);
        return idle();
    };
    std::uint64_t seen = 0;
    try {
        for (bool is_first = true;; is_first = false) {
            {
                const limited_locks in_time(limit);
                root_transaction tx(of.in, of.slot, of.generation);
                if (try_once(tx)) return true;
                seen = load_word(of.word);
            }
            if (!is_first || !idle_in_time()) break;
        }
    } catch (const limit_reached&) {
        return false;
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
    if (deadline <= already_over) return false;
    root_wait wait(of.in, of.slot, of.generation, of.event, deadline, stop, of.bits);
    try {
        for (;;) {
            wait.pause(of.word, seen, idle_in_time);
            const limited_locks in_time(limit);
            root_transaction tx(of.in, of.slot, of.generation);
            if (try_once(tx)) return true;
            if (!wait.may_go_on(tx)) return false;
            seen = load_word(of.word);
        }
    } catch (const limit_reached&) {
        wait.pass_wake_on();
        return false;
    } catch (const timeout_error&) {
        wait.pass_wake_on();
        throw;
    } catch (...) {
        throw;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
