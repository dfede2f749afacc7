// output_test.cpp - tables, columns, names, bytes, JSON, colours, pipes that are closed, devices that are full.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"

namespace output_test {

using namespace cairn_test;

namespace {

// Its stdout is a pipe that nobody reads.
program_options closed_pipe(bool ignoring) {
    program_options options;
    options.before_exec = [ignoring] {
        int ends[2];
        if (::pipe(ends) != 0) ::_exit(126);
        ::close(ends[0]);
        ::dup2(ends[1], STDOUT_FILENO);
        ::close(ends[1]);
        std::signal(SIGPIPE, ignoring ? SIG_IGN : SIG_DFL);
    };
    return options;
}

bool has_color(const program_result& r) {
    return contains(r.out, "\x1b[");
}

}  // namespace

TEST_CASE("a table has stable columns, aligned, with everything in full") {
    const shelf s;
    const std::string name = "a-name-that-is-long-enough-to-be-cut-on-a-terminal-of-eighty-columns-and-more" +
                             std::string(60, 'x');
    const cairn::manager m{std::string_view(name), small_segment};
    const cairn::manager other{"b", small_segment};
    fill(m);
    const program_result r = s.run({"ls"});
    INFO(r);
    const std::vector<std::string> lines = lines_of(r.out);
    REQUIRE(lines.size() >= 3);
    CHECK(words_of(lines[0]) == std::vector<std::string>{"SEGMENT", "STATE", "PROCS", "OBJECTS", "USED",
                                                         "SIZE", "MAX", "OWNER", "CREATED", "NOTE"});
    CHECK(lines[1].starts_with(name + "  live"));
    CHECK(lines[2].starts_with("b "));
    CHECK(lines[0].find("STATE") == lines[1].find("live"));
    CHECK(lines[1].find("live") == lines[2].find("live"));

    const program_result objects = s.run({"ls", name});
    const std::vector<std::string> rows = lines_of(objects.out);
    REQUIRE(rows.size() == 4);
    CHECK(words_of(rows[0]) ==
          std::vector<std::string>{"OBJECT", "KIND", "TYPE", "ITEMS", "BYTES", "VERSION", "WAITERS", "LOCK"});
    const std::vector<std::string> row = words_of(rows[2]);
    REQUIRE(row.size() == 8);
    CHECK(std::vector<std::string>(row.begin(), row.begin() + 4) ==
          std::vector<std::string>{"results", "list", "int64", "8"});
    CHECK(row.back() == "free");
}

TEST_CASE("-o chooses columns and their order, by heading or by key; -n leaves the headings out") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    CHECK(s.run({"ls", "jobs", "-o", "items,object"}).out ==
          "ITEMS  OBJECT\n    2  a/b\n    8  results\n    4  texts\n");
    CHECK(s.run({"ls", "jobs", "-o", "OBJECT,item_count", "-n"}).out ==
          "a/b      2\nresults  8\ntexts    4\n");
    CHECK(s.run({"ls", "jobs", "-n", "-o", "object"}).out == "a/b\nresults\ntexts\n");
    // Also those that only -l shows.
    CHECK(s.run({"ls", "jobs", "-n", "-o", "state", "--filter", "object=texts"}).out == "live\n");
}

TEST_CASE("rows are sorted, turned round and filtered as asked") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const auto names = [&](std::vector<std::string> more) {
        std::vector<std::string> words = {"ls", "jobs", "-q"};
        words.insert(words.end(), more.begin(), more.end());
        return s.run(words).out;
    };
    CHECK(names({"-s", "items"}) == "jobs/a/b\njobs/texts\njobs/results\n");
    CHECK(names({"-s", "items", "-r"}) == "jobs/results\njobs/texts\njobs/a/b\n");
    CHECK(names({"-r"}) == "jobs/texts\njobs/results\njobs/a/b\n");
    CHECK(names({"--filter", "type=int64"}) == "jobs/results\n");
    CHECK(names({"--filter", "object=*t*", "--filter", "items=4"}) == "jobs/texts\n");
    CHECK(names({"--filter", "kind=dict"}) == "");
}

TEST_CASE("-q is names that other commands take") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    for (const std::string& target : lines_of(s.run({"ls", "-q", "jobs"}).out)) {
        CAPTURE(target);
        CHECK(s.run({"get", target}).code == 0);
    }
    const program_result r = s.run({"-q"});
    CHECK(lines_of(r.out).front() == "jobs");
    CHECK(r.err.empty());
}

TEST_CASE("-b is exact bytes, otherwise they are for people") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const std::vector<std::string> only_max = {"ls", "-n", "-o", "max", "--filter", "segment=jobs"};
    CHECK(s.run(only_max).out == "4.0M\n");
    std::vector<std::string> exact = only_max;
    exact.emplace_back("-b");
    const program_result r = s.run(exact);
    const nlohmann::json all = s.json({"ls"});
    CHECK(r.out == all["segments"][0]["max_bytes"].dump() + "\n");
    CHECK(std::stoul(r.out) >= 4000000);
}

TEST_CASE("--json is one document with units in its names and exact numbers, whatever the table shows") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const nlohmann::json segments = s.json({"ls", "-o", "segment"});
    const nlohmann::json& segment = segments["segments"][0];
    CHECK(segment["segment"] == "jobs");
    CHECK(segment["state"] == "live");
    CHECK(segment["process_count"] == 1);
    CHECK(segment["object_count"] == 3);
    CHECK(segment["size_bytes"].is_number_unsigned());
    CHECK(segment["age_seconds"].is_number());
    CHECK(segment["creator_pid"] == ::getpid());

    const nlohmann::json objects = s.json({"ls", "jobs"});
    REQUIRE(objects["objects"].size() == 3);
    CHECK(objects["objects"][1]["object"] == "results");
    CHECK(objects["objects"][1]["item_count"] == 8);
    CHECK(objects["objects"][1]["size_bytes"].is_number_unsigned());
    CHECK(objects["objects"][1]["has_waiters"] == false);

    const nlohmann::json got = s.json({"get", "jobs/texts"});
    CHECK(got["items"] == nlohmann::json({"plain", "it's", "a\nb", "gr\xc3\xb6\xc3\x9f"}));
    CHECK(got["kind"] == "list");
    CHECK(got["type"] == "str");
    CHECK(s.json({"get", "jobs/*"})["objects"].size() == 3);
    const nlohmann::json shown = s.json({"show", "jobs"});
    CHECK(shown["objects"].size() == 3);
    CHECK(shown["participants"][0]["pid"] == ::getpid());
    CHECK(s.json({"verify", "jobs"})["segments"][0]["result"] == "clean");
    CHECK(s.json({"rm", "jobs", "--dry-run"})["dry_run"] == true);
    CHECK(s.json({"gc"})["actions"].empty());
}

TEST_CASE("data goes to stdout and all else to stderr") {
    const shelf s;
    leave_behind("left");
    const program_result r = s.run({"ls"});
    INFO(r);
    CHECK(contains(r.out, "left"));
    CHECK_FALSE(contains(r.out, "hint"));
    CHECK(contains(r.err, "hint: "));
    CHECK(contains(r.err, "can be removed with `shmctl gc`"));
    CHECK(s.run({"ls", "--json"}).err.empty());
}

TEST_CASE("colour is for terminals, and NO_COLOR and TERM=dumb and --color are obeyed") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    program_options terminal;
    terminal.on_terminal = true;
    terminal.environment = {"TERM=xterm", "NO_COLOR="};
    program_options pipe = terminal;
    pipe.on_terminal = false;
    CHECK(has_color(s.run({"ls"}, terminal)));
    CHECK_FALSE(has_color(s.run({"ls"}, pipe)));
    CHECK(has_color(s.run({"ls", "--color", "always"}, pipe)));
    CHECK_FALSE(has_color(s.run({"ls", "--color", "never"}, terminal)));
    terminal.environment = {"TERM=xterm", "NO_COLOR=1"};
    CHECK_FALSE(has_color(s.run({"ls"}, terminal)));
    terminal.environment = {"TERM=dumb", "NO_COLOR="};
    CHECK_FALSE(has_color(s.run({"ls"}, terminal)));
    terminal.environment = {"TERM=xterm", "NO_COLOR="};
    CHECK_FALSE(has_color(s.run({"ls", "--json"}, terminal)));
}

TEST_CASE("NO_COLOR is obeyed also where colours were asked for by an option's default") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    program_options pipe;
    pipe.environment = {"TERM=xterm", "NO_COLOR=1"};
    // Rule 3: never with NO_COLOR.
    CHECK_FALSE(has_color(s.run({"ls", "--color", "always"}, pipe)));
}

TEST_CASE("nothing unprintable of a name or a text reaches the terminal") {
    const shelf s;
    static_cast<void>(s.file("cairn.evil\x1b[31m\nname", "no segment"));
    const cairn::manager m{"jobs", small_segment};
    static_cast<void>(m.list<std::string>("texts", {"\x1b[2J", "\x7f", "\xff"}));
    for (const std::vector<std::string>& words : {std::vector<std::string>{"ls"},
                                                  {"ls", "-q"},
                                                  {"ls", "--json"},
                                                  {"get", "jobs/texts"},
                                                  {"get", "jobs/texts", "--json"},
                                                  {"verify", "*"},
                                                  {"rm", "evil*", "--dry-run"}}) {
        const program_result r = s.run(words);
        INFO(r);
        for (const std::string& text : {r.out, r.err})
            for (const char c : text) CHECK((static_cast<unsigned char>(c) >= 0x20 || c == '\n'));
    }
    CHECK(lines_of(s.run({"ls", "-q"}).out).front() == "evil\\x1b[31m\\x0aname");
}

TEST_CASE("a pipe that is closed is quiet, also when SIGPIPE is ignored") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto numbers = m.list<long>("many");
    for (long i = 0; i < 20000; ++i) numbers.push_back(i);
    for (const bool ignoring : {false, true}) {
        CAPTURE(ignoring);
        for (const std::vector<std::string>& words : {std::vector<std::string>{"ls"},
                                                      {"help"},
                                                      {"get", "jobs/many"},
                                                      {"get", "jobs/many", "--raw"},
                                                      {"show", "jobs"},
                                                      {"verify", "jobs"}}) {
            const program_result r = s.run(words, closed_pipe(ignoring));
            INFO(r);
            CHECK(r.err.empty());
            CHECK((r.code == -SIGPIPE || r.code == 128 + SIGPIPE));
        }
    }
}

TEST_CASE("an output that cannot be written is exit 1, in the system's words") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    program_options full;
    full.before_exec = [] {
        const int fd = ::open("/dev/full", O_WRONLY);
        if (fd < 0) ::_exit(126);
        ::dup2(fd, STDOUT_FILENO);
    };
    const program_result r = s.run({"ls"}, full);
    CHECK(r.code == 1);
    CHECK(r.err == "shmctl: cannot write the output: No space left on device\n");
}

}  // namespace output_test
