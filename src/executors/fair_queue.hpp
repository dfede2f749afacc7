// fair_queue.hpp - tasks that wait, of one priority: the threads that have submitted them are served in turn.
//
// Lanes         64, each first in, first out. All waiting tasks of a submitter are in one lane, so they start in order; lanes that
//               have tasks give one each in turn. A submitter with one task waits for at most one of each other lane.
// Choice        a submitter's home is its number modulo 64. Where another one is at home there, it takes a free lane (a stray) until its
//               tasks are gone. Where no lane is free, more than 64 submitters have tasks waiting, and it shares its home, until that is
//               empty.
// Protected by  the pool's mutex. Nothing is allocated: an append cannot fail.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "executors/task_access.hpp"
#include <cairn/detail/base/export.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Tasks, linked by next and previous. Each has one reference counted for being here.
class task_list {
public:
    [[nodiscard]] bool is_empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] local_state* first() const noexcept { return first_; }
    void append(local_state& task) noexcept {
        task_access::next(task) = nullptr;
        task_access::previous(task) = last_;
        (last_ == nullptr ? first_ : task_access::next(*last_)) = &task;
        last_ = &task;
    }
    void remove(local_state& task) noexcept {
        local_state* const next = task_access::next(task);
        local_state* const previous = task_access::previous(task);
        (previous == nullptr ? first_ : task_access::next(*previous)) = next;
        (next == nullptr ? last_ : task_access::previous(*next)) = previous;
    }

private:
    local_state* first_ = nullptr;
    local_state* last_ = nullptr;
};

class fair_queue {
public:
    static constexpr unsigned lane_count = 64;  // bits of a word

    [[nodiscard]] bool is_empty() const noexcept { return occupied_ == 0; }

    void append(local_state& task) noexcept {
        const unsigned at = lane_for(task_access::submitter(task));
        task_access::lane(task) = static_cast<std::uint8_t>(at);
        lanes_[at].tasks.append(task);
        occupied_ |= bit(at);
    }

    void remove(local_state& task) noexcept {
        const unsigned at = task_access::lane(task);
        lanes_[at].tasks.remove(task);
        if (!lanes_[at].tasks.is_empty()) return;
        occupied_ &= ~bit(at);
        strays_ &= ~bit(at);
        shared_ &= ~bit(at);
    }

    /// Of one that is not empty: removes the task whose turn it is.
    local_state& take_next() noexcept {
        const unsigned at =
            (turn_ + static_cast<unsigned>(std::countr_zero(std::rotr(occupied_, static_cast<int>(turn_))))) %
            lane_count;
        turn_ = (at + 1) % lane_count;
        local_state& task = *lanes_[at].tasks.first();
        remove(task);
        return task;
    }

private:
    struct lane {
        task_list tasks;
        std::uint32_t owner = 0;  // the submitter that took it when it was empty
    };
    static constexpr std::uint64_t bit(unsigned at) noexcept { return std::uint64_t{1} << at; }

    unsigned lane_for(std::uint32_t submitter) noexcept {
        const unsigned home = submitter % lane_count;
        const bool is_home_empty = (occupied_ & bit(home)) == 0;
        if (!is_home_empty && lanes_[home].owner == submitter) return home;
        for (std::uint64_t left = strays_; left != 0; left &= left - 1) {
            const auto at = static_cast<unsigned>(std::countr_zero(left));
            if (lanes_[at].owner == submitter) return at;
        }
        if (is_home_empty) {
            lanes_[home].owner = submitter;
            return home;
        }
        // Once shared it stays so: tasks of this submitter may be in it.
        if ((shared_ & bit(home)) != 0 || ~occupied_ == 0) {
            shared_ |= bit(home);
            return home;
        }
        const auto at = static_cast<unsigned>(std::countr_zero(~occupied_));
        lanes_[at].owner = submitter;
        strays_ |= bit(at);
        return at;
    }

    std::uint64_t occupied_ = 0;  // a bit for each lane: it has tasks
    std::uint64_t strays_ = 0;    // of those: its owner is not at home there
    std::uint64_t shared_ = 0;    // of those: has tasks of others than its owner
    unsigned turn_ = 0;           // the lane that is next, or whichever has tasks after it
    std::array<lane, lane_count> lanes_{};
};

}  // namespace cairn::inline CAIRN_ABI::detail
