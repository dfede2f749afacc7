// thread_pool_executor.hpp - executors that keep threads: concurrent.futures.ThreadPoolExecutor, futurist's, and its dynamic one.
//
// Threads       made one by one as tasks come and no thread is idle, up to max_workers; then reused, the one that slept last first.
//               Each is joined: by shutdown, by the destructor, by its successor.
// Queue         greater priorities first; among equals the threads that submit in turn, the tasks of each first in, first out. A
//               cancelled task leaves it at once.
// Death         a task that calls pthread_exit settles as worker_died, and its thread is replaced. exit() ends the program.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/time_limit.hpp>
#include <cairn/executor.hpp>

namespace cairn::inline CAIRN_ABI {

/// What submit does when max_pending tasks wait already.
enum class when_full {
    block,  ///< wait for room; a worker of the same executor, and a continuation, does not wait but exceeds the bound
    reject,    ///< throw rejected_submission
    run_here,  ///< call it in the submitting thread, before submit returns
};

/// Of thread_pool_executor. Numbers below 1 (max_pending: below 0) are invalid_argument.
struct thread_pool_options {
    /// Most threads; not given: the processors this process may use (affinity, and the control group's quota), and 4 more, at most 32.
    std::optional<int> max_workers = {};
    /// Default of task_options::retries, for submits with options; a task that is given without options is called once.
    std::optional<int> retries = {};
    /// Called by each thread first. One that throws ends its thread; if the first max_workers (at least 3) all do, the
    /// executor has failed: what waits settles with initializer_failed, and submit throws it. Where so many fail in a row and other
    /// threads are up, it goes on with those.
    std::function<void()> initializer = {};
    std::optional<int> max_tasks_per_worker = {};  ///< then the thread is replaced
    /// For processes: threads share their memory. Given: invalid_argument.
    std::optional<std::uint64_t> max_worker_memory = {};
    /// A thread that was idle for so long ends. Not given: threads stay.
    time_limit idle_timeout = {};
    rejection_check check_and_reject = {};
    /// Most tasks that wait for a thread, beside those that have one. Not given: as many as there is memory for.
    std::optional<std::int64_t> max_pending = {};
    cairn::when_full when_full = cairn::when_full::block;
    /// Default of task_options::timeout, for all submits; not for then(ex, fn), which has no time limit.
    time_limit timeout = {};
    /// For processes. True: invalid_argument.
    bool keep_orphans = false;
};

/// Runs tasks in threads that it keeps.
///
/// Its destructor is shutdown(): it finishes what was accepted. While an exception unwinds the stack, and after main has
/// returned, it terminates instead: what waits is cancelled, what runs is asked to stop; after main, it waits a second at most. That
/// main has returned it knows by exit handlers, of which a process registers 1 024 at most, one for each executor that is made, and one for
/// its first submit: a static executor beyond that may not know, and finishes what was accepted.
/// In a forked child it does nothing. Run by one of its own threads, or by a callback, it does not wait: the threads finish
/// what was accepted, and are joined by the settling thread.
class CAIRN_API thread_pool_executor : public detail::executor_handle {
public:
    /// @throws invalid_argument  an option that makes no sense, by name
    /// Cost  no thread yet
    explicit thread_pool_executor(const thread_pool_options& options = {});
    explicit thread_pool_executor(int max_workers);
    ~thread_pool_executor();
};

/// Of dynamic_thread_pool_executor; futurist's names, defaults and limits: 0 < min_workers < max_workers,
/// 0 <= shrink_threshold < grow_threshold <= 1.
struct dynamic_thread_pool_options {
    std::optional<int> max_workers = {};  ///< as thread_pool_options
    rejection_check check_and_reject = {};
    int min_workers = 1;
    double grow_threshold = 0.8;
    double shrink_threshold = 0.4;
    std::function<void()> initializer = {};
};

/// A thread_pool_executor whose threads come and go: each submit looks at how busy it is, (threads - idle + queued) / threads. From
/// grow_threshold on it makes a thread, up to max_workers; up to shrink_threshold it ends an idle one, down to min_workers.
class CAIRN_API dynamic_thread_pool_executor : public detail::executor_handle {
public:
    /// @throws invalid_argument  as above
    explicit dynamic_thread_pool_executor(const dynamic_thread_pool_options& options = {});
    ~dynamic_thread_pool_executor();

    /// Ends idle threads until it is busy enough, or min_workers are left: for a time in which nothing is submitted.
    void maintain();
};

}  // namespace cairn::inline CAIRN_ABI
