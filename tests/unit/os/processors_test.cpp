// SPDX-License-Identifier: BSL-1.0
#include "os/processors.hpp"

#include <sched.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"

namespace processors_test {

using namespace cairn_test;
using namespace cairn::detail;

TEST_CASE("a process that is bound to one processor knows of the others: who it waits for may run there") {
    CHECK(os::processor_count() >= 1);
    CHECK(in_child([] {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
              CHILD_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
              CHILD_CHECK(os::processor_count() == ::sysconf(_SC_NPROCESSORS_ONLN));
          }) == 0);
}

}  // namespace processors_test
