// process_pool_submitting.cpp - how tasks go to a pool, and are taken back from it.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstring>
#include <string>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/settling.hpp"
#include "executors/timers.hpp"
#include "os/child.hpp"
#include "os/identity.hpp"
#include "os/supervision.hpp"
#include "os/thread.hpp"
#include "pool/frames.hpp"
#include "pool/loaded_code.hpp"
#include "pool/process_pool.hpp"
#include "process/stdio.hpp"
#include <cairn/detail/base/hash.hpp>
#include <cairn/detail/containers/waiting.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// How often who cancels by a kill looks again where the task is.
constexpr std::chrono::milliseconds between_kill_looks{20};

}  // namespace

// A task that is not due yet, or may not start any more.
class process_pool::pool_timer final : public timer {
public:
    enum class kind { start, expiry };
    pool_timer(local_state& task, process_pool& pool, kind what) noexcept
        : task_(task), pool_(pool), what_(what) {}

private:
    bool claim() noexcept override { return true; }
    void act() noexcept override {
        if (what_ == kind::start) pool_.start_due(task_);
        else pool_.expire(task_);
    }
    void keep() noexcept override {
        task_.add_reference();
        pool_.add_reference();
    }
    void let_go() noexcept override {
        process_pool& pool = pool_;  // this may go with the task
        task_.drop_reference();
        pool.drop_reference();
    }

    local_state& task_;
    process_pool& pool_;
    const kind what_;
};

// -- submitting -----------------------------------------------------------------------------------------------------

void process_pool::check_open(const char* operation) const {
    if (!is_of_this_process()) {
        throw invalid_state(
            std::string(operation) + " " + settings_.name +
            ": it belongs to the process that this one was forked from; make an executor here");
    }
}

void process_pool::check_owner(const char* operation) const {
    check_open(operation);
    if (!is_owner()) {
        throw invalid_state(std::string(operation) + " " + settings_.name +
                            ": this is one of its workers, which can submit to it and wait for what it has "
                            "submitted; it is its owner's to end");
    }
}

// Workers have the program as it was when the pool was made.
void process_pool::check_code(const remote_part& part) {
    const void* const first = reinterpret_cast<const void*>(part.entry);
    for (const void* code : {first, part.address}) {
        if (code == nullptr) continue;
        // Few, and in the order of their use: the program itself, mostly.
        if (code == last_checked_[0].load(std::memory_order_relaxed) ||
            code == last_checked_[1].load(std::memory_order_relaxed))
            continue;
        const loaded_object object = object_with(code);
        if (std::find(family_->loaded.begin(), family_->loaded.end(), object) != family_->loaded.end()) {
            if (object.name.empty())
                last_checked_[code == first ? 0 : 1].store(code, std::memory_order_relaxed);
            continue;
        }
        throw refused(
            "submit to " + settings_.name +
            ": the function is in a library that was loaded after the executor was made, so its workers do "
            "not have it; load it before, or make another executor");
    }
}

void process_pool::prepare(local_state& task, const task_options* options, std::chrono::nanoseconds delay) {
    if (task_access::core(task) != this)
        task_access::core(task) = this;  // what follows has it, and others look
    if (!task_access::is_continuation(task)) task_access::submitter(task) = own_submitter();
    if (options == nullptr && delay.count() == 0) return;
    task_extras& extras = task_access::extras(task);
    if (options != nullptr) {
        if (const int retries = options->retries.value_or(0); retries < 0) {
            throw invalid_argument("submit to " + settings_.name + ": .retries is " +
                                   std::to_string(retries) + ", expected 0 or more");
        }
        extras.options = *options;
    }
    if (delay.count() != 0 || extras.options.retry_if)
        extras.start = std::make_unique<pool_timer>(task, *this, pool_timer::kind::start);
    if (extras.options.expires.is_given()) {
        extras.expiry = std::make_unique<pool_timer>(task, *this, pool_timer::kind::expiry);
    }
}

void process_pool::submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) {
    check_open("submit to");
    remote_part* const part = task_access::remote(*task);
    if (part == nullptr) {
        throw invalid_argument("submit to " + settings_.name +
                               " by any_executor: a callable of this process does not travel; submit to the "
                               "process_pool_executor itself");
    }
    check_code(*part);
    if (is_owner() && !watches_exit_.load(std::memory_order_relaxed)) {
        // Objects that are static were made by now, so they are destroyed after what is registered here has run.
        watches_exit_.store(true, std::memory_order_relaxed);
        watch_for_exit();
    }
    prepare(*task, options, delay);
    if (!is_owner()) need_collector();
    // Nothing to ask before it goes to the workers: its entry is made with the first look.
    const bool goes_at_once = delay.count() == 0 && settings_.max_pending < 0 && !settings_.check_and_reject;
    bool was_parked = false;
    {
        const lock held(mutex_);
        if (is_closed_)
            throw invalid_state("submit to " + settings_.name +
                                ": cannot schedule new futures after shutdown");
        if (goes_at_once) enter(task);
        ++pending_;               // the pool stays open for it
        was_parked = is_parked_;  // it does not park while anything is pending
        if (delay.count() != 0) later_.emplace(task.get(), task);
    }
    bool is_submitted = false;
    try {
        task_extras* const extras = task_access::extras_if_any(*task);
        const bool expires = extras != nullptr && extras->expiry;
        const steady_time expiry =
            expires ? deadline_after(extras->options.expires.nanoseconds()) : no_deadline;
        if (delay.count() != 0) set_timer(*extras->start, deadline_after(delay));
        else if (goes_at_once) push(task);
        else submit_now(task);
        is_submitted = true;
        if (was_parked && delay.count() == 0) wake_collector();
        // Now that there is something to be taken back: waiting for room may have taken longer.
        if (expires && !task->is_settled()) set_timer(*extras->expiry, expiry);
    } catch (...) {
        if (is_submitted) {
            // It has no timer for its expiry. Where a worker has it, it needs none any more.
            if (!withdraw_for(*task, withdrawal::not_started)) return;
            forget(*task, false);
        }
        task_access::stop_timers(*task);
        {
            const lock held(mutex_);
            later_.erase(task.get());
        }
        some_less(1);
        throw;
    }
}

// A worker has none before.
void process_pool::need_collector() {
    const std::lock_guard one_at_a_time(start_mutex_);
    if (!has_collector_) start_collector();
}

void process_pool::submit_following(task_ptr task) {
    {
        // From here on a cancel() comes here, and does not take what is on its way to a worker for one that nobody has.
        const std::lock_guard held(cancel_mutex());
        if (task_access::stage(*task) != word_stage::pending) return;
        task_access::core(*task) = this;
    }
    if (remote_part* const part = task_access::remote(*task); part != nullptr && part->fill != nullptr)
        part->fill(*part);
    submit(std::move(task), nullptr, std::chrono::nanoseconds(0));
}

void process_pool::submit_now(const task_ptr& task) {
    if (runs_in_caller()) return run_in_caller(*task);
    if (settings_.check_and_reject && !task_access::is_continuation(*task)) ask_check();
    {
        const lock held(mutex_);
        enter(task);
    }
    push(task);
}

// Tasks that would wait for a worker, with `more`. Places whose worker is on its way count as free.
std::int64_t process_pool::backlog(std::int64_t more) const {
    const auto tasks = static_cast<std::int64_t>(load_word(node().waiting_count));
    std::int64_t free = load_word(node().target);
    for (const worker_slot& slot : family_->all_places())
        if (load_word(slot.task) != 0) --free;
    return std::max<std::int64_t>(0, tasks + more - free);
}

bool process_pool::is_own_helper() const noexcept {
    return own_place.is_settling ||
           (has_collector_ && !is_collector_joined_ && ::pthread_equal(collector_, os::own_thread()) != 0);
}

// Whether there is no room, and the caller is to run it. Waits for room where that is asked for.
bool process_pool::runs_in_caller() {
    if (settings_.max_pending < 0) return false;
    std::optional<root_wait> wait;
    while (backlog(1) > settings_.max_pending && load_word(node().state) != pool_state::broken) {
        // They would wait for themselves. The settling thread submits what follows a future, too.
        if (is_own_helper()) return false;
        switch (settings_.when_full) {
            case when_full::run_here: return true;
            case when_full::reject: {
                const lock held(mutex_);
                ++counts_.rejected;
            }
                throw rejected_submission("submit to " + settings_.name + ": " +
                                          std::to_string(settings_.max_pending) +
                                          " tasks wait already, which is .max_pending");
            case when_full::block: break;
        }
        const std::uint64_t seen = load_word(node().taken);
        if (!wait)
            wait.emplace(*family_->in, *family_->slot, family_->generation, pool_has_room, no_deadline,
                         std::stop_token{});
        else wait->pause(node().taken, seen, [] { return true; });
        root_transaction tx = begin();
        if (backlog(1) > settings_.max_pending) static_cast<void>(wait->may_go_on(tx));
    }
    return false;
}

void process_pool::ask_check() {
    try {
        settings_.check_and_reject(any_executor(core_ptr::sharing(this)),
                                   static_cast<std::size_t>(backlog(0)));
    } catch (...) {
        const lock held(mutex_);
        ++counts_.rejected;
        throw;
    }
}

// Under mutex_.
void process_pool::enter(const task_ptr& task) {
    if (free_entries_.empty()) {
        // Room to free it is made here, where that may fail.
        if (free_entries_.capacity() <= entries_.size() || to_free_.capacity() <= entries_.size()) {
            free_entries_.reserve(2 * entries_.size() + 16);
            to_free_.reserve(2 * entries_.size() + 16);
        }
        entries_.emplace_back();
        free_entries_.push_back(static_cast<std::uint32_t>(entries_.size() - 1));
    }
    const std::uint32_t place = free_entries_.back();
    free_entries_.pop_back();
    entries_[place].task = task;
    task_access::remote(*task)->token = place;
}

// A task that was entered.
void process_pool::push(const task_ptr& task) {
    remote_part& part = *task_access::remote(*task);
    const task_extras* const extras = task_access::extras_if_any(*task);
    const auto place = static_cast<std::uint32_t>(part.token);
    const auto let_go = [&] {
        const lock held(mutex_);
        entries_[place] = {};
        free_entries_.push_back(place);
    };
    const time_limit timeout =
        extras != nullptr && extras->options.timeout.is_given() ? extras->options.timeout : settings_.timeout;
    const auto nanoseconds = [](const time_limit& limit) {
        return limit.is_given()
                   ? std::max<std::uint64_t>(1, static_cast<std::uint64_t>(limit.nanoseconds().count()))
                   : 0;
    };
    part.timeout = nanoseconds(timeout);
    part.grace = extras == nullptr ? 0 : nanoseconds(extras->options.grace);
    // Taken out of the state, which is somebody else's from the commit on.
    const std::vector<std::byte> input = std::move(part.input);
    const new_task what{
        .token = place,
        .callee = reinterpret_cast<std::uint64_t>(part.entry),
        .input = input,
        .priority = extras == nullptr ? 0 : extras->options.priority,
        .timeout = part.timeout,
        .grace = part.grace,
        .item_count = part.item_count,
        .retries = static_cast<std::uint32_t>(
            extras == nullptr ? settings_.retries : extras->options.retries.value_or(settings_.retries)),
        .submitter_place = place_,
        .submitter = is_owner() ? 0 : self_->incarnation,
        .thread = std::uint64_t{is_owner() ? 0 : 1 + place_} << 32 | task_access::submitter(*task),
        .submitted = monotonic_nanoseconds()};
    segment_offset at = 0;
    std::uint64_t id = 0;
    bool is_broken = false;
    try {
        root_transaction tx = begin();
        if (has_left()) throw invalid_state("submit to " + settings_.name + ": this worker has left it");
        if (!is_owner() && self_->order == worker_order::end)
            throw invalid_state("submit to " + settings_.name + ": this worker is ended by its owner");
        is_broken = node().state == pool_state::broken;
        if (!is_broken) {
            push_task(tx, node(), what, at);
            id = task_at(*family_->in, at).id;
            // Here, while no worker can have it: it comes back to the entry.
            store_word(part.record, at);
            store_word(part.id, id);
        }
    } catch (const segment_full&) {
        let_go();
        throw segment_full("submit to " + settings_.name + ": no memory for the task; nothing was submitted");
    } catch (...) {
        let_go();
        throw;
    }
    if (is_broken) {
        let_go();
        std::rethrow_exception(why_broken(*task));
    }
    call_for_workers();
}

void process_pool::wake_collector() noexcept {
    const lock held(mutex_);
    if (is_parked_) wake_.notify_one();
}

// Where idle workers leave, there may be none.
void process_pool::call_for_workers() noexcept {
    if (!family_->idle_timeout.is_given() && load_word(node().state) != pool_state::closing) return;
    if (load_word(node().waiting_count) <= family_->idle_count()) return;
    // Else none could be had: the others would do it, or the nursery sees it at its next look.
    if (worker_count() < family_->place_count && has_bell()) os::ring(family_->bell.get());
}

void process_pool::start_due(local_state& task) noexcept {
    task_ptr due;
    {
        const lock held(mutex_);
        const auto at = later_.find(&task);
        if (at == later_.end()) return;
        due = std::move(at->second);
        later_.erase(at);
    }
    try {
        remote_part& part = *task_access::remote(task);
        if (const segment_offset record = load_word(part.record); record != 0) {  // once more
            {
                root_transaction tx = begin();
                if (has_left()) return;
                repeat_task(tx, node(), lists(), record);
            }
            call_for_workers();
        } else {
            {
                const lock held(mutex_);
                enter(due);
            }
            push(due);
        }
        wake_collector();
    } catch (...) {
        settle_as(task, caught_exception());
    }
}

void process_pool::expire(local_state& task) noexcept {
    try {
        if (!withdraw_for(task, withdrawal::not_started)) return;
    } catch (const std::exception&) {
        return;
    }
    if (!task_access::step(task, word_stage::pending, word_stage::settling)) return;
    const task_extras& extras = *task_access::extras_if_any(task);
    forget(task, false);
    end_of(true, 0, 0);
    task_access::drop_call(task);
    task_access::settle_with(
        task, std::make_exception_ptr(timeout_error("result of " + task_name(task) +
                                                    ": it had not started when it expired, after " +
                                                    in_milliseconds(extras.options.expires.nanoseconds()))));
    some_less(1);
}

// What a submitter runs itself, as a worker would.
class process_pool::submitter_run final : public remote_run {
public:
    /// `outer`: of the task that waits for it, in a worker. `number`: the same for all attempts, and for nothing else in this process.
    submitter_run(const remote_part& part, int attempt, remote_run* outer, std::uint64_t number)
        : remote_run(part.input, 0, part.item_count, part.item_count), id_(part.id), number_(number),
          attempt_(attempt), outer_(outer) {}
    [[nodiscard]] std::span<const std::byte> frames() const noexcept { return frames_; }
    [[nodiscard]] bool is_asked_to_stop() const noexcept override {
        return outer_ != nullptr && outer_->is_asked_to_stop();
    }
    [[nodiscard]] std::stop_token stop_token() override {
        return outer_ == nullptr ? std::stop_token() : outer_->stop_token();
    }
    [[nodiscard]] int attempt() const noexcept override { return attempt_; }
    [[nodiscard]] std::uint64_t id() const noexcept override { return id_; }
    // Nobody runs it again who is another process.
    [[nodiscard]] once_id once() const noexcept override {
        const std::uint64_t client[] = {os::own_identity(), number_, item()};
        return {hash_bytes(client, sizeof client, 1), 1};
    }
    [[nodiscard]] std::byte* room_ahead(std::size_t /*bytes*/) override { return nullptr; }

private:
    void item_begins(std::uint32_t /*index*/) override {}
    void item_has_ended(std::uint32_t /*index*/) noexcept override { end_ = frames_.size(); }
    std::byte* room_for(std::size_t bytes, bool is_exception) override {
        // A child that the task has forked in a worker has come back from it.
        if (outer_ != nullptr && own_process_mark() != mark_) {
            flush_before_end();
            os::end_process(0);
        }
        frames_.resize(end_ + frame_bytes(bytes));
        const result_frame frame{bytes, is_exception ? frame_kind::exception : frame_kind::value, 0};
        std::memcpy(frames_.data() + end_, &frame, sizeof frame);
        return frames_.data() + end_ + sizeof frame;
    }

    const std::uint64_t id_;
    const std::uint64_t number_;
    const int attempt_;
    remote_run* const outer_;
    const std::uint64_t mark_ = own_process_mark();
    std::vector<std::byte> frames_;
    std::size_t end_ = 0;
};

void process_pool::run_in_caller(local_state& task) {
    if (!task_access::step(task, word_stage::pending, word_stage::running)) return;
    remote_part& part = *task_access::remote(task);
    const std::uint64_t begin = monotonic_nanoseconds();
    static constinit std::atomic<std::uint64_t> last_number = 0;
    const std::uint64_t number = last_number.fetch_add(1, std::memory_order_relaxed) + 1;
    remote_run* const outer = own_place.task == nullptr || is_owner() ? nullptr : own_place.task->remote;
    std::exception_ptr error;
    attempt_end how{};
    for (int attempt = 1;; ++attempt) {
        submitter_run run(part, attempt, outer, number);
        {
            const running_task here(task, outer == nullptr ? nullptr : &run);
            part.entry(run);
        }
        part.frames = run.frames();
        error = nullptr;
        how = task_access::call(task, error);
        part.frames = {};
        if (how == attempt_end::value || !may_try_again(task, error, static_cast<std::uint32_t>(attempt)))
            break;
        task_extras& extras = *task_access::extras_if_any(task);
        extras.attempt = attempt + 1;
        os::sleep_for(backoff_delay(extras.options.backoff, attempt));
        const lock held(mutex_);
        ++counts_.retried;
    }
    end_of(how == attempt_end::exception, monotonic_nanoseconds() - begin, 0);
    task_access::drop_call(task);
    if (how == attempt_end::value) task_access::settle(task, word_stage::value);
    else task_access::settle_with(task, std::move(error));
    some_less(1);
}

// -- waiting in a worker --------------------------------------------------------------------------------------------

// A task of this worker's that nobody has begun is run by who waits for it. What is not due yet is left alone.
bool process_pool::run_here(local_state& task) {
    if (own_core() != this || task_access::core(task) != this) return false;
    const task_ptr kept = task_ptr::sharing(&task);
    {
        const lock held(mutex_);
        if (later_.contains(&task)) return false;
    }
    if (this_thread.open != nullptr) {
        throw would_deadlock("wait for " + task_name(task) +
                             ": this thread is inside an operation on an object, and it may be this thread "
                             "that has to run it; wait outside of it");
    }
    if (!withdraw_for(task, withdrawal::not_started, &task_access::remote(task)->input)) return false;
    forget(task, false);
    task_access::stop_timers(task);
    run_in_caller(task);
    return true;
}

void process_pool::worker_waits() noexcept {
    const lock held(mutex_);
    if (self_ != nullptr && ++waits_ == 1) store_word(self_->waits, 1);
}

void process_pool::worker_goes_on() noexcept {
    const lock held(mutex_);
    if (self_ != nullptr && --waits_ == 0) store_word(self_->waits, 0);
}

// Where all workers wait, nobody would run another task. What is run here has nothing to do with what is waited for.
void process_pool::run_one_if_stuck() {
    if (own_core() != this) return;
    for (const worker_slot& slot : family_->all_places())
        if (load_word(slot.incarnation) != 0 && load_word(slot.waits) == 0) return;
    worker_goes_on();
    struct waiting_again {
        process_pool& pool;
        ~waiting_again() { pool.worker_waits(); }
    };
    const waiting_again afterwards{*this};
    std::vector<task_ptr> all;
    {
        const lock held(mutex_);
        for (const entry& each : entries_)
            if (each.task) all.push_back(each.task);
    }
    for (const task_ptr& task : all)
        if (task_access::stage(*task) == word_stage::pending && run_here(*task)) return;
}

// -- cancelling -----------------------------------------------------------------------------------------------------

bool process_pool::withdraw(local_state& task) {
    return withdraw_for(task, withdrawal::cancelled);
}

bool process_pool::withdraw_for(local_state& task, withdrawal why, std::vector<std::byte>* input) {
    remote_part& part = *task_access::remote(task);
    {
        const lock held(mutex_);
        if (const auto at = later_.find(&task); at != later_.end()) {
            if (why == withdrawal::not_started && load_word(part.record) != 0)
                return false;  // it has been started
            later_.erase(at);
            // After an exception, to be tried again.
            if (const segment_offset record = load_word(part.record); record != 0) to_free_.push_back(record);
            store_word(part.record, 0);
            return true;
        }
    }
    if (load_word(part.record) == 0) return false;
    root_transaction tx = begin();
    // Under the lock: it is freed under that, and not named here any more by then.
    const segment_offset record = load_word(part.record);
    if (record == 0 || has_left()) return false;
    std::vector<std::byte> kept;
    if (const task_record& stored = task_at(*family_->in, record); input != nullptr && stored.id == part.id) {
        const std::span<const std::byte> from = input_of(*family_->in, stored);
        kept.resize(from.size());
        copy_out(kept.data(), from.data(), kept.size());
    }
    if (!withdraw_task(tx, node(), record, load_word(part.id), why)) return false;
    if (input != nullptr) *input = std::move(kept);
    store_word(part.record, 0);
    return true;
}

// It was withdrawn: its entry is free.
void process_pool::forget(local_state& task, bool is_cancelled) noexcept {
    task_ptr gone;
    const remote_part& part = *task_access::remote(task);
    const lock held(mutex_);
    if (is_cancelled) ++counts_.cancelled;
    if (part.token < entries_.size() && entries_[part.token].task.get() == &task) {
        gone = std::move(entries_[part.token].task);
        entries_[part.token] = {};
        free_entries_.push_back(static_cast<std::uint32_t>(part.token));
    }
    if (is_cancelled) {
        --pending_;
        if (pending_ == 0) all_settled_.notify_all();
        wake_.notify_one();
    }
}

bool process_pool::has_started(const local_state& task) const noexcept {
    const remote_part& part = *task_access::remote(task);
    const segment_offset at = load_word(part.record);
    const auto* const record = at == 0 ? nullptr : family_->in->find<task_record>(at);
    if (record == nullptr) return false;
    // A hint, as any answer is old by the time it is given. The record may be another task's by now, which its number tells, as a rule.
    return load_word(record->stage) != task_stage::waiting && load_word(record->id) == load_word(part.id);
}

// withdraw() has done that, under the root's lock: the record may be freed at any other time.
void process_pool::ask_to_stop(local_state& /*task*/) noexcept {}

bool process_pool::cancel_by_kill(local_state& task) {
    check_open("cancel a task of");
    const core_ptr kept = core_ptr::sharing(this);
    const remote_part& part = *task_access::remote(task);
    // Between the two looks it may have been given back by a worker that died, or taken: until one of them finds it.
    while (!task.is_settled()) {
        // Of those that are stopped with the pool's lock: the worker that has the task, and such as have not begun an item, whose end
        // costs nobody anything.
        const auto is_meant = [](const worker_slot& holder, segment_offset wanted) {
            return load_word(holder.task) == wanted || load_word(holder.progress) % 2 == 0;
        };
        kill_stopped_lock_holders(is_meant, load_word(part.record));
        if (task.cancel()) return true;
        os::process_identity worker = 0;
        if (load_word(part.record) != 0) {
            root_transaction tx = begin();
            if (has_left()) return false;
            const segment_offset at = load_word(part.record);
            if (at != 0) worker = order_cancel(tx, node(), at, load_word(part.id));
        }
        if (worker != 0) static_cast<void>(os::signal_process(worker, SIGKILL));
        task.wait_until(deadline_after(between_kill_looks));
    }
    return task_access::stage(task) == word_stage::cancelled;
}

}  // namespace cairn::inline CAIRN_ABI::detail
