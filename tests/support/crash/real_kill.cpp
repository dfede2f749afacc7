// SPDX-License-Identifier: BSL-1.0
#include "support/crash/real_kill.hpp"

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "segment/lifecycle.hpp"
#include "support/crash/subject.hpp"
#include "support/crash/victim.hpp"
#include "support/patience.hpp"

namespace cairn_test {

namespace {

using clock = std::chrono::steady_clock;

// DESIGN.md promises 250 ms at the worst instruction; ten times that is a hang.
constexpr std::chrono::milliseconds longest_wait(2500);
constexpr std::chrono::seconds longest_check(20);

// What the neighbour and the one who watches it share.
struct meeting {
    std::atomic<int> ready{0};
    std::atomic<int> started{0};
    std::atomic<std::int64_t> finished{0};  // steady clock, ns
    std::atomic<int> in_vain{0};
    std::atomic<int> done{0};
    char problem[400] = {};
};

std::int64_t now() {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(clock::now().time_since_epoch()).count();
}

class neighbour {
public:
    neighbour(const experiment& what, const victim& next_door) {
        void* page =
            ::mmap(nullptr, sizeof(meeting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (page == MAP_FAILED) throw std::runtime_error("no page to share with a neighbour");
        meeting_ = new (page) meeting;
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("no pipe to a neighbour");
        read_end_ = ends[0];
        write_end_ = ends[1];
        const std::string path = next_door.segment_path();
        std::fflush(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) live(what, path);
        wait_until([&] { return meeting_->ready != 0; }, longest_check, "attach to the victim's segment");
    }
    neighbour(const neighbour&) = delete;
    neighbour& operator=(const neighbour&) = delete;
    ~neighbour() {
        if (pid_ > 0) {
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        ::close(read_end_);
        ::close(write_end_);
        ::munmap(meeting_, sizeof(meeting));
    }

    void tell() const {
        if (::write(write_end_, "", 1) != 1) throw std::runtime_error("the neighbour is gone");
    }
    // True when it is asleep on a lock, false when it got through.
    bool wait_until_blocked_or_done() {
        wait_until([&] { return meeting_->finished != 0 || (meeting_->started != 0 && is_asleep()); },
                   longest_wait, "begin its operation");
        return meeting_->finished == 0;
    }
    std::int64_t wait_until_finished() {
        wait_until([&] { return meeting_->finished != 0; }, longest_wait, "finish its operation");
        return meeting_->finished;
    }
    [[nodiscard]] bool has_waited_in_vain() const { return meeting_->in_vain != 0; }
    void wait_until_done() {
        wait_until([&] { return meeting_->done != 0; }, longest_check, "check the segment");
        if (meeting_->problem[0] != '\0') throw lab_failure(meeting_->problem);
    }

private:
    [[noreturn]] void live(const experiment& what, const std::string& path) noexcept {
        prepare_child();
        try {
            cairn::detail::os::unique_fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
            const auto attached = cairn::detail::attach(std::move(file), "", {});
            const auto handles = what.visit(cairn::manager(attached));
            meeting_->ready = 1;
            wait_for_word();
            meeting_->started = 1;
            handles->neighbour();
            meeting_->in_vain = handles->has_waited_in_vain() ? 1 : 0;
            meeting_->finished = now();
            wait_for_word();
            handles->touch(approach::writer_first);
            static_cast<void>(handles->look_after_neighbour());
            // What the neighbour added is part of the state now, so only the rest of judge() applies.
            judge_rest(*handles, *attached);
        } catch (const std::exception& e) {
            std::snprintf(meeting_->problem, sizeof meeting_->problem, "%s", e.what());
        }
        meeting_->done = 1;
        ::_exit(0);
    }

    void wait_for_word() const {
        char byte = 0;
        if (::read(read_end_, &byte, 1) != 1) ::_exit(1);
    }

    [[nodiscard]] bool is_asleep() const {
        std::ifstream stat("/proc/" + std::to_string(pid_) + "/stat");
        std::string text;
        std::getline(stat, text);
        const auto name_end = text.rfind(')');
        return name_end != std::string::npos && name_end + 2 < text.size() && text[name_end + 2] == 'S';
    }

    template <typename Condition>
    void wait_until(Condition condition, std::chrono::milliseconds longest, const char* what) {
        const auto deadline = clock::now() + patiently(longest);
        while (!condition()) {
            if (clock::now() > deadline) {
                throw lab_failure(std::string("the neighbour does not ") + what +
                                  (meeting_->problem[0] != '\0' ? ": " : "") + meeting_->problem);
            }
            if (meeting_->done != 0 && meeting_->problem[0] != '\0') throw lab_failure(meeting_->problem);
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        }
    }

    meeting* meeting_ = nullptr;
    pid_t pid_ = -1;
    int read_end_ = -1;
    int write_end_ = -1;
};

}  // namespace

kill_outcome kill_for_real(const experiment& what, kill_place where, bool neighbour_first) {
    kill_outcome outcome;
    try {
        // Counting instructions takes one stop for each of them: from the start only, the stores are reached faster.
        const bool runs = where.store != 0;
        victim v([&](stage& s) { play(what, s); },
                 runs ? victim::leading::untraced : victim::leading::traced);
        neighbour n(what, v);
        if (runs) v.run_to_store(where.store, where.instructions);
        else
            for (std::uint64_t i = 0; i < where.instructions && v.step(); ++i) {}
        if (neighbour_first) {
            n.tell();
            outcome.was_blocked = n.wait_until_blocked_or_done();
        }
        const std::int64_t killed = now();
        v.kill();
        if (!neighbour_first) n.tell();
        const std::int64_t finished = n.wait_until_finished();
        if (!n.has_waited_in_vain()) outcome.microseconds = static_cast<double>(finished - killed) / 1000;
        v.reap();
        n.tell();
        n.wait_until_done();
    } catch (const std::exception& e) {
        outcome.failure = "killed " + std::to_string(where.instructions) + " instructions after " +
                          (where.store == 0 ? "the start" : "store " + std::to_string(where.store)) +
                          (neighbour_first ? ", neighbour first: " : ", neighbour afterwards: ") + e.what();
    }
    return outcome;
}

}  // namespace cairn_test
