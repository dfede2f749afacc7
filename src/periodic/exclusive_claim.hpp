// exclusive_claim.hpp - the lock of an exclusive periodic, and the thread that has it.
//
// A lock belongs to a thread, but the runs of a callable are made by any thread of an executor. So a thread of its own waits for the lock,
// and keeps it from run to run until it is given up: by then no run is under way. While it sleeps nobody is woken for it: the kernel wakes
// it when the owner has died, or has given the lock back.
//
// Word          beside the lock (mutex_word): from when the next run is counted, on the clock of the workers. It is stored when a run
//               starts, before the callable is called. A successor that finds it goes on from there: what was said is not run again, and
//               what was due and not said is run at once. tests/models/exclusive_model.py.
// Death         of the process: the kernel passes the lock on. No run is under way then, since runs end with the process.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <system_error>

#include <pthread.h>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/mutex.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class periodic_core;
struct periodic_work;

class exclusive_claim {
public:
    /// `core` is told by has_claimed(), or by cannot_claim(), neither of which finds its lock held by this thread.
    exclusive_claim(mutex lock, std::shared_ptr<periodic_core> core, std::shared_ptr<periodic_work> work);
    exclusive_claim(const exclusive_claim&) = delete;
    exclusive_claim& operator=(const exclusive_claim&) = delete;
    ~exclusive_claim() = default;  // joined, or never begun

    /// Starts the thread.
    std::error_code begin() noexcept;
    /// The lock is given back soon. Does not wait. Any number of times.
    void give_up() noexcept;
    [[nodiscard]] bool is_given_up() const noexcept { return stop_.stop_requested(); }
    /// Waits until it has been. Once, after begin() and give_up(), without the core's lock.
    void join() noexcept;

    /// What was said last, by whoever had the lock then. Only while the lock is held.
    [[nodiscard]] std::optional<steady_time> said() const noexcept;
    void say(steady_time counted_from) noexcept;

private:
    static void* thread_body(void* claim);
    void run();
    bool take();

    const mutex lock_;
    const std::shared_ptr<periodic_core> core_;
    const std::shared_ptr<periodic_work> work_;
    std::stop_source stop_;
    std::mutex mutex_;
    std::condition_variable given_up_;
    pthread_t thread_{};
};

}  // namespace cairn::inline CAIRN_ABI::detail
