// SPDX-License-Identifier: BSL-1.0
#include "scratch.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guardian.hpp"
#include "os/file.hpp"
#include "patience.hpp"

namespace cairn_test {

scratch_name::scratch_name(std::string_view stem) : owner_(::getpid()) {
    static std::atomic<int> count{0};
    name_ = std::string(stem) + "-" + std::to_string(owner_) + "-" + std::to_string(++count);
    guard_path(path());
}

scratch_name::~scratch_name() {
    if (::getpid() != owner_) return;
    ::unlink(path().c_str());
    unguard_path(path());
}

std::string scratch_name::path() const {
    return cairn::detail::os::shm_directory() + "/cairn." + name_;
}

bool scratch_name::exists() const {
    struct stat status = {};
    return ::lstat(path().c_str(), &status) == 0;
}

child::child(const std::function<void()>& body) : pid_(-1) {
    std::fflush(nullptr);
    std::cout.flush();
    pid_ = ::fork();
    if (pid_ < 0) throw std::runtime_error("fork failed");
    if (pid_ != 0) return;
    // The test runner's handlers are not the child's.
    for (const int signal : {SIGTERM, SIGINT, SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL})
        std::signal(signal, SIG_DFL);
    ::alarm(static_cast<unsigned>(patience() * watchdog_seconds));
    try {
        body();
    } catch (const std::exception& e) {
        std::fprintf(stderr, "a test's child threw: %s\n", e.what());
        ::_exit(99);
    }
    ::_exit(0);
}

child::~child() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
}

int child::join() {
    const auto deadline =
        std::chrono::steady_clock::now() + patiently(std::chrono::seconds(watchdog_seconds));
    int status = 0;
    for (std::chrono::microseconds pause(20); ::waitpid(pid_, &status, WNOHANG) == 0;) {
        if (std::chrono::steady_clock::now() > deadline) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, &status, 0);
            pid_ = -1;
            return -1000;
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(2 * pause, std::chrono::microseconds(5000));
    }
    pid_ = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child::kill() const {
    ::kill(pid_, SIGKILL);
}

void child::wait_until_stopped() const {
    int status = 0;
    ::waitpid(pid_, &status, WUNTRACED);
}

void child::resume() const {
    ::kill(pid_, SIGCONT);
}

int in_child(const std::function<void()>& body) {
    return child(body).join();
}

void child_check(bool holds, const char* what, const char* file, int line) {
    if (holds) return;
    std::fprintf(stderr, "%s:%d: in a child: %s\n", file, line, what);
    ::_exit(98);
}

gate::gate() {
    if (::pipe2(ends_, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
}

gate::~gate() {
    ::close(ends_[0]);
    ::close(ends_[1]);
}

void gate::open(int count) const {
    for (int i = 0; i < count; ++i) {
        if (::write(ends_[1], "x", 1) != 1) std::abort();
    }
}

bool gate::wait() const {
    char byte = 0;
    ssize_t got = 0;
    while ((got = ::read(ends_[0], &byte, 1)) < 0 && errno == EINTR) {}
    return got == 1;
}

footprint take_footprint() {
    footprint now;
    const std::filesystem::directory_iterator open("/proc/self/fd");
    now.descriptors = static_cast<std::size_t>(std::distance(begin(open), end(open)));
    std::ifstream maps("/proc/self/maps");
    const std::string& shm = cairn::detail::os::shm_directory();
    for (std::string line; std::getline(maps, line);)
        if (contains(line, "/memfd:cairn") || contains(line, shm + "/")) ++now.mappings;
    const std::string mine = "-" + std::to_string(::getpid()) + "-";
    std::vector<std::string> names;
    static_cast<void>(cairn::detail::os::list_directory(cairn::detail::os::shm_directory(), names));
    for (const std::string& name : names)
        if (name.starts_with("cairn.") && contains(name, mine)) ++now.shm_entries;
    return now;
}

std::ostream& operator<<(std::ostream& to, const footprint& f) {
    return to << f.descriptors << " descriptors, " << f.mappings << " mappings, " << f.shm_entries
              << " names";
}

std::size_t memory_status(std::string_view field) {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (!line.starts_with(field) || line[field.size()] != ':') continue;
        std::istringstream rest(line.substr(field.size() + 1));
        std::size_t kibibytes = 0;
        rest >> kibibytes;
        return kibibytes << 10;
    }
    return 0;
}

}  // namespace cairn_test
