// executors.hpp - what tests of executors need: doors that tasks wait at, and waiting that turns a hang into a failure.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include <doctest/doctest.h>

#include "support/patience.hpp"

namespace cairn_test {

inline constexpr std::chrono::seconds executor_watchdog{20};

/// Closed until somebody opens it, for all who wait and all who come later.
class door {
public:
    void open() {
        const std::lock_guard held(mutex_);
        is_open_ = true;
        change_.notify_all();
    }
    /// False: nobody has opened it, the watchdog has.
    bool pass() {
        std::unique_lock held(mutex_);
        ++arrived_;
        change_.notify_all();
        return change_.wait_for(held, patiently(executor_watchdog), [this] { return is_open_; });
    }
    /// Until so many have come to it.
    bool wait_for_arrivals(int count) {
        std::unique_lock held(mutex_);
        return change_.wait_for(held, patiently(executor_watchdog), [&] { return arrived_ >= count; });
    }

private:
    std::mutex mutex_;
    std::condition_variable change_;
    bool is_open_ = false;
    int arrived_ = 0;
};

/// Of a future: true when it is done in time.
template <typename Future>
bool is_done_in_time(const Future& f) {
    return eventually([&] { return f.done(); });
}

}  // namespace cairn_test
