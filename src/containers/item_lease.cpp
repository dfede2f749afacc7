// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/item_lease.hpp"

#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

lease_hold::lease_hold(root_reference root, lease_ticket ticket) noexcept
    : object_handle(std::move(root)), ticket_(ticket), participant_(in().participant_number()) {}

// What was moved from stays a handle, so that whoever uses it is told that it holds nothing.
lease_hold::lease_hold(lease_hold&& other) noexcept
    : object_handle(other),  // NOLINT(performance-move-constructor-init)
      ticket_(std::exchange(other.ticket_, {})), participant_(other.participant_) {}

lease_hold& lease_hold::operator=(lease_hold&& other) noexcept {
    if (this != &other) {
        end_quietly();
        object_handle::operator=(other);
        ticket_ = std::exchange(other.ticket_, {});
        participant_ = other.participant_;
    }
    return *this;
}

lease_hold::~lease_hold() {
    end_quietly();
}

namespace {

constexpr const char* to_ack = "ack of an item of";
constexpr const char* to_release = "release of an item of";

}  // namespace

void lease_hold::ack() {
    require_outside(to_ack, in(), slot(), lease_hint);  // which could take it back, but not this guard
    end(to_ack, &finish_lease);
}

void lease_hold::release() {
    require_outside(to_release, in(), slot(), lease_hint);
    end(to_release, &return_lease);
}

void lease_hold::end(const char* operation, bool (*by)(root_transaction&, queue_node&, std::uint64_t)) {
    // Only a failure needs memory: the guard of an item that was leased when there was none left gives it back all the same.
    const auto fail = [&](const char* why) {
        throw invalid_state(std::string(operation) + " " + describe_object(in(), slot()) + ": " + why);
    };
    if (ticket_.lease == 0) fail("it was acknowledged or released before");
    if (!is_own()) fail("it was leased by the parent of this forked process, and is its parent's alone");
    root_transaction tx(in(), slot(), generation());
    if (!by(tx, *in().at<queue_node>(node()), ticket_.lease)) fail("there is no such lease any more");
    ticket_ = {0, ticket_.deliveries};
}

void lease_hold::end_quietly() noexcept {
    if (ticket_.lease == 0 || !is_own()) return;
    try {
        end(to_release, &return_lease);  // in a transaction of the queue: with that
    } catch (...) {
        // The queue is gone, or this thread is inside another operation: then the item comes back when this process ends.
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
