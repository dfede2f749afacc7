// process_daemon_test.cpp - who dies with whom: daemons with their object and with their parent, others not.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "process/helper_process.hpp"
#include "support/sanitizers.hpp"
#include <cairn/process.hpp>

namespace process_daemon_test {

using namespace std::chrono_literals;
using namespace cairn_test;
using milliseconds = std::chrono::duration<double, std::milli>;

namespace {

int pidfd_of(pid_t pid) {
    return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

// Starts, in a helper, what `make` gives; returns the helper's and the child's pid.
std::pair<pid_t, pid_t> start_below_helper(const std::function<cairn::process()>& make) {
    pipe_ends told;
    const pid_t helper = start_helper([&] {
        const cairn::process child = make();
        const pid_t pid = child.pid();
        if (::write(told.write_end, &pid, sizeof pid) != sizeof pid) ::_exit(1);
        wait_for_a_signal();
    });
    told.close_write_end();  // so that a helper that fails ends the read below
    pid_t child = 0;
    REQUIRE(::read(told.read_end, &child, sizeof child) == sizeof child);
    return {helper, child};
}

// Kills the helper; returns how long its child then lived.
milliseconds life_after_parent(const std::function<cairn::process()>& make,
                               std::chrono::milliseconds grow_old) {
    const auto [helper, child] = start_below_helper(make);
    const int pidfd = pidfd_of(child);
    REQUIRE(pidfd >= 0);
    std::this_thread::sleep_for(grow_old);
    const auto start = std::chrono::steady_clock::now();
    ::kill(helper, SIGKILL);
    const bool is_gone = polls_readable(pidfd, 2s);
    const auto end = std::chrono::steady_clock::now();
    CHECK(is_gone);
    if (!is_gone) ::kill(child, SIGKILL);
    ::close(pidfd);
    CHECK(status_of(helper) == SIGKILL);
    return end - start;
}

}  // namespace

TEST_CASE("a daemon is terminated with its object, killed if it does not listen, and reaped") {
    default_signals();
    const std::vector<pid_t> children = own_children();
    { const cairn::process p{{.daemon = true}, wait_for_a_signal}; }
    CHECK(own_children() == children);
    pipe_ends told;
    const auto start = std::chrono::steady_clock::now();
    {
        const cairn::process deaf{{.daemon = true}, [&] {
                                      std::signal(SIGTERM, SIG_IGN);
                                      static_cast<void>(::write(told.write_end, "!", 1));
                                      wait_for_a_signal();
                                  }};
        told.close_write_end();
        char said = 0;
        REQUIRE(::read(told.read_end, &said, 1) == 1);
    }
    CHECK(std::chrono::steady_clock::now() - start >= 1s);  // the grace
    CHECK(own_children() == children);
}

TEST_CASE("daemons are gone at once when their parent is killed") {
    const auto plain = [] { return cairn::process{{.daemon = true}, wait_for_a_signal}; };
    std::vector<double> lives;
    lives.reserve(10);
    for (int run = 0; run < 10; ++run) {
        lives.push_back(life_after_parent(plain, run % 2 == 0 ? 0ms : 20ms).count());
    }
    std::sort(lives.begin(), lives.end());
    std::ostringstream text;
    text << "daemons lived on for " << lives.front() << " .. " << lives[lives.size() / 2] << " (median) .. "
         << lives.back() << " ms";
    MESSAGE(text.str());
}

TEST_CASE("a daemon that closed all descriptors or blocked all signals is gone with its parent, too") {
    const auto life = life_after_parent(
        [] {
            return cairn::process{{.daemon = true}, [] {
                                      ::close_range(0, ~0U, 0);
                                      while (::open("/dev/null", O_RDONLY) < 20) {}
                                      sigset_t all;
                                      ::sigfillset(&all);
                                      ::sigprocmask(SIG_SETMASK, &all, nullptr);
                                      wait_for_a_signal();
                                  }};
        },
        50ms);
    MESSAGE("it lived on for " << life.count() << " ms");
}

TEST_CASE("a daemon outlives the thread that made it, and not the process") {
    const auto life = life_after_parent(
        [] {
            cairn::process p;
            std::thread([&] { p = cairn::process{{.daemon = true}, wait_for_a_signal}; }).join();
            if (p.join_for(100ms)) ::_exit(1);
            return p;
        },
        0ms);
    MESSAGE("it lived on for " << life.count() << " ms");
}

TEST_CASE("the daemons of a daemon are gone with the first one's parent") {
    pipe_ends told;
    const auto life = life_after_parent(
        [&] {
            return cairn::process{{.daemon = true}, [&] {
                                      // Its allocator stays locked in a child that is forked while the thread starts that
                                      // watches the parent.
                                      if (has_address_sanitizer) std::this_thread::sleep_for(200ms);
                                      const cairn::process inner{{.daemon = true}, wait_for_a_signal};
                                      const pid_t pid = inner.pid();
                                      static_cast<void>(::write(told.write_end, &pid, sizeof pid));
                                      wait_for_a_signal();
                                  }};
        },
        has_address_sanitizer ? 500ms : 50ms);
    CHECK(life.count() >= 0);
    told.close_write_end();
    pid_t inner = 0;
    REQUIRE(::read(told.read_end, &inner, sizeof inner) == sizeof inner);
    const int pidfd = pidfd_of(inner);  // fails when the orphan is reaped already
    if (pidfd >= 0) CHECK(polls_readable(pidfd, 2s));
    ::close(pidfd);
}

TEST_CASE("a process that is no daemon lives on when its parent is killed") {
    pipe_ends gate;
    const auto [helper, child] =
        start_below_helper([&] { return cairn::process{[&] { static_cast<void>(gate.read_all()); }}; });
    const int pidfd = pidfd_of(child);
    ::kill(helper, SIGKILL);
    CHECK(status_of(helper) == SIGKILL);
    CHECK_FALSE(polls_readable(pidfd, 200ms));
    gate.close_write_end();
    CHECK(polls_readable(pidfd, 2s));
    ::close(pidfd);
}

}  // namespace process_daemon_test
