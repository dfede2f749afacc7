#include "os/fork_count.hpp"

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <new>

#include <sys/wait.h>

#include "os/child.hpp"

namespace cairn::inline v0::detail::os {

namespace {

// In memory that a process shares with its children, and the children with nobody else's.
struct fork_count {
    std::atomic<std::int64_t> on_their_way{0};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

fork_count* own = nullptr;

bool has_children() noexcept {
    siginfo_t info = {};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 || errno != ECHILD;
}

}  // namespace

bool renew_fork_count() noexcept {
    // A child leaves its parent's page mapped if it gets none itself: it counts no forks then.
    void* page = nullptr;
    fork_count* inherited = own;
    own = nullptr;
    if (map_shared_with_children(sizeof(fork_count), page)) return false;
    own = new (page) fork_count;
    if (inherited != nullptr) unmap_shared(inherited, sizeof(fork_count));
    return true;
}

// seq_cst for all: forks are rare.
void count_fork() noexcept {
    if (own != nullptr) own->on_their_way.fetch_add(1);
}

void count_arrival() noexcept {
    if (own != nullptr) own->on_their_way.fetch_sub(1);
}

void wait_for_arrivals(std::chrono::milliseconds longest) noexcept {
    if (own == nullptr) return;
    const auto deadline = std::chrono::steady_clock::now() + longest;
    std::int64_t missing = 0;
    while ((missing = own->on_their_way.load()) > 0 && has_children()) {
        if (std::chrono::steady_clock::now() >= deadline) break;
        sleep_for(std::chrono::microseconds(200));
    }
    if (missing > 0) own->on_their_way.fetch_sub(missing);
}

}  // namespace cairn::inline v0::detail::os
