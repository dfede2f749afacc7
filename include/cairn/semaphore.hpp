// semaphore.hpp - cairn::semaphore and cairn::bounded_semaphore (Python: Manager().Semaphore, BoundedSemaphore).
//
//   auto s = m.semaphore("s", 3);             // counts signals: anybody releases, nothing comes back by itself
//   auto b = m.bounded_semaphore("b", 3);     // three permits, which belong to the processes that have them
//   b.acquire();  b.release();
//   { auto permit = s.permit(); ... }         // a guard, whose permit comes back: at its end, or with its process's death
//
// Stored        one semaphore_node, and an array of who holds how many permits (detail/sync/sync_layout.hpp).
// Handle        a semaphore is a pointer: copies refer to the same one, and keep the mapping alive; it holds no permit.
// Protected by  the root's lock.
// Commit        acquire() of a semaphore, and release(): one store. Where it is written down who has the permit: the root's log.
// Death         permits that belong to a process come back when it dies: to whoever finds none, before it sleeps, and to a
//               sleeper at its tick, 150 ms at most. A killed waiter takes no permit along.
//
// When to use   a bounded_semaphore for places that processes occupy; a semaphore for signals that one gives and another takes.
// Cost          one lock each; no system call unless somebody waits. Of a bounded_semaphore also a look through the holders.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. All but value()
//               throw would_deadlock in callbacks of other operations, and object_gone when it is removed, also where it is
//               waited for. A permit belongs to the process: another thread of it may give it back.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/sync/basic_semaphore.hpp>

namespace cairn::inline CAIRN_ABI {

/// A permit of a semaphore, until its end or release(); it comes back also when the process is killed. In a forked child it is its
/// parent's, and nothing here.
class CAIRN_API semaphore_permit {
public:
    semaphore_permit(semaphore_permit&& other) noexcept
        : of_(other.of_),  // NOLINT(performance-move-constructor-init): the other one still says whose it was
          participant_(std::exchange(other.participant_, 0)) {}
    semaphore_permit& operator=(semaphore_permit&& other) noexcept {
        std::swap(of_, other.of_);
        std::swap(participant_, other.participant_);
        return *this;
    }
    semaphore_permit(const semaphore_permit&) = delete;
    semaphore_permit& operator=(const semaphore_permit&) = delete;
    /// Where it cannot be given back here (in a callback of an operation, or the semaphore is removed) it stays this process's
    /// until that ends.
    ~semaphore_permit();

    /// Gives it back now. @throws invalid_state  it was before, or is the parent's of this forked process
    void release();
    [[nodiscard]] bool is_held() const noexcept;

private:
    friend class semaphore;
    explicit semaphore_permit(const detail::basic_semaphore& of) noexcept;

    detail::basic_semaphore of_;
    std::uint64_t participant_;  // 0: given back, or moved from
};

/// Counts signals.
class CAIRN_API semaphore : public detail::basic_semaphore {
public:
    static constexpr detail::object_kind kind = detail::object_kind::semaphore;

    /// As acquire(); the permit belongs to this process, and to the guard.
    [[nodiscard]] semaphore_permit permit() const {
        static_cast<void>(take_for_guard(detail::no_deadline, {}));
        return semaphore_permit(*this);
    }
    /// Nothing when a stop was requested first.
    [[nodiscard]] std::optional<semaphore_permit> permit(const std::stop_token& stop) const {
        return permit_before(detail::no_deadline, stop);
    }
    /// Nothing when the time was up first.
    template <typename Rep, typename Period>
    [[nodiscard]] std::optional<semaphore_permit> permit_for(std::chrono::duration<Rep, Period> timeout,
                                                             const std::stop_token& stop = {}) const {
        return permit_before(detail::wait_limit(timeout), stop);
    }
    /// Nothing when there is none.
    [[nodiscard]] std::optional<semaphore_permit> try_permit() const {
        return permit_before(detail::at_once, {});
    }

    /// For the manager.
    explicit semaphore(detail::root_reference root) noexcept : basic_semaphore(std::move(root), false) {}

private:
    [[nodiscard]] std::optional<semaphore_permit> permit_before(detail::steady_time deadline,
                                                                const std::stop_token& stop) const {
        if (!take_for_guard(deadline, stop)) return std::nullopt;
        return semaphore_permit(*this);
    }
};

/// Permits that belong to processes: only a holder gives them back, and those of the dead come back.
class CAIRN_API bounded_semaphore : public detail::basic_semaphore {
public:
    static constexpr detail::object_kind kind = detail::object_kind::bounded_semaphore;

    /// For the manager.
    explicit bounded_semaphore(detail::root_reference root) noexcept
        : basic_semaphore(std::move(root), true) {}
};

}  // namespace cairn::inline CAIRN_ABI
