// SPDX-License-Identifier: BSL-1.0
#include "os/fork_count.hpp"

#include <atomic>
#include <cstdint>
#include <new>

#include "os/child.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// How often those who were missing have been given up in the upper half, how many are on their way in the lower one.
struct fork_count {
    std::atomic<std::uint64_t> word{0};
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

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
    if (family != nullptr) epoch_of_fork = epoch_of(family->word.fetch_add(1));
}

void count_arrival() noexcept {
    if (family == nullptr) return;
    std::uint64_t word = family->word.load();
    while (epoch_of(word) == epoch_of_fork && on_their_way(word) != 0)
        if (family->word.compare_exchange_weak(word, word - 1)) return;
}

bool has_forks_on_their_way() noexcept {
    return family != nullptr && on_their_way(family->word.load()) != 0;
}

void wait_for_arrivals(std::chrono::milliseconds longest) noexcept {
    if (family == nullptr) return;
    const auto deadline = std::chrono::steady_clock::now() + longest;
    for (;;) {
        std::uint64_t word = family->word.load();
        if (on_their_way(word) == 0) return;
        if (std::chrono::steady_clock::now() >= deadline) {
            // Tried again when somebody has arrived or was forked meanwhile.
            if (family->word.compare_exchange_strong(word, (epoch_of(word) + 1) * one_epoch)) return;
            continue;
        }
        sleep_for(std::chrono::microseconds(200));
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
