// guardian.cpp - keep this file free of Cairn's internals, as main.cpp.
// SPDX-License-Identifier: BSL-1.0
#include "guardian.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn_test {

namespace {

constexpr std::size_t longest_message = 4096;
constexpr int program_end_descriptor = 200;  // above what tests count on

int program_end = -1;

pid_t number_of(const std::filesystem::path& name) {
    char* end = nullptr;
    const long number = std::strtol(name.c_str(), &end, 10);
    return *end == '\0' && number > 0 ? static_cast<pid_t>(number) : -1;
}

bool has_open(pid_t pid, const std::string& wanted) {
    std::error_code failed;
    std::filesystem::directory_iterator all("/proc/" + std::to_string(pid) + "/fd", failed);
    for (const std::filesystem::directory_iterator end; !failed && all != end; all.increment(failed))
        if (std::filesystem::read_symlink(all->path(), failed) == wanted) return true;
    return false;
}

class guardian {
public:
    guardian(int messages, int pidfd, pid_t program, bool leads_session, std::string socket_name)
        : messages_(messages), pidfd_(pidfd), program_(program), leads_session_(leads_session),
          socket_name_(std::move(socket_name)) {}

    void run() {
        for (;;) {
            pollfd entries[] = {{messages_, POLLIN, 0}, {pidfd_, POLLIN, 0}};
            if (::poll(entries, 2, -1) < 0) continue;
            if (entries[0].revents != 0 && !read_message()) break;  // nobody has the other end
            if (entries[1].revents != 0) break;
        }
        // Until a look finds none: one that is being killed may have forked.
        while (kill_processes()) ::usleep(2000);
        while (read_message()) {}
        for (const std::string& path : paths_) {
            std::error_code ignored;
            ::umount2(path.c_str(), MNT_DETACH);  // a test mounts a file system of its own
            std::filesystem::remove_all(path, ignored);
        }
    }

private:
    // False when there is none, or none will come.
    bool read_message() {
        char text[longest_message];
        const ssize_t got = ::recv(messages_, text, sizeof text, MSG_DONTWAIT);
        if (got <= 0) return false;
        const std::string path(text + 1, static_cast<std::size_t>(got - 1));
        if (text[0] == '+') paths_.insert(path);
        else paths_.erase(path);
        return true;
    }

    // True when there was one.
    bool kill_processes() {
        bool found = false;
        std::error_code failed;
        std::filesystem::directory_iterator all("/proc", failed);
        for (const std::filesystem::directory_iterator end; !failed && all != end; all.increment(failed)) {
            const pid_t pid = number_of(all->path().filename());
            if (pid <= 1 || pid == ::getpid() || !belongs_to_program(pid)) continue;
            // A zombie has no descriptors and needs no signal; the signal to another is not to one that took its number,
            // as that would have had to inherit our socket in the meantime.
            found = ::kill(pid, SIGKILL) == 0 || found;
        }
        return found;
    }

    [[nodiscard]] bool belongs_to_program(pid_t pid) const {
        if (has_open(pid, socket_name_)) return true;
        return leads_session_ && pid != program_ && ::getsid(pid) == program_ && has_descriptors(pid);
    }

    // False for zombies.
    static bool has_descriptors(pid_t pid) {
        std::error_code failed;
        const bool some =
            std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd", failed) !=
            std::filesystem::directory_iterator();
        return some && !failed;
    }

    int messages_;
    int pidfd_;
    pid_t program_;
    bool leads_session_;
    std::string socket_name_;
    std::set<std::string> paths_;
};

[[noreturn]] void be_guardian(int messages, int pidfd, pid_t program, bool leads_session,
                              const std::string& socket_name) {
    ::setsid();
    ::prctl(PR_SET_NAME, "test-guardian");
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, SIG_IGN);
    // Whoever reads what the test writes waits for the end of its output.
    const int nothing = ::open("/dev/null", O_RDWR | O_CLOEXEC);
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(nothing, fd);
    ::close(program_end);
    try {
        guardian(messages, pidfd, program, leads_session, socket_name).run();
    } catch (const std::exception&) {}
    ::_exit(0);
}

void tell(char kind, const std::string& path) {
    if (program_end < 0 || path.size() + 1 > longest_message) return;
    const std::string message = kind + path;
    [[maybe_unused]] const ssize_t sent = ::send(program_end, message.data(), message.size(), MSG_NOSIGNAL);
}

}  // namespace

void start_guardian() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return;
    program_end = ::fcntl(ends[0], F_DUPFD_CLOEXEC, program_end_descriptor);
    ::close(ends[0]);
    const pid_t program = ::getpid();
    const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, program, 0));
    struct stat status = {};
    if (program_end < 0 || pidfd < 0 || ::fstat(program_end, &status) != 0) {
        ::close(program_end);
        ::close(pidfd);
        ::close(ends[1]);
        program_end = -1;
        return;
    }
    const std::string name = "socket:[" + std::to_string(status.st_ino) + "]";
    const bool leads_session = ::getsid(0) == program;
    // Forked twice: tests count their children.
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::fork() == 0) be_guardian(ends[1], pidfd, program, leads_session, name);
        ::_exit(0);
    }
    while (pid > 0 && ::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {}
    ::close(pidfd);
    ::close(ends[1]);
}

void guard_path(const std::string& path) {
    const std::string temporary = std::filesystem::temp_directory_path().string() + "/";
    if (path.starts_with("/dev/shm/") || path.starts_with(temporary)) tell('+', path);
}

void unguard_path(const std::string& path) {
    tell('-', path);
}

}  // namespace cairn_test
