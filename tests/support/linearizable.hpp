// linearizable.hpp - whether what several callers saw of one object can be explained by one operation after the other.
//
// A specification says how the object behaves when one caller uses it:
//
//   struct register_specification {
//       using state = long;                      // copyable, with <
//       struct operation { ... };                // what was called, and what came of it, if it returned
//       static bool apply(state&, const operation&);  // false: it could not have come out like that in this state
//   };
//
// A history is linearizable when there is an order of its operations in which each comes out as it did, and in which no
// operation comes before one that had returned when it was called. An operation that never returned (its process was
// killed) may be in that order, or not.
//
// How           Wing and Gong's search: of the operations that may come next, try each. What was tried from one state with
//               the same operations left is not tried again (Lowe). For a dozen operations at a time.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <set>
#include <span>
#include <utility>

namespace cairn_test {

constexpr std::uint64_t never_returned = std::numeric_limits<std::uint64_t>::max();

/// Times are of one clock that all callers share and that gives no time twice: a counter.
template <typename Operation>
struct timed {
    std::uint64_t called;
    std::uint64_t returned;  // or never_returned
    Operation what;
};

template <typename Specification>
class linearizability {
    using state = typename Specification::state;
    using history = std::span<const timed<typename Specification::operation>>;

public:
    static bool holds(history all, const state& initial) {
        return linearizability(all).can_go_on(0, initial);
    }

private:
    explicit linearizability(history all) : all_(all) {}

    bool can_go_on(std::uint64_t done, const state& now) {
        // Whoever is called after another one has returned comes after it.
        std::uint64_t first_return = never_returned;
        for (std::size_t i = 0; i < all_.size(); ++i)
            if ((done >> i & 1) == 0) first_return = std::min(first_return, all_[i].returned);
        if (first_return == never_returned) return true;  // nothing is left that must have happened
        if (!tried_.emplace(done, now).second) return false;
        for (std::size_t i = 0; i < all_.size(); ++i) {
            if ((done >> i & 1) != 0 || all_[i].called > first_return) continue;
            state next = now;
            if (Specification::apply(next, all_[i].what) && can_go_on(done | std::uint64_t{1} << i, next))
                return true;
        }
        return false;
    }

    history all_;
    std::set<std::pair<std::uint64_t, state>> tried_;
};

/// How many pairs of operations were under way at the same time.
template <typename Operation>
std::size_t overlaps(std::span<const timed<Operation>> all) {
    std::size_t count = 0;
    for (std::size_t i = 0; i < all.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (all[i].called < all[j].returned && all[j].called < all[i].returned) ++count;
    return count;
}

}  // namespace cairn_test
