// SPDX-License-Identifier: BSL-1.0
#include "cairn/detail/sync/basic_mutex.hpp"

#include <cerrno>
#include <limits>

#include <linux/futex.h>

#include "os/child.hpp"
#include "segment/lock_timeout.hpp"
#include "segment/segment_guard.hpp"
#include "txn/root_pin.hpp"
#include "txn/root_state.hpp"
#include <cairn/detail/arena/arena.hpp>
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/error.hpp>
#include <cairn/repr.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

// The thread is inside an operation while it takes a lock or gives it back, so that a handler that interrupts it does not.
class at_a_lock : private open_transaction {
public:
    at_a_lock() noexcept {
        outer = this_thread.open;
        this_thread.open = this;
        order_stores();
    }
    at_a_lock(const at_a_lock&) = delete;
    at_a_lock& operator=(const at_a_lock&) = delete;
    ~at_a_lock() {
        if (is_inert) return;  // the parent's of this forked process
        order_stores();
        this_thread.open = outer;
    }
};

}  // namespace

/// The part of a root_transaction that a user's lock has in common with it: what a dead owner has left is repaired.
struct users_lock {
    static void enter(segment& s, root_slot& slot, std::uint64_t generation, int lock_result) {
        open_transaction* const around = this_thread.open;
        root_transaction all(s, slot, generation, lock_result);
        all.hand_over();
        this_thread.open = around;
    }
};

std::string check_mutex_node(const mutex_node& node, object_kind kind) {
    if (load_word(node.state) > static_cast<std::uint32_t>(hold_state::owner_died))
        return "lock: its state is no known one";
    if (kind == object_kind::mutex && load_word(node.depth) != 0) return "lock: it was taken twice";
    return {};
}

std::string check_mutex(const segment& s, const mutex_node& node, object_kind kind, arena_audit& audit) {
    audit.reached(s.offset_of(&node), sizeof node);
    return check_mutex_node(node, kind);
}

void basic_mutex::validate(const segment& s, segment_offset node) {
    const auto* found = s.find<mutex_node>(node);
    if (found == nullptr || !check_mutex_node(*found, object_kind::recursive_mutex).empty())
        throw_corrupt(s, "the node of a lock makes no sense");
}

segment_offset basic_mutex::create(root_transaction& tx) {
    const segment_offset offset = allocate(tx, sizeof(mutex_node));
    zero_shared(tx.in().at<mutex_node>(offset), sizeof(mutex_node));
    // A stale count of starving threads would make the first newcomer sleep for nothing.
    store_word(tx.slot().events[0].waiters, 0);
    return offset;
}

void basic_mutex::require_held(const char* operation) const {
    if (!is_held_here()) throw_not_held(operation);
}

void basic_mutex::throw_not_held(const char* operation) const {
    if (load_word(slot().generation) != generation() || !is_live(slot())) throw_gone(in(), slot());
    require_writable();
    require_usable_thread();
    const std::string what = std::string(operation) + " " + describe_object(in(), slot()) + ": ";
    const lock_word word = inspect(slot().lock);
    if (word.owner_died) throw invalid_state(what + "its owner has died, and nobody has taken it since");
    if (word.thread_id == 0) throw invalid_state(what + "nobody holds it");
    throw invalid_state(what + "held by " + describe_thread(in(), load_word(slot().lock.holder)) +
                        ", this is " + describe_thread(in(), in().own_token()));
}

bool basic_mutex::lock_slowly(int result, steady_time deadline, const std::stop_token* stop) const {
    require_writable();
    require_usable_thread();
    if (this_thread.open != nullptr) require_outside("lock of", in(), slot(), "");
    root_slot& root = slot();
    // Not where it was taken just now, and only has to be repaired.
    if (is_recursive_ && (result == EAGAIN || result == EBUSY) && is_held_here()) {
        mutex_node& n = node_ref();
        const std::uint32_t depth = load_word(n.depth);
        if (depth == std::numeric_limits<std::uint32_t>::max())
            throw invalid_state("lock of " + describe_object(in(), root) + ": taken too often");
        store_word(n.depth, depth + 1);
        return true;
    }
    const at_a_lock here;
    if (result == EAGAIN) {
        // A starving waiter comes first; try_lock() does not wait for it.
        result = EBUSY;
        if (load_word(starving()) == 0 || deadline == at_once)
            result = detail::try_lock(root.lock, in().own_token());
    }
    if (result != 0 || load_word(root.log_head) != 0 || load_word(root.generation) != generation() ||
        !is_live(root)) {
        if (!enter(result, deadline, stop)) return false;
    }
    say_held();
    return true;
}

bool basic_mutex::enter(int result, steady_time deadline, const std::stop_token* stop) const {
    root_slot& root = slot();
    const operation_limit own = {deadline, stop != nullptr && stop->stop_possible() ? stop : nullptr};
    const limited_locks in_time(own);
    try {
        if (result == EBUSY && load_word(root.generation) != generation()) throw_gone(in(), root);
        if (result == EBUSY && deadline == at_once && !is_held_by_nobody(root.lock, {})) return false;
        if (result == EBUSY) {
            const lock_watch watch(root.lock);
            result = lock_contended(root.lock, in().own_token(), limit_in(in()), judge_of(in()), &starving());
            if (result == EDEADLK) return wait_in_vain(deadline, own.stop);
            if (result == ECANCELED) return false;
            if (result == ETIMEDOUT && deadline == at_once) return false;
            if (result == ETIMEDOUT) watch.throw_timeout("lock of " + describe_object(in(), root));
            if (result == 0 || result == EOWNERDEAD)
                store_word(root.contended_count, load_word(root.contended_count) + 1);
        }
        users_lock::enter(in(), root, generation(), result);
        return true;
    } catch (const limit_reached&) {
        return false;
    }
}

// This thread holds it: nobody else could give it back.
bool basic_mutex::wait_in_vain(steady_time deadline, const std::stop_token* stop) const {
    if (deadline == no_deadline && stop == nullptr) {
        throw would_deadlock("lock of " + describe_object(in(), slot()) +
                             ": this thread holds it, and would wait for itself; an rlock can be taken again "
                             "by its owner");
    }
    constexpr std::chrono::milliseconds most_nap(10);  // a stop is found after that
    lock_limit limit;
    limit.deadline = deadline;
    limit.stop = stop;
    limited_wait wait(limit);
    while (wait.is_over() == wait_end::none) {
        const auto nap = wait.next_look(most_nap) - std::chrono::steady_clock::now();
        if (nap.count() > 0) os::sleep_for(nap);
    }
    return false;
}

bool basic_mutex::lock_again(steady_time deadline, const std::stop_token& stop) const {
    if (deadline == no_deadline && !stop.stop_possible()) {
        lock();
        return true;
    }
    return lock_before(deadline, &stop) || lock_before(deadline_after(try_lock_patience), nullptr);
}

std::string basic_mutex::describe_with_holder() const {
    std::string text = describe_object(in(), slot());
    const lock_word word = inspect(slot().lock);
    if (word.thread_id != 0 && !word.owner_died)
        text += ", held by " + describe_thread(in(), load_word(slot().lock.holder));
    return text;
}

bool basic_mutex::owner_died() const {
    return is_held_here() &&
           load_word(node_ref().state) == static_cast<std::uint32_t>(hold_state::owner_died);
}

void basic_mutex::mark_consistent() const {
    require_held("mark_consistent of");
    store_word(node_ref().state, static_cast<std::uint32_t>(hold_state::held));
}

std::uint64_t basic_mutex::fence() const {
    const std::uint64_t count = acquired_count(slot().lock);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the look at the generation comes after
    if (load_word(slot().generation) != generation()) throw_gone(in(), slot());
    return count;
}

bool basic_mutex::is_locked() const {
    const lock_word word = inspect(slot().lock);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);  // the same
    if (load_word(slot().generation) != generation()) throw_gone(in(), slot());
    return word.thread_id != 0 && !word.owner_died;
}

bool basic_mutex::is_owned() const {
    if (load_word(slot().generation) != generation()) throw_gone(in(), slot());
    return is_held_here();
}

std::uint64_t mutex_word::load(const basic_mutex& of) noexcept {
    return load_word(of.node_ref().word);
}

void mutex_word::store(const basic_mutex& of, std::uint64_t word) noexcept {
    store_word(of.node_ref().word, word);
}

void basic_mutex::append_repr_to(std::string& text) const {
    const bool locked = is_locked();
    text += kind_name(static_cast<object_kind>(load_word(slot().kind)));
    text += locked ? "(held by " + describe_thread(in(), load_word(slot().lock.holder)) + ")" : "(free)";
}

void basic_mutex::write_to(std::ostream& to) const {
    std::string text;
    append_repr_to(text);
    write(to, text);
}

}  // namespace cairn::inline CAIRN_ABI::detail
