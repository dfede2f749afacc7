// list_of_word_rows.cpp - list<long>: an append is one store, everything else is logged.
//
// Chunks of 8-byte elements end at 16, 48, 112 (from here on in the directory), 240, 496, 1008, 2032, 4080; the one from
// 1008 on is the first that has pages of its own.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <numeric>

#include "crash/list_rows.hpp"

namespace cairn_test {

namespace {

using values = std::vector<long>;
using list = cairn::list<long>;

values some(std::size_t count, std::size_t first = 0) {
    return element<long>::some(count, first);
}

void add_adding(list_rows<long>& rows) {
    const std::pair<const char*, std::size_t> states[] = {{"empty", 0},
                                                          {"in a chunk", 5},
                                                          {"at a chunk's end", 16},
                                                          {"needing the directory", 112},
                                                          {"needing a young page", 240},
                                                          {"needing pages", 1008},
                                                          {"needing growth", 4080}};
    for (const auto& [state, count] : states) {
        rows.add(
            "push_back", state, some(count), [](list& l) { l.push_back(7); },
            [](values& v) { v.push_back(7); });
    }
    rows.add(
        "append", "in a chunk", some(3), [](list& l) { l.append(7); }, [](values& v) { v.push_back(7); });
    rows.add(
        "emplace_back", "at a chunk's end", some(48), [](list& l) { l.emplace_back(7); },
        [](values& v) { v.push_back(7); });

    auto extend = [&](const char* state, std::size_t count, std::size_t by) {
        const values more = some(by, 5000);
        rows.add(
            "extend", state, some(count), [more](list& l) { l.extend(more); },
            [more](values& v) { v.insert(v.end(), more.begin(), more.end()); });
    };
    extend("into an empty list", 0, 3);
    extend("in a chunk", 5, 6);
    extend("up to a chunk's end", 5, 11);
    extend("across chunks", 10, 60);
    extend("into the directory", 100, 200);
    extend("needing pages", 1000, 600);
    extend("needing growth", 2000, 6200);
    extend("by nothing", 4, 0);

    auto insert = [&](const char* state, std::size_t count, std::size_t at) {
        rows.add(
            "insert", state, some(count), [at](list& l) { l.insert(at, 7); },
            [at](values& v) { v.insert(v.begin() + static_cast<std::ptrdiff_t>(at), 7); });
    };
    insert("into an empty list", 0, 0);
    insert("at the front", 10, 0);
    insert("in the middle of several chunks", 130, 60);
    insert("at the end", 10, 10);
    insert("at a chunk's end, needing one", 16, 3);
    insert("leaving one free place in a chunk", 14, 2);
    insert("making a chunk full", 15, 2);
    insert("at the front of many", 500, 0);
    insert("needing growth", 4080, 4000);
}

void add_taking_away(list_rows<long>& rows) {
    const std::pair<const char*, std::size_t> states[] = {{"in a chunk", 5},
                                                          {"the only element", 1},
                                                          {"a chunk's first element", 17},
                                                          {"crossing a border", 49},
                                                          {"the first in the directory", 113},
                                                          {"the first in its pages", 1009}};
    for (const auto& [state, count] : states) {
        rows.add(
            "pop", state, some(count), [](list& l) { l.pop(); }, [](values& v) { v.pop_back(); });
    }
    // Reserved chunks behind the tail: popping across a border frees one of them.
    const std::pair<const char*, std::size_t> freeing[] = {{"freeing a chunk", 17}, {"freeing pages", 497}};
    for (const auto& [state, count] : freeing) {
        rows.add(
            "pop", state, some(count), [](list& l) { l.pop(); }, [](values& v) { v.pop_back(); },
            [count = count](const cairn::manager& m) {
                m.list<long>(subject_name).reserve(2 * count + 200);
            });
    }

    auto take = [&](const char* member, const char* state, std::size_t count, std::size_t at,
                    auto operation) {
        rows.add(
            member, state, some(count), [at, operation](list& l) { operation(l, at); },
            [at](values& v) { v.erase(v.begin() + static_cast<std::ptrdiff_t>(at)); });
    };
    auto pop_at = [](list& l, std::size_t at) { l.pop(at); };
    auto erase_at = [](list& l, std::size_t at) { l.erase(at); };
    take("pop", "at the front", 20, 0, pop_at);
    take("pop", "in the middle", 60, 30, pop_at);
    take("erase", "the last", 6, 5, erase_at);
    take("erase", "the only element", 1, 0, erase_at);
    take("erase", "at the front of many", 300, 0, erase_at);
    take("erase", "in the middle", 60, 30, erase_at);

    auto erase = [&](const char* state, std::size_t count, std::size_t first, std::size_t last) {
        rows.add(
            "erase", state, some(count), [=](list& l) { l.erase(first, last); },
            [=](values& v) {
                v.erase(v.begin() + static_cast<std::ptrdiff_t>(first),
                        v.begin() + static_cast<std::ptrdiff_t>(last));
            });
    };
    erase("a few", 20, 3, 6);
    erase("nothing", 5, 2, 2);
    erase("everything", 50, 0, 50);
    erase("a range across chunks", 300, 10, 290);
    erase("the tail", 300, 100, 300);
    erase("most of many, freeing pages", 1500, 5, 1495);

    auto erase_if = [&](const char* state, std::size_t count, auto goes, auto... more) {
        const auto matches = [goes](long each) { return goes(static_cast<std::size_t>(each / 7)); };
        rows.add(
            "erase_if", state, some(count), [=](list& l) { cairn::erase_if(l, matches); },
            [=](values& v) { std::erase_if(v, matches); }, more...);
    };
    erase_if("none", 5, [](std::size_t) { return false; });
    erase_if("all", 50, [](std::size_t) { return true; });
    erase_if("neighbours", 60, [](std::size_t i) { return i >= 20 && i < 30; });
    erase_if("every other one of few", 60, [](std::size_t i) { return i % 2 == 0; });
    erase_if("every third one across chunks", 300, [](std::size_t i) { return i % 3 == 1; });
    erase_if("two far from each other", 300, [](std::size_t i) { return i == 3 || i == 290; });
    erase_if("most of many, freeing pages", 1500, [](std::size_t i) { return i % 64 != 5; });

    rows.add(
        "remove", "in the middle", some(40), [value = element<long>::make(20)](list& l) { l.remove(value); },
        [](values& v) { v.erase(v.begin() + 20); });

    const std::pair<const char*, std::size_t> clearing[] = {
        {"an empty list", 0}, {"a few", 5}, {"several chunks", 200}, {"many, freeing pages", 2100}};
    for (const auto& [state, count] : clearing)
        rows.add(
            "clear", state, some(count), [](list& l) { l.clear(); }, [](values& v) { v.clear(); });
}

void add_changing(list_rows<long>& rows) {
    rows.add(
        "set", "a word", some(20), [](list& l) { l.set(3, 99); }, [](values& v) { v[3] = 99; });
    rows.add(
        "operator[]", "assigned", some(20), [](list& l) { l[17] = 99; }, [](values& v) { v[17] = 99; });
    rows.add(
        "operator[]", "+=", some(20), [](list& l) { l[3] += 5; }, [](values& v) { v[3] += 5; });
    rows.add(
        "operator[]", "++, as postfix", some(20), [](list& l) { l[3]++; }, [](values& v) { v[3]++; });
    rows.add(
        "update", "in place", some(20), [](list& l) { l.update(4, [](long& v) { v = -v; }); },
        [](values& v) { v[4] = -v[4]; });
    rows.add(
        "update", "by what is returned", some(20), [](list& l) { l.update(4, [](long v) { return v * 2; }); },
        [](values& v) { v[4] *= 2; });
    rows.add(
        "update", "throwing", some(20),
        [](list& l) {
            try {
                l.update(4, [](long& v) {
                    v = 0;
                    throw std::runtime_error("not today");
                });
            } catch (const std::runtime_error&) {}
        },
        [](values&) {});
    for (const std::size_t count : std::initializer_list<std::size_t>{0, 1, 2, 15, 300}) {
        rows.add(
            "reverse", std::to_string(count) + " elements", some(count), [](list& l) { l.reverse(); },
            [](values& v) { std::reverse(v.begin(), v.end()); });
    }
    auto mixed = [](std::size_t count) {
        values v;
        for (std::size_t i = 0; i < count; ++i) v.push_back(static_cast<long>((i * 7919 + 13) % 1009));
        return v;
    };
    const std::pair<const char*, std::size_t> sorting[] = {
        {"a few", 12}, {"spilling its log", 200}, {"several chunks, spilled", 400}};
    for (const auto& [state, count] : sorting) {
        rows.add(
            "sort", state, mixed(count), [](list& l) { l.sort(); },
            [](values& v) { std::stable_sort(v.begin(), v.end()); });
    }
    // Most of its bytes are those of the pages that it gets, which makes few images.
    values alike(1600, 0x6262626262626262);
    for (std::size_t i = 0; i < alike.size(); i += 300) alike[i] = static_cast<long>(i);
    rows.add(
        "sort", "its log in single pages", alike, [](list& l) { l.sort(); },
        [](values& v) { std::stable_sort(v.begin(), v.end()); },
        [](const cairn::manager& m) {
            leave_free_pages(m, 0);
            const auto ballast = m.list<std::string>("ballast");
            for (std::size_t i = 1; i < 9; i += 2) ballast.set(i, "");
        },
        smallest_segment());
    rows.add(
        "sort", "backwards", mixed(40), [](list& l) { l.sort(std::greater<>{}); },
        [](values& v) { std::stable_sort(v.begin(), v.end(), std::greater<>{}); });
    rows.add(
        "sort", "throwing", mixed(20),
        [](list& l) {
            try {
                int count = 0;
                l.sort([&](long a, long b) {
                    return ++count == 9 ? throw std::runtime_error("enough") : a < b;
                });
            } catch (const std::runtime_error&) {}
        },
        [](values&) {});
    const std::tuple<const char*, std::size_t, std::size_t> reserving[] = {{"in an empty list", 0, 100},
                                                                           {"needing the directory", 5, 300},
                                                                           {"needing growth", 5, 4500},
                                                                           {"what is there", 5, 3}};
    for (const auto& [state, count, wanted] : reserving) {
        rows.add(
            "reserve", state, some(count), [wanted = wanted](list& l) { l.reserve(wanted); }, [](values&) {});
    }
    rows.add(
        "reserve", "asking the system first", some(5), [](list& l) { l.reserve(300'000); }, [](values&) {},
        {}, {.max_size = 4 << 20, .initial_size = 1, .mode = 0600, .persist = false});
}

// A segment at its maximum: operations that need more must leave everything as it was, also when they are killed.
void add_full(list_rows<long>& rows) {
    auto fill = [](std::uint32_t left) {
        return [left](const cairn::manager& m) { leave_free_pages(m, left); };
    };
    auto expect_full = [](auto operation) {
        return [operation](list& l) {
            try {
                operation(l);
            } catch (const cairn::segment_full&) {
                return;
            }
            throw lab_failure("the segment should have been full");
        };
    };
    auto unchanged = [](values&) {};
    rows.add("push_back", "in a full segment", some(1008), expect_full([](list& l) { l.push_back(7); }),
             unchanged, fill(0), smallest_segment());
    rows.add("extend", "with room for some in a full segment", some(1000),
             expect_full([more = some(5000, 100)](list& l) { l.extend(more); }), unchanged, fill(4),
             smallest_segment());
    rows.add("insert", "in a full segment", some(1008), expect_full([](list& l) { l.insert(2, 7); }),
             unchanged, fill(0), smallest_segment());
    rows.add("reserve", "in a full segment", some(5), expect_full([](list& l) { l.reserve(5000); }),
             unchanged, fill(4), smallest_segment());
    rows.add("sort", "in a full segment", some(300), expect_full([](list& l) { l.sort(std::greater<>{}); }),
             unchanged, fill(0), smallest_segment());
    rows.add(
        "erase", "in a full segment", some(1500), [](list& l) { l.erase(3, 1400); },
        [](values& v) { v.erase(v.begin() + 3, v.begin() + 1400); }, fill(0), smallest_segment());
    const auto is_early = [](long each) { return each / 7 % 3 == 0 && each / 7 < 60; };
    rows.add(
        "erase_if", "few in a full segment", some(1500), [=](list& l) { cairn::erase_if(l, is_early); },
        [=](values& v) { std::erase_if(v, is_early); }, fill(0), smallest_segment());
    rows.add(
        "clear", "in a full segment", some(1500), [](list& l) { l.clear(); }, [](values& v) { v.clear(); },
        fill(0), smallest_segment());
}

}  // namespace

void add_list_of_word_rows(experiment_table& table) {
    list_rows<long> rows(table, "int64");
    add_adding(rows);
    add_taking_away(rows);
    add_changing(rows);
    add_full(rows);
}

}  // namespace cairn_test
