// identity_test.cpp - which process is that, and is it still alive? Zombies, reused pids, other programs, lost threads.
// SPDX-License-Identifier: BSL-1.0
#include "os/identity.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <thread>

#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "os/child.hpp"
#include "support/faults.hpp"
#include "support/scratch.hpp"

namespace identity_test {

using namespace cairn_test;
using namespace cairn::detail;
using namespace std::chrono_literals;

namespace {

constexpr unsigned start_time_shift = os::pid_bits + os::stack_bits;

std::uint64_t stack_of(os::process_identity identity) {
    return identity >> os::pid_bits & ((std::uint64_t{1} << os::stack_bits) - 1);
}

std::uint64_t start_time_of(os::process_identity identity) {
    return identity >> start_time_shift;
}

[[noreturn]] void wait_for_a_signal() {
    for (;;) ::pause();
}

// Waits until the process has ended, without reaping it.
void wait_until_zombie(pid_t pid) {
    siginfo_t info = {};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);
}

// A raw child with a pid of our choice; needs privileges.
pid_t clone_with_pid(pid_t pid) {
    clone_args arguments = {};
    arguments.exit_signal = SIGCHLD;
    arguments.set_tid = reinterpret_cast<std::uint64_t>(&pid);
    arguments.set_tid_size = 1;
    const long result = ::syscall(SYS_clone3, &arguments, sizeof arguments);
    if (result == 0) {
        for (;;) ::pause();
    }
    return static_cast<pid_t>(result);
}

}  // namespace

TEST_CASE("a process knows itself as others know it") {
    const os::process_identity own = os::own_identity();
    CHECK(os::pid_of(own) == ::getpid());
    CHECK(stack_of(own) != 0);
    CHECK(start_time_of(own) != 0);
    CHECK(os::identity_of(::getpid()) == own);
    CHECK(os::own_identity() == own);
    CHECK(os::is_alive(own));

    os::process_identity* from_child = nullptr;
    void* memory = nullptr;
    REQUIRE_FALSE(os::map_shared_with_children(4096, memory));
    from_child = static_cast<os::process_identity*>(memory);
    const gate written;
    const gate leave;
    child c([&] {
        *from_child = os::own_identity();
        written.open();
        leave.wait();
        CHILD_CHECK(os::is_alive(own));
    });
    REQUIRE(written.wait());
    CHECK(*from_child == os::identity_of(c.pid()));
    CHECK(*from_child != own);
    CHECK(os::pid_of(*from_child) == c.pid());
    CHECK(os::is_alive(*from_child));
    leave.open();
    CHECK(c.join() == 0);
    CHECK_FALSE(os::is_alive(*from_child));
    os::unmap_shared(memory, 4096);
}

TEST_CASE("nobody is not alive") {
    CHECK_FALSE(os::is_alive(0));
    CHECK(os::identity_of(0x3ffffe) == 0);
    CHECK_FALSE(os::is_alive(std::uint64_t{1} << start_time_shift | 0x3ffffe));
}

TEST_CASE("a zombie is dead, though a signal would find it") {
    child c([] { wait_for_a_signal(); });
    const os::process_identity identity = os::identity_of(c.pid());
    CHECK(os::is_alive(identity));
    c.kill();
    wait_until_zombie(c.pid());
    CHECK(::kill(c.pid(), 0) == 0);
    CHECK_FALSE(os::is_alive(identity));
    CHECK(os::identity_of(c.pid()) == 0);
    CHECK(c.join() == -SIGKILL);
    CHECK_FALSE(os::is_alive(identity));
}

TEST_CASE("a process that is stopped is alive") {
    child c([] {
        ::raise(SIGSTOP);
        wait_for_a_signal();
    });
    c.wait_until_stopped();
    CHECK(os::is_alive(os::identity_of(c.pid())));
}

TEST_CASE("threads belong to their process, and only as long as they run") {
    CHECK(os::has_thread(::getpid(), os::thread_id()));
    pid_t other = 0;
    std::thread([&] {
        other = os::thread_id();
        CHECK(os::has_thread(::getpid(), other));
        CHECK_FALSE(os::has_thread(::getppid(), other));
    }).join();
    // The kernel may show it for a moment after join().
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (os::has_thread(::getpid(), other)) REQUIRE(std::chrono::steady_clock::now() < deadline);
    CHECK_FALSE(os::has_thread(::getpid(), 0));
    CHECK_FALSE(os::has_thread(0, 0));
}

TEST_CASE("a process whose first thread has ended is alive as long as another one runs") {
    const gate leave;
    child c([&] {
        static const gate* until = nullptr;
        until = &leave;
        pthread_t thread;
        CHILD_CHECK(::pthread_create(
                        &thread, nullptr,
                        [](void*) -> void* {
                            until->wait();
                            ::_exit(7);
                        },
                        nullptr) == 0);
        // Not pthread_exit, which would unwind the test: only this thread goes.
        ::syscall(SYS_exit, 0);
    });
    const os::process_identity identity = os::identity_of(c.pid());
    // Its first thread is shown as a zombie.
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    for (char state = '?'; state != 'Z';) {
        REQUIRE(std::chrono::steady_clock::now() < deadline);
        std::ifstream stat("/proc/" + std::to_string(c.pid()) + "/stat");
        std::string text;
        std::getline(stat, text);
        state = text.at(text.rfind(')') + 2);
    }
    CHECK(os::is_alive(identity));
    CHECK(os::identity_of(c.pid()) != 0);
    leave.open();
    CHECK(c.join() == 7);
    CHECK_FALSE(os::is_alive(identity));
}

TEST_CASE("another start time or another stack is another process of that pid") {
    const os::process_identity own = os::own_identity();
    CHECK_FALSE(os::is_alive(own + (std::uint64_t{1} << start_time_shift)));
    CHECK_FALSE(os::is_alive(own ^ std::uint64_t{1} << 63));
    const std::uint64_t other_stack = stack_of(own) == 1 ? 2 : 1;
    const os::process_identity without_stack = own ^ stack_of(own) << os::pid_bits;
    CHECK_FALSE(os::is_alive(without_stack | other_stack << os::pid_bits));
    // Where the stack was not known, the rest decides.
    CHECK(os::is_alive(without_stack));
    CHECK_FALSE(os::is_alive(without_stack ^ std::uint64_t{1} << start_time_shift));
}

TEST_CASE("a pid that was given to a new process does not bring the old one back") {
    child old([] { wait_for_a_signal(); });
    const os::process_identity identity = os::identity_of(old.pid());
    const pid_t pid = old.pid();
    // Start times are counted in ticks of 10 ms, and both have this process's stack.
    std::this_thread::sleep_for(30ms);
    old.kill();
    CHECK(old.join() == -SIGKILL);
    const pid_t reused = clone_with_pid(pid);
    if (reused < 0) {
        MESSAGE("skipped: this user may not choose a pid: ", std::strerror(errno));
        return;
    }
    CHECK(reused == pid);
    CHECK_FALSE(os::is_alive(identity));
    CHECK(os::identity_of(pid) != identity);
    CHECK(os::is_alive(os::identity_of(pid)));
    ::kill(pid, SIGKILL);
    CHECK(::waitpid(pid, nullptr, 0) == pid);
}

TEST_CASE("a process that has become another program is dead, though its pid and start time are the same") {
    if ((static_cast<unsigned>(::personality(0xffffffff)) & ADDR_NO_RANDOMIZE) != 0) {
        MESSAGE("skipped: addresses are not random here, so every program's stack is in one place");
        return;
    }
    // One in 65 536 has the same place again: three times in a row nobody has.
    bool was_seen = false;
    for (int i = 0; i < 3 && !was_seen; ++i) {
        int ends[2] = {-1, -1};
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const gate go;
        child c([&] {
            go.wait();
            ::execlp("sleep", "sleep", "60", nullptr);
            ::_exit(1);
        });
        const os::process_identity before = os::identity_of(c.pid());
        CHECK(os::is_alive(before));
        ::close(ends[1]);
        go.open();
        char byte = 0;
        CHECK(::read(ends[0], &byte, 1) == 0);  // the exec has closed the other end
        ::close(ends[0]);
        const os::process_identity after = os::identity_of(c.pid());
        CHECK(after != 0);
        CHECK(start_time_of(after) == start_time_of(before));
        CHECK(os::is_alive(after));
        was_seen = !os::is_alive(before);
        c.kill();
        CHECK(c.join() == -SIGKILL);
    }
    CHECK(was_seen);
}

TEST_CASE("without descriptors for processes /proc tells who is alive") {
    child c([] { wait_for_a_signal(); });
    const os::process_identity identity = os::identity_of(c.pid());
    for (const int error : {EMFILE, ENFILE, ENOMEM, ENOSYS}) {
        CAPTURE(error);
        const nth_call_fails fault(1, error);
        CHECK(os::is_alive(identity));
        CHECK(nth_call_fails::failed() != nullptr);
    }
    c.kill();
    wait_until_zombie(c.pid());
    {
        const nth_call_fails fault(1, EMFILE);
        CHECK_FALSE(os::is_alive(identity));
    }
    CHECK(c.join() == -SIGKILL);
    {
        const nth_call_fails fault(1, EMFILE);
        CHECK_FALSE(os::is_alive(identity));
    }
}

TEST_CASE("a process of another user, of which /proc shows nothing, lives until it has ended") {
    constexpr int not_allowed = 77;
    const int result = in_child([&] {
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("proc", "/proc", "proc", 0, "hidepid=2") != 0)
            ::_exit(not_allowed);
        const gate end;
        child other([&] { end.wait(); });
        const os::process_identity identity = os::identity_of(other.pid());
        CHILD_CHECK(os::is_alive(identity));
        CHILD_CHECK(::setresgid(65534, 65534, 65534) == 0);
        CHILD_CHECK(::setresuid(65534, 65534, 65534) == 0);
        ::prctl(PR_SET_DUMPABLE, 1);  // a process that has changed its user may not read of itself otherwise
        CHILD_CHECK(::access(("/proc/" + std::to_string(other.pid()) + "/stat").c_str(), R_OK) != 0);
        CHILD_CHECK(os::identity_of(other.pid()) == 0);
        CHILD_CHECK(os::is_alive(identity));
        CHILD_CHECK(os::is_alive(os::own_identity()));
        end.open();
        siginfo_t info = {};
        CHILD_CHECK(::waitid(P_PID, static_cast<id_t>(other.pid()), &info, WEXITED | WNOWAIT) == 0);
        CHILD_CHECK(!os::is_alive(identity));
        CHILD_CHECK(other.join() == 0);
        CHILD_CHECK(!os::is_alive(identity));
    });
    if (result == not_allowed) MESSAGE("skipped: this user may not hide processes");
    else CHECK(result == 0);
}

TEST_CASE("the pid of a thread is nobody's process") {
    std::thread([] {
        const pid_t thread = os::thread_id();
        CHECK(thread != ::getpid());
        CHECK(thread == static_cast<pid_t>(::syscall(SYS_gettid)));
        CHECK_FALSE(os::is_alive(static_cast<std::uint64_t>(thread)));
        CHECK(os::identity_of(thread) == 0);
    }).join();
    CHECK(os::thread_id() == ::getpid());
}

TEST_CASE("the pid namespace is that of the process, and another one in a new namespace") {
    const std::uint64_t here = os::pid_namespace();
    struct stat status = {};
    REQUIRE(::stat("/proc/self/ns/pid", &status) == 0);
    CHECK(here == status.st_ino);
    CHECK(in_child([&] { CHILD_CHECK(os::pid_namespace() == here); }) == 0);
    constexpr int not_allowed = 77;
    const int result = in_child([&] {
        if (::unshare(CLONE_NEWPID) != 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
            ::_exit(not_allowed);
        CHILD_CHECK(os::pid_namespace() == here);  // its children are there, not itself
        CHILD_CHECK(in_child([&] { CHILD_CHECK(os::pid_namespace() != here); }) == 0);
    });
    if (result == not_allowed) MESSAGE("skipped in part: no new pid namespaces for this user");
    else CHECK(result == 0);
}

TEST_CASE("the boot id is the kernel's") {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string text;
    REQUIRE(std::getline(file, text));
    char digits[33];
    std::array<std::uint64_t, 2> id{};
    REQUIRE_FALSE(os::boot_id(id));
    std::snprintf(digits, sizeof digits, "%016llx%016llx", static_cast<unsigned long long>(id[0]),
                  static_cast<unsigned long long>(id[1]));
    std::erase(text, '-');
    CHECK(text == digits);
}

TEST_CASE("a program's name is what ps shows, and ends") {
    CHECK(in_child([] {
              const auto name = [](const char* called) {
                  ::prctl(PR_SET_NAME, called);
                  std::array<char, 32> text;
                  text.fill('x');
                  CHILD_CHECK(os::own_identity(text) == os::own_identity());
                  const std::size_t bytes = std::strlen(text.data());
                  for (std::size_t i = bytes; i < text.size(); ++i) CHILD_CHECK(text[i] == '\0');
                  return std::string(text.data());
              };
              CHILD_CHECK(name("short") == "short");
              CHILD_CHECK(name("longer than the kernel keeps") == "longer than the");
              CHILD_CHECK(name(") R (1) 2") == ") R (1) 2");
              CHILD_CHECK(name("").empty());
          }) == 0);
}

TEST_CASE("now is the system clock's now") {
    const auto nanoseconds = [] {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    };
    const std::int64_t before = nanoseconds();
    const std::int64_t now = os::now_since_epoch_nanoseconds();
    CHECK(before <= now);
    CHECK(now <= nanoseconds());
}

}  // namespace identity_test
