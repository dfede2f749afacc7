// transaction.hpp - operations on two objects as one change.
//
//   cairn::transaction(todo, done, [&](auto& todo, auto& done) {      // a queue and a dict of one manager
//       if (const auto job = todo.try_get()) done.set(job->id, *job);
//   });
//
// Protected by  the locks of both objects, for as long as the callable runs. They are locked in the same order by everybody.
// Commit        one store, for both.
// Death         of the process at any instruction: both have the change, or neither has. So it is for readers, too: who sees it in one
//               of them finds it in the other.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

#include <cairn/detail/containers/once_table.hpp>
#include <cairn/detail/containers/pair_transaction.hpp>

namespace cairn::inline CAIRN_ABI {

/// What `transaction` takes: a list, dict, set, or queue of any order. (Not a channel or a sharded_dict: there is no lock whose holder
/// could take anything back.)
template <typename Object>
concept transactional = std::copy_constructible<Object> &&
                        requires(const Object& object, void (*fn)(Object&)) { object.transaction(fn); };

/// Calls fn(A&, B&), and makes all that is done inside to these two objects, by those handles or others in this thread, one change:
/// others see all of it or nothing, whatever happens on the way, a death included. If fn throws, nothing happened; an operation that
/// fails inside alone can be caught, and the rest goes on. Returns what fn returns.
/// `a` and `b` are of one segment, in any order; if they are one object, this is a transaction of that. Inside, each may have a
/// transaction of its own, in which the other one cannot be used. What list::transaction says of waiting, of memory and of forked
/// children holds for both.
/// @throws would_deadlock    inside a transaction or a callback of any object; in fn, for any other object
/// @throws invalid_argument  they are in two segments
/// @throws segment_full      no room for the undo log; whatever fn throws. Nothing happened then.
/// @throws object_gone, object_poisoned, permission_denied (read-only), timeout_error (see lock_timeout)
/// Cost    two locks; each operation logs the bytes that it changes or adds
/// Safety  thread-safe, process-shared, crash-atomic
template <typename A, typename B, std::invocable<A&, B&> Fn>
std::invoke_result_t<Fn, A&, B&> transaction(const A& a, const B& b, Fn&& fn) {
    static_assert(transactional<A> && transactional<B>,
                  "cairn::transaction takes a list, dict, set or queue; a channel, or a sharded_dict, has no "
                  "lock whose holder "
                  "could take back what was done");
    detail::require_returnable<std::invoke_result_t<Fn, A&, B&>, A, B>();
    // fn may let go of all other handles
    const A keep_a = a;  // NOLINT(performance-unnecessary-copy-initialization)
    const B keep_b = b;  // NOLINT(performance-unnecessary-copy-initialization)
    A of_a = a;
    B of_b = b;
    detail::pair_transaction all(keep_a, keep_b);
    return detail::call_and_commit(
        all, [&]() -> decltype(auto) { return detail::call_with(std::forward<Fn>(fn), of_a, of_b); });
}

/// The same with a number: once, however often it is tried, by this process or another. The objects have to be the same two each time.
/// Returns whether it has happened now (fn returns nothing), or what fn has returned, if it was called.
/// @throws invalid_argument  the number is 0
template <typename A, typename B, std::invocable<A&, B&> Fn>
detail::once_result<std::invoke_result_t<Fn, A&, B&>> transaction(const exactly_once& how, const A& a,
                                                                  const B& b, Fn&& fn) {
    static_assert(transactional<A> && transactional<B>,
                  "cairn::transaction takes a list, dict, set or queue");
    const A keep_a = a;  // NOLINT(performance-unnecessary-copy-initialization)
    const B keep_b = b;  // NOLINT(performance-unnecessary-copy-initialization)
    A of_a = a;
    B of_b = b;
    detail::pair_transaction all(keep_a, keep_b, how.once);
    return detail::call_and_commit_once(
        all, [&]() -> decltype(auto) { return detail::call_with(std::forward<Fn>(fn), of_a, of_b); });
}

}  // namespace cairn::inline CAIRN_ABI
