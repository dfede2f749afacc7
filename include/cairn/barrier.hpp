// barrier.hpp - cairn::barrier: a number of parties wait until all of them have come, again and again (Python: Manager().Barrier).
//
//   auto b = m.barrier("b", 4);              // find or create, for four parties: threads of any processes
//   const auto index = b.arrive_and_wait();  // 0 to 3, each once
//   b.enroll();                              // the end of this process breaks it from now on, also before it has come
//
// Stored        one barrier_node, and a record for each process that has taken part (detail/sync/sync_layout.hpp), in its root's
//               arena.
// Handle        a barrier is a pointer: copies refer to the same one, and keep the mapping alive.
// Protected by  the root's lock.
// Commit        one transaction for each arrival, abort and reset. Those who wait are woken before it, still under the lock.
// Death         of a process that has taken part since the last reset, or is enrolled, breaks the barrier, as does its ordinary end:
//               who waits finds out at its tick, and everybody gets broken_barrier, which names the dead. A round that was full
//               has passed all the same.
//
// Cost          one lock for each arrival, and another one after the sleep; one wake of all who sleep for each round.
// Safety        every operation is thread-safe, process-shared, crash-atomic and fork-safe; none is signal-safe. All but broken(),
//               waiting() and parties() throw would_deadlock in callbacks of other operations, and all object_gone when the barrier is
//               removed, also where it is waited for.
//
// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cairn/detail/base/language.hpp>

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <stop_token>
#include <string>
#include <utility>

#include <cairn/detail/base/deadline.hpp>
#include <cairn/detail/base/standard.hpp>
#include <cairn/detail/containers/object_handle.hpp>
#include <cairn/detail/sync/sync_layout.hpp>

namespace cairn::inline CAIRN_ABI {

class CAIRN_API barrier : public detail::object_handle {
public:
    using is_cairn_handle = void;
    static constexpr detail::object_kind kind = detail::object_kind::barrier;

    /// Waits until as many have come as there are parties. Returns which of them this one was: 0 for the first, parties() - 1 for the
    /// last.
    /// @throws broken_barrier  it is broken, or gets so meanwhile; says by what, and names the dead
    /// @throws segment_full    no memory to write down who takes part; it has not come then
    /// @throws object_gone     it was removed before or meanwhile
    std::size_t arrive_and_wait() const { return wait_before(detail::no_deadline, {}); }
    /// As arrive_and_wait(). A stop breaks the barrier, for all.
    std::size_t arrive_and_wait(const std::stop_token& stop) const {
        return wait_before(detail::no_deadline, stop);
    }
    /// As arrive_and_wait(), no longer than that. When the time is up first, the barrier is broken, for all: nobody comes back who could
    /// be counted on.
    /// @throws timeout_error  its lock was not free before; then this one has not come, and nothing is broken
    template <typename Rep, typename Period>
    std::size_t wait_for(std::chrono::duration<Rep, Period> timeout, const std::stop_token& stop = {}) const {
        return wait_before(detail::wait_limit(timeout), stop);
    }
    template <typename Clock, typename Duration>
    std::size_t wait_until(std::chrono::time_point<Clock, Duration> deadline,
                           const std::stop_token& stop = {}) const {
        arrival mine = arrive_before(detail::wait_limit(detail::time_left(deadline)), stop);
        static_cast<void>(detail::attempt_until_time(
            deadline, [&] { return stop.stop_requested(); },
            [&](detail::steady_time until) { return wait_for_end(mine, until, stop); }));
        return leave(mine);
    }

    /// Breaks it: whoever waits or comes gets broken_barrier, until a reset().
    void abort() const;
    /// As new: whole, and nobody has taken part. Who waits gets broken_barrier.
    void reset() const;
    /// The end of this process breaks the barrier from now on, until a reset(). @throws broken_barrier, segment_full
    void enroll() const;

    /// Takes no lock; a death that nobody has found yet has not broken it.
    [[nodiscard]] bool broken() const;
    /// How many must come.
    [[nodiscard]] std::size_t parties() const;
    /// How many have come and wait (Python: n_waiting). Takes no lock.
    [[nodiscard]] std::size_t waiting() const;

    /// "barrier(2 of 4)", "barrier(broken)"
    void append_repr_to(std::string& text) const;
    friend std::ostream& operator<<(std::ostream& to, const barrier& b) {
        b.write_to(to);
        return to;
    }
    friend bool operator==(const barrier& a, const barrier& b) noexcept { return a.same_object(b); }

    /// For the manager.
    explicit barrier(detail::root_reference root) noexcept : object_handle(std::move(root)) {}
    static std::string type_name() { return {}; }
    static void validate(const detail::segment& s, detail::segment_offset node);
    static detail::segment_offset create(detail::root_transaction& tx, std::uint32_t parties);
    /// Throws type_mismatch.
    void require_parties(std::int64_t parties) const;

private:
    /// One party's part in a round.
    struct arrival {
        std::uint64_t round;
        std::uint32_t index;
        bool is_over;             // how is told by the other two
        bool has_passed = false;  // else it has failed
        std::string why = {};
    };

    [[nodiscard]] detail::barrier_node& node_ref() const noexcept {
        return *in().template at<detail::barrier_node>(node());
    }
    void require_there() const;
    [[nodiscard]] std::size_t wait_before(detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] arrival arrive_before(detail::steady_time deadline, const std::stop_token& stop) const;
    [[nodiscard]] arrival arrive(detail::root_transaction& tx) const;
    /// False when the time was up first.
    bool wait_for_end(arrival& mine, detail::steady_time deadline, const std::stop_token& stop) const;
    void be_member(detail::root_transaction& tx) const;
    void fail(detail::root_transaction& tx, detail::barrier_end end, std::uint32_t culprit) const;
    void break_by(detail::root_transaction& tx, detail::barrier_end end, std::uint32_t culprit) const;
    void honour_mark(detail::root_transaction& tx) const;
    [[nodiscard]] bool look_around() const;
    /// The index. A round that is not over is broken by that.
    std::size_t leave(arrival& mine) const;
    void break_round(arrival& mine) const;
    [[nodiscard]] std::string describe_end(detail::root_transaction& tx) const;
    [[noreturn]] void throw_broken(const std::string& why) const;
    void write_to(std::ostream& to) const;
};

}  // namespace cairn::inline CAIRN_ABI
