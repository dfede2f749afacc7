// SPDX-License-Identifier: BSL-1.0
#include "guarded_run.hpp"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <thread>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/crash/watched_child.hpp"
#include "support/patience.hpp"
#include "support/scratch.hpp"

namespace cairn_test {

namespace {

struct shared_state {
    std::atomic<std::uint64_t> number{0};
    attempt_log log;
    std::uint64_t slowest = 0;
    std::uint64_t longest = 0;
};

constexpr rlim_t most_address_space = rlim_t{1} << 31;

void run_pieces(shared_state& shared, std::uint64_t end,
                const std::function<void(std::uint64_t, attempts&)>& work) {
    const rlimit none = {0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    // A size that was read from damaged bytes shows as std::bad_alloc, rather than as a machine without memory.
    const rlimit limit = {most_address_space, most_address_space};
    if (!is_sanitized) ::setrlimit(RLIMIT_AS, &limit);
    ::alarm(0);  // run_guarded() has a watch of its own
    attempts attempt(shared.log);
    for (std::uint64_t i = shared.number; i < end; shared.number = ++i) {
        const auto start = std::chrono::steady_clock::now();
        work(i, attempt);
        const auto took = static_cast<std::uint64_t>((std::chrono::steady_clock::now() - start).count());
        if (took > shared.longest) {
            shared.longest = took;
            shared.slowest = i;
        }
        if (shared.log.failure[0] != '\0') ::_exit(1);
    }
    ::_exit(0);
}

std::chrono::nanoseconds processor_time(pid_t pid) {
    clockid_t clock = 0;
    timespec now = {};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &now) != 0) return {};
    return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Waits for the child; empty when it came to its end, else what became of it.
std::string watch(pid_t pid, const shared_state& shared) {
    std::uint64_t seen = shared.number;
    auto slept_since = std::chrono::steady_clock::now();
    auto worked_before = processor_time(pid);
    for (;;) {
        int status = 0;
        if (::waitpid(pid, &status, WNOHANG) == pid) {
            if (WIFSIGNALED(status))
                return "was killed by signal " + std::to_string(WTERMSIG(status)) + ", in " +
                       shared.log.doing;
            if (shared.log.failure[0] != '\0') return shared.log.failure;
            return WEXITSTATUS(status) == 0
                       ? std::string()
                       : "ended with " + std::to_string(WEXITSTATUS(status)) + ", in " + shared.log.doing;
        }
        if (shared.number != seen) {
            seen = shared.number;
            slept_since = std::chrono::steady_clock::now();
            worked_before = processor_time(pid);
        } else if (processor_time(pid) - worked_before > longest_work ||
                   std::chrono::steady_clock::now() - slept_since > patiently(longest_sleep)) {
            ::kill(pid, SIGKILL);
            ::waitpid(pid, &status, 0);
            return std::string("hung, in ") + shared.log.doing;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
}

}  // namespace

guarded_result run_guarded(std::uint64_t first, std::uint64_t count,
                           const std::function<void(std::uint64_t, attempts&)>& work) {
    const shared_object<shared_state> shared;
    shared->number = first;
    guarded_result result;
    if (std::getenv("CAIRN_HOSTILE_UNWATCHED") != nullptr) {
        attempts attempt(shared->log);
        for (std::uint64_t i = first; i < first + count; ++i) work(i, attempt);
        if (shared->log.failure[0] != '\0') result.bad.push_back({first, shared->log.failure});
        return result;
    }
    while (shared->number < first + count && result.bad.size() < most_bad_ends) {
        shared->log.failure[0] = '\0';
        const child runner([&] { run_pieces(*shared, first + count, work); });
        const std::string how = watch(runner.pid(), *shared);
        if (how.empty()) break;
        result.bad.push_back({shared->number, how});
        ++shared->number;
    }
    result.results = shared->log.results;
    result.errors = shared->log.errors;
    result.slowest = shared->slowest;
    result.longest = std::chrono::nanoseconds(shared->longest);
    return result;
}

}  // namespace cairn_test
