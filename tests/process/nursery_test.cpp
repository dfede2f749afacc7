// nursery_test.cpp - start_nursery(): pools whose workers are copies of the program as it was early.
//
// There is one nursery a process, so each case is a child of its own.
//
// SPDX-License-Identifier: BSL-1.0
#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/process_tree.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace nursery_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

const auto watchdog = patiently(20s);
int number = 1;
std::mutex lock_of_program;

int read_number() {
    return number;
}
int same(int x) {
    return x;
}
void append(cairn::list<long> to, long x) {
    to.push_back(x);
}

template <typename Exception, typename Fn>
bool throws(const Fn& fn) {
    try {
        fn();
    } catch (const Exception&) {
        return true;
    }
    return false;
}

}  // namespace

TEST_CASE("workers of pools after start_nursery are copies of the program as it was then") {
    CHECK(in_child([] {
              cairn::start_nursery();
              number = 2;
              cairn::process_pool_executor ex(2);
              CHILD_CHECK(ex.submit(read_number).result(watchdog) == 1);
              const pid_t guardian = find_descendant(::getpid(), "cairn-guardian");
              const pid_t ancestor = find_descendant(::getpid(), "cairn-ancestor");
              CHILD_CHECK(ancestor != 0);
              CHILD_CHECK(guardian != 0);
              const std::vector<pid_t> below = descendants_of(ancestor);
              CHILD_CHECK(std::find(below.begin(), below.end(), guardian) != below.end());
              // One with an initializer has this program.
              int seen = 0;
              cairn::process_pool_executor own({.max_workers = 1, .initializer = [&seen] { seen = 3; }});
              CHILD_CHECK(own.submit(read_number).result(watchdog) == 2);
              number = 1;
          }) == 0);
}

TEST_CASE("threads of the program allocate, log, fork and hold locks while workers are replaced: none hangs "
          "(gperftools#178, log4cplus PR 364)") {
    CHECK(in_child([] {
              cairn::start_nursery();
              std::atomic<bool> is_over{false};
              std::FILE* const log = std::fopen("/dev/null", "w");
              CHILD_CHECK(log != nullptr);
              std::vector<std::thread> threads;
              for (int i = 0; i < 8; ++i) {
                  threads.emplace_back([&, i] {
                      while (!is_over) {
                          const std::lock_guard held(lock_of_program);
                          const std::vector<char> some(1000, 'x');
                          static_cast<void>(some);
                          if (i == 0) std::fprintf(log, "%zu\n", some.size());
                          if (i != 1) continue;
                          const pid_t child = ::fork();
                          if (child == 0) ::_exit(0);
                          ::waitpid(child, nullptr, 0);
                      }
                  });
              }
              {
                  cairn::process_pool_executor ex({.max_workers = 2, .max_tasks_per_worker = 1});
                  const int count = has_address_sanitizer || has_thread_sanitizer ? 20
                                    : std::getenv("CAIRN_FULL") != nullptr        ? 1000
                                                                                  : 200;
                  std::vector<cairn::future<int>> all;
                  for (int i = 0; i < count; ++i) {
                      all.push_back(ex.submit(
                          [](int x) {
                              const std::lock_guard held(lock_of_program);
                              return static_cast<int>(std::vector<int>(1000, x).back());
                          },
                          i));
                  }
                  for (int i = 0; i < count; ++i)
                      CHILD_CHECK(all[static_cast<std::size_t>(i)].result(watchdog) == i);
              }
              is_over = true;
              for (std::thread& each : threads) each.join();
              std::fclose(log);
          }) == 0);
}

TEST_CASE("workers keep the descriptors of .keep, and no others") {
    CHECK(in_child([] {
              int kept[2];
              int other[2];
              CHILD_CHECK(::pipe(kept) == 0);
              CHILD_CHECK(::pipe(other) == 0);
              cairn::start_nursery({.keep = {kept[1]}});
              cairn::process_pool_executor ex(1);
              const auto writes = [](int fd) { return static_cast<int>(::write(fd, "x", 1)); };
              CHILD_CHECK(ex.submit(writes, kept[1]).result(watchdog) == 1);
              CHILD_CHECK(ex.submit(writes, other[1]).result(watchdog) == -1);
              char byte = 0;
              CHILD_CHECK(::read(kept[0], &byte, 1) == 1);
              ::close(other[1]);
              CHILD_CHECK(::read(other[0], &byte, 1) == 0);
          }) == 0);
}

TEST_CASE("start_nursery twice, or with a descriptor that is none, is refused") {
    CHECK(in_child([] {
              CHILD_CHECK(throws<cairn::invalid_argument>([] { cairn::start_nursery({.keep = {777}}); }));
              cairn::start_nursery();
              CHILD_CHECK(throws<cairn::invalid_state>([] { cairn::start_nursery(); }));
          }) == 0);
}

TEST_CASE(
    "objects in segments of before are arguments of tasks there, and those in later ones by their names") {
    CHECK(in_child([] {
              const cairn::manager before;
              const auto l = before.list<long>("l");
              cairn::start_nursery();
              cairn::process_pool_executor ex(2);
              ex.submit(append, l, 1L).result(watchdog);
              const scratch_name name;
              const cairn::manager later(name.get());
              const auto n = later.list<long>("n");
              ex.submit(append, n, 2L).result(watchdog);
              CHILD_CHECK(l.snapshot() == std::vector<long>{1});
              CHILD_CHECK(n.snapshot() == std::vector<long>{2});
              const cairn::manager nameless;
              CHILD_CHECK(throws<cairn::refused>(
                  [&] { ex.submit(append, nameless.list<long>("x"), 3L).result(watchdog); }));
          }) == 0);
}

TEST_CASE("the ancestor is killed: its pools go on, and later ones are forked from the program") {
    CHECK(in_child([] {
              cairn::start_nursery();
              number = 2;
              cairn::process_pool_executor ex({.max_workers = 2, .retries = 1});
              CHILD_CHECK(ex.submit(read_number).result(watchdog) == 1);
              const pid_t ancestor = find_descendant(::getpid(), "cairn-ancestor");
              ::kill(ancestor, SIGKILL);
              CHILD_CHECK(have_ended({ancestor}, watchdog));
              const auto dies_once = [] {
                  if (cairn::this_task::attempt() == 1) ::kill(::getpid(), SIGKILL);
                  return read_number();
              };
              CHILD_CHECK(ex.submit(dies_once).result(watchdog) == 1);
              cairn::process_pool_executor later(1);
              CHILD_CHECK(later.submit(read_number).result(watchdog) == 2);
              number = 1;
          }) == 0);
}

TEST_CASE("a program that has closed all descriptors can still make pools") {
    CHECK(in_child([] {
              cairn::start_nursery();
              for (int fd = 3; fd < 300; ++fd) ::close(fd);
              std::vector<int> strangers;
              for (int i = 0; i < 20; ++i) strangers.push_back(::open("/dev/null", O_RDWR));
              {
                  cairn::process_pool_executor ex(1);
                  CHILD_CHECK(ex.submit(same, 4).result(watchdog) == 4);
              }
              for (const int fd : strangers) CHILD_CHECK(::fcntl(fd, F_GETFD) != -1);
          }) == 0);
}

TEST_CASE("the owner is killed: ancestor, guardians and workers are gone") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const pid_t owner = ::fork();
    REQUIRE(owner >= 0);
    if (owner == 0) {
        ::close(ends[0]);
        cairn::start_nursery();
        cairn::process_pool_executor ex(2);
        const auto one = ex.submit([] { std::this_thread::sleep_for(100s); });
        while (!one.running()) std::this_thread::sleep_for(1ms);
        static_cast<void>(::write(ends[1], "x", 1));
        for (;;) ::pause();
    }
    ::close(ends[1]);
    char byte = 0;
    CHECK(::read(ends[0], &byte, 1) == 1);
    ::close(ends[0]);
    const std::vector<pid_t> family = descendants_of(owner);
    CHECK(family.size() >= 3);  // a second worker, and the nursery, may be on their way
    ::kill(owner, SIGKILL);
    CHECK(have_ended(family, watchdog));
    ::waitpid(owner, nullptr, 0);
}

TEST_CASE("pools end as others do, and their guardians are reaped by the ancestor") {
    CHECK(in_child([] {
              cairn::start_nursery();
              for (int round = 0; round < 3; ++round) {
                  std::vector<pid_t> family;
                  {
                      cairn::pool pool(2);
                      const std::vector<int> items{1, 2, 3};
                      CHILD_CHECK(pool.map(same, items) == items);
                      family = descendants_of(find_descendant(::getpid(), "cairn-ancestor"));
                      CHILD_CHECK(family.size() >= 2);
                  }
                  CHILD_CHECK(have_ended(family, watchdog));
              }
              // Killed guardian and nursery: found out as ever.
              cairn::process_pool_executor ex(1);
              CHILD_CHECK(ex.submit(same, 1).result(watchdog) == 1);
              const std::vector<pid_t> family = descendants_of(find_descendant(::getpid(), "cairn-ancestor"));
              for (const pid_t each : family) ::kill(each, SIGKILL);
              CHILD_CHECK(throws<cairn::worker_died>([&] { ex.submit(same, 1).result(watchdog); }));
              CHILD_CHECK(!ex.alive());
          }) == 0);
}

TEST_CASE("a process that has become another user is refused: its workers would be the old one") {
    if (::geteuid() != 0) return;
    CHECK(in_child([] {
              cairn::start_nursery();
              CHILD_CHECK(::seteuid(65534) == 0);
              CHILD_CHECK(throws<cairn::refused>([] { cairn::process_pool_executor ex(1); }));
              CHILD_CHECK(::seteuid(0) == 0);
              cairn::process_pool_executor ex(1);
              CHILD_CHECK(ex.submit(same, 4).result(watchdog) == 4);
          }) == 0);
}

TEST_CASE("a signal while a pool is made is no sign of a stopped nursery") {
    CHECK(in_child([] {
              cairn::start_nursery();
              struct sigaction action = {};
              action.sa_handler = [](int) {};
              ::sigaction(SIGALRM, &action, nullptr);
              const itimerval often{{0, 1000}, {0, 1000}};
              ::setitimer(ITIMER_REAL, &often, nullptr);
              for (int i = 0; i < 5; ++i) {
                  cairn::process_pool_executor ex(2);
                  CHILD_CHECK(ex.submit(read_number).result(watchdog) == 1);
              }
              CHILD_CHECK(find_descendant(::getpid(), "cairn-ancestor") != 0);
          }) == 0);
}

TEST_CASE("the descriptors of .keep are in workers of pools that are forked from the program, too") {
    CHECK(in_child([] {
              int kept[2];
              CHILD_CHECK(::pipe(kept) == 0);
              cairn::start_nursery({.keep = {kept[1]}});
              cairn::process_pool_executor ex({.max_workers = 1, .initializer = [] {}});
              const auto writes = [](int fd) { return static_cast<int>(::write(fd, "x", 1)); };
              CHILD_CHECK(ex.submit(writes, kept[1]).result(watchdog) == 1);
          }) == 0);
}

TEST_CASE("descriptors that the program has closed and used again are left alone by a pool's end") {
    for (const bool starts : {false, true}) {
        CAPTURE(starts);
        CHECK(in_child([&] {
                  if (starts) cairn::start_nursery();
                  std::vector<int> own;
                  {
                      cairn::process_pool_executor ex(1);
                      CHILD_CHECK(ex.submit(same, 1).result(watchdog) == 1);
                      for (int fd = 3; fd < 64; ++fd) ::close(fd);
                      for (int i = 0; i < 40; ++i) own.push_back(::open("/dev/null", O_RDONLY));
                      CHILD_CHECK(ex.submit(same, 2).result(watchdog) == 2);
                      std::this_thread::sleep_for(600ms);  // it looks after its guardian
                      CHILD_CHECK(ex.submit(same, 3).result(watchdog) == 3);
                  }
                  for (const int fd : own) CHILD_CHECK(::fcntl(fd, F_GETFD) != -1);
              }) == 0);
    }
}

}  // namespace nursery_test
