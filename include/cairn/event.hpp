// event.hpp - cairn::event: something that has happened, which processes wait for (Python: Manager().Event).
//
//   auto ready = m.event("ready");     // find or create; not set
//   ready.set();                       // wakes all who wait
//   ready.wait();                      // returns at once from then on, until clear()
//
// Stored        one event_node in its root's arena (detail/sync/sync_layout.hpp): one word.
// Handle        an event is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock, for set() and clear(). is_set(), and wait() of what is set, read the word alone.
// Commit        the store of the word. Those who wait are woken before it, still under the lock.
// Death         before the store: nothing has happened; those who are up look again, and sleep. After it: it is set.
//
// Cost          is_set(), and wait() of what is set: two loads. set() and clear(): one lock; one wake for all who sleep.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. All but is_set()
//               throw would_deadlock in callbacks of other operations, and object_gone when the event is removed, also where it
//               is waited for.
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

class CAIRN_API event : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::event;

    [[nodiscard]] bool is_set() const { return (look() & 1) != 0; }
    /// From now on, until clear(): who waits goes on, also where clear() comes before they have looked.
    void set() const;
    void clear() const;

    /// Waits until it is set.
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

    /// "event(set)", "event(not set)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const event& e) {
        e.write_to(to);
        return to;
    }
    friend bool operator==(const event& a, const event& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit event(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx);

private:
    [[nodiscard]] detail::event_node& node_ref() const noexcept {
        return *in().template at<detail::event_node>(node());
    }
    /// The word, of a living event.
    [[nodiscard]] std::uint64_t look() const;
    [[nodiscard]] bool wait_before(detail::steady_time deadline, const std::stop_token& stop) const;
    void write_to(std::ostream& to) const;
};

}  // namespace cairn::inline CAIRN_ABI
