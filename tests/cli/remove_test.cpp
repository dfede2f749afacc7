// remove_test.cpp - rm and gc: what they do, that they say it, and when they do not.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"

namespace remove_test {

using namespace cairn_test;

namespace {

std::string row(const program_result& r) {
    std::string joined;
    for (const std::string& word : words_of(r.out)) joined += (joined.empty() ? "" : " ") + word;
    return joined;
}

program_options terminal_with(const std::string& answer) {
    program_options options;
    options.on_terminal = true;
    options.environment = {"TERM=dumb"};
    options.input = answer;
    return options;
}

}  // namespace

TEST_CASE("rm of what a living process uses is exit 5 without -f, and nothing happens") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    check_error(s.run({"rm", "jobs"}), 5, "segment 'jobs' is in use: 1 living process", "-f removes it");
    CHECK(s.has("jobs"));
    check_error(s.run({"rm", "jobs/results"}), 5, "object 'jobs/results' is in use: 1 living process",
                "-f removes it");
    CHECK(m.list<long>("results").size() == 8);
}

TEST_CASE("rm -f takes the name away and says so; who is attached goes on") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const auto results = m.list<long>("results");
    const program_result r = s.run({"rm", "jobs", "-f", "-n"});
    INFO(r);
    CHECK(r.code == 0);
    CHECK(row(r) == "jobs removed live; 1 process still attached");
    CHECK_FALSE(s.has("jobs"));
    results.push_back(18);
    CHECK(results.size() == 9);
    CHECK(s.run({"rm", "jobs", "-f"}).code == 3);
}

TEST_CASE("rm of an object makes it gone for who uses it, and leaves the others") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const auto results = m.list<long>("results");
    const program_result r = s.run({"rm", "jobs/results", "-f", "-n"});
    CHECK(r.code == 0);
    CHECK(row(r) == "jobs/results removed -");
    CHECK_THROWS_AS(results.push_back(1), cairn::object_gone);
    CHECK(s.run({"ls", "jobs", "-q"}).out == "jobs/a/b\njobs/texts\n");
    CHECK(s.run({"verify", "jobs"}).code == 0);
    CHECK(m.stats().process_count == 1);
}

TEST_CASE("--dry-run says what would be done and does nothing") {
    const shelf s;
    leave_behind("left");
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const std::string before = s.bytes("left");
    CHECK(row(s.run({"rm", "jobs", "--dry-run", "-n"})).starts_with("jobs would be removed live"));
    CHECK(row(s.run({"rm", "jobs/texts", "--dry-run", "-n"})) == "jobs/texts would be removed -");
    CHECK(row(s.run({"rm", "left", "--dry-run", "-n"})).starts_with("left would be removed orphan"));
    CHECK(row(s.run({"gc", "--dry-run", "-n"})).starts_with("left would be removed no living process"));
    CHECK(s.has("jobs"));
    CHECK(s.bytes("left") == before);
    CHECK(m.list<std::string>("texts").size() == 4);
}

TEST_CASE("on a terminal rm asks, and takes only a yes for one; -y does not ask") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    for (const char* answer : {"n\n", "\n", "maybe\n"}) {
        CAPTURE(answer);
        const program_result no = s.run({"rm", "jobs"}, terminal_with(answer));
        INFO(no);
        CHECK(no.code == 1);
        CHECK(contains(no.out, "remove segment 'jobs'? 1 living process [y/N]"));
        CHECK(contains(no.out, "was not removed"));
        CHECK(s.has("jobs"));
    }
    const program_result object = s.run({"rm", "jobs/results"}, terminal_with("y\n"));
    INFO(object);
    CHECK(object.code == 0);
    CHECK(contains(object.out, "remove object 'jobs/results'?"));
    CHECK_FALSE(m.contains("results"));
    const program_result yes = s.run({"rm", "jobs"}, terminal_with("y\n"));
    CHECK(yes.code == 0);
    CHECK_FALSE(s.has("jobs"));

    const cairn::manager other{"other", small_segment};
    const program_result unasked = s.run({"rm", "other", "-y"}, terminal_with(""));
    INFO(unasked);
    CHECK(unasked.code == 0);
    CHECK_FALSE(contains(unasked.out, "[y/N]"));
    CHECK_FALSE(s.has("other"));
}

TEST_CASE("what only the dead have left is removed without a question") {
    const shelf s;
    leave_behind("left");
    const program_result r = s.run({"rm", "left", "-n"});
    INFO(r);
    CHECK(r.code == 0);
    CHECK(row(r).starts_with("left removed orphan, creator"));
    CHECK_FALSE(s.has("left"));
}

TEST_CASE("rm of an object in what the dead have left says when the segment goes with it") {
    const shelf s;
    leave_behind("left");
    leave_behind("kept", kept_segment);
    const program_result r = s.run({"rm", "left/results", "-n"});
    INFO(r);
    CHECK(r.code == 0);
    CHECK(contains(r.out, "left/results"));
    CHECK(contains(r.out, "no living process uses it"));
    CHECK_FALSE(s.has("left"));
    CHECK(row(s.run({"rm", "kept/results", "-n"})) == "kept/results removed -");
    CHECK(s.has("kept"));
    CHECK(s.run({"ls", "kept", "-q"}).out == "kept/a/b\nkept/texts\n");
}

TEST_CASE("rm takes several targets and globs") {
    const shelf s;
    for (const char* name : {"test.one", "test.two", "other", "third"}) leave_behind(name, kept_segment);
    const program_result r = s.run({"rm", "test.*", "third", "-q"});
    INFO(r);
    CHECK(r.code == 0);
    CHECK(r.out == "test.one\ntest.two\nthird\n");
    CHECK_FALSE(s.has("test.one"));
    CHECK_FALSE(s.has("test.two"));
    CHECK_FALSE(s.has("third"));
    CHECK(s.has("other"));
    CHECK(row(s.run({"rm", "other/t*", "-n"})) == "other/texts removed -");
}

TEST_CASE("a file that is no segment is removed with -f only") {
    const shelf s;
    static_cast<void>(s.file("cairn.noise", "this is no segment"));
    const program_result refused = s.run({"rm", "noise"});
    INFO(refused);
    CHECK(refused.code == 6);
    CHECK(contains(refused.err, "hint: -f removes the file"));
    CHECK(s.has("noise"));
    const program_result r = s.run({"rm", "noise", "-f", "-n"});
    CHECK(r.code == 0);
    CHECK(row(r).starts_with("noise removed damaged"));
    CHECK_FALSE(s.has("noise"));
}

TEST_CASE("gc removes what no living process uses, not what is persistent, in use or no segment") {
    const shelf s;
    leave_behind("left");
    leave_behind("kept", kept_segment);
    static_cast<void>(s.file("cairn.noise", "this is no segment"));
    const cairn::manager m{"jobs", small_segment};
    const program_result r = s.run({"gc", "-n"});
    INFO(r);
    CHECK(r.code == 0);
    const std::vector<std::string> lines = lines_of(r.out);
    REQUIRE(lines.size() == 2);
    CHECK(contains(lines[0], "kept"));
    CHECK(contains(lines[0], "forgot"));
    CHECK(contains(lines[0], "1 dead process"));
    CHECK(contains(lines[1], "left"));
    CHECK(contains(lines[1], "removed"));
    CHECK(contains(r.err, "noise is left alone"));
    CHECK_FALSE(s.has("left"));
    CHECK(s.has("kept"));
    CHECK(s.has("noise"));
    CHECK(s.has("jobs"));
    CHECK(s.json({"show", "kept"})["dead_process_count"] == 0);
    const program_result again = s.run({"gc"});
    CHECK(again.code == 0);
    CHECK(again.out.empty());
    CHECK(contains(again.err, "nothing to collect"));
}

TEST_CASE("gc forgets the dead of a segment that lives on") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    REQUIRE(in_child([&] {
                m.list<long>("results").push_back(1);
                ::kill(::getpid(), SIGKILL);
            }) == -SIGKILL);
    CHECK(row(s.run({"gc", "--dry-run", "-n"})) == "jobs would forget 1 dead process");
    CHECK(row(s.run({"gc", "-n"})) == "jobs forgot 1 dead process");
    CHECK(s.json({"show", "jobs"})["dead_process_count"] == 0);
    CHECK(m.list<long>("results").size() == 9);
}

TEST_CASE("gc leaves what is younger than --older-than, and takes only the targets that are given") {
    const shelf s;
    leave_behind("left");
    leave_behind("other");
    CHECK(contains(s.run({"gc", "--older-than", "1h"}).err, "nothing to collect"));
    CHECK(s.has("left"));
    CHECK(s.run({"gc", "lef*", "-q"}).out == "left\n");
    CHECK_FALSE(s.has("left"));
    CHECK(s.has("other"));
    CHECK(s.run({"gc", "--older-than", "0s", "-q"}).out == "other\n");
}

}  // namespace remove_test
