// SPDX-License-Identifier: BSL-1.0
#include "cairn/executor.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <exception>
#include <mutex>
#include <ostream>
#include <string>
#include <thread>
#include <utility>

#include <unistd.h>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "executors/task_access.hpp"
#include "os/identity.hpp"
#include "os/ticks.hpp"
#include <cairn/detail/base/hash.hpp>
#include <cairn/detail/executors/remote_run.hpp>

namespace cairn::inline CAIRN_ABI {

std::ostream& operator<<(std::ostream& to, const executor_statistics& s) {
    std::array<char, 64> runtime;  // two places, whatever the stream's own are
    std::snprintf(runtime.data(), runtime.size(), "%.2f", s.runtime.count());
    return to << "<ExecutorStatistics object at " << static_cast<const void*>(&s)
              << " (failures=" << s.failures << ", executed=" << s.executed << ", runtime=" << runtime.data()
              << ", cancelled=" << s.cancelled << ")>";
}

rejection_check reject_when_reached(std::size_t limit) {
    return [limit](const any_executor& /*ex*/, std::size_t backlog) {
        if (backlog < limit) return;
        throw rejected_submission("Current backlog " + std::to_string(backlog) +
                                  " is not allowed to go beyond " + std::to_string(limit));
    };
}

namespace detail {

// -- executor_core --------------------------------------------------------------------------------------------------

executor_core::executor_core() noexcept : made_by_(own_process_mark()) {}
executor_core::~executor_core() = default;
void executor_core::destroy() noexcept {
    delete this;
}
void executor_core::forget(local_state& /*task*/, bool /*is_cancelled*/) noexcept {}
bool executor_core::withdraw(local_state& /*task*/) {
    return true;
}
bool executor_core::cancel_by_kill(local_state& task) {
    return task.cancel();
}
bool executor_core::has_started(const local_state& /*task*/) const noexcept {
    return false;
}
void executor_core::ask_to_stop(local_state& /*task*/) noexcept {}
void executor_core::somebody_waits() noexcept {}
bool executor_core::help(local_state& /*task*/, steady_time /*deadline*/) {
    return false;
}
void executor_core::kill() {
    terminate();
}
bool executor_core::run_here(local_state& /*task*/) {
    return false;
}
void executor_core::worker_waits() noexcept {}
void executor_core::worker_goes_on() noexcept {}
void executor_core::run_one_if_stuck() {}
void executor_core::let_go() noexcept {
    drop_reference();
}
bool executor_core::is_of_this_process() const noexcept {
    return made_by_ == own_process_mark();
}

std::chrono::nanoseconds checked_delay(long_nanoseconds delay) {
    if (!(delay.count() >= 0)) throw invalid_argument("submit_after: the delay is negative or no number");
    if (delay >= std::chrono::nanoseconds::max()) return std::chrono::nanoseconds::max();
    return std::chrono::ceil<std::chrono::nanoseconds>(delay);
}

void check_map_options(const map_options& options, bool is_endless) {
    if (options.chunk_size < 1) {
        throw invalid_argument("map: .chunk_size is " + std::to_string(options.chunk_size) +
                               ", expected 1 or more");
    }
    if (options.buffer_size && *options.buffer_size < 1) {
        throw invalid_argument("map: .buffer_size is " + std::to_string(*options.buffer_size) +
                               ", expected 1 or more");
    }
    if (is_endless && !options.buffer_size)
        throw invalid_argument(
            "map: these ranges have no end: give .buffer_size, so that they are read as results are");
}

void throw_map_timeout() {
    throw timeout_error("map: the next result is not there, and the time given is up");
}

void run_for_stranger(local_state& task) {
    task_access::run_unowned(task);
}

// In a forked child it is the parent's.
stranger_task::~stranger_task() {
    if (!is_refused_ && task_access::is_of_this_process(*task_)) task_access::cancel_unqueued(*task_);
}

// -- what handles do ------------------------------------------------------------------------------------------------

void executor_handle::shutdown(const shutdown_options& options) {
    core_->shutdown(options);
}
void executor_handle::terminate() {
    core_->terminate();
}
void executor_handle::kill() {
    core_->kill();
}
executor_statistics executor_handle::statistics() const {
    return core_->statistics();
}
bool executor_handle::alive() const noexcept {
    return core_->is_alive();
}
std::size_t executor_handle::queue_size() const {
    return core_->queue_size();
}
std::size_t executor_handle::num_workers() const {
    return core_->worker_count();
}
std::size_t executor_handle::get_num_idle_workers() const {
    return core_->idle_worker_count();
}

// -- synchronous_executor -------------------------------------------------------------------------------------------

namespace {

class synchronous_core final : public executor_core {
public:
    void submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) override {
        check_open();
        if (options != nullptr &&
            (options->retry_if || options->timeout.is_given() || options->expires.is_given()))
            throw invalid_argument("submit to synchronous_executor: it has no retries and no time limits");
        if (options != nullptr) task_access::extras(*task).options = *options;
        if (delay.count() != 0) std::this_thread::sleep_until(deadline_after(delay));
        run(*task);
    }
    void submit_following(task_ptr task) override {
        check_open();
        run(*task);
    }
    void shutdown(const shutdown_options& /*options*/) override { is_closed_.store(true); }
    void terminate() override {}
    void restart() {
        const std::lock_guard held(mutex_);
        counts_ = {};
        run_ticks_ = 0;
        is_closed_.store(false);
    }
    [[nodiscard]] executor_statistics statistics() const override {
        const double seconds = rate_.seconds_per_tick();
        const std::lock_guard held(mutex_);
        executor_statistics all = counts_;
        all.runtime = executor_statistics::seconds(static_cast<double>(run_ticks_) * seconds);
        all.run_time = all.runtime;
        if (all.executed != 0) all.average_runtime = all.runtime / static_cast<double>(all.executed);
        return all;
    }
    [[nodiscard]] bool is_alive() const noexcept override { return !is_closed_.load(); }
    [[nodiscard]] std::size_t queue_size() const override { return 0; }
    [[nodiscard]] std::size_t worker_count() const override { return 0; }
    [[nodiscard]] std::size_t idle_worker_count() const override { return 0; }

private:
    void check_open() const {
        if (is_closed_.load())
            throw invalid_state("submit to synchronous_executor: cannot schedule new futures after shutdown");
    }
    void run(local_state& task) {
        if (!task_access::step(task, word_stage::pending, word_stage::running)) return;
        const std::int64_t start = os::ticks();
        attempt_end end = attempt_end::exception;
        {
            settled_at_end_of_thread otherwise(task);
            const running_task here(task);
            end = task_access::call(task);
            otherwise.has_returned();
        }
        const std::int64_t ran = std::max<std::int64_t>(0, os::ticks() - start);
        task_access::drop_call(task);
        {
            const std::lock_guard held(mutex_);
            ++counts_.executed;
            if (end == attempt_end::exception) ++counts_.failures;
            run_ticks_ += ran;
        }
        task_access::settle(task, end == attempt_end::value ? word_stage::value : word_stage::exception);
    }

    const os::tick_rate rate_;
    std::atomic<bool> is_closed_{false};
    mutable std::mutex mutex_;
    executor_statistics counts_;  // under mutex_, also below
    std::int64_t run_ticks_ = 0;
};

}  // namespace

}  // namespace detail

synchronous_executor::synchronous_executor()
    : executor_handle(detail::core_ptr(new detail::synchronous_core)) {}

synchronous_executor::~synchronous_executor() {
    // An any_executor may refer to it still.
    if (core_) core_->shutdown({});
}

void synchronous_executor::restart() {
    static_cast<detail::synchronous_core&>(core()).restart();
}

// -- this_task, this_worker -----------------------------------------------------------------------------------------

namespace {

constinit std::atomic<std::uint64_t> last_task_id = 0;

detail::local_state* own_task() noexcept {
    const detail::task_context* const here = detail::own_task_context();
    return here == nullptr ? nullptr : here->task;
}

// Asked of the system once in each process.
std::uint64_t known_identity() noexcept {
    static constinit std::atomic<std::uint64_t> known = 0;
    std::uint64_t identity = known.load(std::memory_order_relaxed);
    if (identity == 0 || detail::os::pid_of(identity) != ::getpid()) {
        identity = detail::os::own_identity();
        known.store(identity, std::memory_order_relaxed);
    }
    return identity;
}

// In a worker process: the run that it is in.
detail::remote_run* own_run() noexcept {
    const detail::task_context* const here = detail::own_task_context();
    return here == nullptr ? nullptr : here->remote;
}

}  // namespace

bool this_task::stop_requested() noexcept {
    if (const detail::remote_run* const run = own_run(); run != nullptr) return run->is_asked_to_stop();
    const detail::local_state* const task = own_task();
    return task != nullptr && detail::task_access::is_asked_to_stop(*task);
}

std::stop_token this_task::stop_token() {
    if (detail::remote_run* const run = own_run(); run != nullptr) return run->stop_token();
    detail::local_state* const task = own_task();
    if (task == nullptr) return {};
    detail::task_extras& extras = detail::task_access::extras(*task);
    if (std::stop_source* const source = extras.stop.load(); source != nullptr) return source->get_token();
    auto* const source = new std::stop_source;  // NOLINT: owned by the extras
    std::stop_token token = source->get_token();
    // seq_cst: pairs with task_access::ask_to_stop(). Only the task's own thread makes one.
    extras.stop.store(source);
    if (detail::task_access::is_asked_to_stop(*task)) source->request_stop();
    return token;
}

int this_task::attempt() noexcept {
    if (const detail::remote_run* const run = own_run(); run != nullptr) return run->attempt();
    const detail::local_state* const task = own_task();
    if (task == nullptr) return 0;
    const detail::task_extras* const extras = detail::task_access::extras_if_any(*task);
    return extras == nullptr ? 1 : extras->attempt;
}

std::uint64_t this_task::id() {
    if (const detail::remote_run* const run = own_run(); run != nullptr) return run->id();
    detail::local_state* const task = own_task();
    if (task == nullptr) return 0;
    detail::task_extras& extras = detail::task_access::extras(*task);
    // relaxed: only the task's own thread writes it
    std::uint64_t id = extras.id.load(std::memory_order_relaxed);
    if (id == 0) {
        id = last_task_id.fetch_add(1, std::memory_order_relaxed) + 1;
        extras.id.store(id, std::memory_order_relaxed);
    }
    return id;
}

once_id this_task::once() {
    if (const detail::remote_run* const run = own_run(); run != nullptr) return run->once();
    const std::uint64_t task = id();
    if (task == 0) throw invalid_state("this_task::once: this thread runs no task");
    const std::uint64_t client[] = {known_identity(), task};
    return {detail::hash_bytes(client, sizeof client, 0), 1};
}

}  // namespace cairn::inline CAIRN_ABI
