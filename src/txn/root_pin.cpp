// SPDX-License-Identifier: BSL-1.0
#include "txn/root_pin.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/processors.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/participants.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Work at a pin takes less than a microsecond; who takes longer has lost its processor, or its life. A yield gives nothing to
// a thread of lower priority, so that the rest of the wait is sleep: from the first nap of 50 us, which is about what a wake
// costs, to 2 ms. Whether the thread lives is asked at first, and then at every sixteenth look.
constexpr int pauses_before_yielding = 1000;
constexpr int yields_before_sleeping = 16;
constexpr std::chrono::nanoseconds shortest_nap = std::chrono::microseconds(50);
constexpr std::chrono::nanoseconds longest_nap = std::chrono::milliseconds(2);
constexpr unsigned looks_between_questions = 16;

}  // namespace

std::string describe_thread(const segment& s, thread_token token) {
    const auto pid =
        static_cast<std::uint32_t>(os::pid_of(identity_of_participant(s, participant_of(token))));
    std::string text = "pid " + std::to_string(pid);
    if (thread_of(token) != pid) text += " (thread " + std::to_string(thread_of(token)) + ")";
    return text;
}

void throw_inside(const segment& s, const root_slot& slot) {
    throw would_deadlock("use of " + describe_object(s, slot) +
                         ": this thread is inside another operation (a callback or a signal handler); do it "
                         "after that operation");
}

namespace {

// True when the pin is free, or has just been freed of what a dead thread has left.
bool is_cleared(const segment& s, stored_pin& pin, bool asks_system) noexcept {
    // acquire: pairs with the release of whoever has left; its work is seen
    std::uint64_t holder = __atomic_load_n(&pin.holder, __ATOMIC_ACQUIRE);
    if (holder == 0) return true;
    // A mark of this thread's own was left by one of the same id: this one is here.
    if (holder != s.own_token() && (!asks_system || is_thread_alive(s, holder))) return false;
    // Not if it has changed meanwhile: then it is a living one's.
    return __atomic_compare_exchange_n(&pin.holder, &holder, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

}  // namespace

void clear_holder(const segment& s, const root_slot& slot, stored_pin& pin) {
    for (int i = 0; i < pauses_before_yielding; ++i) {
        if (is_cleared(s, pin, false)) return;
        pause_reader();
    }
    for (int i = 0; i < yields_before_sleeping; ++i) {
        if (is_cleared(s, pin, false)) return;
        os::yield_processor();
    }
    const lock_limit limit = limit_in(s);
    limited_wait wait(limit);
    std::chrono::nanoseconds nap = shortest_nap;
    for (unsigned look = 0;; ++look, nap = std::min(2 * nap, longest_nap)) {
        if (is_cleared(s, pin, look % looks_between_questions == 0)) return;
        switch (wait.is_over()) {
            case wait_end::none: break;
            case wait_end::limit: throw limit_reached();
            case wait_end::patience:
                throw timeout_error("use of " + describe_object(s, slot) + ": " +
                                    describe_thread(s, load_word(pin.holder)) +
                                    " is in the middle of a put or get, and has not come out of it in time: "
                                    "it is stopped, or gets no processor");
        }
        os::sleep_for(nap);
    }
}

void wait_for_pins(const segment& s, root_slot& slot) {
    // Pairs with the full fence of a worker: it sees the odd version, or is seen here.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (stored_pin& pin : slot.pins) clear_holder(s, slot, pin);
}

}  // namespace cairn::inline CAIRN_ABI::detail
