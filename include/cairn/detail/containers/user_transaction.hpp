// user_transaction.hpp - several operations on a root as one: the caller's own transaction.
//
// Protected by  the root's lock, from the beginning to the end.
// Commit        the root's log; before it what the operations freed is freed, logged.
// Death         before the commit: all that the operations did is rolled back. After it: done.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <type_traits>
#include <utility>
#include <vector>

#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Operations of this thread on that root join it, another user_transaction among them, until it is committed or goes out of
/// scope: then it is rolled back.
class CAIRN_API user_transaction {
public:
    user_transaction(segment& s, root_slot& slot, std::uint64_t generation);
    /// The second one of two, whose root is locked behind the first one's.
    user_transaction(segment& s, root_slot& slot, std::uint64_t generation, user_transaction& first);
    user_transaction(const user_transaction&) = delete;
    user_transaction& operator=(const user_transaction&) = delete;
    ~user_transaction();

    /// Throws segment_full, and then nothing has happened; invalid_state in a child that was forked inside.
    void commit();

private:
    friend class numbered_transaction;
    friend class pair_transaction;

    void free_all();

    std::vector<freed_block> freed_;
    root_transaction tx_;
};

/// What a callable of a transaction over `Handles` may return.
template <typename Result, typename... Handles>
constexpr void require_returnable() {
    static_assert(std::is_void_v<Result> || std::is_reference_v<Result> ||
                      std::is_move_constructible_v<Result>,
                  "what the callable of a transaction returns is kept until the commit, and moved out then");
    static_assert(!std::is_reference_v<Result> ||
                      !(std::is_same_v<std::remove_cvref_t<Result>, Handles> || ...),
                  "the handle that the callable of a transaction is given goes with it: return a copy");
}

/// Calls fn(), and commits `all` before it returns what fn has.
template <typename Transaction, typename Fn>
std::invoke_result_t<Fn> call_and_commit(Transaction& all, Fn fn) {
    using result_type = std::invoke_result_t<Fn>;
    if constexpr (std::is_void_v<result_type>) {
        fn();
        all.commit();
    } else if constexpr (std::is_reference_v<result_type>) {
        auto&& result = fn();
        all.commit();
        return static_cast<result_type>(result);
    } else {
        result_type result = fn();
        all.commit();
        return result;
    }
}

/// Calls fn(handle&) in a transaction of the root that `self` refers to. Commits when it returns.
template <typename Handle, typename Fn>
std::invoke_result_t<Fn, Handle&> call_in_transaction(const Handle& self, segment& s, root_slot& slot,
                                                      std::uint64_t generation, Fn&& fn) {
    require_returnable<std::invoke_result_t<Fn, Handle&>, Handle>();
    // fn may let go of all other handles
    const Handle keep = self;  // NOLINT(performance-unnecessary-copy-initialization)
    Handle handle = self;
    user_transaction all(s, slot, generation);
    return call_and_commit(all, [&]() -> decltype(auto) { return call_with(std::forward<Fn>(fn), handle); });
}

}  // namespace cairn::inline CAIRN_ABI::detail
