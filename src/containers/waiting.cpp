// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/waiting.hpp"

#include "os/processors.hpp"
#include <cairn/detail/txn/reading.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// About what a sleep and a wake cost across cores of a virtual machine (30-70 us); on bare metal less, and then it is
// learnt.
constexpr std::chrono::microseconds longest_spin{20};
constexpr int spin_pauses = 64;  // about 2 us: the other side is on another processor, and at it
constexpr std::uint8_t most_halvings = 4;
constexpr std::uint8_t skips_between_trials = 32;

// What this thread has learnt is in its thread_state: spin_halvings of longest_spin, with most_halvings not at all. One for all
// objects: they are on the same machine.

bool has_changed(const std::uint64_t& word, std::uint64_t seen) noexcept {
    // acquire: what was published with the change is there; the lock says so again
    return __atomic_load_n(&word, __ATOMIC_ACQUIRE) != seen;
}

bool spin(const std::uint64_t& word, std::uint64_t seen, steady_time deadline) noexcept {
    for (int i = 0; i < spin_pauses; ++i) {
        pause_reader();
        if (has_changed(word, seen)) return true;
    }
    const auto most = std::chrono::nanoseconds(longest_spin) / (1U << this_thread.spin_halvings);
    const steady_time until = std::min(deadline, std::chrono::steady_clock::now() + most);
    do {
        os::yield_processor();
        if (has_changed(word, seen)) return true;
    } while (std::chrono::steady_clock::now() < until);
    return false;
}

bool spin_if_it_pays(const std::uint64_t& word, std::uint64_t seen, steady_time deadline) noexcept {
    if (os::processor_count() == 1) return false;
    thread_state& thread = this_thread;
    if (thread.spin_halvings == most_halvings) {
        if (++thread.spins_skipped < skips_between_trials) return false;
        thread.spins_skipped = 0;
        thread.spin_halvings = most_halvings - 1;
    }
    if (spin(word, seen, deadline)) {
        thread.spin_halvings = 0;
        return true;
    }
    if (thread.spin_halvings < most_halvings) ++thread.spin_halvings;
    return false;
}

}  // namespace

root_wait::root_wait(const segment& in, root_slot& slot, std::uint64_t generation, std::uint32_t event,
                     steady_time deadline, std::stop_token stop, std::uint32_t bits)
    : slot_(slot), generation_(generation), event_(event), bits_(bits), deadline_(deadline),
      stop_(std::move(stop)) {
    require_outside(
        "wait for", in, slot_,
        "this thread is in a transaction of it, and nobody else could end the wait; use the `try_` form");
    if (stop_.stop_possible()) on_stop_.emplace(stop_, disturb{slot_, event_});
}

root_wait::~root_wait() = default;

void root_wait::pass_wake_on() const noexcept {
    wake_without_lock(slot_, event_);
}

bool root_wait::pause_once(const std::uint64_t& word, std::uint64_t seen) {
    if (!is_registered_) {
        // The next look registers, if this was in vain.
        if (may_spin_ && !stop_.stop_requested()) static_cast<void>(spin_if_it_pays(word, seen, deadline_));
        may_spin_ = false;
        return false;
    }
    // After the sequence was read: a stop that comes later bumps it. A wake that a dead sleeper has taken with it has done
    // so, too; where none has come since, a tick goes without the lock, and with the old sequence.
    if (!stop_.stop_requested()) {
        sleep(slot_, event_, sequence_, deadline_, bits_);
        if (is_nothing_new(word, seen)) return true;
    }
    is_registered_ = false;
    may_spin_ = load_word(slot_.events[event_].sequence) != sequence_;
    return false;
}

bool root_wait::is_nothing_new(const std::uint64_t& word, std::uint64_t seen) const noexcept {
    // The object may have gone with a remover that was killed before it woke anybody.
    return !stop_.stop_requested() && load_word(slot_.events[event_].sequence) == sequence_ &&
           !has_changed(word, seen) && load_word(slot_.generation) == generation_ &&
           load_word(slot_.state) == static_cast<std::uint32_t>(root_state::live) &&
           (deadline_ == no_deadline || std::chrono::steady_clock::now() < deadline_);
}

bool root_wait::may_go_on(root_transaction& tx) {
    if (stop_.stop_requested()) return false;
    if (deadline_ != no_deadline && std::chrono::steady_clock::now() >= deadline_) return false;
    if (!may_spin_) {
        sequence_ = prepare_to_sleep(tx, event_);
        is_registered_ = true;
    }
    return true;
}

}  // namespace cairn::inline CAIRN_ABI::detail
