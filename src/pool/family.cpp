// family.cpp - guardian and nursery.
// SPDX-License-Identifier: BSL-1.0
#include "pool/family.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "os/child.hpp"
#include "os/memory_limit.hpp"
#include "os/supervision.hpp"
#include "pool/inherited.hpp"
#include "segment/internals.hpp"
#include <cairn/detail/os/lock_limit.hpp>
#include <cairn/error.hpp>

namespace cairn::inline CAIRN_ABI::detail {

namespace {

using std::chrono::milliseconds;

// How long a nursery waits for news; what it would miss otherwise (a worker that a dead nursery had forked) is seen by then.
constexpr milliseconds longest_sleep{1000};
// What it tries again soon: a lock that was held for long, a fork that failed.
constexpr milliseconds short_sleep{20};
// How long it waits for the pool's lock before it looks at its owner again.
constexpr milliseconds lock_patience{50};
// What workers that have left may take to write out their output.
constexpr milliseconds longest_farewell_of_workers{1000};
// How long workers that are not ready when nothing is left to do may go on with their initializer.
constexpr milliseconds longest_start_in_vain{1000};
// So many workers in a row that end before they are ready are no accident. Chosen freely.
constexpr std::uint32_t failed_starts_of_initializer = 3;
constexpr std::uint32_t failed_starts_of_others = 50;
// So many nurseries that end within a moment of their start are no accident.
constexpr int most_short_lives = 50;
constexpr milliseconds short_life{200};

struct dead_child {
    pid_t pid;
    int code;
    bool was_starting;  // forked to be a worker, and not seen as one
};

// What guardian and nursery have in common.
class supervisor {
public:
    explicit supervisor(pool_family& family)
        : family_(family), node_(family.pool()), starting_(family.place_count) {
        os::become_subreaper();
        os::block_all_signals();
        leave_other_segments(family.in.get());
        std::vector<int> kept = family.kept_descriptors;
        kept.push_back(family.owner_pidfd.get());
        kept.push_back(family.bell.get());
        close_inherited_descriptors(std::move(kept));
        static_cast<void>(os::open_child_signal(signal_));
        dead_.reserve(family.place_count);
    }
    supervisor(const supervisor&) = delete;
    supervisor& operator=(const supervisor&) = delete;

protected:
    ~supervisor() = default;

    [[nodiscard]] bool is_owner_dead() const noexcept {
        bool readable = false;
        static_cast<void>(
            os::wait_readable(family_.owner_pidfd.get(), std::chrono::nanoseconds(0), readable));
        return readable;
    }

    // Everybody goes, without a lock: its holder may be stopped.
    [[noreturn]] void end_with_owner() noexcept {
        for (;;) {
            kill_children(nullptr);
            kill_workers_of_table();
            int code = 0;
            bool has_children = true;
            while (os::reap_any(code, has_children) != 0) {}
            if (!has_children) os::end_process(0);
            os::sleep_for(milliseconds(1));
        }
    }

    void sleep(milliseconds longest, int bell) noexcept {
        if (!oom_kills_) oom_kills_ = os::oom_kills();  // not before: the first workers are waited for
        // Without news of its children it looks for them often.
        if (!signal_.valid() && os::open_child_signal(signal_)) longest = std::min(longest, short_sleep);
        const std::array<int, 3> fds{family_.owner_pidfd.get(), signal_.get(), bell};
        std::array<bool, 3> readable{};
        os::wait_for_any(fds, readable, longest);
        if (readable[0]) end_with_owner();
        if (readable[1]) os::drain_child_signal(signal_.get());
        if (readable[2]) os::silence(bell);
    }

    void reap() {
        int code = 0;
        bool has_children = true;
        while (const pid_t child = os::reap_any(code, has_children)) {
            if (has_reaped(child, code)) continue;
            may_have_orphans_ = true;
            std::erase(forked_, child);
            const auto at = std::find(starting_.begin(), starting_.end(), child);
            const bool was_starting = at != starting_.end();
            if (was_starting) *at = 0;
            // Whether it was a worker says the table, under the lock: what stands there without it may be taken back.
            dead_.push_back({child, code, was_starting});
        }
    }
    // True for a child that is no worker.
    virtual bool has_reaped(pid_t /*child*/, int /*code*/) noexcept { return false; }

    // Under the pool's lock, unless that cannot be had now: false, to be tried again.
    template <typename Step>
    bool try_step(const Step& step) {
        const operation_limit limit{.deadline = deadline_after(lock_patience)};
        const limited_locks in_time(limit);
        try {
            root_transaction tx(*family_.in, *family_.slot, family_.generation);
            step(tx);
            return true;
        } catch (const limit_reached&) {
            return false;
        } catch (const error&) {
            return false;  // full, or damaged: the owner notices that, too
        }
    }

    // What ended workers leave behind. False: some are left for later.
    bool settle_dead() {
        while (!dead_.empty()) {
            const dead_child dead = dead_.back();
            const bool is_done = try_step([&](root_transaction& tx) {
                for (std::uint32_t i = 0; i < family_.place_count; ++i) {
                    const worker_slot& slot = family_.places[i];
                    // It is dead and reaped only now, so nobody else has its pid yet, or the table is of before.
                    if (slot.incarnation == 0 || os::pid_of(slot.identity) != dead.pid) continue;
                    const bool was_starting = slot.stage == worker_stage::starting;
                    const bool likely_oom = dead.code == -SIGKILL && oom_kills_have_grown();
                    settle_death(tx, node_, i, slot.incarnation,
                                 {.pid = dead.pid, .code = dead.code, .likely_oom = likely_oom},
                                 monotonic_nanoseconds());
                    if (was_starting) say_how_it_ended(tx, dead, likely_oom);
                    return;
                }
                if (!dead.was_starting || dead.code == worker_not_wanted) return;
                count_failed_start(tx, node_);
                say_how_it_ended(tx, dead, dead.code == -SIGKILL && oom_kills_have_grown());
            });
            if (!is_done) return false;
            dead_.pop_back();
            has_settled();
        }
        if (std::exchange(may_have_orphans_, false) && !family_.keeps_orphans) kill_orphans();
        return true;
    }

    // Of a worker that was not ready. One whose initializer has thrown has said why itself.
    void say_how_it_ended(root_transaction& tx, const dead_child& dead, bool likely_oom) {
        try {
            record_failure(tx, node_,
                           std::string(workers_end_early) + ": pid " + std::to_string(dead.pid) + " " +
                               end_in_words(dead.code, likely_oom));
        } catch (const segment_full&) {
            tx.roll_back();  // then without it
        }
    }

    // Whoever is dead in the table, and whose end nobody will tell: of workers that another process has forked, or reaped, before it died.
    bool settle_strangers() {
        bool is_all_done = true;
        for (std::uint32_t i = 0; i < family_.place_count; ++i) {
            const worker_slot& slot = family_.places[i];
            const os::process_identity identity = load_word(slot.identity);
            if (identity == 0 || os::is_alive(identity)) continue;
            is_all_done =
                try_step([&](root_transaction& tx) {
                    // Another one may be there by now, or what was seen was taken back.
                    if (slot.identity != identity) return;
                    settle_death(tx, node_, i, slot.incarnation,
                                 {.pid = os::pid_of(identity), .code = -SIGKILL, .likely_oom = false},
                                 monotonic_nanoseconds());
                }) &&
                is_all_done;
        }
        return is_all_done;
    }

    // A worker that has become another program is none any more: it goes, and is settled as any that is killed. Its pid is a child's of
    // this process that is not reaped, so nobody else's.
    void kill_other_programs() noexcept {
        for (const worker_slot& slot : family_.all_places()) {
            const os::process_identity identity = load_word(slot.identity);
            const pid_t pid = os::pid_of(identity);
            if (identity == 0 || std::find(forked_.begin(), forked_.end(), pid) == forked_.end()) continue;
            if (!os::is_alive(identity)) static_cast<void>(os::signal_by_pid(pid, SIGKILL));
        }
    }

    virtual void has_settled() noexcept {}

    // Which of this process's children is not to be taken for an orphan.
    [[nodiscard]] virtual bool is_known(pid_t child) const noexcept {
        return std::find(forked_.begin(), forked_.end(), child) != forked_.end();
    }

    void kill_orphans() noexcept {
        kill_children(
            [](pid_t child, supervisor& self) { return !self.is_known(child) && !self.is_worker(child); });
    }

    // A child of this process is not reaped yet, so the pid is its own.
    void kill_children(bool (*is_meant)(pid_t child, supervisor& self)) noexcept {
        struct context {
            supervisor* self;
            bool (*is_meant)(pid_t child, supervisor& self);
        } what{this, is_meant};
        os::for_each_child(
            [](pid_t child, void* context_of) {
                const auto& of = *static_cast<context*>(context_of);
                if (of.is_meant == nullptr || of.is_meant(child, *of.self))
                    static_cast<void>(os::signal_by_pid(child, SIGKILL));
            },
            &what);
    }

    [[nodiscard]] bool is_worker(pid_t child) const noexcept {
        for (const worker_slot& slot : family_.all_places())
            if (os::pid_of(load_word(slot.identity)) == child) return true;
        return false;
    }

    void kill_workers_of_table() const noexcept {
        for (const worker_slot& slot : family_.all_places()) {
            const os::process_identity identity = load_word(slot.identity);
            if (identity != 0) static_cast<void>(os::signal_process(identity, SIGKILL));
        }
    }

    [[nodiscard]] bool has_workers() const noexcept {
        for (const worker_slot& slot : family_.all_places())
            if (load_word(slot.incarnation) != 0) return true;
        return false;
    }

    [[nodiscard]] bool is_wanted(std::uint32_t index) const noexcept {
        if (index >= load_word(node_.target)) return false;
        switch (load_word(node_.state)) {
            case pool_state::open: return true;
            case pool_state::closing: return load_word(node_.waiting_count) != 0;
            case pool_state::broken: break;
        }
        return false;
    }

    // Whether another process has forked a worker for that place.
    virtual bool is_somebody_starting(std::uint32_t /*index*/) noexcept { return false; }

    // `all`: also those that nothing waits for yet.
    bool start_missing(bool all) {
        bool is_all_done = true;
        std::uint64_t needed = all || !family_.idle_timeout.is_given() ? family_.place_count : missing();
        for (std::uint32_t i = 0; i < family_.place_count; ++i) {
            // It is a worker by now: the table knows it, and it is this process's child still.
            if (load_word(family_.places[i].incarnation) != 0) {
                starting_[i] = 0;
                continue;
            }
            if (!is_wanted(i) || starting_[i] != 0 || is_somebody_starting(i)) continue;
            if (needed == 0) break;
            --needed;
            pid_t child = 0;
            if (os::fork_process(child)) {
                is_all_done = false;
                continue;
            }
            if (child == 0) run_worker(family_, i);
            starting_[i] = child;
            forked_.push_back(child);
        }
        return is_all_done;
    }

    // Where workers leave when they are idle: so many tasks wait without one that is there, or on its way.
    [[nodiscard]] std::uint64_t missing() noexcept {
        std::uint64_t there = family_.idle_count();
        for (std::uint32_t i = 0; i < family_.place_count; ++i)
            if (load_word(family_.places[i].incarnation) == 0 &&
                (starting_[i] != 0 || is_somebody_starting(i)))
                ++there;
        const std::uint64_t tasks = load_word(node_.waiting_count);
        return tasks - std::min(tasks, there);
    }

    pool_family& family_;
    pool_node& node_;
    std::vector<dead_child> dead_;
    std::vector<pid_t> starting_;  // by place: forked for it, and not there yet
    std::vector<pid_t> forked_;    // and not reaped
    bool may_have_orphans_ = false;

private:
    bool oom_kills_have_grown() noexcept {
        const std::uint64_t now = os::oom_kills();
        return std::exchange(oom_kills_, now).value_or(now) < now;
    }

    os::unique_fd signal_;
    std::optional<std::uint64_t> oom_kills_;  // as it was before; not known before the first sleep
};

class nursery final : public supervisor {
public:
    nursery(pool_family& family, const std::vector<pid_t>& others, pid_t guardian)
        : supervisor(family), guardian_(guardian) {
        os::name_own_thread("cairn-nursery");
        for (const pid_t child : others) others_starting_.push_back(child == 0 ? 0 : os::identity_of(child));
    }

    [[noreturn]] void run() {
        bool is_registered = false;
        for (;;) {
            if (is_owner_dead()) end_with_owner();
            if (!is_registered) {
                is_registered = try_step([this](root_transaction& tx) {
                    register_nursery(tx, node_, family_.in->internals().identity);
                });
            }
            reap();
            bool is_all_done = settle_dead() && is_registered;
            kill_other_programs();
            // Whose workers are nobody's children now that would look after them.
            if (os::parent_pid() != guardian_) {
                static_cast<void>(settle_strangers());
                is_all_done = false;  // looked at again soon
            }
            is_all_done = give_up_if_hopeless() && is_all_done;
            if (is_finished()) os::end_process(0);
            is_all_done = end_starts_in_vain() && is_all_done;
            is_all_done = start_missing(false) && is_all_done;
            sleep(is_all_done ? longest_sleep : short_sleep, family_.bell.get());
        }
    }

private:
    bool is_somebody_starting(std::uint32_t index) noexcept override {
        return os::is_alive(others_starting_[index]);
    }

    // Workers that never get ready would be forked for ever.
    bool give_up_if_hopeless() {
        // Without an initializer nothing of the program's runs there: those that end were killed by somebody, who may go on for a while.
        const std::uint32_t least =
            family_.initializer ? failed_starts_of_initializer : failed_starts_of_others;
        const std::uint32_t limit = std::max(least, load_word(node_.target));
        if (load_word(node_.failed_starts) < limit) return true;
        return try_step([&](root_transaction& tx) {
            for (const worker_slot& slot : family_.all_places())
                if (slot.incarnation != 0 && slot.stage == worker_stage::ready) return;
            break_pool(tx, node_, workers_end_early);
        });
    }

    [[nodiscard]] bool has_nothing_to_do() const noexcept {
        return load_word(node_.state) != pool_state::open &&
               (load_word(node_.state) == pool_state::broken || load_word(node_.waiting_count) == 0);
    }

    // Where nothing is left to do, whoever is still in its initializer holds up the end of the pool. False: some are.
    bool end_starts_in_vain() {
        const auto now = std::chrono::steady_clock::now();
        if (!has_nothing_to_do()) {
            in_vain_since_.reset();
            return true;
        }
        if (!in_vain_since_) in_vain_since_ = now;
        bool has_some = false;
        for (const worker_slot& slot : family_.all_places()) {
            const os::process_identity identity = load_word(slot.identity);
            if (identity == 0 || load_word(slot.stage) == worker_stage::ready) continue;
            has_some = true;
            if (now - *in_vain_since_ < longest_start_in_vain) continue;
            // Under the lock, so that it does not get ready meanwhile, and take a task.
            static_cast<void>(try_step([&](root_transaction& /*tx*/) {
                if (slot.identity == identity && slot.stage != worker_stage::ready && has_nothing_to_do())
                    static_cast<void>(os::signal_process(identity, SIGKILL));
            }));
        }
        return !has_some;
    }

    [[nodiscard]] bool is_finished() const noexcept {
        return load_word(node_.state) != pool_state::open && dead_.empty() && !has_workers() &&
               (load_word(node_.state) == pool_state::broken || load_word(node_.waiting_count) == 0) &&
               forked_.empty();  // those that have left write out what they have buffered
    }

    const pid_t guardian_;
    std::optional<std::chrono::steady_clock::time_point> in_vain_since_;  // nothing is left to do
    std::vector<os::process_identity> others_starting_;  // by place: the guardian's, when this was forked
};

class guardian final : public supervisor {
public:
    explicit guardian(pool_family& family) : supervisor(family) { os::name_own_thread("cairn-guardian"); }

    [[noreturn]] void run() {
        // Here, for the first result is waited for. Those that fail are replaced by the nursery.
        static_cast<void>(start_missing(true));
        for (;;) {
            if (is_owner_dead()) end_with_owner();
            reap();
            bool is_settled = settle_dead();
            kill_other_programs();
            // What a nursery had reaped when it was killed. Its other children are this one's by now, and reaped.
            if (is_settled && must_look_) is_settled = settle_strangers();
            if (is_settled) must_look_ = false;
            // Also where no nursery could be made.
            if (nursery_ == 0 && is_over() && forked_.empty()) end();
            if (nursery_ == 0 && !is_finished_) start_nursery();
            sleep(is_settled && (nursery_ != 0 || is_finished_) ? longest_sleep : short_sleep, -1);
        }
    }

private:
    [[nodiscard]] bool is_known(pid_t child) const noexcept override {
        return child == nursery_ || supervisor::is_known(child);
    }

    bool has_reaped(pid_t child, int code) noexcept override {
        if (child != nursery_) return false;
        nursery_ = 0;
        if (code == 0) is_finished_ = true;
        else has_lost_nursery_ = must_look_ = true;
        short_lives_ = std::chrono::steady_clock::now() - started_ < short_life ? short_lives_ + 1 : 0;
        return true;
    }

    // The pool is closed, and nothing is left to be done.
    [[nodiscard]] bool is_over() const noexcept {
        return load_word(node_.state) != pool_state::open && dead_.empty() && !has_workers() &&
               (load_word(node_.state) == pool_state::broken || load_word(node_.waiting_count) == 0);
    }

    // The nursery is to replace it, however it has ended.
    void has_settled() noexcept override { os::ring(family_.bell.get()); }

    void start_nursery() {
        if (short_lives_ >= most_short_lives) {
            static_cast<void>(try_step(
                [&](root_transaction& tx) { break_pool(tx, node_, "its nursery ends again and again"); }));
        }
        started_ = std::chrono::steady_clock::now();
        // Before the fork: the guardian may be dead by the time that the nursery asks for its parent.
        const pid_t self = os::own_pid();
        pid_t child = 0;
        if (os::fork_process(child)) return;
        if (child == 0) nursery(family_, starting_, self).run();
        nursery_ = child;
    }

    [[noreturn]] void end() noexcept {
        // Workers of a nursery that was killed are among the children, and not known: they are about to end.
        const auto until = std::chrono::steady_clock::now() +
                           (has_lost_nursery_ ? longest_farewell_of_workers : milliseconds(0));
        for (;;) {
            int code = 0;
            bool has_children = true;
            while (os::reap_any(code, has_children) != 0) {}
            if (!has_children || std::chrono::steady_clock::now() >= until) break;
            os::sleep_for(milliseconds(1));
        }
        if (!family_.keeps_orphans) kill_children(nullptr);
        os::end_process(0);
    }

    pid_t nursery_ = 0;
    bool is_finished_ = false;
    bool has_lost_nursery_ = false;
    bool must_look_ = false;
    int short_lives_ = 0;
    std::chrono::steady_clock::time_point started_{};
};

}  // namespace

std::uint32_t pool_family::idle_count() const noexcept {
    std::uint32_t count = 0;
    for (const worker_slot& each : all_places()) {
        if (load_word(each.incarnation) != 0 && load_word(each.task) == 0 &&
            load_word(each.order) == worker_order::none)
            ++count;
    }
    return count;
}

void run_guardian(pool_family& family) noexcept {
    guardian(family).run();
}

}  // namespace cairn::inline CAIRN_ABI::detail
