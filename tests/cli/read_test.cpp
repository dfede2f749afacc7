// read_test.cpp - ls, show, get, verify: of the living, of the dead, of the damaged, without a lock and without a trace.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "segment/segment_guard.hpp"
#include "shelf.hpp"
#include "support/opened.hpp"
#include "support/opened_channel.hpp"
#include "support/opened_queue.hpp"
#include "support/structs.hpp"
#include <cairn/detail/containers/list_core.hpp>

namespace read_test {

using namespace cairn_test;

namespace {

// Every verb that only reads, on the segment "jobs".
const std::vector<std::vector<std::string>> reading_verbs = {
    {"ls"},
    {"ls", "-l"},
    {"ls", "jobs"},
    {"ls", "jobs", "-l"},
    {"show", "jobs"},
    {"show", "jobs/*"},
    {"get", "jobs/*"},
    {"get", "jobs/results[0:2]", "--json"},
    {"verify", "jobs", "--deep"},
    {"gc", "--dry-run"},
};

// A child that holds a list's lock, or the segment's, until it is told or killed.
class holder {
public:
    holder(const cairn::manager& m, bool of_segment)
        : child_([&] {
              const opened_list<long> l(m.list<long>("results"));
              if (of_segment) {
                  const cairn::detail::segment_guard guard(l.in());
                  hold();
              }
              cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
              hold();
          }) {
        REQUIRE(held_.wait());
    }
    [[nodiscard]] pid_t pid() const { return child_.pid(); }

private:
    [[noreturn]] void hold() const {
        held_.open();
        for (;;) ::pause();
    }
    gate held_;
    child child_;
};

// Dies with half a change made: three elements and the size are wrong until somebody takes it back.
void die_in_a_change(const cairn::manager& m) {
    child victim([&] {
        const opened_list<long> l(m.list<long>("results"));
        cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
        tx.begin_change();
        for (std::uint64_t i = 0; i < 3; ++i)
            tx.store(*reinterpret_cast<std::uint64_t*>(cairn::detail::element_at(tx, l.node_ref(), i)),
                     0xbad);
        tx.store(l.node_ref().size, 3);
        ::kill(::getpid(), SIGKILL);
    });
    REQUIRE(victim.join() == -SIGKILL);
}

// One element of a list of bool becomes what no bool is.
void spoil_an_element(const cairn::manager& m) {
    const opened_list<bool> l(m.list<bool>("flags", {true, false, true}));
    cairn::detail::root_transaction tx(l.in(), l.slot(), l.generation());
    tx.begin_change();
    auto* const at = reinterpret_cast<unsigned char*>(cairn::detail::element_at(tx, l.node_ref(), 1));
    cairn::detail::store_word(*at, static_cast<unsigned char>(7));
    tx.commit();
}

}  // namespace

TEST_CASE("everything can be read while somebody holds a lock and is stopped") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    for (const bool of_segment : {false, true}) {
        CAPTURE(of_segment);
        const holder h(m, of_segment);
        ::kill(h.pid(), SIGSTOP);
        for (const std::vector<std::string>& words : reading_verbs) {
            const program_result r = s.run(words);
            INFO(r);
            // verify tells what it could not check, in the end.
            CHECK(r.code == (words.front() == "verify" ? 5 : 0));
        }
        const std::string lock = of_segment ? s.run({"show", "jobs"}).out : s.run({"ls", "jobs"}).out;
        CHECK(contains(lock, "held by " + std::to_string(h.pid())));
    }
}

TEST_CASE("a held lock says by whom, and since when as far as shmctl saw itself") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    CHECK(contains(s.run({"show", "jobs/results"}).out, "free; acquired"));
    CHECK(s.json({"show", "jobs/results"})["lock_held_at_least_milliseconds"].is_null());
    const holder h(m, false);
    const program_result r = s.run({"show", "jobs/results"});
    INFO(r);
    CHECK(contains(r.out, "held by " + std::to_string(h.pid()) + " "));  // and the program's name
    CHECK(contains(r.out, ", >= "));
    CHECK(contains(r.out, " ms"));
    const nlohmann::json shown = s.json({"show", "jobs/results"});
    CHECK(shown["lock_pid"] == h.pid());
    CHECK(shown["lock_held_at_least_milliseconds"].get<int>() >= 2);
}

TEST_CASE("reading leaves no trace: not a byte, not a process, also where somebody died in the middle") {
    const shelf s;
    cairn::manager m{"jobs", small_segment};
    fill(m);
    die_in_a_change(m);
    const std::string before = s.bytes("jobs");
    struct stat facts_before = {};
    REQUIRE(::stat(s.path("jobs").c_str(), &facts_before) == 0);
    for (const std::vector<std::string>& words : reading_verbs) {
        const program_result r = s.run(words);
        INFO(r);
        CHECK(r.code == 0);
        CHECK(s.bytes("jobs") == before);
    }
    struct stat facts_after = {};
    REQUIRE(::stat(s.path("jobs").c_str(), &facts_after) == 0);
    CHECK(facts_after.st_blocks == facts_before.st_blocks);
    CHECK(facts_after.st_mtim.tv_sec == facts_before.st_mtim.tv_sec);
    CHECK(facts_after.st_mtim.tv_nsec == facts_before.st_mtim.tv_nsec);
    CHECK(m.stats().process_count == 1);
}

TEST_CASE("what a dead process had begun is shown as the next user will find it, and said") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    die_in_a_change(m);
    const program_result r = s.run({"get", "jobs/results"});
    INFO(r);
    CHECK(r.code == 0);
    CHECK(r.out == "[10, 11, 12, 13, 14, 15, 16, 17]\n");
    CHECK(contains(r.err, "hint: jobs/results: "));
    CHECK(contains(s.run({"ls", "jobs"}).out, "DEAD owner"));
    const program_result shown = s.run({"show", "jobs/results"});
    CHECK(contains(shown.out, "DEAD owner"));
    CHECK(contains(shown.out, "recovered by the next locker"));
    // Afterwards there is a recovery to tell of.
    CHECK(m.list<long>("results").pop() == 17);
    const nlohmann::json later = s.json({"show", "jobs/results"});
    CHECK(later["recovery_count"] == 1);
    CHECK(later["rolled_back_count"] == 1);
    CHECK(later["last_undone_bytes"].get<int>() >= 32);
    CHECK(contains(s.run({"ls"}).out, "1 recovery"));
}

TEST_CASE("a segment whose every process is dead can be read") {
    const shelf s;
    leave_behind("jobs");
    const nlohmann::json all = s.json({"ls"});
    CHECK(all["segments"][0]["state"] == "orphan");
    CHECK(all["segments"][0]["process_count"] == 0);
    CHECK(all["segments"][0]["dead_process_count"] == 1);
    CHECK(contains(all["segments"][0]["note"].get<std::string>(), " died"));
    CHECK(s.run({"get", "jobs/results"}).out == "[10, 11, 12, 13, 14, 15, 16, 17]\n");
    const program_result shown = s.run({"show", "jobs"});
    CHECK(shown.code == 0);
    CHECK(contains(shown.out, "jobs: orphan, 0 processes, 3 objects"));
    CHECK(contains(shown.out, "dead"));
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    CHECK(s.has("jobs"));
    CHECK(s.run({"ls", "-q", "--filter", "state=orphan"}).out == "jobs\n");
}

TEST_CASE("a damaged element is a ?, the others are printed, and the exit code is 6") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    spoil_an_element(m);
    const program_result r = s.run({"get", "jobs/flags"});
    INFO(r);
    CHECK(r.code == 6);
    CHECK(r.out == "[True, ?, True]\n");
    CHECK(contains(r.err, "shmctl: jobs/flags: damaged elements are printed as ?\n"));
    CHECK(contains(r.err, "hint: `shmctl verify jobs` tells more"));
    CHECK(s.run({"get", "jobs/flags[0]"}).code == 0);
    CHECK(s.run({"get", "jobs/results[0]"}).code == 0);
    // Only who decodes every element sees it.
    CHECK(s.run({"verify", "jobs"}).code == 0);
    const program_result deep = s.run({"verify", "jobs", "--deep"});
    CHECK(deep.code == 1);
    CHECK(contains(deep.out, "jobs: "));
    CHECK(contains(deep.out, "flags"));
}

TEST_CASE("verify is 0 for clean, 1 for problems, which it names, and 6 for what is unreadable") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    const program_result clean = s.run({"verify", "jobs", "-n", "-o", "segment,result,objects,problems"});
    CHECK(clean.code == 0);
    CHECK(words_of(clean.out) == std::vector<std::string>{"jobs", "clean", "3", "0"});

    const opened_list<long> l(m.list<long>("results"));
    cairn::detail::store_word(l.node_ref().size, 1 << 30);
    const program_result problems = s.run({"verify", "jobs"});
    INFO(problems);
    CHECK(problems.code == 1);
    CHECK(contains(problems.out, "problems"));
    CHECK(contains(problems.out, "jobs: "));
    CHECK(contains(problems.out, "'results'"));
    const nlohmann::json as_json = s.json({"verify", "jobs"});
    CHECK(as_json["segments"][0]["result"] == "problems");
    CHECK_FALSE(as_json["segments"][0]["problems"].empty());
    CHECK(s.run({"get", "jobs/texts[0]"}).out == "'plain'\n");
    cairn::detail::store_word(l.node_ref().size, 8);

    const std::string noise = s.file("noise", std::string(100000, 'x'));
    const program_result unreadable = s.run({"verify", noise});
    CHECK(unreadable.code == 6);
    CHECK(contains(unreadable.out, "unreadable"));
    CHECK(contains(unreadable.err, "shmctl: "));
}

TEST_CASE("a truncated segment prints what is sane, a ? for the rest") {
    const shelf s;
    leave_behind("jobs");
    const std::string whole = s.bytes("jobs");
    for (const std::size_t bytes :
         {whole.size() / 2, std::size_t{8192}, std::size_t{4096}, std::size_t{100}, std::size_t{0}}) {
        CAPTURE(bytes);
        static_cast<void>(s.file("cairn.jobs", whole.substr(0, bytes)));
        const program_result listed = s.run({"ls", "-n", "--filter", "segment=jobs"});
        INFO(listed);
        CHECK(listed.code == 0);
        CHECK(contains(listed.out, bytes == 0 ? "empty" : "damaged"));
        if (bytes <= 4096) CHECK(contains(listed.out, "?"));
        for (const std::vector<std::string>& words : reading_verbs) {
            const program_result r = s.run(words);
            INFO(r);
            CHECK(r.code >= 0);
            CHECK(r.code <= 6);
        }
        const int verified = s.run({"verify", "jobs"}).code;
        CHECK((verified == 1 || verified == 6));
    }
}

TEST_CASE("a file that is no segment is listed as such, and opening it is exit 6") {
    const shelf s;
    static_cast<void>(s.file("cairn.text", "this is no segment"));
    CHECK(contains(s.run({"ls", "-n", "--filter", "segment=text"}).out, "damaged"));
    for (const std::string verb : {"show", "get", "ls", "verify"}) {
        CAPTURE(verb);
        const program_result r = s.run({verb, "text"});
        INFO(r);
        CHECK(r.code == 6);
        CHECK(contains(r.err, "not a segment"));
        CHECK(contains(r.err, "hint: "));
    }
}

TEST_CASE("a segment of another user is exit 4") {
    if (::geteuid() != 0) {
        MESSAGE("skipped: only root can be somebody else");
        return;
    }
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    program_options nobody;
    nobody.before_exec = [&] {
        if (::setgid(65534) != 0 || ::setuid(65534) != 0) ::_exit(126);
    };
    REQUIRE(::chmod(s.path("x").substr(0, s.path("x").rfind('/')).c_str(), 0755) == 0);
    if (s.run({"version"}, nobody).code == 127) {
        MESSAGE("skipped: shmctl lies where nobody else can run it");
        return;
    }
    for (const std::string verb : {"ls", "show", "verify", "get"}) {
        CAPTURE(verb);
        const program_result r = s.run({verb, "jobs"}, nobody);
        INFO(r);
        CHECK(r.code == 4);
        CHECK(contains(r.err, "Permission denied"));
    }
    const program_result listed = s.run({"ls", "-n", "--filter", "segment=jobs"}, nobody);
    CHECK(listed.code == 0);
    CHECK(contains(listed.out, "denied"));
    CHECK(s.run({"rm", "jobs", "-f"}, nobody).code == 4);
    CHECK(s.has("jobs"));
}

TEST_CASE("get prints Python's notation, raw texts, a limited number, or JSON") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    fill(m);
    static_cast<void>(m.list<bool>("flags", {true, false}));
    static_cast<void>(m.list<int>("empty"));
    CHECK(s.run({"get", "jobs/texts"}).out == "['plain', \"it's\", 'a\\nb', 'gr\xc3\xb6\xc3\x9f']\n");
    CHECK(s.run({"get", "jobs/texts", "--raw"}).out == "plain\nit's\na\nb\ngr\xc3\xb6\xc3\x9f\n");
    CHECK(s.run({"get", "jobs/flags"}).out == "[True, False]\n");
    CHECK(s.run({"get", "jobs/empty"}).out == "[]\n");
    CHECK(s.run({"get", "jobs/results", "--limit", "2"}).out == "[10, 11, ...]\n");
    CHECK(s.run({"get", "jobs/results[6:]", "--limit", "2"}).out == "[16, 17]\n");
    CHECK(s.run({"get", "jobs/results[2:4]", "--raw"}).out == "12\n13\n");
    const nlohmann::json cut = s.json({"get", "jobs/results[1:]", "--limit", "2"});
    CHECK(cut["items"] == nlohmann::json({11, 12}));
    CHECK(cut["first_index"] == 1);
    CHECK(cut["is_cut"] == true);
    CHECK(cut["item_count"] == 8);
}

TEST_CASE("a channel is listed, shown, read and verified, also when it is damaged") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto c = m.channel<std::string>("lines", 8);
    for (const char* line : {"first", "it's", "third"}) c.put(line);
    CHECK(c.get() == "first");
    CHECK(contains(s.run({"ls", "jobs"}).out, "channel"));
    CHECK(contains(s.run({"show", "jobs/lines"}).out, "channel<str, boost "));
    CHECK(s.run({"get", "jobs/lines"}).out == "[\"it's\", 'third']\n");
    CHECK(s.run({"get", "jobs/lines[1]"}).out == "'third'\n");
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    // The length of "it's", behind the length and the word of "first": more than there is.
    const opened_channel<std::string> open(c);
    const std::uint64_t buffer = open.node_ref().ring + 2 * cairn::detail::cache_line_bytes;
    auto& length = open.in().at<std::uint64_t>(buffer)[2];
    REQUIRE(length == 4);
    cairn::detail::store_word(length, 4000);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "an item is not whole"));
    CHECK(contains(s.run({"get", "jobs/lines"}).out, "?"));
}

TEST_CASE("queues are listed, shown, read and verified, with what would be got first in front") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto fifo = m.queue<std::string>("fifo", 10);
    fifo.put_many({"first", "it's", "third"});
    CHECK(fifo.get() == "first");
    const auto lifo = m.lifo_queue<long>("lifo");
    lifo.put_many({3, 1, 2});
    const auto smallest = m.priority_queue<long>("smallest");
    smallest.put_many({3, 1, 2});
    const program_result listed = s.run({"ls", "jobs"});
    CHECK(contains(listed.out, "lifo_queue"));
    CHECK(contains(listed.out, "priority_queue"));
    CHECK(contains(s.run({"show", "jobs/fifo"}).out, "queue<str>"));
    CHECK(s.run({"get", "jobs/fifo"}).out == "[\"it's\", 'third']\n");
    CHECK(s.run({"get", "jobs/fifo[1]"}).out == "'third'\n");
    CHECK(s.run({"get", "jobs/lifo"}).out == "[2, 1, 3]\n");
    // As the heap has them: how they compare is known to programs only.
    CHECK(s.run({"get", "jobs/smallest", "--limit", "1"}).out == "[1, ...]\n");
    CHECK(s.json({"get", "jobs/smallest"})["item_count"] == 3);
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    {
        const auto item = fifo.lease();
        CHECK(s.run({"get", "jobs/fifo"}).out == "['third']\n");
        CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    }
    CHECK(s.run({"get", "jobs/fifo"}).out == "[\"it's\", 'third']\n");

    cairn::detail::queue_node& node = opened_queue(fifo).node_ref();
    cairn::detail::store_word(node.head, node.tail + 1);
    const program_result damaged = s.run({"verify", "jobs"});
    INFO(damaged);
    CHECK(damaged.code == 1);
    CHECK(contains(damaged.out + damaged.err, "fifo"));
    CHECK(s.run({"get", "jobs/lifo"}).out == "[2, 1, 3]\n");
}

TEST_CASE("a sharded_dict is listed, shown, read, verified and removed as one object") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    const auto d = m.sharded_dict<std::string, long>("prices", {.shards = 4});
    for (long i = 0; i < 30; ++i) d.set("p" + std::to_string(i), i);
    const nlohmann::json objects = s.json({"ls", "jobs"})["objects"];
    REQUIRE(objects.size() == 1);
    CHECK(objects[0]["kind"] == "sharded_dict");
    CHECK(objects[0]["item_count"] == 30);
    CHECK(objects[0]["size_bytes"] == m.objects()[0].bytes);
    const program_result shown = s.run({"show", "jobs/prices"});
    INFO(shown);
    CHECK(contains(shown.out, "jobs/prices: sharded_dict<str, int64>, 30 items"));
    CHECK(contains(shown.out, "shards       4"));
    CHECK(s.json({"show", "jobs/prices"})["shard_count"] == 4);
    CHECK(s.run({"get", "jobs/prices"}).out == cairn::repr(d) + "\n");
    CHECK(s.run({"get", "jobs/prices[p17]"}).out == "17\n");
    CHECK(s.run({"get", "jobs/prices[p30]"}).code == 3);
    CHECK(s.run({"verify", "--deep", "jobs"}).code == 0);
    CHECK(s.run({"rm", "jobs/prices", "-f"}).code == 0);
    CHECK(m.objects().empty());
    CHECK_THROWS_AS(static_cast<void>(d.get("p1")), cairn::object_gone);
    CHECK(s.run({"verify", "jobs"}).code == 0);
}

TEST_CASE("get prints what is made of others by its parts, and as JSON has them") {
    const shelf s;
    const cairn::manager m{"jobs", small_segment};
    using part = std::map<std::string, std::optional<double>>;
    static_cast<void>(m.list<std::pair<int, part>>("parts", {{1, {{"a", 0.5}, {"b", {}}}}}));
    static_cast<void>(m.list<plain_job>("structs", {{1, 2.5, "x"}}));
    CHECK(s.run({"get", "jobs/parts"}).out == "[(1, {'a': 0.5, 'b': None})]\n");
    CHECK(s.run({"get", "jobs/structs"}).out == "[{'id': 1, 'weight': 2.5, 'tag': 'x'}]\n");
    CHECK(s.json({"get", "jobs/parts"})["items"] == nlohmann::json::parse(R"([[1, {"a": 0.5, "b": null}]])"));
    const nlohmann::json structs = s.json({"get", "jobs/structs"});
    CHECK(structs["items"] == nlohmann::json::parse(R"([{"id": 1, "weight": 2.5, "tag": "x"}])"));
    CHECK(structs["type"] == "plain_job {id: int32, weight: float64, tag: char[8]}");
}

TEST_CASE("show tells all about a segment and about an object") {
    const shelf s;
    const cairn::manager m{"jobs", kept_segment};
    fill(m);
    const program_result segment = s.run({"show", "jobs"});
    INFO(segment);
    CHECK(segment.out.starts_with("jobs: live, 1 process, 3 objects"));
    for (const std::string& word :
         {s.path("jobs"), std::string("mode 0600"), std::string("persistent"), std::string("creator"),
          std::string("list<int64>"), std::to_string(::getpid()), std::string("4.0M")})
        CHECK(contains(segment.out, word));
    const program_result object = s.run({"show", "jobs/results"});
    INFO(object);
    CHECK(object.out.starts_with("jobs/results: list<int64>, 8 items"));
    for (const std::string word : {"fingerprint", "extent", "acquired", "contended", "recoveries", "none"})
        CHECK(contains(object.out, word));
    CHECK(lines_of(s.run({"show", "jobs/*"}).out).size() > 2 * lines_of(object.out).size());
    m.unlink();
}

}  // namespace read_test
