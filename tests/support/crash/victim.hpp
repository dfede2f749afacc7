// victim.hpp - a forked child that is led through an operation, and killed somewhere in it.
//
// The child prepares what it needs, stops, runs the operation, stops again. A traced one is led instruction by instruction:
// its parent is its tracer, so it must be the thread that made it. The other kind runs at full speed to a store of its
// choice, where it stops itself (write_trap.hpp). A victim never outlives its parent, and never returns.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include <sys/types.h>

namespace cairn_test {

/// What victim and parent share.
struct stage {
    std::int32_t descriptor = -1;         // of the segment, in the victim
    std::uint32_t thread = 0;             // the victim's, as in lock words
    std::uint32_t acknowledged = 0;       // 1: the operation has returned
    std::uint64_t stop_store = 0;         // where an untraced victim stops itself, unless 0
    std::uint64_t stop_instructions = 0;  // and how many instructions later
    char problem[400] = {};               // what went wrong in the victim outside the operation

    /// In the victim: stops until the parent lets it go on.
    void mark() noexcept;
    /// In the victim: the operation has returned.
    void acknowledge() noexcept;
};

class victim {
public:
    /// Forks a child that runs body(stage) up to its first mark(). Throws std::runtime_error when it does not get there.
    enum class leading { traced, untraced };
    explicit victim(const std::function<void(stage&)>& body, leading how = leading::traced);
    victim(const victim&) = delete;
    victim& operator=(const victim&) = delete;
    ~victim();  // killed, if it is still there

    [[nodiscard]] const stage& shared() const noexcept { return *stage_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] bool is_acknowledged() const noexcept;

    /// An untraced one: to that many instructions after its n-th store to the segment, or to the next mark.
    void run_to_store(std::uint64_t store, std::uint64_t instructions);
    /// One instruction. False once the next mark is reached. Throws when the victim ends or gets a signal.
    bool step();
    /// Of the next instruction; 0 where that is not known.
    [[nodiscard]] std::uint64_t location() const;
    /// Up to the next mark, at full speed.
    void run();
    /// Goes on untraced, to its end; throws when that takes longer than a watchdog's patience.
    void release();
    /// SIGKILL while stopped; returns when it was sent. reap() waits for the end.
    void kill() noexcept;
    void reap() noexcept;

    /// /proc/PID/fd/N of the segment.
    [[nodiscard]] std::string segment_path() const;

private:
    [[noreturn]] void fail(const std::string& what, int status) const;
    bool resume(int request);

    stage* stage_ = nullptr;
    pid_t pid_ = -1;
};

/// In a forked child: signals as at the start of a program, and death with the parent.
void prepare_child();

}  // namespace cairn_test
