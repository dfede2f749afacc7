// multi_wait.hpp - waiting for several futures: which of them settle, in that order.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <vector>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/export.hpp>
#include <cairn/detail/base/owner.hpp>
#include <cairn/detail/executors/future_state.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr std::size_t no_index = static_cast<std::size_t>(-1);

/// Registered with each of the states until they are settled or this object goes; several times the same one counts once. A
/// state has to live until next() has told it, or this object goes.
class CAIRN_API multi_wait {
public:
    explicit multi_wait(std::vector<future_state*> states);
    multi_wait(const multi_wait&) = delete;
    multi_wait& operator=(const multi_wait&) = delete;
    ~multi_wait();

    /// Places of the different states among those given, in their order.
    [[nodiscard]] const std::vector<std::size_t>& distinct() const noexcept { return distinct_; }
    /// The place of the next one that is settled: first those that are when asked first, then as they come. no_index when the
    /// time was up first, or all have been told.
    std::size_t next(steady_time deadline);
    /// In the settling thread, and in a task, before it waits: for all that are left, or for the next of them.
    /// @throws would_deadlock  it would wait for itself
    void refuse_deadlock(bool needs_all) const;
    [[nodiscard]] std::size_t left() const noexcept { return distinct_.size() - told_; }

private:
    class entry;
    struct arrivals;
    struct CAIRN_API drop_arrivals {
        void operator()(arrivals* dropped) const noexcept;
    };
    bool wait_for_next(steady_time deadline);

    std::vector<future_state*> states_;  // null: told
    std::vector<std::size_t> distinct_;
    owner<arrivals, drop_arrivals> arrivals_;
    std::size_t told_ = 0;
};

struct CAIRN_API drop_multi_wait {
    void operator()(multi_wait* dropped) const noexcept;
};

[[noreturn]] CAIRN_API void throw_unfinished(std::size_t left, std::size_t all);

}  // namespace cairn::inline CAIRN_ABI::detail
