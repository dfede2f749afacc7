// mutex.hpp - cairn::mutex and cairn::recursive_mutex: locks for what the user keeps beside, or in several objects.
//
//   auto l = m.lock("l");                          // find or create; m.rlock("r") for a recursive one
//   {
//       const std::lock_guard held(l);             // also std::unique_lock, std::scoped_lock of several
//       if (l.owner_died()) repair();              // a process was killed while it held the lock
//   }
//   l.lock(cairn::recover, [&] { repair(); });     // the same, and it cannot be forgotten
//
// Stored        one mutex_node in its root's arena (detail/sync/sync_layout.hpp). The lock is the root's own.
// Handle        a mutex is a pointer: copies refer to the same one, and keep the mapping alive; it holds nothing.
// Owner         one thread of one process. Only it may unlock(). A forked child is not the owner of what its parent holds.
// Death         of the owner, at any instruction: the kernel hands the lock to the next waiter, whose owner_died() is true if the
//               dead one had the lock already and had not begun to give it back.
// Fairness      as in Go: a waiter that was woken in vain and has waited for a millisecond is not overtaken any more by threads
//               that come later.
//
// When to use   for what several operations on several objects do, or for memory that is not Cairn's. One operation on one
//               object needs no lock, several on one object are a transaction().
// Cost          lock and unlock: two atomic operations together, no system call unless somebody waits.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. Locking, and
//               try_lock(), throw would_deadlock in callbacks of other operations, and object_gone when the lock is removed.
//               While the lock is held, removing it waits; its owner gets would_deadlock.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <utility>

#include <cairn/detail/sync/basic_mutex.hpp>

namespace cairn::inline CAIRN_ABI {

/// A lock that one thread of all processes holds at a time.
class CAIRN_API mutex : public detail::basic_mutex {
public:
    static constexpr detail::object_kind kind = detail::object_kind::mutex;
    /// For the manager.
    explicit mutex(detail::root_reference root) noexcept : basic_mutex(std::move(root), false) {}
};

/// The same; its owner may take it again, and gives it back as often.
class CAIRN_API recursive_mutex : public detail::basic_mutex {
public:
    static constexpr detail::object_kind kind = detail::object_kind::recursive_mutex;
    /// For the manager.
    explicit recursive_mutex(detail::root_reference root) noexcept : basic_mutex(std::move(root), true) {}
};

}  // namespace cairn::inline CAIRN_ABI
