// dict_rows.cpp - dict<K, V> of words, of strings in shared blocks, of both, and of values that make tables few.
//
// A table of words is full at 7, 13, 26, 65, 130, 260 (the next one has pages of its own) and 527 records, and is two
// tables from there on. One whose values are `wide` is full at 7, 20 and 46. A leaf of the order has 16 numbers.
//
// SPDX-License-Identifier: BSL-1.0
#include "crash/dict_experiment.hpp"

namespace cairn_test {

namespace {

using words = cairn::dict<long, long>;
using texts = cairn::dict<std::string, std::string>;
using wides = cairn::dict<long, wide>;

template <typename C>
using items_of = std::vector<typename keyed<C>::item>;

template <typename C>
void append(items_of<C>& to, const items_of<C>& more) {
    for (const auto& each : more) keyed<C>::add_to(to, each);
}

keyed_rows<words>::shape fill(std::uint32_t left) {
    return [left](const cairn::manager& m) { leave_free_pages(m, left); };
}

template <typename Operation>
auto expect_full(Operation operation) {
    return [operation](const auto& subject) {
        try {
            operation(subject);
        } catch (const cairn::segment_full&) {
            return;
        }
        throw lab_failure("the segment should have been full");
    };
}

// What all types have in common: each operation in a small dict.
template <typename K, typename V>
void add_small(keyed_rows<cairn::dict<K, V>>& rows) {
    using dict = cairn::dict<K, V>;
    using items = items_of<dict>;
    const items three = some_items<dict>(3);
    const K there = three[1].first;
    const K fresh = element<K>::make(50);
    const V value = element<V>::make(77);
    auto set_new = [=](items& v) { v.emplace_back(fresh, value); };
    auto set_there = [=](items& v) { v[1].second = value; };
    auto take_there = [](items& v) { v.erase(v.begin() + 1); };

    rows.add(
        "set", "the first", {}, [=](const dict& d) { d.set(fresh, value); }, set_new);
    rows.add(
        "set", "a new key", three, [=](const dict& d) { d.set(fresh, value); }, set_new);
    rows.add(
        "set", "a key that is there", three, [=](const dict& d) { d.set(there, value); }, set_there);
    rows.add(
        "insert_or_assign", "a new key", three, [=](const dict& d) { d.insert_or_assign(fresh, value); },
        set_new);
    rows.add(
        "operator[]", "assigned", three, [=](const dict& d) { d[there] = value; }, set_there);
    rows.add(
        "operator[]", "assigned to a new key", three, [=](const dict& d) { d[fresh] = value; }, set_new);
    rows.add(
        "try_emplace", "a new key", three, [=](const dict& d) { d.try_emplace(fresh, value); }, set_new);
    rows.add(
        "try_emplace", "a key that is there", three, [=](const dict& d) { d.try_emplace(there, value); },
        [](items&) {});
    rows.add(
        "setdefault", "a new key", three, [=](const dict& d) { d.setdefault(fresh, value); }, set_new);
    rows.add(
        "update", "a value", three, [=](const dict& d) { d.update(there, [&](V& v) { v = value; }); },
        set_there);
    rows.add(
        "update", "a value of a new key", three,
        [=](const dict& d) { d.update(fresh, [&](const V&) { return V(value); }); }, set_new);
    rows.add(
        "update", "throwing", three,
        [=](const dict& d) {
            try {
                d.update(there, [](V&) { throw std::runtime_error("not today"); });
            } catch (const std::runtime_error&) {}
        },
        [](items&) {});
    items some = some_items<dict>(4, 50);
    some.emplace_back(there, value);
    rows.add(
        "update", "by a range, old and new", three, [=](const dict& d) { d.update(some); },
        [=](items& v) { append<dict>(v, some); });
    rows.add(
        "operator|=", "old and new", three, [=](const dict& d) { d |= some; },
        [=](items& v) { append<dict>(v, some); });
    rows.add(
        "erase", "one of three", three, [=](const dict& d) { d.erase(there); }, take_there);
    rows.add(
        "erase", "the only one", some_items<dict>(1), [=](const dict& d) { d.erase(three[0].first); },
        [](items& v) { v.clear(); });
    rows.add(
        "pop", "one of three", three, [=](const dict& d) { d.pop(there); }, take_there);
    rows.add(
        "popitem", "one of three", three, [=](const dict& d) { d.popitem(); },
        [](items& v) { v.pop_back(); });
    rows.add(
        "erase_if", "one of three", three,
        [=](const dict& d) { cairn::erase_if(d, [&](const K& key, const V&) { return key == there; }); },
        take_there);
    rows.add(
        "clear", "a few", some_items<dict>(9), [](const dict& d) { d.clear(); }, [](items& v) { v.clear(); });
    rows.add_creation("with contents", three);
}

void add_word_states(keyed_rows<words>& rows) {
    using items = items_of<words>;
    const std::pair<const char*, std::size_t> growing[] = {{"an order leaf that is full", 16},
                                                           {"a table that is full", 7},
                                                           {"a table of several groups that is full", 65},
                                                           {"a table that needs pages", 260},
                                                           {"a table that splits", 527}};
    for (const auto& [state, count] : growing)
        rows.add(
            "set", state, some_items<words>(count), [](const words& d) { d.set(-5, 7); },
            [](items& v) { v.emplace_back(-5, 7); });
    rows.add(
        "set", "needing growth", some_items<words>(260), [](const words& d) { d.set(-5, 7); },
        [](items& v) { v.emplace_back(-5, 7); }, fill(0));

    const items many = some_items<words>(180, 5000);
    rows.add(
        "update", "spilling its log", some_items<words>(5), [=](const words& d) { d.update(many); },
        [=](items& v) { append<words>(v, many); });
    rows.add_creation("needing pages", some_items<words>(280));

    // Others that came later and went leave one cell in the first leaf of the order.
    auto add_and_take = [](long count) {
        return [count](const cairn::manager& m) {
            const auto d = m.dict<long, long>(subject_name);
            for (long i = 0; i < count; ++i) d.set(-1 - i, 0);
            for (long i = 0; i < count; ++i) d.erase(-1 - i);
        };
    };
    rows.add(
        "erase", "emptying a leaf of the order", some_items<words>(1),
        [](const words& d) { d.erase(element<long>::make(0)); }, [](items& v) { v.clear(); },
        add_and_take(20));
    rows.add(
        "popitem", "behind leaves that were given back", some_items<words>(4),
        [](const words& d) { d.popitem(); }, [](items& v) { v.pop_back(); }, add_and_take(300));
    rows.add(
        "clear", "two tables", some_items<words>(560), [](const words& d) { d.clear(); },
        [](items& v) { v.clear(); });
    rows.add(
        "clear", "an empty dict", {}, [](const words& d) { d.clear(); }, [](items&) {});

    // Full groups whose records were erased: places that searches go past, until the table is built anew.
    const items later = some_items<words>(24, 9000);
    rows.add(
        "update", "a table that is half erased", some_items<words>(10),
        [=](const words& d) { d.update(later); }, [=](items& v) { append<words>(v, later); },
        add_and_take(55));

    // Tables of 65 and of 527 places that were full, and have an eighth left.
    auto take_first = [](const words& d) { d.erase(element<long>::make(0)); };
    auto without_first = [](items& v) { v.erase(v.begin()); };
    rows.add("erase", "a table that becomes sparse", some_items<words>(8), take_first, without_first,
             add_and_take(57));
    auto take_first_and_shrink = [=](const words& d) {
        const opened_keyed<words> open(d);
        const std::uint64_t free_pages = open.in().control().free_pages;
        take_first(d);
        if (open.in().control().free_pages <= free_pages) throw lab_failure("the table has kept its pages");
    };
    rows.add("erase", "a table with pages that becomes sparse", some_items<words>(65), take_first_and_shrink,
             without_first, add_and_take(462));
    rows.add(
        "erase", "a table that becomes sparse in a full segment", some_items<words>(65), take_first,
        without_first,
        [=](const cairn::manager& m) {
            add_and_take(462)(m);
            fill(0)(m);
        },
        smallest_segment());

    rows.add(
        "set", "in a full segment", some_items<words>(260), expect_full([](const words& d) { d.set(-5, 7); }),
        [](items&) {}, fill(0), smallest_segment());
    rows.add(
        "update", "in a full segment", some_items<words>(5),
        expect_full([=](const words& d) { d.update(some_items<words>(1500, 100)); }), [](items&) {}, fill(3),
        smallest_segment());
    rows.add(
        "erase", "in a full segment", some_items<words>(100),
        [](const words& d) { d.erase(element<long>::make(40)); }, [](items& v) { v.erase(v.begin() + 40); },
        fill(0), smallest_segment());
    rows.add(
        "clear", "in a full segment", some_items<words>(100), [](const words& d) { d.clear(); },
        [](items& v) { v.clear(); }, fill(0), smallest_segment());
}

void add_wide_states(keyed_rows<wides>& rows) {
    using items = items_of<wides>;
    rows.add(
        "set", "a table that splits", some_items<wides>(46),
        [](const wides& d) { d.set(-5, element<wide>::make(1)); },
        [](items& v) { v.emplace_back(-5, element<wide>::make(1)); });
    // One of two tables is full for certain with the 93rd record: the directory doubles for the second time.
    const items more = some_items<wides>(20, 80);
    rows.add(
        "update", "the directory doubles", some_items<wides>(80), [=](const wides& d) { d.update(more); },
        [=](items& v) { append<wides>(v, more); });
    rows.add(
        "clear", "several tables", some_items<wides>(100), [](const wides& d) { d.clear(); },
        [](items& v) { v.clear(); });
    rows.add(
        "set", "a value that is there", some_items<wides>(3),
        [](const wides& d) { d.set(element<long>::make(1), element<wide>::make(9)); },
        [](items& v) { v[1].second = element<wide>::make(9); });
}

void add_text_states(keyed_rows<texts>& rows) {
    using items = items_of<texts>;
    const std::string large = element<std::string>::long_one(1, 9000);
    rows.add(
        "set", "a value with pages of its own", some_items<texts>(3),
        [=](const texts& d) { d.set("large", large); }, [=](items& v) { v.emplace_back("large", large); });
    rows.add(
        "set", "a value needing growth", some_items<texts>(3), [=](const texts& d) { d.set("large", large); },
        [=](items& v) { v.emplace_back("large", large); }, fill(0));
    rows.add(
        "set", "a value in a full segment", some_items<texts>(3),
        expect_full([=](const texts& d) { d.set(element<std::string>::make(1), large); }), [](items&) {},
        fill(1), smallest_segment());
    rows.add(
        "set", "a table that is full", some_items<texts>(20), [](const texts& d) { d.set("new", "one"); },
        [](items& v) { v.emplace_back("new", "one"); });
    const items many = some_items<texts>(24, 500);
    rows.add(
        "update", "many", some_items<texts>(20), [=](const texts& d) { d.update(many); },
        [=](items& v) { append<texts>(v, many); });
    rows.add(
        "clear", "several groups", some_items<texts>(30), [](const texts& d) { d.clear(); },
        [](items& v) { v.clear(); });
    rows.add(
        "clear", "in a full segment", some_items<texts>(12), [](const texts& d) { d.clear(); },
        [](items& v) { v.clear(); }, fill(0), smallest_segment());
    rows.add(
        "erase", "in a full segment", some_items<texts>(12),
        [](const texts& d) { d.erase(element<std::string>::make(4)); },
        [](items& v) { v.erase(v.begin() + 4); }, fill(0), smallest_segment());
}

template <typename K, typename V>
void add_few(experiment_table& table, const std::string& type) {
    using dict = cairn::dict<K, V>;
    using items = items_of<dict>;
    keyed_rows<dict> rows(table, type);
    const items three = some_items<dict>(3);
    const K there = three[1].first;
    const K fresh = element<K>::make(52);
    const V value = element<V>::make(79);
    rows.add(
        "set", "a new key", three, [=](const dict& d) { d.set(fresh, value); },
        [=](items& v) { v.emplace_back(fresh, value); });
    rows.add(
        "set", "a key that is there", three, [=](const dict& d) { d.set(there, value); },
        [=](items& v) { v[1].second = value; });
    rows.add(
        "erase", "one of three", three, [=](const dict& d) { d.erase(there); },
        [](items& v) { v.erase(v.begin() + 1); });
    rows.add(
        "popitem", "one of three", three, [](const dict& d) { d.popitem(); }, [](items& v) { v.pop_back(); });
    const items some = some_items<dict>(20, 1);
    rows.add(
        "update", "old and new", three, [=](const dict& d) { d.update(some); },
        [=](items& v) { append<dict>(v, some); });
    rows.add(
        "clear", "a few", some_items<dict>(9), [](const dict& d) { d.clear(); }, [](items& v) { v.clear(); });
}

// What is decoded by a codec of the user's, between two looks at the lock.
void add_decoded(experiment_table& table) {
    using dict = cairn::dict<long, brittle>;
    keyed_rows<dict> rows(table, "int64, brittle");
    const items_of<dict> three = some_items<dict>(3);
    rows.add(
        "pop", "one of three", three, [=](const dict& d) { d.pop(three[1].first); },
        [](items_of<dict>& v) { v.erase(v.begin() + 1); });
    rows.add(
        "popitem", "one of three", three, [](const dict& d) { d.popitem(); },
        [](items_of<dict>& v) { v.pop_back(); });
}

}  // namespace

void add_dict_rows(experiment_table& table) {
    keyed_rows<words> of_words(table, "int64, int64");
    add_small(of_words);
    add_word_states(of_words);
    keyed_rows<wides> of_wides(table, "int64, wide");
    add_wide_states(of_wides);
    keyed_rows<texts> of_texts(table, "str, str");
    add_small(of_texts);
    add_text_states(of_texts);
    add_few<std::string, long>(table, "str, int64");
    add_few<long, std::string>(table, "int64, str");
    add_decoded(table);
}

}  // namespace cairn_test
