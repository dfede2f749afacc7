// inspected_sharded_dict_test.cpp - an object in parts, seen from outside: one object, whatever its bytes are.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "dead_writers.hpp"
#include "inspect/verify.hpp"
#include "planted.hpp"
#include "support/mutations.hpp"
#include "support/opened_sharded_dict.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/inspect.hpp>
#include <cairn/manager.hpp>

namespace inspected_sharded_dict_test {

using namespace cairn_test;
using namespace cairn::detail;

namespace {

using pairs = std::vector<std::pair<std::string, long>>;
using sharded = opened_sharded<std::string, long>;

pairs numbered(long count) {
    pairs all;
    for (long i = 0; i < count; ++i) all.emplace_back("key " + std::to_string(i), i);
    return all;
}

std::string text_of(const cairn::object_contents& contents) {
    std::string text;
    for (std::uint64_t i = 0; i < contents.count(); ++i) {
        if (i != 0) text += ", ";
        contents.keys()->append_text(text, i);
        text += ": ";
        contents.append_text(text, i);
    }
    return text;
}

std::string problems_in(const segment& s) {
    std::string text;
    for (const std::string& each : verify_segment(s, true)) text += each + "\n";
    return text;
}

}  // namespace

TEST_CASE("a sharded_dict is one object with the sums of its shards, and its contents are those of all") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    const auto d = m.sharded_dict<std::string, long>("d", numbered(60), {.shards = 4});
    static_cast<void>(m.list<long>("l", {1}));
    const cairn::inspection look(name.path());
    const std::vector<cairn::object_facts> all = look.objects();
    REQUIRE(all.size() == 2);
    CHECK(look.facts().object_count == 2);
    const cairn::object_facts& facts = all[0];
    CHECK(facts.name == "d");
    CHECK(facts.kind == "sharded_dict");
    CHECK(facts.type == "str, int64");
    CHECK(facts.state == "live");
    CHECK(facts.shard_count == 4);
    CHECK(facts.items == 60);
    CHECK(facts.bytes == m.objects()[0].bytes);
    CHECK(facts.extent_count >= 5);
    CHECK(facts.notes.empty());
    CHECK(look.objects(false)[0].bytes == facts.bytes);
    CHECK_FALSE(look.objects(false)[0].items.has_value());
    CHECK(all[1].shard_count == 0);
    // A change of any shard is one of the object.
    d.set("key 3", 33);
    d.set("key 4", 44);
    CHECK(look.object("d").version > facts.version);
    CHECK(look.object("d").version % 2 == 0);
    CHECK(look.object("d").acquired_count == facts.acquired_count + 2);

    const std::string whole = cairn::repr(d);
    CHECK("{" + text_of(look.contents("d")) + "}" == whole);
    CHECK(look.contents("d").size == 60);
    CHECK(look.contents("d").kind == "sharded_dict");
    CHECK(look.contents("d").keys()->type == "str");
    // Any part of it, over the ends of shards.
    const std::vector<std::pair<std::string, long>> snapshot = d.snapshot();
    for (std::uint64_t first = 0; first <= 62; ++first) {
        const cairn::object_contents some = look.contents("d", first, 20);
        std::string expected;
        for (std::uint64_t i = first; i < std::min<std::uint64_t>(60, first + 20); ++i) {
            if (!expected.empty()) expected += ", ";
            expected += cairn::repr(snapshot[i].first) + ": " + cairn::repr(snapshot[i].second);
        }
        CHECK(text_of(some) == expected);
        CHECK(some.size == 60);
        CHECK(some.first == std::min<std::uint64_t>(first, 60));
    }
    CHECK(look.contents("d", 0, 0).size == 60);
    const cairn::verification found = look.verify({.deep = true});
    CHECK(found.is_clean());
    CHECK(found.object_count == 2);
    CHECK(found.item_count == 61);
    m.remove("d");
    CHECK(look.objects().size() == 1);
    CHECK_THROWS_AS(static_cast<void>(look.contents("d")), cairn::no_such_object);
    CHECK(look.verify().is_clean());
}

TEST_CASE("what was begun in one shard when its process died is seen as the next user will find it") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    const sharded d(m.sharded_dict<std::string, long>("d", numbered(40), {.shards = 4}));
    const std::string before = cairn::repr(d);
    child victim([&] {
        const auto shard = opened_keyed(d.shards()[2]);
        root_transaction tx(shard.in(), shard.slot(), shard.generation());
        tx.begin_change();
        tx.store(shard.node_ref().size, 1000);
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
    const cairn::inspection look(name.path());
    const cairn::object_facts facts = look.object("d");
    CHECK(facts.items == 40);
    CHECK(facts.lock == cairn::lock_state::owner_died);
    REQUIRE(facts.notes.size() == 1);
    CHECK(contains(facts.notes[0], "shard 2: its last writer died in the middle"));
    const cairn::object_contents contents = look.contents("d");
    CHECK("{" + text_of(contents) + "}" == before);
    REQUIRE(contents.notes.size() == 1);
    CHECK(contains(contents.notes[0], "shard 2: "));
    CHECK(look.verify({.deep = true}).is_clean());
    CHECK(d.size() == 40);
    CHECK(look.object("d").recovery_count == 1);
}

TEST_CASE("a remover that died before its commit leaves a lock that the next who opens the object repairs") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    const sharded d(m.sharded_dict<std::string, long>("d", numbered(40), {.shards = 4}));
    child victim([&] {
        const root_transaction tx(d.in(), d.slot(), d.generation());
        die();
    });
    REQUIRE(victim.join() == -SIGKILL);
    const cairn::inspection look(name.path());
    CHECK(look.object("d").lock == cairn::lock_state::owner_died);
    CHECK(look.verify().is_clean());
    CHECK(m.sharded_dict<std::string, long>("d").size() == 40);
    CHECK(look.object("d").lock == cairn::lock_state::free);
    CHECK(look.object("d").recovery_count == 1);
}

TEST_CASE("an object in parts that was being made when its process died is seen as not there") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    static_cast<void>(m.list<double>("empty"));
    die_with_half_of_the_shards(m);
    const cairn::inspection look(name.path());
    CHECK(look.objects().size() == 1);
    const cairn::verification found = look.verify();
    CHECK(found.is_clean());
    CHECK(!found.notes.empty());
    CHECK(m.objects().size() == 1);
    CHECK(look.verify().notes.empty());
}

TEST_CASE("of roots that are being made or removed there are those of one object at most; more are damage") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    const opened_list<long> first(m.list<long>("l0"));
    std::vector<root_slot*> pending = {&first.slot()};
    for (int i = 1; i < 66; ++i)
        pending.push_back(&opened_list<long>(m.list<long>("l" + std::to_string(i))).slot());
    const segment& s = first.in();
    std::uint32_t link = 0;
    for (root_slot* each : pending) {
        each->state = static_cast<std::uint32_t>(root_state::building);
        each->next_free_slot = link;
        link = s.slot_number(*each) + 1;
    }
    const cairn::inspection look(name.path());
    const auto notes_with = [&](std::uint32_t chain) {
        s.control().pending_slot = chain;
        std::string text;
        for (const std::string& each : look.verify().problems) text += each + "\n";
        return text;
    };
    CHECK(contains(notes_with(link), "being made or removed: its chain has no end"));
    CHECK_FALSE(contains(notes_with(pending.back()->next_free_slot), "has no end"));
}

TEST_CASE("each invariant of an object in parts is checked") {
    const cairn::manager m;
    const sharded d(m.sharded_dict<std::string, long>("d", numbered(40), {.shards = 4}));
    const sharded other(m.sharded_dict<std::string, long>("other", {.shards = 2}));
    static_cast<void>(m.list<long>("former"));  // whose control block is free
    m.remove("former");
    const segment& s = d.in();
    REQUIRE(problems_in(s) == "");
    auto& node = *s.at<parts_node>(d.slot().node);
    const std::vector<root_slot*> parts = d.parts();
    const auto with = [&](auto& word, std::uint64_t value) {
        const auto before = word;
        word = static_cast<std::decay_t<decltype(word)>>(value);
        std::string problems = problems_in(s);
        word = before;
        return problems;
    };
    CHECK(contains(with(node.count, 0), "sharded_dict 'd': its node makes no sense"));
    CHECK(contains(with(node.count, 65), "sharded_dict 'd': its node makes no sense"));
    CHECK(contains(with(d.slot().node, 12), "sharded_dict 'd': its node makes no sense"));
    CHECK(contains(with(node.count, 3), "is a shard that it has not"));
    CHECK(contains(with(part_links(node)[1], 0), "sharded_dict 'd': shard 1 is not its own"));
    CHECK(contains(with(part_links(node)[1], part_links(node)[0]),
                   "shard 1 is not its own, or is there twice"));
    CHECK(
        contains(with(part_links(node)[1], s.slot_number(*other.parts()[1]) + 1), "shard 1 is not its own"));
    CHECK(contains(with(parts[2]->generation, other.generation()),
                   "shard of sharded_dict 'd': there is no such object"));
    CHECK(contains(with(parts[2]->part_of, 0), "shard 2 is not its own"));
    CHECK(contains(with(parts[2]->part_of, s.slot_number(other.slot()) + 1), "is a shard that it has not"));
    CHECK(contains(with(parts[2]->part_of, s.slot_number(*parts[1]) + 1), "there is no such object"));
    CHECK(contains(with(parts[2]->part_of, 1U << 30), "shard of sharded_dict 'd': there is no such object"));
    CHECK(contains(with(parts[2]->part_of, s.control().first_free_slot), "there is no such object"));
    CHECK(contains(with(parts[2]->kind, static_cast<std::uint64_t>(object_kind::set)),
                   "shard 2 is not its own"));
    CHECK(contains(with(parts[2]->state, static_cast<std::uint64_t>(root_state::free)), "is free"));
    CHECK(contains(with(parts[2]->state, static_cast<std::uint64_t>(root_state::poisoned)),
                   "shard of sharded_dict 'd': poisoned"));
    CHECK(contains(with(parts[2]->version, 7), "shard of sharded_dict 'd': its version is odd"));
    CHECK(problems_in(s) == "");
    // Two shards change places: every key is in the wrong one.
    std::swap(part_links(node)[0], part_links(node)[3]);
    CHECK(contains(problems_in(s), "of its keys lead to another shard"));
    std::swap(part_links(node)[0], part_links(node)[3]);
    CHECK(problems_in(s) == "");
}

TEST_CASE("of an object in parts the other shards are shown when one has lost its type and its node") {
    const scratch_name name;
    const cairn::manager m(name.get(), small_segment());
    const sharded d(m.sharded_dict<std::string, long>("d", numbered(40), {.shards = 4}));
    const std::string whole = cairn::repr(d);
    for (std::size_t broken = 0; broken < 4; ++broken) {
        INFO("shard ", broken);
        root_slot& part = *d.parts()[broken];
        const auto node = std::exchange(part.node, 12);
        const auto type = std::exchange(part.type_name, 8);
        const cairn::object_contents some = cairn::inspection(name.path()).contents("d");
        part.node = node;
        part.type_name = type;
        CHECK(some.count() >= 20);
        CHECK(some.count() < 40);
        CHECK(some.keys()->count() == some.count());
        for (std::uint64_t i = 0; i < some.count(); ++i) {
            std::string pair;
            some.keys()->append_text(pair, i);
            pair += ": ";
            some.append_text(pair, i);
            CHECK(contains(whole, pair));
        }
        REQUIRE(some.notes.size() == 1);
        CHECK(contains(some.notes[0], "shard " + std::to_string(broken) + ": its node makes no sense"));
    }
}

TEST_CASE("a segment of sharded_dicts that is spoilt in any way is an answer or an error, never a crash") {
    bytes_of_file sound;
    {
        const scratch_name name;
        const cairn::manager m(name.get(), {.max_size = 1 << 20, .initial_size = 1});
        static_cast<void>(m.sharded_dict<std::string, long>("texts", numbered(300), {.shards = 8}));
        static_cast<void>(m.sharded_dict<long, long>("words", {{1, 2}, {3, 4}}, {.shards = 2}));
        sound = read_file(name.path());
    }
    const scratch_file file;
    int problems = 0;
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed ", seed);
        mutator with(seed);
        file.write(with.spoil(sound));
        try {
            const cairn::inspection look(file.path());
            for (const cairn::object_facts& each : look.objects()) {
                try {
                    static_cast<void>(text_of(look.contents(each.name)));
                    static_cast<void>(text_of(look.contents(each.name, 7, 200)));
                } catch (const cairn::error&) {}
            }
            if (!look.verify({.deep = true, .patience_ms = 50}).is_clean()) ++problems;
        } catch (const cairn::error&) {
            ++problems;
        }
    }
    CHECK(problems > 75);
}

}  // namespace inspected_sharded_dict_test
