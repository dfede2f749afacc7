// value_rows.cpp - values, arrays, namespaces and onces: what is done with them, and what those find who come after a death.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/sync_experiment.hpp"
#include "support/opened_sync.hpp"
#include <cairn/cairn.hpp>
#include <cairn/detail/txn/root_transaction.hpp>

namespace cairn_test {

namespace {

struct undone {};
struct triple {
    long a, b, c;
};
CAIRN_FIELDS(triple, a, b, c)

template <typename Operation>
void catch_undone(Operation operation) {
    try {
        operation();
    } catch (const undone&) {
        return;
    }
}

/// One object, found by its handle's kind; what it says without its lock and with it.
template <typename Handle>
struct one_object {
    std::string prefix;  // of the rows' names
    std::string kind;    // in `covers`
    std::function<Handle(const cairn::manager&)> find;
    std::function<void(const Handle&)> neighbour;  // changes nothing that is read
    std::function<void(const Handle&)> fill = {};  // when it is made; null: it is as it is to be then

    void add(experiment_table& table, const std::string& member, const std::string& state,
             const std::string& before, const std::string& after,
             const std::function<void(const Handle&)>& operation) const {
        sync_row row;
        row.name = prefix + " " + member + ", " + state;
        // fill() is a step of the manager's operation to the check of what is covered.
        if (member != "fill") row.covers = {kind + "::" + member};
        row.before = before;
        row.after = after;
        const one_object self = *this;
        row.prepare = [self](const cairn::manager& m) {
            const Handle object = self.find(m);
            if (self.fill) self.fill(object);
        };
        row.operation = [self, operation](const cairn::manager& m) { operation(self.find(m)); };
        row.read = [self](const cairn::manager& m) {
            const Handle object = self.find(m);
            const std::string seen = cairn::repr(object);
            object.transaction([](auto&) {});
            if (cairn::repr(object) != seen) throw lab_failure("a reader has seen " + seen);
            return seen;
        };
        row.neighbour = [self](const cairn::manager& m) { self.neighbour(self.find(m)); };
        row.with_neighbour = [](const std::string& text) { return text; };
        row.go_on = [self, operation](const cairn::manager& m) { operation(self.find(m)); };
        add_sync_row(table, std::move(row));
    }
};

/// It is made, by whoever comes first.
template <typename Find>
void add_made_row(experiment_table& table, const std::string& kind, const std::string& state,
                  const std::string& after, Find find) {
    sync_row made;
    made.name = "manager " + kind + ", " + state;
    made.covers = {"manager::" + kind};
    made.before = "none";
    made.after = after;
    made.operation = [find](const cairn::manager& m) { static_cast<void>(find(m)); };
    made.read = [find](const cairn::manager& m) {
        return m.contains("it") ? cairn::repr(find(m)) : std::string("none");
    };
    made.neighbour = made.operation;
    made.with_neighbour = [after](const std::string&) { return after; };
    made.go_on = made.operation;
    add_sync_row(table, std::move(made));
}

void add_made_rows(experiment_table& table) {
    add_made_row(table, "value", "a word", "5",
                 [](const cairn::manager& m) { return m.value<long>("it", 5); });
    add_made_row(table, "value", "a long string", "'" + std::string(100, 'x') + "'",
                 [](const cairn::manager& m) { return m.value<std::string>("it", std::string(100, 'x')); });
    add_made_row(table, "array", "of three", "[1, 2, 3]", [](const cairn::manager& m) {
        return m.array<long>("it", {1, 2, 3});
    });
    add_made_row(table, "ns", "empty", "Namespace()", [](const cairn::manager& m) { return m.ns("it"); });
    add_made_row(table, "once", "not done", "once(not done)",
                 [](const cairn::manager& m) { return m.once("it"); });
}

void add_word_rows(experiment_table& table) {
    using word = cairn::value<long>;
    const one_object<word> v{"value<int64>", "value",
                             [](const cairn::manager& m) { return m.value<long>("v", 5); },
                             [](const word& of) { of.fetch_add(0); }};
    v.add(table, "fetch_add", "alone", "5", "7", [](const word& of) { of.fetch_add(2); });
    v.add(table, "store", "alone", "5", "9", [](const word& of) { of.store(9); });
    v.add(table, "exchange", "alone", "5", "9", [](const word& of) { static_cast<void>(of.exchange(9)); });
    v.add(table, "compare_exchange", "alone", "5", "9", [](const word& of) {
        long expected = 5;
        of.compare_exchange(expected, 9);
    });
    v.add(table, "update", "alone", "5", "10",
          [](const word& of) { static_cast<void>(of.update([](long& each) { each *= 2; })); });
    v.add(table, "update", "throwing", "5", "5", [](const word& of) {
        catch_undone([&] { static_cast<void>(of.update([](long&) { throw undone(); })); });
    });
    v.add(table, "transaction", "read, stored and counted", "5", "11", [](const word& of) {
        of.transaction([](auto& tx) {
            tx.store(tx.load() * 2);
            ++tx;
        });
    });
    v.add(table, "transaction", "thrown", "5", "5", [](const word& of) {
        catch_undone([&] {
            of.transaction([](auto& tx) {
                tx.store(9);
                throw undone();
            });
        });
    });
    v.add(table, "transaction", "after another one, which has held the cell", "5", "6", [](const word& of) {
        catch_undone([&] {
            of.transaction([](auto& tx) {
                ++tx;
                throw undone();
            });
        });
        of.fetch_add(1);
    });
    v.add(table, "fetch_add", "once", "5", "7", [](const word& of) {
        static_cast<void>(of.fetch_add(2, {.once = {1, 1}}));
    });
}

void add_text_rows(experiment_table& table) {
    using text = cairn::value<std::string>;
    const std::string large(300, 'x');
    const one_object<text> v{
        "value<str>", "value",
        [](const cairn::manager& m) { return m.value<std::string>("v", std::string(200, 'a')); },
        [](const text& of) { of.transaction([](auto&) {}); }};
    const std::string before = "'" + std::string(200, 'a') + "'";
    v.add(table, "store", "a long one", before, "'" + large + "'",
          [large](const text& of) { of.store(large); });
    v.add(table, "exchange", "a short one", before, "'b'",
          [](const text& of) { static_cast<void>(of.exchange("b")); });
    v.add(table, "update", "longer", before, before.substr(0, 201) + "z'",
          [](const text& of) { static_cast<void>(of.update([](std::string& each) { each += 'z'; })); });
    v.add(table, "store", "once", before, "'b'", [](const text& of) { of.store("b", {.once = {1, 1}}); });
}

void add_array_rows(experiment_table& table) {
    using words = cairn::array<long>;
    const one_object<words> a{"array<int64>", "array",
                              [](const cairn::manager& m) {
                                  return m.array<long>("a", {1, 2, 3});
                              },
                              [](const words& of) { of.transaction([](auto&) {}); }};
    a.add(table, "set", "alone", "[1, 2, 3]", "[1, 9, 3]", [](const words& of) { of.set(1, 9); });
    a.add(table, "update", "alone", "[1, 2, 3]", "[1, 4, 3]",
          [](const words& of) { of.update(1, [](long& each) { each *= 2; }); });
    a.add(table, "assign", "two", "[1, 2, 3]", "[1, 8, 9]", [](const words& of) { of.assign(1, {8, 9}); });
    a.add(table, "fill", "all", "[1, 2, 3]", "[7, 7, 7]", [](const words& of) { of.fill(7); });
    a.add(table, "set", "once", "[1, 2, 3]", "[9, 2, 3]", [](const words& of) {
        of.set(0, 9, {.once = {1, 1}});
    });
    a.add(table, "transaction", "thrown", "[1, 2, 3]", "[1, 2, 3]", [](const words& of) {
        catch_undone([&] {
            of.transaction([](auto& tx) {
                tx.set(0, 4);
                tx.fill(5);
                throw undone();
            });
        });
    });
    a.add(table, "set", "by the owner of its lock", "[1, 2, 3]", "[1, 9, 3]", [](const words& of) {
        const std::lock_guard held(of);
        of.set(1, 9);
    });
    using bytes = cairn::array<char>;
    const one_object<bytes> b{"array<int8>", "array",
                              [](const cairn::manager& m) {
                                  return m.array<char>("b", {1, 2, 3, 4, 5});
                              },
                              [](const bytes& of) { of.transaction([](auto&) {}); }};
    b.add(table, "assign", "three", "[1, 2, 3, 4, 5]", "[1, 7, 8, 9, 5]", [](const bytes& of) {
        of.assign(1, {7, 8, 9});
    });
    using triples = cairn::array<triple>;
    const one_object<triples> t{"array<triple>", "array",
                                [](const cairn::manager& m) { return m.array<triple>("t", 2); },
                                [](const triples& of) { of.transaction([](auto&) {}); }};
    const std::string none = "{'a': 0, 'b': 0, 'c': 0}";
    t.add(table, "set", "alone", "[" + none + ", " + none + "]", "[" + none + ", {'a': 1, 'b': 2, 'c': 3}]",
          [](const triples& of) {
              of.set(1, {1, 2, 3});
          });
}

void add_namespace_rows(experiment_table& table) {
    const one_object<cairn::ns> n{"ns", "ns", [](const cairn::manager& m) { return m.ns("n"); },
                                  [](const cairn::ns& of) { of.transaction([](auto&) {}); },
                                  [](const cairn::ns& of) {
                                      of.set("x", 1);
                                      of.set("y", "a");
                                  }};
    const std::string before = "Namespace(x=1, y='a')";
    n.add(table, "set", "a new name", before, "Namespace(x=1, y='a', z=2.5)",
          [](const cairn::ns& of) { of.set("z", 2.5); });
    n.add(table, "set", "another type", before, "Namespace(x='b', y='a')",
          [](const cairn::ns& of) { of.set("x", "b"); });
    n.add(table, "set", "once", before, "Namespace(x=7, y='a')", [](const cairn::ns& of) {
        of.set("x", 7, {.once = {1, 1}});
    });
    n.add(table, "update", "alone", before, "Namespace(x=2, y='a')",
          [](const cairn::ns& of) { of.update<int>("x", [](int& each) { ++each; }); });
    n.add(table, "erase", "one of two", before, "Namespace(y='a')",
          [](const cairn::ns& of) { of.erase("x"); });
    n.add(table, "clear", "two", before, "Namespace()", [](const cairn::ns& of) { of.clear(); });
    n.add(table, "transaction", "cleared and set", before, "Namespace(z=3)", [](const cairn::ns& of) {
        of.transaction([](auto& tx) {
            tx.clear();
            tx.set("z", 3);
        });
    });
}

// What an initializer has done, and whether it is done: it begins anew after a death.
void add_once_call_rows(experiment_table& table) {
    const auto text = [](const cairn::manager& m) {
        return cairn::repr(m.once("once")) + " " + cairn::repr(m.list<long>("made"));
    };
    const auto call = [](const cairn::manager& m) {
        m.once("once").call([&] {
            const auto made = m.list<long>("made");
            made.clear();
            made.extend({1, 2});
        });
    };
    const auto take_locks = [](const cairn::manager& m) {
        m.list<long>("made").transaction([](auto&) {});
        const opened_sync open(m.once("once"));
        const cairn::detail::root_transaction tx(open.in(), open.slot(), open.generation());
    };
    for (const bool throws : {false, true}) {
        sync_row row;
        row.name = throws ? "once call, throwing" : "once call, alone";
        row.covers = {"once::call"};
        row.before = "before";
        row.after = throws ? "before" : "once(done) [1, 2]";
        row.prepare = [](const cairn::manager& m) {
            static_cast<void>(m.once("once"));
            static_cast<void>(m.list<long>("made"));
        };
        row.operation = [call, throws](const cairn::manager& m) {
            if (!throws) return call(m);
            catch_undone([&] { m.once("once").call([] { throw undone(); }); });
        };
        // Anything that is not done counts as before: an initializer may have been killed anywhere.
        row.read = [text, take_locks](const cairn::manager& m) {
            take_locks(m);
            return m.once("once").done() ? text(m) : std::string("before");
        };
        row.touch = take_locks;
        row.neighbour = [](const cairn::manager& m) {
            catch_undone([&] { m.once("once").call([] { throw undone(); }); });
        };
        row.with_neighbour = [](const std::string& seen) { return seen; };
        row.go_on = [call, text](const cairn::manager& m) {
            call(m);
            if (text(m) != "once(done) [1, 2]") throw lab_failure("going on: " + text(m));
        };
        add_sync_row(table, std::move(row));
    }
}

}  // namespace

void add_value_rows(experiment_table& table) {
    add_made_rows(table);
    add_word_rows(table);
    add_text_rows(table);
    add_array_rows(table);
    add_namespace_rows(table);
    add_once_call_rows(table);
}

}  // namespace cairn_test
