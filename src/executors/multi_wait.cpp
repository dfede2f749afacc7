// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/executors/multi_wait.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "executors/spinning.hpp"
#include "executors/task_access.hpp"
#include "os/futex.hpp"
#include <cairn/error.hpp>
#include <cairn/future.hpp>

namespace cairn::inline CAIRN_ABI::detail {

class multi_wait::entry final : public waiter {
public:
    void begin(arrivals& of, std::uint32_t index) noexcept {
        of_ = &of;
        index_ = index;
    }
    void settled() noexcept override;

private:
    arrivals* of_ = nullptr;
    std::uint32_t index_ = 0;
};

/// Who waits, one for each of distinct_, and in which order they were settled.
struct multi_wait::arrivals {
    explicit arrivals(std::size_t count)
        : entries(std::make_unique<entry[]>(count)), order(std::make_unique<std::uint32_t[]>(count)) {}

    std::unique_ptr<entry[]> entries;
    std::unique_ptr<std::uint32_t[]> order;  // 1 + index into distinct_, 0: not yet; futexes
    std::uint32_t arrived = 0;               // atomically: places of order that are taken
};

void multi_wait::drop_arrivals::operator()(arrivals* dropped) const noexcept {
    delete dropped;
}

void drop_multi_wait::operator()(multi_wait* dropped) const noexcept {
    delete dropped;
}

// The last store is what the waiting thread looks at: it may be gone after that, and the wake-up meets an address only.
void multi_wait::entry::settled() noexcept {
    std::uint32_t* const place = of_->order.get() + __atomic_fetch_add(&of_->arrived, 1, __ATOMIC_RELAXED);
    // release: the settled state
    __atomic_store_n(place, index_ + 1, __ATOMIC_RELEASE);
    os::futex_wake_private(place, 1);
}

multi_wait::multi_wait(std::vector<future_state*> states) : states_(std::move(states)) {
    std::vector<std::size_t> sorted(states_.size());
    std::iota(sorted.begin(), sorted.end(), std::size_t{0});
    std::sort(sorted.begin(), sorted.end(), [this](std::size_t a, std::size_t b) {
        return states_[a] != states_[b] ? std::less<>()(states_[a], states_[b]) : a < b;
    });
    for (std::size_t i = 0; i < sorted.size(); ++i)
        if (i == 0 || states_[sorted[i]] != states_[sorted[i - 1]]) distinct_.push_back(sorted[i]);
    std::sort(distinct_.begin(), distinct_.end());

    arrivals_ = owner<arrivals, drop_arrivals>(new arrivals(distinct_.size()));
    entry* const entries = arrivals_->entries.get();
    std::size_t begun = 0;
    try {
        for (; begun < distinct_.size(); ++begun) {
            entries[begun].begin(*arrivals_, static_cast<std::uint32_t>(begun));
            if (!states_[distinct_[begun]]->watch(entries[begun])) entries[begun].settled();
        }
    } catch (...) {
        while (begun-- > 0) states_[distinct_[begun]]->stop_watching(entries[begun]);
        throw;
    }
}

multi_wait::~multi_wait() {
    for (std::size_t i = 0; i < distinct_.size(); ++i)
        if (states_[distinct_[i]] != nullptr) states_[distinct_[i]]->stop_watching(arrivals_->entries[i]);
}

void multi_wait::refuse_deadlock(bool needs_all) const {
    const auto is_stuck = [this](std::size_t at) { return states_[at]->waits_for_caller(); };
    const auto is_told = [this](std::size_t at) { return states_[at] == nullptr; };
    const bool is_refused = needs_all
                                ? std::any_of(distinct_.begin(), distinct_.end(),
                                              [&](std::size_t at) { return !is_told(at) && is_stuck(at); })
                                : std::all_of(distinct_.begin(), distinct_.end(),
                                              [&](std::size_t at) { return is_told(at) || is_stuck(at); });
    if (is_refused) throw_waits_for_caller();
}

bool multi_wait::wait_for_next(steady_time deadline) {
    std::uint32_t* const place = arrivals_->order.get() + told_;
    // acquire: pairs with settled()
    const auto is_there = [place] { return __atomic_load_n(place, __ATOMIC_ACQUIRE) != 0; };
    if (is_there()) return true;
    if (deadline != no_deadline && std::chrono::steady_clock::now() >= deadline) return false;
    if (own_place.is_settling || own_place.task != nullptr) refuse_deadlock(false);
    if (deadline == no_deadline) {
        for (const std::size_t at : distinct_) {
            if (states_[at] != nullptr) states_[at]->run_if_queued_here();
            if (is_there()) return true;
        }
    }
    if (look_for_a_while(is_there)) return true;
    blocked_worker blocked;
    while (!is_there()) {
        if (deadline != no_deadline && std::chrono::steady_clock::now() >= deadline) return false;
        os::futex_wait_private(place, 0, blocked.next_look(deadline));
        if (deadline == no_deadline) blocked.look();  // a task that is run in place has no limit
    }
    return true;
}

std::size_t multi_wait::next(steady_time deadline) {
    if (left() == 0 || !wait_for_next(deadline)) return no_index;
    const std::size_t at = distinct_[__atomic_load_n(&arrivals_->order[told_++], __ATOMIC_ACQUIRE) - 1];
    states_[at] = nullptr;  // may go from now on
    return at;
}

void wait_for_some(multi_wait& all, const std::vector<future_state*>& states, wait_mode mode,
                   steady_time deadline) {
    // What is only looked at does not wait.
    if (mode == wait_mode::all_completed && (own_place.is_settling || own_place.task != nullptr) &&
        std::chrono::steady_clock::now() < deadline)
        all.refuse_deadlock(true);
    while (all.left() != 0) {
        const std::size_t at = all.next(deadline);
        if (at == no_index || mode == wait_mode::first_completed) return;
        if (mode == wait_mode::first_exception && states[at]->stage() == future_stage::finished &&
            states[at]->exception() != nullptr)
            return;
    }
}

void throw_unfinished(std::size_t left, std::size_t all) {
    throw timeout_error("as_completed: " + std::to_string(left) + " (of " + std::to_string(all) +
                        ") futures unfinished");
}

}  // namespace cairn::inline CAIRN_ABI::detail
