// managed.hpp - a service manager in a child, which tests signal, look at and read the output of.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include <cairn/service_manager.hpp>

namespace cairn_test {

/// In a manager or a worker: one line, at once.
inline void say(const std::string& text) {
    const std::string line = text + "\n";
    static_cast<void>(::write(1, line.data(), line.size()));
}

/// Not to whole groups: 0 is what a process that was not found is.
inline void send(pid_t pid, int signal) {
    if (pid > 0) ::kill(pid, signal);
}

/// Until a signal ends the process. In a forked child of a program with threads ThreadSanitizer puts signals off until an
/// atomic is used next: it would put them off for ever in pause().
[[noreturn]] inline void wait_for_signals() {
    std::atomic<bool> never{false};
    while (!never) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::abort();
}

/// Runs `body` in a child, whose exit code is what that returns. What the child and all that it forks write to stdout and stderr is
/// read here. Whatever becomes of the test, all of them are killed.
class managed {
public:
    static constexpr std::chrono::seconds watchdog{30};

    explicit managed(const std::function<int()>& body) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) std::abort();
        std::fflush(nullptr);
        std::cout.flush();
        pid_ = ::fork();
        if (pid_ == 0) {
            ::close(ends[0]);
            ::dup2(ends[1], 1);
            ::dup2(ends[1], 2);
            ::close(ends[1]);
            // Those of the test runner.
            for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGHUP, SIGALRM})
                std::signal(signal, SIG_DFL);
            int code = 99;
            try {
                code = body();
            } catch (const std::exception& e) {
                std::fprintf(stderr, "thrown: %s\n", e.what());
            }
            std::fflush(nullptr);
            std::cout.flush();
            ::_exit(code);
        }
        ::close(ends[1]);
        output_ = ends[0];
        ::fcntl(output_, F_SETFL, O_NONBLOCK);
    }
    /// Of one manager with one service or more: `add` adds them.
    explicit managed(const std::function<void(cairn::service_manager&)>& add,
                     const cairn::service_manager_options& options = {})
        : managed([&]() -> int {
              cairn::service_manager sm(options);
              add(sm);
              return sm.run();
          }) {}
    managed(const managed&) = delete;
    managed& operator=(const managed&) = delete;
    ~managed() {
        if (!has_ended_) {
            // Stopped first: so that nobody starts what is killed again.
            std::vector<pid_t> all = descendants_of(pid_);
            all.push_back(pid_);
            for (int round = 0; round < 3; ++round) {
                for (const pid_t each : all) send(each, SIGSTOP);
                for (const pid_t each : descendants_of(pid_)) all.push_back(each);
            }
            for (const pid_t each : all) send(each, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
            std::fprintf(stderr, "-- the manager was killed; it had said:\n%s--\n", text_.c_str());
        }
        ::close(output_);
    }

    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    void signal(int number) const { send(pid_, number); }

    /// All that was written so far.
    const std::string& output() {
        char part[4096];
        for (ssize_t got = 0; (got = ::read(output_, part, sizeof part)) > 0;)
            text_.append(part, static_cast<std::size_t>(got));
        return text_;
    }
    [[nodiscard]] int count(const std::string& text) {
        int found = 0;
        const std::string& all = output();
        for (std::size_t at = all.find(text); at != std::string::npos; at = all.find(text, at + text.size()))
            ++found;
        return found;
    }
    /// Waits until it was written so often.
    bool says(const std::string& text, int times = 1) {
        return comes_true([&] { return count(text) >= times; });
    }

    template <typename Condition>
    bool comes_true(const Condition& condition) {
        const auto until = std::chrono::steady_clock::now() + patiently(watchdog);
        for (;;) {
            if (condition()) return true;
            if (std::chrono::steady_clock::now() > until) {
                std::fprintf(stderr, "-- does not come true; the manager has said:\n%s--\n",
                             output().c_str());
                return false;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    }

    /// Of the processes below, those whose title ends so.
    [[nodiscard]] std::vector<pid_t> titled(const std::string& end) const {
        std::vector<pid_t> all;
        for (const pid_t each : descendants_of(pid_))
            if (is_running(each) && title_of(each).ends_with(end)) all.push_back(each);
        return all;
    }
    /// Waits until there is just one, and is not `other`; 0 after the watchdog.
    pid_t worker(const std::string& name, int id, pid_t other = 0) {
        const std::string title = ": " + name + " worker(" + std::to_string(id) + ")";
        pid_t found = 0;
        static_cast<void>(comes_true([&] {
            const std::vector<pid_t> all = titled(title);
            found = all.size() == 1 && all.front() != other ? all.front() : 0;
            return found != 0;
        }));
        return found;
    }
    [[nodiscard]] std::vector<pid_t> everybody() const { return descendants_of(pid_); }

    /// Waits for its end: exit code, or minus the signal; -1000 after the watchdog.
    int join() {
        int status = 0;
        if (!comes_true([&] {
                output();
                return ::waitpid(pid_, &status, WNOHANG) == pid_;
            }))
            return -1000;
        has_ended_ = true;
        output();
        return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    }
    /// After SIGTERM.
    int end() {
        signal(SIGTERM);
        return join();
    }

private:
    pid_t pid_ = -1;
    int output_ = -1;
    bool has_ended_ = false;
    std::string text_;
};

}  // namespace cairn_test
