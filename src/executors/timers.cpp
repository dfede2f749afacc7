// SPDX-License-Identifier: BSL-1.0
#include "executors/timers.hpp"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "executors/per_process.hpp"
#include "os/child.hpp"
#include "os/thread.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

timer::~timer() = default;

class timer_queue {
public:
    void set(timer& t, steady_time due) {
        bool is_first = false;
        {
            const std::lock_guard held(mutex_);
            require_thread();
            const bool was_set = t.place_ != timer::not_set;
            if (was_set) remove(t);
            t.due_ = due;
            insert(t);
            if (!was_set) t.keep();
            is_first = t.place_ == 0;
        }
        if (is_first) news_.notify_one();
    }

    void stop(timer& t) noexcept {
        {
            const std::lock_guard held(mutex_);
            if (t.place_ == timer::not_set) return;
            remove(t);
        }
        t.let_go();
    }

    void end() noexcept {
        {
            const std::lock_guard held(mutex_);
            const auto is_own = [](pthread_t each) { return ::pthread_equal(each, os::own_thread()) != 0; };
            if (thread_count_ == 0 || is_ending_ || std::ranges::any_of(threads(), is_own)) return;
            is_ending_ = true;  // and none is added
        }
        news_.notify_all();
        spare_news_.notify_all();
        std::ranges::for_each(threads(), &os::join_thread);
    }

private:
    void require_thread() {
        if (thread_count_ != 0) return;
        if (const auto error = add_thread()) {
            throw system_failure(
                "start the thread for delays and time limits: pthread_create: " + error.message(), error);
        }
        std::atexit([] { end_timers(); });
    }
    std::error_code add_thread() noexcept {
        const std::error_code error = os::start_thread(threads_[thread_count_], &body, this);
        if (!error) ++thread_count_;
        return error;
    }
    [[nodiscard]] std::span<const pthread_t> threads() const noexcept {
        return {threads_.data(), thread_count_};
    }
    static void* body(void* self) {
        os::name_own_thread("cairn-timer");
        static_cast<timer_queue*>(self)->work();
        return nullptr;
    }

    void work() {
        std::unique_lock held(mutex_);
        while (!is_ending_) {
            if (is_watched_) {
                ++spare_;
                spare_news_.wait(held);
                --spare_;
                continue;
            }
            is_watched_ = true;
            watch(held);
        }
    }

    // Until another thread is to do so, or the end.
    void watch(std::unique_lock<std::mutex>& held) {
        while (!is_ending_) {
            if (heap_.empty()) {
                news_.wait(held);
                continue;
            }
            timer& next = *heap_.front();
            if (std::chrono::steady_clock::now() < next.due_) {
                const steady_time due = next.due_;  // the timer may go meanwhile
                news_.wait_until(held, due);
                continue;
            }
            remove(next);
            const bool is_claimed = next.claim();
            const bool hands_over = next.runs_user_code() && hand_over();
            held.unlock();
            if (is_claimed) next.act();
            next.let_go();
            held.lock();
            if (hands_over) return;
        }
    }

    // False: there is no other thread, and none can be made.
    bool hand_over() noexcept {
        if (spare_ == 0 && (thread_count_ == most_timer_threads || is_ending_ || add_thread())) return false;
        is_watched_ = false;
        spare_news_.notify_one();
        return true;
    }

    // A binary heap by time; each timer knows its place.
    void insert(timer& t) {
        heap_.push_back(&t);
        t.place_ = heap_.size() - 1;
        rise(t.place_);
    }
    void remove(timer& t) noexcept {
        const std::size_t place = std::exchange(t.place_, timer::not_set);
        timer* const last = heap_.back();
        heap_.pop_back();
        if (last == &t) return;
        put(place, last);
        rise(place);
        sink(last->place_);
    }
    void put(std::size_t place, timer* t) noexcept {
        heap_[place] = t;
        t->place_ = place;
    }
    void rise(std::size_t place) noexcept {
        timer* const t = heap_[place];
        while (place > 0) {
            const std::size_t parent = (place - 1) / 2;
            if (!(t->due_ < heap_[parent]->due_)) break;
            put(place, heap_[parent]);
            place = parent;
        }
        put(place, t);
    }
    void sink(std::size_t place) noexcept {
        timer* const t = heap_[place];
        for (;;) {
            std::size_t child = 2 * place + 1;
            if (child >= heap_.size()) break;
            if (child + 1 < heap_.size() && heap_[child + 1]->due_ < heap_[child]->due_) ++child;
            if (!(heap_[child]->due_ < t->due_)) break;
            put(place, heap_[child]);
            place = child;
        }
        put(place, t);
    }

    std::mutex mutex_;
    std::condition_variable news_;
    std::vector<timer*> heap_;
    std::condition_variable spare_news_;
    std::array<pthread_t, most_timer_threads> threads_{};
    std::size_t thread_count_ = 0;
    int spare_ = 0;            // threads that wait for the watch
    bool is_watched_ = false;  // a thread waits for the next time, or acts and has not handed over
    bool is_ending_ = false;
};

namespace {

constinit per_process<timer_queue> timer_queues;

}  // namespace

void set_timer(timer& t, steady_time due) {
    timer_queues.get().set(t, due);
}

void stop_timer(timer& t) noexcept {
    if (timer_queue* const own = timer_queues.find(); own != nullptr) own->stop(t);
}

void end_timers() noexcept {
    if (timer_queue* const own = timer_queues.find(); own != nullptr) own->end();
}

}  // namespace cairn::inline CAIRN_ABI::detail
