// composite_rows.cpp - elements, keys and values that are made of others: for an operation they are blobs of any length,
// encoded before it takes the lock, and decoded before it is taken.
//
// SPDX-License-Identifier: BSL-1.0
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crash/composite_elements.hpp"
#include "crash/dict_experiment.hpp"
#include "crash/list_rows.hpp"

namespace cairn_test {

namespace {

void add_list(experiment_table& table) {
    using list = cairn::list<maybe_text>;
    using values = std::vector<maybe_text>;
    list_rows<maybe_text> rows(table, "optional<str>");
    const values five = element<maybe_text>::some(5);
    const values more = element<maybe_text>::some(20, 30);
    const maybe_text x = element<maybe_text>::make(77);

    rows.add(
        "push_back", "a text", five, [x](list& l) { l.push_back(x); }, [x](values& v) { v.push_back(x); });
    rows.add(
        "push_back", "nothing", five, [](list& l) { l.push_back(std::nullopt); },
        [](values& v) { v.emplace_back(); });
    rows.add(
        "extend", "texts and nothing", five, [more](list& l) { l.extend(more); },
        [more](values& v) { v.insert(v.end(), more.begin(), more.end()); });
    rows.add(
        "set", "nothing where a text was", five, [](list& l) { l.set(1, std::nullopt); },
        [](values& v) { v[1] = std::nullopt; });
    rows.add(
        "update", "a text where nothing was", five,
        [x](list& l) { l.update(2, [&](maybe_text& v) { v = x; }); }, [x](values& v) { v[2] = x; });
    rows.add(
        "remove", "nothing", five, [](list& l) { l.remove(std::nullopt); },
        [](values& v) { v.erase(v.begin() + 2); });
}

void add_dict(experiment_table& table) {
    using dict = cairn::dict<std::string, texts>;
    using items = std::vector<keyed<dict>::item>;
    keyed_rows<dict> rows(table, "str, vector<str>");
    const items three = some_items<dict>(3);
    const std::string there = three[1].first;
    const std::string fresh = element<std::string>::make(50);
    const texts value = element<texts>::make(79);

    rows.add(
        "set", "a new key", three, [=](const dict& d) { d.set(fresh, value); },
        [=](items& v) { v.emplace_back(fresh, value); });
    rows.add(
        "set", "a key that is there", three, [=](const dict& d) { d.set(there, value); },
        [=](items& v) { v[1].second = value; });
    rows.add(
        "update", "one more text", three,
        [=](const dict& d) { d.update(there, [&](texts& all) { all.push_back(fresh); }); },
        [=](items& v) { v[1].second.push_back(fresh); });
    rows.add(
        "erase", "one of three", three, [=](const dict& d) { d.erase(there); },
        [](items& v) { v.erase(v.begin() + 1); });
}

void add_set(experiment_table& table) {
    using set = cairn::set<numbered_text>;
    using items = std::vector<numbered_text>;
    keyed_rows<set> rows(table, "tuple<int32, str>");
    const items three = some_items<set>(3);
    const numbered_text fresh = element<numbered_text>::make(50);

    rows.add(
        "add", "a new one", three, [=](const set& s) { s.add(fresh); },
        [=](items& v) { v.push_back(fresh); });
    rows.add(
        "add", "one that is there", three, [=](const set& s) { s.add(three[1]); }, [](items&) {});
    rows.add(
        "discard", "one of three", three, [=](const set& s) { s.discard(three[1]); },
        [](items& v) { v.erase(v.begin() + 1); });
}

}  // namespace

void add_composite_rows(experiment_table& table) {
    add_list(table);
    add_dict(table);
    add_set(table);
}

}  // namespace cairn_test
