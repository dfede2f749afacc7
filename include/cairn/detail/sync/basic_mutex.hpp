// basic_mutex.hpp - what cairn::mutex and cairn::recursive_mutex have in common.
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cerrno>
#include <cstdint>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/os/robust_mutex.hpp>
#include <cairn/detail/os/thread_state.hpp>
#include <cairn/detail/sync/sync_layout.hpp>

namespace cairn::inline CAIRN_ABI {

/// For lock(recover, fn).
struct recover_t {
    explicit recover_t() = default;
};
inline constexpr recover_t recover{};

class condition;

namespace detail {

class CAIRN_API basic_mutex : public object_handle {
public:
    using is_cairn_handle = void;

    /// Waits until the lock is free, and takes it.
    /// @throws would_deadlock  this thread holds it already (a mutex), or is in a callback of another operation
    /// @throws timeout_error   not within the manager's `.lock_timeout`; names the holder
    /// @throws object_gone     it was removed before or meanwhile
    CAIRN_INLINE void lock() const { static_cast<void>(lock_before(no_deadline, nullptr)); }
    /// As lock(). False when a stop was requested first.
    bool lock(const std::stop_token& stop) const { return lock_before(no_deadline, &stop); }
    /// As lock(); when the last owner has died, calls fn() with the lock held, and then mark_consistent(). What fn throws
    /// comes out with the lock free, and the next owner finds owner_died() again.
    template <typename Fn>
    void lock(recover_t /*how*/, Fn&& fn) const;
    /// False when another thread holds it, or this one (a mutex). Does not wait for the lock; where a dead owner has left work, a second
    /// at most for what that needs, and then throws timeout_error.
    bool try_lock() const { return lock_before(at_once, nullptr); }
    /// As lock(), waiting no longer than that. False when the time was up first; also where this thread holds it (a mutex).
    template <typename Rep, typename Period>
    bool try_lock_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return lock_before(wait_limit(timeout), &stop);
    }
    template <typename Clock, typename Duration>
    bool try_lock_until(std::chrono::time_point<Clock, Duration> deadline,
                        const std::stop_token& stop = {}) const {
        return attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](steady_time until) { return lock_before(until, &stop); });
    }
    /// Gives it back. Does not throw where this thread is the owner.
    /// @throws invalid_state  it is not: says who is
    CAIRN_INLINE void unlock() const {
        if (!is_held_here()) [[unlikely]]
            throw_not_held("unlock");
        give_back(hold_state::free);
    }

    /// Whether the owner before was killed, or ended, while it held the lock: until mark_consistent() or unlock(). False where this
    /// thread does not hold it.
    [[nodiscard]] bool owner_died() const;
    /// What the lock protects is in order again. @throws invalid_state  this thread is not the owner
    void mark_consistent() const;
    /// A number that grows with each acquisition, by anybody: what is written elsewhere together with it can be refused from an owner
    /// that has lost the lock.
    [[nodiscard]] std::uint64_t fence() const;
    /// Whether a living thread holds it, at this moment.
    [[nodiscard]] bool is_locked() const;
    /// Whether this thread does.
    [[nodiscard]] bool is_owned() const;

    /// "lock(free)", "rlock(held by pid 4711)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const basic_mutex& l) {
        l.write_to(to);
        return to;
    }
    friend bool operator==(const basic_mutex& a, const basic_mutex& b) noexcept { return a.same_object(b); }

    /// For the manager. The type of an element: there is none.
    static std::string type_name() { return {}; }
    static void validate(const segment& s, segment_offset node);
    static segment_offset create(root_transaction& tx);

protected:
    basic_mutex(root_reference root, bool is_recursive) noexcept
        : object_handle(std::move(root)), is_recursive_(is_recursive) {}

private:
    friend class cairn::condition;
    class unlocks_unrepaired;
    friend struct mutex_word;

    /// After a wait with that limit: as lock() where it had none, else a second beyond it at most.
    [[nodiscard]] bool lock_again(steady_time deadline, const std::stop_token& stop) const;
    /// "lock 'l' in segment 'jobs', held by pid 4711"
    [[nodiscard]] std::string describe_with_holder() const;

    CAIRN_INLINE bool lock_before(steady_time deadline, const std::stop_token* stop) const;
    /// What is not as usual. `result`: of try_lock(), or EAGAIN where that was not called.
    CAIRN_COLD bool lock_slowly(int result, steady_time deadline, const std::stop_token* stop) const;
    bool enter(int result, steady_time deadline, const std::stop_token* stop) const;
    [[nodiscard]] bool wait_in_vain(steady_time deadline, const std::stop_token* stop) const;
    [[nodiscard]] mutex_node& node_ref() const noexcept { return *in().template at<mutex_node>(node()); }
    [[nodiscard]] CAIRN_INLINE bool is_held_here() const noexcept;
    CAIRN_INLINE void say_held() const noexcept;
    void require_held(const char* operation) const;
    [[noreturn]] CAIRN_COLD void throw_not_held(const char* operation) const;
    /// One acquisition; `as` counts for the last one.
    CAIRN_INLINE void give_back(hold_state as) const noexcept;
    /// How many threads starve (os/robust_mutex.hpp): in the place where others say that somebody may wait for an event, since
    /// nobody does that at a lock's root. A word of the slot: it may be wrong for a later object there, as that one.
    [[nodiscard]] CAIRN_INLINE std::uint32_t& starving() const noexcept { return slot().events[0].waiters; }
    void write_to(std::ostream& to) const;

    bool is_recursive_;
};

/// A word beside the lock, for a process of which a thread has it: no other one writes or reads it meanwhile, and it stays when the owner
/// dies. A store of it is seen whole, or not at all.
struct CAIRN_API mutex_word {
    static std::uint64_t load(const basic_mutex& of) noexcept;
    static void store(const basic_mutex& of, std::uint64_t word) noexcept;
};

/// While fn of lock(recover, fn) runs: what it throws leaves the lock as that of a dead owner.
class basic_mutex::unlocks_unrepaired {
public:
    explicit unlocks_unrepaired(const basic_mutex& of) noexcept : of_(&of) {}
    unlocks_unrepaired(const unlocks_unrepaired&) = delete;
    unlocks_unrepaired& operator=(const unlocks_unrepaired&) = delete;
    ~unlocks_unrepaired() {
        if (of_ != nullptr && of_->is_held_here()) of_->give_back(hold_state::owner_died);
    }
    void repaired() noexcept { of_ = nullptr; }

private:
    const basic_mutex* of_;
};

// ---- inline ------------------------------------------------------------------------------------------------------------

CAIRN_INLINE bool basic_mutex::is_held_here() const noexcept {
    // In a forked child the thread's id is still its parent's until it has used Cairn.
    if (this_thread.checked != *process_mark) [[unlikely]]
        return false;
    const stored_mutex& m = slot().lock;
    return (futex_half(load_word(m.word)) & (FUTEX_TID_MASK | FUTEX_OWNER_DIED)) == this_thread.thread_id &&
           load_word(m.holder) == in().own_token() && load_word(slot().generation) == generation();
}

CAIRN_INLINE void basic_mutex::say_held() const noexcept {
    mutex_node& n = node_ref();
    const bool is_in_order = load_word(n.state) == static_cast<std::uint32_t>(hold_state::free);
    if (!is_in_order) [[unlikely]]
        store_word(n.depth, 0);
    order_stores();
    // A death before this store: the lock was not held yet. After it: it was.
    store_word(n.state, static_cast<std::uint32_t>(is_in_order ? hold_state::held : hold_state::owner_died));
    order_stores();
}

CAIRN_INLINE bool basic_mutex::lock_before(steady_time deadline, const std::stop_token* stop) const {
    thread_state& thread = this_thread;
    root_slot& root = slot();
    int result = EAGAIN;
    if (thread.checked == *process_mark && thread.open == nullptr && in().is_writable() &&
        load_word(starving()) == 0) [[likely]] {
        // Inside an operation meanwhile, so that a handler that interrupts this does not begin another one.
        open_transaction here;
        thread.open = &here;
        order_stores();
        result = detail::try_lock(root.lock, in().own_token());
        order_stores();
        thread.open = nullptr;
        if (result == 0 && load_word(root.log_head) == 0 && load_word(root.generation) == generation() &&
            load_word(root.state) == static_cast<std::uint32_t>(root_state::live)) [[likely]] {
            say_held();
            return true;
        }
    }
    return lock_slowly(result, deadline, stop);
}

CAIRN_INLINE void basic_mutex::give_back(hold_state as) const noexcept {
    mutex_node& n = node_ref();
    if (const std::uint32_t depth = load_word(n.depth); depth != 0) [[unlikely]] {
        store_word(n.depth, depth - 1);
        return;
    }
    thread_state& thread = this_thread;
    open_transaction here;
    here.outer = thread.open;
    thread.open = &here;
    order_stores();
    store_word(n.state, static_cast<std::uint32_t>(as));
    order_stores();  // a death after it: what the lock protects is in order
    detail::unlock(slot().lock);
    order_stores();
    thread.open = here.outer;
}

template <typename Fn>
void basic_mutex::lock(recover_t /*how*/, Fn&& fn) const {
    lock();
    if (!owner_died()) return;
    unlocks_unrepaired unless(*this);
    call_with(std::forward<Fn>(fn));
    mark_consistent();
    unless.repaired();
}

}  // namespace detail

}  // namespace cairn::inline CAIRN_ABI
