// once_table.hpp - which operations have happened: a dict of clients and their last numbers in the arena of each root that needs one.
//
// Stored        root_slot.once leads to a dict_node (dict_layout.hpp) of two words: client, sequence.
// Protected by  the root's lock; read without it between two looks at the version.
// Commit        the number is stored in the transaction of the operation. A client gets its record before, in one of its own: then
//               the operation needs no memory for it.
// Death         as that of the operation. A record with the number 0 says nothing.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/once_id.hpp>

namespace cairn::inline CAIRN_ABI::detail {

enum class once_outcome { done, happened, refused };

/// A transaction of the user's with a number.
class CAIRN_API numbered_transaction {
public:
    /// Throws as user_transaction, and invalid_argument for the number 0.
    numbered_transaction(segment& s, root_slot& slot, std::uint64_t generation, once_id id);
    /// Whether it, or a later one of its client, has been committed before. Then there is nothing to do.
    [[nodiscard]] bool has_happened() const noexcept { return has_happened_; }
    void commit() {
        if (all_) all_->commit();
    }

private:
    std::optional<user_transaction> all_;
    bool has_happened_ = false;
};

/// Calls fn(), operations on that root, as one with the number. What fn returns says whether that was all; if false, nothing happened.
template <typename Fn>
once_outcome do_once(segment& s, root_slot& slot, std::uint64_t generation, once_id id, Fn fn) {
    numbered_transaction all(s, slot, generation, id);
    if (all.has_happened()) return once_outcome::happened;
    if constexpr (std::is_same_v<std::invoke_result_t<Fn>, bool>) {
        if (!fn()) return once_outcome::refused;
    } else {
        fn();
    }
    all.commit();
    return once_outcome::done;
}

/// Of a transaction that may have happened: whether it was now, or what its callable has returned now.
template <typename Result>
using once_result = std::conditional_t<std::is_void_v<Result>, bool, std::optional<Result>>;

/// Calls fn() in `all`, unless that has happened.
template <typename Transaction, typename Fn>
once_result<std::invoke_result_t<Fn>> call_and_commit_once(Transaction& all, Fn fn) {
    using result_type = std::invoke_result_t<Fn>;
    static_assert(!std::is_reference_v<result_type>,
                  "a transaction that may have happened returns a value or nothing");
    if (all.has_happened()) return {};
    if constexpr (std::is_void_v<result_type>) {
        fn();
        all.commit();
        return true;
    } else {
        std::optional<result_type> result(fn());
        all.commit();
        return result;
    }
}

/// As call_in_transaction(), with a number.
template <typename Handle, typename Fn>
once_result<std::invoke_result_t<Fn, Handle&>> call_in_transaction(const Handle& self, segment& s,
                                                                   root_slot& slot, std::uint64_t generation,
                                                                   once_id id, Fn&& fn) {
    const Handle keep = self;  // NOLINT(performance-unnecessary-copy-initialization)
    Handle handle = self;
    numbered_transaction all(s, slot, generation, id);
    return call_and_commit_once(all,
                                [&]() -> decltype(auto) { return call_with(std::forward<Fn>(fn), handle); });
}

/// The highest number of that client in that root, 0: none. Throws object_gone.
CAIRN_API std::uint64_t last_sequence(segment& s, root_slot& slot, std::uint64_t generation,
                                      std::uint64_t client);
/// Under the lock: takes the client's record away.
void forget_client(root_transaction& tx, std::uint64_t client);
/// Reports every block to the audit; empty, or what is wrong with it.
CAIRN_API std::string check_once_table(const segment& s, const root_slot& slot, arena_audit& audit);

}  // namespace cairn::inline CAIRN_ABI::detail
