// SPDX-License-Identifier: BSL-1.0
#include "os/fork_count.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

#include "os/child.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

constexpr std::size_t most_known_forks = 512;  // chosen freely: 2 KiB of the page

// How often those who were missing have been given up in the upper half, how many are on their way in the lower one.
struct fork_count {
    std::atomic<std::uint64_t> word{0};
    // By whom those on their way were forked; 0: free. More than there is room for are anybody's.
    std::array<std::atomic<pid_t>, most_known_forks> forkers{};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

constexpr std::size_t no_place = most_known_forks;

constexpr std::uint64_t one_epoch = std::uint64_t{1} << 32;

constexpr std::uint64_t epoch_of(std::uint64_t word) noexcept {
    return word / one_epoch;
}
constexpr std::uint64_t on_their_way(std::uint64_t word) noexcept {
    return word % one_epoch;
}

fork_count* family = nullptr;
// Of the fork that is being made: the child finds its own in its copy. Forks are made one at a time (registry.cpp).
std::uint64_t epoch_of_fork = 0;
std::size_t place_of_fork = no_place;
pid_t forker_of_fork = 0;
constinit std::atomic<bool> is_forker = false;

// Whether everybody who is on the way was forked by this process.
bool are_all_own() noexcept {
    const pid_t self = own_pid();
    std::uint64_t own = 0;
    for (const std::atomic<pid_t>& each : family->forkers) {
        const pid_t forker = each.load();
        if (forker != 0 && forker != self) return false;
        if (forker == self) ++own;
    }
    return own >= on_their_way(family->word.load());
}

void forget_forkers() noexcept {
    for (std::atomic<pid_t>& each : family->forkers) each.store(0);
}

}  // namespace

bool begin_fork_count() noexcept {
    if (family != nullptr) return true;
    void* page = nullptr;
    if (map_shared_with_children(sizeof(fork_count), page)) return false;
    family = new (page) fork_count;
    return true;
}

// seq_cst for all: forks are rare.
void count_fork() noexcept {
    is_forker.store(true);
    if (family == nullptr) return;
    forker_of_fork = own_pid();
    place_of_fork = 0;
    for (pid_t nobody = 0; place_of_fork != no_place; ++place_of_fork, nobody = 0)
        if (family->forkers[place_of_fork].compare_exchange_strong(nobody, forker_of_fork)) break;
    epoch_of_fork = epoch_of(family->word.fetch_add(1));
}

void count_arrival() noexcept {
    is_forker.store(false);
    if (family == nullptr) return;
    if (place_of_fork != no_place) {
        pid_t forker = forker_of_fork;  // which may have ended, and be its parent no more
        family->forkers[place_of_fork].compare_exchange_strong(forker, 0);
    }
    std::uint64_t word = family->word.load();
    while (epoch_of(word) == epoch_of_fork && on_their_way(word) != 0)
        if (family->word.compare_exchange_weak(word, word - 1)) return;
}

void forget_forks_of(pid_t forker) noexcept {
    if (family == nullptr) return;
    // Before the look: those that are given up meanwhile are not counted any more.
    const std::uint64_t epoch = epoch_of(family->word.load());
    for (std::atomic<pid_t>& each : family->forkers) {
        pid_t is = forker;
        if (!each.compare_exchange_strong(is, 0)) continue;
        std::uint64_t word = family->word.load();
        while (epoch_of(word) == epoch && on_their_way(word) != 0)
            if (family->word.compare_exchange_weak(word, word - 1)) break;
    }
}

bool has_forked() noexcept {
    return is_forker.load();
}

bool has_forks_on_their_way() noexcept {
    return family != nullptr && on_their_way(family->word.load()) != 0;
}

void wait_for_arrivals(std::chrono::milliseconds longest, bool (*may_arrive)(const void* context) noexcept,
                       const void* context) noexcept {
    if (family == nullptr) return;
    const auto deadline = std::chrono::steady_clock::now() + longest;
    for (;;) {
        std::uint64_t word = family->word.load();
        if (on_their_way(word) == 0) return;
        // Asked after the count was read.
        if ((are_all_own() && !may_arrive(context)) || std::chrono::steady_clock::now() >= deadline) {
            // Tried again when somebody has arrived or was forked meanwhile.
            if (family->word.compare_exchange_strong(word, (epoch_of(word) + 1) * one_epoch))
                return forget_forkers();
            continue;
        }
        sleep_for(std::chrono::microseconds(200));
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
