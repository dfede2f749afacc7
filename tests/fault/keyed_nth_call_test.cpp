// keyed_nth_call_test.cpp - dicts and sets, when the system says no at each call: nth_call.hpp.
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "nth_call.hpp"
#include "support/opened_dict.hpp"
#include <cairn/cairn.hpp>

using namespace cairn_test;

namespace {

// An object in a segment that has no page, and whose arena has no room for more.
template <typename Handle>
struct crowded;

template <typename K, typename V>
struct crowded<cairn::dict<K, V>> {
    using handle = cairn::dict<K, V>;

    explicit crowded(const std::string& name)
        : m(std::string_view(name), roomy), object(m.dict<K, V>("o")), filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.set(small_value<K>(i), small_value<V>(i));
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.set(small_value<K>(next), large_value<V>(next)), ++next; });
    }

    static std::vector<operation<handle>> operations() {
        std::vector<std::pair<K, V>> many;
        for (std::uint64_t i = 0; i < 600; ++i)
            many.emplace_back(small_value<K>(50'000 + i), small_value<V>(i));
        return {
            {"set, a large table", appetite::memory, [=](const handle& d) { d.update(many); }},
            {"operator|=", appetite::memory, [=](const handle& d) { d |= many; }},
            {"set", appetite::either,
             [](const handle& d) { d.set(small_value<K>(90'000), large_value<V>(1)); }},
            {"set, again", appetite::either,
             [](const handle& d) { d.set(small_value<K>(3), large_value<V>(2)); }},
            {"operator[]", appetite::either,
             [](const handle& d) { d[small_value<K>(90'001)] = large_value<V>(3); }},
            {"try_emplace", appetite::either,
             [](const handle& d) { d.try_emplace(small_value<K>(90'002), large_value<V>(4)); }},
            {"setdefault", appetite::either,
             [](const handle& d) {
                 static_cast<void>(d.setdefault(small_value<K>(90'003), large_value<V>(5)));
             }},
            {"update one", appetite::either,
             [](const handle& d) { d.update(small_value<K>(4), [](V& v) { v = large_value<V>(6); }); }},
            {"erase", appetite::nothing, [](const handle& d) { d.erase(small_value<K>(5)); }},
            {"pop", appetite::nothing, [](const handle& d) { static_cast<void>(d.pop(small_value<K>(6))); }},
            {"popitem", appetite::nothing, [](const handle& d) { static_cast<void>(d.popitem()); }},
            {"clear", appetite::nothing, [](const handle& d) { d.clear(); }},
            {"reads", appetite::nothing,
             [](const handle& d) {
                 CHECK(d.at(small_value<K>(7)) == small_value<V>(7));
                 CHECK(d.contains(small_value<K>(8)));
                 CHECK(d.size() == d.snapshot().size());
                 CHECK(!d.keys().empty());
                 std::size_t seen = 0;
                 d.for_each([&](const K&, const V&) { ++seen; });
                 CHECK(seen == d.size());
             }},
        };
    }
    static void change(const handle& d) {
        d.set(small_value<K>(1), small_value<V>(11));
        CHECK(d.pop(small_value<K>(1)) == small_value<V>(11));
    }

    [[nodiscard]] auto picture() const { return object.snapshot(); }
    [[nodiscard]] std::string broken() const { return broken_dict(object); }

    cairn::manager m;
    handle object;
    cairn::list<char> filler;
};

template <typename T>
struct crowded<cairn::set<T>> {
    using handle = cairn::set<T>;

    explicit crowded(const std::string& name)
        : m(std::string_view(name), roomy), object(m.set<T>("o")), filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.add(small_value<T>(i));
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.add(large_value<T>(next)), ++next; });
    }

    static std::vector<operation<handle>> operations() {
        std::vector<T> many;
        for (std::uint64_t i = 0; i < 600; ++i) many.push_back(small_value<T>(50'000 + i));
        const std::vector<T> some = {small_value<T>(1), small_value<T>(2), small_value<T>(3)};
        return {
            {"update", appetite::memory, [=](const handle& s) { s.update(many); }},
            {"operator^=", appetite::memory, [=](const handle& s) { s ^= many; }},
            {"add", appetite::either, [](const handle& s) { s.add(large_value<T>(90'000)); }},
            {"discard", appetite::nothing, [](const handle& s) { s.discard(small_value<T>(5)); }},
            {"remove", appetite::nothing, [](const handle& s) { s.remove(small_value<T>(6)); }},
            {"pop", appetite::nothing, [](const handle& s) { static_cast<void>(s.pop()); }},
            {"operator-=", appetite::nothing, [=](const handle& s) { s -= some; }},
            {"operator&=", appetite::either, [=](const handle& s) { s &= some; }},
            {"clear", appetite::nothing, [](const handle& s) { s.clear(); }},
            {"reads", appetite::nothing,
             [=](const handle& s) {
                 CHECK(s.contains(small_value<T>(8)));
                 CHECK(s.issuperset(some));
                 CHECK(s.intersection(many).empty());
                 CHECK(s.size() == s.snapshot().size());
             }},
        };
    }
    static void change(const handle& s) {
        s.discard(small_value<T>(1));
        CHECK(s.add(small_value<T>(1)));
    }

    [[nodiscard]] auto picture() const { return object.snapshot(); }
    [[nodiscard]] std::string broken() const { return broken_dict(object); }

    cairn::manager m;
    handle object;
    cairn::list<char> filler;
};

}  // namespace

TEST_CASE_TEMPLATE("an operation of a dict or a set whose n-th call fails has happened, or thrown and not "
                   "happened",
                   Handle, cairn::dict<long, long>, cairn::dict<std::string, std::string>, cairn::set<long>,
                   cairn::set<std::string>) {
    fail_each_call_of_each_operation<crowded<Handle>>();
}
