// pair_transaction.hpp - operations on two roots of a segment as one: the caller's own transaction over both.
//
// Protected by  the locks of both roots, from the beginning to the end. The one whose control block comes first is locked first, and
//               decides.
// Commit        one store: the first root's `committed`. Before it what the operations freed is freed, logged.
// Death         before the commit: whoever gets to a root takes back what was done to it. After it: they find that it was decided, and
//               forget the logs. See root_transaction.hpp; the model is tests/models/two_roots_model.py.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <optional>

#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/user_transaction.hpp>
#include <cairn/once_id.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// Operations of this thread on both roots join it, until it is committed or goes out of scope: then they are rolled back.
class CAIRN_API pair_transaction {
public:
    /// Two objects in any order. Handles of one and the same are a transaction of that.
    /// Throws would_deadlock in a thread that is inside any operation, invalid_argument where they are in two segments,
    /// permission_denied, object_gone, object_poisoned.
    pair_transaction(const object_handle& one, const object_handle& other)
        : pair_transaction(one, other, nullptr) {}
    /// With a number, which the object whose control block comes first remembers. Throws invalid_argument for the number 0.
    pair_transaction(const object_handle& one, const object_handle& other, once_id id)
        : pair_transaction(one, other, &id) {}
    pair_transaction(const pair_transaction&) = delete;
    pair_transaction& operator=(const pair_transaction&) = delete;
    ~pair_transaction();

    /// Throws segment_full, and then nothing has happened; invalid_state in a child that was forked inside.
    void commit();
    /// Whether it, or a later one of its client, has been committed before. Then there is nothing to do.
    [[nodiscard]] bool has_happened() const noexcept { return has_happened_; }

private:
    pair_transaction(const object_handle& one, const object_handle& other, const once_id* id);
    void lock(const object_handle& first, const object_handle& second);
    void begin() noexcept;
    void leave() noexcept;
    void wipe() noexcept;

    std::optional<user_transaction> first_;
    std::optional<user_transaction> second_;  // none where both are one object
    std::uint64_t number_ = 0;                // of this transaction, among those that the first root decides
    bool is_open_ = false;
    bool has_happened_ = false;
};

}  // namespace cairn::inline CAIRN_ABI::detail
