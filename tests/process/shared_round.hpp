// shared_round.hpp - what processes of one test share beside Cairn: counters, and a barrier that no death breaks.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <new>
#include <stdexcept>

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "support/patience.hpp"

namespace cairn_test {

/// A T in memory shared with the children that are forked from now on.
template <typename T>
class shared_with_children {
public:
    shared_with_children() {
        void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::runtime_error("no shared page");
        value_ = new (memory) T{};
    }
    shared_with_children(const shared_with_children&) = delete;
    shared_with_children& operator=(const shared_with_children&) = delete;
    ~shared_with_children() { ::munmap(static_cast<void*>(value_), sizeof(T)); }

    T& operator*() const noexcept { return *value_; }
    T* operator->() const noexcept { return value_; }

private:
    T* value_;
};

/// All of `parties` arrive before any goes on; again and again. When one does not come, a failed check has ended it: the
/// others leave as well.
struct meeting {
    static constexpr std::chrono::seconds longest_round{20};

    std::atomic<unsigned> arrived{0};

    void arrive_and_wait(unsigned parties) {
        const unsigned mine = arrived.fetch_add(1) + 1;
        const unsigned all = (mine + parties - 1) / parties * parties;
        const auto deadline = std::chrono::steady_clock::now() + patiently(longest_round);
        while (arrived.load() < all) {
            ::sched_yield();
            if (std::chrono::steady_clock::now() > deadline) ::_exit(97);
        }
    }
};

}  // namespace cairn_test
