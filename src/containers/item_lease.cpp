// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/item_lease.hpp"

#include <atomic>
#include <chrono>
#include <utility>
#include <vector>

#include "base/never_destroyed.hpp"
#include "segment/registry.hpp"
#include <cairn/detail/os/lock_limit.hpp>
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

void lease_hold::end(const char* operation, bool (*by)(root_transaction&, queue_node&, const lease_ticket&)) {
    // Only a failure needs memory: the guard of an item that was leased when there was none left gives it back all the same.
    const auto fail = [&](const char* why) {
        throw invalid_state(std::string(operation) + " " + describe_object(in(), slot()) + ": " + why);
    };
    if (ticket_.lease == 0) fail("it was acknowledged or released before");
    if (!is_own()) fail("it was leased by the parent of this forked process, and is its parent's alone");
    root_transaction tx(in(), slot(), generation());
    if (!by(tx, *in().at<queue_node>(node()), ticket_)) fail("there is no such lease any more");
    ticket_ = {0, ticket_.deliveries, 0};
}

// ---- what could not be given back -------------------------------------------------------------------------------------

namespace {

struct owed_lease {
    root_reference root;
    lease_ticket ticket;
    std::uint64_t participant;
};

constinit std::atomic<bool> is_any_owed = false;
// Under the registry's lock, which a forked child finds free.
constinit never_destroyed<std::vector<owed_lease>> owed;

void owe(owed_lease lease) {
    const registry::lock held;
    owed.get().push_back(std::move(lease));
    is_any_owed = true;
}

}  // namespace

void return_owed_leases() noexcept {
    if (!is_any_owed || this_thread.open != nullptr) return;
    std::vector<owed_lease> all;
    {
        const registry::lock held;
        all.swap(owed.get());
        is_any_owed = false;
    }
    for (owed_lease& each : all) {
        segment& s = *each.root.in;
        if (s.participant_number() != each.participant) continue;  // of the parent of this forked process
        bool is_over = true;
        try {
            root_transaction tx(s, *each.root.slot, each.root.generation);
            static_cast<void>(return_lease(tx, *s.at<queue_node>(each.root.node), each.ticket));
        } catch (const limit_reached&) {
            is_over = false;
        } catch (const timeout_error&) {
            is_over = false;
        } catch (...) {}  // the queue has gone
        if (is_over) continue;
        try {
            owe(std::move(each));
        } catch (...) {}  // no memory to remember it: it comes back when this process ends
    }
}

// ---- the end of a guard --------------------------------------------------------------------------------------------------

void lease_hold::end_quietly() noexcept {
    if (ticket_.lease == 0 || !is_own()) return;
    try {
        try {
            return end(to_release, &return_lease);  // in a transaction of the queue: with that
        } catch (const would_deadlock&) {
            if (end_inside()) return;
            owe({{this->hold(), &slot(), generation(), node()}, ticket_, participant_});
        }
    } catch (...) {
        // The queue is gone. Or there is no memory to remember it: then the item comes back when this process ends.
    }
}

// Inside an operation on another object: its lock is held, so this one is waited for a moment only, and nobody waits for ever
// where somebody else holds the two the other way round.
bool lease_hold::end_inside() {
    const operation_limit limit = {std::chrono::steady_clock::now() + lock_grace, nullptr};
    const operation_limit* const before = std::exchange(this_thread.limit, &limit);
    bool is_done = false;
    try {
        root_transaction tx(in(), slot(), generation(), root_transaction::inside_another{});
        static_cast<void>(return_lease(tx, *in().at<queue_node>(node()), ticket_));
        is_done = true;
    } catch (const limit_reached&) {
    } catch (const would_deadlock&) {  // it is this queue's own operation
    } catch (...) {
        this_thread.limit = before;
        throw;
    }
    this_thread.limit = before;
    return is_done;
}

}  // namespace cairn::inline CAIRN_ABI::detail
