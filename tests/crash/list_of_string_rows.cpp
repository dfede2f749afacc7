// list_of_string_rows.cpp - list<std::string>: slots in chunks, longer values in blocks of the arena.
//
// Chunks of 16-byte slots end at 8, 24, 56, 120, 248. Young pages serve the first 64 KiB, then spans.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>

#include "crash/list_rows.hpp"

namespace cairn_test {

namespace {

using values = std::vector<std::string>;
using list = cairn::list<std::string>;
using text = element<std::string>;

values some(std::size_t count, std::size_t first = 0) {
    return text::some(count, first);
}

values all_of(std::size_t count, std::size_t bytes) {
    values v;
    for (std::size_t i = 0; i < count; ++i) v.push_back(text::long_one(i, bytes));
    return v;
}

void add_adding(list_rows<std::string>& rows) {
    auto push = [&](const char* state, values before, const std::string& value) {
        rows.add(
            "push_back", state, std::move(before), [value](list& l) { l.push_back(value); },
            [value](values& v) { v.push_back(value); }, {}, roomy_segment());
    };
    push("a short one, empty", {}, "short");
    push("a short one, in a chunk", some(3), "short");
    push("a short one, at a chunk's end", some(8), "short");
    push("a long one, empty", {}, text::long_one(1));
    push("a long one, in a chunk", some(3), text::long_one(1));
    push("a long one, at a chunk's end", some(8), text::long_one(1));
    push("a long one, needing the directory", some(56), text::long_one(1));
    push("a large one, with pages of its own", some(3), text::long_one(1, 12000));
    push("a large one, needing growth", some(3), text::long_one(1, 50000));
    push("a long one, needing a young page", all_of(19, 190), text::long_one(1, 700));
    push("a long one, in a span", all_of(110, 1000), text::long_one(1, 1000));
    push("a long one, needing a span", all_of(80, 1000), text::long_one(1, 300));
    const std::string freed = text::long_one(5);
    rows.add(
        "push_back", "into a freed block", some(20), [freed](list& l) { l.push_back(freed); },
        [freed](values& v) { v.push_back(freed); },
        [](const cairn::manager& m) {
            auto l = m.list<std::string>(subject_name);
            l.push_back(text::long_one(9));
            l.pop();
        });
    rows.add(
        "emplace_back", "in a chunk", some(3), [](list& l) { l.emplace_back(30UL, 'x'); },
        [](values& v) { v.emplace_back(30UL, 'x'); });

    auto extend = [&](const char* state, std::size_t count, const values& more) {
        rows.add(
            "extend", state, some(count), [more](list& l) { l.extend(more); },
            [more](values& v) { v.insert(v.end(), more.begin(), more.end()); });
    };
    extend("by short ones, in a chunk", 2, {"a", "b", "c"});
    extend("by short ones, across chunks", 6, {"a", "b", "c", "d"});
    extend("in a chunk", 2, some(4, 20));
    extend("across chunks", 6, some(30, 20));
    extend("needing growth", 3, all_of(12, 8000));
    extend("spilling its log", 3, some(90, 20));

    auto insert = [&](const char* state, std::size_t count, std::size_t at, const std::string& value) {
        rows.add(
            "insert", state, some(count), [=](list& l) { l.insert(at, value); },
            [=](values& v) { v.insert(v.begin() + static_cast<std::ptrdiff_t>(at), value); });
    };
    insert("at the front", 10, 0, text::long_one(1));
    insert("in the middle", 30, 15, text::long_one(1));
    insert("at the end", 8, 8, "short");
    insert("at a chunk's end, needing one", 8, 3, text::long_one(1, 100));
    insert("leaving one free place in a chunk", 7, 3, text::long_one(1, 100));
}

void add_taking_away(list_rows<std::string>& rows) {
    auto pop = [&](const char* state, const values& before) {
        rows.add(
            "pop", state, before, [](list& l) { l.pop(); }, [](values& v) { v.pop_back(); }, {},
            roomy_segment());
    };
    pop("a short one", {"a", "b"});
    pop("a long one", {"a", text::long_one(1)});
    pop("a chunk's first element", {"1", "2", "3", "4", "5", "6", "7", "8", text::long_one(9)});
    pop("one with pages of its own", {"a", text::long_one(1, 12000)});
    pop("from a span", all_of(90, 1000));

    auto erase = [&](const char* member, const char* state, const values& before, std::size_t first,
                     std::size_t last, auto operation) {
        rows.add(
            member, state, before, operation,
            [first, last](values& v) {
                v.erase(v.begin() + static_cast<std::ptrdiff_t>(first),
                        v.begin() + static_cast<std::ptrdiff_t>(last));
            },
            {}, roomy_segment());
    };
    erase("pop", "at the front", some(20), 0, 1, [](list& l) { l.pop(0); });
    erase("erase", "in the middle", some(30), 10, 11, [](list& l) { l.erase(10); });
    erase("erase", "a few", some(20), 3, 9, [](list& l) { l.erase(3, 9); });
    erase("erase", "a range across chunks", some(70), 5, 66, [](list& l) { l.erase(5, 66); });
    erase("erase", "some with pages of their own", all_of(5, 9000), 1, 4, [](list& l) { l.erase(1, 4); });
    erase("erase", "most, freeing spans", all_of(130, 1000), 2, 128, [](list& l) { l.erase(2, 128); });
    const auto erase_if = [&](const char* state, values before) {
        std::vector<std::string> gone;
        for (std::size_t i = 1; i < before.size(); i += 2) gone.push_back(before[i]);
        const auto matches = [gone](const std::string& each) {
            return std::find(gone.begin(), gone.end(), each) != gone.end();
        };
        rows.add(
            "erase_if", state, std::move(before), [=](list& l) { cairn::erase_if(l, matches); },
            [=](values& v) { std::erase_if(v, matches); }, {}, roomy_segment());
    };
    erase_if("every other one", some(20));
    erase_if("every other one across chunks", some(90));
    erase_if("some with pages of their own", all_of(7, 9000));
    erase("remove", "in the middle", some(20), 7, 8, [value = text::make(7)](list& l) { l.remove(value); });
    erase("clear", "a few", some(10), 0, 10, [](list& l) { l.clear(); });
    erase("clear", "several chunks", some(80), 0, 80, [](list& l) { l.clear(); });
    erase("clear", "some with pages of their own", all_of(5, 9000), 0, 5, [](list& l) { l.clear(); });
    erase("clear", "many, freeing spans", all_of(130, 1000), 0, 130, [](list& l) { l.clear(); });
}

void add_changing(list_rows<std::string>& rows) {
    auto set = [&](const char* state, const std::string& from, const std::string& to) {
        values before = some(12);
        before[5] = from;
        rows.add(
            "set", state, before, [to](list& l) { l.set(5, to); }, [to](values& v) { v[5] = to; });
    };
    set("short to short", "a", "b");
    set("short to long", "a", text::long_one(1));
    set("long to short", text::long_one(1), "a");
    set("long to long", text::long_one(1), text::long_one(2, 45));
    set("long to longer", text::long_one(1), text::long_one(2, 300));
    set("pages to pages", text::long_one(1, 9000), text::long_one(2, 12000));
    set("pages to short", text::long_one(1, 9000), "a");
    rows.add(
        "operator[]", "+=", some(12), [](list& l) { l[4] += " and more"; },
        [](values& v) { v[4] += " and more"; });
    const std::string more = text::long_one(1);
    rows.add(
        "update", "making it longer", some(12),
        [more](list& l) { l.update(3, [&](std::string& s) { s += more; }); },
        [more](values& v) { v[3] += more; });
    rows.add(
        "reverse", "several chunks", some(60), [](list& l) { l.reverse(); },
        [](values& v) { std::reverse(v.begin(), v.end()); });
    rows.add(
        "sort", "a few", some(10), [](list& l) { l.sort(std::greater<>{}); },
        [](values& v) { std::stable_sort(v.begin(), v.end(), std::greater<>{}); });
    rows.add(
        "sort", "spilling its log", some(100), [](list& l) { l.sort(); },
        [](values& v) { std::stable_sort(v.begin(), v.end()); });
    rows.add(
        "reserve", "needing the directory", some(5), [](list& l) { l.reserve(100); }, [](values&) {});
}

void add_full(list_rows<std::string>& rows) {
    auto fill = [](const cairn::manager& m) { leave_free_pages(m, 2); };
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
    const std::string large = text::long_one(1, 12000);
    const values many = all_of(14, 1000);
    rows.add("push_back", "in a full segment", some(5), expect_full([large](list& l) { l.push_back(large); }),
             unchanged, fill, smallest_segment());
    rows.add("extend", "with room for some in a full segment", some(5),
             expect_full([many](list& l) { l.extend(many); }), unchanged, fill, smallest_segment());
    rows.add("set", "in a full segment", some(5), expect_full([large](list& l) { l.set(1, large); }),
             unchanged, fill, smallest_segment());
    rows.add("insert", "in a full segment", some(8), expect_full([large](list& l) { l.insert(1, large); }),
             unchanged, fill, smallest_segment());
}

// Pages of a full segment that are free, but apart: every other one of the subject's, which has a page for each long element. What is
// copied is mostly what is in those pages, too, which makes few images.
void add_moving(list_rows<std::string>& rows) {
    const auto one_of = [](std::size_t i, std::size_t bytes) {
        std::string value(bytes, 'b');
        value.replace(0, 1, 1, static_cast<char>('A' + i));
        return value;
    };
    values before;
    for (std::size_t i = 0; i < 12; ++i) before.push_back(i % 2 == 0 ? one_of(i, 4000) : text::short_one(i));
    const auto apart = [before, one_of](const cairn::manager& m) {
        const auto l = m.list<std::string>(subject_name);
        l.clear();
        l.reserve(before.size() + 8);
        for (std::size_t i = 0; i < before.size(); ++i) l.push_back(one_of(i, 4000));
        leave_free_pages(m, 0);
        for (std::size_t i = 1; i < before.size(); i += 2) l.set(i, before[i]);
    };
    const auto add = [&](const char* member, const char* state, auto operation, auto on_model) {
        rows.add(member, state, before, operation, on_model, apart, smallest_segment());
    };
    const std::string large = one_of(20, 12000);
    add(
        "push_back", "moving blocks", [large](list& l) { l.push_back(large); },
        [large](values& v) { v.push_back(large); });
    add(
        "insert", "moving blocks", [large](list& l) { l.insert(3, large); },
        [large](values& v) { v.insert(v.begin() + 3, large); });
    add(
        "set", "moving blocks", [large](list& l) { l.set(4, large); }, [large](values& v) { v[4] = large; });
    const values two{one_of(21, 8000), one_of(22, 8000)};
    add(
        "extend", "moving blocks", [two](list& l) { l.extend(two); },
        [two](values& v) { v.insert(v.end(), two.begin(), two.end()); });
}

}  // namespace

void add_list_of_string_rows(experiment_table& table) {
    list_rows<std::string> rows(table, "str");
    add_adding(rows);
    add_taking_away(rows);
    add_changing(rows);
    add_full(rows);
    add_moving(rows);
}

}  // namespace cairn_test
