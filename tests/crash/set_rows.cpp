// set_rows.cpp - set<long> and set<std::string>: what a dict does without values, and the operations with ranges.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "crash/dict_experiment.hpp"

namespace cairn_test {

namespace {

template <typename T>
void add_all(experiment_table& table, const std::string& type) {
    using set = cairn::set<T>;
    using items = std::vector<T>;
    keyed_rows<set> rows(table, type);
    const items three = some_items<set>(3);
    const T there = three[1];
    const T fresh = element<T>::make(50);
    auto take = [=](items& v) { std::erase(v, there); };
    auto is_in = [](const items& v, const T& each) { return std::find(v.begin(), v.end(), each) != v.end(); };

    rows.add(
        "add", "the first", {}, [=](const set& s) { s.add(fresh); }, [=](items& v) { v.push_back(fresh); });
    rows.add(
        "add", "a new one", three, [=](const set& s) { s.add(fresh); },
        [=](items& v) { v.push_back(fresh); });
    rows.add(
        "add", "one that is there", three, [=](const set& s) { s.add(there); }, [](items&) {});
    rows.add(
        "add", "a table that is full", some_items<set>(7), [=](const set& s) { s.add(fresh); },
        [=](items& v) { v.push_back(fresh); });
    rows.add(
        "discard", "one of three", three, [=](const set& s) { s.discard(there); }, take);
    rows.add(
        "discard", "the only one", {there}, [=](const set& s) { s.discard(there); }, take);
    rows.add(
        "remove", "one of three", three, [=](const set& s) { s.remove(there); }, take);
    rows.add(
        "pop", "one of three", three, [](const set& s) { s.pop(); }, [](items& v) { v.pop_back(); });
    rows.add(
        "erase_if", "one of three", three,
        [=](const set& s) { cairn::erase_if(s, [&](const T& each) { return each == there; }); }, take);
    rows.add(
        "clear", "a few", some_items<set>(9), [](const set& s) { s.clear(); }, [](items& v) { v.clear(); });

    // The second half of what is there, and as many that are not.
    const items base = some_items<set>(12);
    const items other = some_items<set>(12, 6);
    rows.add(
        "update", "old and new", base, [=](const set& s) { s.update(other); },
        [=](items& v) {
            for (const T& each : other) keyed<set>::add_to(v, each);
        });
    rows.add(
        "difference_update", "some", base, [=](const set& s) { s.difference_update(other); },
        [=](items& v) { std::erase_if(v, [&](const T& each) { return is_in(other, each); }); });
    rows.add(
        "intersection_update", "some", base, [=](const set& s) { s.intersection_update(other); },
        [=](items& v) { std::erase_if(v, [&](const T& each) { return !is_in(other, each); }); });
    rows.add(
        "symmetric_difference_update", "some", base,
        [=](const set& s) { s.symmetric_difference_update(other); },
        [=](items& v) {
            for (const T& each : other) {
                if (is_in(base, each)) std::erase(v, each);
                else v.push_back(each);
            }
        });
    rows.add(
        "operator|=", "old and new", base, [=](const set& s) { s |= other; },
        [=](items& v) {
            for (const T& each : other) keyed<set>::add_to(v, each);
        });
    rows.add(
        "operator-=", "everything", base, [=](const set& s) { s -= base; }, [](items& v) { v.clear(); });
    rows.add_creation("with contents", base);
}

void add_large(experiment_table& table) {
    using set = cairn::set<long>;
    using items = std::vector<long>;
    keyed_rows<set> rows(table, "int64");
    const items most = some_items<set>(60, 3);
    rows.add(
        "difference_update", "most of many, emptying leaves of the order", some_items<set>(70),
        [=](const set& s) { s.difference_update(most); },
        [=](items& v) {
            std::erase_if(v,
                          [&](long each) { return std::find(most.begin(), most.end(), each) != most.end(); });
        });
    const items other = some_items<set>(50, 15);
    const items base = some_items<set>(30);
    rows.add(
        "symmetric_difference_update", "many, in places that it has freed", base,
        [=](const set& s) { s.symmetric_difference_update(other); },
        [=](items& v) {
            for (const long each : other) {
                if (std::find(base.begin(), base.end(), each) != base.end()) std::erase(v, each);
                else v.push_back(each);
            }
        });
    rows.add(
        "symmetric_difference_update", "in a full segment", base,
        [](const set& s) {
            try {
                s.symmetric_difference_update(some_items<set>(600, 30));
            } catch (const cairn::segment_full&) {
                return;
            }
            throw lab_failure("the segment should have been full");
        },
        [](items&) {}, [](const cairn::manager& m) { leave_free_pages(m, 3); }, smallest_segment());
    rows.add(
        "discard", "in a full segment", some_items<set>(100),
        [](const set& s) { s.discard(element<long>::make(40)); }, [](items& v) { v.erase(v.begin() + 40); },
        [](const cairn::manager& m) { leave_free_pages(m, 0); }, smallest_segment());
}

}  // namespace

void add_set_rows(experiment_table& table) {
    add_all<long>(table, "int64");
    add_large(table);
    add_all<std::string>(table, "str");
}

}  // namespace cairn_test
