// once_call_test.cpp - cairn::once: an initializer that runs once, in whichever process comes first.
// SPDX-License-Identifier: BSL-1.0
#include <atomic>
#include <chrono>
#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace once_call_test {

using namespace cairn_test;
using namespace std::chrono_literals;

TEST_CASE("what is done once is done once, and whoever comes finds it done") {
    const cairn::manager m;
    int calls = 0;
    m.once("init", [&] { ++calls; });
    m.once("init", [&] { ++calls; });
    CHECK(calls == 1);
    const auto o = m.once("init");
    CHECK(o.done());
    CHECK(cairn::repr(o) == "once(done)");
    CHECK_FALSE(o.call([&] { ++calls; }));
    CHECK(o.call_for(0s, [&] { ++calls; }) == false);
    const auto other = m.once();
    CHECK_FALSE(other.done());
    CHECK(cairn::repr(other) == "once(not done)");
    CHECK(other.call([&] { ++calls; }));
    CHECK(calls == 2);
}

TEST_CASE("threads that come at the same time wait for the one that is at it") {
    const cairn::manager m;
    const auto o = m.once("init");
    std::atomic<int> calls = 0;
    std::atomic<int> firsts = 0;
    std::vector<std::thread> all;
    for (int i = 0; i < 6; ++i) {
        all.emplace_back([&] {
            const bool was_first = o.call([&] {
                ++calls;
                std::this_thread::sleep_for(20ms);
            });
            CHECK(o.done());
            if (was_first) ++firsts;
        });
    }
    for (std::thread& each : all) each.join();
    CHECK(calls == 1);
    CHECK(firsts == 1);
}

TEST_CASE("an initializer that throws leaves it to the next one") {
    const cairn::manager m;
    const auto o = m.once("init");
    CHECK_THROWS_AS(o.call([] { throw std::domain_error("mine"); }), std::domain_error);
    CHECK_FALSE(o.done());
    CHECK(o.call([] {}));
}

TEST_CASE("an initializer that is killed leaves it to the next one, at once") {
    const cairn::manager m;
    const auto o = m.once("init");
    const auto l = m.list<int>("l");
    const gate inside;
    child victim([&] {
        o.call([&] {
            l.push_back(1);
            inside.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(inside.wait());
    CHECK_FALSE(o.call_for(20ms, [] { FAIL("somebody is at it"); }).has_value());
    std::thread waiter([&] { CHECK(o.call([&] { l.push_back(2); })); });
    victim.kill();
    CHECK(victim.join() == -SIGKILL);
    waiter.join();
    CHECK(o.done());
    CHECK(l == std::vector<int>{1, 2});
}

TEST_CASE("a limit is kept where who is at it is stopped") {
    const cairn::manager m(cairn::segment_options{.lock_timeout = 100ms});
    const auto o = m.once("init");
    const gate inside;
    child stopped([&] {
        o.call([&] {
            inside.open();
            for (;;) ::pause();
        });
    });
    REQUIRE(inside.wait());
    REQUIRE(::kill(stopped.pid(), SIGSTOP) == 0);
    CHECK_FALSE(o.call_for(10ms, [] {}).has_value());
    CHECK_THROWS_AS(o.call([] {}), cairn::timeout_error);
    stopped.kill();
    CHECK(stopped.join() == -SIGKILL);
    CHECK(o.call([] {}));
}

TEST_CASE("an initializer may use Cairn, but not itself") {
    const cairn::manager m;
    const auto o = m.once("init");
    const auto l = m.list<int>("l", {1});
    CHECK(o.call([&] {
        CHECK_THROWS_AS(o.call([] {}), cairn::would_deadlock);
        CHECK_THROWS_AS(static_cast<void>(o.call_for(1s, [] {})), cairn::would_deadlock);
        l.push_back(2);
        m.once("inner", [&] { l.push_back(3); });
    }));
    CHECK(l == std::vector<int>{1, 2, 3});
    const auto other = m.once("other");
    l.for_each([&](int) {
        CHECK_THROWS_AS(other.call([] {}), cairn::would_deadlock);
        CHECK_FALSE(o.call([] {}));
    });
    REQUIRE(m.remove("other"));
    CHECK_THROWS_AS(static_cast<void>(other.done()), cairn::object_gone);
    CHECK_THROWS_AS(other.call([] {}), cairn::object_gone);
}

TEST_CASE("a child that an initializer forks does not say that it is done") {
    const cairn::manager m;
    const auto o = m.once("init");
    CHECK(o.call([&] {
        CHECK(in_child([] {}) == 0);
        CHECK_FALSE(o.done());
    }));
    CHECK(o.done());
}

}  // namespace once_call_test
