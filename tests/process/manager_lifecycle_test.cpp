// manager_lifecycle_test.cpp - how long a named segment keeps its name when processes die, become others, and leave in
// another order than they came. The ordinary life of one is in tests/unit/manager/lifecycle_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace manager_lifecycle_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

constexpr cairn::segment_options small = {.max_size = 16_MiB};

// A process that has done `first` and then stands still, attached; the caller kills it or lets it go on.
template <typename First>
child stopped_after(First first) {
    child c([&] {
        const auto held = first();
        ::raise(SIGSTOP);
    });
    c.wait_until_stopped();
    return c;
}

child stopped_creator(const std::string& name, const cairn::segment_options& options = small) {
    return stopped_after([&] {
        cairn::manager m = cairn::manager::create(name, options);
        m.list<int>("left", {1, 2, 3});
        return m;
    });
}

void leave_what_a_killed_creator_leaves(const std::string& name,
                                        const cairn::segment_options& options = small) {
    child creator = stopped_creator(name, options);
    creator.kill();
    REQUIRE(creator.join() == -SIGKILL);
}

bool creates(const std::string& name) {
    return in_child([&] { const auto m = cairn::manager::create(name, small); }) == 0;
}

}  // namespace

TEST_CASE("a persistent segment survives the kill of its creator and of its last user") {
    const scratch_name name;
    leave_what_a_killed_creator_leaves(name, {.max_size = 16_MiB, .persist = true});
    CHECK_THROWS_AS(cairn::manager::create(name, small), cairn::segment_exists);
    child user = stopped_after([&] { return cairn::manager::open(name); });
    user.kill();
    CHECK(user.join() == -SIGKILL);
    CHECK(cairn::manager::open(name).list<int>("left") == std::vector<int>{1, 2, 3});
    CHECK(name.exists());
    cairn::manager::open(name).unlink();
}

TEST_CASE("the creator's last manager object takes the name, no earlier one does") {
    const scratch_name name;
    std::optional<cairn::manager> first = cairn::manager::create(name, small);
    std::optional<cairn::manager> copy = first;
    std::optional<cairn::manager> opened = cairn::manager::open(name);
    first.reset();
    CHECK(name.exists());
    std::optional<cairn::manager> moved = std::move(*copy);
    copy.reset();
    CHECK(name.exists());
    *moved = cairn::manager(*moved);
    opened.reset();
    CHECK(name.exists());
    moved.reset();
    CHECK_FALSE(name.exists());
}

TEST_CASE("a manager that a handle gives counts as the creator's") {
    const scratch_name name;
    std::optional<cairn::manager> m = cairn::manager::create(name, small);
    const auto l = m->list<int>("l");
    {
        const cairn::manager of_handle = l.manager();
        m.reset();
        CHECK(name.exists());
    }
    CHECK_FALSE(name.exists());
}

TEST_CASE("handles keep the memory after the name is gone, and still grow the segment") {
    const scratch_name name;
    std::optional<cairn::manager> m =
        cairn::manager::create(name, {.max_size = 64_MiB, .initial_size = 1_MiB});
    const auto l = m->list<long>("l", {1, 2});
    m.reset();
    CHECK_FALSE(name.exists());
    l.extend(std::vector<long>(1'000'000, 7));  // 8 MB: many times what it was born with
    CHECK(l.size() == 1'000'002);
    CHECK(l.at(1'000'001) == 7);
    CHECK(in_child([&] { l.push_back(3); }) == 0);
    CHECK(l.back() == 3);
}

TEST_CASE("the name of a segment whose creator keeps only handles is free for a new one") {
    const scratch_name name;
    std::optional<cairn::manager> m = cairn::manager::create(name, small);
    const auto old_list = m->list<int>("l", {1});
    m.reset();
    const auto anew = cairn::manager::create(name, small);
    CHECK_FALSE(anew.contains("l"));
    const auto new_list = anew.list<int>("l", {2});
    CHECK(old_list == std::vector<int>{1});
    CHECK(new_list == std::vector<int>{2});
    CHECK(old_list.manager().list<int>("l") ==
          std::vector<int>{1});  // comes and goes as the old one's last manager
    CHECK(name.exists());
}

TEST_CASE("when its creator was killed, the last participant to leave takes the name") {
    const scratch_name name;
    child creator = stopped_creator(name);
    child one = stopped_after([&] { return cairn::manager::open(name); });
    child two = stopped_after([&] { return cairn::manager::open(name).list<int>("left"); });
    creator.kill();
    CHECK(creator.join() == -SIGKILL);
    one.resume();
    CHECK(one.join() == 0);
    CHECK(name.exists());
    CHECK_FALSE(creates(name));
    two.resume();
    CHECK(two.join() == 0);
    CHECK_FALSE(name.exists());
}

TEST_CASE("open_or_create opens what lives, with its contents and its size") {
    const scratch_name name;
    const auto m = cairn::manager::create(name, small);
    m.list<int>("l", {1, 2});
    CHECK(in_child([&] {
              const auto same = cairn::manager::open_or_create(name, {.max_size = 32_MiB});
              CHILD_CHECK(same.list<int>("l").size() == 2);
              CHILD_CHECK(same.stats().max_bytes <= 16_MiB);
          }) == 0);
    CHECK(name.exists());
}

TEST_CASE("a process that ends by _exit, by abort or by exit without its destructors counts as killed") {
    const auto leave_no_core = [] {
        const rlimit none = {.rlim_cur = 0, .rlim_max = 0};
        ::setrlimit(RLIMIT_CORE, &none);
    };
    const scratch_name name;
    CHECK(in_child([&] {
              const auto m = cairn::manager::create(name, small);
              ::_exit(3);
          }) == 3);
    CHECK(name.exists());
    CHECK(creates(name));
    CHECK(in_child([&] {
              leave_no_core();
              const auto m = cairn::manager::create(name, small);
              std::abort();
          }) == -SIGABRT);
    CHECK(name.exists());
    CHECK(creates(name));
    CHECK_FALSE(name.exists());
}

TEST_CASE("a process that has become another program counts as killed") {
    const scratch_name name;
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    child former([&] {
        const auto m = cairn::manager::create(name, small);
        ::close(ends[0]);
        ::execl("/bin/sleep", "sleep", "80", static_cast<char*>(nullptr));
        ::_exit(1);
    });
    ::close(ends[1]);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);  // closed by the exec
    ::close(ends[0]);
    CHECK(name.exists());
    const auto m = cairn::manager::create(name, small);
    CHECK(m.stats().process_count == 1);
    former.kill();
    CHECK(former.join() == -SIGKILL);
}

TEST_CASE("the destructor of a killed creator's heir does not remove a newer segment of the name") {
    const scratch_name name;
    child creator = stopped_creator(name);
    std::optional<cairn::manager> heir = cairn::manager::open(name);
    creator.kill();
    CHECK(creator.join() == -SIGKILL);
    heir->unlink();
    const auto anew = cairn::manager::create(name, small);
    heir.reset();
    CHECK(name.exists());
}

}  // namespace manager_lifecycle_test
