// shared_mutex.hpp - cairn::shared_mutex: many readers or one writer, of all processes (std::shared_mutex).
//
//   auto rw = m.shared_mutex("rw");                     // find or create
//   { const std::shared_lock reading(rw); ... }         // others may read at the same time
//   { const std::lock_guard writing(rw); ... }          // nobody else is in
//   if (rw.owner_died()) repair();                      // a writer was killed inside; in either kind of lock
//
// Stored        one shared_mutex_node in its root's arena (detail/sync/sync_layout.hpp). The lock in it is the root's own. Who reads is in
//               the lines that each process has in the segment (participant_slot), so that readers of different processes write
//               nothing in common.
// Handle        a shared_mutex is a pointer: copies refer to the same one, and keep the mapping alive; it holds nothing.
// Readers       say that they are in, and then look for a writer. If there is one they take the lock as writers do, so that each has its
//               turn: no writer waits for readers that come after it, and no reader for all writers.
// Owner         of the exclusive lock: one thread of one process. Shared locks belong to the process: any thread of it gives one back. A
//               forked child has none of its parent's.
// Death         of a writer, at any instruction: the next one to come in, reader or writer, finds owner_died(), if the dead one was in.
//               Of a reader: a writer that waits for it finds out within a tick, 150 ms. A thread that ends keeps its process's lock.
//
// When to use   for memory that is not Cairn's, or several objects, that are read more often than written. Reads of one object need no
//               lock at all.
// Cost          a reader: two atomic operations on a line of its process. A writer: as a mutex, and a look at the line of each process.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. Locking throws
//               would_deadlock in callbacks of other operations, and object_gone when the lock is removed. Not recursive: a thread that
//               reads and locks again may wait for a writer that waits for it.
//               While it is held exclusively, removing it waits; readers are not waited for.
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
#include <cairn/mutex.hpp>

namespace cairn::inline CAIRN_ABI {

class CAIRN_API shared_mutex : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::shared_mutex;

    /// Waits until nobody else is in, and takes it.
    /// @throws would_deadlock  this thread is in already, exclusively, or is in a callback of another operation
    /// @throws timeout_error   not within the manager's `.lock_timeout`
    /// @throws object_gone     it was removed before or meanwhile
    void lock() const { static_cast<void>(lock_before(detail::no_deadline, {})); }
    /// As lock(). False when a stop was requested first.
    bool lock(const std::stop_token& stop) const { return lock_before(detail::no_deadline, stop); }
    /// As lock(); when the last writer has died, calls fn() with the lock held, and then mark_consistent(). What fn throws comes out with the
    /// lock free, and whoever is next finds owner_died() again.
    template <typename Fn>
    void lock(recover_t /*how*/, Fn&& fn) const {
        lock();
        if (!owner_died()) return;
        const leaves_unless_repaired at_end(*this);
        detail::call_with(std::forward<Fn>(fn));
        mark_consistent();
    }
    /// False when somebody else is in. Does not wait for the lock; as mutex::try_lock().
    bool try_lock() const { return lock_before(detail::at_once, {}); }
    /// As lock(), waiting no longer than that. False when the time was up first.
    template <typename Rep, typename Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return lock_before(detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline,
                        const std::stop_token& stop = {}) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return lock_before(until, stop); });
    }
    /// Gives it back.
    /// @throws invalid_state  this thread is not the owner: says who is
    void unlock() const;

    /// Waits until no writer is in, nor waits, and comes in beside other readers.
    /// @throws as lock(); invalid_state  this process reads 16 of them, or one 255 times, at the moment: it has no more places
    void lock_shared() const { static_cast<void>(share_before(detail::no_deadline, {})); }
    /// As lock_shared(). False when a stop was requested first.
    bool lock_shared(const std::stop_token& stop) const { return share_before(detail::no_deadline, stop); }
    /// False when a writer is in, or waits.
    bool try_lock_shared() const { return share_before(detail::at_once, {}); }
    template <typename Rep, typename Period>
    bool try_lock_shared_for(std::chrono::duration<Rep, Period> timeout,
                             const std::stop_token& stop = {}) const {
        return share_before(detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    bool try_lock_shared_until(std::chrono::time_point<Clock, Duration> deadline,
                               const std::stop_token& stop = {}) const {
        return detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return share_before(until, stop); });
    }
    /// Gives back one of this process's shared locks. Also of a lock that was removed meanwhile.
    /// @throws invalid_state  this process has none
    void unlock_shared() const;

    /// Whether a writer was killed, or ended, while it was in, and none has given the lock back since, or called mark_consistent(). For
    /// who is in.
    [[nodiscard]] bool owner_died() const;
    /// What the lock protects is in order again. @throws invalid_state  this thread does not have it exclusively
    void mark_consistent() const;
    /// A number that grows with each exclusive lock, by anybody: see mutex::fence().
    [[nodiscard]] std::uint64_t fence() const { return lock_.fence(); }
    /// Whether a living thread has it exclusively, at this moment.
    [[nodiscard]] bool is_locked() const;
    /// Whether this thread does.
    [[nodiscard]] bool is_owned() const;
    /// How many shared locks living processes have, at this moment. Cost: a look at all processes.
    [[nodiscard]] std::uint32_t readers() const;

    /// "shared_mutex(free)", "shared_mutex(3 readers)", "shared_mutex(held by pid 4711)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const shared_mutex& l) {
        l.write_to(to);
        return to;
    }
    friend bool operator==(const shared_mutex& a, const shared_mutex& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit shared_mutex(detail::root_reference root) : object_handle(root), lock_(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx);

private:
    /// While fn of lock(recover, fn) runs: what it throws leaves the lock as that of a dead writer.
    class CAIRN_API leaves_unless_repaired {
    public:
        explicit leaves_unless_repaired(const shared_mutex& of) noexcept : of_(of) {}
        leaves_unless_repaired(const leaves_unless_repaired&) = delete;
        leaves_unless_repaired& operator=(const leaves_unless_repaired&) = delete;
        ~leaves_unless_repaired();

    private:
        const shared_mutex& of_;
    };

    [[nodiscard]] bool lock_before(detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] bool share_before(detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] bool take_lock(detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] bool wait_for_readers(detail::steady_time deadline, const std::stop_token& stop) const;
    void take_over() const noexcept;
    void open() const noexcept;
    [[nodiscard]] detail::shared_mutex_node& node_ref() const noexcept {
        return *in().template at<detail::shared_mutex_node>(node());
    }
    void write_to(std::ostream& to) const;

    mutex lock_;  // the root's, as that of a mutex
};

}  // namespace cairn::inline CAIRN_ABI
