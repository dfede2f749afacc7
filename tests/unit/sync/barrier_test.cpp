// barrier_test.cpp - cairn::barrier in one process. With several: tests/process/barrier_process_test.cpp.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <cstdint>
#include <sstream>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/patience.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace barrier_test {

using namespace cairn_test;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

/// A thread that comes once, and says what it got: "passed", or what was thrown.
class coming {
public:
    explicit coming(const cairn::barrier& b, const std::stop_token& stop = {})
        : thread_([this, b, stop] {
              try {
                  index_ = b.arrive_and_wait(stop);
                  text_ = "passed";
              } catch (const cairn::error& e) {
                  text_ = e.what();
              }
          }) {}
    coming(const coming&) = delete;
    coming& operator=(const coming&) = delete;
    ~coming() {
        if (thread_.joinable()) thread_.join();
    }
    std::string result() {
        thread_.join();
        return text_;
    }
    [[nodiscard]] std::size_t index() const noexcept { return index_; }

private:
    std::string text_;
    std::size_t index_ = 0;
    std::thread thread_;
};

}  // namespace

TEST_CASE("Barrier.wait returns when all have come, again and again, each with an index of its own") {
    const cairn::manager m;
    constexpr std::size_t parties = 4;
    constexpr int rounds = 50;
    const auto b = m.barrier("b", parties);
    std::vector<std::atomic<int>> come(rounds);
    std::vector<std::atomic<unsigned>> indices(rounds);
    std::atomic<int> early{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < parties; ++i) {
        threads.emplace_back([&] {
            for (std::size_t round = 0; round < rounds; ++round) {
                ++come[round];
                indices[round] |= 1U << b.arrive_and_wait();
                if (come[round] != parties) ++early;
            }
        });
    }
    for (std::thread& each : threads) each.join();
    CHECK(early == 0);
    for (const auto& each : indices) CHECK(each == 0b1111);
    CHECK(b.waiting() == 0);
    CHECK_FALSE(b.broken());
}

TEST_CASE("Barrier.parties, Barrier.n_waiting, Barrier.broken") {
    const cairn::manager m;
    const auto b = m.barrier("b", 3);
    CHECK(b.parties() == 3);
    CHECK(b.waiting() == 0);
    coming first(b);
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    coming second(b);
    REQUIRE(eventually([&] { return b.waiting() == 2; }));
    CHECK_FALSE(b.broken());
    CHECK(b.arrive_and_wait() == 2);
    CHECK(first.result() == "passed");
    CHECK(second.result() == "passed");
    CHECK(first.index() == 0);
    CHECK(second.index() == 1);
    CHECK(b.waiting() == 0);
}

TEST_CASE("a barrier for one lets everybody pass at once") {
    const cairn::manager m;
    const auto b = m.barrier(1);
    CHECK(b.arrive_and_wait() == 0);
    CHECK(b.arrive_and_wait() == 0);
    CHECK(b.wait_for(0ms) == 0);
    CHECK(b.wait_until(steady::now()) == 0);
}

TEST_CASE("Barrier.abort breaks it for those who wait and those who come, until Barrier.reset") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    coming first(b);
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    b.abort();
    const std::string pid = std::to_string(::getpid());
    CHECK(contains(first.result(), "pid " + pid + " has called abort()"));
    CHECK(b.broken());
    CHECK(b.waiting() == 0);
    b.abort();
    CHECK(contains(thrown_by<cairn::broken_barrier>([&] { static_cast<void>(b.arrive_and_wait()); }),
                   "abort()"));
    CHECK_THROWS_AS(static_cast<void>(b.wait_for(1h)), cairn::broken_barrier);
    CHECK_THROWS_AS(b.enroll(), cairn::broken_barrier);
    b.reset();
    CHECK_FALSE(b.broken());
    coming again(b);
    CHECK(b.arrive_and_wait() <= 1);
    CHECK(again.result() == "passed");
}

TEST_CASE("Barrier.reset breaks it for those who wait, and for nobody else") {
    const cairn::manager m;
    const auto b = m.barrier("b", 3);
    b.reset();
    coming first(b);
    coming second(b);
    REQUIRE(eventually([&] { return b.waiting() == 2; }));
    b.reset();
    CHECK(contains(first.result(), "has called reset()"));
    CHECK(contains(second.result(), "has called reset()"));
    CHECK_FALSE(b.broken());
    coming third(b);
    coming fourth(b);
    static_cast<void>(b.arrive_and_wait());
    CHECK(third.result() == "passed");
    CHECK(fourth.result() == "passed");
}

namespace {

// Set back by an hour after the first look.
struct clock_that_is_set {
    using duration = steady::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<clock_that_is_set>;
    [[maybe_unused]] static constexpr bool is_steady = false;
    static time_point now() {
        return time_point(steady::now().time_since_epoch() - (looks++ == 0 ? 0h : 1h));
    }
    static inline std::atomic<int> looks = 0;
};

}  // namespace

TEST_CASE("a deadline of a clock that was set back is as far ahead as the clock says") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    std::jthread second([&] {
        CHECK(eventually([&] { return b.waiting() == 1; }));
        std::this_thread::sleep_for(50ms);
        static_cast<void>(b.arrive_and_wait());
    });
    const clock_that_is_set::time_point soon(steady::now().time_since_epoch() + 10ms);
    CHECK(b.wait_until(soon) == 0);
    CHECK(clock_that_is_set::looks >= 2);
}

TEST_CASE("Barrier.wait(timeout) breaks it when the time is up, for all") {
    const cairn::manager m;
    const auto b = m.barrier("b", 3);
    coming first(b);
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    const auto begin = steady::now();
    const std::string text = thrown_by<cairn::broken_barrier>([&] { static_cast<void>(b.wait_for(50ms)); });
    CHECK(steady::now() - begin >= 50ms);
    CHECK(contains(text, "barrier 'b'"));
    CHECK(contains(text, "the time of pid"));
    CHECK(contains(first.result(), "the time of pid"));
    CHECK(b.broken());
    b.reset();
    CHECK_THROWS_AS(static_cast<void>(b.wait_until(steady::now() + 10ms)), cairn::broken_barrier);
    b.reset();
    CHECK_THROWS_AS(static_cast<void>(b.wait_until(std::chrono::system_clock::now() + 10ms)),
                    cairn::broken_barrier);
    b.reset();
    CHECK_THROWS_AS(static_cast<void>(b.wait_for(-1s)), cairn::broken_barrier);
}

TEST_CASE("a stop breaks a barrier for all") {
    const cairn::manager m;
    const auto b = m.barrier("b", 3);
    std::stop_source source;
    coming first(b);
    coming second(b, source.get_token());
    REQUIRE(eventually([&] { return b.waiting() == 2; }));
    source.request_stop();
    CHECK(contains(first.result(), "it is broken"));
    CHECK(contains(second.result(), "it is broken"));
    CHECK(b.broken());
}

TEST_CASE("whoever waits for a barrier that is removed wakes with object_gone") {
    const cairn::manager m;
    const auto b = m.barrier("b", 2);
    coming first(b);
    REQUIRE(eventually([&] { return b.waiting() == 1; }));
    CHECK(m.remove("b"));
    CHECK(contains(first.result(), "removed"));
    CHECK_THROWS_AS(static_cast<void>(b.arrive_and_wait()), cairn::object_gone);
    CHECK_THROWS_AS(b.abort(), cairn::object_gone);
    CHECK_THROWS_AS(b.reset(), cairn::object_gone);
    CHECK_THROWS_AS(b.enroll(), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(b.broken()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(b.parties()), cairn::object_gone);
    CHECK_THROWS_AS(static_cast<void>(b.waiting()), cairn::object_gone);
}

TEST_CASE("a barrier is found by its name, its kind and its parties") {
    const cairn::manager m;
    const auto b = m.barrier("b", 4);
    CHECK(m.barrier("b", 4) == b);
    CHECK(m.find<cairn::barrier>("b") == b);
    const std::string text = thrown_by<cairn::type_mismatch>([&] { static_cast<void>(m.barrier("b", 5)); });
    CHECK(contains(text, "it is for 4 parties, asked for 5"));
    CHECK_THROWS_AS(static_cast<void>(m.event("b")), cairn::type_mismatch);
    CHECK(m.barrier(2) != m.barrier(2));
    CHECK(contains(thrown_by<cairn::invalid_argument>([&] { static_cast<void>(m.barrier("c", 0)); }),
                   "parties is 0"));
    CHECK_THROWS_AS(static_cast<void>(m.barrier("c", -1)), cairn::invalid_argument);
    CHECK_FALSE(m.contains("c"));
    std::ostringstream shown;
    shown << b;
    CHECK(shown.str() == "barrier(0 of 4)");
    b.abort();
    CHECK(cairn::repr(b) == "barrier(broken)");
}

TEST_CASE("in callbacks of other operations a barrier can be looked at, and no more") {
    const cairn::manager m;
    const auto b = m.barrier("b", 1);
    const auto list = m.list<long>("list", {1});
    list.update(0, [&](long&) {
        CHECK_FALSE(b.broken());
        CHECK_THROWS_AS(static_cast<void>(b.arrive_and_wait()), cairn::would_deadlock);
        CHECK_THROWS_AS(b.abort(), cairn::would_deadlock);
        CHECK_THROWS_AS(b.reset(), cairn::would_deadlock);
        CHECK_THROWS_AS(b.enroll(), cairn::would_deadlock);
    });
    CHECK_FALSE(b.broken());
}

TEST_CASE("a process that may only read sees a barrier") {
    const scratch_name name;
    const cairn::manager m(name.get());
    const auto b = m.barrier("b", 2);
    const auto reader = cairn::manager::open(name.get(), cairn::open_mode::read_only);
    const auto seen = reader.find<cairn::barrier>("b").value();
    CHECK(seen.parties() == 2);
    CHECK_FALSE(seen.broken());
    CHECK_THROWS_AS(static_cast<void>(seen.wait_for(1ms)), cairn::permission_denied);
    CHECK_THROWS_AS(seen.reset(), cairn::permission_denied);
}

}  // namespace barrier_test
