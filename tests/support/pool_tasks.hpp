// pool_tasks.hpp - tasks of process pools that several files of tests have, and what becomes of them.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <csignal>
#include <exception>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/patience.hpp"
#include <cairn/error.hpp>

namespace cairn_test {

inline void kill_own() {
    ::kill(::getpid(), SIGKILL);
}
inline int own_pid() {
    return static_cast<int>(::getpid());
}
inline int same(int x) {
    return x;
}

/// Of a task that died.
template <typename Future>
cairn::worker_died death_of(const Future& f) {
    try {
        f.result(patiently(executor_watchdog));
    } catch (const cairn::worker_died& e) {
        return e;
    } catch (const std::exception& e) {
        FAIL("not worker_died: " << e.what());
    }
    FAIL("it ended well");
    return cairn::worker_died("");
}

}  // namespace cairn_test
