// SPDX-License-Identifier: BSL-1.0
#include "cairn/once.hpp"

#include "segment/segment_guard.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI {

using namespace detail;  // this file is the border between the two

namespace detail {

std::string check_once_node(const once_node& node) {
    if (load_word(node.done) > 1) return "once: neither done nor not";
    return check_mutex_node(node.lock, object_kind::mutex);
}

std::string check_once(const segment& s, const once_node& node, arena_audit& audit) {
    audit.reached(s.offset_of(&node), sizeof node);
    return check_once_node(node);
}

}  // namespace detail

void once::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<once_node>(node);
    if (found == nullptr || !check_once_node(*found).empty())
        throw_corrupt(s, "the node of a once makes no sense");
}

segment_offset once::create(root_transaction& tx) {
    const segment_offset offset = allocate(tx, sizeof(once_node));
    zero_shared(tx.in().at<once_node>(offset), sizeof(once_node));
    // A stale count of starving threads would make the first newcomer sleep for nothing.
    store_word(tx.slot().events[0].waiters, 0);
    return offset;
}

bool once::done() const {
    // acquire: pairs with the release of say_done(); who sees it done sees what was done
    const std::uint64_t is_done = __atomic_load_n(&node_ref().done, __ATOMIC_ACQUIRE);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
    return is_done != 0;
}

void once::require_not_inside() const {
    if (!lock_.is_owned()) return;
    throw would_deadlock("call of " + describe_object(in(), slot()) +
                         ": this thread is in its initializer, and would wait for itself");
}

void once::begin() const {
    require_writable();
    require_not_inside();
    lock_.lock();
}

bool once::begin_before(steady_time deadline) const {
    require_writable();
    require_not_inside();
    return deadline == no_deadline ? (lock_.lock(), true) : lock_.try_lock_until(deadline);
}

void once::say_done() const {
    if (!lock_.is_owned()) {
        throw invalid_state("call of " + describe_object(in(), slot()) +
                            ": this is a child that its initializer has forked, which is its parent's alone");
    }
    // release: pairs with the acquire of done()
    __atomic_store_n(&node_ref().done, 1, __ATOMIC_RELEASE);
}

void once::append_repr_to(std::string& text) const {
    text += done() ? "once(done)" : "once(not done)";
}

void once::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI
