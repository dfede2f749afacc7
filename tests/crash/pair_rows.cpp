// pair_rows.cpp - transactions over two objects: what was done to one is never there without what was done to the other.
//
// Who comes after a death takes part in a transaction of the first object with a third one, which has the same number as the one that
// was cut off: what is left to settle must be settled before.
//
// SPDX-License-Identifier: BSL-1.0
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/sync_experiment.hpp"
#include "crash/transaction_rows.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

struct undone {};

/// Whether the second one is looked at before the first.
enum class look { first_first, second_first };
constexpr look either_order[] = {look::first_first, look::second_first};

template <typename Object>
void make_empty(Object& object) {
    if constexpr (requires { object.clear(); }) {
        object.clear();
    } else {
        while (object.try_get()) {}
    }
}

/// Two objects, and how they are found. `fill` makes them, in this order, which is that of their control blocks.
template <typename First, typename Second>
struct pair_of {
    std::string types;
    std::function<First(const cairn::manager&)> first;
    std::function<Second(const cairn::manager&)> second;
    std::function<void(const First&, const Second&)> fill;

    [[nodiscard]] std::string text(const cairn::manager& m, look order) const {
        if (order == look::first_first) {
            const std::string one = cairn::repr(first(m));
            return one + " " + cairn::repr(second(m));
        }
        const std::string two = cairn::repr(second(m));
        return cairn::repr(first(m)) + " " + two;
    }

    void take_locks(const cairn::manager& m, look order) const {
        if (order == look::second_first) second(m).transaction([](auto&) {});
        first(m).transaction([](auto&) {});
        second(m).transaction([](auto&) {});
    }

    void add(experiment_table& table, const std::string& what, const std::string& before,
             const std::string& after, const std::function<void(const First&, const Second&)>& operation,
             std::span<const look> orders = either_order) const {
        for (const look order : orders) {
            sync_row row;
            row.name = "transaction over " + types + ", " + what +
                       (order == look::first_first ? "" : "; the second one is looked at first");
            row.covers = {"transaction"};
            row.before = before;
            row.after = after;
            const pair_of self = *this;
            row.prepare = [self](const cairn::manager& m) {
                const First one = self.first(m);
                self.fill(one, self.second(m));
                m.list<long>("third").push_back(0);
            };
            row.operation = [self, operation](const cairn::manager& m) {
                operation(self.first(m), self.second(m));
            };
            // Without the locks, and with them.
            row.read = [self, order](const cairn::manager& m) {
                const std::string seen = self.text(m, order);
                self.take_locks(m, order);
                if (self.text(m, order) != seen) throw lab_failure("a reader has seen " + seen);
                return seen;
            };
            row.touch = [self, order](const cairn::manager& m) {
                if (order == look::second_first) self.second(m).transaction([](auto&) {});
                cairn::transaction(self.first(m), m.list<long>("third"),
                                   [](auto&, auto& third) { third[0] += 1; });
                self.take_locks(m, order);
            };
            row.neighbour = [self](const cairn::manager& m) {
                cairn::transaction(m.list<long>("third"), self.second(m),
                                   [](auto& third, auto&) { third.push_back(2); });
            };
            row.with_neighbour = [](const std::string& text) { return text; };
            row.go_on = [self](const cairn::manager& m) {
                cairn::transaction(self.second(m), self.first(m), [](auto& of_second, auto& of_first) {
                    make_empty(of_second);
                    make_empty(of_first);
                });
                if (self.first(m).size() + self.second(m).size() != 0)
                    throw lab_failure("going on: not cleared");
            };
            add_sync_row(table, std::move(row));
        }
    }
};

void add_list_and_dict(experiment_table& table) {
    using list = cairn::list<long>;
    using dict = cairn::dict<long, long>;
    const pair_of<list, dict> both{"list<int64> and dict<int64, int64>",
                                   [](const cairn::manager& m) { return m.list<long>("list"); },
                                   [](const cairn::manager& m) { return m.dict<long, long>("dict"); },
                                   [](const list& l, const dict& d) {
                                       l.extend({1, 2, 3});
                                       d.set(7, 70);
                                   }};
    const auto move_one = [](list& l, dict& d) {
        d.set(l.pop(), 30);
        l.set(0, 5);
    };
    both.add(table, "moved", "[1, 2, 3] {7: 70}", "[5, 2] {7: 70, 3: 30}",
             [=](const list& l, const dict& d) { cairn::transaction(l, d, move_one); });
    both.add(table, "moved, and thrown", "[1, 2, 3] {7: 70}", "[1, 2, 3] {7: 70}",
             [=](const list& l, const dict& d) {
                 try {
                     cairn::transaction(d, l, [&](auto& of_d, auto& of_l) {
                         move_one(of_l, of_d);
                         throw undone();
                     });
                 } catch (const undone&) {
                     return;
                 }
             });
    both.add(table, "one changed only", "[1, 2, 3] {7: 70}", "[1, 2, 3] {}",
             [](const list& l, const dict& d) {
                 cairn::transaction(l, d, [](auto&, auto& of_d) { of_d.erase(7); });
             });
    both.add(table, "nothing done", "[1, 2, 3] {7: 70}", "[1, 2, 3] {7: 70}",
             [](const list& l, const dict& d) { cairn::transaction(l, d, [](auto&, auto&) {}); });
    both.add(table, "one part thrown away", "[1, 2, 3] {7: 70}", "[1, 2, 3, 4] {7: 70, 8: 80}",
             [](const list& l, const dict& d) {
                 cairn::transaction(l, d, [](auto& of_l, auto& of_d) {
                     of_l.push_back(4);
                     try {
                         of_d.transaction([](auto& inner) {
                             inner.clear();
                             throw undone();
                         });
                     } catch (const undone&) {
                         of_d.set(8, 80);
                     }
                 });
             });
}

// What takes pages of both, and gives them back.
void add_strings(experiment_table& table) {
    using list = cairn::list<std::string>;
    const std::string large(9000, 'x');
    const pair_of<list, list> both{"two list<str>",
                                   [](const cairn::manager& m) { return m.list<std::string>("one"); },
                                   [](const cairn::manager& m) { return m.list<std::string>("two"); },
                                   [large](const list& one, const list&) {
                                       one.push_back(large);
                                       one.push_back("a");
                                   }};
    const std::string before = "['" + large + "', 'a'] []";
    both.add(table, "moved, with its pages", before, "['a'] ['" + large + "']",
             [](const list& one, const list& two) {
                 cairn::transaction(one, two, [](auto& from, auto& to) { to.push_back(from.pop(0)); });
             });
    both.add(table, "moved, with its pages, and thrown", before, before,
             [](const list& one, const list& two) {
                 try {
                     cairn::transaction(one, two, [](auto& from, auto& to) {
                         to.push_back(from.pop(0));
                         from.push_back(std::string(9000, 'z'));
                         throw undone();
                     });
                 } catch (const undone&) {
                     return;
                 }
             });
}

void add_queue_and_set(experiment_table& table) {
    using queue = cairn::queue<long>;
    using set = cairn::set<long>;
    const pair_of<queue, set> both{"queue<int64> and set<int64>",
                                   [](const cairn::manager& m) { return m.queue<long>("queue"); },
                                   [](const cairn::manager& m) { return m.set<long>("set"); },
                                   [](const queue& q, const set& s) {
                                       q.put_many({1, 2, 3});
                                       s.add(9);
                                   }};
    both.add(table, "moved", "queue([1, 2, 3]) {9}", "queue([3]) {9, 1, 2}",
             [](const queue& q, const set& s) {
                 cairn::transaction(q, s, [](auto& of_q, auto& of_s) {
                     of_s.add(of_q.get());
                     of_s.add(of_q.get());
                 });
             });
    both.add(table, "moved back, and thrown", "queue([1, 2, 3]) {9}", "queue([1, 2, 3]) {9}",
             [](const queue& q, const set& s) {
                 try {
                     cairn::transaction(s, q, [](auto& of_s, auto& of_q) {
                         of_q.put(of_s.pop());
                         throw undone();
                     });
                 } catch (const undone&) {
                     return;
                 }
             });
}

}  // namespace

void add_pair_rows(experiment_table& table) {
    add_list_and_dict(table);
    add_strings(table);
    add_queue_and_set(table);
}

}  // namespace cairn_test
