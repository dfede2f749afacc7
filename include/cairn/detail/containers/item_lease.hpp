// item_lease.hpp - what queue<T>::lease() gives: an item, and the duty to say what has become of it.
//
// The record of the lease is in the queue (queue_leases.hpp). The guard belongs to the process that took it: in a forked
// child its copy does nothing, and says so when it is used.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <utility>

#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/containers/queue_items.hpp>
#include <cairn/detail/containers/queue_leases.hpp>

namespace cairn::inline CAIRN_ABI::detail {

constexpr const char* lease_hint = "a lease begins and ends outside transactions; use get and put inside";

/// The part that does not depend on the item's type.
class CAIRN_API lease_hold : private object_handle {
public:
    lease_hold(root_reference root, lease_ticket ticket) noexcept;
    lease_hold(lease_hold&& other) noexcept;
    lease_hold& operator=(lease_hold&& other) noexcept;
    lease_hold(const lease_hold&) = delete;
    lease_hold& operator=(const lease_hold&) = delete;
    /// As release(), but whatever goes wrong; nothing in a forked child. Inside an operation on another object (in its
    /// callback) as well. Where the queue cannot be had, the item is given back by the next get or wait of this process.
    ~lease_hold();

    /// The item has been dealt with: it is gone for good, and counts as task_done(). Once.
    /// @throws invalid_state  acknowledged or released before, or the lease of the process that forked this one
    /// @throws object_gone    the queue was removed
    void ack();
    /// Puts the item back at the front of the queue, for somebody else. Throws as ack().
    void release();
    /// How often the item was leased, this time included: more than 1 says that somebody had it before, and failed.
    [[nodiscard]] std::uint32_t deliveries() const noexcept { return ticket_.deliveries; }
    /// Neither acknowledged nor released.
    [[nodiscard]] bool is_held() const noexcept { return ticket_.lease != 0; }

private:
    void end(const char* operation, bool (*by)(root_transaction&, queue_node&, const lease_ticket&));
    void end_quietly() noexcept;
    bool end_inside();
    [[nodiscard]] bool is_own() const noexcept { return in().participant_number() == participant_; }

    lease_ticket ticket_;
    std::uint64_t participant_;
};

}  // namespace cairn::inline CAIRN_ABI::detail

namespace cairn::inline CAIRN_ABI {

template <typename T>
class item_lease;  // queue.hpp

}  // namespace cairn::inline CAIRN_ABI
