// helper_process.hpp - for tests that change, replace or lose a whole process: they run in a helper, a plain fork of the
// test binary, which tells what it saw by its exit code or through a pipe.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include <cairn/process.hpp>

namespace cairn_test {

inline constexpr std::chrono::seconds watchdog(20);  // turns a hang into a failure

// Children inherit signal handlers, and the test runner has some.
inline void default_signals() {
    for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT}) std::signal(signal, SIG_DFL);
}

inline void wait_for_a_signal() {
    for (;;) ::pause();
}

inline int ended_code(cairn::process& p) {
    REQUIRE(p.join_for(watchdog));
    return p.exitcode().value();
}

inline bool polls_readable(int fd, std::chrono::milliseconds timeout) {
    pollfd entry = {.fd = fd, .events = POLLIN, .revents = 0};
    return ::poll(&entry, 1, static_cast<int>(timeout.count())) == 1 && (entry.revents & POLLIN) != 0;
}

struct pipe_ends {
    int read_end = -1;
    int write_end = -1;
    pipe_ends() {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        read_end = fds[0];
        write_end = fds[1];
    }
    pipe_ends(const pipe_ends&) = delete;
    pipe_ends& operator=(const pipe_ends&) = delete;
    ~pipe_ends() {
        close_write_end();
        ::close(read_end);
    }
    void close_write_end() {
        if (write_end >= 0) ::close(write_end);
        write_end = -1;
    }
    std::string read_all() {
        close_write_end();
        std::string all;
        char part[4096];
        for (ssize_t got = 0; (got = ::read(read_end, part, sizeof part)) > 0;)
            all.append(part, static_cast<std::size_t>(got));
        return all;
    }
};

inline pid_t start_helper(const std::function<void()>& body) {
    std::fflush(nullptr);
    std::cout.flush();
    const pid_t helper = ::fork();
    if (helper == 0) {
        default_signals();
        body();
        ::_exit(0);
    }
    REQUIRE(helper > 0);
    return helper;
}

inline int status_of(pid_t child) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return status;
}

// Runs `body` in a helper with its standard output in a pipe; returns what came out, once nobody can write any more.
inline std::string output_of(const std::function<void()>& body) {
    pipe_ends out;
    const pid_t helper = start_helper([&] {
        ::dup2(out.write_end, 1);
        body();
    });
    std::string text = out.read_all();
    CHECK(status_of(helper) == 0);
    return text;
}

inline std::size_t open_descriptors() {
    const std::filesystem::directory_iterator entries("/proc/self/fd");
    return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

inline std::vector<pid_t> own_children() {
    std::vector<pid_t> children;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        std::ifstream stat(entry.path() / "stat");
        std::string text;
        if (!std::getline(stat, text)) continue;
        std::istringstream after_name(text.substr(text.rfind(')') + 2));
        char state = 0;
        pid_t parent = 0;
        if (after_name >> state >> parent && parent == ::getpid())
            children.push_back(std::stoi(entry.path().filename()));
    }
    return children;
}

}  // namespace cairn_test
