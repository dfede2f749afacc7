// process_state.hpp - what the parent knows about one child.
//
// Protected by  mutex_: the descriptor, the outcome, and the reaping itself, which happens at most once. Waiting is
//               done outside it, on the descriptor, so that any number of threads can wait.
// Invariants    pidfd_, while valid, is the child's, or the number was closed behind our back, which owned_pidfd()
//               notices; code_ is set exactly when the child is reaped or known to be gone.
// Fork          a copy of this in another process (the child included) only ever gives its memory and descriptor
//               back: the mutex may have been held at the fork, and the child is not that process's to reap.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <mutex>
#include <optional>
#include <string>

#include <sys/types.h>

#include "os/file.hpp"
#include "os/unique_fd.hpp"
#include "process/child_report.hpp"
#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/process/task.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class process_state {
public:
    process_state(std::string name, bool is_daemon);
    ~process_state();
    process_state(const process_state&) = delete;
    process_state& operator=(const process_state&) = delete;

    /// Forks; in the child it does not return.
    void start(process_task task);

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool is_daemon() const noexcept { return is_daemon_; }
    [[nodiscard]] pid_t pid() const noexcept { return pid_; }
    [[nodiscard]] pid_t creator() const noexcept { return creator_; }

    // Below: only in the creator.

    bool wait_until(steady_time deadline);
    std::optional<int> exit_code();
    std::optional<remote_error> exception();
    void send(int signal, const char* operation);

    int sentinel();

private:
    bool has_ended(const std::lock_guard<std::mutex>& lock);
    void settle(const std::lock_guard<std::mutex>& lock, std::optional<int> code);
    int owned_pidfd() noexcept;
    void open_sentinel() noexcept;

    const std::string name_;
    const bool is_daemon_;
    const pid_t creator_;
    pid_t pid_ = 0;  // set by start(), on both sides
    child_report::pointer report_;

    std::mutex mutex_;
    os::unique_fd pidfd_;
    os::file_facts pidfd_facts_;  // to recognise it by
    std::error_code no_pidfd_;    // why there is none
    std::optional<int> code_;
    std::optional<remote_error> exception_;
};

/// "join process 'worker-1'": the beginning of a message.
std::string process_operation(const char* operation, const std::string& name);

}  // namespace cairn::inline CAIRN_ABI::detail
