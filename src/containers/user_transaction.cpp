// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/user_transaction.hpp"

#include <cairn/detail/arena/arena.hpp>

namespace cairn::inline CAIRN_ABI::detail {

user_transaction::user_transaction(segment& s, root_slot& slot, std::uint64_t generation)
    : tx_(s, slot, generation) {
    tx_.let_join(freed_);
}

user_transaction::user_transaction(segment& s, root_slot& slot, std::uint64_t generation,
                                   user_transaction& first)
    : tx_(s, slot, generation, &first.tx_) {
    tx_.let_join(freed_, true);
}

user_transaction::~user_transaction() {
    // A signal handler that interrupts what follows joins nothing.
    tx_.end_joining();
}

void user_transaction::free_all() {
    tx_.require_own();
    tx_.end_joining();
    tx_.require_sound();
    if (tx_.has_joined()) return;
    for (const freed_block& each : freed_) deallocate(tx_, each.offset, each.bytes);
}

void user_transaction::commit() {
    free_all();
    tx_.commit();
}

}  // namespace cairn::inline CAIRN_ABI::detail
