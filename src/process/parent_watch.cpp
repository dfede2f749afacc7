// SPDX-License-Identifier: BSL-1.0
#include "process/parent_watch.hpp"

#include <chrono>

#include "os/child.hpp"

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

// A daemon is promised to be gone 100 ms after its parent; this leaves the other half to the scheduler.
constexpr milliseconds look_without_descriptor = milliseconds(50);
// With the descriptor the news comes by itself. The look is for a descriptor that was closed and its number reused
// before this thread's first wait (during a wait the kernel keeps the file).
constexpr milliseconds look_with_descriptor = milliseconds(1000);

struct watched_parent {
    int pidfd;   // -1: none, or no longer ours
    pid_t seen;  // what parent_pid() says while the parent is alive; 0: it is in another pid namespace
};

// One watch per process, so it needs no memory of its own; written before the thread starts.
watched_parent watched;

void* watch(void*) {
    os::name_own_thread("cairn-watch");
    for (;;) {
        bool readable = false;
        bool usable = watched.pidfd >= 0;
        if (usable) {
            usable = !os::wait_readable(watched.pidfd, look_with_descriptor, readable);
        } else {
            os::sleep_for(look_without_descriptor);
        }
        if (os::parent_pid() != watched.seen) os::kill_own_process();
        if (readable) {
            // Orphans get their new parent before the pidfd becomes readable: it is not our pidfd any more. From
            // another pid namespace that cannot be told, and the descriptor's word must do.
            if (watched.seen == 0) os::kill_own_process();
            usable = false;
        }
        if (!usable) watched.pidfd = -1;  // not closed: the number may be the program's by now
    }
    return nullptr;
}

}  // namespace

std::error_code die_with_parent(os::unique_fd parent, pid_t expected_pid) noexcept {
    // From here on a change of parent is seen by the thread; a change before this line, by the comparison.
    const pid_t seen = os::parent_pid();
    if (seen != 0 && seen != expected_pid) os::kill_own_process();
    watched = {.pidfd = parent.release(), .seen = seen};
    return os::start_quiet_thread(&watch, nullptr);
}

}  // namespace cairn::inline CAIRN_ABI::detail
