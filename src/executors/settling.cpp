// SPDX-License-Identifier: BSL-1.0
#include "executors/settling.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "executors/per_process.hpp"
#include "executors/task_access.hpp"
#include "executors/timers.hpp"
#include "os/child.hpp"
#include "os/thread.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

// Protected by mutex_, but for what the thread has taken out.
class settling_queue {
public:
    void require_thread() {
        const std::lock_guard held(mutex_);
        if (has_thread_ || is_over_) return;
        if (const auto error = os::start_thread(thread_, &body, this)) {
            throw system_failure(
                "start the settling thread, which runs callbacks: pthread_create: " + error.message(), error);
        }
        has_thread_ = true;
        std::atexit(&end_at_exit);
    }

    void add(callback* first, callback* last) noexcept {
        {
            const std::lock_guard held(mutex_);
            if (!is_over_) {
                (last_ == nullptr ? first_ : last_->next_queued_) = first;
                last_ = last;
                first = nullptr;
            }
        }
        news_.notify_one();
        drop_all(first);
    }

    /// False: there is no thread, so the caller does it.
    bool add(ended_thread* chain) noexcept {
        const std::lock_guard held(mutex_);
        if (!has_thread_ || is_over_) return false;
        ended_thread** last = &ended_;
        while (*last != nullptr) last = &(*last)->next;
        *last = chain;
        news_.notify_one();
        return true;
    }

    void end() noexcept {
        {
            const std::lock_guard held(mutex_);
            // In a forked child also by the handler that its parent has registered: once is enough.
            if (!has_thread_ || own_place.is_settling || is_ending_) return;
            is_ending_ = true;
        }
        news_.notify_one();
        os::join_thread(thread_);
    }

private:
    static void* body(void* self) {
        os::name_own_thread("cairn-settle");
        own_place.is_settling.set();
        static_cast<settling_queue*>(self)->work();
        return nullptr;
    }
    static void end_at_exit();

    // What the thread has taken out, and has not done. Where it ends in a callback (pthread_exit), another one goes on with that.
    struct taken_out {
        settling_queue& of;
        callback* next = nullptr;
        ended_thread* ended = nullptr;
        bool is_over = false;

        explicit taken_out(settling_queue& queue) noexcept : of(queue) {}
        taken_out(const taken_out&) = delete;
        taken_out& operator=(const taken_out&) = delete;
        ~taken_out() {
            if (!is_over) of.replace_thread(next, ended);
        }
    };

    void replace_thread(callback* next, ended_thread* ended) noexcept {
        std::fputs(
            "cairn: a callback of a future has ended its thread (pthread_exit), which is the one of all "
            "callbacks; another one goes on with the next\n",
            stderr);
        {
            const std::lock_guard held(mutex_);
            if (next != nullptr) {
                callback* last = next;
                while (last->next_queued_ != nullptr) last = last->next_queued_;
                last->next_queued_ = std::exchange(first_, next);
                if (last_ == nullptr) last_ = last;
                next = nullptr;
            }
            ended_thread** link = &ended_;
            while (*link != nullptr) link = &(*link)->next;
            *link = ended;
            if (!is_ending_) {
                os::detach_thread(thread_);
                // Where none can be had: whoever registers the next callback makes one.
                has_thread_ = !os::start_thread(thread_, &body, this);
                return;
            }
            // Somebody waits in exit() for the end of this one.
            is_over_ = true;
            next = std::exchange(first_, nullptr);
            last_ = nullptr;
        }
        drop_all(next);
    }

    static void drop_all(callback* first) noexcept {
        while (first != nullptr) {
            const std::unique_ptr<callback> dropped(std::exchange(first, first->next_queued_));
            dropped->drop();
        }
    }

    void work() {
        taken_out out(*this);
        std::unique_lock held(mutex_);
        for (;;) {
            while (first_ == nullptr && ended_ == nullptr && !is_ending_) news_.wait(held);
            out.next = std::exchange(first_, nullptr);
            last_ = nullptr;
            out.ended = std::exchange(ended_, nullptr);
            if (out.next == nullptr && out.ended == nullptr) {
                is_over_ = out.is_over = true;
                return;
            }
            held.unlock();
            while (out.next != nullptr) {
                const std::unique_ptr<callback> due(std::exchange(out.next, out.next->next_queued_));
                task_access::run_callback(*due);
            }
            join_all(std::exchange(out.ended, nullptr));
            held.lock();
        }
    }

    std::mutex mutex_;
    std::condition_variable news_;
    callback* first_ = nullptr;  // linked by next_queued_
    callback* last_ = nullptr;
    ended_thread* ended_ = nullptr;
    pthread_t thread_{};
    bool has_thread_ = false;
    bool is_ending_ = false;  // at exit: what is queued is the last
    bool is_over_ = false;    // the thread takes nothing any more
};

namespace {

constinit per_process<settling_queue> settling_queues;
constinit per_process<std::mutex> mutex_of_cancel;

constinit std::atomic<bool> exiting = false;
// As segment/farewell.cpp: exit handlers cost memory.
constexpr int most_executor_exit_handlers = 1024;
constinit std::atomic<int> executor_exit_handlers = 0;

}  // namespace

void settling_queue::end_at_exit() {
    exiting.store(true);
    // Timers first: what becomes due now comes to the queue, or not at all.
    end_timers();
    if (settling_queue* const own = settling_queues.find(); own != nullptr) own->end();
}

void require_settling_thread() {
    settling_queues.get().require_thread();
}

void queue_callbacks(callback* first, callback* last) noexcept {
    // There is one: whoever registers a callback makes it.
    settling_queues.get().add(first, last);
}

void join_all(ended_thread* chain) noexcept {
    while (chain != nullptr) {
        const std::unique_ptr<ended_thread> ended(std::exchange(chain, chain->next));
        os::join_thread(ended->thread);
    }
}

void join_later(ended_thread* chain) noexcept {
    if (chain == nullptr) return;
    if (settling_queue* const own = settling_queues.find(); own != nullptr && own->add(chain)) return;
    while (chain != nullptr) delete std::exchange(chain, chain->next);
}

bool is_exiting() noexcept {
    return exiting.load();
}

void watch_for_exit() noexcept {
    // relaxed: a few more or less do no harm
    if (executor_exit_handlers.load(std::memory_order_relaxed) >= most_executor_exit_handlers) return;
    executor_exit_handlers.fetch_add(1, std::memory_order_relaxed);
    std::atexit([] { exiting.store(true); });
}

std::mutex& cancel_mutex() {
    return mutex_of_cancel.get();
}

}  // namespace cairn::inline CAIRN_ABI::detail
