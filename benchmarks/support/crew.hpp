// crew.hpp - one or two processes (or threads) which do the same at the same time.
//
//   crew pair(2, crew::as::processes, [&](int member) { ... });   forks: both see the shared objects made before
//   round took = pair.run();                                      both start at once; when both have ended
//
// The two are bound to a core each, where there are two, and meet at a spinning barrier in shared memory, so that what
// they do really overlaps; `overlap` says how much of the time it did. Both clocks are CLOCK_MONOTONIC.
//
// Death         of the second process is found by the first, which throws; of the first: the second is killed with it.
//               The destructor ends the second process and waits for it.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <thread>

#include <sched.h>
#include <sys/types.h>

#include <benchmark/benchmark.h>

namespace cairn_bench {

/// Zeroed pages shared with children forked later; no name, no file.
class shared_pages {
public:
    explicit shared_pages(std::size_t bytes);
    ~shared_pages();
    shared_pages(const shared_pages&) = delete;
    shared_pages& operator=(const shared_pages&) = delete;
    template <typename T>
    [[nodiscard]] T* as() const noexcept {
        return static_cast<T*>(memory_);
    }

private:
    void* memory_;
    std::size_t bytes_;
};

/// CLOCK_MONOTONIC, the same in all processes.
std::int64_t now_ns() noexcept;

/// A forked child that runs `body` and ends with _exit; killed and reaped with this object, killed with its parent.
class child {
public:
    explicit child(const std::function<void()>& body);
    ~child();
    child(const child&) = delete;
    child& operator=(const child&) = delete;
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    /// Waits for its end; its status as of waitpid().
    int join();
    [[nodiscard]] bool has_ended();
    void send(int signal) const;

private:
    pid_t pid_;
    bool reaped_ = false;
    int status_ = 0;
};

struct round {
    double seconds = 0;       // from the first start to the last end
    double seconds_of_0 = 0;  // member 0 alone
    double overlap = 0;       // part of `seconds` in which both were at work; 1 for one member
};

class crew {
public:
    enum class as { processes, threads };

    /// `work(0)` runs in the caller, `work(1)` in the other one, if there are two.
    crew(int members, as kind, std::function<void(int member)> work);
    ~crew();
    crew(const crew&) = delete;
    crew& operator=(const crew&) = delete;

    round run();
    [[nodiscard]] int members() const noexcept { return members_; }

private:
    struct board;
    void follow();
    template <typename Condition>
    void wait_for(Condition condition);

    int members_;
    std::function<void(int)> work_;
    shared_pages pages_;
    board& board_;
    cpu_set_t before_{};
    std::uint32_t round_ = 0;
    std::unique_ptr<child> process_;
    std::thread thread_;
};

/// Measures rounds of `operations` (of all members together) until the benchmark has enough; `prepare` runs before each,
/// untimed. Two rounds come first that do not count: pages are then mapped by both. An iteration is one operation.
void measure(
    benchmark::State& state, crew& workers, std::int64_t operations,
    const std::function<void()>& prepare = [] {});

/// The same where `operations` are those of member 0, and only its time counts.
void measure_first(
    benchmark::State& state, crew& workers, std::int64_t operations,
    const std::function<void()>& prepare = [] {});

/// The value is computed and in a register, so it was loaded; nothing else is forced.
inline void keep(std::int64_t value) noexcept {
    asm volatile("" : : "r"(value));
}

/// Numbers that nobody predicts, cheaper than a cache miss.
class random_indices {
public:
    random_indices(std::uint64_t seed, std::uint64_t count) noexcept
        : state_(seed * 2 + 1), count_(static_cast<std::uint32_t>(count)) {}
    std::uint64_t next() noexcept {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        return ((state_ >> 32) * count_) >> 32;
    }

private:
    std::uint64_t state_;
    std::uint64_t count_;
};

}  // namespace cairn_bench
