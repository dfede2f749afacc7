// process_pool.cpp - birth and end of a pool, and what it counts; process_pool_submitting.cpp has how tasks go to it, and
// process_pool_collecting.cpp how their results come back.
// SPDX-License-Identifier: BSL-1.0
#include "pool/process_pool.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/probe.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "pool/ancestor.hpp"
#include "pool/loaded_code.hpp"
#include "pool/pool_root.hpp"
#include "process/stdio.hpp"
#include "segment/internals.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// How long kill(), terminate() and cancel(kill) wait for the pool's lock before they look who has it. Chosen freely.
constexpr std::chrono::milliseconds longest_wait_to_kill{500};

constinit std::atomic<std::uint64_t> last_pool_number = 0;

// The pools that this process has, as owner or worker: few.
class pool_list {
public:
    void add(process_pool& pool) {
        const std::lock_guard held(mutex_);
        all_.push_back(&pool);
    }
    void remove(const process_pool& pool) noexcept {
        const std::lock_guard held(mutex_);
        std::erase(all_, &pool);
    }
    std::shared_ptr<process_pool_life> find(const pool_id& id) {
        const std::lock_guard held(mutex_);
        for (process_pool* const each : all_)
            if (each->id() == id) return each->handles().lock();
        return nullptr;
    }

private:
    std::mutex mutex_;
    std::vector<process_pool*> all_;
};

constinit per_process<pool_list> known_pools;

}  // namespace

// -- birth ----------------------------------------------------------------------------------------------------------

process_pool::process_pool(const process_pool_settings& settings)
    : settings_(settings), own_family_(std::make_unique<pool_family>()), family_(own_family_.get()) {
    static_cast<void>(cancel_mutex());  // made here, where that may fail
    make_root();
    try {
        start_guardian();
    } catch (...) {
        // One that comes late, and its family, find nothing to do.
        root_transaction tx = begin();
        close_pool(tx, node());
        throw;
    }
    try {
        start_collector();
        known_pools.get().add(*this);
    } catch (...) {
        end_family();
        throw;
    }
}

process_pool::process_pool(pool_family& family, std::uint32_t place)
    : family_(&family), self_(&family.places[place]), place_(place),
      incarnation_(family.places[place].incarnation) {
    settings_.name = family.name;
    settings_.max_workers = family.place_count;
    settings_.retries = family.retries;
    settings_.timeout = family.timeout;
    static_cast<void>(cancel_mutex());
    known_pools.get().add(*this);
}

process_pool::~process_pool() {
    if (is_of_this_process()) {
        if (pool_list* const list = known_pools.find(); list != nullptr) list->remove(*this);
        leave_lost_descriptors();
        // Where the last handle went in a callback, nobody has waited for its end, or will.
        if (has_collector_ && !is_collector_joined_) os::detach_thread(collector_);
    }
    // Nobody refers to it any more. One that cancelled the last task may still be about it.
    const std::lock_guard last_one(cancel_mutex());
}

std::shared_ptr<process_pool_life> process_pool::find(const pool_id& id) {
    return known_pools.get().find(id);
}

root_transaction process_pool::begin() const {
    return root_transaction(*family_->in, *family_->slot, family_->generation);
}

void process_pool::make_root() {
    manager_.emplace();
    root_reference root = pool_access::make(*manager_, settings_.name, settings_.max_workers);
    family_->in = root.in;
    family_->slot = root.slot;
    family_->generation = root.generation;
    family_->node = root.node;
    family_->places = &worker_at(*root.in, node(), 0);
    family_->place_count = settings_.max_workers;
    family_->id = {.owner = root.in->internals().identity, .number = last_pool_number.fetch_add(1) + 1};
}

void process_pool::start_guardian() {
    const auto refuse = [this](const char* what, const std::error_code& error) {
        throw system_failure("make " + settings_.name + ": " + what + ": " + error.message(), error);
    };
    pool_family& family = *family_;
    family.name = settings_.name;
    family.retries = settings_.retries;
    family.timeout = settings_.timeout;
    family.initializer = settings_.initializer;
    family.max_tasks_per_worker = settings_.max_tasks_per_worker;
    family.max_worker_memory = settings_.max_worker_memory;
    family.idle_timeout = settings_.idle_timeout;
    family.keeps_orphans = settings_.keep_orphans;
    family.oom_score_adj = settings_.oom_score_adj;
    // The owner opens it, so that it is the owner's, whatever becomes of the pid.
    if (const auto error = os::open_pidfd(os::own_pid(), family.owner_pidfd)) refuse("pidfd_open", error);
    if (const auto error = os::open_bell(family.bell)) refuse("eventfd", error);
    family.bell_number = os::number_of_bell(family.bell.get()).value_or(0);
    pid_t child = 0;
    // An initializer may have captures, which only a fork of this process has.
    if (!settings_.initializer && fork_by_ancestor(family, child, guardian_pidfd_)) {
        guardian_ = guardian_pid_ = child;
        guardian_identity_ = os::identity_of(child);
        return;
    }
    family.loaded = loaded_objects();
    if (family.loaded.empty())
        refuse("read /proc/self/maps", std::make_error_code(std::errc::too_many_files_open));
    family.kept_descriptors = descriptors_kept_by_nursery();
    // For news of their children, and for what they read in /proc: a guardian that cannot have both settles no death.
    if (const auto error = os::try_two_descriptors()) refuse("two more descriptors for its guardian", error);
    prepare_worker_exit();
    flush_before_fork();
    is_guardian_child_ = true;
    {
        const os::blocked_signals until_it_is_ready;
        if (const auto error = os::fork_process(child)) refuse("fork", error);
        if (child == 0) run_guardian(family);
    }
    guardian_ = guardian_pid_ = child;
    static_cast<void>(os::open_pidfd(child, guardian_pidfd_));  // without it, it is asked for by its identity
    if (!guardian_pidfd_.valid()) guardian_identity_ = os::identity_of(child);
    warn_of_threads(settings_.name.c_str());  // while workers start
}

void process_pool::start_collector() {
    add_reference();  // the thread's
    const auto error = os::start_quiet_joinable(collector_, &collector_body, this);
    has_collector_ = !error;
    if (!error) return;
    drop_reference();
    throw system_failure((is_owner() ? "make " : "submit to ") + settings_.name +
                             ": pthread_create: " + error.message(),
                         error);
}

// -- the end --------------------------------------------------------------------------------------------------------

void process_pool::cancel_waiting() {
    std::vector<task_ptr> all;
    {
        const lock held(mutex_);
        for (const entry& each : entries_)
            if (each.task) all.push_back(each.task);
        for (const auto& [task, kept] : later_) all.push_back(kept);
    }
    for (const task_ptr& task : all) task->cancel();
}

// A few at a time: others wait no longer for that.
void process_pool::cancel_waiting_of_workers() {
    constexpr std::size_t most = 64;
    for (std::size_t count = most; count == most;) {
        root_transaction tx = begin();
        count = cancel_tasks_of_workers(tx, node(), most);
    }
}

void process_pool::signal_workers(int signal) {
    std::vector<os::process_identity> workers;
    {
        root_transaction tx = begin();
        order_all(tx, node());  // no further attempts, no further items, nothing submitted any more
        cancel_tasks_of_workers(tx, node(), std::numeric_limits<std::size_t>::max());
        for (const worker_slot& slot : family_->all_places())
            if (slot.incarnation != 0) workers.push_back(slot.identity);
    }
    for (const os::process_identity worker : workers) static_cast<void>(os::signal_process(worker, signal));
}

bool process_pool::can_lock_soon() {
    const operation_limit limit{.deadline = deadline_after(longest_wait_to_kill)};
    const limited_locks in_time(limit);
    try {
        const root_transaction tx = begin();
        return true;
    } catch (const limit_reached&) {
        return false;
    }
}

// A worker that was stopped while it had the pool's lock would keep kill() from its end: all are killed without the lock.
void process_pool::kill_if_locked_out() {
    if (can_lock_soon()) return;
    for (const worker_slot& slot : family_->all_places()) {
        const os::process_identity worker = load_word(slot.identity);
        if (worker != 0) static_cast<void>(os::signal_process(worker, SIGKILL));
    }
}

// A worker that is stopped while it has the pool's lock keeps it for as long as it is stopped: it is killed, if it is meant. The next
// holder undoes what it had begun.
void process_pool::kill_stopped_lock_holders(bool (*is_meant)(const worker_slot& holder, segment_offset task),
                                             segment_offset task) {
    while (!can_lock_soon()) {
        const auto thread = static_cast<pid_t>(inspect(family_->slot->lock).thread_id);
        if (thread == 0 || !os::state_of_thread(thread).starts_with("stopped")) continue;
        const pid_t process = os::process_of_thread(thread);
        for (const worker_slot& slot : family_->all_places()) {
            const os::process_identity worker = load_word(slot.identity);
            if (worker != 0 && os::pid_of(worker) == process && is_meant(slot, task))
                static_cast<void>(os::signal_process(worker, SIGKILL));
        }
    }
}

void process_pool::terminate() {
    check_owner("terminate");
    // A stopped process does not get SIGTERM.
    kill_stopped_lock_holders([](const worker_slot&, segment_offset) { return true; }, 0);
    cancel_waiting();
    signal_workers(SIGTERM);
}

void process_pool::kill() {
    check_owner("kill");
    kill_if_locked_out();
    cancel_waiting();
    signal_workers(SIGKILL);
}

void process_pool::shutdown(const shutdown_options& options) {
    check_owner("shut down");
    {
        const lock held(mutex_);
        is_closed_ = true;
        is_wanted_ = true;
        wake_.notify_one();
    }
    if (options.cancel_futures) {
        cancel_waiting();
        cancel_waiting_of_workers();
    }
    if (!options.wait || is_own_helper()) return;
    lock held(mutex_);
    all_settled_.wait(held, [this] { return pending_ == 0 && has_ended_; });
    if (std::exchange(is_collector_joined_, true)) return;
    held.unlock();
    os::join_thread(collector_);
}

void process_pool::let_go() noexcept {
    const core_ptr own(this);
    if (!is_owner()) return;
    if (!is_of_this_process()) {
        // The parent's: its guardian, thread and locks are none of ours.
        add_reference();
        return;
    }
    // The process ends, and the workers with it.
    if (is_exiting()) {
        add_reference();
        return;
    }
    try {
        if (std::uncaught_exceptions() > 0) kill();
        shutdown({});
    } catch (const std::exception&) {
        // Its root is damaged, or its lock is held for ever: the workers end with this process.
    }
}

executor_statistics process_pool::statistics() const {
    if (!is_of_this_process()) return {};
    const lock held(mutex_);
    executor_statistics all = counts_;
    const auto seconds = [](std::uint64_t nanoseconds) {
        return executor_statistics::seconds(static_cast<double>(nanoseconds) / 1e9);
    };
    all.runtime = seconds(runtime_);
    all.queue_time = seconds(queue_time_);
    all.run_time = seconds(runtime_ - std::min(runtime_, queue_time_));
    if (all.executed != 0) all.average_runtime = all.runtime / static_cast<double>(all.executed);
    all.retried += load_word(node().retried_count);
    return all;
}

bool process_pool::is_alive() const noexcept {
    if (!is_of_this_process()) return false;
    const lock held(mutex_);
    return !is_closed_ && load_word(node().state) == pool_state::open;
}

std::size_t process_pool::queue_size() const {
    return is_of_this_process() ? load_word(node().waiting_count) : 0;
}

std::size_t process_pool::worker_count() const {
    if (!is_of_this_process()) return 0;
    std::size_t count = 0;
    for (const worker_slot& slot : family_->all_places())
        if (load_word(slot.incarnation) != 0) ++count;
    return count;
}

std::size_t process_pool::idle_worker_count() const {
    return is_of_this_process() ? family_->idle_count() : 0;
}

}  // namespace cairn::inline CAIRN_ABI::detail
