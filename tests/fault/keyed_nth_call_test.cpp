// keyed_nth_call_test.cpp - dicts, sharded ones and sets, when the system says no at each call: nth_call.hpp.
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "nth_call.hpp"
#include "support/crash/segment_audit.hpp"
#include "support/opened_sharded_dict.hpp"
#include <cairn/cairn.hpp>

namespace keyed_nth_call_test {

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
            {"transaction", appetite::memory,
             [=](const handle& d) {
                 d.transaction([&](const handle& tx) {
                     tx.erase(small_value<K>(5));
                     tx.update(many);
                 });
             }},
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

// What is about one key is dict's; here, that a shard which gets no memory leaves all others alone.
template <typename K, typename V>
struct crowded<cairn::sharded_dict<K, V>> {
    using handle = cairn::sharded_dict<K, V>;

    explicit crowded(const std::string& name)
        : m(std::string_view(name), roomy), object(m.sharded_dict<K, V>("o", {.shards = 2})),
          filler(m.list<char>("filler")) {
        for (std::uint64_t i = 0; i < 200; ++i) object.set(small_value<K>(i), small_value<V>(i));
        use_up_pages(filler);
        std::uint64_t next = 10'000;
        use_up_memory([&] { object.set(small_value<K>(next), large_value<V>(next)), ++next; });
    }

    static std::vector<operation<handle>> operations() {
        return {
            {"set", appetite::either,
             [](const handle& d) { d.set(small_value<K>(90'000), large_value<V>(1)); }},
            {"operator[]", appetite::either,
             [](const handle& d) { d[small_value<K>(90'001)] = large_value<V>(3); }},
            {"erase", appetite::nothing, [](const handle& d) { d.erase(small_value<K>(5)); }},
            {"clear", appetite::nothing, [](const handle& d) { d.clear(); }},
            {"reads", appetite::nothing,
             [](const handle& d) {
                 CHECK(d.at(small_value<K>(7)) == small_value<V>(7));
                 CHECK(d.size() == d.snapshot().size());
             }},
        };
    }
    static void change(const handle& d) {
        d.set(small_value<K>(1), small_value<V>(11));
        CHECK(d.pop(small_value<K>(1)) == small_value<V>(11));
    }

    // Segments differ in how they spread keys, and so in how many of those that fill them there are.
    [[nodiscard]] auto picture() const {
        auto all = object.snapshot();
        std::erase_if(all, [](const auto& each) { return each.first >= 10'000 && each.first < 90'000; });
        std::sort(all.begin(), all.end());
        return all;
    }
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
                   Handle, cairn::dict<long, long>, cairn::dict<std::string, std::string>,
                   cairn::sharded_dict<long, std::string>, cairn::set<long>, cairn::set<std::string>) {
    fail_each_call_of_each_operation<crowded<Handle>>();
}

namespace {

using sharded = cairn::sharded_dict<long, std::string>;
using contents = std::vector<std::pair<long, std::string>>;

contents some_contents() {
    contents all;
    for (long i = 0; i < 2000; ++i) all.emplace_back(i, std::string(static_cast<std::size_t>(i % 90), 'x'));
    return all;
}

// Pages in use that are not the segment's own; at rest, and when every invariant of the segment holds.
std::uint32_t pages_of_objects(const cairn::manager& m) {
    const opened_keyed<cairn::set<char>> probe(m.set<char>("probe"));
    CHECK(m.remove("probe"));
    CHECK(audit_segment(probe.in()) == "");
    return count_pages(probe.in()).of_objects();
}

}  // namespace

TEST_CASE("a new sharded_dict whose n-th call fails is not there, nor any of its shards; else it is whole") {
    const scratch_name name;
    // For each attempt a segment that has hardly a page, so that it must grow: for control blocks, for shards, for contents.
    std::optional<cairn::manager> m;
    const auto afresh = [&] {
        m.reset();
        m.emplace(std::string_view(name),
                  cairn::segment_options{.max_size = std::uint64_t{256} << 20, .initial_size = 1});
    };
    const contents all = some_contents();
    afresh();
    const std::uint32_t used = pages_of_objects(*m);
    const footprint usual = take_footprint();
    const int thrown = fail_every_call(
        name.get(), [&] { static_cast<void>(m->sharded_dict<long, std::string>("d", all)); },
        [&](bool threw) {
            CHECK(take_footprint() == usual);
            CHECK(m->contains("d") == !threw);
            CHECK(m->stats().object_count == (threw ? 0 : 1));
            if (threw) CHECK(pages_of_objects(*m) == used);
            const auto now = m->sharded_dict<long, std::string>("d", all);
            CHECK(now.shard_count() == 16);
            CHECK(now == all);
            CHECK(broken_dict(now) == "");
            CHECK(m->remove("d"));
            CHECK(pages_of_objects(*m) == used);
            afresh();
        });
    CHECK(thrown > 1);
}

TEST_CASE("removing a sharded_dict needs nothing from the system, and all its memory is free at once") {
    const scratch_name name;
    const cairn::manager m(name);
    const contents all = some_contents();
    m.sharded_dict<long, std::string>("d", all);
    CHECK(m.remove("d"));
    const std::uint32_t used = pages_of_objects(m);
    m.sharded_dict<long, std::string>("d", all);
    CHECK(pages_of_objects(m) > used);
    const int thrown = fail_every_call(
        name.get(), [&] { static_cast<void>(m.remove("d")); },
        [&](bool) {
            CHECK_FALSE(m.contains("d"));
            CHECK(pages_of_objects(m) == used);
            m.sharded_dict<long, std::string>("d", all);
        });
    CHECK(thrown == 0);
}

TEST_CASE("a sharded_dict that does not fit is segment_full, and leaves no shard behind") {
    for (const std::uint64_t kib : {300U, 320U, 344U, 400U}) {
        CAPTURE(kib);
        const cairn::manager m(cairn::segment_options{.max_size = kib << 10, .initial_size = kib << 10});
        const std::uint32_t used = pages_of_objects(m);
        CHECK_THROWS_AS(static_cast<void>(m.sharded_dict<long, std::string>("d", some_contents())),
                        cairn::segment_full);
        CHECK(m.objects().empty());
        CHECK(pages_of_objects(m) == used);
        const auto small = m.sharded_dict<long, std::string>("d", {.shards = 1});
        small.set(1, "one");
        CHECK(small.size() == 1);
    }
}

}  // namespace keyed_nth_call_test
