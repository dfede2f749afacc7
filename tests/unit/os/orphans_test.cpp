// orphans_test.cpp - which ended children the first process of a container reaps.
// SPDX-License-Identifier: BSL-1.0
#include "os/orphans.hpp"

#include <cerrno>
#include <csignal>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"

namespace orphans_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

// Has ended and is not reaped.
pid_t zombie() {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(7);
    siginfo_t info = {};
    ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);
    return child;
}

int wait_for(pid_t child) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != child) return -errno;
    return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("what nobody has waited for between two looks is reaped, and nothing else") {
    // Of a child, so that it does not see what other tests have forked.
    CHECK(in_child([] {
              os::orphan_reaper reaper;
              const pid_t soon = zombie();
              const pid_t never = zombie();
              const pid_t excepted = zombie();
              reaper.look(excepted);
              CHILD_CHECK(wait_for(soon) == 7);
              const pid_t later = zombie();
              const pid_t living = ::fork();
              if (living == 0) {
                  ::pause();
                  ::_exit(0);
              }
              reaper.look(excepted);
              CHILD_CHECK(wait_for(never) == -ECHILD);
              CHILD_CHECK(wait_for(excepted) == 7);
              CHILD_CHECK(wait_for(later) == 7);
              ::kill(living, SIGKILL);
              CHILD_CHECK(::waitpid(living, nullptr, 0) == living);
          }) == 0);
}

}  // namespace orphans_test
