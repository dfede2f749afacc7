// opened_dict.hpp - a dict or a set with its inside showing: the node, the invariants.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <string>
#include <utility>

#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/containers/dict_core.hpp>
#include <cairn/manager.hpp>

namespace cairn_test {

template <typename C>
class opened_keyed : public C {
public:
    explicit opened_keyed(C c) : C(std::move(c)) {}

    using C::generation;
    using C::in;
    using C::slot;
    [[nodiscard]] cairn::detail::dict_node& node_ref() const {
        return *this->in().template at<cairn::detail::dict_node>(this->node());
    }
};

/// Empty, or the first invariant of a dict or a set, its arena or its control block that does not hold. At rest only.
template <typename C>
std::string broken_dict(const C& c) {
    const opened_keyed<C> open(c);
    cairn::detail::root_slot& slot = open.slot();
    if (slot.version % 2 != 0) return "the version is odd at rest";
    if (slot.log_head != 0) return "the log is not empty at rest";
    if (slot.operation.kind != 0) return "an operation is unfinished at rest";
    cairn::detail::arena_audit audit(open.in(), slot);
    audit.reached(slot.type_name, slot.type_name_bytes + 1);
    if (std::string problem = cairn::detail::check_dict(open.in(), open.node_ref(), audit); !problem.empty())
        return problem;
    return audit.finish();
}

}  // namespace cairn_test
