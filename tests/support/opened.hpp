// opened.hpp - a list with its inside showing: the segment, the control block, the invariants.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/list_core.hpp>
#include <cairn/list.hpp>

namespace cairn_test {

template <typename T>
class opened_list : public cairn::list<T> {
public:
    explicit opened_list(cairn::list<T> l) : cairn::list<T>(std::move(l)) {}

    using cairn::list<T>::in;
    using cairn::list<T>::slot;
    using cairn::list<T>::generation;
    [[nodiscard]] cairn::detail::list_node& node_ref() const {
        return *this->in().template at<cairn::detail::list_node>(this->node());
    }
};

/// Empty, or the first invariant of the list, its arena or its control block that does not hold. At rest only.
template <typename T>
std::string broken_invariant(const cairn::list<T>& l) {
    const opened_list<T> open(l);
    cairn::detail::root_slot& slot = open.slot();
    if (slot.version % 2 != 0) return "the version is odd at rest";
    if (slot.log_head != 0) return "the log is not empty at rest";
    if (slot.operation.kind != 0) return "an operation is unfinished at rest";
    cairn::detail::arena_audit audit(open.in(), slot);
    audit.reached(slot.type_name, slot.type_name_bytes + 1);
    if (std::string problem = cairn::detail::check_list(open.in(), open.node_ref(), audit); !problem.empty())
        return problem;
    return audit.finish();
}

}  // namespace cairn_test
