// SPDX-License-Identifier: BSL-1.0
#include "os/signal_pipe.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/sanitizers.hpp"
#include "support/scratch.hpp"

namespace signal_pipe_test {

using namespace cairn_test;
namespace os = cairn::detail::os;

namespace {

constexpr std::array<int, 2> both{SIGTERM, SIGUSR1};

int next_signal() {
    pollfd entry = {.fd = os::signal_pipe_descriptor(), .events = POLLIN, .revents = 0};
    ::poll(&entry, 1, 20'000);
    return os::read_signal();
}

}  // namespace

TEST_CASE(
    "signals are read from the pipe, whatever thread they come to; the handlers of before are put back") {
    // It puts signals off in a child of a program with threads, here beyond the end of the thread that has raised one.
    if (has_thread_sanitizer) return;
    CHECK(in_child([] {
              std::signal(SIGTERM, SIG_IGN);
              std::atomic<std::uint64_t> arrivals{0};
              CHILD_CHECK(!os::open_signal_pipe(both));
              os::count_arrivals(SIGUSR1, &arrivals);
              CHILD_CHECK(os::read_signal() == 0);
              ::raise(SIGTERM);
              CHILD_CHECK(next_signal() == SIGTERM);
              std::thread([] { ::raise(SIGUSR1); }).join();
              CHILD_CHECK(arrivals == 1);
              CHILD_CHECK(next_signal() == SIGUSR1);
              CHILD_CHECK(os::read_signal() == 0);
              for (int i = 0; i < 100'000; ++i) ::raise(SIGUSR1);  // more than the pipe has room for
              CHILD_CHECK(arrivals == 100'001);
              os::close_signal_pipe();
              struct sigaction now = {};
              ::sigaction(SIGTERM, nullptr, &now);
              CHILD_CHECK(now.sa_handler == SIG_IGN);
              ::sigaction(SIGUSR1, nullptr, &now);
              CHILD_CHECK(now.sa_handler == SIG_DFL);
          }) == 0);
}

TEST_CASE("in a forked child a signal has its default action, until it opens a pipe of its own; the parent's "
          "stays empty") {
    CHECK(in_child([] {
              CHILD_CHECK(!os::open_signal_pipe(both));
              CHILD_CHECK(in_child([] { ::raise(SIGTERM); }) == -SIGTERM);
              CHILD_CHECK(in_child([] {
                              CHILD_CHECK(!os::open_signal_pipe(both));
                              ::raise(SIGTERM);
                              CHILD_CHECK(next_signal() == SIGTERM);
                          }) == 0);
              CHILD_CHECK(os::read_signal() == 0);
          }) == 0);
}

TEST_CASE("a signal that is blocked everywhere is pending; one that is disregarded does nothing, and is not "
          "inherited by programs") {
    CHECK(in_child([] {
              sigset_t these;
              ::sigemptyset(&these);
              ::sigaddset(&these, SIGHUP);
              const sigset_t before = os::blocked_in_thread();
              os::block_in_thread(these);
              CHILD_CHECK(!os::has_pending_signal(::getpid(), SIGHUP));
              ::kill(::getpid(), SIGHUP);
              CHILD_CHECK(os::has_pending_signal(::getpid(), SIGHUP));
              CHILD_CHECK(!os::has_pending_signal(::getpid(), SIGTERM));
              constexpr std::array<int, 1> hangup{SIGHUP};
              os::disregard_signals(hangup);
              os::unblock_in_thread(hangup);
              CHILD_CHECK(!os::has_pending_signal(::getpid(), SIGHUP));
              os::block_in_thread(before);
          }) == 0);
    CHECK_FALSE(os::has_pending_signal(-1, SIGHUP));
}

}  // namespace signal_pipe_test
