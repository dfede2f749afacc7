// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/containers/queue_waiting.hpp"

#include <cairn/detail/containers/queue_holders.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

std::uint32_t event_of(const queue_node& node, queue_wait what) noexcept {
    switch (what) {
        case queue_wait::item: return event_of_items(node);
        case queue_wait::room: return queue_has_room;
        case queue_wait::all_done: break;
    }
    return queue_all_done;
}

// What who waits does for himself, and so for others: what the dead had comes back. Nothing of it under the lock of the attempt.
class idle_work {
public:
    idle_work(const queue_operation& operation, queue_progress& progress) noexcept
        : of_(operation), progress_(progress) {}

    // After an attempt in vain: true when it has done something that is worth another one.
    bool run() const {
        switch (of_.what) {
            case queue_wait::item: return sweep();
            case queue_wait::room: return forget_places();
            case queue_wait::all_done: break;
        }
        return settle();
    }

    // At each tick of a wait; the same.
    bool at_tick() const {
        switch (of_.what) {
            case queue_wait::item: return sweep_if_due(of_.in, of_.slot, of_.generation, of_.node);
            case queue_wait::room: return forget_places();
            case queue_wait::all_done: break;
        }
        return is_sweep_due(node_with_leases(of_.in, of_.slot, of_.node)) && settle();
    }

    // After a wait in vain: whether the next one may be for ever unless run() is called first.
    [[nodiscard]] bool is_wanted() const noexcept {
        return of_.what == queue_wait::item && progress_.is_asked;
    }

    static bool sweep_if_due(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
        if (!may_have_leases(node)) return false;
        queue_node& with_leases = node_with_leases(s, slot, node);
        return load_word(with_leases.leased_count) != 0 && is_sweep_due(with_leases) &&
               sweep_dead(s, slot, generation, node);
    }

private:
    // Of who gets. What the dead have on lease is not lost: whoever finds nothing looks for it, and only then believes that a
    // closed queue is at its end.
    bool sweep() const {
        if (!may_have_leases(of_.node)) return false;
        progress_.is_swept = load_enum(of_.node.state) != queue_state::open;
        return sweep_dead(of_.in, of_.slot, of_.generation, of_.node) || progress_.is_swept;
    }

    // Of who puts: places that were kept for somebody who is dead are anybody's.
    bool forget_places() const {
        return load_word(of_.node.batch_putter) != 0 &&
               forget_places_of_dead(of_.in, of_.slot, of_.generation, of_.node);
    }

    // Of who joins: what the dead have taken is done, or waits again.
    bool settle() const {
        const bool has_written_off = write_off_dead(of_.in, of_.slot, of_.generation, of_.node);
        return return_leases_of_dead(of_.in, of_.slot, of_.generation,
                                     node_with_leases(of_.in, of_.slot, of_.node)) ||
               has_written_off;
    }

    const queue_operation& of_;
    queue_progress& progress_;
};

}  // namespace

void pass_wake_on(root_transaction& tx, const queue_node& node, queue_wait what) noexcept {
    wake(tx, event_of(node, what), 1);
}

void sweep_before(segment& s, root_slot& slot, std::uint64_t generation, queue_node& node) {
    static_cast<void>(idle_work::sweep_if_due(s, slot, generation, node));
}

bool attempt_again(const queue_operation& operation, queue_progress& progress, std::uint64_t seen,
                   attempt_reference attempt) {
    const queue_operation& of = operation;
    const operation_limit limit = {of.deadline, &of.stop};
    const idle_work idle(of, progress);
    const auto try_once = [&](root_transaction& tx) {
        try {
            return attempt(tx, progress);
        } catch (...) {
            pass_wake_on(tx, of.node, of.what);
            throw;
        }
    };
    const auto run_idle = [&] {
        const limited_locks in_time(limit);
        return idle.run();
    };
    const auto run_at_tick = [&] {
        const limited_locks in_time(limit);
        return idle.at_tick();
    };
    try {
        if (run_idle()) {
            const limited_locks in_time(limit);
            root_transaction tx(of.in, of.slot, of.generation);
            if (try_once(tx)) return true;
            seen = load_word(watched_word(of.node, of.what));
        }
    } catch (const limit_reached&) {
        return false;
    } catch (...) {
        throw;  // here the lock is given back: the program may end by it
    }
    if (of.deadline <= already_over) return false;
    root_wait wait(of.in, of.slot, of.generation, event_of(of.node, of.what), of.deadline, of.stop);
    try {
        for (;;) {
            wait.pause(watched_word(of.node, of.what), seen, run_at_tick);
            for (bool is_last = false; !is_last;) {
                {
                    const limited_locks in_time(limit);
                    root_transaction tx(of.in, of.slot, of.generation);
                    if (try_once(tx)) return true;
                    is_last = !idle.is_wanted();
                    if (is_last && !wait.may_go_on(tx)) return false;
                    seen = load_word(watched_word(of.node, of.what));
                }
                if (!is_last) static_cast<void>(run_idle());
            }
        }
    } catch (const limit_reached&) {
        wait.pass_wake_on();
        return false;
    } catch (const timeout_error&) {
        wait.pass_wake_on();
        throw;
    } catch (...) {
        throw;
    }
}

}  // namespace cairn::inline CAIRN_ABI::detail
