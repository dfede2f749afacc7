// command_line_test.cpp - verbs, options, help at every level, and what is said of what shmctl does not know.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "shelf.hpp"

namespace command_line_test {

using namespace cairn_test;

namespace {

const std::vector<std::string> verbs = {"ls", "show", "get", "rm", "gc", "verify"};

}  // namespace

TEST_CASE("no verb means ls") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    for (const std::vector<std::string>& options : {std::vector<std::string>{"-q"},
                                                    {"-n", "-o", "segment,max"},
                                                    {"-n", "-b", "-o", "segment,state,size"}}) {
        std::vector<std::string> with_verb = options;
        with_verb.insert(with_verb.begin(), "ls");
        const program_result r = s.run(options);
        INFO(r);
        CHECK(r.code == 0);
        // The first line: behind it there may be anonymous segments of others, which come and go.
        const std::vector<std::string> words = words_of(lines_of(r.out).front());
        CHECK(words.front() == "jobs");
        CHECK(words == words_of(lines_of(s.run(with_verb).out).front()));
    }
}

TEST_CASE("global options may stand before or behind the verb") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    CHECK(s.run({"-q", "ls", "jobs"}).out == "jobs/a/b\njobs/results\njobs/texts\n");
    CHECK(s.run({"ls", "-q", "jobs"}).out == "jobs/a/b\njobs/results\njobs/texts\n");
    CHECK(s.run({"ls", "jobs", "-q"}).out == "jobs/a/b\njobs/results\njobs/texts\n");
}

TEST_CASE("help is there at every level, on stdout, with an example") {
    const shelf s;
    for (const std::vector<std::string>& words : {std::vector<std::string>{"--help"}, {"-h"}, {"help"}}) {
        const program_result r = s.run(words);
        INFO(r);
        CHECK(r.code == 0);
        CHECK(r.err.empty());
        for (const std::string& verb : verbs) CHECK(contains(r.out, "\n  " + verb + " "));
        for (const char* word : {"--json", "--columns", "--no-headings", "--quiet", "--bytes", "TARGET is",
                                 "pid:1234/SEGMENT", "Exit codes", "Example:"})
            CHECK(contains(r.out, word));
    }
    for (const std::string& verb : verbs) {
        CAPTURE(verb);
        const program_result r = s.run({"help", verb});
        CHECK(r.code == 0);
        CHECK(r.err.empty());
        CHECK(contains(r.out, "Usage: shmctl " + verb));
        CHECK(contains(r.out, "Example:\n  shmctl " + verb));
        CHECK(contains(r.out, "`shmctl help`"));  // where the options of all verbs are
        CHECK(s.run({verb, "--help"}).out == r.out);
        CHECK(s.run({verb, "-h"}).out == r.out);
    }
}

TEST_CASE("the version says which format it reads") {
    const shelf s;
    const program_result r = s.run({"version"});
    CHECK(r.code == 0);
    CHECK(r.out == "shmctl " + std::string(cairn::version()) + ", reads format " +
                       std::to_string(cairn::format_version()) + "\n");
    CHECK(s.run({"--version"}).out == r.out);
}

TEST_CASE("a verb that there is not is exit 2, and the one that was meant is named") {
    const shelf s;
    check_error(s.run({"lss"}), 2, "no verb 'lss' (did you mean 'ls'?)", "`shmctl help` lists the verbs");
    check_error(s.run({"verfiy"}), 2, "no verb 'verfiy' (did you mean 'verify'?)", "shmctl help");
    check_error(s.run({"shwo", "jobs"}), 2, "no verb 'shwo' (did you mean 'show'?)", "shmctl help");
    check_error(s.run({"jobs"}), 2, "no verb 'jobs'", "`shmctl ls jobs` looks into a segment");
    check_error(s.run({"help", "verfy"}), 2, "no verb 'verfy' (did you mean 'verify'?)", "shmctl help");
}

TEST_CASE("an option that there is not is exit 2, and the one that was meant is named") {
    const shelf s;
    check_error(s.run({"--jsn"}), 2, "no option '--jsn' (did you mean '--json'?)", "`shmctl help`");
    check_error(s.run({"ls", "--lnog"}), 2, "no option '--lnog' (did you mean '--long'?)",
                "`shmctl help ls`");
    check_error(s.run({"gc", "--dry-rn"}), 2, "no option '--dry-rn' (did you mean '--dry-run'?)",
                "`shmctl help gc`");
    check_error(s.run({"get", "x", "--jsn"}), 2, "no option '--jsn' (did you mean '--json'?)",
                "`shmctl help get`");
    check_error(s.run({"ls", "--frobnicate"}), 2, "no option '--frobnicate'", "`shmctl help ls`");
    // With a value behind it, which is no part of the name.
    check_error(s.run({"ls", "--fliter=state=live"}), 2,
                "no option '--fliter=state=live' (did you mean '--filter'?)", "`shmctl help ls`");
}

TEST_CASE("values that make no sense are exit 2") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    check_error(s.run({"--color", "blue"}), 2, "--color is 'blue'", "auto, always or never");
    check_error(s.run({"gc", "--older-than", "soon"}), 2, "--older-than is 'soon'", "90s, 10m, 1h, 2d");
    check_error(s.run({"ls", "--filter", "state"}), 2, "filter 'state' is not COLUMN=VALUE",
                "--filter state=orphan");
    check_error(s.run({"ls", "-o", "sgement"}), 2, "no column 'sgement' (did you mean 'segment'?)",
                "columns: segment, state,");
    check_error(s.run({"ls", "jobs", "-s", "itesm"}), 2, "no column 'itesm' (did you mean 'items'?)",
                "columns: segment, object,");
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"get", "jobs/results", "--limit", "many"},
          {"get", "jobs/results", "--limit"}}) {
        const program_result r = s.run(words);
        INFO(r);
        CHECK(r.code == 2);
        CHECK(r.out.empty());
        CHECK(contains(r.err, "limit"));
        CHECK(lines_of(r.err).size() == 2);
    }
}

TEST_CASE("a verb that needs a target says so") {
    const shelf s;
    check_error(s.run({"show"}), 2, "show what?", "`shmctl show jobs/results`");
    check_error(s.run({"get"}), 2, "get what?", "`shmctl get jobs/results`");
    check_error(s.run({"rm"}), 2, "rm what?", "`shmctl rm jobs`");
    check_error(s.run({"verify"}), 2, "verify what?", "`shmctl verify jobs`");
}

TEST_CASE("a target that a verb cannot take is exit 2, and the verb that can is named") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    check_error(s.run({"verify", "jobs/results"}), 2,
                "verify takes segments, and 'jobs/results' is an object", "`shmctl verify jobs`");
    check_error(s.run({"gc", "jobs/results"}), 2, "gc takes segments, and 'jobs/results' is an object",
                "`shmctl rm jobs/results`");
    check_error(s.run({"rm", "jobs/results[0]"}), 2,
                "rm takes segments and objects, and 'jobs/results[0]' is an element", "");
    CHECK(m.list<long>("results").size() == 8);
}

}  // namespace command_line_test
