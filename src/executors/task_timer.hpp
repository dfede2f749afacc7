// task_timer.hpp - what becomes of a task when a time has come.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "executors/task_access.hpp"
#include "executors/thread_pool.hpp"
#include "executors/timers.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Belongs to the task, and keeps both it and the pool while it is set.
class task_timer final : public timer {
public:
    enum class kind {
        start,   // it is due: into the queue
        expiry,  // it may not start any more
        ask,     // its time is up, and its grace begins
        end,     // its time is up
    };
    task_timer(local_state& task, thread_pool& pool, kind what) noexcept
        : task_(task), pool_(pool), what_(what) {}

private:
    // Destructors of what the task has captured, callbacks of its stop token.
    [[nodiscard]] bool runs_user_code() const noexcept override { return what_ != kind::start; }
    bool claim() noexcept override {
        switch (what_) {
            case kind::start: return true;
            case kind::expiry: return task_access::step(task_, word_stage::pending, word_stage::settling);
            case kind::ask: return task_access::stage(task_) == word_stage::running;
            case kind::end: break;
        }
        return task_access::step(task_, word_stage::running, word_stage::settling);
    }
    void act() noexcept override {
        switch (what_) {
            case kind::start: return pool_.start_due(task_);
            case kind::ask: return task_access::ask_to_stop(task_);
            case kind::expiry: return pool_.end_by_timer(task_, false);
            case kind::end: break;
        }
        pool_.end_by_timer(task_, true);
    }
    void keep() noexcept override {
        task_.add_reference();
        pool_.add_reference();
    }
    void let_go() noexcept override {
        thread_pool& pool = pool_;  // this may go with the task
        task_.drop_reference();
        pool.drop_reference();
    }

    local_state& task_;
    thread_pool& pool_;
    const kind what_;
};

}  // namespace cairn::inline CAIRN_ABI::detail
