// once_rows.cpp - operations with a number: the number is there if the operation is, and the other way round.
//
// Who comes after a death tries the operation again, as a client would that does not know whether it was done.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "crash/list_rows.hpp"
#include "crash/sync_experiment.hpp"
#include "crash/transaction_rows.hpp"
#include <cairn/cairn.hpp>

namespace cairn_test {

namespace {

constexpr cairn::exactly_once first_time = {.once = {1, 1}};
constexpr cairn::exactly_once second_time = {.once = {1, 2}};

cairn::list<long> list_in(const cairn::manager& m) {
    return m.list<long>("list");
}
cairn::dict<std::string, std::string> dict_in(const cairn::manager& m) {
    return m.dict<std::string, std::string>("dict");
}
cairn::queue<long> queue_in(const cairn::manager& m) {
    return m.queue<long>("queue");
}
cairn::set<long> set_in(const cairn::manager& m) {
    return m.set<long>("set");
}

// Without the locks, and with them.
std::string read_all(const cairn::manager& m) {
    const auto text = [&] {
        std::string all;
        for (const std::uint64_t sequence : {1U, 2U}) all += m.happened({1, sequence}) ? "+ " : "- ";
        return all + cairn::repr(list_in(m)) + cairn::repr(dict_in(m)) + cairn::repr(queue_in(m)) +
               cairn::repr(set_in(m));
    };
    const std::string seen = text();
    list_in(m).transaction([](auto&) {});
    dict_in(m).transaction([](auto&) {});
    queue_in(m).transaction([](auto&) {});
    set_in(m).transaction([](auto&) {});
    if (text() != seen) throw lab_failure("a reader has seen " + seen);
    return seen;
}

void make_all(const cairn::manager& m) {
    list_in(m).extend({1, 2});
    dict_in(m).set("a", "b");
    queue_in(m).put(1);
    set_in(m).add(1);
}

using change = std::function<void(const cairn::manager&)>;

// `prepare` is done before; nothing of what is read is changed by it but the numbers.
void add(experiment_table& table, const std::string& what, const std::vector<std::string>& covers,
         const std::string& before, const std::string& after, const change& operation,
         const change& prepare = {}) {
    sync_row row;
    row.name = "once: " + what;
    row.covers = covers;
    row.before = before;
    row.after = after;
    row.prepare = [prepare](const cairn::manager& m) {
        make_all(m);
        if (prepare) prepare(m);
    };
    row.operation = operation;
    row.read = read_all;
    row.neighbour = [](const cairn::manager& m) { list_in(m).push_back(7, {.once = {2, 1}}); };
    row.with_neighbour = [](std::string text) {
        const std::size_t end = text.find(']');
        return text.insert(end, text[end - 1] == '[' ? "7" : ", 7");
    };
    row.go_on = [operation](const cairn::manager& m) {
        operation(m);
        const std::string once = read_all(m);
        operation(m);
        if (read_all(m) != once) throw lab_failure("going on: " + once + " is " + read_all(m));
    };
    add_sync_row(table, std::move(row));
}

}  // namespace

void add_once_rows(experiment_table& table) {
    const std::string others = "{'a': 'b'}queue([1]){1}";
    const change append = [](const cairn::manager& m) { list_in(m).push_back(3, first_time); };
    const change known = [](const cairn::manager& m) { list_in(m).push_back(2, first_time); };
    add(table, "append by a new client", {"list::push_back"}, "- - [1, 2]" + others, "+ - [1, 2, 3]" + others,
        append);
    add(
        table, "append again", {"list::push_back"}, "+ + [1, 2, 2, 5]" + others, "+ + [1, 2, 2, 5]" + others,
        [](const cairn::manager& m) { list_in(m).push_back(3, second_time); },
        [](const cairn::manager& m) {
            list_in(m).push_back(2, first_time);
            list_in(m).push_back(5, second_time);
        });
    add(
        table, "append by a known client", {"list::push_back"}, "+ - [1, 2, 2]" + others,
        "+ + [1, 2, 2, 3]" + others, [](const cairn::manager& m) { list_in(m).push_back(3, second_time); },
        known);
    add(
        table, "set and erase of a list", {"list::set", "list::erase"}, "+ - [1, 2, 2]" + others,
        "+ + [9, 2]" + others,
        [](const cairn::manager& m) {
            list_in(m).transaction([](const auto& l) {
                if (l.set(0, 9, second_time)) l.erase(1, {.once = {3, 1}});
            });
        },
        known);
    add(table, "set of a dict", {"dict::set"}, "- - [1, 2]" + others,
        "+ - [1, 2]{'a': 'b', 'c': '" + std::string(100, 'x') + "'}queue([1]){1}",
        [](const cairn::manager& m) { dict_in(m).set("c", std::string(100, 'x'), first_time); });
    add(table, "erase of a dict", {"dict::erase"}, "- - [1, 2]" + others, "+ - [1, 2]{}queue([1]){1}",
        [](const cairn::manager& m) { dict_in(m).erase("a", first_time); });
    add(table, "put", {"queue::put"}, "- - [1, 2]" + others, "+ - [1, 2]{'a': 'b'}queue([1, 2]){1}",
        [](const cairn::manager& m) { queue_in(m).put(2, first_time); });
    add(table, "add to a set", {"set::add"}, "- - [1, 2]" + others, "+ - [1, 2]{'a': 'b'}queue([1]){1, 2}",
        [](const cairn::manager& m) { set_in(m).add(2, first_time); });
    add(table, "a transaction", {"list::transaction"}, "- - [1, 2]" + others, "+ - [3]" + others,
        [](const cairn::manager& m) {
            list_in(m).transaction(first_time, [](auto& l) {
                l.clear();
                l.push_back(3);
            });
        });
    add(table, "a transaction over two", {"transaction"}, "- - [1, 2]" + others,
        "+ - [1, 2, 1]{'a': 'b'}queue([]){1}", [](const cairn::manager& m) {
            cairn::transaction(first_time, queue_in(m), list_in(m),
                               [](auto& q, auto& l) { l.push_back(q.get()); });
        });
    add(
        table, "a client is forgotten", {"manager::forget"}, "+ - [1, 2, 2]" + others,
        "- - [1, 2, 2]" + others, [](const cairn::manager& m) { m.forget(1); }, known);
}

}  // namespace cairn_test
