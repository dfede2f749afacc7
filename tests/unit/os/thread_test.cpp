// SPDX-License-Identifier: BSL-1.0
#include "os/thread.hpp"

#include <cerrno>

#include <doctest/doctest.h>

#include "support/faults.hpp"

namespace thread_test {

using namespace cairn::detail;

TEST_CASE("a thread that was started runs its body, and is joined") {
    int runs = 0;
    pthread_t thread{};
    const auto body = [](void* count) -> void* {
        ++*static_cast<int*>(count);
        return nullptr;
    };
    CHECK_FALSE(os::start_thread(thread, body, &runs));
    os::join_thread(thread);
    CHECK(runs == 1);
    const cairn_test::nth_call_fails fault(1, EAGAIN);
    CHECK(os::start_thread(thread, body, &runs).value() == EAGAIN);
    CHECK(runs == 1);
}

}  // namespace thread_test
