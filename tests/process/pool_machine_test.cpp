// pool_machine_test.cpp - what the machine gives a pool, and what it does not: processors, limits, threads, libraries; and bad input.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/patience.hpp"
#include "support/pool_tasks.hpp"
#include "support/process_tree.hpp"
#include "support/program.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include "support/scratch_directory.hpp"
#include <cairn/nursery.hpp>
#include <cairn/pool.hpp>

namespace pool_machine_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);

template <typename Fn>
std::string text_of(const Fn& fn) {
    try {
        fn();
    } catch (const std::exception& e) {
        return e.what();
    }
    return "nothing was thrown";
}

// What is written to a descriptor while `body` runs.
template <typename Body>
std::string written_to(int descriptor, const Body& body) {
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    std::fflush(nullptr);
    const int before = ::dup(descriptor);
    ::dup2(::fileno(file), descriptor);
    body();
    ::dup2(before, descriptor);
    ::close(before);
    std::rewind(file);
    std::string text;
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
    std::fclose(file);
    return text;
}

int count_of(const std::string& word, const std::string& text) {
    int count = 0;
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
    return count;
}

// Of all these, and what they have reaped.
std::chrono::milliseconds processor_time_of(const std::vector<pid_t>& all) {
    long ticks = 0;
    for (const pid_t each : all) {
        std::ifstream file("/proc/" + std::to_string(each) + "/stat");
        std::string text;
        std::getline(file, text);
        std::istringstream fields(text.substr(text.rfind(')') + 2));
        std::string field;
        for (int i = 3; i <= 17 && fields >> field; ++i)
            if (i >= 14) ticks += std::stol(field);
    }
    return std::chrono::milliseconds(ticks * 1000 / ::sysconf(_SC_CLK_TCK));
}

std::chrono::milliseconds own_processor_time() {
    timespec now{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return std::chrono::milliseconds(now.tv_sec * 1000 + now.tv_nsec / 1'000'000);
}

}  // namespace

// -- the machine ----------------------------------------------------------------------------------------------------

TEST_CASE("with one processor there is one worker; one thread submits and another waits (oneTBB#2056)") {
    CHECK(in_child([] {
              cpu_set_t allowed;
              CHILD_CHECK(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
              int first = 0;
              while (!CPU_ISSET(first, &allowed)) ++first;
              CPU_ZERO(&allowed);
              CPU_SET(first, &allowed);
              CHILD_CHECK(::sched_setaffinity(0, sizeof allowed, &allowed) == 0);
              cairn::process_pool_executor ex;
              std::optional<cairn::future<int>> f;
              std::thread submitter([&] { f = ex.submit(same, 7); });
              submitter.join();
              std::thread waiter([&] { CHILD_CHECK(f->result(watchdog) == 7); });
              waiter.join();
              CHILD_CHECK(eventually([&] { return ex.num_workers() == 1; }));
              std::vector<cairn::future<int>> all;
              for (int i = 0; i < 50; ++i) all.push_back(ex.submit(own_pid));
              std::set<int> pids;
              for (const auto& each : all) pids.insert(each.result(watchdog));
              CHILD_CHECK(pids.size() == 1);
          }) == 0);
}

TEST_CASE("idle executors do not spin (stdexec#1475, oneTBB#889)") {
    cairn::process_pool_executor ex(4);
    cairn::thread_pool_executor threads(4);
    for (int i = 0; i < 50; ++i) {
        CHECK(ex.submit(same, i).result(watchdog) == i);
        CHECK(threads.submit(same, i).result(watchdog) == i);
    }
    REQUIRE(eventually([&] { return ex.num_workers() == 4; }));
    const auto before = processor_time_of(pool_processes());
    const auto own_before = own_processor_time();
    std::this_thread::sleep_for(2s);
    // One that spins would take 2 s, whatever else the machine does, or its share of a processor.
    CHECK(processor_time_of(pool_processes()) - before < 250ms);
    CHECK(own_processor_time() - own_before < 250ms);
}

TEST_CASE("a function of a library that was loaded later is refused; a later pool has it") {
    cairn::process_pool_executor ex(1);
    // Of the C library's own, so it is there; nothing else uses it.
    void* const library = ::dlopen("libthread_db.so.1", RTLD_LAZY);
    if (library == nullptr) {
        MESSAGE("there is no libthread_db.so.1");
        return;
    }
    using function = int (*)();
    const auto initialize = reinterpret_cast<function>(::dlsym(library, "td_init"));
    const bool is_there = initialize != nullptr;
    REQUIRE(is_there);
    const std::string text = text_of([&] { ex.submit(initialize); });
    CHECK(text.find("submit to process_pool_executor-") == 0);
    CHECK(text.find("loaded after the executor was made") != std::string::npos);
    CHECK_THROWS_AS(ex.submit(initialize), cairn::refused);
    CHECK(ex.submit(same, 3).result(watchdog) == 3);
    cairn::process_pool_executor later(1);
    CHECK(later.submit(initialize).result(watchdog) == 0);
}

TEST_CASE("what the program has not flushed is written once, by the program") {
    const std::string text = written_to(STDOUT_FILENO, [] {
        CHECK(in_child([] {
                  std::printf("of the program ");
                  {
                      cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 1});
                      std::vector<cairn::future<void>> all;
                      for (int i = 0; i < 6; ++i) all.push_back(ex.submit([] { std::printf("of a task "); }));
                      for (const auto& each : all) each.result(watchdog);
                  }
                  std::fflush(nullptr);
              }) == 0);
    });
    CHECK(count_of("of the program", text) == 1);
    CHECK(count_of("of a task", text) == 6);
}

TEST_CASE("what is run in the test of a pool beside threads" * doctest::skip()) {
    if (std::getenv("CAIRN_TEST_NURSERY") != nullptr) cairn::start_nursery();
    door hold;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) threads.emplace_back([&] { hold.pass(); });
    for (int i = 0; i < 3; ++i) {
        cairn::process_pool_executor ex(1);
        CHECK(ex.submit(same, 3).result(watchdog) == 3);
    }
    hold.open();
    for (std::thread& each : threads) each.join();
}

TEST_CASE("a pool that is made beside threads says so once, and what to do; after start_nursery nothing") {
    // A program of its own: this one may have said it already.
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    for (const bool starts : {false, true}) {
        CAPTURE(starts);
        program_options options;
        if (starts) options.environment = {"CAIRN_TEST_NURSERY=1"};
        const program_result result = run_program(
            {self, "--no-skip", "--test-case=what is run in the test of a pool beside threads"}, options);
        INFO(result);
        CHECK(result.code == 0);
        CHECK(count_of("cairn: ", result.err) == (starts ? 0 : 1));
        CHECK(count_of("start_nursery()", result.err) == (starts ? 0 : 1));
    }
}

TEST_CASE("what is run in the test of pools one beside the other" * doctest::skip()) {
    // One processor, which a thread that has just been made waits for.
    cpu_set_t allowed;
    REQUIRE(::sched_getaffinity(0, sizeof allowed, &allowed) == 0);
    int first = 0;
    while (!CPU_ISSET(first, &allowed)) ++first;
    CPU_ZERO(&allowed);
    CPU_SET(first, &allowed);
    REQUIRE(::sched_setaffinity(0, sizeof allowed, &allowed) == 0);
    for (int i = 0; i < 20; ++i) {
        const cairn::process_pool_executor one(1);
        const cairn::process_pool_executor two(1);
        const cairn::process_pool_executor three(1);
    }
}

TEST_CASE("pools are made one beside the other: the threads of the first are not taken for the program's") {
    if (has_thread_sanitizer) return;  // it has a thread of its own, from the first one of the program's on
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const program_result result =
        run_program({self, "--no-skip", "--test-case=what is run in the test of pools one beside the other"});
    INFO(result);
    CHECK(result.code == 0);
    CHECK(count_of("cairn: ", result.err) == 0);
}

TEST_CASE("a worker that is killed when the control group has run out of memory says so, and only that one "
          "(cpython gh-139462, ray#45244)") {
    std::ifstream groups("/proc/self/cgroup");
    std::string own;
    for (std::string line; std::getline(groups, line);)
        if (line.starts_with("0::/")) own = line.substr(3);
    if (own.empty()) return;  // version 1 alone does not count such kills
    const scratch_directory folder;
    const std::string of_group = folder.path() + own;
    std::filesystem::create_directories(of_group);
    const auto kills_so_far = [&](int count) {
        std::ofstream(of_group + "/memory.events") << "low 0\noom 0\noom_kill " << count << "\n";
    };
    kills_so_far(3);
    constexpr int not_permitted = 77;
    const int result = in_child([&] {
        // In a name space of its own, where the groups' files are those of this test.
        if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount(folder.path().c_str(), "/sys/fs/cgroup", nullptr, MS_BIND, nullptr) != 0)
            ::_exit(not_permitted);
        cairn::process_pool_executor ex(1);
        const auto is_likely_oom = [&] {
            const auto dies = ex.submit([] { ::kill(::getpid(), SIGKILL); });
            try {
                dies.result(watchdog);
            } catch (const cairn::worker_died& e) {
                return e.likely_oom();
            }
            return false;
        };
        // Guardian and nursery have counted by then.
        for (int i = 0; i < 3; ++i) CHILD_CHECK(!is_likely_oom());
        kills_so_far(4);
        CHILD_CHECK(is_likely_oom());
        CHILD_CHECK(!is_likely_oom());
    });
    if (result == not_permitted) return;
    CHECK(result == 0);
}

namespace {

int oom_score_adj_of(pid_t process) {
    int value = -10000;
    std::ifstream("/proc/" + std::to_string(process) + "/oom_score_adj") >> value;
    return value;
}

int own_oom_score_adj() {
    return oom_score_adj_of(::getpid());
}

}  // namespace

TEST_CASE("when memory runs out the kernel kills a worker sooner than the owner or the nursery (ray#45244)") {
    const int own = own_oom_score_adj();
    REQUIRE(own >= -1000);
    const auto score_with = [](const cairn::process_pool_options& options) {
        cairn::process_pool_executor ex(options);
        return ex.submit(own_oom_score_adj).result(watchdog);
    };
    {
        cairn::process_pool_executor ex(1);
        CHECK(ex.submit(own_oom_score_adj).result(watchdog) == std::max(own, 100));
        pid_t nursery = 0;
        CHECK(eventually([&] { return (nursery = find_descendant(::getpid(), "cairn-nursery")) != 0; }));
        CHECK(oom_score_adj_of(nursery) == own);
        CHECK(oom_score_adj_of(find_descendant(::getpid(), "cairn-guardian")) == own);
    }
    CHECK(score_with({.max_workers = 1, .oom_score_adj = 0}) == own);
    CHECK(score_with({.max_workers = 1, .oom_score_adj = 700}) == std::max(own, 700));
    cairn::pool p({.workers = 1, .oom_score_adj = 300});
    CHECK(p.apply(own_oom_score_adj) == std::max(own, 300));
    CHECK(own_oom_score_adj() == own);
    CHECK_THROWS_AS(cairn::process_pool_executor({.oom_score_adj = -1}), cairn::invalid_argument);
    CHECK_THROWS_AS(cairn::process_pool_executor({.oom_score_adj = 1001}), cairn::invalid_argument);
}

TEST_CASE("workers that an ancestor makes have the oom_score_adj that they are to have, too") {
    CHECK(in_child([] {
              const int own = own_oom_score_adj();
              cairn::start_nursery();
              cairn::process_pool_executor ex({.max_workers = 1, .oom_score_adj = 200});
              CHILD_CHECK(ex.submit(own_oom_score_adj).result(watchdog) == std::max(own, 200));
          }) == 0);
}

// -- bad input ------------------------------------------------------------------------------------------------------

TEST_CASE("a user who may have no more processes gets an error that names the pool; one that is there goes "
          "on (RLIMIT_NPROC, folly#1428)") {
    if (::geteuid() != 0) return;  // root has no such limit: it becomes somebody who has
    CHECK(in_child([] {
              constexpr uid_t nobody = 65534;
              CHILD_CHECK(::setresuid(nobody, nobody, nobody) == 0);
              cairn::process_pool_executor before(1);
              CHILD_CHECK(before.submit(same, 1).result(watchdog) == 1);
              rlimit limit{};
              CHILD_CHECK(::getrlimit(RLIMIT_NPROC, &limit) == 0);
              const rlimit one{1, limit.rlim_max};
              CHILD_CHECK(::setrlimit(RLIMIT_NPROC, &one) == 0);
              std::string text;
              try {
                  const cairn::process_pool_executor none(1);
              } catch (const cairn::system_failure& e) {
                  text = e.what();
                  CHILD_CHECK(e.code() == std::errc::resource_unavailable_try_again);
              }
              CHILD_CHECK(text.find("make process_pool_executor-") == 0);
              CHILD_CHECK(before.submit(same, 2).result(watchdog) == 2);
              CHILD_CHECK(::setrlimit(RLIMIT_NPROC, &limit) == 0);
              cairn::process_pool_executor after(1);
              CHILD_CHECK(after.submit(same, 3).result(watchdog) == 3);
          }) == 0);
}

TEST_CASE("what makes no sense is refused in words that say where, and the pool goes on") {
    CHECK(text_of([] { cairn::pool pool(-1); }) == "make a pool: .workers is -1, expected 1 to 1024");
    CHECK(text_of([] { cairn::pool pool(0); }) == "make a pool: .workers is 0, expected 1 to 1024");
    CHECK(text_of([] { cairn::process_pool_executor ex(-7); }) ==
          "make a process_pool_executor: .max_workers is -7, expected 1 to 1024");
    cairn::pool pool(1);
    const std::vector<int> items{1, 2, 3};
    CHECK(text_of([&] { pool.map(same, items, {.chunk_size = 0}); }) ==
          "map: .chunk_size is 0, expected 1 or more");
    CHECK(text_of([&] { static_cast<void>(pool.imap(same, items, {.chunk_size = 0})); }) ==
          "imap: .chunk_size is 0, expected 1 or more");
    CHECK(text_of([&] { static_cast<void>(pool.imap_unordered(same, items, {.chunk_size = -1})); }) ==
          "imap_unordered: .chunk_size is -1, expected 1 or more");
    CHECK(text_of([&] { static_cast<void>(pool.imap(same, items, {.buffer_size = -1})); }) ==
          "imap: .buffer_size is -1, expected 1 or more, or 0 for a default");
    cairn::process_pool_executor ex(1);
    CHECK(text_of([&] { static_cast<void>(ex.map({.chunk_size = 0}, same, items)); }) ==
          "map: .chunk_size is 0, expected 1 or more");
    CHECK(text_of([&] { ex.submit({.retries = -1}, same, 1); }).find("submit to process_pool_executor-") ==
          0);
    CHECK(pool.map(same, items) == items);
    pool.close();
    for (const std::string& text :
         {text_of([&] { pool.apply(same, 1); }), text_of([&] { pool.map(same, items); }),
          text_of([&] { pool.map_async(same, items); }),
          text_of([&] { static_cast<void>(pool.imap(same, items)); }),
          text_of([&] { static_cast<void>(pool.imap_unordered(same, items)); })}) {
        CHECK(text.find("submit to pool-") == 0);
        CHECK(text.find("cannot schedule new futures after shutdown") != std::string::npos);
    }
    pool.join();
    ex.shutdown();
    CHECK(text_of([&] { ex.submit(same, 1); }).find("submit to process_pool_executor-") == 0);
}

}  // namespace pool_machine_test
