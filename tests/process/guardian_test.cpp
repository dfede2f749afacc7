// guardian_test.cpp - a test program that is killed leaves no file and no process: this program is started again, makes some,
// and gets SIGKILL.
//
// SPDX-License-Identifier: BSL-1.0
#include "support/guardian.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/scratch.hpp"
#include "support/scratch_directory.hpp"

namespace guardian_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

constexpr const char* scene = "what is killed in the test of the guardian";

std::vector<std::string> lines_of(int fd, std::size_t count) {
    std::vector<std::string> lines;
    std::string line;
    for (char c = 0; lines.size() < count && ::read(fd, &c, 1) == 1;) {
        if (c == '\n') lines.push_back(std::exchange(line, {}));
        else line += c;
    }
    return lines;
}

// A zombie is not: only its parent can do more about it.
bool is_running(const std::string& pid) {
    std::ifstream file("/proc/" + pid + "/stat");
    std::string text;
    std::getline(file, text);
    const auto name_end = text.rfind(')');
    return name_end != std::string::npos && text.substr(name_end + 2, 1) != "Z";
}

template <typename Condition>
bool comes_true(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + patiently(20s);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(2ms);
    }
    return true;
}

}  // namespace

// Tells its files and its processes on the descriptor that CAIRN_TEST_SCENE names, and waits for its end.
TEST_CASE("what is killed in the test of the guardian" * doctest::skip()) {
    const char* number = std::getenv("CAIRN_TEST_SCENE");
    if (number == nullptr) return;
    const int to = std::atoi(number);
    const scratch_name name("guarded");
    const cairn::manager m(name);
    const scratch_directory directory;
    const child inside_session([] {
        ::alarm(0);
        for (;;) ::pause();
    });
    const child in_own_session([] {
        ::alarm(0);
        ::setsid();
        for (;;) ::pause();
    });
    ::dprintf(to, "%s\n%s\n%d\n%d\n", name.path().c_str(), directory.path().c_str(), inside_session.pid(),
              in_own_session.pid());
    for (;;) ::pause();
}

TEST_CASE("a test program that is killed leaves no segment, no directory and no process") {
    for (const bool leads_session : {true, false}) {
        CAPTURE(leads_session);
        int ends[2];
        REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
        const std::string self = std::filesystem::read_symlink("/proc/self/exe");
        const pid_t program = ::fork();
        if (program == 0) {
            if (leads_session) ::setsid();
            const int to = ::dup(ends[1]);
            ::setenv("CAIRN_TEST_SCENE", std::to_string(to).c_str(), 1);
            const std::string filter = std::string("--test-case=") + scene;
            ::execl(self.c_str(), self.c_str(), "--no-skip", filter.c_str(), nullptr);
            ::_exit(127);
        }
        ::close(ends[1]);
        const std::vector<std::string> told = lines_of(ends[0], 4);
        ::kill(program, SIGKILL);
        ::waitpid(program, nullptr, 0);
        ::close(ends[0]);
        REQUIRE(told.size() == 4);
        for (const std::string& path : {told[0], told[1]}) {
            CAPTURE(path);
            CHECK(comes_true([&] { return !std::filesystem::exists(path); }));
        }
        for (const std::string& pid : {told[2], told[3]}) CHECK(comes_true([&] { return !is_running(pid); }));
    }
}

}  // namespace guardian_test
