// SPDX-License-Identifier: BSL-1.0
#include "executors/thread_pool.hpp"

#include <algorithm>
#include <chrono>
#include <new>
#include <system_error>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/spinning.hpp"
#include "executors/task_timer.hpp"
#include "os/child.hpp"
#include "os/futex.hpp"
#include "os/processors.hpp"
#include "os/thread.hpp"
#include "process/bounded_text.hpp"
#include "process/describe_exception.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// An initializer may fail now and then; if no thread comes up in this many, none will.
constexpr int least_initializer_failures = 3;
// How deep tasks that wait run others on their stack. Chosen freely: with 8 MiB, 40 KiB each.
constexpr int most_nested = 200;
// For tasks that go on after they were asked to stop, once main has returned: the process ends without them.
constexpr std::chrono::seconds patience_at_exit{1};

int nesting_depth() noexcept {
    int depth = 0;
    for (const task_context* each = own_place.task; each != nullptr; each = each->outer) ++depth;
    return depth;
}

}  // namespace

struct thread_pool::run_place {
    task_counts& counts;
    worker* of;  // null: not one of the pool's threads, and counts is under mutex_
    bool is_nested = false;
};

void task_list::append(local_state& task) noexcept {
    task_access::next(task) = nullptr;
    task_access::previous(task) = last_;
    (last_ == nullptr ? first_ : task_access::next(*last_)) = &task;
    last_ = &task;
}

void task_list::remove(local_state& task) noexcept {
    local_state* const next = task_access::next(task);
    local_state* const previous = task_access::previous(task);
    (previous == nullptr ? first_ : task_access::next(*previous)) = next;
    (next == nullptr ? last_ : task_access::previous(*next)) = previous;
}

thread_pool::thread_pool(pool_settings settings)
    : settings_(std::move(settings)), exceptions_at_birth_(std::uncaught_exceptions()),
      // More than one that looks takes processors away from those that work.
      most_searching_(std::max(1, os::processor_count() / 4)),
      target_(settings_.is_dynamic ? 0 : settings_.max_workers) {
    watch_for_exit();
}

thread_pool::~thread_pool() {
    // Nobody refers to it any more, so there are no threads and no tasks. One that cancelled the last of them may still be about it.
    const std::lock_guard last_one(cancel_mutex());
}

// -- counts, all under mutex_ ---------------------------------------------------------------------------------------

bool thread_pool::is_bounded() const noexcept {
    return settings_.max_pending >= 0 || static_cast<bool>(settings_.check_and_reject);
}

int thread_pool::allowed() const noexcept {
    return target_ + std::min(blocked_, settings_.max_workers);
}

int thread_pool::busy_count() const noexcept {
    int busy = 0;
    for (const auto& each : workers_)
        // acquire: pairs with the store before a future settles; who has waited for that sees it
        if (each->is_in_use && each->is_busy.load(std::memory_order_acquire)) ++busy;
    return busy;
}

// How many tasks would wait that no thread is free for, made or yet to be made.
std::int64_t thread_pool::waiting_beyond_free(std::int64_t more) const noexcept {
    const std::int64_t free = std::max(0, settings_.max_workers - busy_count());
    return std::max<std::int64_t>(0, queued_.load() + reserved_ + more - free);
}

double thread_pool::load() const noexcept {
    return started_ == 0 ? 1.0 : static_cast<double>(busy_count() + queued_.load()) / started_;
}

bool thread_pool::needs_thread() const noexcept {
    return failure_ == nullptr && started_ < allowed() && queued_.load() > started_ - busy_count();
}

void thread_pool::update_is_full() noexcept {
    is_full_.store(started_ >= allowed() && !is_bounded() && !settings_.is_dynamic && failure_ == nullptr);
}

bool thread_pool::is_own_thread() const noexcept {
    return own_core() == this || own_place.is_settling;
}

// -- submit ---------------------------------------------------------------------------------------------------------

void thread_pool::check_open(const lock* held) const {
    if (!is_of_this_process()) {
        throw invalid_state(
            "submit to " + settings_.name +
            ": it belongs to the process that this one was forked from, and a forked child has "
            "none of its threads; make an executor here");
    }
    if (held != nullptr && failure_ != nullptr) std::rethrow_exception(failure_);
    if (is_closed_.load()) {
        throw invalid_state("submit to " + settings_.name + ": cannot schedule new futures after shutdown");
    }
}

void thread_pool::prepare(const task_ptr& task, const task_options* options, std::chrono::nanoseconds delay) {
    task_access::core(*task) = this;
    task_access::submitted(*task) = os::ticks();
    if (options == nullptr && !settings_.timeout.is_given() && delay.count() == 0) return;
    task_extras& extras = task_access::extras(*task);
    if (options != nullptr) {
        if (const int retries = options->retries.value_or(0); retries < 0) {
            throw invalid_argument("submit to " + settings_.name + ": .retries is " +
                                   std::to_string(retries) + ", expected 0 or more");
        }
        if (options->retry_if && !task_access::is_repeatable(*task)) {
            throw invalid_argument(
                "submit to " + settings_.name +
                ": .retry_if, but the callable can be called only once: it takes its arguments by "
                "rvalue; take them by value or reference");
        }
        extras.options = *options;
    }
    if (!extras.options.timeout.is_given()) extras.options.timeout = settings_.timeout;
    if (!extras.options.retries) extras.options.retries = settings_.retries;
    if (extras.options.priority != 0) {
        const std::lock_guard held(mutex_);
        others_.try_emplace(extras.options.priority);
    }
    if (extras.options.timeout.is_given()) {
        extras.end = std::make_unique<task_timer>(*task, *this, task_timer::kind::end);
        if (extras.options.grace.is_given())
            extras.ask = std::make_unique<task_timer>(*task, *this, task_timer::kind::ask);
    }
    if (delay.count() != 0 || extras.options.retry_if)
        extras.start = std::make_unique<task_timer>(*task, *this, task_timer::kind::start);
    if (extras.options.expires.is_given()) {
        extras.expiry = std::make_unique<task_timer>(*task, *this, task_timer::kind::expiry);
        set_timer(*extras.expiry, deadline_after(extras.options.expires.nanoseconds()));
    }
}

void thread_pool::submit(task_ptr task, const task_options* options, std::chrono::nanoseconds delay) {
    check_open(nullptr);
    prepare(task, options, delay);
    if (!watches_exit_.load(std::memory_order_relaxed)) {
        // Objects that are static were made by now, so they are destroyed after what is registered here has run.
        watches_exit_.store(true, std::memory_order_relaxed);
        watch_for_exit();
    }
    if (is_full_.load(std::memory_order_acquire) && delay.count() == 0 &&
        (options == nullptr || options->priority == 0))
        return push_fast(std::move(task));
    const task_ptr kept = task;
    try {
        submit_slowly(std::move(task), delay);
    } catch (...) {
        task_access::stop_timers(*kept);
        throw;
    }
}

void thread_pool::push_fast(task_ptr task) {
    local_state* const pushed = task.release();
    local_state* newest = intake_.load(std::memory_order_relaxed);
    do {
        task_access::next(*pushed) = newest;
        // seq_cst: see the file's head, Wake
    } while (!intake_.compare_exchange_weak(newest, pushed));
    if (is_closed_.load()) {
        lock held(mutex_);
        drain_intake();
        if (present_ == 0 && task_access::is_queued(*pushed)) {
            unlink(*pushed);
            task = task_ptr(pushed);
            check_open(&held);
        }
    }
    if (searching_.load() == 0 && (idle_.load() != 0 || !is_full_.load())) {
        lock held(mutex_);
        drain_intake();
        attend(held);
    }
}

void thread_pool::submit_slowly(task_ptr task, std::chrono::nanoseconds delay) {
    std::unique_ptr<blocked_worker> blocked;
    if (settings_.max_pending >= 0 && settings_.when_full == when_full::block && !is_own_thread())
        blocked = std::make_unique<blocked_worker>();
    lock held(mutex_);
    check_open(&held);
    drain_intake();
    if (delay.count() == 0) {
        if (runs_in_caller(held)) {
            held.unlock();
            return run_in_caller(task);
        }
        if (settings_.check_and_reject) ask_check(held);
    } else {
        task_extras& extras = task_access::extras(*task);
        extras.is_delayed = true;
        later_.append(*task);
        ++delayed_;
        try {
            set_timer(*extras.start, deadline_after(delay));
        } catch (...) {
            later_.remove(*task);
            extras.is_delayed = false;
            --delayed_;
            throw;
        }
        return;
    }
    // The thread first: if none can be made, and there is none, nothing was submitted.
    ++reserved_;
    adjust();
    bool has_threads = true;
    if (failure_ == nullptr && started_ < allowed() && queued_.load() + reserved_ > started_ - busy_count())
        has_threads = start_worker(held) || started_ > 0;
    --reserved_;
    check_open(&held);
    if (!has_threads) {
        throw system_failure("submit to " + settings_.name +
                                 ": no thread can be made, and there is none yet; nothing was submitted: "
                                 "pthread_create: " +
                                 last_start_error_.message(),
                             last_start_error_);
    }
    enqueue_and_attend(held, std::move(task));
}

// Whether there is no room, and the caller is to run it.
bool thread_pool::runs_in_caller(lock& held) {
    while (settings_.max_pending >= 0 && waiting_beyond_free(1) > settings_.max_pending) {
        if (is_own_thread()) return false;  // would wait for itself
        switch (settings_.when_full) {
            case when_full::run_here: return true;
            case when_full::reject:
                ++rejected_;
                throw rejected_submission("submit to " + settings_.name + ": " +
                                          std::to_string(settings_.max_pending) +
                                          " tasks wait already, which is .max_pending");
            case when_full::block: break;
        }
        ++waiting_for_room_;
        room_.wait(held);
        --waiting_for_room_;
        check_open(&held);
        drain_intake();
    }
    return false;
}

// The place is reserved meanwhile, so that of several submitters each sees the others' tasks.
void thread_pool::ask_check(lock& held) {
    const std::int64_t backlog = waiting_beyond_free(0);
    ++reserved_;
    held.unlock();
    std::exception_ptr refusal;
    try {
        settings_.check_and_reject(any_executor(core_ptr::sharing(this)), static_cast<std::size_t>(backlog));
    } catch (...) {
        refusal = caught_exception();
    }
    held.lock();
    --reserved_;
    if (refusal != nullptr) ++rejected_;
    if (waiting_for_room_ != 0) room_.notify_all();
    if (refusal != nullptr) std::rethrow_exception(refusal);
    check_open(&held);
}

// Under the lock, also those below. Takes over the reference.
void thread_pool::enqueue(task_ptr task) noexcept {
    local_state& queued = *task;
    if (task_access::stage(queued) != word_stage::pending) return;  // cancelled or expired meanwhile
    const task_extras* const extras = task_access::extras_if_any(queued);
    const int priority = extras != nullptr ? extras->options.priority : 0;
    (priority == 0 ? ready_ : others_.find(priority)->second).append(*task.release());
    task_access::is_queued(queued) = true;
    queued_.fetch_add(1);
}

void thread_pool::enqueue_and_attend(lock& held, task_ptr task) {
    const task_ptr kept = task;  // dropped by the caller's reference at the latest: not under the lock
    enqueue(std::move(task));
    attend(held);
}

void thread_pool::drain_intake() noexcept {
    if (intake_.load(std::memory_order_relaxed) == nullptr) return;
    // acquire: pairs with the push
    local_state* newest = intake_.exchange(nullptr, std::memory_order_acquire);
    local_state* oldest = nullptr;
    while (newest != nullptr) {
        local_state* const each = std::exchange(newest, task_access::next(*newest));
        task_access::next(*each) = oldest;
        oldest = each;
    }
    while (oldest != nullptr) {
        local_state* const each = std::exchange(oldest, task_access::next(*oldest));
        enqueue(task_ptr(each));
    }
}

// Where the next task is; null if there is none.
task_list* thread_pool::first_list() noexcept {
    task_list* of_less = nullptr;
    if (!others_.empty()) {
        for (auto each = others_.rbegin(); each != others_.rend(); ++each) {
            if (each->second.is_empty()) continue;
            if (each->first > 0) return &each->second;
            of_less = &each->second;
            break;
        }
    }
    return !ready_.is_empty() ? &ready_ : of_less;
}

// Steps it to running. The reference of the queue goes to the caller.
local_state* thread_pool::pop() noexcept {
    drain_intake();
    while (task_list* const list = first_list()) {
        local_state& task = *list->first();
        unlink(task);
        if (task_access::step(task, word_stage::pending, word_stage::running)) return &task;
        // Who cancels it holds a reference, and is waiting for this lock: not the last one.
        task.drop_reference();
    }
    return nullptr;
}

void thread_pool::unlink(local_state& task) noexcept {
    const task_extras* const extras = task_access::extras_if_any(task);
    const int priority = extras != nullptr ? extras->options.priority : 0;
    (priority == 0 ? ready_ : others_.find(priority)->second).remove(task);
    task_access::is_queued(task) = false;
    queued_.fetch_sub(1);
    if (waiting_for_room_ != 0) room_.notify_all();
    if (present_ == 0) gone_.notify_all();  // who waits for the end may have seen it queued
}

void thread_pool::submit_following(task_ptr task) {
    lock held(mutex_, std::defer_lock);
    {
        // Its future is known by now, and may be cancelled: as in local_state::cancel().
        const std::lock_guard first(cancel_mutex());
        if (task_access::stage(*task) != word_stage::pending) return;
        held.lock();
        check_open(&held);
        task_access::core(*task) = this;
        task_access::submitted(*task) = os::ticks();
        drain_intake();
        enqueue(task);
    }
    if (settings_.is_dynamic) adjust();
    attend(held);
    if (!held.owns_lock()) held.lock();
    if (present_ == 0 && task_access::is_queued(*task)) {
        const task_ptr taken = (unlink(*task), task_ptr(task.get()));
        held.unlock();
        throw system_failure("submit to " + settings_.name +
                                 ": no thread can be made: " + last_start_error_.message(),
                             last_start_error_);
    }
}

void thread_pool::start_due(local_state& task) noexcept {
    task_ptr kept = task_ptr::sharing(&task);
    lock held(mutex_);
    task_extras& extras = *task_access::extras_if_any(task);
    if (!extras.is_delayed) return;  // cancelled
    extras.is_delayed = false;
    later_.remove(task);
    --delayed_;
    drain_intake();
    enqueue(kept);
    if (settings_.is_dynamic) adjust();
    attend(held);
    if (!held.owns_lock()) held.lock();
    gone_.notify_all();
    if (present_ != 0 || !task_access::is_queued(task)) return;
    const std::error_code error = last_start_error_;
    const task_ptr taken = (unlink(task), task_ptr(&task));
    if (!task_access::step(task, word_stage::pending, word_stage::settling)) return;
    others_counts_.executed.add(1);
    others_counts_.failures.add(1);
    held.unlock();
    task_access::settle_with(
        task, std::make_exception_ptr(system_failure("start of " + task_name(task) + " in " + settings_.name +
                                                         ": no thread can be made: " + error.message(),
                                                     error)));
}

void thread_pool::forget(local_state& task, bool is_cancelled) noexcept {
    const lock held(mutex_);
    drain_intake();
    if (is_cancelled) ++cancelled_;
    if (task_access::is_queued(task)) {
        unlink(task);
        task.drop_reference();  // the caller has another one
    }
    task_extras* const extras = task_access::extras_if_any(task);
    if (extras != nullptr && extras->is_delayed) {
        extras->is_delayed = false;
        later_.remove(task);
        --delayed_;
    }
    if (queued_.load() == 0 && delayed_ == 0) gone_.notify_all();
}

// -- threads --------------------------------------------------------------------------------------------------------

// Somebody is to take what is queued. May give the lock back.
void thread_pool::attend(lock& held) noexcept {
    if (queued_.load() == 0) return;
    if (needs_thread()) start_worker(held);
    else if (searching_.load() == 0 && sleepers_ != nullptr) wake_one(held);
}

// Gives the lock back.
void thread_pool::wake_one(lock& held) noexcept {
    worker& woken = *sleepers_;
    sleepers_ = woken.next_idle;
    woken.is_idle = false;
    woken.is_searching = true;
    // In this order: a submitter that looks meanwhile sees one or the other.
    searching_.fetch_add(1);
    idle_.fetch_sub(1);
    // release: pairs with the look in sleep()
    __atomic_store_n(&woken.wake, 1, __ATOMIC_RELEASE);
    std::uint32_t* const word = &woken.wake;  // workers' places stay
    held.unlock();
    os::futex_wake_private(word, 1);
}

// Gives the lock back meanwhile. False, and last_start_error_ says why: there is none.
bool thread_pool::start_worker(lock& held) noexcept {
    worker* self = nullptr;
    std::unique_ptr<ended_thread> end;
    try {
        const auto place =
            std::find_if(workers_.begin(), workers_.end(), [](const auto& each) { return !each->is_in_use; });
        if (place != workers_.end()) {
            self = place->get();
        } else {
            workers_.push_back(std::make_unique<worker>());
            self = workers_.back().get();
            self->id = static_cast<int>(workers_.size()) - 1;
            self->pool = this;
        }
        end = std::make_unique<ended_thread>();
    } catch (const std::bad_alloc&) {
        last_start_error_ = std::make_error_code(std::errc::not_enough_memory);
        return false;
    }
    self->is_in_use = true;
    self->is_busy.store(false);
    self->is_idle = self->is_searching = self->must_leave = self->is_up = false;
    self->running = nullptr;
    self->end = end.get();
    self->tasks_done = 0;
    self->now = 0;
    ++started_;
    ++present_;
    update_is_full();
    add_reference();  // the thread's
    ended_thread* const ended = take_ended();
    held.unlock();

    join_all(ended);
    pthread_t thread{};
    const std::error_code error = os::start_thread(thread, &thread_body, self);

    held.lock();
    if (!error) {
        static_cast<void>(end.release());  // the thread puts it into ended_
        return true;
    }
    last_start_error_ = error;
    self->is_in_use = false;
    --started_;
    --present_;
    update_is_full();
    gone_.notify_all();
    drop_reference();  // not the last one: the caller has one
    return false;
}

// All but the calling thread, which is about to end itself. Under the lock.
ended_thread* thread_pool::take_ended() noexcept {
    ended_thread* others = std::exchange(ended_, nullptr);
    for (ended_thread** link = &others; *link != nullptr; link = &(*link)->next) {
        if (::pthread_equal((*link)->thread, os::own_thread()) == 0) continue;
        ended_ = std::exchange(*link, (*link)->next);
        ended_->next = nullptr;
        break;
    }
    return others;
}

// A thread's stay, also where it ends by pthread_exit.
class thread_pool::lifetime {
public:
    explicit lifetime(worker& self) noexcept
        : self_(self), place_{self.pool, &self, self.id, own_process_mark()} {
        self.end->thread = os::own_thread();
        own_place.worker = &place_;
    }
    lifetime(const lifetime&) = delete;
    lifetime& operator=(const lifetime&) = delete;
    ~lifetime() {
        own_place.worker = nullptr;
        self_.pool->leave(self_);
    }

private:
    worker& self_;
    worker_place place_;
};

void* thread_pool::thread_body(void* self) {
    os::name_own_thread("cairn-worker");
    auto& own = *static_cast<worker*>(self);
    const lifetime here(own);
    own.pool->work(own);
    return nullptr;
}

void thread_pool::work(worker& self) {
    if (!initialize(self)) return;
    task_ptr done;  // its reference is dropped when terminate() cannot find it any more
    while (local_state* const next = take(self, done)) {
        task_ptr current(next);
        done.reset();
        const run_place place{self.counts, &self};
        attempt(*next, place);
        ++self.tasks_done;
        done = std::move(current);
    }
}

bool thread_pool::initialize(worker& self) {
    try {
        if (settings_.initializer) settings_.initializer();
    } catch (...) {
        static_cast<void>(caught_exception());  // pthread_exit goes on
        char type_room[256];
        char text_room[1024];
        bounded_text type(type_room, sizeof type_room);
        bounded_text text(text_room, sizeof text_room);
        describe_current_exception(type, text);
        const lock held(mutex_);
        initializer_error_ = std::string(type.view()) + ": " + std::string(text.view());
        return false;
    }
    const lock held(mutex_);
    self.is_up = true;
    ++up_;
    initializer_failures_ = 0;
    return true;
}

// A thread ends that has not come up.
void thread_pool::count_initializer_failure() noexcept {
    const int most = std::max(least_initializer_failures, settings_.max_workers);
    if (++initializer_failures_ < most || up_ != 0 || failure_ != nullptr) return;
    failure_ = std::make_exception_ptr(initializer_failed(
        "start of a thread of " + settings_.name + ": the initializer has thrown in " +
        std::to_string(initializer_failures_) + " threads, and none is up: " + initializer_error_));
}

void thread_pool::stop_searching(worker& self) noexcept {
    if (!self.is_searching) return;
    self.is_searching = false;
    searching_.fetch_sub(1);
}

// The next task, stepped to running; null: the thread is to end. `done` is dropped before it waits.
local_state* thread_pool::take(worker& self, task_ptr& done) {
    bool has_looked = false;
    lock held(mutex_);
    self.running = nullptr;
    if (waiting_for_room_ != 0) room_.notify_all();
    for (;;) {
        if (started_ > allowed() && !self.must_leave) {
            self.must_leave = true;  // counted at once: others need not go as well
            --started_;
        }
        if (self.must_leave ||
            (settings_.max_tasks_per_worker != 0 && self.tasks_done >= settings_.max_tasks_per_worker))
            return nullptr;
        if (local_state* const next = pop()) {
            self.is_busy.store(true, std::memory_order_relaxed);  // read under the lock
            self.outermost = {next, nullptr};
            self.running = &self.outermost;
            stop_searching(self);
            attend(held);  // the others have their own
            return next;
        }
        if (is_closed_.load() || failure_ != nullptr) return nullptr;
        self.now = 0;
        if (done) {
            held.unlock();
            done.reset();
            held.lock();
            continue;
        }
        if (!has_looked && (self.is_searching || searching_.load() < most_searching_)) {
            has_looked = true;
            if (!self.is_searching) {
                self.is_searching = true;
                searching_.fetch_add(1);
            }
            held.unlock();
            look_for_a_while([this] {
                return intake_.load(std::memory_order_relaxed) != nullptr ||
                       queued_.load(std::memory_order_relaxed) != 0;
            });
            held.lock();
            continue;
        }
        if (!sleep(held, self)) return nullptr;
        has_looked = false;
    }
}

// False: idle for too long.
bool thread_pool::sleep(lock& held, worker& self) {
    __atomic_store_n(&self.wake, 0, __ATOMIC_RELAXED);
    self.is_idle = true;
    self.next_idle = sleepers_;
    sleepers_ = &self;
    // In this order, and seq_cst: see the file's head, Wake
    idle_.fetch_add(1);
    stop_searching(self);
    const auto stop_sleeping = [&] {
        worker** link = &sleepers_;
        while (*link != &self) link = &(*link)->next_idle;
        *link = self.next_idle;
        self.is_idle = false;
        idle_.fetch_sub(1);
    };
    if (intake_.load() != nullptr) {
        stop_sleeping();
        return true;
    }
    held.unlock();
    const steady_time deadline = settings_.idle_timeout.is_given()
                                     ? deadline_after(settings_.idle_timeout.nanoseconds())
                                     : no_deadline;
    bool is_late = false;
    // acquire: pairs with wake_one()
    while (__atomic_load_n(&self.wake, __ATOMIC_ACQUIRE) == 0 && !is_late) {
        os::futex_wait_private(&self.wake, 0, deadline);
        is_late = deadline != no_deadline && std::chrono::steady_clock::now() >= deadline;
    }
    held.lock();
    if (!self.is_idle) return true;  // woken, maybe in the last moment
    stop_sleeping();
    return intake_.load() != nullptr;
}

// The end of a thread, for whatever reason.
void thread_pool::leave(worker& self) noexcept {
    ended_thread* own_end = self.end;
    {
        lock held(mutex_);
        stop_searching(self);
        self.is_in_use = false;
        self.running = nullptr;
        if (self.is_up) --up_;
        else count_initializer_failure();
        if (!self.must_leave) --started_;
        --present_;
        if (is_orphaned_) {
            own_end->next = std::exchange(ended_, nullptr);
        } else {
            own_end->next = ended_;
            ended_ = std::exchange(own_end, nullptr);
        }
        update_is_full();
        drain_intake();
        if (failure_ != nullptr) {
            fail(held);
            held.lock();
        }
        // What it leaves behind. If no thread can be made and none is left, nobody would ever take it.
        attend(held);
        if (!held.owns_lock()) held.lock();
        if (present_ == 0 && queued_.load() != 0 && failure_ == nullptr) {
            task_list left;
            move_all(left, word_stage::settling);
            settle_all(held, left,
                       std::make_exception_ptr(system_failure(
                           "start of a task in " + settings_.name +
                               ": no thread can be made, and none is left: " + last_start_error_.message(),
                           last_start_error_)));
            if (!held.owns_lock()) held.lock();
        }
        gone_.notify_all();
    }
    join_later(own_end);
    drop_reference();
}

// Whoever is idle, or about to be. Under the lock.
bool thread_pool::end_one_idle() noexcept {
    worker* chosen = sleepers_;
    if (chosen != nullptr) {
        sleepers_ = chosen->next_idle;
        chosen->is_idle = false;
        idle_.fetch_sub(1);
        __atomic_store_n(&chosen->wake, 1, __ATOMIC_RELEASE);
        os::futex_wake_private(&chosen->wake, 1);
    } else {
        for (const auto& each : workers_)
            if (each->is_in_use && !each->must_leave && !each->is_busy.load(std::memory_order_acquire))
                chosen = each.get();
        if (chosen == nullptr) return false;
    }
    chosen->must_leave = true;
    --started_;
    return true;
}

// The dynamic one's rule. Under the lock, before a task is queued.
void thread_pool::adjust() noexcept {
    if (!settings_.is_dynamic) return;
    const double now = load();
    if (started_ < settings_.min_workers) {
        target_ = std::max(target_, started_ + 1);
    } else if (now >= settings_.grow_threshold) {
        target_ = std::min(settings_.max_workers, std::max(target_, started_ + 1));
    } else if (now <= settings_.shrink_threshold && started_ > settings_.min_workers && end_one_idle()) {
        target_ = started_;
    }
}

void thread_pool::maintain() {
    const lock held(mutex_);
    drain_intake();
    while (started_ > settings_.min_workers && load() <= settings_.shrink_threshold && end_one_idle())
        target_ = started_;
}

// -- running --------------------------------------------------------------------------------------------------------

// Settles the task if its thread ends in it (pthread_exit), which unwinds the stack.
class thread_pool::death {
public:
    death(thread_pool& pool, local_state& task, const run_place& place, std::int64_t start) noexcept
        : pool_(pool), task_(task), place_(place), start_(start) {}
    death(const death&) = delete;
    death& operator=(const death&) = delete;
    void has_returned() noexcept { has_returned_ = true; }
    ~death() {
        if (has_returned_) return;
        const std::int64_t end = os::ticks();
        task_access::stop_timers(task_);
        const bool again = pool_.try_again(task_, true, end - start_);
        {
            const lock held(pool_.mutex_);
            if (place_.of != nullptr) place_.of->running = nullptr;
            task_counts& counts = pool_.others_counts_;
            counts.died.add(1);
            if (again) counts.retried.add(1);
        }
        if (again || !task_access::step(task_, word_stage::running, word_stage::settling)) return;
        {
            const lock held(pool_.mutex_);
            pool_.others_counts_.executed.add(1);
            pool_.others_counts_.failures.add(1);
        }
        task_access::drop_call(task_);
        task_access::settle_with(task_, std::make_exception_ptr(worker_died(
                                            "result of " + task_name(task_) + ": it ended its thread of " +
                                            pool_.settings_.name + " (pthread_exit)")));
    }

private:
    thread_pool& pool_;
    local_state& task_;
    const run_place& place_;
    std::int64_t start_;
    bool has_returned_ = false;
};

void thread_pool::begin_limits(local_state& task) {
    const task_extras* const extras = task_access::extras_if_any(task);
    if (extras == nullptr) return;
    if (extras->expiry) stop_timer(*extras->expiry);
    if (!extras->end) return;
    const auto timeout = extras->options.timeout.nanoseconds();
    const steady_time due = deadline_after(timeout);
    if (!extras->ask) return set_timer(*extras->end, due);
    set_timer(*extras->ask, due);
    const auto grace = extras->options.grace.nanoseconds();
    set_timer(*extras->end, steady_time::max() - due < grace ? steady_time::max() : due + grace);
}

void thread_pool::attempt(local_state& task, const run_place& place) {
    worker* const of = place.of;
    const std::int64_t start = of != nullptr && of->now != 0 ? of->now : os::ticks();
    if (of != nullptr) of->now = 0;
    attempt_end how = attempt_end::exception;
    {
        death guard(*this, task, place, start);
        const running_task here(task);
        try {
            begin_limits(task);
            how = task_access::call(task);
        } catch (const std::exception&) {  // no thread for time limits, or no memory
            task_access::exception(task) = std::current_exception();
        }
        guard.has_returned();
    }
    const std::int64_t end = os::ticks();
    worker* const freed = place.is_nested ? nullptr : of;  // null: goes on with what it was about
    std::int64_t run_ticks = end - start;
    // Extras may have been made while it ran, but limits and retries only come with the submit.
    if (task_extras* const extras = task_access::extras_if_any(task); extras != nullptr) {
        task_access::stop_timers(task);
        if (how == attempt_end::exception && try_again(task, false, run_ticks)) {
            lock held(mutex_, std::defer_lock);
            if (of == nullptr) held.lock();
            place.counts.retried.add(1);
            // release: pairs with busy_count()
            if (freed != nullptr) freed->is_busy.store(false, std::memory_order_release);
            return;
        }
        run_ticks += extras->run_ticks;
        if (!task_access::step(task, word_stage::running, word_stage::settling)) {
            // Its time was up first, and its future is settled.
            task_access::drop_call(task);
            if (freed != nullptr) freed->is_busy.store(false, std::memory_order_release);
            return;
        }
    }
    task_access::drop_call(task);
    {
        lock held(mutex_, std::defer_lock);
        if (of == nullptr) held.lock();
        place.counts.executed.add(1);
        if (how == attempt_end::exception) place.counts.failures.add(1);
        place.counts.total_ticks.add(std::max<std::int64_t>(0, end - task_access::submitted(task)));
        place.counts.run_ticks.add(std::max<std::int64_t>(0, run_ticks));
    }
    if (freed != nullptr) {
        freed->is_busy.store(false, std::memory_order_release);
        freed->now = end;
    }
    task_access::settle(task, how == attempt_end::value ? word_stage::value : word_stage::exception);
}

// After an exception or a death: queued again, now or later. The caller has stopped its timers.
bool thread_pool::try_again(local_state& task, bool has_died, std::int64_t run_ticks) noexcept {
    task_extras* const extras = task_access::extras_if_any(task);
    if (extras == nullptr || extras->attempt > extras->options.retries.value_or(0) ||
        !task_access::is_repeatable(task) || task_access::is_asked_to_stop(task))
        return false;
    if (!has_died) {
        if (!extras->options.retry_if) return false;
        try {
            std::rethrow_exception(task_access::exception(task));
        } catch (const std::exception& e) {
            try {
                if (!extras->options.retry_if(e)) return false;
            } catch (...) {
                return false;
            }
        } catch (...) {
            return false;
        }
    }
    std::chrono::nanoseconds delay = extras->options.backoff.first.nanoseconds();
    const std::chrono::nanoseconds longest = extras->options.backoff.longest.nanoseconds();
    for (int i = 1; i < extras->attempt && delay < longest && delay < std::chrono::hours(24 * 365); ++i)
        delay *= 2;
    delay = std::min(delay, longest);

    lock held(mutex_);
    if (failure_ != nullptr) return false;
    task_access::exception(task) = nullptr;
    ++extras->attempt;
    extras->run_ticks += run_ticks;
    if (!task_access::step(task, word_stage::running, word_stage::pending)) return false;
    if (delay.count() > 0 && extras->start) {
        extras->is_delayed = true;
        later_.append(task);
        ++delayed_;
        try {
            set_timer(*extras->start, deadline_after(delay));
            return true;
        } catch (const std::exception&) {
            // Then at once.
            extras->is_delayed = false;
            later_.remove(task);
            --delayed_;
        }
    }
    drain_intake();
    enqueue(task_ptr::sharing(&task));
    attend(held);
    return true;
}

// A task that is stepped to running, on the stack of a worker that waits.
void thread_pool::run_nested(lock& held, const task_ptr& task) {
    auto& self = *static_cast<worker*>(own_place.worker->worker);
    task_context here{task.get(), self.running};
    self.running = &here;
    held.unlock();
    self.now = 0;
    attempt(*task, {self.counts, &self, true});
    held.lock();
    self.running = here.outer;
    held.unlock();
}

bool thread_pool::run_here(local_state& task) {
    if (own_core() != this || nesting_depth() >= most_nested) return false;
    lock held(mutex_);
    drain_intake();
    if (task_access::core(task) != this || !task_access::is_queued(task)) return false;
    unlink(task);
    const task_ptr taken(&task);
    if (!task_access::step(task, word_stage::pending, word_stage::running)) {
        held.unlock();
        return false;
    }
    run_nested(held, taken);
    return true;
}

void thread_pool::run_one_if_stuck() {
    if (own_core() != this) return;
    lock held(mutex_);
    drain_intake();
    if (queued_.load() == 0) return;
    if (started_ > blocked_) return attend(held);
    if (started_ < allowed() && start_worker(held)) return;
    if (!held.owns_lock()) held.lock();
    if (local_state* const next = pop()) run_nested(held, task_ptr(next));
}

void thread_pool::run_in_caller(const task_ptr& task) {
    if (!task_access::step(*task, word_stage::pending, word_stage::running)) return;  // expired
    attempt(*task, {others_counts_, nullptr});
}

void thread_pool::worker_waits() noexcept {
    lock held(mutex_);
    ++blocked_;
    update_is_full();
    drain_intake();
    attend(held);
}

void thread_pool::worker_goes_on() noexcept {
    const lock held(mutex_);
    --blocked_;
    if (started_ > allowed()) end_one_idle();
    update_is_full();
}

// -- timers ---------------------------------------------------------------------------------------------------------

void thread_pool::end_by_timer(local_state& task, bool has_started) noexcept {
    const task_extras& extras = *task_access::extras_if_any(task);
    if (!has_started) forget(task, false);
    {
        const lock held(mutex_);
        others_counts_.executed.add(1);
        others_counts_.failures.add(1);
        others_counts_.total_ticks.add(std::max<std::int64_t>(0, os::ticks() - task_access::submitted(task)));
    }
    task_access::ask_to_stop(task);
    if (!has_started) task_access::drop_call(task);
    const auto milliseconds = [](time_limit limit) {
        return std::to_string(
                   std::chrono::duration_cast<std::chrono::milliseconds>(limit.nanoseconds()).count()) +
               " ms";
    };
    task_access::settle_with(
        task,
        std::make_exception_ptr(timeout_error(
            has_started ? "result of " + task_name(task) + ": it ran for longer than its timeout of " +
                              milliseconds(extras.options.timeout)
                        : "result of " + task_name(task) + ": it had not started when it expired, after " +
                              milliseconds(extras.options.expires))));
}

// -- the end --------------------------------------------------------------------------------------------------------

// All that has not started, by stepping it to `stage`. Each has one reference for its place there.
void thread_pool::move_all(task_list& to, word_stage stage) noexcept {
    drain_intake();
    while (task_list* const list = first_list()) {
        local_state& task = *list->first();
        unlink(task);
        if (task_access::step(task, word_stage::pending, stage)) to.append(task);
        else task.drop_reference();  // as in pop()
    }
    while (local_state* const task = later_.first()) {
        later_.remove(*task);
        task_access::extras_if_any(*task)->is_delayed = false;
        --delayed_;
        task->add_reference();
        if (task_access::step(*task, word_stage::pending, stage)) to.append(*task);
        else task->drop_reference();
    }
}

// With `error`; cancelled if that is null. Counts, and gives the lock back.
void thread_pool::settle_all(lock& held, task_list& tasks, const std::exception_ptr& error) noexcept {
    for (local_state* each = tasks.first(); each != nullptr; each = task_access::next(*each)) {
        if (error == nullptr) {
            ++cancelled_;
        } else {
            others_counts_.executed.add(1);
            others_counts_.failures.add(1);
        }
    }
    gone_.notify_all();
    held.unlock();
    while (local_state* const task = tasks.first()) {
        tasks.remove(*task);
        task_access::stop_timers(*task);
        task_access::drop_call(*task);
        if (error == nullptr) task_access::settle(*task, word_stage::cancelled);
        else task_access::settle_with(*task, error);
        task->drop_reference();
    }
}

// No thread comes up.
void thread_pool::fail(lock& held) noexcept {
    update_is_full();
    room_.notify_all();
    task_list left;
    move_all(left, word_stage::settling);
    settle_all(held, left, failure_);
}

void thread_pool::close(bool cancels) noexcept {
    lock held(mutex_);
    is_closed_.store(true);
    room_.notify_all();
    while (sleepers_ != nullptr) {
        wake_one(held);
        held.lock();
    }
    if (!cancels) return;
    task_list left;
    move_all(left, word_stage::cancelling);
    settle_all(held, left, nullptr);
}

bool thread_pool::wait_until_gone(steady_time deadline) noexcept {
    const blocked_worker blocked;
    lock held(mutex_);
    const auto is_gone = [this] {
        drain_intake();
        return present_ == 0 && queued_.load() == 0 && delayed_ == 0;
    };
    while (!is_gone()) {
        if (deadline == no_deadline) gone_.wait(held);
        else if (gone_.wait_until(held, deadline) == std::cv_status::timeout) return is_gone();
    }
    ended_thread* const ended = take_ended();
    held.unlock();
    join_all(ended);
    return true;
}

void thread_pool::shutdown(const shutdown_options& options) {
    if (!is_of_this_process()) {
        throw invalid_state("shut down " + settings_.name +
                            ": it belongs to the process that this one was forked from");
    }
    close(options.cancel_futures);
    if (options.wait && !is_own_thread()) wait_until_gone(no_deadline);
}

void thread_pool::ask_all_to_stop() {
    std::vector<task_ptr> running;
    {
        const lock held(mutex_);
        for (const auto& each : workers_) {
            if (!each->is_in_use) continue;
            for (const task_context* task = each->running; task != nullptr; task = task->outer)
                running.push_back(task_ptr::sharing(task->task));
        }
    }
    for (const task_ptr& each : running) task_access::ask_to_stop(*each);
}

void thread_pool::terminate() {
    if (!is_of_this_process()) {
        throw invalid_state("terminate " + settings_.name +
                            ": it belongs to the process that this one was forked from");
    }
    {
        lock held(mutex_);
        task_list left;
        move_all(left, word_stage::cancelling);
        settle_all(held, left, nullptr);
    }
    ask_all_to_stop();
}

void thread_pool::orphan() noexcept {
    try {
        require_settling_thread();
    } catch (const std::exception&) {
        // Then nobody joins them: they end all the same.
    }
    lock held(mutex_);
    is_orphaned_ = true;
    ended_thread* const ended = std::exchange(ended_, nullptr);
    held.unlock();
    join_later(ended);
}

void thread_pool::let_go() noexcept {
    if (!is_of_this_process()) return;  // all of it is the parent's
    const bool is_ending = is_exiting();
    const bool terminates = is_ending || std::uncaught_exceptions() > exceptions_at_birth_;
    close(terminates);
    if (terminates) {
        try {
            ask_all_to_stop();
        } catch (const std::bad_alloc&) {
            // Then they are waited for all the same.
        }
    }
    if (is_own_thread() ||
        !wait_until_gone(is_ending ? std::chrono::steady_clock::now() + patience_at_exit : no_deadline))
        orphan();
    drop_reference();
}

// -- looking at it --------------------------------------------------------------------------------------------------

executor_statistics thread_pool::statistics() const {
    executor_statistics sum;
    const double seconds = rate_.seconds_per_tick();
    std::int64_t total = 0;
    std::int64_t run = 0;
    const lock held(mutex_);
    const auto add = [&](const task_counts& counts) {
        sum.executed += static_cast<std::uint64_t>(counts.executed.get());
        sum.failures += static_cast<std::uint64_t>(counts.failures.get());
        sum.retried += static_cast<std::uint64_t>(counts.retried.get());
        sum.died += static_cast<std::uint64_t>(counts.died.get());
        total += counts.total_ticks.get();
        run += counts.run_ticks.get();
    };
    for (const auto& each : workers_) add(each->counts);
    add(others_counts_);
    sum.cancelled = cancelled_;
    sum.rejected = rejected_;
    sum.runtime = executor_statistics::seconds(static_cast<double>(total) * seconds);
    sum.run_time = executor_statistics::seconds(static_cast<double>(std::min(run, total)) * seconds);
    sum.queue_time = sum.runtime - sum.run_time;
    if (sum.executed != 0) sum.average_runtime = sum.runtime / static_cast<double>(sum.executed);
    return sum;
}

bool thread_pool::is_alive() const noexcept {
    if (!is_of_this_process() || is_closed_.load()) return false;
    const lock held(mutex_);
    return failure_ == nullptr;
}

namespace {

// Newest first, and not in the queue yet.
std::int64_t length_of(const local_state* newest) noexcept {
    std::int64_t length = 0;
    for (; newest != nullptr; newest = task_access::next(const_cast<local_state&>(*newest))) ++length;
    return length;
}

}  // namespace

std::size_t thread_pool::queue_size() const {
    const lock held(mutex_);
    // Taken from the intake only under the lock, so what is there stays.
    return static_cast<std::size_t>(queued_.load() + length_of(intake_.load(std::memory_order_acquire)));
}

std::size_t thread_pool::worker_count() const {
    const lock held(mutex_);
    return static_cast<std::size_t>(started_);
}

std::size_t thread_pool::idle_worker_count() const {
    const lock held(mutex_);
    return static_cast<std::size_t>(std::max(0, started_ - busy_count()));
}

}  // namespace cairn::inline CAIRN_ABI::detail
