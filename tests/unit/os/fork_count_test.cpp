// fork_count_test.cpp - a process knows whether its forked children have arrived.
#include "os/fork_count.hpp"

#include <chrono>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"

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

}  // namespace

TEST_CASE("a process without children waits for nobody, also after a fork that failed") {
    CHECK(in_child([] {
              CHILD_CHECK(os::renew_fork_count());
              os::count_fork();
              os::wait_for_arrivals(10min);  // the suite's timeout is far shorter
          }) == 0);
}

TEST_CASE("a process waits until its child has arrived") {
    CHECK(in_child([] {
              CHILD_CHECK(os::renew_fork_count());
              os::count_fork();
              const gate leave;
              child late = bare_child([&] {
                  std::this_thread::sleep_for(20ms);
                  os::count_arrival();
                  leave.wait();
              });
              const auto start = steady::now();
              os::wait_for_arrivals(10min);
              CHILD_CHECK(steady::now() - start >= 10ms);
              leave.open();
              CHILD_CHECK(late.join() == 0);
          }) == 0);
}

TEST_CASE("a child that never arrives is given up, and not waited for again") {
    CHECK(in_child([] {
              CHILD_CHECK(os::renew_fork_count());
              os::count_fork();
              const gate leave;
              child lost = bare_child([&] { leave.wait(); });
              const auto start = steady::now();
              os::wait_for_arrivals(30ms);
              CHILD_CHECK(steady::now() - start >= 30ms);
              os::wait_for_arrivals(10min);
              leave.open();
              CHILD_CHECK(lost.join() == 0);
          }) == 0);
}

TEST_CASE("a child counts its own children, and not its parent's") {
    CHECK(in_child([] {
              CHILD_CHECK(os::renew_fork_count());
              os::count_fork();
              child c = bare_child([] {
                  os::count_arrival();
                  CHILD_CHECK(os::renew_fork_count());
                  os::count_fork();  // one of the child's own, which fails
                  os::wait_for_arrivals(10min);
              });
              CHILD_CHECK(c.join() == 0);
              os::wait_for_arrivals(10min);
          }) == 0);
}
