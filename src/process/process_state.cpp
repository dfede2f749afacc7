// SPDX-License-Identifier: BSL-1.0
#include "process/process_state.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "os/child.hpp"
#include "os/uncancellable.hpp"
#include "process/run_child.hpp"
#include "process/stdio.hpp"
#include <cairn/process.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// A wait on the descriptor is woken by the kernel; the tick is for a number that was closed and reused just before.
constexpr nanoseconds longest_wait = milliseconds(250);
// Without a descriptor the child is looked at, at first often: the longest nap is what an end may be noticed late.
constexpr nanoseconds shortest_child_nap = microseconds(100);
constexpr nanoseconds longest_child_nap = milliseconds(10);

bool is_no_child(const std::error_code& error) noexcept {
    return error.value() == ECHILD;
}

// What the kernel says to a descriptor that is not a pidfd, or as a whole has none (EINVAL: before Linux 5.4).
bool is_no_pidfd(const std::error_code& error) noexcept {
    return error.value() == EBADF || error.value() == EINVAL;
}

std::string advice_for(const std::error_code& error) {
    if (error.value() == EAGAIN)
        return "no further process allowed (ulimit -u, or the pids limit of the cgroup): ";
    return {};
}

}  // namespace

std::string process_operation(const char* operation, const std::string& name) {
    return std::string(operation) + " process '" + name + "'";
}

process_state::process_state(std::string name, bool is_daemon)
    : name_(std::move(name)), is_daemon_(is_daemon), creator_(os::own_pid()) {}

process_state::~process_state() {
    // A number that is not ours any more, or of which that is not known, is let go: nobody else's file is to be closed.
    if (owned_pidfd() < 0) pidfd_.release();
}

void process_state::start(process_task task) {
    const auto refuse = [this](const char* call, const std::error_code& error) {
        throw system_failure(process_operation("start", name_) + ": " + call + ": " + advice_for(error) +
                                 error.message(),
                             error);
    };
    if (const auto error = child_report::create(report_)) refuse("mmap", error);

    // The parent opens it, so that a parent that dies before the child looks is noticed. Without it (no descriptor
    // left, or a kernel without pidfds) the child looks at its parent's pid now and then.
    os::unique_fd own_pidfd;
    if (is_daemon_) static_cast<void>(os::open_pidfd(creator_, own_pidfd));

    {
        const os::uncancellable in_one_piece;  // flushing is a cancellation point, too
        flush_before_fork();
    }
    pid_t child = 0;
    if (const auto error = os::fork_process(child)) refuse("fork", error);
    if (child == 0) {
        pid_ = os::own_pid();
        run_child({.name = name_,
                   .report = *report_,
                   .task = task,
                   .is_daemon = is_daemon_,
                   .parent_pidfd = std::move(own_pidfd),
                   .parent_pid = creator_});
    }
    pid_ = child;
    open_sentinel();
}

// The child runs already, so none of this may fail: without a descriptor there is only no sentinel.
void process_state::open_sentinel() noexcept {
    no_pidfd_ = os::open_pidfd(pid_, pidfd_);
    // Where the program ignores SIGCHLD, a child that has ended by now is gone without a trace.
    if (no_pidfd_.value() == ESRCH) no_pidfd_ = os::open_always_readable(pidfd_);
    if (!no_pidfd_) no_pidfd_ = os::describe(pidfd_.get(), pidfd_facts_);
    if (no_pidfd_) pidfd_.reset();
}

// The descriptor if it is still the one we opened, else -1 for good; -1 for this once when the system does not say. Under the mutex, or in the destructor, which
// must not take it: in a forked copy it may be locked for ever. Kernels before 6.9 give all pidfds the same
// inode: there a number that was reused for another pidfd goes unnoticed.
int process_state::owned_pidfd() noexcept {
    if (!pidfd_.valid()) return -1;
    os::file_facts now;
    no_pidfd_ = os::describe(pidfd_.get(), now);
    if (no_pidfd_ && no_pidfd_.value() != EBADF) return -1;
    if (!no_pidfd_ && !now.same_file(pidfd_facts_)) no_pidfd_ = {EBADF, std::generic_category()};
    if (no_pidfd_) pidfd_.release();
    return pidfd_.get();
}

void process_state::settle(const std::lock_guard<std::mutex>& /*lock*/, std::optional<int> code) {
    exception_ = report_->exception();
    if (!code) code = report_->exit_code();
    code_ = code.value_or(process::unknown_exitcode);
    report_.reset();
}

bool process_state::has_ended(const std::lock_guard<std::mutex>& lock) {
    if (code_) return true;
    os::child_status status;
    std::error_code error(EBADF, std::generic_category());
    if (const int fd = owned_pidfd(); fd >= 0) error = os::try_reap_by_pidfd(fd, status);
    // By pid is as good, as long as nobody else reaps our children: an ended one keeps its pid until then.
    if (is_no_pidfd(error)) error = os::try_reap_by_pid(pid_, status);
    if (is_no_child(error)) {
        settle(lock, std::nullopt);
    } else if (error) {
        throw system_failure(process_operation("wait for", name_) + ": " + error.message(), error);
    } else if (status.ended) {
        settle(lock, status.code);
    }
    return code_.has_value();
}

bool process_state::wait_until(steady_time deadline) {
    nanoseconds nap = shortest_child_nap;
    for (;;) {
        int fd = -1;
        {
            const std::lock_guard lock(mutex_);
            if (has_ended(lock)) return true;
            fd = owned_pidfd();
        }
        const auto now = std::chrono::steady_clock::now();
        if (now >= deadline) return false;
        const nanoseconds left = deadline - now;
        if (fd >= 0) {
            bool readable = false;
            const auto error = os::wait_readable(fd, std::min(left, longest_wait), readable);
            if (!error && !readable) continue;
            // Readable: the next look finds it ended. If it does not (a debugger sits on it, or the descriptor is
            // not what we think), the nap keeps this from spinning.
            const std::lock_guard lock(mutex_);
            if (has_ended(lock)) return true;
        }
        os::sleep_for(std::min(left, nap));
        nap = std::min(nap * 2, longest_child_nap);
    }
}

std::optional<int> process_state::exit_code() {
    const std::lock_guard lock(mutex_);
    return has_ended(lock) ? code_ : std::nullopt;
}

std::optional<remote_error> process_state::exception() {
    const std::lock_guard lock(mutex_);
    return has_ended(lock) ? exception_ : std::nullopt;
}

void process_state::send(int signal, const char* operation) {
    const std::lock_guard lock(mutex_);
    if (has_ended(lock)) return;
    const int fd = owned_pidfd();
    std::error_code error(EBADF, std::generic_category());
    if (fd >= 0) error = os::signal_by_pidfd(fd, signal);
    // Not reaped, as we just saw, and nobody but us can: the pid is still the child's.
    if (is_no_pidfd(error) || error.value() == ENOSYS) error = os::signal_by_pid(pid_, signal);
    if (error && error.value() != ESRCH) {
        throw system_failure(process_operation(operation, name_) + ": " + error.message(), error);
    }
}

int process_state::sentinel() {
    const std::lock_guard lock(mutex_);
    const int fd = owned_pidfd();
    if (fd < 0) {
        throw system_failure(
            process_operation("sentinel of", name_) + ": no descriptor: " + no_pidfd_.message(), no_pidfd_);
    }
    return fd;
}

}  // namespace cairn::inline CAIRN_ABI::detail
