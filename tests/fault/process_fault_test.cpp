// process_fault_test.cpp - cairn::process when the system says no.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <tuple>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/fault.hpp"
#include <cairn/process.hpp>

namespace process_fault_test {

using namespace std::chrono_literals;

namespace {

constexpr auto watchdog = 20s;

// The call that fails, how, and how many times (from the first on).
std::atomic<const char*> failing_call = nullptr;
std::atomic<int> failing_errno = 0;
std::atomic<int> failures_left = 0;

int fail_as_told(const char* call) noexcept {
    const char* const failing = failing_call.load();
    if (failing == nullptr || std::strcmp(call, failing) != 0) return 0;
    return failures_left.fetch_sub(1) > 0 ? failing_errno.load() : 0;
}

class failing {
public:
    failing(const char* call, int error, int times = 1'000'000) {
        failing_errno = error;
        failures_left = times;
        failing_call = call;
        cairn::detail::os::fault.store(&fail_as_told);
    }
    ~failing() {
        cairn::detail::os::fault.store(nullptr);
        failing_call = nullptr;
    }
    failing(const failing&) = delete;
    failing& operator=(const failing&) = delete;
};

std::size_t entries(const char* directory) {
    const std::filesystem::directory_iterator all(directory);
    return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

// Anonymous memory shared with children, as the kernel shows it.
std::size_t shared_mappings() {
    std::ifstream maps("/proc/self/maps");
    std::size_t count = 0;
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/dev/zero") != std::string::npos) ++count;
    }
    return count;
}

void wait_for_a_signal() {
    for (;;) ::pause();
}

}  // namespace

TEST_CASE("a fork that fails names the process, has the system's code, and leaves nothing behind") {
    for (const bool is_daemon : {false, true}) {
        CHECK_THROWS_AS((cairn::process{::_exit, 0}, throw 0), int);  // warms up what is made once
        const std::size_t descriptors = entries("/proc/self/fd");
        const std::size_t ranges = shared_mappings();
        bool has_run = false;
        {
            const failing fault("fork", EAGAIN);
            try {
                cairn::process p{{.name = "worker-1", .daemon = is_daemon}, [&] { has_run = true; }};
                FAIL("started");
            } catch (const cairn::system_failure& e) {
                CHECK(e.code() == std::errc::resource_unavailable_try_again);
                CHECK(std::string(e.what()) == "start process 'worker-1': fork: no further process allowed "
                                               "(ulimit -u, or the pids limit of the "
                                               "cgroup): Resource temporarily unavailable");
            }
        }
        CHECK_FALSE(has_run);
        CHECK(entries("/proc/self/fd") == descriptors);
        CHECK(shared_mappings() == ranges);
    }
}

TEST_CASE("a process that cannot get its page of shared memory is not started") {
    const failing fault("mmap", ENOMEM);
    CHECK_THROWS_WITH_AS((cairn::process{{.name = "a"}, [] {}}),
                         "start process 'a': mmap: Cannot allocate memory", cairn::system_failure);
}

TEST_CASE("without descriptors a process has no sentinel, and everything else works") {
    for (const int error : {EMFILE, ENFILE, ENOSYS, EPERM}) {
        const failing fault("pidfd_open", error);
        cairn::process p{{.name = "a"}, [] { ::_exit(5); }};
        CHECK(p.join_for(watchdog));
        CHECK(p.exitcode() == 5);
        try {
            static_cast<void>(p.sentinel());
            FAIL("has one");
        } catch (const cairn::system_failure& e) {
            CHECK(e.code().value() == error);
            CHECK(std::string(e.what()).starts_with("sentinel of process 'a': no descriptor: "));
        }
        cairn::process q{wait_for_a_signal};
        CHECK_FALSE(q.join_for(20ms));
        q.kill();
        CHECK(q.join_for(watchdog));
        CHECK(q.exitcode() == -SIGKILL);
    }
}

TEST_CASE("a child that is gone before its descriptor could be opened has a sentinel that is readable") {
    const failing fault("pidfd_open", ESRCH);
    cairn::process p{[] { ::_exit(5); }};
    CHECK(p.join_for(watchdog));
    CHECK(p.exitcode() == 5);
    CHECK(p.sentinel() >= 0);
}

TEST_CASE("a daemon without its parent's descriptor dies with its parent all the same") {
    int told[2];
    REQUIRE(::pipe2(told, O_CLOEXEC) == 0);
    cairn::process parent{[&] {
        const failing fault("pidfd_open", EMFILE);
        const cairn::process inner{{.daemon = true}, wait_for_a_signal};
        static_cast<void>(::write(told[1], "!", 1));
        wait_for_a_signal();
    }};
    ::close(told[1]);
    char said = 0;
    REQUIRE(::read(told[0], &said, 1) == 1);
    parent.kill();
    parent.join();
    CHECK(::read(told[0], &said, 1) == 0);  // the daemon has the other end; a hang here is it living on
    ::close(told[0]);
}

TEST_CASE("a daemon that cannot watch its parent does not run, and says why") {
    std::fflush(stderr);
    const int kept = ::dup(2);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, 2);
    {
        const failing fault("pthread_create", EAGAIN);
        cairn::process p{{.name = "d", .daemon = true}, [] { ::_exit(0); }};
        CHECK(p.join_for(watchdog));
        CHECK(p.exitcode() == 1);
        REQUIRE(p.error().has_value());
        CHECK(p.error()->type_name() == "cairn::system_failure");
        CHECK(p.error()->text() ==
              "start process 'd': thread that watches the parent: Resource temporarily unavailable");
    }
    ::dup2(kept, 2);
    ::close(kept);
    ::close(nowhere);
}

TEST_CASE("a child whose status somebody else took counts as ended") {
    cairn::process p{wait_for_a_signal};
    {
        const failing fault("waitid", ECHILD, 1);
        p.join();
    }
    CHECK_FALSE(p.alive());
    CHECK(p.exitcode() == cairn::process::unknown_exitcode);
    // it still runs, and by that is ours to end
    ::kill(p.pid(), SIGKILL);
    int status = 0;
    CHECK(::waitpid(p.pid(), &status, 0) == p.pid());
}

TEST_CASE("a kernel that waits by pid only, and interrupted calls, make no difference") {
    for (const auto& [call, error, times] : {std::tuple("waitid", EINVAL, 1), std::tuple("waitid", EINTR, 3),
                                             std::tuple("poll", EINTR, 5), std::tuple("poll", ENOMEM, 5)}) {
        const failing fault(call, error, times);
        cairn::process p{[] { ::usleep(5'000), ::_exit(6); }};
        CHECK(p.join_for(watchdog));
        CHECK(p.exitcode() == 6);
    }
}

TEST_CASE("a wait that the system refuses is an error, and the process is as before") {
    cairn::process p{{.name = "a"}, [] { ::_exit(7); }};
    {
        const failing fault("waitid", EACCES);
        CHECK_THROWS_WITH_AS(p.join(), "wait for process 'a': Permission denied", cairn::system_failure);
    }
    p.join();
    CHECK(p.exitcode() == 7);
}

TEST_CASE("a signal that the system refuses is an error, and the process runs on") {
    cairn::process p{{.name = "a"}, wait_for_a_signal};
    {
        const failing fault("pidfd_send_signal", EPERM);
        CHECK_THROWS_WITH_AS(p.terminate(), "terminate process 'a': Operation not permitted",
                             cairn::system_failure);
    }
    CHECK(p.alive());
    {
        const failing fault("pidfd_send_signal", ENOSYS);  // a kernel that is too old, or a filter
        p.kill();
    }
    p.join();
    CHECK(p.exitcode() == -SIGKILL);
}

}  // namespace process_fault_test
