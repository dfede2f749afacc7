// basic_semaphore.hpp - what cairn::semaphore and cairn::bounded_semaphore have in common.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/sync/sync_layout.hpp>

namespace cairn::inline CAIRN_ABI {

class semaphore_permit;

namespace detail {

class CAIRN_API basic_semaphore : public object_handle {
public:
    using is_cairn_handle = void;

    /// Takes a permit, waiting while there is none.
    /// @throws segment_full  no memory to write down who has it (the first of a process); nothing was taken
    /// @throws object_gone   it was removed before or meanwhile
    void acquire() const { static_cast<void>(take_before(no_deadline, {}, is_bounded_)); }
    /// As acquire(). False when a stop was requested first.
    bool acquire(const std::stop_token& stop) const { return take_before(no_deadline, stop, is_bounded_); }
    /// False when there is none.
    bool try_acquire() const { return take_before(at_once, {}, is_bounded_); }
    /// As acquire(), waiting no longer than that. False when the time was up first.
    template <typename Rep, typename Period>
    bool try_acquire_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return take_before(wait_limit(timeout), stop, is_bounded_);
    }
    template <typename Clock, typename Duration>
    bool try_acquire_until(std::chrono::time_point<Clock, Duration> deadline,
                           const std::stop_token& stop = {}) const {
        return attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](steady_time until) { return take_before(until, stop, is_bounded_); });
    }
    /// Gives back `count` permits, and wakes as many who wait.
    /// @throws invalid_state     of a bounded_semaphore: this process has not so many; of a semaphore: more than 2^63 - 1 in all
    /// @throws invalid_argument  `count` is negative
    void release(std::int64_t count = 1) const;
    /// Permits that are free. Takes no lock; what the dead hold is not free before somebody looks for it.
    [[nodiscard]] std::uint64_t value() const;

    /// "semaphore(2)", "bounded_semaphore(2 of 3)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const basic_semaphore& s) {
        s.write_to(to);
        return to;
    }
    friend bool operator==(const basic_semaphore& a, const basic_semaphore& b) noexcept {
        return a.same_object(b);
    }

    /// For the manager.
    static std::string type_name() { return {}; }
    static void validate(const segment& s, segment_offset node);
    static segment_offset create(root_transaction& tx, std::uint64_t value, bool is_bounded);

protected:
    basic_semaphore(root_reference root, bool is_bounded) noexcept
        : object_handle(std::move(root)), is_bounded_(is_bounded) {}

    [[nodiscard]] bool take_for_guard(steady_time deadline, const std::stop_token& stop) const {
        return take_before(deadline, stop, true);
    }

private:
    friend class cairn::semaphore_permit;

    [[nodiscard]] semaphore_node& node_ref() const noexcept {
        return *in().template at<semaphore_node>(node());
    }
    [[nodiscard]] bool take_before(steady_time deadline, const std::stop_token& stop, bool is_recorded) const;
    void give_back(std::uint64_t count, bool is_recorded) const;
    void write_to(std::ostream& to) const;

    bool is_bounded_;
};

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
