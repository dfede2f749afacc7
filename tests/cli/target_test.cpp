// target_test.cpp - what a target can be: names, objects with slashes, elements, globs, anonymous segments, saved images.
// SPDX-License-Identifier: BSL-1.0
#include <string>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "shelf.hpp"

namespace target_test {

using namespace cairn_test;

TEST_CASE("the first slash ends the segment's name, whatever the object is called") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    CHECK(s.run({"get", "jobs/a/b"}).out == "[0.5, 2.0]\n");
    CHECK(s.run({"get", "jobs/a/b[1]"}).out == "2.0\n");
    CHECK(s.run({"ls", "-q", "jobs/"}).out == s.run({"ls", "-q", "jobs"}).out);
    check_error(s.run({"get", "jobs/a"}), 3, "no object 'a' in segment 'jobs'", "`shmctl ls jobs`");
    check_error(s.run({"get", "jobs/a/"}), 3, "no object 'a/' in segment 'jobs' (did you mean 'a/b'?)",
                "`shmctl ls jobs`");
}

TEST_CASE("an element and a slice are those of Python") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const std::vector<std::pair<std::string, std::string>> expected = {
        {"", "[10, 11, 12, 13, 14, 15, 16, 17]"},
        {"[0]", "10"},
        {"[7]", "17"},
        {"[-1]", "17"},
        {"[-8]", "10"},
        {"[2:4]", "[12, 13]"},
        {"[6:]", "[16, 17]"},
        {"[:2]", "[10, 11]"},
        {"[:]", "[10, 11, 12, 13, 14, 15, 16, 17]"},
        {"[-2:]", "[16, 17]"},
        {"[:-6]", "[10, 11]"},
        {"[5:2]", "[]"},
        {"[100:]", "[]"},
        {"[-100:2]", "[10, 11]"},
        {"[7:100]", "[17]"},
    };
    for (const auto& [at, text] : expected) {
        CAPTURE(at);
        const program_result r = s.run({"get", "jobs/results" + at});
        CHECK(r.code == 0);
        CHECK(r.out == text + "\n");
        CHECK(r.err.empty());
    }
    check_error(s.run({"get", "jobs/results[8]"}), 3, "no element 8 in 'jobs/results': it has 8 items",
                "counted from 0");
    check_error(s.run({"get", "jobs/results[-9]"}), 3, "no element -9 in 'jobs/results': it has 8 items",
                "counted from 0");
}

TEST_CASE("what is no index and no slice is exit 2, with an example of both") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    for (const std::string at : {"[]", "[x]", "[1.5]", "[1:x]", "[0][1]", "[99999999999999999999]", "1]"}) {
        CAPTURE(at);
        check_error(s.run({"get", "jobs/results" + at}), 2,
                    "target 'jobs/results" + at +
                        "': expected [INDEX] or [FIRST:LAST] behind the object, or [KEY] behind a dict",
                    "`shmctl get jobs/results[3]`");
    }
}

TEST_CASE("a glob means all that fit, of segments and of objects, each said by name") {
    const shelf s;
    const cairn::manager one{"test.one", small_segment};
    const cairn::manager two{"test.two", small_segment};
    const cairn::manager other{"other", small_segment};
    for (const auto* m : {&one, &two, &other}) fill(*m);
    CHECK(s.run({"ls", "-q", "test.*/results"}).out == "test.one/results\ntest.two/results\n");
    CHECK(s.run({"ls", "-q", "test.*o*/te?ts"}).out == "test.one/texts\ntest.two/texts\n");
    CHECK(s.run({"ls", "-q", "test.[o]*/results"}).out == "test.one/results\n");
    CHECK(s.run({"get", "test.*/*[0:2]"}).out ==
          "test.one/a/b: [0.5, 2.0]\ntest.one/results: [10, 11]\ntest.one/texts: ['plain', \"it's\"]\n"
          "test.two/a/b: [0.5, 2.0]\ntest.two/results: [10, 11]\ntest.two/texts: ['plain', \"it's\"]\n");
    CHECK(s.run({"get", "test.*/results[0]", "-n"}).out == "10\n10\n");
    check_error(s.run({"ls", "nothing.*"}), 3, "no segment 'nothing.*'", "`shmctl ls`");
    check_error(s.run({"get", "other/x*"}), 3, "no object 'x*' in segment 'other'", "`shmctl ls other`");
}

TEST_CASE("an anonymous segment is found through /proc, by its process and its name") {
    const shelf s;
    const cairn::manager m(small_segment);
    fill(m);
    const std::string target = "pid:" + std::to_string(::getpid()) + "/" + m.name();
    const nlohmann::json all = s.json({"ls"});
    std::size_t seen = 0;
    for (const auto& each : all["segments"]) seen += each["segment"] == target ? 1 : 0;
    CHECK(seen == 1);
    CHECK(s.run({"ls", "-q", target}).out == target + "/a/b\n" + target + "/results\n" + target + "/texts\n");
    CHECK(s.run({"get", target + "/results[0:2]"}).out == "[10, 11]\n");
    CHECK(s.run({"get", target + "/a/b"}).out == "[0.5, 2.0]\n");
    CHECK(s.run({"verify", target}).code == 0);
    // It can only be looked at.
    CHECK(s.run({"rm", target, "-f"}).code == 2);
    CHECK(s.run({"rm", target + "/results", "-f"}).code == 2);
    CHECK(s.run({"gc", target}).code == 2);
    CHECK(m.list<long>("results").size() == 8);

    const std::string self = std::to_string(::getpid());
    const program_result r = s.run({"ls", "pid:" + self + "/nothing"});
    INFO(r);
    CHECK(r.code == 3);
    CHECK(r.err.starts_with("shmctl: no segment 'pid:" + self + "/nothing': process " + self +
                            " has none of that name open"));
    CHECK(lines_of(r.err).size() == 2);
    const program_result nobody = s.run({"ls", "pid:4194303/x"});
    CHECK(nobody.code == 3);
    CHECK(contains(nobody.err, "process 4194303 does not exist"));
    CHECK(s.run({"ls", "pid:x/y"}).code == 2);
}

TEST_CASE("a saved image is a target by its path, and is never one that can be removed") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const std::string image = s.file("saved", s.bytes("jobs"));
    m.list<long>("results").clear();
    CHECK(s.run({"get", image + "/results[0:2]"}).out == "[10, 11]\n");
    CHECK(s.run({"get", image + "/a/b"}).out == "[0.5, 2.0]\n");
    CHECK(s.run({"ls", "-n", "-o", "object,items", image + "/results"}).out == "results  8\n");
    CHECK(s.json({"show", image})["state"] == "image");
    CHECK(s.run({"verify", "--deep", image}).code == 0);
    CHECK(s.run({"get", image + "/none"}).code == 3);
    CHECK(s.run({"rm", image, "-f"}).code == 2);
    CHECK(s.run({"rm", image + "/results", "-f"}).code == 2);
    CHECK(s.run({"get", image + "/results[0]"}).out == "10\n");
    // By a path from here, too.
    program_options there;
    const std::string directory = image.substr(0, image.rfind('/'));
    there.before_exec = [&] {
        if (::chdir(directory.c_str()) != 0) ::_exit(126);
    };
    CHECK(s.run({"get", "./saved/results[0]"}, there).out == "10\n");
    check_error(s.run({"ls", "./there-is-no-such-file"}), 3,
                "open image './there-is-no-such-file': No such file or directory",
                "the path of a saved image");
}

TEST_CASE("what is not there is exit 3, and the nearest thing that is there is named") {
    const shelf s;
    const cairn::manager m{"jobs-of-today", small_segment};
    fill(m);
    check_error(s.run({"show", "jbos-of-today"}), 3,
                "no segment 'jbos-of-today' (did you mean 'jobs-of-today'?)",
                "`shmctl ls` shows all segments");
    check_error(s.run({"get", "jobs-of-today/reslts"}), 3,
                "no object 'reslts' in segment 'jobs-of-today' (did you mean 'results'?)",
                "`shmctl ls jobs-of-today` shows its objects");
    check_error(s.run({"get", "jobs-of-today/unlike-anything"}), 3,
                "no object 'unlike-anything' in segment 'jobs-of-today'", "`shmctl ls jobs-of-today`");
    for (const char* verb : {"ls", "show", "get", "rm", "gc", "verify"}) {
        CAPTURE(verb);
        CHECK(s.run({verb, "there-is-none"}).code == 3);
    }
}

TEST_CASE("a name that no segment can have is exit 2, and says why") {
    const shelf s;
    for (const std::string& name : {std::string(201, 'x'), std::string("a\nb")}) {
        const program_result r = s.run({"show", name});
        INFO(r);
        CHECK(r.code == 2);
        CHECK(lines_of(r.err).front().starts_with("shmctl: "));
        CHECK(contains(r.err, "a name has"));
        CHECK(lines_of(r.err).size() <= 2);
    }
    check_error(s.run({"show", ""}), 2, "a target is empty", "`shmctl ls`");
}

TEST_CASE("the error of one target does not keep the others, and the worst code is the exit code") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const program_result r = s.run({"get", "jobs/none", "jobs/results[0]", "there-is-none/x"});
    INFO(r);
    CHECK(r.code == 3);
    CHECK(r.out == "jobs/results: 10\n");
    CHECK(contains(r.err, "no object 'none'"));
    CHECK(contains(r.err, "no segment 'there-is-none'"));
    CHECK(s.run({"get", "jobs/none", "jobs/results[x]"}).code == 3);
}

}  // namespace target_test
