// executor_test.cpp - executors and the life of processes: forks, and the end of a program.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/executors.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/process.hpp>
#include <cairn/thread_pool_executor.hpp>

namespace executor_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

template <typename Error, typename Body>
bool throws(const Body& body) {
    try {
        body();
    } catch (const Error&) {
        return true;
    }
    return false;
}

// Runs `body` in a child that ends by exit(), as a program does that has returned from main.
int in_exiting_child(const std::function<void()>& body) {
    return in_child([&] {
        body();
        std::exit(0);
    });
}

}  // namespace

TEST_CASE("in a forked child an executor refuses tasks, and its destructor does nothing") {
    auto ex = std::make_unique<cairn::thread_pool_executor>(2);
    door hold;
    const auto settled = ex->submit([] { return 3; });
    CHECK(settled.result() == 3);
    const auto running = ex->submit([&] { return hold.pass(); });
    REQUIRE(hold.wait_for_arrivals(1));
    const auto waiting = ex->submit_after(1h, [] {});
    CHECK(in_child([&] {
              CHILD_CHECK(settled.result() == 3);
              CHILD_CHECK(throws<cairn::invalid_state>([&] { running.result(); }));
              CHILD_CHECK(throws<cairn::invalid_state>([&] { running.result(1s); }));
              CHILD_CHECK(throws<cairn::invalid_state>([&] { waiting.cancel(); }));
              CHILD_CHECK(throws<cairn::invalid_state>([&] { cairn::wait(std::vector{waiting}); }));
              CHILD_CHECK(
                  throws<cairn::invalid_state>([&] { running.add_done_callback([](const auto&) {}); }));
              CHILD_CHECK(throws<cairn::invalid_state>([&] { static_cast<void>(ex->submit([] {})); }));
              CHILD_CHECK(throws<cairn::invalid_state>([&] { ex->shutdown(); }));
              CHILD_CHECK(!ex->alive());
              ex.reset();
          }) == 0);
    CHECK(running.running());
    waiting.cancel();
    hold.open();
    CHECK(running.result());
}

TEST_CASE("in a forked child an executor counts nothing, also where the parent was about to count") {
    cairn::dynamic_thread_pool_executor ex{{.max_workers = 2}};
    ex.submit([] {}).result();
    std::atomic<bool> is_over{false};
    std::thread counting([&] {
        while (!is_over) {
            static_cast<void>(ex.statistics());
            ex.maintain();
        }
    });
    for (int i = 0; i < 30; ++i) {
        CHECK(in_child([&] {
                  ::alarm(20);  // a hang ends it
                  CHILD_CHECK(ex.statistics().executed == 0);
                  CHILD_CHECK(ex.queue_size() == 0);
                  CHILD_CHECK(ex.num_workers() == 0);
                  CHILD_CHECK(ex.get_num_idle_workers() == 0);
                  ex.maintain();
              }) == 0);
    }
    is_over = true;
    counting.join();
}

TEST_CASE("a forked child makes executors, callbacks and timers of its own") {
    cairn::thread_pool_executor ex{1};
    ex.submit_after(1ms, [] {}).then([](const auto&) {}).result();  // the parent has all threads
    CHECK(in_child([] {
              cairn::thread_pool_executor own{1};
              const auto f = own.submit_after(1ms, [] { return 4; });
              CHILD_CHECK(f.then([](const auto& done) { return done.result() + 1; }).result() == 5);
          }) == 0);
}

TEST_CASE("a child that is forked inside a task or a callback is in neither") {
    const auto forks = [] {
        return in_child([] {
            ::alarm(20);  // a hang ends it
            CHILD_CHECK(cairn::this_task::id() == 0);
            CHILD_CHECK(cairn::this_task::attempt() == 0);
            CHILD_CHECK(!cairn::this_task::stop_token().stop_possible());
            bool has_ended = false;
            {
                cairn::thread_pool_executor own{{.max_workers = 1, .max_pending = 0}};
                const auto f = own.submit([] { return 1; });
                CHILD_CHECK(f.then([](const auto& done) { return done.result() + 1; }).result() == 2);
                static_cast<void>(own.submit([&] {
                    std::this_thread::sleep_for(10ms);
                    has_ended = true;
                }));
                own.shutdown();
                CHILD_CHECK(has_ended);
            }
        });
    };
    cairn::thread_pool_executor ex{1};
    SUBCASE("a task") {
        CHECK(ex.submit(forks).result() == 0);
        CHECK(ex.submit([] { return cairn::this_task::attempt(); }).result() == 1);
    }
    SUBCASE("a callback") {
        CHECK(ex.submit([] {}).then([&](const auto&) { return forks(); }).result() == 0);
    }
}

TEST_CASE("a process started inside a task is no worker of that pool") {
    cairn::thread_pool_executor ex{1};
    const int code = ex.submit([&] {
                           cairn::process p([&] {
                               const bool refused =
                                   throws<cairn::invalid_state>([&] { static_cast<void>(ex.submit([] {})); });
                               ::_exit(refused && cairn::this_worker::id() == -1 ? 7 : 8);
                           });
                           p.join();
                           return p.exitcode().value_or(-1);
                       }).result();
    CHECK(code == 7);
}

TEST_CASE("children that are forked while a pool is at work do not hang in a pool of their own") {
    // Clang 16's AddressSanitizer leaves the locks of its allocator as they are in a forked child: one that another thread had stays taken.
    if (has_address_sanitizer) return;
    cairn::thread_pool_executor ex{2};
    std::atomic<bool> is_over{false};
    std::thread submitter([&] {
        while (!is_over) {
            const auto f = ex.submit([] {});
            f.add_done_callback([](const auto&) {});
            f.cancel();
        }
    });
    for (int i = 0; i < 30; ++i) {
        CHECK(in_child([] {
                  cairn::thread_pool_executor own{1};
                  const auto f = own.submit([] { return 1; });
                  f.add_done_callback([](const auto&) {});
                  f.cancel();
                  static_cast<void>(cairn::wait_for_all(std::vector{f}));
              }) == 0);
    }
    is_over = true;
    submitter.join();
}

TEST_CASE("callbacks that are due when a program ends are run first") {
    if (has_thread_sanitizer) return;  // takes the threads of the parent for leaks of a child that exits
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    CHECK(in_exiting_child([&] {
              cairn::thread_pool_executor ex{1};
              const auto f = ex.submit([] { return 1; });
              for (int i = 0; i < 3; ++i) {
                  f.add_done_callback([&](const auto&) {
                      std::this_thread::sleep_for(10ms);
                      CHILD_CHECK(::write(ends[1], "x", 1) == 1);
                  });
              }
              ex.shutdown();
          }) == 0);
    ::close(ends[1]);
    char room[8];
    std::string all;
    for (ssize_t got = 0; (got = ::read(ends[0], room, sizeof room)) > 0;)
        all.append(room, static_cast<std::size_t>(got));
    ::close(ends[0]);
    CHECK(all == "xxx");
}

TEST_CASE("a program ends while a static executor has tasks that go on and on") {
    if (has_thread_sanitizer) return;  // takes the threads of the parent for leaks of a child that exits
    CHECK(in_exiting_child([] {
              static cairn::thread_pool_executor ex{1};
              static door started;
              static_cast<void>(ex.submit([] {
                  started.open();
                  for (;;) std::this_thread::sleep_for(1ms);
              }));
              static const auto waiting = ex.submit([] { ::_exit(1); });
              CHILD_CHECK(started.pass());
              static_cast<void>(ex.submit_after(1h, [] {}));
          }) == 0);
}

TEST_CASE("a task, a callback and a timer may end the program") {
    CHECK(in_child([] {
              cairn::thread_pool_executor ex{1};
              ex.submit([] { std::exit(5); }).result();
          }) == 5);
    CHECK(in_child([] {
              cairn::thread_pool_executor ex{1};
              const auto f = ex.submit([] {});
              f.add_done_callback([](const auto&) { std::exit(6); });
              for (;;) ::pause();
          }) == 6);
}

TEST_CASE("a forked child with callbacks of its own joins its settling thread once, although its parent has "
          "one, too") {
    cairn::synchronous_executor ex;
    door is_idle;
    ex.submit([] {}).add_done_callback([&](const cairn::future<void>&) { is_idle.open(); });
    REQUIRE(is_idle.pass());
    // And has freed it: what a thread has that is not in the child is a leak there, and ASan's locks that it holds stay locked.
    std::this_thread::sleep_for(100ms);
    CHECK(in_exiting_child([] {
              cairn::synchronous_executor own;
              door called;
              own.submit([] {}).add_done_callback([&](const cairn::future<void>&) { called.open(); });
              CHILD_CHECK(called.pass());
          }) == 0);
}

}  // namespace executor_test
