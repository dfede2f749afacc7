// run_child.hpp - the child's life, from the fork to its end.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>

#include <sys/types.h>

#include "os/unique_fd.hpp"
#include "process/child_report.hpp"
#include <cairn/detail/process/task.hpp>

namespace cairn::inline CAIRN_ABI::detail {

struct child_start {
    const std::string& name;
    child_report& report;
    process_task task;
    bool is_daemon;
    os::unique_fd parent_pidfd;  // only for a daemon, and maybe not even then
    pid_t parent_pid;
};

/// Runs the task and ends the process; see cairn::process for the ways it can end.
[[noreturn]] void run_child(child_start start) noexcept;

/// "process-3": the name of this process's next child that was not given one.
std::string next_process_name();

}  // namespace cairn::inline CAIRN_ABI::detail
