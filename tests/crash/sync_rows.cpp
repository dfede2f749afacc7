// sync_rows.cpp - locks: what their owner does with them, and the next owner after its death.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/sync_experiment.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

class sync_visitor : public visitor {
public:
    sync_visitor(const cairn::manager& m, std::shared_ptr<const sync_row> row)
        : manager_(m), row_(std::move(row)) {}

    void operate() override { row_->operation(manager_); }
    std::optional<outcome> touch(approach how) override {
        if (how == approach::manager_first) static_cast<void>(manager_.contains("nobody"));
        static_cast<void>(row_->read(manager_));
        return std::nullopt;
    }
    outcome look() override { return compare(row_->read(manager_), row_->before, row_->after); }
    void go_on() override { row_->go_on(manager_); }
    void remove_all() override {
        for (const cairn::object_info& object : manager_.objects())
            if (!manager_.remove(object.name)) throw lab_failure("'" + object.name + "' cannot be removed");
        if (!manager_.objects().empty()) throw lab_failure("removed objects are still there");
    }
    void neighbour() override { row_->neighbour(manager_); }
    outcome look_after_neighbour() override {
        return compare(row_->read(manager_), row_->with_neighbour(row_->before),
                       row_->with_neighbour(row_->after));
    }

private:
    static outcome compare(const std::string& found, const std::string& before, const std::string& after) {
        if (found == before && found == after) return outcome::unchanged;
        if (found == before) return outcome::before;
        if (found == after) return outcome::after;
        throw lab_failure("neither before (" + before + ") nor after (" + after + "): " + found);
    }

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
}

}  // namespace cairn_test
