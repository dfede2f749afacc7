// transaction_rows.cpp - several operations as one, on each kind of object: none of them is seen without the others.
//
// What a death would find, if it could: a place that was taken away and written over, a block that was freed and handed out
// again, pages that an operation took which failed alone, a stored operation half done.
//
// SPDX-License-Identifier: BSL-1.0
#include "crash/transaction_rows.hpp"

#include "crash/dict_experiment.hpp"
#include "crash/queue_experiment.hpp"

namespace cairn_test {

namespace {

struct undone {};

/// `inside`, and an exception at its end.
template <typename Inside>
auto thrown_out_of(Inside inside) {
    return [inside](const auto& subject) {
        try {
            subject.transaction([&](const auto& tx) {
                inside(tx);
                throw undone();
            });
        } catch (const undone&) {
            return;
        }
    };
}

template <typename Inside>
auto in_transaction(Inside inside) {
    return [inside](const auto& subject) { subject.transaction(inside); };
}

/// `failing` alone is taken back: it is between the other two.
template <typename First, typename Failing, typename Last>
auto with_failure_between(First first, Failing failing, Last last) {
    return in_transaction([=](const auto& tx) {
        first(tx);
        thrown_out_of(failing)(tx);
        last(tx);
    });
}

/// What takes pages of its own.
template <typename T>
std::vector<T> pages_of() {
    if constexpr (std::is_same_v<T, std::string>) return {std::string(9000, 'p')};
    else return element<T>::some(9000 / sizeof(T), 50);
}

template <typename T>
void add_list_rows(experiment_table& table, const std::string& type) {
    using list = cairn::list<T>;
    using values = std::vector<T>;
    list_rows<T> rows(table, type);
    const auto some = [](std::size_t count, std::size_t first = 0) { return element<T>::some(count, first); };
    const T one = element<T>::make(701);
    const T two = element<T>::make(702);

    const auto append_two = [=](const list& tx) {
        tx.push_back(one);
        tx.push_back(two);
    };
    rows.add("transaction", "two appended", some(5), in_transaction(append_two), [=](values& v) {
        v.push_back(one);
        v.push_back(two);
    });
    rows.add("transaction", "two appended, and thrown", some(5), thrown_out_of(append_two), [](values&) {});

    const auto replace_last = [=](const list& tx) {
        tx.pop();
        tx.push_back(one);
        tx.pop();
        tx.push_back(two);
    };
    rows.add("transaction", "the last one popped and written over", some(6), in_transaction(replace_last),
             [=](values& v) { v.back() = two; });
    rows.add("transaction", "the last one popped and written over, and thrown", some(6),
             thrown_out_of(replace_last), [](values&) {});

    const auto erase_and_refill = [=](const list& tx) {
        tx.erase(2, 9);
        tx.insert(1, one);
        tx.extend(some(12, 30));
        tx.set(0, two);
    };
    const auto erase_and_refill_model = [=](values& v) {
        v.erase(v.begin() + 2, v.begin() + 9);
        v.insert(v.begin() + 1, one);
        const values more = some(12, 30);
        v.insert(v.end(), more.begin(), more.end());
        v[0] = two;
    };
    rows.add("transaction", "erased, inserted, extended", some(20), in_transaction(erase_and_refill),
             erase_and_refill_model);
    rows.add("transaction", "erased, inserted, extended, and thrown", some(20),
             thrown_out_of(erase_and_refill), [](values&) {});

    const auto clear_and_refill = [=](const list& tx) {
        tx.clear();
        tx.extend(some(7, 40));
    };
    rows.add("transaction", "cleared and filled", some(25), in_transaction(clear_and_refill),
             [=](values& v) { v = some(7, 40); });
    rows.add("transaction", "cleared and filled, and thrown", some(25), thrown_out_of(clear_and_refill),
             [](values&) {});

    rows.add(
        "transaction", "one part thrown away, with its pages", some(10),
        with_failure_between([=](const list& tx) { tx.push_back(one); },
                             [=](const list& tx) {
                                 tx.pop();
                                 tx.reverse();
                                 tx.extend(pages_of<T>());
                             },
                             [=](const list& tx) { tx.push_back(two); }),
        [=](values& v) {
            v.push_back(one);
            v.push_back(two);
        },
        {}, roomy_segment());
    rows.add(
        "transaction", "a part thrown away that only takes pages, before anything else", some(10),
        with_failure_between([](const list&) {}, [=](const list& tx) { tx.extend(pages_of<T>()); },
                             [](const list&) {}),
        [](values&) {}, {}, roomy_segment());
    rows.add("transaction", "nothing done", some(3),
             in_transaction([](const list& tx) { static_cast<void>(tx.size()); }), [](values&) {});
}

template <typename D>
void add_dict_rows_of(experiment_table& table, const std::string& type) {
    using items = std::vector<typename keyed<D>::item>;
    keyed_rows<D> rows(table, type);
    const items five = some_items<D>(5);
    const auto there = five[1].first;
    // As long as what is there: its block would do for them.
    const auto fresh = some_items<D>(1, 61)[0].first;
    const auto value = some_items<D>(1, 76)[0].second;

    const auto erase_and_insert = [=](const D& tx) {
        tx.erase(there);
        tx.set(fresh, value);
        tx.set(there, value);
        tx.erase(fresh);
    };
    rows.add("transaction", "erased and inserted", five, in_transaction(erase_and_insert), [=](items& v) {
        v.erase(v.begin() + 1);
        v.emplace_back(there, value);
    });
    rows.add("transaction", "erased and inserted, and thrown", five, thrown_out_of(erase_and_insert),
             [](items&) {});

    const items many = some_items<D>(40, 100);
    const auto grow = [=](const D& tx) {
        tx.popitem();
        tx.update(many);
        tx.set(there, value);
    };
    rows.add("transaction", "tables made anew", five, in_transaction(grow), [=](items& v) {
        v.pop_back();
        v.insert(v.end(), many.begin(), many.end());
        v[1].second = value;
    });
    rows.add("transaction", "tables made anew, and thrown", five, thrown_out_of(grow), [](items&) {});

    const auto clear_and_refill = [=](const D& tx) {
        tx.clear();
        tx.set(fresh, value);
    };
    rows.add("transaction", "cleared and filled", some_items<D>(20), in_transaction(clear_and_refill),
             [=](items& v) {
                 v = {{fresh, value}};
             });
    rows.add("transaction", "cleared and filled, and thrown", some_items<D>(20),
             thrown_out_of(clear_and_refill), [](items&) {});

    rows.add("transaction", "one part thrown away", five,
             with_failure_between([=](const D& tx) { tx.erase(there); }, grow,
                                  [=](const D& tx) { tx.set(fresh, value); }),
             [=](items& v) {
                 v.erase(v.begin() + 1);
                 v.emplace_back(fresh, value);
             });
}

template <typename T>
void add_set_rows_of(experiment_table& table, const std::string& type) {
    using set = cairn::set<T>;
    using items = std::vector<T>;
    keyed_rows<set> rows(table, type);
    const items five = some_items<set>(5);
    const T fresh = element<T>::make(60);
    const auto change = [=](const set& tx) {
        tx.discard(five[2]);
        tx.add(fresh);
        tx.pop();
        tx.add(five[2]);
    };
    rows.add("transaction", "discarded and added", five, in_transaction(change), [=](items& v) {
        v.erase(v.begin() + 2);
        v.push_back(five[2]);
    });
    rows.add("transaction", "discarded and added, and thrown", five, thrown_out_of(change), [](items&) {});
}

/// `many` fill more than a chunk.
template <typename Q>
void add_queue_rows_of(experiment_table& table, const std::string& type, std::size_t many_count) {
    using T = typename Q::value_type;
    using rows_of = queue_rows<Q>;
    using picture = typename rows_of::picture;
    rows_of rows(table, type);
    const T one = element<T>::make(500);
    const T two = element<T>::make(501);
    const auto take = [](picture& p, std::size_t count) {
        p.items.erase(p.items.begin(), p.items.begin() + static_cast<std::ptrdiff_t>(count));
    };

    // Of `wide` the only chunk is full, and so begun anew: what was in it is written over.
    const auto take_all_and_put = [=](const Q& tx) {
        while (tx.try_get()) {}
        tx.put(one);
        tx.get();
        tx.put(two);
    };
    rows.add("transaction", "all taken, others put", rows.with(3), in_transaction(take_all_and_put),
             [=](picture& p) {
                 take(p, 3);
                 rows_of::put_all(p, {one, two});
                 p.items = {two};
             });
    rows.add("transaction", "all taken, others put, and thrown", rows.with(3),
             thrown_out_of(take_all_and_put), [](picture&) {});

    const std::vector<T> many = element<T>::some(many_count, 600);
    const auto fill_and_take = [=](const Q& tx) {
        tx.put_many(many);
        tx.get_many(4);
        tx.task_done();
    };
    rows.add("transaction", "many put, some taken and done", rows.with(2), in_transaction(fill_and_take),
             [=](picture& p) {
                 rows_of::put_all(p, many);
                 take(p, 4);
                 --p.unfinished;
             },
             {.segment = roomy_segment()});
    rows.add("transaction", "many put, some taken and done, and thrown", rows.with(2),
             thrown_out_of(fill_and_take), [](picture&) {}, {.segment = roomy_segment()});

    rows.add("transaction", "one part thrown away", rows.with(3),
             with_failure_between([=](const Q& tx) { tx.get(); }, take_all_and_put,
                                  [=](const Q& tx) { tx.put(two); }),
             [=](picture& p) {
                 take(p, 1);
                 rows_of::put_all(p, {two});
             });
    rows.add("transaction", "shut down, all dropped", rows.with(4), in_transaction([=](const Q& tx) {
                 tx.put(one);
                 tx.shutdown(true);
             }),
             [](picture& p) {
                 p = {{}, p.unfinished - 4, true, 0, {}};
             });
    rows.add("transaction", "shut down, and thrown", rows.with(4),
             thrown_out_of([](const Q& tx) { tx.shutdown(true); }), [](picture&) {});
}

}  // namespace

void add_transaction_rows(experiment_table& table) {
    add_list_rows<long>(table, "int64");
    add_list_rows<char>(table, "int8");
    add_list_rows<std::string>(table, "str");
    add_dict_rows_of<cairn::dict<long, long>>(table, "int64, int64");
    add_dict_rows_of<cairn::dict<std::string, std::string>>(table, "str, str");
    add_set_rows_of<long>(table, "int64");
    add_queue_rows_of<cairn::queue<long>>(table, "int64", 140);
    add_queue_rows_of<cairn::queue<wide>>(table, "wide", 9);
    add_queue_rows_of<cairn::queue<std::string>>(table, "str", 70);
    add_queue_rows_of<cairn::lifo_queue<long>>(table, "int64", 20);
    add_queue_rows_of<cairn::priority_queue<std::string>>(table, "str", 9);
}

}  // namespace cairn_test
