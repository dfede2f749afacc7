// piped_workers.hpp - "pipe and fork", the twenty lines that everybody has written: two workers read numbers from one pipe, and write them
// to another.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdlib>

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn_bench {

class piped_workers {
public:
    static constexpr int count = 2;

    /// `work` is called with each number.
    explicit piped_workers(long (*work)(long)) {
        if (::pipe(to_) != 0 || ::pipe(from_) != 0) std::abort();
        for (pid_t& worker : workers_) {
            worker = ::fork();
            if (worker != 0) continue;
            ::close(to_[1]);
            for (long x = 0; ::read(to_[0], &x, sizeof x) == sizeof x;) {
                x = work(x);
                if (::write(from_[1], &x, sizeof x) != sizeof x) break;
            }
            ::_exit(0);
        }
        ::close(to_[0]);
        ::close(from_[1]);
    }
    piped_workers(const piped_workers&) = delete;
    piped_workers& operator=(const piped_workers&) = delete;
    ~piped_workers() {
        ::close(to_[1]);
        ::close(from_[0]);
        for (const pid_t worker : workers_) ::waitpid(worker, nullptr, 0);
    }
    void send(long x) const {
        if (::write(to_[1], &x, sizeof x) != sizeof x) std::abort();
    }
    [[nodiscard]] long receive() const {
        long x = 0;
        if (::read(from_[0], &x, sizeof x) != sizeof x) std::abort();
        return x;
    }

private:
    int to_[2] = {-1, -1};
    int from_[2] = {-1, -1};
    pid_t workers_[count] = {};
};

}  // namespace cairn_bench
