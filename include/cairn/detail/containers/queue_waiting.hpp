// queue_waiting.hpp - operations of a queue that may have to wait: one attempt under the lock, inline, and everything after it
// that is in vain, which is compiled once for all types.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstdint>
#include <stop_token>

#include <cairn/detail/containers/queue_core.hpp>
#include <cairn/detail/containers/queue_leases.hpp>
#include <cairn/detail/containers/waiting.hpp>

namespace cairn::inline CAIRN_ABI::detail {

/// What an operation of a queue waits for.
enum class queue_wait : std::uint8_t {
    item,
    room,
    all_done  // join
};

/// What the attempts of one operation tell each other.
struct queue_progress {
    bool is_swept = false;  // of who gets: the dead were looked for since the queue was closed
    bool is_asked = false;  // of who gets: only that is missing to find the end of a closed queue
};

/// An operation that may have to wait; lives while it does.
struct queue_operation {
    segment& in;
    root_slot& slot;
    std::uint64_t generation;
    queue_node& node;
    queue_wait what;
    steady_time deadline;
    const std::stop_token& stop;
};

/// An attempt of any kind.
class attempt_reference {
public:
    template <typename Attempt>
    explicit attempt_reference(const Attempt& attempt) noexcept
        : attempt_(&attempt), call_([](const void* a, root_transaction& tx, queue_progress& progress) {
              return (*static_cast<const Attempt*>(a))(tx, progress);
          }) {}
    bool operator()(root_transaction& tx, queue_progress& progress) const {
        return call_(attempt_, tx, progress);
    }

private:
    const void* attempt_;
    bool (*call_)(const void* attempt, root_transaction& tx, queue_progress& progress);
};

/// After an attempt in vain: does what may help (what the dead had comes back), and attempts again until it is done or the time
/// is up; between two attempts waits for a change of the word that was `seen`. Without the lock.
CAIRN_API CAIRN_COLD bool attempt_again(const queue_operation& operation, queue_progress& progress,
                                        std::uint64_t seen, attempt_reference attempt);

/// What an attempt has thrown: a wake that had come for it goes on to the next sleeper. Under the lock.
CAIRN_API CAIRN_COLD void pass_wake_on(root_transaction& tx, const queue_node& node,
                                       queue_wait what) noexcept;

/// Before who gets looks for an item, when something is on lease: whether it is time to look for dead holders.
CAIRN_API CAIRN_COLD void sweep_before(segment& s, root_slot& slot, std::uint64_t generation,
                                       queue_node& node);

/// Something that holders may have died with, or, for dead letters, their queue may have.
CAIRN_INLINE bool may_have_leases(const queue_node& node) noexcept {
    return load_word(node.leased_count) != 0 || load_word(node.is_dead_letters) != 0;
}

CAIRN_INLINE const std::uint64_t& watched_word(const queue_node& node, queue_wait what) noexcept {
    switch (what) {
        case queue_wait::item: return node.tail;
        case queue_wait::room: return node.head;
        case queue_wait::all_done: break;
    }
    return node.done;
}

/// Calls attempt(root_transaction&, queue_progress&) under the lock until it is true or the time is up. It is true when it has
/// done (and committed) its work, or found what it waited for and leaves it to another call. What attempt throws ends it; a
/// wake that had come for it goes on to the next sleeper.
template <queue_wait What, typename Attempt>
CAIRN_INLINE bool attempt_until(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node,
                                steady_time deadline, const std::stop_token& stop, const Attempt& attempt) {
    const operation_limit limit = {deadline, &stop};
    queue_progress progress;
    std::uint64_t seen = 0;
    try {
        const limited_locks in_time(limit);
        if constexpr (What == queue_wait::item) {
            if (may_have_leases(node)) [[unlikely]]
                sweep_before(s, slot, generation, node);
        }
        root_transaction tx(s, slot, generation);
        try {
            if (attempt(tx, progress)) [[likely]]
                return true;
        } catch (...) {
            pass_wake_on(tx, node, What);
            throw;
        }
        seen = load_word(watched_word(node, What));
    } catch (const limit_reached&) {
        return false;
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
    return attempt_again({s, slot, generation, node, What, deadline, stop}, progress, seen,
                         attempt_reference(attempt));
}

}  // namespace cairn::inline CAIRN_ABI::detail
