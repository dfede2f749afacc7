// process_test.cpp - what cairn::process does to the system: signals, zombies, descriptors, output, and the program's
// other children.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "process/helper_process.hpp"
#include <cairn/process.hpp>

namespace process_test {

// A daemon starts a thread after the fork of a program that may have others; ThreadSanitizer refuses that by default.
#ifdef __SANITIZE_THREAD__
#define CAIRN_TEST_HAS_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAIRN_TEST_HAS_TSAN
#endif
#endif
#ifdef CAIRN_TEST_HAS_TSAN
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
    return "die_after_fork=0";
}
#endif

using namespace std::chrono_literals;
using namespace cairn_test;

TEST_CASE("the exit code of a killed process is its negative signal") {
    default_signals();
    cairn::process killed{wait_for_a_signal};
    killed.kill();
    CHECK(ended_code(killed) == -SIGKILL);
    cairn::process terminated{wait_for_a_signal};
    terminated.terminate();
    CHECK(ended_code(terminated) == -SIGTERM);
    cairn::process interrupted{wait_for_a_signal};
    interrupted.interrupt();
    CHECK(ended_code(interrupted) == -SIGINT);
    const auto leave_no_core = [] {
        const rlimit none = {.rlim_cur = 0, .rlim_max = 0};
        ::setrlimit(RLIMIT_CORE, &none);
    };
    cairn::process crashed{[&] { leave_no_core(), ::raise(SIGSEGV); }};
    CHECK(ended_code(crashed) == -SIGSEGV);
    CHECK_FALSE(crashed.error().has_value());
    cairn::process aborted{[&] { leave_no_core(), std::abort(); }};
    CHECK(ended_code(aborted) == -SIGABRT);
}

TEST_CASE("signalling a process that has ended does nothing") {
    cairn::process p{[] {}};
    p.join();
    p.terminate();
    p.kill();
    p.interrupt();
    CHECK(p.exitcode() == 0);
    cairn::process q{[] { ::_exit(3); }};
    REQUIRE(polls_readable(q.sentinel(), watchdog));
    q.kill();  // not joined yet
    CHECK(ended_code(q) == 3);
}

TEST_CASE("the sentinel polls readable when the process has ended, and after") {
    pipe_ends gate;
    cairn::process p{[&] {
        gate.close_write_end();
        static_cast<void>(gate.read_all());
    }};
    const int sentinel = p.sentinel();
    CHECK_FALSE(polls_readable(sentinel, 20ms));
    gate.close_write_end();
    CHECK(polls_readable(sentinel, watchdog));
    p.join();
    CHECK(p.sentinel() == sentinel);
    CHECK(polls_readable(sentinel, 0ms));
}

TEST_CASE("a process starts with the signal mask of its maker") {
    sigset_t blocked;
    sigset_t before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGUSR2);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    for (const bool is_daemon : {false, true}) {
        cairn::process p{
            {.daemon = is_daemon}, [] {
                sigset_t mine;
                ::pthread_sigmask(SIG_BLOCK, nullptr, &mine);
                ::_exit(::sigismember(&mine, SIGUSR2) == 1 && ::sigismember(&mine, SIGUSR1) == 0 ? 0 : 1);
            }};
        CHECK(ended_code(p) == 0);
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("several threads may join one process") {
    cairn::process p{[] { ::usleep(30'000), ::_exit(7); }};
    std::vector<std::jthread> joiners;
    joiners.reserve(4);
    std::atomic<int> right = 0;
    for (int i = 0; i < 4; ++i) {
        joiners.emplace_back([&] {
            p.join();
            if (p.exitcode() == 7) ++right;
        });
    }
    joiners.clear();
    CHECK(right == 4);
}

TEST_CASE("only the maker of a process may wait for it") {
    const auto refused = [](cairn::process& p, const char* words) {
        try {
            p.join();
        } catch (const cairn::invalid_state& e) {
            if (std::string(e.what()).find(words) != std::string::npos) ::_exit(0);
        }
        ::_exit(1);
    };
    cairn::process self{{.name = "self"},
                        [&] { refused(self, "join process 'self': this is that process itself"); }};
    CHECK(ended_code(self) == 0);
    cairn::process sibling{[&] { refused(self, "only pid"); }};
    CHECK(ended_code(sibling) == 0);
    // its copy of the object may go, and takes nothing along
    auto waiting = std::make_unique<cairn::process>(wait_for_a_signal);
    cairn::process heir{[&] { waiting.reset(); }};
    CHECK(ended_code(heir) == 0);
    CHECK(waiting->alive());
    waiting->kill();
}

TEST_CASE("a process may make processes, daemons too") {
    for (const bool is_daemon : {false, true}) {
        cairn::process p{{.daemon = is_daemon}, [] {
                             cairn::process inner{[] {
                                 cairn::process innermost{{.daemon = true}, [] { std::exit(5); }};
                                 innermost.join();
                                 std::exit(innermost.exitcode().value() + 1);
                             }};
                             inner.join();
                             std::exit(inner.name() == "process-1" ? inner.exitcode().value() + 1 : 100);
                         }};
        CHECK(ended_code(p) == 7);
    }
}

TEST_CASE("no zombie and no descriptor stays behind") {
    default_signals();
    const std::vector<pid_t> children = own_children();
    const std::size_t descriptors = open_descriptors();
    for (int round = 0; round < 20; ++round) {
        std::vector<cairn::process> some;
        for (int i = 0; i < 10; ++i) {
            const cairn::process_options options = {.name = {}, .daemon = i % 3 == 0};
            some.emplace_back(options, [] {});
        }
        some[1].join();
        CHECK(some[2].join_for(watchdog));
    }
    CHECK(own_children() == children);
    CHECK(open_descriptors() == descriptors);
}

TEST_CASE("the program's other children are left alone") {
    const pid_t other = start_helper([] { ::_exit(21); });
    cairn::process p{[] {}};
    p.join();
    CHECK(WEXITSTATUS(status_of(other)) == 21);
    struct sigaction action = {};
    ::sigaction(SIGCHLD, nullptr, &action);
    CHECK((action.sa_handler == SIG_DFL));
}

TEST_CASE(
    "a program that ignores SIGCHLD, or waits for any child, still learns what the process said itself") {
    const std::string text = output_of([] {
        std::signal(SIGCHLD, SIG_IGN);
        cairn::process said{[] { std::exit(3); }};
        cairn::process killed{[] { ::raise(SIGKILL); }};
        said.join();
        killed.join();
        std::printf("%d %d ", *said.exitcode(), *killed.exitcode());
        std::signal(SIGCHLD, SIG_DFL);
        cairn::process taken{[] { std::exit(4); }};
        while (::waitpid(-1, nullptr, 0) > 0) {}
        std::printf("%d %d", *taken.exitcode(), static_cast<int>(taken.alive()));
        std::fflush(stdout);
    });
    CHECK(text == "3 255 4 0");
    CHECK(cairn::process::unknown_exitcode == 255);
}

TEST_CASE("a program that closes all descriptors, and reuses their numbers, can still wait and signal") {
    const auto closing = [](const std::function<void()>& and_then) {
        const pid_t helper = start_helper([&] {
            cairn::process ends{[] { ::_exit(5); }};
            cairn::process waits{wait_for_a_signal};
            const int number = waits.sentinel();
            ::close_range(0, ~0U, 0);
            and_then();
            if (waits.join_for(20ms)) ::_exit(1);
            waits.kill();
            waits.join();
            ends.join();
            try {
                static_cast<void>(waits.sentinel());
                ::_exit(2);
            } catch (const cairn::system_failure&) {}
            const int code = ends.exitcode() == 5 && waits.exitcode() == -SIGKILL ? 0 : 3;
            waits = {};
            ends = {};
            ::_exit(code != 0 || (::fcntl(number, F_GETFD) < 0 && ::fcntl(0, F_GETFD) == 0) ? code + 10 : 0);
        });
        return WEXITSTATUS(status_of(helper));
    };
    CHECK(closing([] {}) == 0);
    CHECK(closing([] {
              while (::open("/dev/null", O_RDONLY) < 20) {}
          }) == 0);
}

TEST_CASE("buffered output is neither lost nor written twice, and keeps its order") {
    const std::string text = output_of([] {
        std::setvbuf(stdout, nullptr, _IOFBF, 1 << 16);
        std::printf("before;");
        {
            cairn::process returns{[] { std::printf("returns;"); }};
            returns.join();
            cairn::process exits{[] { std::printf("exits;"), std::exit(1); }};
            exits.join();
            cairn::process ends{{.daemon = true}, [] { std::cout << "daemon;"; }};
            ends.join();
        }
        std::printf("after;");
        std::fflush(stdout);
    });
    CHECK(text == "before;returns;exits;daemon;after;");
}

TEST_CASE("the buffers of other streams, and of std::cout of its own, are not written twice either") {
    const std::string text = output_of([] {
        std::ios_base::sync_with_stdio(false);
        FILE* const file = ::fdopen(::dup(1), "w");
        FILE* const inherited = ::fdopen(::dup(1), "w");
        std::setvbuf(file, nullptr, _IOFBF, 1 << 16);
        std::fputs("file;", file);
        std::fputs("inherited;", inherited);
        std::cout << "cout;";
        cairn::process p{[&] {
            std::fputs("child's file;", file);
            std::cout << "child's cout;";
        }};
        p.join();
        std::fflush(nullptr);
    });
    CHECK(text.starts_with("cout;"));
    for (const std::string part : {"cout;", "child's cout;", "file;", "child's file;", "inherited;"}) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
    CHECK(text.size() == std::string("cout;child's cout;file;child's file;inherited;").size());
}

TEST_CASE("a thread that waits for input holds up neither the start nor the end of a process") {
    pipe_ends input;
    const std::string text = output_of([&] {
        ::dup2(input.read_end, 0);
        ::alarm(20);
        std::thread([] { std::getchar(); }).detach();
        std::this_thread::sleep_for(20ms);
        cairn::process p{[] {
            ::alarm(20);
            std::thread([] { std::getchar(); }).detach();
            std::this_thread::sleep_for(20ms);
            std::printf("done");
        }};
        p.join();
    });
    CHECK(text == "done");
}

TEST_CASE("exit in a process runs the handlers registered in it, and none of its parent's") {
    const std::string text = output_of([] {
        std::atexit([] { std::printf("parent's;"); });
        cairn::process exits{[] {
            std::atexit([] { std::printf("child's;"); });
            std::exit(0);
        }};
        exits.join();
        cairn::process returns{[] {}};
        returns.join();
        std::fflush(stdout);
    });
    CHECK(text == "child's;");
}

TEST_CASE("an exception is printed on the child's stderr with the name of the process") {
    pid_t pid = 0;
    pipe_ends told;
    const std::string text = output_of([&] {
        ::dup2(1, 2);
        cairn::process p{{.name = "worker-1"}, [] { throw std::runtime_error("out of paper"); }};
        cairn::process q{{.name = "worker-2"}, [] { throw 42; }};
        p.join();
        pid = p.pid();
        CHECK(::write(told.write_end, &pid, sizeof pid) == sizeof pid);
    });
    told.close_write_end();
    REQUIRE(::read(told.read_end, &pid, sizeof pid) == sizeof pid);
    CHECK(text.find("cairn: process 'worker-1' (pid " + std::to_string(pid) +
                    ") ended by std::runtime_error: out of paper\n") != std::string::npos);
    CHECK(text.find(") ended by a thrown int: 42\n") != std::string::npos);
}

}  // namespace process_test
