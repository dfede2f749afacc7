// SPDX-License-Identifier: BSL-1.0
#include "cairn/inspect.hpp"

#include <algorithm>
#include <csignal>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "dead_writers.hpp"
#include "planted.hpp"
#include "support/scratch.hpp"
#include <cairn/error.hpp>
#include <cairn/manager.hpp>

namespace inspect_test {

using namespace cairn_test;

namespace {

std::string text_of(const cairn::object_contents& contents) {
    std::string text;
    for (std::uint64_t i = 0; i < contents.count(); ++i) {
        if (i != 0) text += ", ";
        contents.append_text(text, i);
    }
    return text;
}

std::vector<std::string> targets() {
    std::vector<std::string> all;
    for (const cairn::segment_location& where : cairn::find_segments()) all.push_back(where.target);
    return all;
}

std::size_t count_of(const std::vector<std::string>& all, const std::string& wanted) {
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), wanted));
}

}  // namespace

TEST_CASE("named segments are found by name, anonymous ones by the lowest process that has them open, once") {
    const scratch_name name("inspect");
    const cairn::manager named = cairn::manager::create(name, small_segment());
    const cairn::manager anonymous(small_segment());
    const auto target_of = [&](pid_t pid) { return "pid:" + std::to_string(pid) + "/" + anonymous.name(); };
    gate ready;
    gate stop;
    child sibling([&] {
        ready.open();
        static_cast<void>(stop.wait());
    });
    REQUIRE(ready.wait());
    const std::vector<std::string> all = targets();
    // Pids are used again from the beginning now and then: a child's may be the lower one.
    const std::string target = target_of(std::min(::getpid(), sibling.pid()));
    CHECK(count_of(all, name.get()) == 1);
    CHECK(count_of(all, target) == 1);
    CHECK(count_of(all, target_of(std::max(::getpid(), sibling.pid()))) == 0);

    const cairn::inspection look(target);
    CHECK(look.location().is_anonymous);
    CHECK(look.participants().size() == 2);
    // Whoever has it open will do.
    CHECK(cairn::locate_segment("pid:" + std::to_string(sibling.pid()) + "/" + anonymous.name()).inode ==
          look.location().inode);
    stop.open();
    CHECK(sibling.join() == 0);
}

TEST_CASE("what cannot be located says why") {
    CHECK(contains(
        thrown_by<cairn::no_such_segment>([] { static_cast<void>(cairn::locate_segment("there is none")); }),
        "no such segment"));
    CHECK(contains(thrown_by<cairn::no_such_segment>(
                       [] { static_cast<void>(cairn::locate_segment("./there/is/none")); }),
                   "image"));
    CHECK(contains(
        thrown_by<cairn::no_such_segment>([] { static_cast<void>(cairn::locate_segment("pid:4194304/x")); }),
        "does not exist"));
    CHECK(contains(thrown_by<cairn::no_such_segment>([] {
                       static_cast<void>(
                           cairn::locate_segment("pid:" + std::to_string(::getpid()) + "/none"));
                   }),
                   "none of that name"));
    CHECK(
        contains(thrown_by<cairn::invalid_name>([] { static_cast<void>(cairn::locate_segment("pid:x/y")); }),
                 "pid:PID/NAME"));
    CHECK_THROWS_AS(static_cast<void>(cairn::locate_segment("-x")), cairn::invalid_name);
}

TEST_CASE("facts, participants and objects are those of the library") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    const cairn::inspection look(name.get());
    const cairn::segment_facts facts = look.facts();
    const cairn::segment_stats stats = m.stats();
    CHECK(facts.name == name.get());
    CHECK(facts.size_bytes == stats.size_bytes);
    CHECK(facts.used_bytes == stats.used_bytes);
    CHECK(facts.max_bytes == stats.max_bytes);
    CHECK(facts.object_count == stats.object_count);
    CHECK(facts.creator_pid == ::getpid());
    CHECK_FALSE(facts.is_truncated);

    const std::vector<cairn::participant_facts> participants = look.participants();
    REQUIRE(participants.size() == 1);
    CHECK(participants[0].pid == ::getpid());
    CHECK(participants[0].is_creator);
    CHECK(participants[0].state == cairn::presence::alive);

    const std::vector<cairn::object_facts> objects = look.objects();
    const std::vector<cairn::object_info> known = m.objects();
    REQUIRE(objects.size() == known.size());
    for (std::size_t i = 0; i < known.size(); ++i) {
        CHECK(objects[i].name == known[i].name);
        CHECK(objects[i].kind == known[i].kind);
        CHECK(objects[i].type == known[i].type);
        CHECK(objects[i].bytes == known[i].bytes);
        CHECK(objects[i].lock == cairn::lock_state::free);
        CHECK(objects[i].notes.empty());
    }
    CHECK(look.object("numbers").items == 3000);
    CHECK(contains(thrown_by<cairn::no_such_object>([&] { static_cast<void>(look.object("number")); }),
                   "'number'"));
}

TEST_CASE("contents are those that the library reads") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, {});
    fill(m);
    const cairn::inspection look(name.get());
    const auto whole = [&](const char* object) { return "[" + text_of(look.contents(object)) + "]"; };
    CHECK(whole("numbers") == cairn::repr(m.list<long>("numbers").snapshot()));
    CHECK(whole("texts") == cairn::repr(m.list<std::string>("texts").snapshot()));
    CHECK(whole("vectors") == cairn::repr(m.list<std::vector<int>>("vectors").snapshot()));
    CHECK(whole("flags") == "[True, False, True]");
    CHECK(whole("empty") == "[]");
    CHECK(text_of(look.contents("numbers", 10, 3)) == "100, 121, 144");
    CHECK(text_of(look.contents("numbers", 2999, 100)) == "8994001");
    CHECK(look.contents("numbers", 3000, 1).count() == 0);
    CHECK(look.contents("numbers", ~std::uint64_t{0}, 1).count() == 0);

    // Across chunks of 1 MiB, which are found by a table.
    const auto large = m.list<long>("large");
    std::vector<long> values(700'000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<long>(i);
    large.extend(values);
    CHECK(text_of(look.contents("large", 699'998)) == "699998, 699999");
    CHECK(look.contents("large").count() == values.size());
    CHECK(text_of(look.contents("large", 500'000, 2)) == "500000, 500001");
}

TEST_CASE("a transaction over two whose process died is seen in both or in neither, as it was decided") {
    for (const bool is_decided : {false, true}) {
        CAPTURE(is_decided);
        const scratch_name name("inspect");
        const cairn::manager m = cairn::manager::create(name, small_segment());
        const auto one = m.list<long>("one", {1, 2});
        const auto two = m.list<long>("two", {3, 4});
        die_in_a_transaction_over_two(m, "one", "two", is_decided);
        const std::string before = read_file(name.path());
        const std::string of_one = is_decided ? "7, 2" : "1, 2";
        const std::string of_two = is_decided ? "7, 4" : "3, 4";

        const cairn::inspection look(name.get());
        CHECK(text_of(look.contents("two")) == of_two);
        CHECK(text_of(look.contents("one")) == of_one);
        CHECK(look.verify({.deep = true}).is_clean());
        const scratch_file saved(before);
        const cairn::inspection image(saved.path());
        CHECK(text_of(image.contents("one")) == of_one);
        CHECK(text_of(image.contents("two")) == of_two);
        CHECK(image.verify({.deep = true}).is_clean());
        const auto reading = cairn::manager::open(name.get(), cairn::open_mode::read_only);
        CHECK(cairn::repr(reading.list<long>("two")) == "[" + of_two + "]");
        CHECK(cairn::repr(reading.list<long>("one")) == "[" + of_one + "]");
        CHECK(read_file(name.path()) == before);
        CHECK(cairn::repr(one) == "[" + of_one + "]");
        CHECK(cairn::repr(two) == "[" + of_two + "]");
    }
}

TEST_CASE("an operation whose process died before the commit is seen as not begun, and nothing is touched") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    const cairn::inspection look(name.get());
    const std::string numbers = text_of(look.contents("numbers"));
    die_in_a_change(m);
    const std::string before = read_file(name.path());

    const cairn::object_facts facts = look.object("numbers");
    CHECK(facts.lock == cairn::lock_state::owner_died);
    CHECK(facts.version % 2 == 1);
    CHECK(facts.items == 3000);
    REQUIRE(facts.notes.size() == 1);
    CHECK(contains(facts.notes[0], "died in the middle"));
    const cairn::object_contents contents = look.contents("numbers");
    CHECK(text_of(contents) == numbers);
    CHECK(contents.notes.size() == 1);
    const cairn::verification found = look.verify({.deep = true});
    CHECK(found.is_clean());
    REQUIRE(found.notes.size() == 1);
    CHECK(contains(found.notes[0], "list 'numbers'"));
    CHECK(read_file(name.path()) == before);

    // The saved image of it says the same.
    const scratch_file saved(before);
    const cairn::inspection image(saved.path());
    CHECK(text_of(image.contents("numbers")) == numbers);
    CHECK(image.verify({.deep = true}).is_clean());
    CHECK(read_file(saved.path()) == before);

    // And so does the next user.
    CHECK(m.list<long>("numbers").size() == 3000);
    CHECK(text_of(look.contents("numbers")) == numbers);
    CHECK(look.object("numbers").recovery_count == 1);
}

TEST_CASE("an operation whose process died after the commit is seen as done") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    const std::vector<std::string> texts = m.list<std::string>("texts").snapshot();
    die_in_an_erase(m);
    const std::string before = read_file(name.path());
    const cairn::inspection look(name.get());
    CHECK(look.object("texts").items == texts.size() - 290);
    const cairn::object_contents contents = look.contents("texts", 8, 4);
    CHECK(text_of(contents) == cairn::repr(texts[8]) + ", " + cairn::repr(texts[9]) + ", " +
                                   cairn::repr(texts[300]) + ", " + cairn::repr(texts[301]));
    CHECK(look.verify({.deep = true}).is_clean());
    CHECK(read_file(name.path()) == before);
    CHECK(m.list<std::string>("texts").size() == texts.size() - 290);
}

TEST_CASE("a segment whose lock died with its holder is seen as repaired") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    die_with_the_segment_lock(m);
    const std::string before = read_file(name.path());
    const cairn::inspection look(name.get());
    CHECK(look.facts().lock_owner_died);
    CHECK(look.objects().size() == 5);
    const cairn::verification found = look.verify();
    CHECK(found.problems.empty());
    CHECK(found.is_clean());
    CHECK(found.notes.size() == 2);
    CHECK(read_file(name.path()) == before);
}

TEST_CASE("a held lock names its holder, and a dead participant is known") {
    const scratch_name name("inspect");
    const cairn::manager m = cairn::manager::create(name, small_segment());
    fill(m);
    child holder([&] {
        const opened_list<long> l(m.list<long>("numbers"));
        cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
        tx.begin_change();
        tx.store(l.node_ref().size, 7);
        ::raise(SIGSTOP);
    });
    holder.wait_until_stopped();
    const cairn::inspection look(name.get());
    const cairn::object_facts facts = look.object("numbers");
    CHECK(facts.lock == cairn::lock_state::held);
    CHECK(facts.lock_pid == holder.pid());
    // It may be in the middle for ever: what is there is shown, and said to be no moment.
    CHECK(contains(look.contents("numbers", 0, 1).notes.at(0), "changed while it was read"));
    const cairn::verification found = look.verify({.patience_ms = 50});
    CHECK(found.problems.empty());
    CHECK(contains(found.busy.at(0), "numbers"));
    CHECK(look.participants().size() == 2);
    holder.kill();
    static_cast<void>(holder.join());
    const std::vector<cairn::participant_facts> participants = look.participants();
    REQUIRE(participants.size() == 2);
    CHECK(participants[1].state == cairn::presence::dead);
    CHECK(look.verify().is_clean());
    CHECK(text_of(look.contents("numbers", 0, 2)) == "0, 1");
}

TEST_CASE("collecting removes what only the dead have left, and forgets them elsewhere") {
    const scratch_name orphan("inspect");
    const scratch_name kept("inspect");
    const scratch_name used("inspect");
    const scratch_name used_elsewhere("inspect");
    const cairn::manager user = cairn::manager::create(used, small_segment());
    child maker([&] {
        const cairn::manager m = cairn::manager::create(orphan, small_segment());
        const cairn::manager k = cairn::manager::create(kept, {.max_size = 4 << 20, .persist = true});
        const cairn::manager u = cairn::manager::open(used);
        die();
    });
    REQUIRE(maker.join() == -SIGKILL);
    const auto where = [](const scratch_name& name) { return cairn::locate_segment(name.get()); };

    const cairn::segment_location gone_one = where(orphan);
    CHECK(cairn::collect_segment(gone_one, true).is_removed);
    CHECK(orphan.exists());
    const cairn::collect_result gone = cairn::collect_segment(where(orphan));
    CHECK(gone.is_removed);
    CHECK(gone.forgotten_count == 1);
    CHECK_FALSE(orphan.exists());

    const cairn::collect_result persistent = cairn::collect_segment(where(kept));
    CHECK_FALSE(persistent.is_removed);
    CHECK(persistent.is_persistent);
    CHECK(persistent.forgotten_count == 1);
    CHECK(kept.exists());

    const cairn::collect_result in_use = cairn::collect_segment(where(used));
    CHECK_FALSE(in_use.is_removed);
    CHECK(in_use.forgotten_count == 1);
    CHECK(used.exists());
    CHECK(cairn::inspection(used.get()).participants().size() == 1);

    child other([&] {
        const cairn::manager m = cairn::manager::create(used_elsewhere, small_segment());
        std::raise(SIGSTOP);
    });
    other.wait_until_stopped();
    const cairn::collect_result of_another = cairn::collect_segment(where(used_elsewhere));
    CHECK_FALSE(of_another.is_removed);
    CHECK(of_another.live_process_count == 1);
    CHECK(of_another.forgotten_count == 0);
    CHECK(used_elsewhere.exists());
    other.resume();
    CHECK(other.join() == 0);
    CHECK_FALSE(used_elsewhere.exists());

    cairn::remove_segment(where(kept));
    CHECK_FALSE(kept.exists());
    cairn::remove_segment(where(used));
    CHECK_FALSE(used.exists());
}

TEST_CASE("a file that is no segment is removed by force only, and only if it is still that file") {
    const scratch_name name("inspect");
    const auto plant = [&](const std::string& content) {
        std::ofstream file(name.path(), std::ios::binary | std::ios::trunc);
        file << content;
    };
    for (const std::string& content : {std::string(), std::string(5000, 'x')}) {
        plant(content);
        const cairn::segment_location where = cairn::locate_segment(name.get());
        CHECK_THROWS_AS(cairn::inspection{where}, cairn::corrupt_segment);
        CHECK_THROWS_AS(cairn::remove_segment(where), cairn::corrupt_segment);
        CHECK(name.exists());
        cairn::remove_segment(where, true);
        CHECK_FALSE(name.exists());
    }
    plant("old");
    const cairn::segment_location old = cairn::locate_segment(name.get());
    const std::string other = name.path() + "-other";
    std::ofstream(other) << "new";
    REQUIRE(std::rename(other.c_str(), name.path().c_str()) == 0);
    CHECK_THROWS_AS(cairn::remove_segment(old, true), cairn::no_such_segment);
    CHECK(name.exists());
}

}  // namespace inspect_test
