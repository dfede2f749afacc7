// SPDX-License-Identifier: BSL-1.0
#include "crew.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <ctime>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn_bench {

namespace {

inline void pause_processor() noexcept {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    asm volatile("yield");
#endif
}

// Binds the calling thread to the n-th of the processors it may use, where there are that many.
void bind_to(const cpu_set_t& allowed, int n) {
    if (CPU_COUNT(&allowed) < 2) return;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (!CPU_ISSET(cpu, &allowed) || n-- != 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        ::sched_setaffinity(0, sizeof one, &one);
        return;
    }
}

}  // namespace

shared_pages::shared_pages(std::size_t bytes)
    : memory_(
          ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)),
      bytes_(bytes) {
    if (memory_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
}

shared_pages::~shared_pages() {
    ::munmap(memory_, bytes_);
}

std::int64_t now_ns() noexcept {
    timespec time = {};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

child::child(const std::function<void()>& body) {
    std::fflush(nullptr);
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::generic_category(), "fork");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    try {
        body();
    } catch (const std::exception& e) {
        std::fputs("second process: ", stderr);
        std::fputs(e.what(), stderr);
        std::fputc('\n', stderr);
        ::_exit(1);
    }
    ::_exit(0);
}

child::~child() {
    if (reaped_) return;
    ::kill(pid_, SIGKILL);
    join();
}

int child::join() {
    while (!reaped_) {
        if (::waitpid(pid_, &status_, 0) == pid_) reaped_ = true;
        else if (errno != EINTR) break;
    }
    return status_;
}

bool child::has_ended() {
    if (!reaped_ && ::waitpid(pid_, &status_, WNOHANG) == pid_) reaped_ = true;
    return reaped_;
}

void child::send(int signal) const {
    if (!reaped_) ::kill(pid_, signal);
}

// Written by one member, read by the other; each word on a cache line of its own.
struct crew::board {
    alignas(64) std::atomic<std::uint32_t> called;  // round that member 1 is to get ready for
    alignas(64) std::atomic<std::uint32_t> ready;   // and is
    alignas(64) std::atomic<std::uint32_t> started;
    alignas(64) std::atomic<std::uint32_t> done;
    alignas(64) std::atomic<bool> over;
    std::int64_t begin;  // member 1's; read after `done`
    std::int64_t end;
};

crew::crew(int members, as kind, std::function<void(int)> work)
    : members_(members), work_(std::move(work)), pages_(sizeof(board)), board_(*pages_.as<board>()) {
    static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
    if (members_ < 2) return;
    ::sched_getaffinity(0, sizeof before_, &before_);
    const auto follower = [this] {
        bind_to(before_, 1);
        follow();
    };
    if (kind == as::processes) process_ = std::make_unique<child>(follower);
    else thread_ = std::thread(follower);
    bind_to(before_, 0);
}

crew::~crew() {
    if (members_ < 2) return;
    board_.over = true;
    process_.reset();
    if (thread_.joinable()) thread_.join();
    ::sched_setaffinity(0, sizeof before_, &before_);
}

// Spins, since the other one is about to come; sleeps when that takes long, so as not to be in the way.
template <typename Condition>
void crew::wait_for(Condition condition) {
    for (std::uint32_t spins = 1; !condition(); ++spins) {
        if (spins < 20'000) {
            pause_processor();
        } else {
            if (process_ != nullptr && process_->has_ended())
                throw std::runtime_error("the second process ended too early");
            ::usleep(20);
        }
    }
}

void crew::follow() {
    for (std::uint32_t number = 1;; ++number) {
        wait_for([&] { return board_.called.load() >= number || board_.over.load(); });
        if (board_.over.load()) return;
        board_.ready.store(number);
        while (board_.started.load() < number) pause_processor();
        board_.begin = now_ns();
        work_(1);
        board_.end = now_ns();
        board_.done.store(number);
    }
}

round crew::run() {
    round took;
    if (members_ < 2) {
        const std::int64_t begin = now_ns();
        work_(0);
        took.seconds = took.seconds_of_0 = static_cast<double>(now_ns() - begin) * 1e-9;
        took.overlap = 1;
        return took;
    }
    ++round_;
    board_.called.store(round_);
    wait_for([&] { return board_.ready.load() >= round_; });
    board_.started.store(round_);
    const std::int64_t begin = now_ns();
    work_(0);
    const std::int64_t end = now_ns();
    wait_for([&] { return board_.done.load() >= round_; });
    const auto all = static_cast<double>(std::max(end, board_.end) - std::min(begin, board_.begin));
    const auto both = static_cast<double>(std::min(end, board_.end) - std::max(begin, board_.begin));
    took.seconds = all * 1e-9;
    took.seconds_of_0 = static_cast<double>(end - begin) * 1e-9;
    took.overlap = std::max(0.0, both / all);
    return took;
}

namespace {

void measure_rounds(benchmark::State& state, crew& workers, std::int64_t operations,
                    const std::function<void()>& prepare, double round::*what) {
    for (int warm_up = 0; warm_up < 2; ++warm_up) {
        prepare();
        workers.run();
    }
    double overlap = 0;
    double rounds = 0;
    while (state.KeepRunningBatch(operations)) {
        prepare();
        const round took = workers.run();
        state.SetIterationTime(took.*what);
        overlap += took.overlap;
        rounds += 1;
    }
    if (workers.members() > 1) state.counters["overlap"] = overlap / rounds;
}

}  // namespace

void measure(benchmark::State& state, crew& workers, std::int64_t operations,
             const std::function<void()>& prepare) {
    measure_rounds(state, workers, operations, prepare, &round::seconds);
}

void measure_first(benchmark::State& state, crew& workers, std::int64_t operations,
                   const std::function<void()>& prepare) {
    measure_rounds(state, workers, operations, prepare, &round::seconds_of_0);
}

}  // namespace cairn_bench
