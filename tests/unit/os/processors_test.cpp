// SPDX-License-Identifier: BSL-1.0
#include "os/processors.hpp"

#include <string>

#include <sched.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/made_up_groups.hpp"
#include "support/scratch.hpp"

namespace processors_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

int processors_in(const made_up_groups& made_up, const std::string& groups) {
    return os::control_group_processors(groups, made_up.root());
}

}  // namespace

TEST_CASE("a quota counts rounded up, the least of a group and those around it, in both versions") {
    const made_up_groups groups;
    CHECK(processors_in(groups, "0::/\n") == 0);
    groups.write("/a/cpu.max", "max 100000\n");
    CHECK(processors_in(groups, "0::/a\n") == 0);
    groups.write("/a/cpu.max", "350000 100000\n");
    CHECK(processors_in(groups, "0::/a\n") == 4);
    CHECK(processors_in(groups, "0::/a/b\n") == 4);
    groups.write("/a/b/cpu.max", "5000 100000\n");
    CHECK(processors_in(groups, "0::/a/b\n") == 1);
    CHECK(processors_in(groups, "0::/a\n") == 4);
    groups.write("/cpu/x/cpu.cfs_quota_us", "-1\n");
    groups.write("/cpu/x/cpu.cfs_period_us", "100000\n");
    CHECK(processors_in(groups, "3:cpu,cpuacct:/x\n") == 0);
    groups.write("/cpu/x/cpu.cfs_quota_us", "200000\n");
    CHECK(processors_in(groups, "3:cpu,cpuacct:/x\n") == 2);
    groups.write("/a/cpu.max", "no number");
    CHECK(processors_in(groups, "0::/a\n") == 0);
}

TEST_CASE("a process may use the processors that it is bound to, and at least one") {
    CHECK(os::usable_processor_count() >= 1);
    CHECK(in_child([] {
              cpu_set_t one;
              CPU_ZERO(&one);
              CPU_SET(static_cast<unsigned>(::sched_getcpu()), &one);
              CHILD_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
              CHILD_CHECK(os::usable_processor_count() == 1);
          }) == 0);
}

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
