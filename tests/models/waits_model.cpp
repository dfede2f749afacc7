// waits_model.cpp - waiting for a change of a root: src/txn/events.cpp, src/os/robust_mutex.cpp, and the writer's order
// of include/cairn/detail/txn/root_transaction.hpp.
//
// A bounded queue, reduced to its count. Putters wait for the event "not full" and wake "not empty", takers the reverse.
// What is modelled, with the names of the code:
//
//   owner, waiters, died   the lock word: thread, FUTEX_WAITERS, FUTEX_OWNER_DIED. Unlocking
//                          stores 0, and so drops the waiters bit; who has slept sets it again when it locks.
//   pending                the kernel's list_op_pending: a death between unlocking and waking, or in a lock's sleep,
//                          wakes one sleeper if the word is 0, and only then
//   count, log, old        the stored word, whether it is in the undo log, and its old value
//   sequence, flag         stored_event_count::sequence and ::waiters
//   queue                  the sleepers in the kernel, oldest first: of each event, and of the lock
//
// The rule under test: in no interleaving does somebody sleep while its predicate holds and nobody is up who would look;
// with one exception, which is what ticks are for: somebody was killed with a wake in its hand.
//
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <cstring>
#include <utility>

#include "checker.hpp"

namespace {

using cairn_model::way;
using std::uint8_t;

constexpr int most_processes = 4;
constexpr int event_not_empty = 0;
constexpr int event_not_full = 1;
constexpr int lock_queue = 2;
constexpr int everybody = 99;

enum class at : uint8_t {
    done,
    dead,
    lock,  // try_lock, or lock_contended up to its sleep
    lock_sleep,
    lock_asleep,
    recover_replay,
    recover_empty_log,
    recover_bump,  // of the event `step`
    recover_wake,
    recover_flag,
    look,
    log,
    log_counts,
    store,
    wake_bump,
    wake,
    wake_flag,
    commit,
    unlock,
    unlock_wake,
    register_flag,
    register_sequence,
    sleep,
    asleep,
    peek,
    stop_bump,  // disturb_sleepers(), as a stop_token's callback does
    stop_wake,
};

enum class after_unlock : uint8_t { end, sleep, late_wake, late_reset };

struct process {
    at pc;
    after_unlock next;
    uint8_t is_dying;
    uint8_t operations;       // left to do
    uint8_t sequence;         // what to sleep on
    uint8_t seen_owner;       // whom the lock's sleep is about
    uint8_t assumes_waiters;  // has slept on the lock
    uint8_t is_pending;
    uint8_t holds_event_wake;  // woken, and has not yet looked or taken
    uint8_t holds_lock_wake;
    uint8_t is_leaving;  // the time is up, or a stop was asked for
    uint8_t step;        // of recovery
};

struct state {
    uint8_t owner;  // process + 1
    uint8_t waiters;
    uint8_t died;
    uint8_t count;
    uint8_t log;
    uint8_t old;
    uint8_t kills;
    uint8_t wake_is_lost;          // with somebody killed who did not hold the lock
    uint8_t wake_is_lost_in_lock;  // with the lock's owner: until the lock is recovered
    std::array<uint8_t, 2> sequence;
    std::array<uint8_t, 2> flag;
    std::array<std::array<uint8_t, most_processes>, 3> queue;
    std::array<process, most_processes> p;

    bool operator==(const state& other) const noexcept {
        return std::memcmp(this, &other, sizeof other) == 0;
    }
};

enum class flag_reset : uint8_t { when_nobody_was_there, after_every_wake, without_the_lock };

// Each field but the first group leaves out one rule when it is not what it says here.
struct rules {
    int putters = 1;
    int takers = 2;
    int stoppers = 0;
    int capacity = 1;
    int count = 0;                      // at first
    std::array<int, 2> sizes = {1, 1};  // how many items the puts of each putter put at once
    int puts = 2;
    int takes = 1;
    int kills = 0;
    bool may_leave = false;       // waits have a deadline
    bool looks_at_ticks = false;  // a tick looks without the lock first

    bool wake_before_commit = true;
    bool wake_under_lock = true;
    bool bump = true;
    bool wake_all_enabled = true;  // as many as were enabled, not one
    bool register_under_lock = true;
    bool look_before_leaving = true;
    bool keep_old_sequence = true;
    bool recovery_wakes = true;
    flag_reset reset = flag_reset::when_nobody_was_there;
    bool event_tick = true;
    bool lock_tick = true;
};

class waits {
public:
    explicit waits(const rules& r) : r_(r), count_(r.putters + r.takers + r.stoppers) {}

    cairn_model::explorer<state>::result run() const {
        state first = {};
        first.count = static_cast<uint8_t>(r_.count);
        for (int i = 0; i < count_; ++i) {
            process& p = first.p[index(i)];
            p.pc = is_stopper(i) ? at::stop_bump : at::lock;
            p.operations = static_cast<uint8_t>(is_stopper(i) ? 1 : is_putter(i) ? r_.puts : r_.takes);
        }
        cairn_model::explorer<state> e;
        e.successors = [this](const state& s, const auto& visit) { successors(s, visit); };
        e.flaw_of_quiet = [this](const state& s) { return flaw(s); };
        e.is_last_resort = [this](const state& s) { return !stranded(s).empty(); };
        e.ticks_must_help = r_.kills != 0;
        return e.run(first);
    }

private:
    using visit_function = cairn_model::explorer<state>::visit;

    static std::size_t index(int i) noexcept { return static_cast<std::size_t>(i); }
    bool is_putter(int i) const noexcept { return i < r_.putters; }
    bool is_stopper(int i) const noexcept { return i >= r_.putters + r_.takers; }
    std::size_t own_event(int i) const noexcept { return is_putter(i) ? event_not_full : event_not_empty; }
    std::size_t other_event(int i) const noexcept { return is_putter(i) ? event_not_empty : event_not_full; }

    bool predicate(const state& s, int i) const noexcept {
        const int count = s.log != 0 ? s.old : s.count;
        return is_putter(i) ? count + size_of(i) <= r_.capacity : count > 0;
    }

    int size_of(int putter) const noexcept { return r_.sizes[index(putter) % r_.sizes.size()]; }

    // How many waiters on the other event the operation enables. Room for several is a predicate of its own: all look.
    int enabled_by(int i) const noexcept {
        if (!r_.wake_all_enabled) return 1;
        if (is_putter(i)) return size_of(i);
        return r_.sizes[0] > 1 || r_.sizes[1] > 1 ? everybody : 1;
    }

    // -- the kernel -------------------------------------------------------------------------------------------------

    static void leave_queue(state& s, std::size_t queue, int i) noexcept {
        auto& q = s.queue[queue];
        std::size_t to = 0;
        for (const uint8_t who : q)
            if (who != 0 && who != i + 1) q[to++] = who;
        for (; to < q.size(); ++to) q[to] = 0;
    }

    static void join_queue(state& s, std::size_t queue, int i) noexcept {
        for (uint8_t& who : s.queue[queue]) {
            if (who != 0) continue;
            who = static_cast<uint8_t>(i + 1);
            return;
        }
    }

    static int futex_wake(state& s, std::size_t queue, int most) noexcept {
        int woken = 0;
        while (woken < most && s.queue[queue][0] != 0) {
            const int i = s.queue[queue][0] - 1;
            process& p = s.p[index(i)];
            leave_queue(s, queue, i);
            ++woken;
            p.pc = at::lock;
            p.sequence = 0;
            if (queue == lock_queue) {
                p.assumes_waiters = 1;
                p.holds_lock_wake = 1;
            } else p.holds_event_wake = 1;
        }
        return woken;
    }

    // exit_robust_list(): the owner's lock, and the operation on a lock that was going on.
    static void reap(state& s, int i) noexcept {
        process& p = s.p[index(i)];
        for (std::size_t queue = 0; queue < s.queue.size(); ++queue) leave_queue(s, queue, i);
        if (s.owner == i + 1) {
            s.owner = 0;
            s.died = 1;
            if (p.holds_event_wake != 0) s.wake_is_lost_in_lock = 1;
            if (s.waiters != 0) futex_wake(s, lock_queue, 1);
        } else {
            const bool word_is_0 = s.owner == 0 && s.died == 0;
            const bool passed_on = p.is_pending != 0 && word_is_0;
            if (passed_on) futex_wake(s, lock_queue, 1);
            if ((p.holds_lock_wake != 0 && !passed_on) || p.holds_event_wake != 0) s.wake_is_lost = 1;
        }
        p = {};
        p.pc = at::dead;
    }

    // -- a process -----------------------------------------------------------------------------------------------------

    static void finish(process& p) noexcept {
        const auto left = static_cast<uint8_t>(p.operations - 1);
        p = {};
        p.operations = left;
        p.pc = left != 0 ? at::lock : at::done;
    }

    void go_on_without_lock(process& p) const noexcept {
        p.holds_lock_wake = p.is_pending = 0;
        switch (std::exchange(p.next, after_unlock::end)) {
            case after_unlock::end: finish(p); break;
            case after_unlock::sleep: p.pc = r_.register_under_lock ? at::sleep : at::register_flag; break;
            case after_unlock::late_wake: p.pc = at::wake_bump; break;
            case after_unlock::late_reset: p.pc = at::wake_flag; break;
        }
    }

    void successors(const state& s, const visit_function& visit) const {
        for (int i = 0; i < count_; ++i) {
            const process& p = s.p[index(i)];
            if (p.pc == at::dead) continue;
            if (p.is_dying != 0) {
                state next = s;
                reap(next, i);
                visit(next, i, "the kernel releases what it held", way::step);
                continue;
            }
            if (p.pc == at::done) continue;
            if (s.kills < r_.kills) {
                state next = s;
                ++next.kills;
                next.p[index(i)].is_dying = 1;
                visit(next, i, "KILLED", way::kill);
            }
            step(s, i, visit);
        }
    }

    void step(const state& s, int i, const visit_function& visit) const {
        state next = s;
        process& p = next.p[index(i)];
        const auto go = [&](at pc, const char* what) {
            p.pc = pc;
            visit(next, i, what, way::step);
        };
        switch (s.p[index(i)].pc) {
            case at::lock: step_lock(s, i, visit); break;
            case at::lock_sleep:
                p.seen_owner = 0;
                if (s.owner == s.p[index(i)].seen_owner && s.waiters != 0) {
                    join_queue(next, lock_queue, i);
                    go(at::lock_asleep, "sleeps for the lock");
                } else {
                    p.assumes_waiters = 1;
                    go(at::lock, "the lock word has changed");
                }
                break;
            case at::lock_asleep:
                if (!r_.lock_tick) break;
                leave_queue(next, lock_queue, i);
                p.is_pending = 0;
                p.pc = at::lock;
                visit(next, i, "tick, in the lock", way::tick);
                break;

            case at::recover_replay:
                if (s.log != 0) next.count = s.old;
                go(at::recover_empty_log, "recovers: old bytes back");
                break;
            case at::recover_empty_log:
                next.log = next.old = 0;
                if (!r_.recovery_wakes) next.wake_is_lost_in_lock = 0;
                go(r_.recovery_wakes ? at::recover_bump : at::look, "recovers: log empty");
                break;
            case at::recover_bump:
                ++next.sequence[p.step];
                go(at::recover_wake, "recovers: bumps an event");
                break;
            case at::recover_wake:
                futex_wake(next, p.step, everybody);
                go(at::recover_flag, "recovers: wakes everyone");
                break;
            case at::recover_flag:
                next.flag[p.step] = 0;
                if (p.step++ == 0) {
                    go(at::recover_bump, "recovers: flag = 0");
                } else {
                    p.step = 0;
                    next.wake_is_lost_in_lock = 0;
                    go(at::look, "recovers: flag = 0, consistent");
                }
                break;

            case at::look:
                if (predicate(s, i)) {
                    go(at::log, "looks: yes");
                } else {
                    p.holds_event_wake = 0;
                    if (s.p[index(i)].is_leaving != 0) go(at::unlock, "looks: no, and leaves");
                    else if (r_.register_under_lock) go(at::register_flag, "looks: no");
                    else {
                        p.next = after_unlock::sleep;
                        go(at::unlock, "looks: no");
                    }
                }
                break;
            case at::log:
                next.old = s.count;
                go(at::log_counts, "writes a record");
                break;
            case at::log_counts:
                next.log = 1;
                go(at::store, "counts the record");
                break;
            case at::store:
                next.count = static_cast<uint8_t>(is_putter(i) ? s.count + size_of(i) : s.count - 1);
                go(r_.wake_before_commit && r_.wake_under_lock ? at::wake_bump : at::commit, "stores");
                break;
            case at::commit:
                next.log = next.old = 0;
                p.holds_event_wake = 0;
                if (!r_.wake_under_lock) p.next = after_unlock::late_wake;
                go(r_.wake_before_commit || !r_.wake_under_lock ? at::unlock : at::wake_bump, "COMMITS");
                break;

            case at::wake_bump:
                if (s.flag[other_event(i)] == 0) {
                    leave_wake(next, i, visit, "nobody waits");
                } else {
                    if (r_.bump) ++next.sequence[other_event(i)];
                    go(at::wake, "bumps the event");
                }
                break;
            case at::wake: {
                const int woken = futex_wake(next, other_event(i), enabled_by(i));
                const bool reset = r_.reset == flag_reset::after_every_wake || woken == 0;
                if (reset && r_.reset == flag_reset::without_the_lock) p.next = after_unlock::late_reset;
                if (reset && r_.reset != flag_reset::without_the_lock && r_.wake_under_lock)
                    go(at::wake_flag, "wakes");
                else leave_wake(next, i, visit, "wakes");
                break;
            }
            case at::wake_flag:
                next.flag[other_event(i)] = 0;
                if (r_.reset == flag_reset::without_the_lock) {
                    finish(p);
                    visit(next, i, "flag = 0, without the lock", way::step);
                } else leave_wake(next, i, visit, "flag = 0");
                break;

            case at::unlock: step_unlock(s, i, visit); break;
            case at::unlock_wake:
                futex_wake(next, lock_queue, 1);
                go_on_without_lock(p);
                visit(next, i, "wakes one who waits for the lock", way::step);
                break;

            case at::register_flag:
                next.flag[own_event(i)] = 1;
                go(at::register_sequence, "flag = 1");
                break;
            case at::register_sequence:
                p.sequence = s.sequence[own_event(i)];
                p.next = after_unlock::sleep;
                if (!r_.register_under_lock) p.next = after_unlock::end;
                go(r_.register_under_lock ? at::unlock : at::sleep, "reads the sequence");
                break;
            case at::sleep: step_sleep(s, i, visit); break;
            case at::asleep: step_asleep(s, i, visit); break;
            case at::peek:
                if (predicate(s, i)) {
                    p.sequence = 0;
                    go(at::lock, "tick: looks without the lock: yes");
                } else {
                    if (!r_.keep_old_sequence) p.sequence = s.sequence[own_event(i)];
                    go(at::sleep, "tick: looks without the lock: no");
                }
                break;

            case at::stop_bump:
                ++next.sequence[event_not_empty];
                go(at::stop_wake, "asks for a stop: bumps");
                break;
            case at::stop_wake:
                futex_wake(next, event_not_empty, everybody);
                finish(p);
                visit(next, i, "asks for a stop: wakes everyone", way::step);
                break;
            case at::done:
            case at::dead: break;
        }
    }

    void leave_wake(state& next, int i, const visit_function& visit, const char* what) const {
        process& p = next.p[index(i)];
        if (!r_.wake_under_lock) finish(p);
        else p.pc = r_.wake_before_commit ? at::commit : at::unlock;
        visit(next, i, what, way::step);
    }

    void step_lock(const state& s, int i, const visit_function& visit) const {
        const process& woken = s.p[index(i)];
        const bool is_fresh =
            woken.holds_event_wake != 0 && woken.is_pending == 0 && woken.assumes_waiters == 0;
        if (r_.may_leave && is_fresh && woken.is_leaving == 0) {
            state late = s;
            if (r_.look_before_leaving) late.p[index(i)].is_leaving = 1;
            else finish(late.p[index(i)]);
            visit(late, i, "is woken, and its time is up", way::step);
        }
        state next = s;
        process& p = next.p[index(i)];
        if (s.owner != 0) {
            p.seen_owner = s.owner;
            p.is_pending = 1;
            next.waiters = 1;
            p.pc = at::lock_sleep;
            visit(next, i, "finds it locked, sets the waiters bit", way::step);
            return;
        }
        next.owner = static_cast<uint8_t>(i + 1);
        next.waiters = static_cast<uint8_t>((s.died != 0 ? s.waiters : 0) | p.assumes_waiters);
        next.died = 0;
        p.assumes_waiters = p.is_pending = p.holds_lock_wake = 0;
        p.pc = s.died != 0 ? at::recover_replay : at::look;
        visit(next, i, s.died != 0 ? "locks: EOWNERDEAD" : "locks", way::step);
    }

    void step_unlock(const state& s, int i, const visit_function& visit) const {
        state next = s;
        process& p = next.p[index(i)];
        next.owner = 0;
        next.waiters = 0;
        if (s.waiters != 0) {
            p.is_pending = p.holds_lock_wake = 1;  // the wake that it owes
            p.pc = at::unlock_wake;
        } else go_on_without_lock(p);
        visit(next, i, "unlocks", way::step);
    }

    void step_sleep(const state& s, int i, const visit_function& visit) const {
        state next = s;
        process& p = next.p[index(i)];
        if (s.sequence[own_event(i)] != p.sequence) {
            p.sequence = 0;
            p.pc = at::lock;
            visit(next, i, "the sequence has moved", way::step);
            return;
        }
        join_queue(next, own_event(i), i);
        p.pc = at::asleep;
        visit(next, i, "sleeps on the event", way::step);
    }

    void step_asleep(const state& s, int i, const visit_function& visit) const {
        state next = s;
        process& p = next.p[index(i)];
        leave_queue(next, own_event(i), i);
        if (r_.event_tick) {
            if (!r_.looks_at_ticks) p.sequence = 0;
            p.pc = r_.looks_at_ticks ? at::peek : at::lock;
            visit(next, i, "tick, on the event", way::tick);
        }
        if (!r_.may_leave) return;
        p.sequence = 0;
        p.is_leaving = 1;
        p.pc = at::lock;
        visit(next, i, "its time is up", way::tick);
    }

    // -- what must hold ------------------------------------------------------------------------------------------------

    std::string stranded(const state& s) const {
        for (int i = 0; i < count_; ++i) {
            const process& p = s.p[index(i)];
            if (p.pc == at::asleep && predicate(s, i))
                return "somebody sleeps on an event while its predicate holds";
            if (p.pc == at::lock_asleep) return "somebody sleeps for a lock that nobody holds";
        }
        return {};
    }

    std::string flaw(const state& s) const {
        if (s.wake_is_lost != 0 || s.wake_is_lost_in_lock != 0) return {};
        return stranded(s);
    }

    rules r_;
    int count_;
};

template <typename Change>
auto run(Change change) {
    rules r;
    change(r);
    return waits(r).run();
}

}  // namespace

int main() {
    cairn_model::suite suite("waits");
    const char* on_event = "sleeps on an event";

    suite.expect("1 putter, 2 takers, no kill", run([](rules&) {}));
    suite.expect("1 putter, 2 takers, 2 kills", run([](rules& r) { r.kills = 2; }));
    suite.expect("2 putters, 1 taker of two, 2 kills",
                 run([](rules& r) { r.putters = 2, r.takers = 1, r.puts = 1, r.takes = 2, r.kills = 2; }));
    suite.expect("puts of 2 at once, 2 takers, 2 kills", run([](rules& r) {
                     r.sizes = {2, 2}, r.capacity = 2, r.puts = 1, r.kills = 2;
                 }));
    suite.expect("putters of 2 and of 1, 1 taker of two, 1 kill", run([](rules& r) {
                     r.sizes = {2, 1}, r.putters = 2, r.takers = 1, r.puts = 1, r.takes = 2, r.kills = 1;
                     r.capacity = r.count = 2;
                 }));
    suite.expect("waits that end at their deadline, 1 kill",
                 run([](rules& r) { r.may_leave = true, r.kills = 1; }));
    suite.expect("a stop while others wait, 1 kill",
                 run([](rules& r) { r.stoppers = 1, r.takers = 2, r.puts = 1, r.kills = 1; }));
    suite.expect("ticks that look without the lock, 2 kills",
                 run([](rules& r) { r.looks_at_ticks = true, r.kills = 2; }));

    suite.expect("without the wake before the commit",
                 run([](rules& r) { r.wake_before_commit = false, r.kills = 1; }), on_event);
    suite.expect("without the lock when waking",
                 run([](rules& r) { r.wake_under_lock = false, r.kills = 1; }), on_event);
    suite.expect("without the bump", run([](rules& r) { r.bump = false; }), on_event);
    suite.expect("without waking as many as were enabled", run([](rules& r) {
                     r.sizes = {2, 2}, r.capacity = 2, r.puts = 1, r.wake_all_enabled = false;
                 }),
                 on_event);
    suite.expect("without waking all who need room of different sizes", run([](rules& r) {
                     r.sizes = {2, 1}, r.putters = 2, r.takers = 1, r.puts = 1, r.takes = 1;
                     r.capacity = r.count = 2, r.wake_all_enabled = false;
                 }),
                 on_event);
    suite.expect("without the lock when registering", run([](rules& r) { r.register_under_lock = false; }),
                 on_event);
    suite.expect("without a look before leaving",
                 run([](rules& r) { r.may_leave = true, r.look_before_leaving = false; }), on_event);
    suite.expect("a looking tick that sleeps again with a new sequence",
                 run([](rules& r) { r.looks_at_ticks = true, r.keep_old_sequence = false; }), on_event);
    suite.expect("a recovery that wakes nobody", run([](rules& r) { r.recovery_wakes = false, r.kills = 1; }),
                 on_event);
    suite.expect("a flag that is reset after every wake",
                 run([](rules& r) { r.reset = flag_reset::after_every_wake; }), on_event);
    suite.expect("a flag that is reset without the lock",
                 run([](rules& r) { r.reset = flag_reset::without_the_lock; }), on_event);
    suite.expect("without a tick on events", run([](rules& r) { r.event_tick = false, r.kills = 1; }),
                 "not even a tick");
    suite.expect("without a tick in the lock", run([](rules& r) { r.lock_tick = false, r.kills = 2; }),
                 "not even a tick");
    return suite.finish();
}
