// list_of_other_rows.cpp - packed elements of a byte or two, structs that are no word, and the widest.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <stdexcept>

#include "crash/list_rows.hpp"

namespace cairn_test {

namespace {

// What is worth doing for any element type; `n` is the number of elements in its first chunk.
template <typename T>
void add_usual(list_rows<T>& rows, std::size_t n) {
    using values = std::vector<T>;
    using list = cairn::list<T>;
    auto some = [](std::size_t count, std::size_t first = 0) { return element<T>::some(count, first); };
    const T x = element<T>::make(77);

    rows.add(
        "push_back", "in a chunk", some(n == 1 ? 2 : n - 1), [x](list& l) { l.push_back(x); },
        [x](values& v) { v.push_back(x); });
    rows.add(
        "push_back", "at a chunk's end", some(n), [x](list& l) { l.push_back(x); },
        [x](values& v) { v.push_back(x); });
    const values more = some(2 * n + 1, 50);
    rows.add(
        "extend", "across chunks", some(n - 1), [more](list& l) { l.extend(more); },
        [more](values& v) { v.insert(v.end(), more.begin(), more.end()); });
    rows.add(
        "insert", "in the middle", some(n + 5), [x](list& l) { l.insert(2, x); },
        [x](values& v) { v.insert(v.begin() + 2, x); });
    rows.add(
        "pop", "a chunk's first element", some(n + 1), [](list& l) { l.pop(); },
        [](values& v) { v.pop_back(); });
    rows.add(
        "pop", "at the front", some(n + 3), [](list& l) { l.pop(0); }, [](values& v) { v.erase(v.begin()); });
    rows.add(
        "erase", "a range across chunks", some(3 * n + 4), [n](list& l) { l.erase(1, 2 * n + 3); },
        [n](values& v) { v.erase(v.begin() + 1, v.begin() + static_cast<std::ptrdiff_t>(2 * n + 3)); });
    rows.add(
        "set", "in the second chunk", some(n + 3), [n, x](list& l) { l.set(n + 1, x); },
        [n, x](values& v) { v[n + 1] = x; });
    rows.add(
        "update", "in place", some(5), [x](list& l) { l.update(3, [x](T& v) { v = x; }); },
        [x](values& v) { v[3] = x; });
    rows.add(
        "reverse", "two chunks", some(n + 5), [](list& l) { l.reverse(); },
        [](values& v) { std::reverse(v.begin(), v.end()); });
    rows.add(
        "remove", "in the middle", some(n + 2), [](list& l) { l.remove(element<T>::make(1)); },
        [](values& v) { v.erase(v.begin() + 1); });
    const auto is_other = [gone = some(4 * n + 6)](const T& each) {
        for (std::size_t i = 1; i < gone.size(); i += 2)
            if (gone[i] == each) return true;
        return false;
    };
    rows.add(
        "erase_if", "every other one", some(3 * n + 4), [=](list& l) { cairn::erase_if(l, is_other); },
        [=](values& v) { std::erase_if(v, is_other); });
    rows.add(
        "clear", "two chunks", some(2 * n), [](list& l) { l.clear(); }, [](values& v) { v.clear(); });
}

}  // namespace

void add_list_of_other_rows(experiment_table& table) {
    list_rows<char> bytes(table, "char");
    add_usual(bytes, 128);
    // The bits do not fit what the arena has left.
    bytes.add(
        "erase_if", "without room for its bits in a full segment", element<char>::some(9000),
        [](cairn::list<char>& l) {
            try {
                cairn::erase_if(l, [](char each) { return each % 2 == 1; });
            } catch (const cairn::segment_full&) {
                return;
            }
            throw lab_failure("the segment should have been full");
        },
        [](std::vector<char>&) {}, [](const cairn::manager& m) { leave_free_pages(m, 0); },
        smallest_segment());
    list_rows<std::int16_t> shorts(table, "int16");
    add_usual(shorts, 64);
    list_rows<triple> triples(table, "24 bytes");
    add_usual(triples, 4);
    list_rows<wide> wides(table, "256 bytes");
    add_usual(wides, 1);

    // Decoded by a codec of the user's: between two looks at the lock.
    list_rows<brittle> brittles(table, "brittle");
    brittles.add(
        "pop", "one of five", element<brittle>::some(5), [](cairn::list<brittle>& l) { l.pop(); },
        [](std::vector<brittle>& v) { v.pop_back(); });
    brittles.add(
        "pop", "at the front", element<brittle>::some(5), [](cairn::list<brittle>& l) { l.pop(0); },
        [](std::vector<brittle>& v) { v.erase(v.begin()); });
    brittles.add(
        "pop", "decoding that throws", element<brittle>::some(5),
        [](cairn::list<brittle>& l) {
            const while_decoding throws([] { throw std::runtime_error("not today"); });
            try {
                l.pop();
            } catch (const std::runtime_error&) {}
        },
        [](std::vector<brittle>&) {});

    using values = std::vector<wide>;
    using list = cairn::list<wide>;
    // Half of the segment in one step: growth in the middle of an operation.
    const values many = element<wide>::some(150, 5);
    wides.add(
        "extend", "needing growth", element<wide>::some(3), [many](list& l) { l.extend(many); },
        [many](values& v) { v.insert(v.end(), many.begin(), many.end()); });
    triples.add(
        "sort", "spilling its log", element<triple>::some(60),
        [](cairn::list<triple>& l) { l.sort([](const triple& a, const triple& b) { return a.a > b.a; }); },
        [](std::vector<triple>& v) { std::reverse(v.begin(), v.end()); });
}

}  // namespace cairn_test
