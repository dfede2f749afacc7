// manager_fork_test.cpp - what forked children are to a segment: participants of their own, as many as there is room for.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <numeric>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/segment/segment_layout.hpp>

namespace manager_fork_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

constexpr cairn::segment_options small = {.max_size = 4_MiB, .initial_size = 256_KiB};

// A named one, an anonymous one, and a child that inherits both.
void use_segments_of_ones_own() {
    const scratch_name name;
    const auto named = cairn::manager::create(name, small);
    const cairn::manager anonymous(small);
    const auto a = named.list<int>("a", {1});
    const auto b = anonymous.list<std::string>("b", {"text"});
    CHILD_CHECK(in_child([&] {
                    a.push_back(2);
                    b.push_back("more text than there is room for in a slot");
                    const auto again = cairn::manager::open(name).list<int>("a");
                    CHILD_CHECK(again.size() == 2);
                }) == 0);
    CHILD_CHECK(a.size() == 2);
    CHILD_CHECK(b.size() == 2);
}

}  // namespace

TEST_CASE("children forked while other threads attach and leave use old and new segments, and fork again") {
    CHECK(in_child([] {
              const cairn::manager inherited(small);
              const auto l = inherited.list<int>("l");
              std::atomic<bool> stop{false};
              std::vector<std::jthread> threads;
              for (int t = 0; t < 2; ++t) {
                  threads.emplace_back([&] {
                      const scratch_name name("threads");
                      while (!stop) {
                          const auto named = cairn::manager::open_or_create(name, small);
                          named.list<int>("l").push_back(1);
                          const cairn::manager anonymous(small);
                          anonymous.list<int>("l").push_back(1);
                      }
                  });
              }
              std::vector<child> children;
              const int count = static_cast<int>(scaled(120));
              for (int i = 0; i < count; ++i) {
                  children.emplace_back([&] {
                      l.push_back(1);
                      use_segments_of_ones_own();
                  });
                  if (children.size() < 4) continue;
                  for (child& c : children) CHILD_CHECK(c.join() == 0);
                  children.clear();
              }
              for (child& c : children) CHILD_CHECK(c.join() == 0);
              stop = true;
              threads.clear();
              CHILD_CHECK(l.size() == static_cast<std::size_t>(count));
          }) == 0);
}

// The lock of the time zone, which fork does not reset, is nearly always held; with it, a child would hang that says when a
// queue was closed.
TEST_CASE("a child forked while other threads look at the clock finds a queue closed, and waits in another") {
    CHECK(in_child([] {
              const cairn::manager m(small);
              const auto closed = m.queue<long>("closed");
              const auto open = m.queue<long>("open");
              closed.close();
              std::atomic<bool> stop{false};
              std::vector<std::jthread> threads;
              for (int t = 0; t < 2; ++t) {
                  threads.emplace_back([&] {
                      std::tm local{};
                      for (std::time_t when = 0; !stop; ++when) ::localtime_r(&when, &local);
                  });
              }
              for (std::size_t i = 0; i < scaled(60); ++i) {
                  CHILD_CHECK(in_child([&] {
                                  CHILD_CHECK(contains(thrown_by<cairn::queue_closed>([&] { closed.put(1); }),
                                                       "closed at "));
                                  CHILD_CHECK(!open.get_for(std::chrono::microseconds(100)));
                              }) == 0);
              }
              stop = true;
          }) == 0);
}

TEST_CASE("a forked child is a participant of its own for as long as it lives") {
    const cairn::manager m(small);
    CHECK(m.stats().process_count == 1);
    {
        child c([&] {
            CHILD_CHECK(m.stats().process_count == 2);
            CHILD_CHECK(in_child([&] { CHILD_CHECK(m.stats().process_count == 3); }) == 0);
            CHILD_CHECK(m.stats().process_count == 2);
            ::raise(SIGSTOP);
        });
        c.wait_until_stopped();
        CHECK(m.stats().process_count == 2);
        c.kill();
        CHECK(c.join() == -SIGKILL);
    }
    CHECK(m.stats().process_count == 1);
}

TEST_CASE("a forked child that lets go of everything leaves, and its parent stays") {
    cairn::manager m(small);
    const gate left;
    const gate end;
    child c([&] {
        { const cairn::manager last = std::move(m); }
        left.open();
        end.wait();
    });
    REQUIRE(left.wait());
    CHECK(m.stats().process_count == 1);
    m.list<int>("l").push_back(1);
    end.open();
    CHECK(c.join() == 0);
}

TEST_CASE("a child whose parent leaves right after the fork keeps the segment's name") {
    // Whether the parent is faster differs from time to time.
    for (int i = 0; i < 60; ++i) {
        const scratch_name name("left");
        const gate parent_has_left;
        CHECK(in_child([&] {
                  std::optional<cairn::manager> m(cairn::manager::open_or_create(name, small));
                  const pid_t pid = ::fork();
                  if (pid == 0) {
                      parent_has_left.wait();
                      const bool is_there = name.exists();
                      ::_exit(is_there && cairn::manager::open(name).name() == name.get() ? 0 : 1);
                  }
                  m.reset();
                  parent_has_left.open();
                  CHILD_CHECK(child(pid).join() == 0);
              }) == 0);
    }
}

// ThreadSanitizer: a fork takes 20 ms there, and no thread is in it.
TEST_CASE("eleven hundred children one after another use up no place for good" *
          doctest::skip(has_thread_sanitizer)) {
    const cairn::manager m(small);
    const auto l = m.list<int>("l");
    for (int i = 0; i < 1100; ++i) REQUIRE(in_child([&] { l.push_back(i); }) == 0);
    CHECK(l.size() == 1100);
    CHECK(m.stats().process_count == 1);
}

TEST_CASE(
    "a process too many is refused, may read if it inherited the segment, and the others are undisturbed") {
    constexpr std::size_t places = 20;
    const scratch_name name;
    const gate full;
    child outsider([&] {
        full.wait();
        const std::string text = thrown_by<cairn::refused>([&] { cairn::manager::open(name); });
        CHILD_CHECK(contains(text, "segment '" + name.get() + "'"));
        CHILD_CHECK(contains(text, std::to_string(places)));
        const auto reader = cairn::manager::open(name, cairn::open_mode::read_only);
        CHILD_CHECK(reader.list<int>("l").size() == 1);
    });
    cairn::segment_options few = small;
    few.max_participants = places;
    const auto m = cairn::manager::create(name, few);
    const auto l = m.list<int>("l", {1});
    const gate leave;
    std::vector<child> attached;
    attached.reserve(places);
    try {
        while (attached.size() < places - 1) {
            attached.emplace_back([&] {
                leave.wait();
                l.push_back(2);
            });
        }
    } catch (const std::runtime_error& e) {
        MESSAGE("skipped: ", e.what(), " after ", attached.size(), " processes; ", places, " are needed");
        return;
    }
    // A child that was forked a moment ago may not have run yet.
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (m.stats().process_count != places && std::chrono::steady_clock::now() < deadline)
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    REQUIRE(m.stats().process_count == places);

    CHECK(in_child([&] {
              CHILD_CHECK(l.size() == 1);
              CHILD_CHECK(l.snapshot() == std::vector<int>{1});
              CHILD_CHECK(m.contains("l"));
              for (const std::string& text : {thrown_by<cairn::refused>([&] { l.push_back(3); }),
                                              thrown_by<cairn::refused>([&] { l.clear(); }),
                                              thrown_by<cairn::refused>([&] { m.list<int>("new"); }),
                                              thrown_by<cairn::refused>([&] { m.remove("l"); })}) {
                  CHILD_CHECK(contains(text, "'l'") || contains(text, "'new'"));
                  CHILD_CHECK(contains(text, "max_participants"));
              }
              // Its own segments are as good as ever.
              const cairn::manager own(small);
              own.list<int>("l").push_back(1);
          }) == 0);
    full.open();
    CHECK(outsider.join() == 0);

    l.push_back(2);
    leave.open(static_cast<int>(attached.size()));
    for (child& c : attached) CHECK(c.join() == 0);
    CHECK(l.size() == 1 + places);
    CHECK(m.stats().process_count == 1);
    CHECK(in_child([&] { l.push_back(2); }) == 0);
}

TEST_CASE("a child in another pid namespace may read what it inherited and is refused everything else") {
    const scratch_name name;
    const auto m = cairn::manager::create(name, small);
    const auto l = m.list<int>("l", {1});
    constexpr int not_allowed = 77;
    const int result = in_child([&] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            ::_exit(not_allowed);
        CHILD_CHECK(in_child([&] {
                        CHILD_CHECK(::getpid() == 1);
                        CHILD_CHECK(l.at(0) == 1);
                        CHILD_CHECK(l.size() == 1);
                        const std::string text = thrown_by<cairn::refused>([&] { l.push_back(2); });
                        CHILD_CHECK(contains(text, "list 'l' in segment '" + name.get() + "'"));
                        CHILD_CHECK(contains(text, "pid namespace"));
                        CHILD_CHECK(!thrown_by<cairn::refused>([&] { m.list<int>("new"); }).empty());
                        CHILD_CHECK(!thrown_by<cairn::refused>([&] { m.unlink(); }).empty());
                        const std::string opened =
                            thrown_by<cairn::refused>([&] { cairn::manager::open(name); });
                        CHILD_CHECK(contains(opened, "pid namespace"));
                        CHILD_CHECK(contains(opened, "read-only"));
                    }) == 0);
    });
    if (result == not_allowed) {
        MESSAGE("skipped: no new pid namespaces for this user");
        return;
    }
    CHECK(result == 0);
    CHECK(l == std::vector<int>{1});
    CHECK(name.exists());
}

TEST_CASE("a reader in another pid namespace never takes a living writer for a dead one") {
    const cairn::manager m;
    std::vector<long> upwards(scaled(20'000));
    std::iota(upwards.begin(), upwards.end(), 0);
    const auto l = m.list<long>("l", upwards);
    const std::vector<long> downwards(upwards.rbegin(), upwards.rend());
    constexpr int not_allowed = 77;
    const gate go;
    child outside([&] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) {
            go.open();
            ::_exit(not_allowed);
        }
        CHILD_CHECK(in_child([&] {
                        go.open();
                        for (std::size_t i = 0; i < scaled(400); ++i) {
                            const std::vector<long> seen = l.snapshot();
                            CHILD_CHECK((seen == upwards || seen == downwards));
                        }
                    }) == 0);
    });
    go.wait();
    std::atomic<bool> is_over{false};
    std::thread writer([&] {
        // With a gap between two: a reader that may not lock gets through when nobody writes for as long as it copies.
        while (!is_over) {
            l.reverse();
            std::this_thread::sleep_for(std::chrono::microseconds(200));
        }
    });
    const int result = outside.join();
    is_over = true;
    writer.join();
    if (result == not_allowed) MESSAGE("skipped: no new pid namespaces for this user");
    else CHECK(result == 0);
}

TEST_CASE("a child forked without a free descriptor may only read, and says why") {
    if (has_address_sanitizer) {
        MESSAGE("skipped: the sanitizer itself needs a descriptor");
        return;
    }
    const cairn::manager m;
    const auto l = m.list<int>("l", {1});
    const int code = in_child([&] {
        const rlimit limit = {64, 64};
        CHILD_CHECK(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
        while (::open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0) {}
        CHILD_CHECK(in_child([&] {
                        CHILD_CHECK(l.at(0) == 1);
                        const std::string text = thrown_by<cairn::refused>([&] { l.push_back(2); });
                        CHILD_CHECK(contains(text, "descriptor"));
                        CHILD_CHECK(!contains(text, "1024 living"));
                    }) == 0);
        l.push_back(3);
    });
    CHECK(code == 0);
    CHECK(l == std::vector<int>{1, 3});
}

}  // namespace manager_fork_test
