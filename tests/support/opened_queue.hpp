// opened_queue.hpp - a queue with its inside showing: the segment, the control block, the node, the invariants.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <span>
#include <string>
#include <thread>
#include <utility>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/queue_core.hpp>
#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

template <typename Q>
class opened_queue : public Q {
public:
    explicit opened_queue(Q q) : Q(std::move(q)) {}

    using Q::generation;
    using Q::in;
    using Q::slot;
    [[nodiscard]] cairn::detail::queue_node& node_ref() const {
        return *this->in().template at<cairn::detail::queue_node>(this->node());
    }
    [[nodiscard]] std::span<cairn::detail::queue_holder> holders() const {
        return cairn::detail::find_holders(this->in(), node_ref());
    }
    /// Somebody has registered as a sleeper of that event.
    [[nodiscard]] bool has_sleepers(cairn::detail::queue_event event) const {
        return cairn::detail::load_word(this->slot().events[event].waiters) != 0;
    }
    /// ... and will be asleep in a moment.
    void await_sleepers(cairn::detail::queue_event event) const {
        while (!has_sleepers(event)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
};

/// Empty, or the first invariant of a queue, its arena or its control block that does not hold. At rest only.
template <typename Q>
std::string broken_queue(const Q& q) {
    const opened_queue<Q> open(q);
    cairn::detail::root_slot& slot = open.slot();
    if (slot.version % 2 != 0) return "the version is odd at rest";
    if (slot.log_head != 0) return "the log is not empty at rest";
    if (slot.operation.kind != 0) return "an operation is unfinished at rest";
    cairn::detail::arena_audit audit(open.in(), slot);
    audit.reached(slot.type_name, slot.type_name_bytes + 1);
    if (std::string problem = cairn::detail::check_queue(open.in(), open.node_ref(), audit); !problem.empty())
        return problem;
    return audit.finish();
}

}  // namespace cairn_test
