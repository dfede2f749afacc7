// periodic_claims.cpp - callables that are exclusive: who has their locks, and when they are given up.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <utility>

#include "periodic/periodic_core.hpp"

namespace cairn::inline CAIRN_ABI::detail {

bool periodic_core::is_leader_of(const periodic_work& work) const {
    if (!is_of_this_process()) return false;
    const lock held(mutex_);
    require_present(work, "look at");
    return !work.exclusive || work.is_claimed;
}

// Under the lock; nothing where it is not exclusive.
std::error_code periodic_core::begin_claim(const work_ptr& work) noexcept {
    const std::optional<mutex>& lock_of_it = work->exclusive;
    if (!lock_of_it || work->requested_stop || work->cannot_claim) return {};
    try {
        claims_.reserve(claims_.size() + 1);
        work->claim = std::make_shared<exclusive_claim>(*lock_of_it, shared_from_this(), work);
    } catch (const std::bad_alloc&) {
        return std::make_error_code(std::errc::not_enough_memory);
    }
    if (const auto error = work->claim->begin()) {
        work->claim.reset();
        return error;
    }
    claims_.push_back(work->claim);
    return {};
}

std::error_code periodic_core::begin_claims() noexcept {
    for (const work_ptr& each : works_)
        if (const auto error = begin_claim(each)) return error;
    return {};
}

// Under the lock. No run of it is under way, and none is planned.
void periodic_core::give_up_claim(periodic_work& work) noexcept {
    if (work.claim == nullptr) return;
    work.is_claimed = false;
    work.claim->give_up();
    work.claim.reset();
}

// Also of those that were given up before, and not joined.
void periodic_core::end_claims() noexcept {
    {
        const lock held(mutex_);
        for (const work_ptr& each : works_) {
            if (each->claim != nullptr) unplan(*each);
            give_up_claim(*each);
        }
    }
    join_claims_given_up();
}

// What nobody has any more: their threads end, and would keep their stacks.
void periodic_core::join_claims_given_up() noexcept {
    for (;;) {
        std::shared_ptr<exclusive_claim> ended;
        {
            const lock held(mutex_);
            const auto found = std::find_if(claims_.begin(), claims_.end(),
                                            [](const auto& each) { return each->is_given_up(); });
            if (found == claims_.end()) return;
            ended = std::move(*found);
            claims_.erase(found);
        }
        ended->join();
    }
}

// By the thread that has the lock of it now.
void periodic_core::has_claimed(const work_ptr& work) noexcept {
    const steady_time now = look();
    const lock held(mutex_);
    if (work->claim == nullptr) return;  // given up
    work->is_claimed = true;
    if (const auto from = work->claim->said()) {
        const double part = has_jitter(strategy_) ? random_part() : 0;
        work->due = plan_after_take_over(strategy_, work->spacing, *from, now, part);
        work->kind = run_kind::periodic;
    } else {
        work->due = std::max(work->due, now);
    }
    plan(work, work->due);
}

void periodic_core::cannot_claim(const work_ptr& work, const std::exception_ptr& error) noexcept {
    {
        const lock held(mutex_);
        if (work->claim == nullptr) return;
        work->cannot_claim = true;
        give_up_claim(*work);
        has_lost_one_ = true;
        stir();
    }
    report_periodic(work->name, "waits for its lock no more: ", error);
}

}  // namespace cairn::inline CAIRN_ABI::detail
