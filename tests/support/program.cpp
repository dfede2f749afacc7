// SPDX-License-Identifier: BSL-1.0
#include "program.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ostream>
#include <stdexcept>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "patience.hpp"
#include "scratch.hpp"

namespace cairn_test {

namespace {

struct pipe_pair {
    int read_end = -1;
    int write_end = -1;
    pipe_pair() {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
        read_end = ends[0];
        write_end = ends[1];
    }
    pipe_pair(const pipe_pair&) = delete;
    pipe_pair& operator=(const pipe_pair&) = delete;
    ~pipe_pair() {
        close_end(read_end);
        close_end(write_end);
    }
    static void close_end(int& end) {
        if (end >= 0) ::close(end);
        end = -1;
    }
};

// The two ends of a terminal; the program gets the second.
struct terminal {
    int ours = -1;
    int theirs = -1;
    terminal() {
        ours = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
        char name[128];
        if (ours < 0 || ::grantpt(ours) != 0 || ::unlockpt(ours) != 0 ||
            ::ptsname_r(ours, name, sizeof name) != 0)
            throw std::runtime_error("no terminal");
        theirs = ::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
        const winsize size = {.ws_row = 50, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
        ::ioctl(theirs, TIOCSWINSZ, &size);
    }
    terminal(const terminal&) = delete;
    terminal& operator=(const terminal&) = delete;
    ~terminal() {
        if (ours >= 0) ::close(ours);
        if (theirs >= 0) ::close(theirs);
    }
};

[[noreturn]] void become(const std::vector<std::string>& arguments, const program_options& options, int in,
                         int out, int err) {
    // The test runner's handlers end with exec, what it ignores does not.
    std::signal(SIGPIPE, SIG_DFL);
    ::dup2(in, STDIN_FILENO);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(err, STDERR_FILENO);
    for (const std::string& variable : options.environment) {
        const std::size_t at = variable.find('=');
        ::setenv(variable.substr(0, at).c_str(), variable.substr(at + 1).c_str(), 1);
    }
    std::vector<char*> pointers;
    for (const std::string& argument : arguments) pointers.push_back(const_cast<char*>(argument.c_str()));
    pointers.push_back(nullptr);
    options.before_exec();
    ::execv(pointers.front(), pointers.data());
    ::_exit(127);
}

// Not by fork(): its handlers would make the child a participant of this process's segments, for an instant before it is
// the program, and then a dead one.
child start(const std::vector<std::string>& arguments, const program_options& options, int in, int out,
            int err) {
    std::fflush(nullptr);
    const pid_t pid = ::_Fork();
    if (pid < 0) throw std::runtime_error("fork failed");
    if (pid == 0) become(arguments, options, in, out, err);
    return child(pid);
}

// Reads both to their ends.
void read_both(int out, int err, program_result& result) {
    pollfd ends[] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    std::string* const texts[] = {&result.out, &result.err};
    const auto deadline =
        std::chrono::steady_clock::now() + patiently(std::chrono::seconds(child::watchdog_seconds));
    while ((ends[0].fd >= 0 || ends[1].fd >= 0) && std::chrono::steady_clock::now() < deadline) {
        if (::poll(ends, 2, 1000) <= 0) continue;
        for (int i = 0; i < 2; ++i) {
            if (ends[i].revents == 0) continue;
            char part[65536];
            const ssize_t got = ::read(ends[i].fd, part, sizeof part);
            if (got > 0) texts[i]->append(part, static_cast<std::size_t>(got));
            else if (got == 0 || errno != EINTR) ends[i].fd = -1;  // a terminal that was left says EIO
        }
    }
}

}  // namespace

std::ostream& operator<<(std::ostream& to, const program_result& r) {
    return to << "code " << r.code << ", stdout '" << r.out << "', stderr '" << r.err << "'";
}

program_result run_program(const std::vector<std::string>& arguments, const program_options& options) {
    program_result result;
    if (options.on_terminal) {
        terminal screen;
        child c = start(arguments, options, screen.theirs, screen.theirs, screen.theirs);
        ::close(std::exchange(screen.theirs, -1));
        if (::write(screen.ours, options.input.data(), options.input.size()) < 0)
            throw std::runtime_error("cannot type");
        read_both(screen.ours, -1, result);
        result.code = c.join();
        return result;
    }
    pipe_pair in;
    pipe_pair out;
    pipe_pair err;
    child c = start(arguments, options, in.read_end, out.write_end, err.write_end);
    pipe_pair::close_end(out.write_end);
    pipe_pair::close_end(err.write_end);
    // Inputs are short: they fit the pipe.
    if (::write(in.write_end, options.input.data(), options.input.size()) < 0)
        throw std::runtime_error("cannot write the input");
    pipe_pair::close_end(in.write_end);
    read_both(out.read_end, err.read_end, result);
    result.code = c.join();
    return result;
}

}  // namespace cairn_test
