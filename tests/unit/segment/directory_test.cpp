// directory_test.cpp - names of roots: found, created, erased, their control blocks used again.
// SPDX-License-Identifier: BSL-1.0
#include "segment/directory.hpp"

#include <algorithm>
#include <string>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "segment/internals.hpp"
#include "segment/name_table.hpp"
#include "support/opened.hpp"
#include "support/opened_sharded_dict.hpp"
#include "support/scratch.hpp"
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace directory_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

std::uint64_t used_pages(const cairn::manager& m) {
    const cairn::segment_stats stats = m.stats();
    return (stats.used_bytes - stats.size_bytes % 4096) / 4096;
}

std::string problems_of(const scratch_name& name) {
    std::string text;
    for (const std::string& each : cairn::inspection(name.get()).verify().problems) text += each + "\n";
    return text;
}

/// Each object that is made has one bucket more made.
class haste {
public:
    haste() noexcept { name_table_haste = most_name_buckets; }
    haste(const haste&) = delete;
    haste& operator=(const haste&) = delete;
    ~haste() { name_table_haste = 0; }
};

}  // namespace

TEST_CASE("20 000 objects are found by name, each its own") {
    const long count = static_cast<long>(scaled(20'000));
    const cairn::manager m;
    for (long i = 0; i < count; ++i) static_cast<void>(m.list<long>("object " + std::to_string(i), {i}));
    CHECK(m.stats().object_count == count);
    CHECK(m.objects().size() == static_cast<std::size_t>(count));
    for (long i = count - 1; i >= 0; --i) {
        const auto l = m.find<cairn::list<long>>("object " + std::to_string(i));
        REQUIRE(l.has_value());
        REQUIRE(l->at(0) == i);
        REQUIRE(l->size() == 1);
    }
    CHECK_FALSE(m.contains("object"));
    CHECK_FALSE(m.contains("object " + std::to_string(count)));
    // Every other one goes, the rest stays.
    const std::uint64_t used = used_pages(m);
    for (long i = 0; i < count; i += 2) REQUIRE(m.remove("object " + std::to_string(i)));
    for (long i = 0; i < count; ++i) REQUIRE(m.contains("object " + std::to_string(i)) == (i % 2 == 1));
    CHECK(used_pages(m) < used);
    for (long i = 0; i < count; i += 2) static_cast<void>(m.list<long>("object " + std::to_string(i), {i}));
    CHECK(used_pages(m) == used);  // control blocks and pages were used again
}

TEST_CASE("names that share a bucket are told apart, whichever is erased first") {
    const cairn::manager m;
    segment& s = opened_list<long>(m.list<long>("l")).in();
    // More names than buckets: some share one. Take those of one bucket.
    std::vector<std::string> names;
    const std::uint64_t bucket = hash_name(s, "name 0") % name_bucket_count;
    for (int i = 0; names.size() < 5; ++i) {
        std::string name = "name " + std::to_string(i);
        if (hash_name(s, name) % name_bucket_count == bucket) names.push_back(std::move(name));
    }
    for (std::size_t gone = 0; gone < names.size(); ++gone) {
        for (std::size_t i = 0; i < names.size(); ++i)
            static_cast<void>(m.list<long>(names[i], {static_cast<long>(i)}));
        REQUIRE(m.remove(names[gone]));
        for (std::size_t i = 0; i < names.size(); ++i) {
            const auto l = m.find<cairn::list<long>>(names[i]);
            REQUIRE(l.has_value() == (i != gone));
            if (l) CHECK(l->at(0) == static_cast<long>(i));
        }
        for (const std::string& name : names) static_cast<void>(m.remove(name));
    }
}

TEST_CASE("the table of names grows with their number, one bucket at a time, and stays whole") {
    const scratch_name segment_name;
    const cairn::manager m(segment_name);
    segment& s = opened_list<long>(m.list<long>("l")).in();
    constexpr std::uint32_t count = 2500;  // two levels
    const auto name_of = [](std::uint32_t i) { return "name " + std::to_string(i); };
    std::uint32_t before = bucket_count(s);
    CHECK(before == name_bucket_count);
    for (std::uint32_t i = 0; i < count; ++i) {
        static_cast<void>(m.list<long>(name_of(i)));
        REQUIRE(bucket_count(s) - before <= 1);
        before = bucket_count(s);
    }
    CHECK(before == count + 1);  // with the first list
    CHECK(s.control().name_levels[1] != 0);
    CHECK(problems_of(segment_name) == "");

    std::uint32_t longest = 0;
    for (std::uint32_t bucket = 0; bucket < before; ++bucket) {
        std::uint32_t length = 0;
        for (std::uint32_t link = bucket_at(s, bucket); link != 0; link = s.slot(link - 1).next_in_bucket)
            ++length;
        longest = std::max(longest, length);
    }
    CHECK(longest < 16);
    for (std::uint32_t i = 0; i < count; ++i) {
        REQUIRE(m.contains(name_of(i)));
        REQUIRE_FALSE(m.contains("no " + name_of(i)));
    }
    for (std::uint32_t i = 0; i < count; i += 2) REQUIRE(m.remove(name_of(i)));
    for (std::uint32_t i = 0; i < count; ++i) REQUIRE(m.contains(name_of(i)) == (i % 2 == 1));
    CHECK(bucket_count(s) == before);
    CHECK(problems_of(segment_name) == "");
}

TEST_CASE("where there is no memory for more of the table of names, it stays as it is") {
    const scratch_name segment_name;
    const cairn::manager m(segment_name, {.max_size = 1 << 20});
    segment& s = opened_list<long>(m.list<long>("l")).in();
    const auto filler = m.list<std::string>("filler");
    long made = 0;
    const auto make_all = [&] {
        for (;; ++made) static_cast<void>(m.list<long>("l" + std::to_string(made)));
    };
    CHECK_THROWS_AS(make_all(), cairn::segment_full);
    const auto fill_up = [&] {
        for (;;) filler.push_back(std::string(1000, 'x'));  // page by page
    };
    CHECK_THROWS_AS(fill_up(), cairn::segment_full);
    REQUIRE(s.control().free_pages == 0);
    {
        const haste here;
        segment_guard guard(s);
        grow_name_table(guard);
        CHECK(guard.is_clean());
    }
    CHECK(bucket_count(s) == name_bucket_count);
    CHECK(s.control().name_levels[0] == 0);
    CHECK(made > 20);
    for (long i = 0; i < made; ++i) REQUIRE(m.contains("l" + std::to_string(i)));
    // With a page, it grows.
    REQUIRE(m.remove("l0"));
    {
        const haste here;
        segment_guard guard(s);
        grow_name_table(guard);
    }
    CHECK(bucket_count(s) == name_bucket_count + 1);
    CHECK(problems_of(segment_name) == "");
}

TEST_CASE("a control block that is used again has a new generation, so that old handles stay gone for ever") {
    const cairn::manager m;
    std::vector<cairn::list<long>> old;
    std::unordered_set<std::uint64_t> generations;
    for (int i = 0; i < 50; ++i) {
        const auto l = m.list<long>("l", {i});
        CHECK(generations.insert(opened_list<long>(l).generation()).second);
        for (const auto& gone : old) {
            CHECK_THROWS_AS(static_cast<void>(gone.size()), cairn::object_gone);
            CHECK_THROWS_AS(gone.push_back(1), cairn::object_gone);
        }
        old.push_back(l);
        REQUIRE(m.remove("l"));
    }
    CHECK(opened_list<long>(m.list<long>("l")).in().control().slot_count == 8);
}

TEST_CASE("a root that was being built when its process died gives everything back") {
    const cairn::manager m;
    const auto keep = m.list<long>("keep");
    segment& s = opened_list<long>(keep).in();
    const std::uint64_t used = used_pages(m);
    REQUIRE(in_child([&] {
                segment_guard guard(s);
                root_slot& slot = begin_root(guard, "half", object_kind::list);
                root_transaction tx(guard, slot);
                static_cast<void>(allocate(tx, 100'000));
                static_cast<void>(allocate(tx, 10));
                ::_exit(0);
            }) == 0);
    CHECK_FALSE(m.contains("half"));
    CHECK(used_pages(m) == used);
    CHECK(m.stats().recovery_count == 1);
    CHECK(s.control().pending_slot == 0);
    static_cast<void>(m.list<long>("half"));
    CHECK(m.contains("half"));
}

TEST_CASE("an object in parts that was being built when its process died gives everything back") {
    const cairn::manager m;
    const auto keep = m.list<long>("keep");
    segment& s = opened_list<long>(keep).in();
    // Control blocks stay the segment's.
    static_cast<void>(m.sharded_dict<long, long>("former", {.shards = 16}));
    m.remove("former");
    const std::uint64_t used = used_pages(m);
    for (const int parts : {0, 1, 5, 16}) {
        REQUIRE(in_child([&] {
                    segment_guard guard(s);
                    root_slot& whole = begin_root(guard, "half", object_kind::sharded_dict);
                    for (int i = 0; i < parts; ++i) {
                        root_slot& part = begin_part(guard, whole, object_kind::dict);
                        root_transaction tx(guard, part);
                        static_cast<void>(allocate(tx, 20'000));
                    }
                    ::_exit(0);
                }) == 0);
        CHECK_FALSE(m.contains("half"));
        CHECK(used_pages(m) == used);
        CHECK(s.control().pending_slot == 0);
        CHECK(m.stats().object_count == 1);
    }
    static_cast<void>(m.sharded_dict<long, long>("half"));
    CHECK(m.contains("half"));
}

TEST_CASE("the roots of an object in parts have one generation, and come and go together") {
    const cairn::manager m;
    const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {.shards = 8}));
    const std::vector<root_slot*> parts = d.parts();
    REQUIRE(parts.size() == 8);
    const std::uint32_t slots = d.in().control().slot_count;
    std::vector<std::uint64_t> versions;
    for (const root_slot* part : parts) {
        versions.push_back(part->version);
        CHECK(part->generation == d.generation());
        CHECK(part->part_of == d.in().slot_number(d.slot()) + 1);
        CHECK(part->state == static_cast<std::uint32_t>(root_state::live));
    }
    {
        const segment_guard guard(d.in());
        CHECK(find_root(guard, "d") == &d.slot());  // whatever name its parts carry along
    }
    CHECK(m.remove("d"));
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const root_slot* part = parts[i];
        CHECK(part->version > versions[i]);  // whoever reads without the lock looks again
        CHECK(part->generation > d.generation());
        CHECK(part->state == static_cast<std::uint32_t>(root_state::free));
        CHECK(part->extents == 0);
        CHECK(part->version % 2 == 0);
    }
    static_cast<void>(m.sharded_dict<long, long>("again", {.shards = 8}));
    CHECK(d.in().control().slot_count == slots);  // all nine were used again
}

TEST_CASE("an object is removed whichever of its roots are poisoned") {
    const cairn::manager m;
    const auto list = m.list<long>("l");
    static_cast<void>(m.sharded_dict<long, long>("d", {.shards = 4}));
    m.remove("d");
    const std::uint64_t used = used_pages(m);
    for (const unsigned which : {1U, 16U, 31U, 9U}) {
        const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {.shards = 4}));
        std::vector<root_slot*> roots = d.parts();
        roots.push_back(&d.slot());
        for (std::size_t i = 0; i < roots.size(); ++i) {
            if ((which >> i & 1) == 0) continue;
            roots[i]->state = static_cast<std::uint32_t>(root_state::poisoned);
            roots[i]->version |= 1;
        }
        CHECK_THROWS_AS(static_cast<void>(m.find<cairn::sharded_dict<long, long>>("d")),
                        cairn::object_poisoned);
        CHECK(m.remove("d"));
        CHECK_FALSE(m.contains("d"));
        CHECK(used_pages(m) == used);
        for (const root_slot* root : roots) CHECK(root->version % 2 == 0);
        const auto again = m.sharded_dict<long, long>("d", {.shards = 4});
        for (long i = 0; i < 50; ++i) again.set(i, i);
        CHECK(again.size() == 50);
        CHECK(m.remove("d"));
    }
}

TEST_CASE("parts that are not an object's own are corrupt_segment for who opens it, and it is listed without "
          "them") {
    const cairn::manager m;
    const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {.shards = 4}));
    const opened_sharded<long, long> other(m.sharded_dict<long, long>("other", {.shards = 4}));
    auto& node = *d.in().at<parts_node>(d.slot().node);
    const auto check = [&] {
        CHECK_THROWS_AS(static_cast<void>(m.find<cairn::sharded_dict<long, long>>("d")),
                        cairn::corrupt_segment);
        for (const cairn::object_info& each : m.objects())
            if (each.name == "d" && each.kind == "sharded_dict")
                CHECK(each.bytes == d.slot().extent_pages * page_bytes);
        CHECK(m.contains("d"));
    };
    const auto with = [&](std::uint32_t& word, std::uint32_t value) {
        const std::uint32_t before = word;
        word = value;
        check();
        word = before;
        CHECK(m.find<cairn::sharded_dict<long, long>>("d").has_value());
    };
    with(node.count, 0);
    with(node.count, most_parts + 1);
    with(node.count, 5);  // what lies behind is no link
    with(part_links(node)[2], part_links(node)[1]);
    with(part_links(node)[2], 0);
    with(part_links(node)[2], 1U << 30);
    with(part_links(node)[2], d.in().slot_number(d.slot()) + 1);
    with(part_links(node)[2], d.in().slot_number(*other.parts()[2]) + 1);
    with(d.parts()[3]->part_of, 0);
    with(d.parts()[3]->kind, static_cast<std::uint32_t>(object_kind::set));
    with(d.parts()[3]->state, static_cast<std::uint32_t>(root_state::free));
    CHECK(m.remove("d"));
}

TEST_CASE("an object in parts is removed, and all its memory is free, whatever its node says") {
    const cairn::manager m;
    const auto list = m.list<long>("l");
    const opened_sharded<long, long> other(m.sharded_dict<long, long>("other", {{1, 2}}, {.shards = 4}));
    static_cast<void>(m.sharded_dict<long, long>("d", {.shards = 4}));
    m.remove("d");
    const std::uint64_t used = used_pages(m);
    for (int damage = 0; damage < 5; ++damage) {
        const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {{3, 4}}, {.shards = 4}));
        auto& node = *d.in().at<parts_node>(d.slot().node);
        std::uint32_t* const links = part_links(node);
        switch (damage) {
            case 0: node.count = 0; break;
            case 1: node.count = most_parts + 1; break;
            case 2: links[2] = links[1]; break;
            case 3: links[2] = d.in().slot_number(*other.parts()[2]) + 1; break;
            default: d.slot().node = 0;
        }
        CHECK(m.objects().size() == 3);
        CHECK(m.remove("d"));
        CHECK_FALSE(m.contains("d"));
        CHECK(used_pages(m) == used);
        CHECK(other.at(1) == 2);
    }
}

TEST_CASE(
    "an object in parts is not removed while the chain of all slots goes round, or a part has no lock") {
    const cairn::manager m;
    const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {{3, 4}}, {.shards = 4}));
    const std::vector<root_slot*> parts = d.parts();
    const auto refuses_with = [&](auto& word, std::uint32_t value) {
        const auto before = std::exchange(word, static_cast<std::remove_reference_t<decltype(word)>>(value));
        CHECK_THROWS_AS(static_cast<void>(m.remove("d")), cairn::corrupt_segment);
        word = before;
        CHECK(d.at(3) == 4);
    };
    refuses_with(parts[0]->next_slot, d.in().slot_number(*parts[0]) + 1);
    refuses_with(parts[3]->next_slot, d.in().control().first_slot);
    refuses_with(parts[1]->next_slot, 1U << 30);
    refuses_with(parts[2]->lock.told, 0);
    CHECK(m.remove("d"));
}

TEST_CASE("a chain of pending roots that goes round, or leads to a living one, is corrupt_segment") {
    const cairn::manager m;
    const opened_sharded<long, long> d(m.sharded_dict<long, long>("d", {.shards = 2}));
    segment_control& control = d.in().control();
    const std::vector<root_slot*> parts = d.parts();
    control.pending_slot = d.in().slot_number(*parts[0]) + 1;
    CHECK_THROWS_AS(static_cast<void>(m.contains("d")), cairn::corrupt_segment);
    CHECK(parts[0]->state == static_cast<std::uint32_t>(root_state::live));
    // Two that are being made, and lead to each other.
    for (root_slot* part : parts) part->state = static_cast<std::uint32_t>(root_state::building);
    parts[0]->next_free_slot = d.in().slot_number(*parts[1]) + 1;
    parts[1]->next_free_slot = d.in().slot_number(*parts[0]) + 1;
    CHECK_THROWS_AS(static_cast<void>(m.contains("d")), cairn::corrupt_segment);
}

TEST_CASE("objects that differ only in a byte of 255, or in length, are different") {
    const cairn::manager m;
    const std::string longest(255, 'x');
    std::string other = longest;
    other.back() = 'y';
    static_cast<void>(m.list<long>(longest, {1}));
    static_cast<void>(m.list<long>(other, {2}));
    static_cast<void>(m.list<long>(std::string(254, 'x'), {3}));
    CHECK(m.list<long>(longest).at(0) == 1);
    CHECK(m.list<long>(other).at(0) == 2);
    CHECK(m.list<long>(std::string(254, 'x')).at(0) == 3);
    CHECK(m.list<long>(longest).name() == longest);
}

}  // namespace directory_test
