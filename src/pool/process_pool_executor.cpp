// SPDX-License-Identifier: BSL-1.0
#include "cairn/process_pool_executor.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include <unistd.h>

#include "os/processors.hpp"
#include "pool/process_pool.hpp"
#include <cairn/pool.hpp>

namespace cairn::inline CAIRN_ABI {

namespace {

constinit std::atomic<int> last_process_pool = 0;

// "process_pool_executor" or "pool", of which the first option has another name.
struct pool_kind {
    std::string name;
    std::string workers;
};

template <typename Number>
Number within(const pool_kind& kind, const std::string& option, Number number, Number least, Number most) {
    if (number < least || number > most) {
        throw invalid_argument("make a " + kind.name + ": " + option + " is " + std::to_string(number) +
                               ", expected " + std::to_string(least) + " to " + std::to_string(most));
    }
    return number;
}

constexpr int largest = std::numeric_limits<int>::max();

detail::process_pool_settings checked(const pool_kind& kind, const process_pool_options& options) {
    detail::process_pool_settings s;
    s.max_workers =
        static_cast<std::uint32_t>(options.max_workers ? within(kind, kind.workers, *options.max_workers, 1,
                                                                static_cast<int>(detail::most_workers))
                                                       : detail::os::usable_processor_count());
    s.retries = within(kind, ".retries", options.retries.value_or(0), 0, largest);
    s.initializer = options.initializer;
    if (options.max_tasks_per_worker)
        s.max_tasks_per_worker = static_cast<std::uint64_t>(
            within(kind, ".max_tasks_per_worker", *options.max_tasks_per_worker, 1, largest));
    if (options.max_worker_memory)
        s.max_worker_memory = within<std::uint64_t>(kind, ".max_worker_memory", *options.max_worker_memory, 1,
                                                    std::numeric_limits<std::uint64_t>::max());
    s.idle_timeout = options.idle_timeout;
    s.check_and_reject = options.check_and_reject;
    if (options.max_pending)
        s.max_pending = within<std::int64_t>(kind, ".max_pending", *options.max_pending, 0,
                                             std::numeric_limits<std::int64_t>::max());
    s.when_full = options.when_full;
    s.timeout = options.timeout;
    s.keep_orphans = options.keep_orphans;
    s.oom_score_adj = within(kind, ".oom_score_adj", options.oom_score_adj, 0, 1000);
    s.name = kind.name + "-" + std::to_string(last_process_pool.fetch_add(1) + 1);
    return s;
}

detail::core_ptr make_process_pool(const std::string& name, const process_pool_options& options) {
    const pool_kind kind{name, name == "pool" ? ".workers" : ".max_workers"};
    return detail::core_ptr(new detail::process_pool(checked(kind, options)));
}

}  // namespace

namespace detail {

process_pool_handle::process_pool_handle(core_ptr core)
    : executor_handle(core), life_(std::make_shared<process_pool_life>(std::move(core))) {
    static_cast<process_pool&>(*core_).handles() = life_;
}

process_pool_handle::process_pool_handle(std::shared_ptr<process_pool_life> life) noexcept
    : executor_handle(life->core), life_(std::move(life)) {}

process_pool_handle::~process_pool_handle() = default;

void process_pool_handle::encode_to(std::byte* to) const {
    const pool_id& id = static_cast<const process_pool&>(*core_).id();
    std::memcpy(to, &id, encoded_pool_bytes);
}

process_pool_handle process_pool_handle::decode_from(std::span<const std::byte> bytes, const char* type) {
    static_assert(sizeof(pool_id) == encoded_pool_bytes);
    pool_id id{};
    if (bytes.size() != sizeof id) throw_undecodable(type, bytes.size());
    std::memcpy(&id, bytes.data(), sizeof id);
    if (auto life = process_pool::find(id); life != nullptr) return process_pool_handle(std::move(life));
    throw refused("take over a " + std::string(type) +
                  ": this process is neither its owner nor one of its workers, or it has ended");
}

namespace {

constexpr std::int64_t between_bars = 100;      // milliseconds
constexpr std::int64_t between_lines = 10'000;  // the same, where stderr is no terminal
constexpr std::size_t bar_places = 40;

std::int64_t now_in_milliseconds() noexcept {
    return static_cast<std::int64_t>(monotonic_nanoseconds() / 1'000'000);
}

// Counts down, and has the task run at the last one.
class last_of_all final : public callback {
public:
    struct shared {
        shared(std::size_t count, task_ptr last) noexcept : left(count), task(std::move(last)) {}
        std::atomic<std::size_t> left;
        task_ptr task;
    };
    explicit last_of_all(std::shared_ptr<shared> of) noexcept : of_(std::move(of)) {}
    void run(future_state& /*settled*/) override {
        if (of_->left.fetch_sub(1) == 1) task_access::run_unowned(*of_->task);
    }
    void drop() noexcept override { task_access::cancel_unqueued(*of_->task); }

private:
    std::shared_ptr<shared> of_;
};

}  // namespace

progress_display::progress_display(const progress_option& option, std::size_t total)
    : option_(option), total_(total), is_terminal_(::isatty(STDERR_FILENO) == 1) {
    if (!option_.shows_bar()) return;
    next_ = now_in_milliseconds() + (is_terminal_ ? 0 : between_lines);
    show(false);
}

progress_display::~progress_display() {
    if (option_.shows_bar()) show(true);
}

void progress_display::add(std::size_t done) {
    done_ += done;
    if (option_.call()) option_.call()(done_, total_);
    if (option_.shows_bar()) show(false);
}

void progress_display::show(bool is_last) {
    const std::int64_t now = now_in_milliseconds();
    if (!is_last && now < next_) return;
    next_ = now + (is_terminal_ ? between_bars : between_lines);
    const std::size_t percent = total_ == 0 ? 100 : 100 * done_ / total_;
    std::string line;
    if (is_terminal_) {
        const std::size_t full = bar_places * percent / 100;
        line.assign(1, '\r').append(full, '#').append(bar_places - full, '.').append(1, ' ');
    } else {
        line = "cairn: ";
    }
    line += std::to_string(done_) + " of " + std::to_string(total_) + ", " + std::to_string(percent) + " %";
    if (!is_terminal_ || is_last) line += '\n';
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

std::ptrdiff_t chunk_size_for(std::optional<std::ptrdiff_t> given, std::size_t items, std::size_t workers) {
    if (given && *given < 1) {
        throw invalid_argument("map: .chunk_size is " + std::to_string(*given) + ", expected 1 or more");
    }
    if (given) return *given;
    const std::size_t chunks = 4 * workers;
    return static_cast<std::ptrdiff_t>(std::max<std::size_t>(1, (items + chunks - 1) / chunks));
}

void throw_endless_map() {
    throw invalid_argument("map: this range has no end: use imap, which reads it as results are read");
}

void check_imap_options(const char* operation, const pool_imap_options& options) {
    const std::string beginning = std::string(operation) + ": ";
    if (options.chunk_size < 1) {
        throw invalid_argument(beginning + ".chunk_size is " + std::to_string(options.chunk_size) +
                               ", expected 1 or more");
    }
    if (options.buffer_size < 0) {
        throw invalid_argument(beginning + ".buffer_size is " + std::to_string(options.buffer_size) +
                               ", expected 1 or more, or 0 for a default");
    }
}

void run_after_all(const std::vector<future_state*>& all, task_ptr task) {
    task_access::is_continuation(*task) = true;
    if (all.empty()) return task_access::run_unowned(*task);
    const auto shared = std::make_shared<last_of_all::shared>(all.size(), std::move(task));
    // The task has the futures, and may run, and drop them, during the last of these calls.
    std::vector<state_ptr> kept;
    kept.reserve(all.size());
    for (future_state* each : all) kept.push_back(state_ptr::sharing(each));
    for (future_state* each : all) each->call_when_settled(std::make_unique<last_of_all>(shared));
}

}  // namespace detail

process_pool_executor::process_pool_executor(const process_pool_options& options)
    : process_pool_handle(make_process_pool("process_pool_executor", options)) {}

process_pool_executor::process_pool_executor(int max_workers)
    : process_pool_executor(process_pool_options{.max_workers = max_workers}) {}

pool::pool(const pool_options& options)
    : process_pool_handle(make_process_pool("pool", {.max_workers = options.workers,
                                                     .retries = options.retries,
                                                     .initializer = options.initializer,
                                                     .max_tasks_per_worker = options.max_tasks_per_worker,
                                                     .max_worker_memory = options.max_worker_memory,
                                                     .idle_timeout = options.idle_timeout,
                                                     .check_and_reject = options.check_and_reject,
                                                     .max_pending = options.max_pending,
                                                     .when_full = options.when_full,
                                                     .timeout = options.timeout,
                                                     .keep_orphans = options.keep_orphans,
                                                     .oom_score_adj = options.oom_score_adj})) {}

process_pool_executor::process_pool_executor(const detail::process_pool_handle& handle) noexcept
    : process_pool_handle(handle) {}

pool::pool(const detail::process_pool_handle& handle) noexcept : process_pool_handle(handle) {}

pool::pool(int workers) : pool(pool_options{.workers = workers}) {}

void pool::close() {
    shutdown({.wait = false});
}

void pool::join() {
    if (alive()) throw invalid_state("join a pool: it is still running; close() or terminate() it first");
    shutdown({});
}

void pool::terminate() {
    shutdown({.wait = false, .cancel_futures = true});
    process_pool_handle::terminate();
}

std::size_t pool::num_places() const noexcept {
    return static_cast<std::size_t>(static_cast<detail::process_pool&>(core()).max_workers());
}

}  // namespace cairn::inline CAIRN_ABI
