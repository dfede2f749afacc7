// opened_channel.hpp - a channel with its inside showing: the segment, the control block, the node, the invariants.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <utility>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/channel_core.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

template <typename T>
class opened_channel : public cairn::channel<T> {
public:
    explicit opened_channel(cairn::channel<T> c) : cairn::channel<T>(std::move(c)) {}

    using cairn::channel<T>::generation;
    using cairn::channel<T>::in;
    using cairn::channel<T>::slot;
    [[nodiscard]] cairn::detail::channel_node& node_ref() const {
        return *this->in().template at<cairn::detail::channel_node>(this->node());
    }
    [[nodiscard]] cairn::detail::stored_pin& pin(cairn::detail::channel_end end) const {
        return this->slot().pins[end];
    }
    /// Waits until somebody has registered as a sleeper of that event, and will be asleep in a moment.
    void await_sleeper(cairn::detail::channel_event event) const {
        while (cairn::detail::load_word(this->slot().events[event].waiters) == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
};

/// Empty, or the first invariant of a channel, its arena or its control block that does not hold. At rest only.
template <typename T>
std::string broken_channel(const cairn::channel<T>& c) {
    const opened_channel<T> open(c);
    cairn::detail::root_slot& slot = open.slot();
    if (slot.version % 2 != 0) return "the version is odd at rest";
    if (slot.log_head != 0) return "the log is not empty at rest";
    cairn::detail::arena_audit audit(open.in(), slot);
    audit.reached(slot.type_name, slot.type_name_bytes + 1);
    if (std::string problem = cairn::detail::check_channel(open.in(), open.node_ref(), audit);
        !problem.empty())
        return problem;
    return audit.finish();
}

}  // namespace cairn_test
