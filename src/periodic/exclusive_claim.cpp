// SPDX-License-Identifier: BSL-1.0
#include "periodic/exclusive_claim.hpp"

#include <chrono>
#include <cstdint>
#include <exception>
#include <limits>
#include <utility>

#include "os/child.hpp"
#include "os/thread.hpp"
#include "periodic/periodic_core.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// A limit of its own, so that the manager's `.lock_timeout`, by which plain operations end, is not this wait's. Then it waits again.
constexpr std::chrono::hours claim_wait{24};

}  // namespace

exclusive_claim::exclusive_claim(mutex lock, std::shared_ptr<periodic_core> core,
                                 std::shared_ptr<periodic_work> work)
    : lock_(std::move(lock)), core_(std::move(core)), work_(std::move(work)) {}

std::error_code exclusive_claim::begin() noexcept {
    return os::start_quiet_joinable(thread_, &thread_body, this);
}

void exclusive_claim::give_up() noexcept {
    stop_.request_stop();
    const std::lock_guard held(mutex_);
    given_up_.notify_all();
}

void exclusive_claim::join() noexcept {
    os::join_thread(thread_);
}

void* exclusive_claim::thread_body(void* claim) {
    os::name_own_thread("cairn-claim");
    static_cast<exclusive_claim*>(claim)->run();
    return nullptr;
}

bool exclusive_claim::take() {
    while (!is_given_up())
        if (lock_.try_lock_for(claim_wait, stop_.get_token())) return true;
    return false;
}

void exclusive_claim::run() {
    try {
        if (!take()) return;
    } catch (const std::exception&) {
        core_->cannot_claim(work_, std::current_exception());
        return;
    }
    core_->has_claimed(work_);
    {
        std::unique_lock held(mutex_);
        given_up_.wait(held, [this] { return is_given_up(); });
    }
    lock_.unlock();
}

// 0 is what nobody has said yet, so that instant of a clock is one nanosecond later.
std::optional<steady_time> exclusive_claim::said() const noexcept {
    const std::uint64_t word = mutex_word::load(lock_);
    constexpr std::uint64_t latest = std::numeric_limits<std::int64_t>::max();
    if (word == 0 || word > latest) return std::nullopt;
    return steady_time(std::chrono::nanoseconds(static_cast<std::int64_t>(word)));
}

void exclusive_claim::say(steady_time counted_from) noexcept {
    const auto word =
        static_cast<std::uint64_t>(std::chrono::nanoseconds(counted_from.time_since_epoch()).count());
    mutex_word::store(lock_, word == 0 ? 1 : word);
}

}  // namespace cairn::inline CAIRN_ABI::detail
