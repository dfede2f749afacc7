// sync_rows.cpp - locks, events and semaphores: what is done with them, and what those find who come after a death.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/pictures.hpp"
#include "crash/sync_experiment.hpp"
#include "os/identity.hpp"
#include "segment/participants.hpp"
#include "support/opened_sync.hpp"
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
    else if constexpr (std::is_same_v<Lock, cairn::shared_mutex>) return m.shared_mutex("lock");
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

// Beside others that do; half of a pair is one that a dead writer has left.
void look_as_reader(const cairn::manager& m, const cairn::shared_mutex& l) {
    const std::shared_lock reading(l);
    if (pairs_in(m).size() % 2 != 0 && !l.owner_died())
        throw lab_failure("a reader has seen half of a pair, and no writer has died");
}

template <typename Lock>
std::string count_pairs(const cairn::manager& m) {
    const auto l = open_lock<Lock>(m);
    if constexpr (std::is_same_v<Lock, cairn::shared_mutex>) look_as_reader(m, l);
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

    if constexpr (std::is_same_v<Lock, cairn::shared_mutex>) {
        const auto add_pair_after = [](const cairn::manager& m, const Lock& l) {
            l.unlock_shared();
            add_pair(m, l);
        };
        add("lock_shared", "and no more", 0, [](const cairn::manager&, const Lock& l) { l.lock_shared(); });
        add("unlock_shared", "and then a pair", 1, [=](const cairn::manager& m, const Lock& l) {
            l.lock_shared();
            add_pair_after(m, l);
        });
        add(
            "lock_shared", "after a dead writer", 1,
            [=](const cairn::manager& m, const Lock& l) {
                l.lock_shared();
                if (!l.owner_died()) throw lab_failure("a writer has died, and it is not said");
                add_pair_after(m, l);
            },
            0, with_dead_owner);
        add("try_lock_shared", "free", 1, [=](const cairn::manager& m, const Lock& l) {
            if (!l.try_lock_shared()) throw lab_failure("a free lock is not taken");
            add_pair_after(m, l);
        });
        // Of a process that is not there any more: a writer asks for it.
        add(
            "lock", "after a dead reader", 1, [](const cairn::manager& m, const Lock& l) { add_pair(m, l); },
            0,
            [](const cairn::manager&, const Lock& l) {
                // As if it had begun at another time: nobody is it.
                const opened_sync<Lock> open(l);
                auto& gone = cairn::detail::participant_at(open.in(), 20);
                gone.identity = cairn::detail::os::own_identity() ^ std::uint64_t{1} << 40;
                gone.number = ++open.in().control().last_participant;
                gone.shared_locks[7] = (open.in().slot_number(open.slot()) + 1) << 8 | 1;
                open.in().control().used_participants = 21;
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
void lock_semaphore(const cairn::manager& m) {
    const auto found = m.find<Semaphore>("semaphore");
    if (!found) return;
    const opened_sync open(*found);
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
            const opened_sync open(s);
            const auto holders = cairn::detail::find_permit_holders(
                open.in(), open.template stored<cairn::detail::semaphore_node>());
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
    add_lock_rows<cairn::shared_mutex>(table, "shared_mutex", "shared_mutex");
    add_mutex_word_rows(table);
    add_event_rows(table);
    add_semaphore_rows<cairn::semaphore>(table, "semaphore");
    add_semaphore_rows<cairn::bounded_semaphore>(table, "bounded_semaphore");
}

}  // namespace cairn_test
