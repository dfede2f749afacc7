// sync_rows.cpp - locks, events, semaphores, conditions, barriers, latches: what is done with them, and what those find who come after a death.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/pictures.hpp"
#include "crash/sync_experiment.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

class sync_visitor : public visitor {
public:
    sync_visitor(const cairn::manager& m, std::shared_ptr<const sync_row> row)
        : manager_(m), row_(std::move(row)) {}

    void operate() override { row_->operation(manager_); }
    std::optional<outcome> touch(approach how) override {
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        if (row_->touch) row_->touch(manager_);
        else static_cast<void>(row_->read(manager_));
        return std::nullopt;
    }
    outcome look() override { return outcome_by(row_->read(manager_), row_->before, row_->after); }
    void go_on() override { row_->go_on(manager_); }
    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }
    void neighbour() override { row_->neighbour(manager_); }
    outcome look_after_neighbour() override {
        return outcome_by(row_->read(manager_), row_->with_neighbour(row_->before),
                          row_->with_neighbour(row_->after));
    }

private:
    cairn::manager manager_;
    std::shared_ptr<const sync_row> row_;
};

/// How the manager is asked for one.
template <typename Lock>
Lock open_lock(const cairn::manager& m) {
    if constexpr (std::is_same_v<Lock, cairn::mutex>) return m.lock("lock");
    else return m.rlock("lock");
}

// What the lock protects: a list whose elements come in pairs.
cairn::list<long> pairs_in(const cairn::manager& m) {
    return m.list<long>("pairs");
}

// A pair that was begun goes. Only the next after a dead owner does that, so that nobody else must ever find half of one.
template <typename Lock>
void lock_and_repair(const cairn::manager& m, const Lock& l) {
    l.lock(cairn::recover, [&] {
        const auto pairs = pairs_in(m);
        if (pairs.size() % 2 != 0) static_cast<void>(pairs.pop());
    });
}

template <typename Lock>
void add_pair(const cairn::manager& m, const Lock& l) {
    lock_and_repair(m, l);
    const auto pairs = pairs_in(m);
    pairs.push_back(1);
    pairs.push_back(2);
    l.unlock();
}

template <typename Lock>
std::string count_pairs(const cairn::manager& m) {
    const auto l = open_lock<Lock>(m);
    lock_and_repair(m, l);
    std::size_t size = 0;
    pairs_in(m).transaction([&](const auto& pairs) { size = pairs.size(); });  // takes its lock, too
    l.unlock();
    if (size % 2 != 0) throw lab_failure("half of a pair, and no owner has died");
    return std::to_string(size / 2) + " pairs";
}

template <typename Lock>
void add_lock_rows(experiment_table& table, const std::string& type, const std::string& maker) {
    using operation = std::function<void(const cairn::manager&, const Lock&)>;
    const auto add = [&](const std::string& member, const std::string& state, int pairs,
                         const operation& what, int pairs_before = 0, const operation& shape = {}) {
        sync_row row;
        row.name = type + " " + member + ", " + state;
        row.covers = {type + "::" + member};
        row.before = std::to_string(pairs_before) + " pairs";
        row.after = std::to_string(pairs_before + pairs) + " pairs";
        row.prepare = [shape](const cairn::manager& m) {
            const auto l = open_lock<Lock>(m);
            static_cast<void>(pairs_in(m));
            if (shape) shape(m, l);
        };
        row.operation = [what](const cairn::manager& m) { what(m, open_lock<Lock>(m)); };
        row.read = count_pairs<Lock>;
        row.neighbour = [](const cairn::manager& m) { add_pair(m, open_lock<Lock>(m)); };
        row.with_neighbour = [](const std::string& text) {
            return std::to_string(std::stoi(text) + 1) + " pairs";
        };
        row.go_on = [](const cairn::manager& m) {
            const auto l = open_lock<Lock>(m);
            const std::string before = count_pairs<Lock>(m);
            for (int i = 0; i < 3; ++i) {
                if (!l.try_lock()) throw lab_failure("going on: the lock is not free");
                if (l.owner_died()) throw lab_failure("going on: nobody has died since");
                l.unlock();
                add_pair(m, l);
            }
            if (std::stoi(count_pairs<Lock>(m)) != std::stoi(before) + 3)
                throw lab_failure("going on: pairs are lost");
        };
        add_sync_row(table, std::move(row));
    };
    const auto hour = std::chrono::hours(1);
    // A thread that ends with the lock, and half of a pair.
    const auto with_dead_owner = [](const cairn::manager& m, const Lock& l) {
        std::thread([&] {
            l.lock();
            pairs_in(m).push_back(1);
        }).join();
    };

    add("lock", "and no more", 0, [](const cairn::manager&, const Lock& l) { l.lock(); });
    add("unlock", "after a pair", 1, [](const cairn::manager& m, const Lock& l) { add_pair(m, l); });
    add(
        "lock", "of a dead owner", 1, [](const cairn::manager& m, const Lock& l) { add_pair(m, l); }, 0,
        with_dead_owner);
    add(
        "mark_consistent", "after a dead owner", 0,
        [](const cairn::manager& m, const Lock& l) {
            l.lock();
            if (!l.owner_died()) throw lab_failure("the owner has died, and it is not said");
            static_cast<void>(pairs_in(m).pop());
            l.mark_consistent();
            l.unlock();
        },
        0, with_dead_owner);
    add("try_lock", "free", 0, [](const cairn::manager&, const Lock& l) {
        if (!l.try_lock()) throw lab_failure("a free lock is not taken");
        l.unlock();
    });
    add("try_lock_for", "free", 0, [=](const cairn::manager&, const Lock& l) {
        if (!l.try_lock_for(hour)) throw lab_failure("a free lock is not taken");
        l.unlock();
    });
    add("try_lock_until", "free", 0, [=](const cairn::manager&, const Lock& l) {
        if (!l.try_lock_until(std::chrono::steady_clock::now() + hour))
            throw lab_failure("a free lock is not taken");
        l.unlock();
    });
    if constexpr (std::is_same_v<Lock, cairn::recursive_mutex>) {
        add("lock", "taken three times around a pair", 1, [](const cairn::manager& m, const Lock& l) {
            l.lock();
            l.lock();
            add_pair(m, l);
            l.unlock();
            l.unlock();
        });
    }

    sync_row made;
    made.name = "manager " + maker;
    made.covers = {"manager::" + maker};
    made.before = "none";
    made.after = "one";
    made.operation = [](const cairn::manager& m) { static_cast<void>(open_lock<Lock>(m)); };
    made.read = [](const cairn::manager& m) {
        const auto found = m.find<Lock>("lock");
        if (!found) return "none";
        const std::lock_guard held(*found);
        return "one";
    };
    made.neighbour = [](const cairn::manager& m) {
        const auto l = open_lock<Lock>(m);
        const std::lock_guard held(l);
    };
    made.with_neighbour = [](const std::string&) { return std::string("one"); };
    made.go_on = [](const cairn::manager& m) {
        const auto l = open_lock<Lock>(m);
        const std::lock_guard held(l);
        if (l.owner_died()) throw lab_failure("going on: nobody has held it");
    };
    add_sync_row(table, std::move(made));
}

// What an exclusive periodic says of its runs (mutex_word).
void add_mutex_word_rows(experiment_table& table) {
    const auto say = [](const cairn::manager& m, std::uint64_t more) {
        const auto l = open_lock<cairn::mutex>(m);
        const std::lock_guard held(l);
        using word = cairn::detail::mutex_word;
        word::store(l, word::load(l) + more);
    };
    sync_row row;
    row.name = "mutex word, said by its owner";
    row.before = "0";
    row.after = "7";
    row.prepare = [](const cairn::manager& m) { static_cast<void>(open_lock<cairn::mutex>(m)); };
    row.operation = [say](const cairn::manager& m) { say(m, 7); };
    row.read = [](const cairn::manager& m) {
        const auto l = open_lock<cairn::mutex>(m);
        const std::lock_guard held(l);
        return std::to_string(cairn::detail::mutex_word::load(l));
    };
    row.neighbour = [say](const cairn::manager& m) { say(m, 100); };
    row.with_neighbour = [](const std::string& text) { return std::to_string(std::stoi(text) + 100); };
    row.go_on = [say](const cairn::manager& m) {
        const auto l = open_lock<cairn::mutex>(m);
        const std::uint64_t before = cairn::detail::mutex_word::load(l);
        say(m, 1);
        if (cairn::detail::mutex_word::load(l) != before + 1) throw lab_failure("going on: a word is lost");
    };
    add_sync_row(table, std::move(row));
}

// ---- events ------------------------------------------------------------------------------------------------------------

cairn::event event_in(const cairn::manager& m) {
    return m.event("event");
}

// As text: whether it is set. Takes its lock, too: an event that is waited for is looked at under it.
std::string read_event(const cairn::manager& m) {
    const auto e = event_in(m);
    static_cast<void>(e.wait_for(std::chrono::seconds(0)));
    if (e.is_set()) {
        e.set();
        return "set";
    }
    e.clear();
    return "not set";
}

void add_event_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::event&)>;
    const auto add = [&](const std::string& member, const std::string& state, const std::string& before,
                         const std::string& after, const operation& what, const operation& shape = {}) {
        sync_row row;
        row.name = "event " + member + ", " + state;
        row.covers = {"event::" + member};
        row.before = before;
        row.after = after;
        row.prepare = [shape](const cairn::manager& m) {
            const auto e = event_in(m);
            if (shape) shape(e);
        };
        row.operation = [what](const cairn::manager& m) { what(event_in(m)); };
        row.read = read_event;
        row.neighbour = [](const cairn::manager& m) { event_in(m).set(); };
        row.with_neighbour = [](const std::string&) { return std::string("set"); };
        row.go_on = [](const cairn::manager& m) {
            const auto e = event_in(m);
            for (int i = 0; i < 3; ++i) {
                e.clear();
                if (e.is_set() || e.wait_for(std::chrono::seconds(0)))
                    throw lab_failure("going on: a cleared event is set");
                e.set();
                e.wait();
                if (!e.is_set()) throw lab_failure("going on: an event that was set is not");
            }
        };
        add_sync_row(table, std::move(row));
    };
    const auto set = [](const cairn::event& e) { e.set(); };
    const auto hour = std::chrono::hours(1);
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [](const cairn::event& e) {
        std::thread([&] { static_cast<void>(e.wait_for(std::chrono::milliseconds(5))); }).join();
    };
    add("set", "nobody waits", "not set", "set", set);
    add("set", "somebody slept", "not set", "set", set, with_sleeper);
    add("set", "set already", "set", "set", set, set);
    add(
        "clear", "set", "set", "not set", [](const cairn::event& e) { e.clear(); }, set);
    add("clear", "not set", "not set", "not set", [](const cairn::event& e) { e.clear(); });
    add(
        "wait", "set", "set", "set", [](const cairn::event& e) { e.wait(); }, set);
    add(
        "wait_for", "set", "set", "set", [=](const cairn::event& e) { static_cast<void>(e.wait_for(hour)); },
        set);
    add("wait_for", "not set, until its limit", "not set", "not set",
        [](const cairn::event& e) { static_cast<void>(e.wait_for(std::chrono::milliseconds(5))); });
    add("wait_until", "not set, until its limit", "not set", "not set", [](const cairn::event& e) {
        static_cast<void>(e.wait_until(std::chrono::steady_clock::now() + std::chrono::milliseconds(5)));
    });

    sync_row made;
    made.name = "manager event";
    made.covers = {"manager::event"};
    made.before = "none";
    made.after = "not set";
    made.operation = [](const cairn::manager& m) { static_cast<void>(event_in(m)); };
    made.read = [](const cairn::manager& m) {
        return m.contains("event") ? read_event(m) : std::string("none");
    };
    made.neighbour = [](const cairn::manager& m) { event_in(m).clear(); };
    made.with_neighbour = [](const std::string&) { return std::string("not set"); };
    made.go_on = [](const cairn::manager& m) { event_in(m).set(); };
    add_sync_row(table, std::move(made));
}

// ---- semaphores --------------------------------------------------------------------------------------------------------

template <typename Semaphore>
Semaphore open_semaphore(const cairn::manager& m, std::int64_t value = 3) {
    if constexpr (std::is_same_v<Semaphore, cairn::semaphore>) return m.semaphore("semaphore", value);
    else return m.bounded_semaphore("semaphore", value);
}

template <typename Semaphore>
struct opened_semaphore : Semaphore {
    explicit opened_semaphore(Semaphore s) : Semaphore(std::move(s)) {}
    using Semaphore::generation;
    using Semaphore::in;
    using Semaphore::node;
    using Semaphore::slot;
};

template <typename Semaphore>
void lock_semaphore(const cairn::manager& m) {
    const auto found = m.find<Semaphore>("semaphore");
    if (!found) return;
    const opened_semaphore<Semaphore> open(*found);
    const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
}

// Takes all that there are, those of the dead too, and gives them back.
template <typename Semaphore>
std::string count_permits(const cairn::manager& m) {
    const auto s = open_semaphore<Semaphore>(m);
    std::int64_t count = 0;
    while (s.try_acquire()) ++count;
    if (count != 0) s.release(count);
    if (s.value() != static_cast<std::uint64_t>(count)) throw lab_failure("value() says something else");
    return std::to_string(count) + " permits";
}

template <typename Semaphore>
void add_semaphore_rows(experiment_table& table, const std::string& kind) {
    using operation = std::function<void(const Semaphore&)>;
    constexpr bool is_bounded = std::is_same_v<Semaphore, cairn::bounded_semaphore>;
    const auto add = [&](const std::string& covers, const std::string& state, int before, int after,
                         const operation& what, const operation& shape = {}) {
        sync_row row;
        row.name = kind + " " + covers.substr(covers.rfind(':') + 1) + ", " + state;
        row.covers = {covers};
        row.before = std::to_string(before) + " permits";
        row.after = std::to_string(after) + " permits";
        row.prepare = [shape](const cairn::manager& m) {
            const auto s = open_semaphore<Semaphore>(m);
            if (shape) shape(s);
        };
        row.operation = [what](const cairn::manager& m) { what(open_semaphore<Semaphore>(m)); };
        row.read = count_permits<Semaphore>;
        row.touch = lock_semaphore<Semaphore>;
        row.neighbour = [](const cairn::manager& m) {
            const auto s = open_semaphore<Semaphore>(m);
            if (s.try_acquire()) s.release();
            if constexpr (!is_bounded) s.release();
        };
        row.with_neighbour = [](const std::string& text) {
            return std::to_string(std::stoi(text) + (is_bounded ? 0 : 1)) + " permits";
        };
        row.go_on = [](const cairn::manager& m) {
            const auto s = open_semaphore<Semaphore>(m);
            const std::string found = count_permits<Semaphore>(m);
            for (int i = 0; i < 3; ++i) {
                if constexpr (!is_bounded) s.release();
                s.acquire();
            }
            if constexpr (is_bounded) s.release(3);
            if (count_permits<Semaphore>(m) != found) throw lab_failure("going on: permits are lost");
        };
        add_sync_row(table, std::move(row));
    };
    const auto of = [&](const char* member) { return kind + "::" + member; };
    const auto hour = std::chrono::hours(1);
    // Of a bounded one everything comes back.
    constexpr int taken = is_bounded ? 3 : 2;
    const auto take = [](const Semaphore& s) { s.acquire(); };
    add(of("acquire"), "the first of its process", 3, taken, take);
    add(of("try_acquire"), "the first of its process", 3, taken,
        [](const Semaphore& s) { static_cast<void>(s.try_acquire()); });
    add(
        of("try_acquire"), "none left", is_bounded ? 3 : 0, is_bounded ? 3 : 0,
        [](const Semaphore& s) {
            for (int i = 0; i < 4; ++i) static_cast<void>(s.try_acquire());
        },
        [](const Semaphore& s) {
            if constexpr (!is_bounded) {
                for (int i = 0; i < 3; ++i) s.acquire();
            }
        });
    add(of("try_acquire_for"), "the first of its process", 3, taken,
        [=](const Semaphore& s) { static_cast<void>(s.try_acquire_for(hour)); });
    add(of("try_acquire_until"), "the first of its process", 3, taken, [=](const Semaphore& s) {
        static_cast<void>(s.try_acquire_until(std::chrono::steady_clock::now() + hour));
    });
    if constexpr (is_bounded) {
        add(of("release"), "of one and of two", 3, 3, [](const Semaphore& s) {
            for (int i = 0; i < 3; ++i) s.acquire();
            s.release();
            s.release(2);
        });
        // They come back, one transaction for all that one has had.
        add(of("acquire"), "all are dead processes'", 3, 3, take, [](const Semaphore& s) {
            for (int i = 0; i < 3; ++i) s.acquire();
            const opened_semaphore<Semaphore> open(s);
            const auto holders = cairn::detail::find_permit_holders(
                open.in(), *open.in().template at<cairn::detail::semaphore_node>(open.node()));
            holders[0] = {1'000'000, 1};
            holders[1] = {1'000'001, 2};
        });
    } else {
        add(of("release"), "one", 3, 4, [](const Semaphore& s) { s.release(); });
        add(
            of("release"), "several, and somebody slept", 0, 5, [](const Semaphore& s) { s.release(5); },
            [](const Semaphore& s) {
                for (int i = 0; i < 3; ++i) s.acquire();
                std::thread([&] {
                    static_cast<void>(s.try_acquire_for(std::chrono::milliseconds(5)));
                }).join();
            });
        add(of("permit"), "and its end", 3, 3, [](const Semaphore& s) { const auto permit = s.permit(); });
        add(of("permit_for"), "and its end", 3, 3,
            [=](const Semaphore& s) { const auto permit = s.permit_for(hour); });
        add(of("try_permit"), "and its end", 3, 3,
            [](const Semaphore& s) { const auto permit = s.try_permit(); });
        add("semaphore_permit::release", "a permit", 3, 3, [](const Semaphore& s) {
            auto permit = s.permit();
            permit.release();
        });
    }

    sync_row made;
    made.name = "manager " + kind;
    made.covers = {"manager::" + kind};
    made.before = "none";
    made.after = "3 permits";
    made.operation = [](const cairn::manager& m) { static_cast<void>(open_semaphore<Semaphore>(m)); };
    made.read = [](const cairn::manager& m) {
        return m.contains("semaphore") ? count_permits<Semaphore>(m) : std::string("none");
    };
    made.touch = lock_semaphore<Semaphore>;
    made.neighbour = [](const cairn::manager& m) {
        const auto s = open_semaphore<Semaphore>(m);
        s.acquire();
        s.release();
    };
    made.with_neighbour = [](const std::string&) { return std::string("3 permits"); };
    made.go_on = [](const cairn::manager& m) { open_semaphore<Semaphore>(m).acquire(); };
    add_sync_row(table, std::move(made));
}

// ---- conditions --------------------------------------------------------------------------------------------------------

struct opened_condition : cairn::condition {
    explicit opened_condition(cairn::condition c) : condition(std::move(c)) {}
    using condition::generation;
    using condition::in;
    using condition::node;
    using condition::slot;
    [[nodiscard]] std::span<cairn::detail::condition_waiter> waiters() const {
        return cairn::detail::find_condition_waiters(in(), stored());
    }
    [[nodiscard]] cairn::detail::condition_node& stored() const {
        return *in().at<cairn::detail::condition_node>(node());
    }
};

cairn::condition condition_in(const cairn::manager& m) {
    return m.condition("condition");
}

constexpr std::uint32_t planted_thread =
    1;  // and the numbers after it: none of the system's that could be met here

// A waiter that nobody can wake, of a process that lives until the victim dies, or of a dead one.
void plant_waiter(const cairn::condition& c, bool is_dead = false) {
    const opened_condition open(c);
    cairn::detail::condition_node& node = open.stored();
    const auto index = static_cast<std::uint32_t>(node.began);
    const std::uint64_t process = is_dead ? 1'000'000 : open.in().participant_number();
    open.waiters()[index] = {cairn::detail::make_thread_token(process, planted_thread + index), node.began};
    ++node.began;
}

// How many of the planted ones, not of the dead, still wait. Takes both locks.
std::string count_planted(const cairn::manager& m) {
    const auto l = open_lock<cairn::mutex>(m);
    l.lock();
    l.unlock();
    const opened_condition open(condition_in(m));
    const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    int count = 0;
    for (const cairn::detail::condition_waiter& each : open.waiters()) {
        const std::uint32_t thread = cairn::detail::thread_of(each.thread);
        if (each.thread != 0 && each.ticket >= open.stored().released && thread < planted_thread + 4 &&
            cairn::detail::participant_of(each.thread) != 1'000'000)
            ++count;
    }
    return std::to_string(count) + " waiting";
}

// Waits for a moment, as somebody does who polls.
void wait_in_vain(const cairn::manager& m) {
    const auto l = open_lock<cairn::mutex>(m);
    std::unique_lock lock(l);
    static_cast<void>(condition_in(m).wait_for(lock, std::chrono::seconds(0)));
}

void add_condition_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::condition&, std::unique_lock<const cairn::mutex>&)>;
    const auto add = [&](const std::string& member, const std::string& state, int before, int after,
                         const operation& what, const std::function<void(const cairn::condition&)>& shape) {
        sync_row row;
        row.name = "condition " + member + ", " + state;
        row.covers = {"condition::" + member};
        row.before = std::to_string(before) + " waiting";
        row.after = std::to_string(after) + " waiting";
        row.prepare = [shape](const cairn::manager& m) {
            if (shape) wait_in_vain(m);  // there are places then
            static_cast<void>(open_lock<cairn::mutex>(m));
            const auto c = condition_in(m);
            if (shape) shape(c);
        };
        row.operation = [what](const cairn::manager& m) {
            const auto l = open_lock<cairn::mutex>(m);
            std::unique_lock lock(l, std::defer_lock);
            what(condition_in(m), lock);
        };
        row.read = count_planted;
        row.neighbour = wait_in_vain;
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto c = condition_in(m);
            c.notify_all();
            for (int i = 0; i < 3; ++i) wait_in_vain(m);
            if (c.waiting() != 0) throw lab_failure("going on: somebody waits who was notified");
        };
        add_sync_row(table, std::move(row));
    };
    const auto two = [](const cairn::condition& c) {
        opened_condition(c).stored().released = opened_condition(c).stored().began;
        plant_waiter(c);
        plant_waiter(c);
    };
    const auto dead_one_first = [](const cairn::condition& c) {
        opened_condition(c).stored().released = opened_condition(c).stored().began;
        plant_waiter(c, true);
        plant_waiter(c);
    };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::condition& c) {
        const auto l = c.manager().lock("lock");
        std::thread([&] {
            std::unique_lock lock(l);
            static_cast<void>(c.wait_for(lock, std::chrono::milliseconds(5)));
        }).join();
        two(c);
    };
    const auto hour = std::chrono::hours(1);
    const auto moment = std::chrono::milliseconds(5);
    add("notify_one", "nobody waits", 0, 0, [](const auto& c, auto&) { c.notify_one(); }, {});
    add(
        "notify_one", "two wait", 2, 1, [](const auto& c, auto&) { c.notify_one(); }, two);
    add(
        "notify_one", "somebody slept", 2, 1, [](const auto& c, auto&) { c.notify_one(); }, with_sleeper);
    add(
        "notify_one", "who has waited longest is dead", 1, 0, [](const auto& c, auto&) { c.notify_one(); },
        dead_one_first);
    add(
        "notify", "as many as wait", 2, 0, [](const auto& c, auto&) { c.notify(2); }, two);
    add(
        "notify_all", "somebody slept", 2, 0, [](const auto& c, auto&) { c.notify_all(); }, with_sleeper);
    add("wait_for", "the first ever, until its limit", 0, 0,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_for(lock, moment));
        },
        {});
    add(
        "wait_for", "behind two, until its limit", 2, 2,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_for(lock, moment));
            lock.unlock();
        },
        two);
    add(
        "wait_until", "behind two, until its limit", 2, 2,
        [=](const auto& c, auto& lock) {
            lock.lock();
            static_cast<void>(c.wait_until(lock, std::chrono::steady_clock::now() + moment));
        },
        two);
    add(
        "wait", "and a stop", 2, 2,
        [=](const auto& c, auto& lock) {
            std::stop_source source;
            source.request_stop();
            lock.lock();
            static_cast<void>(c.wait(lock, source.get_token()));
            static_cast<void>(c.wait_for(lock, hour, [] { return true; }));
        },
        two);

    sync_row made;
    made.name = "manager condition";
    made.covers = {"manager::condition"};
    made.before = "none";
    made.after = "one";
    made.operation = [](const cairn::manager& m) { static_cast<void>(condition_in(m)); };
    made.read = [](const cairn::manager& m) {
        if (!m.contains("condition")) return "none";
        condition_in(m).notify_all();
        return "one";
    };
    made.neighbour = [](const cairn::manager& m) { condition_in(m).notify_one(); };
    made.with_neighbour = [](const std::string&) { return std::string("one"); };
    made.go_on = wait_in_vain;
    add_sync_row(table, std::move(made));
}

// ---- barriers ----------------------------------------------------------------------------------------------------------

struct opened_barrier : cairn::barrier {
    explicit opened_barrier(cairn::barrier b) : barrier(std::move(b)) {}
    using barrier::generation;
    using barrier::in;
    using barrier::node;
    using barrier::slot;
    [[nodiscard]] cairn::detail::barrier_node& stored() const {
        return *in().at<cairn::detail::barrier_node>(node());
    }
};

cairn::barrier barrier_in(const cairn::manager& m) {
    return m.barrier("barrier", 2);
}

constexpr std::uint64_t first_round = 1000;

// Takes its lock. The victim does not count where it has come and died: whoever waits finds that out, and breaks the barrier.
std::string read_barrier(const cairn::manager& m, std::uint32_t planted) {
    const opened_barrier open(barrier_in(m));
    const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    const cairn::detail::barrier_node& node = open.stored();
    return "round " + std::to_string(node.round - first_round) + ", " +
           (node.is_broken != 0 ? "broken" : std::to_string(std::min(node.arrived, planted)) + " come");
}

void enroll_if_whole(const cairn::manager& m) {
    try {
        barrier_in(m).enroll();
    } catch (const cairn::broken_barrier&) {
        // By the victim.
    }
}

void add_barrier_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::barrier&)>;
    const auto add = [&](const std::string& member, const std::string& state, std::uint32_t planted,
                         const std::string& before, const std::string& after, const operation& what,
                         const operation& shape = {}) {
        sync_row row;
        row.name = "barrier " + member + ", " + state;
        row.covers = {"barrier::" + member};
        row.before = before;
        row.after = after;
        row.prepare = [shape, planted](const cairn::manager& m) {
            const opened_barrier open(barrier_in(m));
            open.stored().round = first_round;
            open.stored().arrived = planted;
            if (shape) shape(open);
        };
        row.operation = [what](const cairn::manager& m) { what(barrier_in(m)); };
        row.read = [planted](const cairn::manager& m) { return read_barrier(m, planted); };
        row.neighbour = enroll_if_whole;
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto b = barrier_in(m);
            b.reset();
            for (int i = 0; i < 3; ++i) {
                std::thread other([&] { static_cast<void>(b.arrive_and_wait()); });
                static_cast<void>(b.arrive_and_wait());
                other.join();
            }
            if (b.broken() || b.waiting() != 0)
                throw lab_failure("going on: a barrier of the living is broken");
        };
        add_sync_row(table, std::move(row));
    };
    const auto moment = std::chrono::milliseconds(5);
    const auto hour = std::chrono::hours(1);
    const auto in_vain = [](const auto& wait) {
        try {
            static_cast<void>(wait());
        } catch (const cairn::broken_barrier&) {
            // Its time was up.
        }
    };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::barrier& b) {
        std::thread([&] { in_vain([&] { return b.wait_for(moment); }); }).join();
        b.reset();
        opened_barrier(b).stored().round = first_round;
        opened_barrier(b).stored().arrived = 1;
    };
    const auto arrive = [](const cairn::barrier& b) { static_cast<void>(b.arrive_and_wait()); };
    add("arrive_and_wait", "as the last", 1, "round 0, 1 come", "round 1, 0 come", arrive);
    add("arrive_and_wait", "as the last, and somebody slept", 1, "round 0, 1 come", "round 1, 0 come", arrive,
        with_sleeper);
    add("wait_for", "as the last", 1, "round 0, 1 come", "round 1, 0 come",
        [=](const cairn::barrier& b) { static_cast<void>(b.wait_for(hour)); });
    add("wait_for", "as the first, until its limit", 0, "round 0, 0 come", "round 1, broken",
        [=](const cairn::barrier& b) { in_vain([&] { return b.wait_for(moment); }); });
    add("wait_until", "as the first, until its limit", 0, "round 0, 0 come", "round 1, broken",
        [=](const cairn::barrier& b) {
            in_vain([&] { return b.wait_until(std::chrono::steady_clock::now() + moment); });
        });
    add("abort", "one has come", 1, "round 0, 1 come", "round 1, broken",
        [](const cairn::barrier& b) { b.abort(); });
    add(
        "reset", "broken", 0, "round 1, broken", "round 1, 0 come",
        [](const cairn::barrier& b) { b.reset(); }, [](const cairn::barrier& b) { b.abort(); });
    add(
        "reset", "one has come, and processes take part", 1, "round 0, 1 come", "round 1, 0 come",
        [](const cairn::barrier& b) { b.reset(); }, [](const cairn::barrier& b) { b.enroll(); });
    add("enroll", "the first", 1, "round 0, 1 come", "round 0, 1 come",
        [](const cairn::barrier& b) { b.enroll(); });

    sync_row made;
    made.name = "manager barrier";
    made.covers = {"manager::barrier"};
    made.before = "none";
    made.after = "one";
    made.operation = [](const cairn::manager& m) { static_cast<void>(barrier_in(m)); };
    made.read = [](const cairn::manager& m) {
        if (!m.contains("barrier")) return "none";
        const opened_barrier open(barrier_in(m));
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
        return "one";
    };
    made.neighbour = enroll_if_whole;
    made.with_neighbour = [](const std::string&) { return std::string("one"); };
    made.go_on = [](const cairn::manager& m) { barrier_in(m).abort(); };
    add_sync_row(table, std::move(made));
}

// ---- latches -----------------------------------------------------------------------------------------------------------

cairn::latch latch_in(const cairn::manager& m) {
    return m.latch("latch", 3);
}

// Takes its lock, too.
std::string read_latch(const cairn::manager& m) {
    const auto l = latch_in(m);
    l.count_down(0);
    return std::to_string(l.remaining()) + " to come";
}

void add_latch_rows(experiment_table& table) {
    using operation = std::function<void(const cairn::latch&)>;
    const auto add = [&](const std::string& member, const std::string& state, int before, int after,
                         const operation& what, const operation& shape = {}) {
        sync_row row;
        row.name = "latch " + member + ", " + state;
        row.covers = {"latch::" + member};
        row.before = std::to_string(before) + " to come";
        row.after = std::to_string(after) + " to come";
        row.prepare = [shape](const cairn::manager& m) {
            const auto l = latch_in(m);
            if (shape) shape(l);
        };
        row.operation = [what](const cairn::manager& m) { what(latch_in(m)); };
        row.read = read_latch;
        // Waits for its lock, and counts nothing.
        row.neighbour = [](const cairn::manager& m) { static_cast<void>(read_latch(m)); };
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [](const cairn::manager& m) {
            const auto l = latch_in(m);
            l.count_down(static_cast<std::int64_t>(l.remaining()));
            l.wait();
            if (!l.try_wait()) throw lab_failure("going on: a latch that was counted down is not at 0");
        };
        add_sync_row(table, std::move(row));
    };
    const auto moment = std::chrono::milliseconds(5);
    const auto hour = std::chrono::hours(1);
    const auto to_one = [](const cairn::latch& l) { l.count_down(2); };
    const auto to_zero = [](const cairn::latch& l) { l.count_down(3); };
    // A flag of a sleeper that there is none of: the wake is a system call.
    const auto with_sleeper = [=](const cairn::latch& l) {
        to_one(l);
        std::thread([&] { static_cast<void>(l.wait_for(moment)); }).join();
    };
    add("count_down", "by one", 3, 2, [](const cairn::latch& l) { l.count_down(); });
    add(
        "count_down", "the last one, and somebody slept", 1, 0, [](const cairn::latch& l) { l.count_down(); },
        with_sleeper);
    add(
        "arrive_and_wait", "the last one", 1, 0, [](const cairn::latch& l) { l.arrive_and_wait(); }, to_one);
    add(
        "wait", "at 0", 0, 0, [](const cairn::latch& l) { l.wait(); }, to_zero);
    add("wait_for", "until its limit", 3, 3,
        [=](const cairn::latch& l) { static_cast<void>(l.wait_for(moment)); });
    add(
        "wait_until", "at 0", 0, 0,
        [=](const cairn::latch& l) {
            static_cast<void>(l.wait_until(std::chrono::steady_clock::now() + hour));
        },
        to_zero);

    sync_row made;
    made.name = "manager latch";
    made.covers = {"manager::latch"};
    made.before = "none";
    made.after = "3 to come";
    made.operation = [](const cairn::manager& m) { static_cast<void>(latch_in(m)); };
    made.read = [](const cairn::manager& m) {
        return m.contains("latch") ? read_latch(m) : std::string("none");
    };
    made.neighbour = [](const cairn::manager& m) { latch_in(m).count_down(0); };
    made.with_neighbour = [](const std::string&) { return std::string("3 to come"); };
    made.go_on = [](const cairn::manager& m) { latch_in(m).count_down(); };
    add_sync_row(table, std::move(made));
}

}  // namespace

void add_sync_row(experiment_table& table, sync_row row) {
    auto shared = std::make_shared<const sync_row>(std::move(row));
    experiment e;
    e.name = shared->name;
    e.covers = shared->covers;
    e.options = small_segment();
    e.prepare = [shared](const cairn::manager& m) {
        if (shared->prepare) shared->prepare(m);
    };
    e.visit = [shared](const cairn::manager& m) { return std::make_unique<sync_visitor>(m, shared); };
    table.push_back(std::move(e));
}

void add_sync_rows(experiment_table& table) {
    add_lock_rows<cairn::mutex>(table, "mutex", "lock");
    add_lock_rows<cairn::recursive_mutex>(table, "recursive_mutex", "rlock");
    add_mutex_word_rows(table);
    add_event_rows(table);
    add_semaphore_rows<cairn::semaphore>(table, "semaphore");
    add_semaphore_rows<cairn::bounded_semaphore>(table, "bounded_semaphore");
    add_condition_rows(table);
    add_barrier_rows(table);
    add_latch_rows(table);
}

}  // namespace cairn_test
