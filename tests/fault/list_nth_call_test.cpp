// list_nth_call_test.cpp - each operation of a list once, in a segment without a free page, with each call that it makes to
// the system failing in turn: it has happened, as a std::vector would have it, or it has thrown and nothing has happened.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <functional>
#include <optional>
#include <ranges>
#include <sstream>
#include <string>
#include <type_traits>
#include <vector>

#include <doctest/doctest.h>

#include "support/crowding.hpp"
#include "support/faults.hpp"
#include "support/opened.hpp"
#include "support/scratch.hpp"
#include "support/values.hpp"
#include <cairn/cairn.hpp>

namespace list_nth_call_test {

using namespace cairn_test;
using namespace cairn::literals;

namespace {

// A value that needs a block of its own, if there are such values of this type.
template <typename T>
T large_value(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return value_of<T>::make(97 * n);
    else if constexpr (std::is_same_v<T, std::vector<int>>) return value_of<T>::make(89 * n);
    else return value_of<T>::make(n);
}

// A list in a segment that has no page, whose arena has no room for another large value.
template <typename T>
class crowded_list {
public:
    explicit crowded_list(const std::string& name)
        : m_(std::string_view(name), {.max_size = 256_MiB, .initial_size = 200'000}), list_(m_.list<T>("l")),
          filler_(m_.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) list_.push_back(value_of<T>::make(i));
        use_up_pages(filler_);
        use_up_memory([&] { list_.push_back(large_value<T>(1)); });
    }

    [[nodiscard]] const cairn::list<T>& list() const { return list_; }

private:
    cairn::manager m_;
    cairn::list<T> list_;
    cairn::list<char> filler_;
};

enum class appetite {
    nothing,  // reads or takes away: makes no call that can fail
    memory,   // does not fit what is there, whatever the type
    either,   // depends on the type
};

template <typename T>
struct list_operation {
    std::string name;
    appetite needs;
    std::function<void(const cairn::list<T>&)> on_list;
    std::function<void(std::vector<T>&)> on_model;  // empty: it only reads
};

template <typename T>
std::vector<list_operation<T>> operations() {
    using list = cairn::list<T>;
    using model = std::vector<T>;
    const T value = large_value<T>(5);
    const model many(600, value_of<T>::make(7));
    const auto backwards = [](const T& a, const T& b) { return b < a; };
    const auto push = [value](model& v) { v.push_back(value); };
    const auto extend = [many](model& v) { v.insert(v.end(), many.begin(), many.end()); };
    const auto reset_third = [value](model& v) { v[3] = value; };
    const auto sort = [](model& v) { std::stable_sort(v.begin(), v.end()); };
    return {
        {"push_back", appetite::memory, [=](const list& l) { l.push_back(value); }, push},
        {"append", appetite::memory, [=](const list& l) { l.append(value); }, push},
        {"emplace_back", appetite::memory, [=](const list& l) { l.emplace_back(value); }, push},
        {"extend", appetite::memory, [=](const list& l) { l.extend(many); }, extend},
        {"extend by a range of unknown length", appetite::memory,
         [=](const list& l) { l.extend(many | std::views::filter([](const T&) { return true; })); }, extend},
        {"extend by a list in braces", appetite::memory,
         [=](const list& l) {
             l.extend({value, value});
         },
         [value](model& v) { v.insert(v.end(), 2, value); }},
        {"transaction", appetite::memory,
         [=](const list& l) {
             l.transaction([&](const list& tx) {
                 static_cast<void>(tx.pop());
                 tx.extend(many);
             });
         },
         [=](model& v) {
             v.pop_back();
             extend(v);
         }},
        {"insert at the front", appetite::memory, [=](const list& l) { l.insert(0, value); },
         [value](model& v) { v.insert(v.begin(), value); }},
        {"insert at the end", appetite::memory, [=](const list& l) { l.insert(l.size(), value); }, push},
        {"reserve", appetite::memory, [](const list& l) { l.reserve(l.size() + 5000); }, [](model&) {}},
        {"sort", appetite::either, [](const list& l) { l.sort(); }, sort},
        {"sort with a comparison", appetite::either, [=](const list& l) { l.sort(backwards); },
         [=](model& v) { std::stable_sort(v.begin(), v.end(), backwards); }},
        {"set", appetite::either, [=](const list& l) { l.set(3, value); }, reset_third},
        {"assign by index", appetite::either, [=](const list& l) { l[3] = value; }, reset_third},
        {"update in place", appetite::either, [=](const list& l) { l.update(3, [&](T& v) { v = value; }); },
         reset_third},
        {"update by result", appetite::either,
         [=](const list& l) { l.update(3, [&](const T&) { return T(value); }); }, reset_third},
        {"pop", appetite::nothing, [](const list& l) { static_cast<void>(l.pop()); },
         [](model& v) { v.pop_back(); }},
        {"pop by index", appetite::nothing, [](const list& l) { static_cast<void>(l.pop(2)); },
         [](model& v) { v.erase(v.begin() + 2); }},
        {"erase", appetite::nothing, [](const list& l) { l.erase(0); }, [](model& v) { v.erase(v.begin()); }},
        {"erase several", appetite::nothing, [](const list& l) { l.erase(5, 150); },
         [](model& v) { v.erase(v.begin() + 5, v.begin() + 150); }},
        {"remove", appetite::nothing, [](const list& l) { l.remove(value_of<T>::make(50)); },
         [](model& v) { v.erase(std::find(v.begin(), v.end(), value_of<T>::make(50))); }},
        {"reverse", appetite::nothing, [](const list& l) { l.reverse(); },
         [](model& v) { std::reverse(v.begin(), v.end()); }},
        {"clear", appetite::nothing, [](const list& l) { l.clear(); }, [](model& v) { v.clear(); }},
        {"reads of one element",
         appetite::nothing,
         [](const list& l) {
             CHECK(l.at(9) == value_of<T>::make(9));
             CHECK(l.get(9) == l[9].get());
             CHECK(l.front() == value_of<T>::make(0));
             CHECK(l.back() == l.snapshot().back());
         },
         {}},
        {"reads of all elements",
         appetite::nothing,
         [](const list& l) {
             const model all = l.snapshot();
             CHECK(l.size() == all.size());
             CHECK(!l.empty());
             CHECK(std::ranges::equal(l, all));
             CHECK(l == all);
             CHECK(l.slice(1, 3) == model{all[1], all[2]});
             std::size_t seen = 0;
             l.for_each([&](const T&) { ++seen; });
             CHECK(seen == all.size());
             std::ostringstream text;
             if constexpr (!std::is_class_v<T> || std::is_same_v<T, std::string>) text << l;
         },
         {}},
        {"searches",
         appetite::nothing,
         [](const list& l) {
             CHECK(l.index(value_of<T>::make(50)) == 50);
             CHECK(l.count(value_of<T>::make(50)) == 1);
             CHECK(l.contains(value_of<T>::make(50)));
         },
         {}},
    };
}

}  // namespace

TEST_CASE_TEMPLATE("an operation of a list whose n-th call fails has happened, or thrown and not happened", T,
                   long, large_struct, std::string, std::vector<int>) {
    for (const list_operation<T>& operation : operations<T>()) {
        CAPTURE(operation.name);
        const scratch_name name;
        std::optional<crowded_list<T>> bed(std::in_place, name.get());
        const std::vector<T> before = bed->list().snapshot();
        std::vector<T> after = before;
        if (operation.on_model) operation.on_model(after);
        const footprint usual = take_footprint();
        const int thrown = fail_every_call(
            name.get(), [&] { operation.on_list(bed->list()); },
            [&](bool threw) {
                const cairn::list<T>& l = bed->list();
                CHECK(l.snapshot() == (threw ? before : after));
                CHECK(broken_invariant(l) == "");
                CHECK(take_footprint() == usual);
                // And on it goes.
                l.push_back(large_value<T>(3));
                CHECK(l.pop() == large_value<T>(3));
                // Afresh, since now there are pages.
                bed.reset();
                bed.emplace(name.get());
            });
        if (operation.needs == appetite::memory) CHECK(thrown > 0);
        if (operation.needs == appetite::nothing) CHECK(thrown == 0);
    }
}

}  // namespace list_nth_call_test
