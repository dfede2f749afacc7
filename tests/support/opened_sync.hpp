// opened_sync.hpp - a lock, event, barrier and the like with its inside showing, and those who sleep on it.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <utility>

#include <cairn/detail/base/words.hpp>
#include <cairn/detail/segment/segment_layout.hpp>

namespace cairn_test {

template <typename Object>
class opened_sync : public Object {
public:
    explicit opened_sync(Object of) : Object(std::move(of)) {}

    using Object::generation;
    using Object::in;
    using Object::node;
    using Object::slot;

    /// What it stores in its root's arena.
    template <typename Node>
    [[nodiscard]] Node& stored() const {
        return *this->in().template at<Node>(this->node());
    }
    /// Moves with each wake that somebody may wait for.
    [[nodiscard]] std::uint32_t sequence(std::size_t number = 0) const {
        return cairn::detail::load_word(this->slot().events[number].sequence);
    }
    /// Until somebody has registered as a sleeper, and will be asleep in a moment.
    void await_sleepers(std::size_t number = 0) const {
        while (cairn::detail::load_word(this->slot().events[number].waiters) == 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
};

}  // namespace cairn_test
