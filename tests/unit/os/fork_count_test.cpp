// fork_count_test.cpp - a family of processes knows whether its forked children have arrived.
// SPDX-License-Identifier: BSL-1.0
#include "os/fork_count.hpp"

#include <chrono>
#include <functional>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"

namespace fork_count_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

// Without the fork handlers, which count as well once a test before this one has used a segment.
template <typename Body>
child bare_child(Body body) {
    const pid_t pid = ::_Fork();
    if (pid != 0) return child(pid);
    body();
    ::_exit(0);
}

bool anybody(const void*) noexcept {
    return true;
}

bool nobody(const void*) noexcept {
    return false;
}

// In a process that nobody else is on the way from.
int in_a_family(const std::function<void()>& body) {
    return in_child([&] {
        CHILD_CHECK(os::begin_fork_count());
        os::wait_for_arrivals(0ms, anybody, nullptr);
        CHILD_CHECK(!os::has_forks_on_their_way());
        body();
    });
}

}  // namespace

TEST_CASE("a process waits until its child has arrived") {
    CHECK(in_a_family([] {
              const auto start = steady::now();
              os::count_fork();
              CHILD_CHECK(os::has_forks_on_their_way());
              const gate leave;
              child late = bare_child([&] {
                  std::this_thread::sleep_for(20ms);
                  os::count_arrival();
                  leave.wait();
              });
              os::wait_for_arrivals(10min, anybody, nullptr);
              CHILD_CHECK(steady::now() - start >= 20ms);
              CHILD_CHECK(!os::has_forks_on_their_way());
              leave.open();
              CHILD_CHECK(late.join() == 0);
          }) == 0);
}

TEST_CASE("forks of a process that has no child any more are forgotten, those of others are not") {
    CHECK(in_a_family([] {
              os::count_fork();  // two that fail
              os::count_fork();
              const gate has_forked;
              const gate leave;
              child other = bare_child([&] {
                  os::count_fork();  // the same
                  has_forked.open();
                  leave.wait();
              });
              has_forked.wait();
              os::forget_forks_of(::getpid());
              CHILD_CHECK(os::has_forks_on_their_way());
              os::forget_forks_of(::getpid());
              CHILD_CHECK(os::has_forks_on_their_way());
              os::forget_forks_of(other.pid());
              CHILD_CHECK(!os::has_forks_on_their_way());
              leave.open();
              CHILD_CHECK(other.join() == 0);
              // Counted as ever afterwards.
              os::count_fork();
              CHILD_CHECK(os::has_forks_on_their_way());
          }) == 0);
}

TEST_CASE("a child that does not arrive is given up, and not waited for again") {
    CHECK(in_a_family([] {
              os::count_fork();  // one that fails
              const auto start = steady::now();
              os::wait_for_arrivals(30ms, anybody, nullptr);
              CHILD_CHECK(steady::now() - start >= 30ms);
              os::wait_for_arrivals(10min, anybody, nullptr);  // the suite's timeout is far shorter
          }) == 0);
}

TEST_CASE("a child that arrives after it was given up does not count for another one") {
    CHECK(in_a_family([] {
              const gate arrive;
              os::count_fork();
              child late = bare_child([&] {
                  arrive.wait();
                  os::count_arrival();
              });
              os::wait_for_arrivals(1ms, anybody, nullptr);
              os::count_fork();
              arrive.open();
              CHILD_CHECK(late.join() == 0);
              CHILD_CHECK(os::has_forks_on_their_way());
              child next = bare_child([] { os::count_arrival(); });
              os::wait_for_arrivals(10min, anybody, nullptr);
              CHILD_CHECK(next.join() == 0);
          }) == 0);
}

TEST_CASE("a grandchild whose parent has ended is waited for, too") {
    CHECK(in_a_family([] {
              os::count_fork();
              const auto start = steady::now();
              child parent = bare_child([&] {
                  os::count_arrival();
                  os::count_fork();
                  if (::_Fork() != 0) ::_exit(0);
                  std::this_thread::sleep_for(20ms);
                  os::count_arrival();
              });
              CHILD_CHECK(parent.join() == 0);
              os::wait_for_arrivals(10min, anybody, nullptr);
              CHILD_CHECK(steady::now() - start >= 20ms);
          }) == 0);
}

TEST_CASE("a fork that has failed, or whose child cannot arrive any more, is not waited for") {
    CHECK(in_a_family([] {
              const auto start = steady::now();
              os::count_fork();
              os::wait_for_arrivals(10min, nobody, nullptr);
              CHILD_CHECK(!os::has_forks_on_their_way());
              CHILD_CHECK(steady::now() - start < 5min);
              // One that somebody else has forked is waited for all the same.
              child other = bare_child([] { os::count_fork(); });
              CHILD_CHECK(other.join() == 0);
              const auto begin = steady::now();
              os::wait_for_arrivals(50ms, nobody, nullptr);
              CHILD_CHECK(steady::now() - begin >= 50ms);
              CHILD_CHECK(!os::has_forks_on_their_way());
          }) == 0);
}

}  // namespace fork_count_test
