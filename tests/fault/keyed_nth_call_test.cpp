// keyed_nth_call_test.cpp - each operation of a dict and of a set once, in a segment without a free page, with each call
// that it makes to the system failing in turn: it has happened, or it has thrown and nothing has happened.
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "support/crowding.hpp"
#include "support/faults.hpp"
#include "support/opened_dict.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

using namespace cairn_test;
using namespace cairn::literals;

namespace {

constexpr cairn::segment_options roomy = {.max_size = 256_MiB, .initial_size = 200'000};

template <typename T>
T value(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(n % 5 * 40, 'x') + std::to_string(n);
    else return static_cast<T>(n);
}
template <typename T>
T large(std::uint64_t n) {
    if constexpr (std::is_same_v<T, std::string>) return std::string(6000, 'y') + std::to_string(n);
    else return static_cast<T>(n);
}

enum class appetite {
    nothing,  // reads or takes away: makes no call that can fail
    memory,   // does not fit what is there, whatever the type
    either,   // depends on the type
};

template <typename Handle>
struct operation {
    std::string name;
    appetite needs;
    std::function<void(const Handle&)> run;
};

// An object in a segment that has no page, and whose arena has no room for more.
template <typename Handle>
struct crowded;

template <typename K, typename V>
struct crowded<cairn::dict<K, V>> {
    using handle = cairn::dict<K, V>;

    explicit crowded(const std::string& name)
        : m(std::string_view(name), roomy), object(m.dict<K, V>("o")), filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.set(value<K>(i), value<V>(i));
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.set(value<K>(next), large<V>(next)), ++next; });
    }

    static std::vector<operation<handle>> operations() {
        std::vector<std::pair<K, V>> many;
        for (std::uint64_t i = 0; i < 600; ++i) many.emplace_back(value<K>(50'000 + i), value<V>(i));
        return {
            {"set, a large table", appetite::memory, [=](const handle& d) { d.update(many); }},
            {"operator|=", appetite::memory, [=](const handle& d) { d |= many; }},
            {"set", appetite::either, [](const handle& d) { d.set(value<K>(90'000), large<V>(1)); }},
            {"set, again", appetite::either, [](const handle& d) { d.set(value<K>(3), large<V>(2)); }},
            {"operator[]", appetite::either, [](const handle& d) { d[value<K>(90'001)] = large<V>(3); }},
            {"try_emplace", appetite::either,
             [](const handle& d) { d.try_emplace(value<K>(90'002), large<V>(4)); }},
            {"setdefault", appetite::either,
             [](const handle& d) { static_cast<void>(d.setdefault(value<K>(90'003), large<V>(5))); }},
            {"update one", appetite::either,
             [](const handle& d) { d.update(value<K>(4), [](V& v) { v = large<V>(6); }); }},
            {"erase", appetite::nothing, [](const handle& d) { d.erase(value<K>(5)); }},
            {"pop", appetite::nothing, [](const handle& d) { static_cast<void>(d.pop(value<K>(6))); }},
            {"popitem", appetite::nothing, [](const handle& d) { static_cast<void>(d.popitem()); }},
            {"clear", appetite::nothing, [](const handle& d) { d.clear(); }},
            {"reads", appetite::nothing,
             [](const handle& d) {
                 CHECK(d.at(value<K>(7)) == value<V>(7));
                 CHECK(d.contains(value<K>(8)));
                 CHECK(d.size() == d.snapshot().size());
                 CHECK(!d.keys().empty());
                 std::size_t seen = 0;
                 d.for_each([&](const K&, const V&) { ++seen; });
                 CHECK(seen == d.size());
             }},
        };
    }
    static void change(const handle& d) {
        d.set(value<K>(1), value<V>(11));
        CHECK(d.pop(value<K>(1)) == value<V>(11));
    }

    cairn::manager m;
    handle object;
    cairn::list<char> filler;
};

template <typename T>
struct crowded<cairn::set<T>> {
    using handle = cairn::set<T>;

    explicit crowded(const std::string& name)
        : m(std::string_view(name), roomy), object(m.set<T>("o")), filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.add(value<T>(i));
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.add(large<T>(next)), ++next; });
    }

    static std::vector<operation<handle>> operations() {
        std::vector<T> many;
        for (std::uint64_t i = 0; i < 600; ++i) many.push_back(value<T>(50'000 + i));
        const std::vector<T> some = {value<T>(1), value<T>(2), value<T>(3)};
        return {
            {"update", appetite::memory, [=](const handle& s) { s.update(many); }},
            {"operator^=", appetite::memory, [=](const handle& s) { s ^= many; }},
            {"add", appetite::either, [](const handle& s) { s.add(large<T>(90'000)); }},
            {"discard", appetite::nothing, [](const handle& s) { s.discard(value<T>(5)); }},
            {"remove", appetite::nothing, [](const handle& s) { s.remove(value<T>(6)); }},
            {"pop", appetite::nothing, [](const handle& s) { static_cast<void>(s.pop()); }},
            {"operator-=", appetite::nothing, [=](const handle& s) { s -= some; }},
            {"operator&=", appetite::either, [=](const handle& s) { s &= some; }},
            {"clear", appetite::nothing, [](const handle& s) { s.clear(); }},
            {"reads", appetite::nothing,
             [=](const handle& s) {
                 CHECK(s.contains(value<T>(8)));
                 CHECK(s.issuperset(some));
                 CHECK(s.intersection(many).empty());
                 CHECK(s.size() == s.snapshot().size());
             }},
        };
    }
    static void change(const handle& s) {
        s.discard(value<T>(1));
        CHECK(s.add(value<T>(1)));
    }

    cairn::manager m;
    handle object;
    cairn::list<char> filler;
};

}  // namespace

TEST_CASE_TEMPLATE("an operation of a dict or a set whose n-th call fails has happened, or thrown and not "
                   "happened",
                   Handle, cairn::dict<long, long>, cairn::dict<std::string, std::string>, cairn::set<long>,
                   cairn::set<std::string>) {
    using bed_type = crowded<Handle>;
    for (const operation<Handle>& each : bed_type::operations()) {
        CAPTURE(each.name);
        const scratch_name name;
        auto bed = std::make_unique<bed_type>(name.get());
        const auto before = bed->object.snapshot();
        each.run(bed->object);
        const auto after = bed->object.snapshot();
        const auto afresh = [&] {
            bed.reset();
            bed = std::make_unique<bed_type>(name.get());
        };
        afresh();
        const footprint usual = take_footprint();
        const int thrown = fail_every_call(
            name.get(), [&] { each.run(bed->object); },
            [&](bool threw) {
                CHECK((bed->object.snapshot() == (threw ? before : after)));
                CHECK(broken_dict(bed->object) == "");
                CHECK(take_footprint() == usual);
                // And on it goes.
                bed_type::change(bed->object);
                afresh();  // since now there are pages
            });
        if (each.needs == appetite::memory) CHECK(thrown > 0);
        if (each.needs == appetite::nothing) CHECK(thrown == 0);
    }
}
