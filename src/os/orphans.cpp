// SPDX-License-Identifier: BSL-1.0
#include "os/orphans.hpp"

#include <algorithm>
#include <charconv>
#include <exception>
#include <string>
#include <utility>

#include <sys/wait.h>
#include <unistd.h>

#include "os/file.hpp"
#include "os/uncancellable.hpp"

namespace cairn::inline CAIRN_ABI::detail::os {

namespace {

// A child of ours that has ended; with `reap` it is none afterwards.
bool is_ended_child(pid_t pid, bool reap) noexcept {
    const uncancellable in_one_piece;
    siginfo_t info = {};
    const int how = WEXITED | WNOHANG | (reap ? 0 : WNOWAIT);
    return ::waitid(P_PID, static_cast<id_t>(pid), &info, how) == 0 && info.si_pid == pid;
}

}  // namespace

bool is_first_process() noexcept {
    return ::getpid() == 1;
}

void orphan_reaper::look(pid_t except) noexcept {
    try {
        std::vector<std::string> names;
        if (list_directory("/proc", names)) return;
        std::vector<pid_t> found;
        for (const std::string& name : names) {
            pid_t pid = 0;
            const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
            if (error != std::errc() || end != name.data() + name.size() || pid == except) continue;
            if (!is_ended_child(pid, false)) continue;
            if (std::ranges::find(seen_, pid) == seen_.end()) {
                found.push_back(pid);
            } else {
                is_ended_child(pid, true);
            }
        }
        seen_ = std::move(found);
    } catch (const std::exception&) {
        // No memory: the next look will do.
        return;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail::os
