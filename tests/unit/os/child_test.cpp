// child_test.cpp - making children, waiting for them and signalling them, by descriptor or by pid, and nobody else's.
// SPDX-License-Identifier: BSL-1.0
#include "os/child.hpp"

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <string>
#include <system_error>
#include <thread>

#include <fcntl.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/faults.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"

namespace child_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

bool has_error(std::error_code code, int error) {
    return code == std::error_code(error, std::generic_category());
}

[[noreturn]] void wait_for_a_signal() {
    for (;;) ::pause();
}

std::atomic<int> handlers_run{0};

}  // namespace

TEST_CASE("fork tells parent and child apart, and runs the C library's fork handlers") {
    static const int registered =
        ::pthread_atfork([] { ++handlers_run; }, [] { ++handlers_run; }, [] { handlers_run += 10; });
    REQUIRE(registered == 0);
    handlers_run = 0;
    pid_t made = -1;
    const pid_t parent = os::own_pid();
    REQUIRE_FALSE(os::fork_process(made));
    if (made == 0) os::end_process(os::parent_pid() == parent && handlers_run == 11 ? 0 : 1);
    CHECK(made > 0);
    CHECK(os::own_pid() == parent);
    CHECK(handlers_run == 2);
    int status = 0;
    REQUIRE(::waitpid(made, &status, 0) == made);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a fork that fails leaves the child's number alone") {
    pid_t made = -77;
    const nth_call_fails fault(1, EAGAIN);
    CHECK(has_error(os::fork_process(made), EAGAIN));
    CHECK(made == -77);
}

TEST_CASE("a process ends at once: nothing that was registered runs, nothing is flushed") {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    std::fflush(
        stdout);  // else the child's copy of the buffer may be so full that it is written at the next printf
    CHECK(in_child([&] {
              ::dup2(ends[1], STDOUT_FILENO);
              std::atexit([] { std::_Exit(3); });
              if (!has_thread_sanitizer) std::printf("never written");
              os::end_process(7);
          }) == 7);
    ::close(ends[1]);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 0);
    ::close(ends[0]);
}

TEST_CASE("a process that kills itself is seen to have been killed") {
    CHECK(in_child([] { os::kill_own_process(); }) == -SIGKILL);
}

TEST_CASE("a child's descriptor is readable when the child has ended, not before, and stays so") {
    const gate leave;
    child c([&] {
        leave.wait();
        os::end_process(5);
    });
    os::unique_fd fd;
    REQUIRE_FALSE(os::open_pidfd(c.pid(), fd));
    CHECK((::fcntl(fd.get(), F_GETFD) & FD_CLOEXEC) != 0);
    bool readable = true;
    const auto start = steady::now();
    do CHECK_FALSE(os::wait_readable(fd.get(), 20ms, readable));
    while (!readable && steady::now() - start < 20ms);
    CHECK_FALSE(readable);
    CHECK(steady::now() - start >= 20ms);

    os::child_status status;
    CHECK_FALSE(os::try_reap_by_pidfd(fd.get(), status));
    CHECK_FALSE(status.ended);
    leave.open();
    const auto deadline = steady::now() + 20s;
    while (!readable && steady::now() < deadline) CHECK_FALSE(os::wait_readable(fd.get(), 1s, readable));
    CHECK(readable);
    CHECK_FALSE(os::wait_readable(fd.get(), 0ns, readable));
    CHECK(readable);
    CHECK_FALSE(os::try_reap_by_pidfd(fd.get(), status));
    CHECK(status.ended);
    CHECK(status.code == 5);
    CHECK(has_error(os::try_reap_by_pidfd(fd.get(), status), ECHILD));
    CHECK_FALSE(os::wait_readable(fd.get(), 0ns, readable));
    CHECK(readable);
}

TEST_CASE("the status of a child that was killed is minus its signal, by descriptor and by pid") {
    for (const bool by_pid : {false, true}) {
        CAPTURE(by_pid);
        pid_t pid = -1;
        REQUIRE_FALSE(os::fork_process(pid));
        if (pid == 0) wait_for_a_signal();
        os::unique_fd fd;
        REQUIRE_FALSE(os::open_pidfd(pid, fd));
        os::child_status status;
        CHECK_FALSE(os::try_reap_by_pid(pid, status));
        CHECK_FALSE(status.ended);
        CHECK_FALSE((by_pid ? os::signal_by_pid(pid, SIGKILL) : os::signal_by_pidfd(fd.get(), SIGKILL)));
        bool readable = false;
        const auto deadline = steady::now() + 20s;
        while (!readable && steady::now() < deadline) CHECK_FALSE(os::wait_readable(fd.get(), 1s, readable));
        CHECK_FALSE((by_pid ? os::try_reap_by_pid(pid, status) : os::try_reap_by_pidfd(fd.get(), status)));
        CHECK(status.ended);
        CHECK(status.code == -SIGKILL);
        CHECK(has_error(os::try_reap_by_pid(pid, status), ECHILD));
    }
}

TEST_CASE("reaping one child leaves the others alone") {
    child other([] { os::end_process(4); });
    child mine([] { os::end_process(3); });
    siginfo_t info = {};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(other.pid()), &info, WEXITED | WNOWAIT) == 0);
    REQUIRE(::waitid(P_PID, static_cast<id_t>(mine.pid()), &info, WEXITED | WNOWAIT) == 0);
    os::child_status status;
    CHECK_FALSE(os::try_reap_by_pid(mine.pid(), status));
    CHECK(status.code == 3);
    CHECK(other.join() == 4);
}

TEST_CASE("a process that there is not has no descriptor, and one that was reaped no signals") {
    os::unique_fd fd;
    CHECK(has_error(os::open_pidfd(0x3ffffe, fd), ESRCH));
    CHECK_FALSE(fd.valid());
    child c([] { wait_for_a_signal(); });
    REQUIRE_FALSE(os::open_pidfd(c.pid(), fd));
    CHECK_FALSE(os::signal_by_pidfd(fd.get(), SIGKILL));
    CHECK(c.join() == -SIGKILL);
    CHECK(has_error(os::signal_by_pidfd(fd.get(), SIGKILL), ESRCH));
}

TEST_CASE("the stand-in for a child that is gone is readable always") {
    os::unique_fd fd;
    REQUIRE_FALSE(os::open_always_readable(fd));
    for (int i = 0; i < 3; ++i) {
        bool readable = false;
        CHECK_FALSE(os::wait_readable(fd.get(), 0ns, readable));
        CHECK(readable);
    }
}

TEST_CASE("waiting for what is no descriptor is EBADF, and an interrupted wait is no error") {
    bool readable = true;
    const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::close(fd);
    CHECK(has_error(os::wait_readable(fd, 0ns, readable), EBADF));
    CHECK_FALSE(readable);
    os::unique_fd always;
    REQUIRE_FALSE(os::open_always_readable(always));
    const nth_call_fails fault(1, EINTR);
    CHECK_FALSE(os::wait_readable(always.get(), 60s, readable));
    CHECK_FALSE(readable);
}

TEST_CASE("memory shared with children is zero at first, and seen by both") {
    void* memory = nullptr;
    REQUIRE_FALSE(os::map_shared_with_children(10000, memory));
    auto* words = static_cast<std::atomic<int>*>(memory);
    CHECK(words[0] == 0);
    CHECK(words[2000] == 0);
    words[0] = 1;
    CHECK(in_child([&] {
              CHILD_CHECK(words[0] == 1);
              words[2000] = 2;
          }) == 0);
    CHECK(words[2000] == 2);
    os::unmap_shared(memory, 10000);
}

TEST_CASE("a sleep is not shorter than it was meant to be") {
    const auto start = steady::now();
    os::sleep_for(10ms);
    CHECK(steady::now() - start >= 10ms);
}

TEST_CASE("a quiet thread handles no signal, has a name of its own, and leaves its maker's mask as it was") {
    struct report {
        sigset_t mask = {};
        char name[16] = {};
        std::atomic<bool> is_there{false};
    };
    static report seen;
    sigset_t before;
    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    REQUIRE_FALSE(os::start_quiet_thread(
        [](void* to) -> void* {
            auto& r = *static_cast<report*>(to);
            ::pthread_sigmask(SIG_SETMASK, nullptr, &r.mask);
            os::name_own_thread("quiet and much too long");
            ::prctl(PR_GET_NAME, r.name);
            r.is_there = true;
            return nullptr;
        },
        &seen));
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal < 32; ++signal)
        CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
    const auto deadline = steady::now() + 20s;
    while (!seen.is_there) {
        REQUIRE(steady::now() < deadline);
        std::this_thread::sleep_for(1ms);
    }
    for (const int signal : {SIGTERM, SIGINT, SIGCHLD, SIGALRM, SIGUSR1, SIGHUP, SIGPIPE})
        CHECK(::sigismember(&seen.mask, signal) == 1);
    CHECK(std::string(seen.name) == "quiet and much ");
}

}  // namespace child_test
