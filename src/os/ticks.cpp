// SPDX-License-Identifier: BSL-1.0
#include "os/ticks.hpp"

#include <atomic>

#if defined(__x86_64__)
#include <cpuid.h>
#include <x86intrin.h>
#endif

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

std::int64_t steady_nanoseconds() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

#if defined(__x86_64__)

bool has_invariant_counter() noexcept {
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;
    constexpr unsigned power_leaf = 0x80000007U;
    constexpr unsigned invariant_bit = 1U << 8U;
    return ::__get_cpuid(power_leaf, &a, &b, &c, &d) != 0 && (d & invariant_bit) != 0;
}

// Asked once: in a virtual machine the answer costs microseconds. 0: not known yet, 1: usable, 2: not.
constinit std::atomic<int> known = 0;

bool counter_is_usable() noexcept {
    // relaxed: whoever finds nothing asks for itself
    int answer = known.load(std::memory_order_relaxed);
    if (answer == 0) {
        answer = has_invariant_counter() ? 1 : 2;
        known.store(answer, std::memory_order_relaxed);
    }
    return answer == 1;
}

std::int64_t counter() noexcept {
    return static_cast<std::int64_t>(__rdtsc());
}

#else

constexpr bool counter_is_usable() noexcept {
    return true;
}

std::int64_t counter() noexcept {
    std::int64_t now = 0;
    asm volatile("mrs %0, cntvct_el0" : "=r"(now));
    return now;
}

#endif

}  // namespace

std::int64_t ticks() noexcept {
    return counter_is_usable() ? counter() : steady_nanoseconds();
}

tick_rate::tick_rate() noexcept : ticks_(ticks()), time_(std::chrono::steady_clock::now()) {}

double tick_rate::seconds_per_tick() const noexcept {
    const std::int64_t passed = ticks() - ticks_;
    const std::chrono::duration<double> time = std::chrono::steady_clock::now() - time_;
    return passed > 0 && time.count() > 0 ? time.count() / static_cast<double>(passed) : 1e-9;
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
