// waiting.hpp - how an operation waits for a change of its root: it spins for about what a sleep costs, then sleeps on an
// event count (txn/events.hpp).
//
// Spinning watches one word without the lock, so that whoever makes the change finds no sleeper and makes no system call.
// It adapts to the thread: what was in vain is tried for less time, and then hardly ever; what succeeded, for all of it.
// A wait that ends by its deadline or a stop looks once more under the lock: it may have been woken for what is there now,
// and would take the wake along. If the lock cannot be had by then (os/lock_limit.hpp), it wakes another sleeper instead.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/txn/events.hpp>
#include <cairn/detail/txn/root_transaction.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// One wait of one thread. The handle's mapping outlives it.
class CAIRN_API root_wait {
public:
    /// `bits`: for wake_some().
    /// Throws would_deadlock in a transaction of the user's: nobody else can make a change as long as it is there.
    root_wait(const segment& in, root_slot& slot, std::uint64_t generation, std::uint32_t event,
              steady_time deadline, std::stop_token stop, std::uint32_t bits = all_bits);
    root_wait(const root_wait&) = delete;
    root_wait& operator=(const root_wait&) = delete;
    ~root_wait();

    /// Without the lock: returns when `word` is not `seen` any more, or somebody was woken, or it is time to look again:
    /// at a tick, when `at_tick` says so.
    template <typename Tick>
    void pause(const std::uint64_t& word, std::uint64_t seen, const Tick& at_tick) {
        do {
            if (!pause_once(word, seen)) return;
        } while (!at_tick());
    }

    /// For who has looked for a while already: sleeps without looking first.
    void skip_looking() noexcept { may_spin_ = false; }

    /// Under the lock, after what is waited for was not there: false when the time is up.
    bool may_go_on(root_transaction& tx);

    /// Without the lock, which could not be had in time: another sleeper gets the wake that this one may have been given.
    void pass_wake_on() const noexcept;

private:
    struct disturb {
        root_slot& slot;
        std::uint32_t event;
        void operator()() const noexcept { disturb_sleepers(slot, event); }
    };

    /// True after a tick at which nothing was new.
    bool pause_once(const std::uint64_t& word, std::uint64_t seen);
    [[nodiscard]] bool is_nothing_new(const std::uint64_t& word, std::uint64_t seen) const noexcept;

    root_slot& slot_;
    std::uint64_t generation_;
    std::uint32_t event_;
    std::uint32_t sequence_ = 0;
    std::uint32_t bits_;
    steady_time deadline_;
    bool is_registered_ = false;  // sequence_ says since when
    bool may_spin_ = true;
    std::stop_token stop_;
    std::optional<std::stop_callback<disturb>> on_stop_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
