// sharded_rows.cpp - sharded_dict<K, V>: its roots come and go as one, and what is about one key is dict's.
// SPDX-License-Identifier: BSL-1.0
#include "crash/dict_experiment.hpp"

namespace cairn_test {

namespace {

using words = cairn::sharded_dict<long, long>;
using texts = cairn::sharded_dict<std::string, std::string>;

void make_bystander(const cairn::manager& m) {
    static_cast<void>(m.list<long>(bystander_name, {1, 2, 3}));
}

// Of the eight control blocks in an extent one is left: the next object needs another extent of them for its parts.
void use_up_slots(const cairn::manager& m) {
    make_bystander(m);
    for (int i = 1; i < 7; ++i) static_cast<void>(m.list<long>("filler " + std::to_string(i)));
}

void add_creating(experiment_table& table) {
    keyed_rows<words> of_words(table, "int64, int64");
    of_words.add_creation("empty", {}, make_bystander);
    of_words.add_creation("needing control blocks", {}, use_up_slots);
    keyed_rows<texts> of_texts(table, "str, str");
    of_texts.add_creation("with contents", some_items<texts>(8), make_bystander);
}

void add_removing(experiment_table& table) {
    keyed_rows<words> of_words(table, "int64, int64");
    of_words.add_removal("empty", {}, make_bystander);
    of_words.add_removal("with tables of their own pages", some_items<words>(700), {}, roomy_segment());
    keyed_rows<texts> of_texts(table, "str, str");
    of_texts.add_removal("a few", some_items<texts>(20), make_bystander);
}

void add_changing(experiment_table& table) {
    using items = std::vector<std::pair<std::string, std::string>>;
    keyed_rows<texts> rows(table, "str, str");
    const items three = some_items<texts>(3);
    const std::string there = three[1].first;
    const std::string fresh = element<std::string>::make(50);
    const std::string value = element<std::string>::make(77);
    rows.add(
        "set", "a new key", three, [=](const texts& d) { d.set(fresh, value); },
        [=](items& v) { v.emplace_back(fresh, value); });
    rows.add(
        "erase", "one of three", three, [=](const texts& d) { d.erase(there); },
        [](items& v) { v.erase(v.begin() + 1); });
    rows.add(
        "erase_if", "one of three", three,
        [=](const texts& d) {
            cairn::erase_if(d, [&](const std::string& key, const std::string&) { return key == there; });
        },
        [](items& v) { v.erase(v.begin() + 1); });
    // Of several, which one it takes is no promise.
    rows.add(
        "popitem", "one", items{three[0]}, [](const texts& d) { static_cast<void>(d.popitem()); },
        [](items& v) { v.clear(); });
    const items many = some_items<texts>(12, 500);
    rows.add(
        "update", "many", three, [=](const texts& d) { d.update(many); },
        [=](items& v) { v.insert(v.end(), many.begin(), many.end()); });
    rows.add(
        "clear", "both shards", some_items<texts>(12), [](const texts& d) { d.clear(); },
        [](items& v) { v.clear(); });
}

}  // namespace

void add_sharded_rows(experiment_table& table) {
    add_creating(table);
    add_removing(table);
    add_changing(table);
}

}  // namespace cairn_test
