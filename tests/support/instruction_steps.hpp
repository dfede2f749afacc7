// instruction_steps.hpp - a call that is interrupted before its n-th instruction, so that a race is tried at each of them.
//
// How    the processor's single-step flag: each instruction ends in a SIGTRAP. It is set by the handler of a first one.
// Where  x86-64, and not under a sanitizer, whose own work would be most of the steps.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <csignal>
#include <cstddef>

#include <ucontext.h>

#include "support/sanitizers.hpp"

namespace cairn_test {

#if defined(__x86_64__)
inline constexpr bool can_step = !has_thread_sanitizer && !has_address_sanitizer;
#else
inline constexpr bool can_step = false;
#endif

/// One at a time in a process.
class instruction_steps {
public:
    /// Runs `call`, and before its n-th instruction `meanwhile`, on the same thread in a handler of signals: what that uses has to
    /// be safe there. False where `call` has ended before.
    template <typename Call>
    static bool interrupt(std::size_t n, void (*meanwhile)(), const Call& call) {
        struct sigaction before {};
        begin(n, meanwhile, &before);
        call();
        const bool is_over = then != nullptr;
        then = nullptr;  // the next step is the last one
        ::sigaction(SIGTRAP, &before, nullptr);
        return !is_over;
    }

    /// `meanwhile` before the n-th instruction from here on, wherever that is.
    static void begin(std::size_t n, void (*meanwhile)(), struct sigaction* before = nullptr) {
        left = n;
        then = meanwhile;
        struct sigaction ours {};
        ours.sa_sigaction = &step;
        ours.sa_flags = SA_SIGINFO;
        ::sigaction(SIGTRAP, &ours, before);
        ::raise(SIGTRAP);
    }

private:
    static void step(int /*signal*/, siginfo_t* /*info*/, void* context) {
#if defined(__x86_64__)
        constexpr greg_t single_step = 0x100;
        greg_t& flags = static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_EFL];
        flags |= single_step;
        if (then != nullptr && left != 0) {
            left = left - 1;
            return;
        }
        flags &= ~single_step;
        if (void (*const now)() = then; now != nullptr) now();
        then = nullptr;
#else
        static_cast<void>(context);
#endif
    }

    // volatile: of the handler
    static inline volatile std::size_t left = 0;
    static inline void (*volatile then)() = nullptr;
};

}  // namespace cairn_test
