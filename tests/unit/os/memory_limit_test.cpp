// memory_limit_test.cpp - the memory that a control group leaves a process.
// SPDX-License-Identifier: BSL-1.0
#include "os/memory_limit.hpp"

#include <cstdint>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "support/made_up_groups.hpp"

namespace memory_limit_test {

using cairn::detail::os::control_group_memory;
using cairn_test::made_up_groups;

namespace {

constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

}  // namespace

TEST_CASE("the least limit of a control group and those around it counts") {
    const made_up_groups groups;
    CHECK(control_group_memory("0::/\n", groups.root()) == no_limit);
    groups.write("/memory.max", "max\n");
    CHECK(control_group_memory("0::/\n", groups.root()) == no_limit);
    groups.write("/a/memory.max", "300000000\n");
    groups.write("/a/b/memory.max", "400000000\n");
    CHECK(control_group_memory("0::/a/b\n", groups.root()) == 300'000'000);
    CHECK(control_group_memory("0::/a/b/c\n", groups.root()) == 300'000'000);
    CHECK(control_group_memory("0::/x\n", groups.root()) == no_limit);
    groups.write("/a/b/memory.max", "200000000\n");
    CHECK(control_group_memory("0::/a/b\n", groups.root()) == 200'000'000);
    // As a container of its own sees it.
    groups.write("/memory.max", "100000000\n");
    CHECK(control_group_memory("0::/\n", groups.root()) == 100'000'000);
}

TEST_CASE("of version 1 the memory controller's group counts") {
    const made_up_groups groups;
    groups.write("/memory/job/memory.limit_in_bytes", "123456789\n");
    groups.write("/cpu/job/memory.limit_in_bytes", "5\n");
    const std::string lines = "9:name=systemd:/\n4:cpu,cpuacct:/job\n3:memory:/job\n0::/\n";
    CHECK(control_group_memory(lines, groups.root()) == 123'456'789);
    CHECK(control_group_memory("3:hugetlb,memory:/job\n", groups.root()) == 123'456'789);
    CHECK(control_group_memory("", groups.root()) == no_limit);
    CHECK(control_group_memory("nonsense\n::\n:\n", groups.root()) == no_limit);
}

TEST_CASE("this process has some memory") {
    CHECK(control_group_memory() > 1 << 20);
    CHECK(control_group_memory() == control_group_memory());
}

}  // namespace memory_limit_test
