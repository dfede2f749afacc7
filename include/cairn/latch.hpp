// latch.hpp - cairn::latch: a count that goes down to 0 once, which processes wait for (std::latch).
//
//   auto ready = m.latch("ready", 4);  // find or create; four are to come
//   ready.count_down();                // in each of them
//   ready.wait();                      // until all four have
//
// Stored        one latch_node in its root's arena (detail/sync/sync_layout.hpp): one word.
// Handle        a latch is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock, for count_down(). remaining(), and wait() of what is at 0, read the word alone.
// Commit        the store of the word. Those who wait are woken before it, still under the lock.
// Death         before the store: it has not counted down. After it: it has. A process that dies before it has counted down leaves the
//               others waiting: who is to be counted on is what a barrier knows.
//
// Cost          remaining(), and wait() of what is at 0: two loads. count_down(): one lock; the last one wakes all who sleep.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. All but remaining() and
//               try_wait() throw would_deadlock in callbacks of other operations where they would have to wait or to count, and all
//               object_gone when the latch is removed, also where it is waited for.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

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

class CAIRN_API latch : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::latch;

    /// By `count`. At 0, whoever waits goes on.
    /// @throws invalid_argument  `count` is negative
    /// @throws invalid_state     less than that remains; nothing was counted
    void count_down(std::int64_t count = 1) const;
    /// How much remains. Takes no lock.
    [[nodiscard]] std::uint64_t remaining() const;
    /// Whether it is at 0. Takes no lock.
    [[nodiscard]] bool try_wait() const { return remaining() == 0; }

    /// Waits until it is at 0, which it is for ever then.
    /// @throws object_gone  it was removed before or meanwhile
    void wait() const { static_cast<void>(wait_before(detail::no_deadline, {})); }
    /// As wait(). False when a stop was requested first.
    bool wait(const std::stop_token& stop) const { return wait_before(detail::no_deadline, stop); }
    /// As wait(), no longer than that. False when the time was up first.
    template <typename Rep, typename Period>
    bool wait_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return wait_before(detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    bool wait_until(std::chrono::time_point<Clock, Duration> deadline,
                    const std::stop_token& stop = {}) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return wait_before(until, stop); });
    }
    /// count_down() and then wait().
    void arrive_and_wait(std::int64_t count = 1) const {
        count_down(count);
        wait();
    }

    /// "latch(3)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const latch& l) {
        l.write_to(to);
        return to;
    }
    friend bool operator==(const latch& a, const latch& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit latch(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx, std::uint64_t count);

private:
    [[nodiscard]] detail::latch_node& node_ref() const noexcept {
        return *in().template at<detail::latch_node>(node());
    }
    [[nodiscard]] bool wait_before(detail::steady_time deadline, const std::stop_token& stop) const;
    void write_to(std::ostream& to) const;
};

}  // namespace cairn::inline CAIRN_ABI
