// SPDX-License-Identifier: BSL-1.0
#include "segment/lock_timeout.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "os/probe.hpp"
#include "segment/internals.hpp"
#include "segment/participants.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// Neither deadline nor patience, and not taken for "no limit is set", to which the manager's applies.
constexpr operation_limit no_limit{};

}  // namespace

std::string in_seconds(std::chrono::nanoseconds time) {
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "%.1f s", std::chrono::duration<double>(time).count());
    return text.data();
}

std::string describe_holder(std::uint32_t thread) {
    const auto id = static_cast<pid_t>(thread);
    const pid_t process = os::process_of_thread(id);
    if (process == 0) return "thread " + std::to_string(thread) + " (not to be seen in /proc)";
    std::string text = "pid " + std::to_string(process) + " (" + os::program_of(process);
    if (process != id) text += ", thread " + std::to_string(thread);
    return text + ", " + os::state_of_thread(id) + ")";
}

unlimited_locks::unlimited_locks() noexcept : before_(this_thread.limit) {
    this_thread.limit = &no_limit;
}

unlimited_locks::~unlimited_locks() {
    this_thread.limit = before_;
}

lock_limit limit_in(const segment& s) noexcept {
    lock_limit limit;
    if (this_thread.limit == &no_limit) return limit;
    if (const operation_limit* own = this_thread.limit; own != nullptr) {
        if (own->deadline == at_once) limit.patience = try_lock_patience;
        else limit.deadline = own->deadline;
        if (own->stop != nullptr && own->stop->stop_possible()) limit.stop = own->stop;
    }
    // relaxed: a number of its own
    const std::chrono::nanoseconds timeout(s.internals().lock_timeout.load(std::memory_order_relaxed));
    if (limit.deadline == no_deadline) limit.patience = std::min(limit.patience, timeout);
    return limit;
}

holder_judge judge_of(const segment& s) noexcept {
    return {[](const void* context, thread_token holder) noexcept {
                return !is_thread_alive(*static_cast<const segment*>(context), holder);
            },
            &s};
}

lock_watch::lock_watch(const stored_mutex& m) noexcept
    : mutex_(m), acquired_(acquired_count(m)), begin_(std::chrono::steady_clock::now()) {}

void lock_watch::throw_timeout(const std::string& what) const {
    const std::string waited = in_seconds(std::chrono::steady_clock::now() - begin_);
    const lock_word word = inspect(mutex_);
    const std::uint64_t others = acquired_count(mutex_) - acquired_;
    std::string text = what + ": its lock was not free within " + waited;
    if (word.thread_id == 0) text += "; it is now";
    else if (others == 0) text += ": held all that time by " + describe_holder(word.thread_id);
    else
        text += ": taken " + std::to_string(others) + " times by others meanwhile, now held by " +
                describe_holder(word.thread_id);
    throw timeout_error(text);
}

}  // namespace cairn::inline CAIRN_ABI::detail
