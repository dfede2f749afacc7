// condition.hpp - cairn::condition: threads of all processes wait for a change of what a mutex protects (Python:
// Manager().Condition; std::condition_variable_any).
//
//   auto c = m.condition("c");                             // find or create; it belongs to no lock in particular
//   std::unique_lock lock(l);                              // of m.lock("l")
//   c.wait(lock, [&] { return !todo.empty(); });           // lets go of the lock meanwhile
//   c.notify_one();                                        // elsewhere, after a change: with the lock held or without
//
// Stored        one condition_node, and a record for each thread that waits (detail/sync/sync_layout.hpp), in its root's arena.
// Handle        a condition is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock, which nobody holds while he waits: for the lock of the user's neither.
// Commit        notify_one(), notify_all(): the store of one word, which says up to whose turn it is. Those are woken before it.
// Order         who has waited longest is notified first. Who begins to wait later takes nobody's notification away.
// Death         of a waiter: when it was notified and had not come back from its wait, the next one is, as soon as somebody has
//               found out: the notifier that finds it not asleep, or another waiter at its tick. Nobody ever waits for a sleeper.
//
// Cost          wait: three or four locks of the root, beside the sleep. notify where nobody waits: two loads.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. All of them throw
//               would_deadlock in callbacks of other operations, and object_gone when the condition is removed, also where it is
//               waited for: with the lock held again.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/sync/sync_layout.hpp>
#include <cairn/mutex.hpp>

namespace cairn::inline CAIRN_ABI {

namespace detail {

/// std::unique_lock<cairn::mutex>, also of a const one.
template <typename Lock>
concept lock_of_mutex = requires(Lock& lock) {
    { lock.owns_lock() } -> std::convertible_to<bool>;
    { lock.mutex() } -> std::convertible_to<const mutex*>;
    lock.release();
};

}  // namespace detail

class CAIRN_API condition : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::condition;

    /// Lets go of the lock, waits until it is notified, and takes the lock again. It may return without a notification when a process
    /// was killed. Which mutex it is is the caller's business: the same for all who wait for one change.
    /// @throws invalid_state   `lock` does not hold its mutex; nothing has happened
    /// @throws segment_full    no memory to write down who waits; the lock was held all the time
    /// @throws object_gone     the condition was removed before or meanwhile; the lock is held. Or the mutex was: then it is not
    template <detail::lock_of_mutex Lock>
    void wait(Lock& lock) const {
        static_cast<void>(wait_with(lock, detail::no_deadline, {}));
    }
    /// Until pred() is true, which is called with the lock held. What it throws comes out, the lock held.
    template <detail::lock_of_mutex Lock, std::predicate Predicate>
    void wait(Lock& lock, Predicate pred) const {
        while (!pred()) wait(lock);
    }
    /// As wait(). False when a stop was requested first.
    template <detail::lock_of_mutex Lock>
    bool wait(Lock& lock, const std::stop_token& stop) const {
        return wait_with(lock, detail::no_deadline, stop);
    }
    /// Returns what pred() said last.
    template <detail::lock_of_mutex Lock, std::predicate Predicate>
    bool wait(Lock& lock, const std::stop_token& stop, Predicate pred) const {
        return wait_until_true(lock, detail::no_deadline, stop, pred);
    }

    /// As wait(), no longer than that. False when the time was up first. The lock is held again when it returns: where it is not to be
    /// had by then, a second is waited for it at most.
    /// @throws timeout_error  so it was; names who holds the mutex. `lock` holds nothing, and refers to no mutex, then
    template <detail::lock_of_mutex Lock, typename Rep, typename Period>
    bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> timeout) const {
        return wait_with(lock, detail::wait_limit(timeout), {});
    }
    /// Returns what pred() said last.
    template <detail::lock_of_mutex Lock, typename Rep, typename Period, std::predicate Predicate>
    bool wait_for(Lock& lock, std::chrono::duration<Rep, Period> timeout, Predicate pred) const {
        return wait_until_true(lock, detail::wait_limit(timeout), {}, pred);
    }
    template <detail::lock_of_mutex Lock, typename Rep, typename Period, std::predicate Predicate>
    bool wait_for(Lock& lock, const std::stop_token& stop, std::chrono::duration<Rep, Period> timeout,
                  Predicate pred) const {
        return wait_until_true(lock, detail::wait_limit(timeout), stop, pred);
    }
    template <detail::lock_of_mutex Lock, typename Clock, typename Duration>
    bool wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> deadline) const {
        return detail::attempt_until_time(
            deadline, [] { return false; },
            [&](detail::steady_time until) { return wait_with(lock, until, {}); });
    }
    template <detail::lock_of_mutex Lock, typename Clock, typename Duration, std::predicate Predicate>
    bool wait_until(Lock& lock, std::chrono::time_point<Clock, Duration> deadline, Predicate pred) const {
        return wait_until(lock, std::stop_token(), deadline, std::move(pred));
    }
    template <detail::lock_of_mutex Lock, typename Clock, typename Duration, std::predicate Predicate>
    bool wait_until(Lock& lock, const std::stop_token& stop,
                    std::chrono::time_point<Clock, Duration> deadline, Predicate pred) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return wait_until_true(lock, until, stop, pred); });
    }

    /// Wakes the one who has waited longest, if there is one.
    void notify_one() const { wake_longest(1); }
    /// Python's notify(n). @throws invalid_argument  `count` is negative
    void notify(std::int64_t count = 1) const;
    void notify_all() const { wake_longest(everybody); }

    /// How many wait and were not notified yet, dead ones too before somebody has looked for them. Takes no lock.
    [[nodiscard]] std::uint64_t waiting() const;

    /// "condition(2 waiting)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const condition& c) {
        c.write_to(to);
        return to;
    }
    friend bool operator==(const condition& a, const condition& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit condition(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx);

private:
    static constexpr std::uint64_t everybody = ~std::uint64_t{0};

    /// `lock` says whether it holds its mutex, also where that could not be had again.
    template <typename Lock>
    bool wait_with(Lock& lock, detail::steady_time deadline, const std::stop_token& stop) const {
        const mutex* const m = lock.mutex();
        const said_by_lock<Lock> says(lock);
        return wait_before(lock.owns_lock() ? m : nullptr, deadline, stop);
    }
    template <typename Lock>
    class said_by_lock {
    public:
        explicit said_by_lock(Lock& lock) noexcept : lock_(lock), was_owner_(lock.owns_lock()) {}
        said_by_lock(const said_by_lock&) = delete;
        said_by_lock& operator=(const said_by_lock&) = delete;
        ~said_by_lock() {
            if (was_owner_ && !is_owner(*lock_.mutex())) lock_.release();
        }

    private:
        Lock& lock_;
        bool was_owner_;
    };
    template <typename Lock, typename Predicate>
    bool wait_until_true(Lock& lock, detail::steady_time deadline, const std::stop_token& stop,
                         Predicate& pred) const {
        while (!pred())
            if (!wait_with(lock, deadline, stop)) return pred();
        return true;
    }

    [[nodiscard]] detail::condition_node& node_ref() const noexcept {
        return *in().template at<detail::condition_node>(node());
    }
    [[nodiscard]] static bool is_owner(const mutex& m) noexcept;
    bool wait_before(const mutex* m, detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] std::optional<std::uint64_t> begin(detail::steady_time deadline,
                                                     const std::stop_token& stop) const;
    [[nodiscard]] bool sleep_until_notified(std::uint64_t ticket, detail::steady_time deadline,
                                            const std::stop_token& stop) const;
    void lock_again(const mutex& m, detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] bool come_back(std::uint64_t ticket, detail::steady_time deadline,
                                 const std::stop_token& stop) const;
    void pass_on(std::uint64_t ticket) const noexcept;
    bool pass_on_of_dead(bool of_threads) const;
    void release_all(detail::root_transaction& tx) const;
    void wake_longest(std::uint64_t count) const;
    void write_to(std::ostream& to) const;
};

}  // namespace cairn::inline CAIRN_ABI
