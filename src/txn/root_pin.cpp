// SPDX-License-Identifier: BSL-1.0
#include "txn/root_pin.hpp"

#include <string>

#include "os/identity.hpp"
#include "os/processors.hpp"
#include "segment/participants.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Work at a pin takes less than a microsecond; who takes longer has lost its processor, or its life.
constexpr int pauses_before_asking = 1000;
constexpr int yields_between_questions = 64;

std::uint32_t thread_of(thread_token token) noexcept {
    return static_cast<std::uint32_t>(token & ((thread_token{1} << thread_id_bits) - 1));
}

}  // namespace

bool is_thread_alive(const segment& s, thread_token token) noexcept {
    const os::process_identity process = identity_of_participant(s, token >> thread_id_bits);
    return process != 0 && os::is_alive(process) &&
           os::has_thread(os::pid_of(process), static_cast<pid_t>(thread_of(token)));
}

std::string describe_thread(const segment& s, thread_token token) {
    const auto pid =
        static_cast<std::uint32_t>(os::pid_of(identity_of_participant(s, token >> thread_id_bits)));
    std::string text = "pid " + std::to_string(pid);
    if (thread_of(token) != pid) text += " (thread " + std::to_string(thread_of(token)) + ")";
    return text;
}

void throw_inside(const segment& s, const root_slot& slot) {
    throw would_deadlock("use of " + describe_object(s, slot) +
                         ": this thread is inside another operation (a callback or a signal handler); do it "
                         "after that operation");
}

void clear_holder(const segment& s, stored_pin& pin) noexcept {
    for (int i = 0;; ++i) {
        // acquire: pairs with the release of whoever has left; its work is seen
        std::uint64_t holder = __atomic_load_n(&pin.holder, __ATOMIC_ACQUIRE);
        if (holder == 0) return;
        // A mark of this thread's own was left by one of the same id: this one is here.
        const bool is_left_behind =
            holder == own_token(s) ||
            (i >= pauses_before_asking && i % yields_between_questions == 0 && !is_thread_alive(s, holder));
        if (is_left_behind) {
            // Not if it has changed meanwhile: then it is a living one's.
            __atomic_compare_exchange_n(&pin.holder, &holder, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        } else if (i < pauses_before_asking) {
            pause_reader();
        } else {
            os::yield_processor();
        }
    }
}

void wait_for_pins(const segment& s, root_slot& slot) noexcept {
    // Pairs with the full fence of a worker: it sees the odd version, or is seen here.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (stored_pin& pin : slot.pins) clear_holder(s, pin);
}

}  // namespace cairn::inline CAIRN_ABI::detail
