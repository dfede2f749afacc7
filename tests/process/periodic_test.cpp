// periodic_test.cpp - periodic workers and the life of processes: forks, stopped processes, and the end of a program.
// SPDX-License-Identifier: BSL-1.0
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/scratch.hpp"
#include <cairn/manager.hpp>
#include <cairn/periodic.hpp>
#include <cairn/pool.hpp>
#include <cairn/process_pool_executor.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace periodic_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using cairn::periodic;

namespace {

template <typename Error, typename Body>
bool refuses(const Body& body) {
    try {
        body();
    } catch (const Error&) {
        return true;
    }
    return false;
}

// What a child that runs `body` writes to stderr.
std::string stderr_of_child(const std::function<void()>& body) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    CHECK(in_child([&] {
              ::dup2(ends[1], STDERR_FILENO);
              ::close(ends[0]);
              ::close(ends[1]);
              body();
          }) == 0);
    ::close(ends[1]);
    std::string text;
    std::array<char, 256> part;
    for (ssize_t got = 0; (got = ::read(ends[0], part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<std::size_t>(got));
    ::close(ends[0]);
    return text;
}

void append_pid(const cairn::list<long>& to, long most) {
    if (to.size() == static_cast<std::size_t>(most)) throw cairn::never_again{};
    to.append(::getpid());
}

std::optional<cairn::never_again> fail_or_die(const cairn::list<long>& steps) {
    steps.append(1);
    switch (steps.size()) {
        case 1: throw std::out_of_range("from afar");
        case 2: ::_exit(3);
        case 3: return std::nullopt;
        default: return cairn::never_again{};
    }
}

void append_slowly(const cairn::list<long>& to) {
    to.append(1);
    std::this_thread::sleep_for(50ms);
    to.append(2);
}

}  // namespace

TEST_CASE(
    "in a forked child a worker refuses what would change it, counts nothing, and its destructor returns") {
    cairn::thread_pool_executor pool{1};
    for (const bool in_place : {true, false}) {
        cairn::periodic_worker_options options;
        if (!in_place) options.executor = pool;
        auto w = std::make_unique<cairn::periodic_worker>(options);
        // So often that its lock is held at some of the forks.
        const auto watcher = w->add(periodic{1us}, [] {});
        w->start_async();
        REQUIRE(eventually([&] { return watcher.runs() > 10; }));
        for (int i = 0; i < 10; ++i) {
            CHECK(in_child([&] {
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->add(periodic{1s}, [] {}); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->remove(watcher); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->start(); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->start_async(); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->stop(); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->wait(); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->wait(1s); }));
                      CHILD_CHECK(refuses<cairn::invalid_state>([&] { w->reset(); }));
                      CHILD_CHECK(!w->running());
                      CHILD_CHECK(w->empty());
                      CHILD_CHECK(w->watchers().empty());
                      CHILD_CHECK(watcher.runs() == 0);
                      CHILD_CHECK(!watcher.active());
                      CHILD_CHECK(!watcher.runs_in());
                      CHILD_CHECK(watcher.name() == "periodic-1");
                      w.reset();
                      // It can make its own.
                      cairn::periodic_worker own;
                      int runs = 0;
                      own.add(periodic{1us}, [&] {
                          if (++runs == 3) own.stop();
                      });
                      own.start();
                      CHILD_CHECK(runs == 3);
                  }) == 0);
        }
        const auto before = watcher.runs();
        CHECK(eventually([&] { return watcher.runs() > before; }));
    }
}

TEST_CASE("in a child that a callable has forked, start returns after the callable; the parent goes on") {
    CHECK(in_child([] {
              cairn::periodic_worker w;
              const pid_t parent = ::getpid();
              pid_t child = 0;
              int runs = 0;
              w.add(periodic{1ms}, [&] {
                  if (++runs == 2) child = ::fork();
                  if (runs == 5) w.stop();
              });
              w.start();
              if (::getpid() != parent) ::_exit(runs == 2 ? 33 : 1);
              CHILD_CHECK(runs == 5);
              int status = 0;
              CHILD_CHECK(::waitpid(child, &status, 0) == child);
              CHILD_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 33);
          }) == 0);
}

TEST_CASE(
    "the workers of a process pool call what travels, with handles as arguments, until it says never_again") {
    const cairn::manager m;
    const auto pids = m.list<long>("pids");
    cairn::process_pool_executor ex{1};
    cairn::periodic_worker w{{.executor = ex}};
    const auto watcher = w.add(periodic{1ms, {.run_immediately = true}}, append_pid, pids, 4);
    w.start({.auto_stop_when_empty = true});
    CHECK(watcher.runs() == 5);
    CHECK(watcher.successes() == 5);
    CHECK(watcher.requested_stop());
    REQUIRE(pids.size() == 4);
    CHECK(pids.at(0) != ::getpid());
    CHECK(pids.count(pids.at(0)) == 4);
    CHECK(watcher.elapsed() > 0s);
    CHECK(ex.alive());
    // A lambda without captures, which returns it, in a pool.
    cairn::pool pool{1};
    cairn::periodic_worker other{{.executor = pool}};
    const auto lambda = other.add(
        periodic{1ms}, [](int) { return cairn::never_again{}; }, 3);
    other.start({.auto_stop_when_empty = true});
    CHECK(lambda.successes() == 1);
}

TEST_CASE("what a worker process throws is told as what it is; one that dies costs that run") {
    const cairn::manager m;
    const auto steps = m.list<long>("steps");
    cairn::process_pool_executor ex{1};
    std::vector<std::string> told;
    cairn::periodic_worker w{{.executor = ex, .on_failure = [&](const cairn::periodic_failure& f) {
                                  CHECK(refuses<cairn::would_deadlock>([&] { w.wait(); }));
                                  try {
                                      std::rethrow_exception(f.error);
                                  } catch (const std::out_of_range& e) {
                                      told.emplace_back(e.what());
                                  } catch (const cairn::worker_died& e) {
                                      told.emplace_back("died by " + std::to_string(e.exitcode()));
                                  }
                              }}};
    const auto watcher = w.add(periodic{1ms}, fail_or_die, steps);
    w.start({.auto_stop_when_empty = true});
    CHECK(told == std::vector<std::string>{"from afar", "died by 3"});
    CHECK(watcher.runs() == 4);
    CHECK(watcher.failures() == 2);
}

TEST_CASE("a callable that does not travel is refused where the executor's workers are processes") {
    cairn::process_pool_executor ex{1};
    cairn::periodic_worker w{{.executor = ex}};
    int here = 0;
    CHECK(refuses<cairn::invalid_argument>([&] { w.add(periodic{1s}, [&here] { ++here; }); }));
    CHECK(refuses<cairn::invalid_argument>([&] {
        w.add(
            periodic{1s}, [](int*) {}, &here);
    }));
    CHECK(w.empty());
    // By the way that is left, it does.
    cairn::periodic_worker waiting;
    long sum = 0;
    waiting.add(periodic{1ms}, [&] {
        sum += ex.submit([](long n) { return 2 * n; }, 21L).result();
        waiting.stop();
    });
    waiting.start();
    CHECK(sum == 42);
}

TEST_CASE("the destructor waits for a run that a worker process is in") {
    const cairn::manager m;
    const auto steps = m.list<long>("steps");
    cairn::process_pool_executor ex{1};
    {
        cairn::periodic_worker w{{.executor = ex}};
        w.add(periodic{1h, {.run_immediately = true}}, append_slowly, steps);
        w.start_async();
        REQUIRE(eventually([&] { return steps.size() == 1; }));
    }
    CHECK(steps.size() == 2);
}

TEST_CASE(
    "a callback of a future that destroys a worker does not wait for a run that a worker process is in") {
    const cairn::manager m;
    const auto steps = m.list<long>("steps");
    cairn::process_pool_executor ex{1};
    auto w = std::make_unique<cairn::periodic_worker>(cairn::periodic_worker_options{.executor = ex});
    w->add(periodic{1h, {.run_immediately = true}}, append_slowly, steps);
    w->start_async();
    REQUIRE(eventually([&] { return steps.size() == 1; }));
    cairn::synchronous_executor here;
    std::atomic<bool> is_gone{false};
    here.submit([] {}).add_done_callback([&](const cairn::future<void>&) {
        w.reset();
        is_gone = true;
    });
    CHECK(eventually([&] { return is_gone.load(); }));
    CHECK(eventually([&] { return steps.size() == 2; }));

    // Nor is anything left of one that is idle: its thread is joined, and what it was given is destroyed.
    auto given = std::make_shared<int>(0);
    const std::weak_ptr<int> seen = given;
    w = std::make_unique<cairn::periodic_worker>(cairn::periodic_worker_options{
        .executor = ex, .on_failure = [given = std::move(given)](const std::exception_ptr&) {}});
    w->add(periodic{1h}, append_slowly, steps);
    w->start_async();
    is_gone = false;
    here.submit([] {}).add_done_callback([&](const cairn::future<void>&) {
        w.reset();
        is_gone = true;
    });
    CHECK(eventually([&] { return is_gone.load(); }));
    CHECK(eventually([&] { return seen.expired(); }));
}

TEST_CASE("a process that was stopped for five spacings makes one run of them, and then keeps its rhythm "
          "(quartz#239)") {
    const gate is_up;
    const gate may_end;
    constexpr auto spacing = 50ms;
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::vector<std::chrono::steady_clock::time_point> starts;
        std::atomic<bool> is_to_end{false};
        std::thread waiting([&] {
            may_end.wait();
            is_to_end = true;
        });
        cairn::periodic_worker w;
        const auto watcher = w.add(periodic{spacing}, [&] {
            starts.push_back(std::chrono::steady_clock::now());
            if (starts.size() == 2) is_up.open();
        });
        std::size_t seen_at_end = 0;
        w.add(periodic{spacing}, [&] {
            if (!is_to_end) return;
            if (seen_at_end == 0) seen_at_end = starts.size();
            if (starts.size() >= seen_at_end + 3) w.stop();
        });
        w.start();
        waiting.join();
        // Each start is one spacing after the one before, at least: no burst.
        bool is_steady = true;
        for (std::size_t i = 1; i < starts.size(); ++i)
            is_steady &= starts[i] - starts[i - 1] >= spacing - 1ms;
        ::_exit(is_steady && watcher.skipped() >= 4 ? 0 : 1);
    }
    CHECK(is_up.wait());
    REQUIRE(::kill(child, SIGSTOP) == 0);
    int status = 0;
    REQUIRE(::waitpid(child, &status, WUNTRACED) == child);
    std::this_thread::sleep_for(6 * spacing);
    REQUIRE(::kill(child, SIGCONT) == 0);
    may_end.open();
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE(
    "what a callable throws, and what refuses it, is told in one line on stderr where nobody else is told") {
    CHECK(stderr_of_child([] {
              cairn::periodic_worker w;
              int runs = 0;
              w.add(periodic{1ms, {.name = "reader"}}, [&] {
                  if (++runs == 2) w.stop();
                  throw std::runtime_error("no file");
              });
              w.start();
          }) == "cairn: periodic 'reader' (it runs every 0.001 s) threw std::runtime_error: no file\n"
                "cairn: periodic 'reader' (it runs every 0.001 s) threw std::runtime_error: no file\n");
    // Of several in a row only the first.
    const std::string refused = stderr_of_child([] {
        cairn::thread_pool_executor closed{1};
        closed.shutdown();
        cairn::periodic_worker w{{.executor = closed}};
        const auto watcher = w.add(periodic{1h, {.run_immediately = true, .name = "x"}}, [] {});
        w.start_async();
        CHILD_CHECK(eventually([&] { return watcher.refused() >= 3; }));
    });
    CHECK(refused.starts_with("cairn: periodic 'x' was refused by its executor, next try in 0.001 s: "
                              "cairn::invalid_state: submit to thread_pool_executor-"));
    CHECK(refused.ends_with("cannot schedule new futures after shutdown\n"));
    CHECK(refused.find('\n') == refused.size() - 1);
}

TEST_CASE(
    "a static worker ends with the program: its run is asked to stop, and waited for for a second at most") {
    for (const bool is_obedient : {true, false}) {
        const auto begin = std::chrono::steady_clock::now();
        CHECK(in_child([&] {
                  static cairn::periodic_worker w;
                  static std::atomic<bool> has_begun{false};
                  w.add(periodic{1h, {.run_immediately = true}}, [&] {
                      has_begun = true;
                      while (!is_obedient || !cairn::this_task::stop_requested())
                          std::this_thread::sleep_for(1ms);
                  });
                  w.start_async();
                  CHILD_CHECK(eventually([] { return has_begun.load(); }));
                  std::exit(0);
              }) == 0);
        if (!is_obedient) CHECK(std::chrono::steady_clock::now() - begin >= 1s);
    }
}

TEST_CASE("exit in a callable ends the program, although the worker is static and waits for its runs") {
    CHECK(in_child([] {
              static cairn::periodic_worker w;
              w.add(periodic{1ms}, [] { std::exit(7); });
              w.start();
          }) == 7);
    CHECK(in_child([] {
              static cairn::thread_pool_executor pool{1};
              static cairn::periodic_worker w{{.executor = pool}};
              w.add(periodic{1ms}, [] { std::exit(7); });
              w.start();
          }) == 7);
}

}  // namespace periodic_test
