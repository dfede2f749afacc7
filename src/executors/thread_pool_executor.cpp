// SPDX-License-Identifier: BSL-1.0
#include "cairn/thread_pool_executor.hpp"

#include <algorithm>
#include <atomic>
#include <string>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "executors/thread_pool.hpp"
#include "os/child.hpp"
#include "os/processors.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI {

namespace {

constexpr int further_threads = 4;  // as in Python: threads also wait
constexpr int most_threads = 32;

constinit std::atomic<int> last_pool = 0;
constinit std::atomic<int> last_dynamic_pool = 0;

int default_workers() {
    return std::min(most_threads, detail::os::usable_processor_count() + further_threads);
}

[[noreturn]] void refuse(const std::string& kind, const std::string& what) {
    throw invalid_argument("make a " + kind + ": " + what);
}

template <typename Number>
Number at_least(const std::string& kind, const char* option, Number number, Number least) {
    if (number < least) {
        refuse(kind, std::string(option) + " is " + std::to_string(number) + ", expected " +
                         std::to_string(least) + " or more");
    }
    return number;
}

detail::pool_settings checked(const thread_pool_options& options) {
    const std::string kind = "thread_pool_executor";
    if (options.max_worker_memory)
        refuse(kind, ".max_worker_memory is for processes: the threads of one share their memory");
    if (options.keep_orphans)
        refuse(kind, ".keep_orphans is for processes: what a task starts belongs to this one");
    detail::pool_settings s;
    s.max_workers =
        options.max_workers ? at_least(kind, ".max_workers", *options.max_workers, 1) : default_workers();
    s.retries = at_least(kind, ".retries", options.retries.value_or(0), 0);
    s.initializer = options.initializer;
    if (options.max_tasks_per_worker)
        s.max_tasks_per_worker = at_least(kind, ".max_tasks_per_worker", *options.max_tasks_per_worker, 1);
    s.idle_timeout = options.idle_timeout;
    s.check_and_reject = options.check_and_reject;
    if (options.max_pending)
        s.max_pending = at_least<std::int64_t>(kind, ".max_pending", *options.max_pending, 0);
    s.when_full = options.when_full;
    s.timeout = options.timeout;
    s.name = kind + "-" + std::to_string(last_pool.fetch_add(1) + 1);
    return s;
}

detail::pool_settings checked(const dynamic_thread_pool_options& options) {
    const std::string kind = "dynamic_thread_pool_executor";
    detail::pool_settings s;
    s.is_dynamic = true;
    s.max_workers =
        options.max_workers ? at_least(kind, ".max_workers", *options.max_workers, 1) : default_workers();
    s.min_workers = at_least(kind, ".min_workers", options.min_workers, 1);
    if (s.min_workers >= s.max_workers) {
        refuse(kind, ".min_workers is " + std::to_string(s.min_workers) +
                         ", expected less than .max_workers, " + std::to_string(s.max_workers));
    }
    if (!(options.shrink_threshold >= 0 && options.shrink_threshold < options.grow_threshold &&
          options.grow_threshold <= 1))
        refuse(kind, "expected 0 <= .shrink_threshold < .grow_threshold <= 1");
    s.grow_threshold = options.grow_threshold;
    s.shrink_threshold = options.shrink_threshold;
    s.check_and_reject = options.check_and_reject;
    s.initializer = options.initializer;
    s.name = kind + "-" + std::to_string(last_dynamic_pool.fetch_add(1) + 1);
    return s;
}

template <typename Options>
detail::core_ptr make_pool(const Options& options) {
    static_cast<void>(detail::cancel_mutex());  // made here, where that may fail
    return detail::core_ptr(new detail::thread_pool(checked(options)));
}

}  // namespace

thread_pool_executor::thread_pool_executor(const thread_pool_options& options)
    : executor_handle(make_pool(options)) {}

thread_pool_executor::thread_pool_executor(int max_workers)
    : thread_pool_executor(thread_pool_options{.max_workers = max_workers}) {}

thread_pool_executor::~thread_pool_executor() {
    core_.release()->let_go();
}

dynamic_thread_pool_executor::dynamic_thread_pool_executor(const dynamic_thread_pool_options& options)
    : executor_handle(make_pool(options)) {}

dynamic_thread_pool_executor::~dynamic_thread_pool_executor() {
    core_.release()->let_go();
}

void dynamic_thread_pool_executor::maintain() {
    static_cast<detail::thread_pool&>(core()).maintain();
}

int this_worker::id() noexcept {
    const detail::worker_place* const place = detail::own_place.worker;
    return place != nullptr && place->made_by == detail::own_process_mark() ? place->id : -1;
}

pid_t this_worker::pid() noexcept {
    return detail::os::own_pid();
}

}  // namespace cairn::inline CAIRN_ABI
