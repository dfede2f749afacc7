// thread_pool_workers.cpp - the threads of a pool: made, woken, put to sleep, ended.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/spinning.hpp"
#include "executors/thread_pool.hpp"
#include "os/child.hpp"
#include "os/futex.hpp"
#include "os/thread.hpp"
#include "process/describe_exception.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// An initializer may fail now and then; if no thread comes up in this many, none will.
constexpr int least_initializer_failures = 3;

}  // namespace

// Somebody is to take what is queued. May give the lock back.
void thread_pool::attend(lock& held) noexcept {
    if (queued_.load() == 0) return;
    if (failure_ != nullptr) fail(held);
    else if (needs_thread()) start_worker(held);
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
        settle_stranded(held);
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
    if (!self->must_leave) --started_;
    --present_;
    update_is_full();
    // Other submitters may have relied on this thread.
    settle_stranded(held);
    gone_.notify_all();
    drop_reference();  // not the last one: the caller has one
    return false;
}

// Where no thread is left, and none can be made: nobody would ever take what is queued. Gives the lock back meanwhile.
void thread_pool::settle_stranded(lock& held) noexcept {
    drain_intake();
    if (present_ != 0 || queued_.load() == 0) return;
    const std::exception_ptr error =
        failure_ != nullptr
            ? failure_
            : std::make_exception_ptr(system_failure(
                  "start of a task in " + settings_.name +
                      ": no thread can be made, and none is left: " + last_start_error_.message(),
                  last_start_error_));
    task_list left;
    move_queued(left, word_stage::settling);
    settle_all(held, left, error);
    held.lock();
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
        self.stack = {};
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
        std::string thrown = exception_description().type_and_text();
        const lock held(mutex_);
        initializer_error_ = std::move(thrown);
        return false;
    }
    const lock held(mutex_);
    self.is_up = true;
    ++up_;
    initializer_failures_ = 0;
    update_is_full();
    return true;
}

// Too many initializers have failed in a row. Until one succeeds, a thread is only made where there is none.
bool thread_pool::makes_no_more() const noexcept {
    return initializer_failures_ >= std::max(least_initializer_failures, settings_.max_workers);
}

// A thread ends that has not come up.
void thread_pool::count_initializer_failure() noexcept {
    ++initializer_failures_;
    if (!makes_no_more() || up_ != 0 || failure_ != nullptr) return;
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
            if (self.is_searching) {
                stop_searching(self);
                // A submitter that saw it searching has woken nobody.
                drain_intake();
            }
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
        if (waiting_for_room_ != 0) room_.notify_all();  // it was busy, if it has died
        drain_intake();
        if (failure_ != nullptr) {
            fail(held);
            held.lock();
        }
        attend(held);  // what it leaves behind
        if (!held.owns_lock()) held.lock();
        settle_stranded(held);
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
    if (!is_of_this_process()) return;
    const lock held(mutex_);
    drain_intake();
    while (started_ > settings_.min_workers && load() <= settings_.shrink_threshold && end_one_idle())
        target_ = started_;
}

}  // namespace cairn::inline CAIRN_ABI::detail
