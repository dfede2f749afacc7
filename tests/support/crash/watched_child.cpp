// SPDX-License-Identifier: BSL-1.0
#include "support/crash/watched_child.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/crash/victim.hpp"
#include "support/patience.hpp"

namespace cairn_test {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds longest_standstill(20);
constexpr std::size_t most_children = 2;

void write_line(int fd, const std::string& text) {
    std::string line = text;
    std::replace(line.begin(), line.end(), '\n', ' ');
    line += '\n';
    for (std::size_t at = 0; at < line.size();) {
        const ssize_t written = ::write(fd, line.data() + at, line.size() - at);
        if (written < 0 && errno != EINTR) ::_exit(1);
        if (written > 0) at += static_cast<std::size_t>(written);
    }
}

// A forked child with a pipe for its lines.
class telling_child {
public:
    explicit telling_child(const std::function<void(const line_writer&)>& work) {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe for a child");
        std::fflush(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) {
            prepare_child();
            ::close(ends[0]);
            int code = 0;
            try {
                work([&](const std::string& text) { write_line(ends[1], text); });
            } catch (const std::exception& e) {
                write_line(ends[1], std::string("failure ") + e.what());
                code = 1;
            }
            ::_exit(code);
        }
        ::close(ends[1]);
        read_end_ = ends[0];
        if (pid_ < 0) throw std::runtime_error("no child: fork failed");
    }
    telling_child(telling_child&& other) noexcept
        : pid_(std::exchange(other.pid_, -1)), read_end_(std::exchange(other.read_end_, -1)),
          text_(std::move(other.text_)) {}
    telling_child& operator=(telling_child&&) = delete;
    ~telling_child() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        if (read_end_ >= 0) ::close(read_end_);
    }

    [[nodiscard]] int read_end() const noexcept { return read_end_; }

    // False at the end of its lines.
    bool read(const std::function<void(const std::string&)>& on_line) {
        char part[4096];
        const ssize_t got = ::read(read_end_, part, sizeof part);
        if (got < 0 && errno == EINTR) return true;
        if (got <= 0) return false;
        text_.append(part, static_cast<std::size_t>(got));
        for (std::size_t end = 0; (end = text_.find('\n')) != std::string::npos; text_.erase(0, end + 1))
            on_line(text_.substr(0, end));
        return true;
    }

    // What the system says of it: its state, and the system call that it is in.
    [[nodiscard]] std::string whereabouts() const {
        const auto first_line = [this](const char* of) {
            std::ifstream file("/proc/" + std::to_string(pid_) + "/" + of);
            std::string line;
            std::getline(file, line);
            return line;
        };
        const std::string stat = first_line("stat");
        const std::size_t state = std::min(stat.rfind(')'), stat.size());
        return "state" + stat.substr(std::min(state + 1, stat.size()), 2) + ", system call " +
               first_line("syscall") + ", " + first_line("wchan");
    }

    // Empty when it ended well.
    std::string wait() {
        int status = 0;
        while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {}
        pid_ = -1;
        if (WIFSIGNALED(status)) return "was killed by signal " + std::to_string(WTERMSIG(status));
        if (WEXITSTATUS(status) != 0) return "exited with " + std::to_string(WEXITSTATUS(status));
        return {};
    }

private:
    pid_t pid_ = -1;
    int read_end_ = -1;
    std::string text_;
};

std::vector<int> allowed_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    ::sched_getaffinity(0, sizeof set, &set);
    std::vector<int> processors;
    for (int i = 0; i < CPU_SETSIZE; ++i)
        if (CPU_ISSET(i, &set)) processors.push_back(i);
    return processors;
}

// A tracer and its tracee on one processor: a switch costs a third of a wake across processors.
void pin_to(int processor) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    ::sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

std::string watch_child(const std::function<void(const line_writer&)>& work,
                        const std::function<void(const std::string&)>& on_line,
                        const std::atomic<std::uint64_t>& progress) {
    telling_child child(work);
    std::uint64_t seen = progress;
    auto deadline = clock::now() + patiently(longest_standstill);
    for (;;) {
        pollfd entry = {.fd = child.read_end(), .events = POLLIN, .revents = 0};
        if (::poll(&entry, 1, 200) > 0 && !child.read(on_line)) return child.wait();
        if (progress != seen) {
            seen = progress;
            deadline = clock::now() + patiently(longest_standstill);
        } else if (clock::now() > deadline) {
            return "hung (" + child.whereabouts() + ")";
        }
    }
}

void share_among_children(std::size_t count, const std::function<void(std::size_t, const line_writer&)>& work,
                          const std::function<void(const std::string&)>& on_line,
                          const std::function<void(std::size_t, const std::string&)>& on_death) {
    struct place {
        std::atomic<std::size_t> next{0};
        std::atomic<std::size_t> working_on[most_children];
    };
    shared_object<place> shared;
    const std::vector<int> processors = allowed_processors();
    const std::size_t child_count = std::max<std::size_t>(1, std::min(most_children, processors.size()));
    auto start = [&](std::size_t who) {
        return std::optional<telling_child>(std::in_place, [&, who](const line_writer& tell) {
            if (who < processors.size()) pin_to(processors[who]);
            for (std::size_t number = 0; (number = shared->next.fetch_add(1)) < count;) {
                shared->working_on[who] = number;
                work(number, tell);
            }
        });
    };
    std::vector<std::optional<telling_child>> children(child_count);
    for (std::size_t who = 0; who < child_count; ++who) children[who].emplace(*start(who));
    for (std::size_t living = child_count; living != 0;) {
        std::vector<pollfd> entries;
        for (const auto& child : children)
            entries.push_back({.fd = child ? child->read_end() : -1, .events = POLLIN, .revents = 0});
        if (::poll(entries.data(), entries.size(), -1) < 0) continue;
        for (std::size_t who = 0; who < child_count; ++who) {
            if (entries[who].revents == 0 || children[who]->read(on_line)) continue;
            const std::string how = children[who]->wait();
            children[who].reset();
            if (how.empty()) {
                --living;
                continue;
            }
            on_death(shared->working_on[who], how);
            children[who].emplace(*start(who));
        }
    }
}

}  // namespace cairn_test
