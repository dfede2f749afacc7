// SPDX-License-Identifier: BSL-1.0
#include "containers/channel_ends.hpp"

#include <string>

#include "segment/participants.hpp"
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

[[noreturn]] void throw_taken(const channel_reference& c, channel_end end, thread_token owner) {
    const bool is_producer = end == producer_end;
    throw invalid_state(std::string(is_producer ? "put into " : "get from ") + describe_object(c.in, c.slot) +
                        ": a channel has one " + (is_producer ? "producer" : "consumer") + ", and that is " +
                        describe_thread(c.in, owner) + "; it lives, and has not called " +
                        (is_producer ? "release_producer()" : "release_consumer()"));
}

}  // namespace

void claim_end(const channel_reference& c, channel_end end) {
    root_transaction tx(c.in, c.slot, c.generation);
    // Left so by a remover of what was here before, who was killed: nobody gets in as long as it is odd.
    if (load_word(c.slot.version) % 2 != 0) tx.begin_change();
    stored_pin& pin = pin_of(c.slot, end);
    const thread_token own = c.in.own_token();
    const thread_token owner = load_word(pin.owner);
    if (owner != own) {
        if (owner != 0 && is_thread_alive(c.in, owner)) throw_taken(c, end, owner);
        // 1. The one before may have died inside. What it has not decided is nobody's.
        clear_holder(c.in, c.slot, pin);
        // 2. One store. A death before it: the end is free; after it: it is a dead one's.
        store_word(pin.owner, own);
        // 3. It may have died asleep; nobody needs to wake it any more.
        store_word(c.slot.events[end == producer_end ? channel_has_room : channel_has_item].waiters, 0);
        return;
    }
    clear_holder(c.in, c.slot, pin);
}

void release_end(const channel_reference& c, channel_end end) {
    root_transaction tx(c.in, c.slot, c.generation);
    stored_pin& pin = pin_of(c.slot, end);
    if (load_word(pin.owner) == c.in.own_token()) store_word(pin.owner, 0);
}

}  // namespace cairn::inline CAIRN_ABI::detail
