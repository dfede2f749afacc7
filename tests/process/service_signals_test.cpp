// service_signals_test.cpp - signals to a manager and to its workers, alone, together, twice, and at any moment.
//
// What cotyledon's programs were seen to do is the specification, where they are not broken.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "sample_services.hpp"
#include "support/managed.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace service_signals_test {

using namespace cairn_test;
using namespace cairn_test::sample_services;
using namespace std::chrono_literals;

namespace {

struct slow : printer {
    static constexpr auto name = "slow";
    slow() {
        say("constructing");
        std::this_thread::sleep_for(300ms);
    }
    void terminate() override {
        say("terminate slow");
        wait_for_run();
    }
};

}  // namespace

TEST_CASE("SIGINT is graceful, unlike cotyledon's; a second signal kills, and the exit code is 1") {
    {
        managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
        CHECK(m.says("run printer", 2));
        m.signal(SIGINT);
        CHECK(m.join() == 0);
        CHECK(m.count("terminate printer") == 2);
    }
    for (const int second : {SIGTERM, SIGINT, SIGALRM}) {
        managed m([](cairn::service_manager& sm) {
            sm.add<heavy>(2);
            sm.add<printer>(1);
        });
        CHECK(m.says("run printer"));
        const std::vector<pid_t> all = m.everybody();
        m.signal(SIGTERM);
        CHECK(m.says("terminate printer"));
        // What comes within 50 ms is the same request, from a terminal say.
        std::this_thread::sleep_for(200ms);
        m.signal(second);
        CHECK(m.join() == 1);
        CHECK(have_ended(all, patiently(20s)));
    }
}

TEST_CASE("SIGINT and SIGTERM that come together, of a terminal and a manager of managers, are one request") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    // Both are there when it looks.
    send(m.pid(), SIGSTOP);
    CHECK(m.comes_true([&] { return is_stopped(m.pid()); }));
    send(m.pid(), SIGINT);
    send(m.pid(), SIGTERM);
    send(m.pid(), SIGCONT);
    CHECK(m.join() == 0);
    CHECK(m.count("terminate printer") == 2);
}

TEST_CASE("SIGTERM to all processes, as systemd sends it, has no worker started again, and each told once") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(3); });
    CHECK(m.says("run printer", 3));
    std::vector<pid_t> all = m.everybody();
    const std::vector<pid_t> family = all;
    all.push_back(m.pid());
    for (const pid_t each : all) send(each, SIGSTOP);
    for (const pid_t each : all) send(each, SIGTERM);
    for (const pid_t each : all) send(each, SIGCONT);
    CHECK(m.join() == 0);
    CHECK(have_ended(family, patiently(20s)));
    CHECK(m.count("made") == 3);
    CHECK(m.count("terminate printer") == 3);
}

TEST_CASE("SIGALRM ends the manager at once with 1, and a worker, too, which is replaced") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(1); });
    CHECK(m.says("run printer"));
    const pid_t first = m.worker("printer", 0);
    send(first, SIGALRM);
    CHECK(m.says("printer(0) [" + number(first) + "] exited with status 1"));
    CHECK(m.worker("printer", 0, first) != 0);
    m.signal(SIGALRM);
    CHECK(m.join() == 1);
    CHECK(m.count("terminate") == 0);
}

TEST_CASE("SIGINT and SIGQUIT to the group end no worker; the manager decides") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    const pid_t first = m.worker("printer", 0);
    send(first, SIGINT);
    send(first, SIGQUIT);
    const pid_t second = m.worker("printer", 1);
    send(second, SIGKILL);
    CHECK(m.worker("printer", 1, second) != 0);
    CHECK(m.worker("printer", 0) == first);
    CHECK(m.end() == 0);
    CHECK(m.count("made printer0") == 1);
}

TEST_CASE(
    "a second signal kills all, also while the nursery or the guardian is stopped; the first one waits for "
    "a stopped nursery") {
    for (const char* const stopped : {"cairn-nursery", "cairn-guardian"}) {
        CAPTURE(stopped);
        managed m([](cairn::service_manager& sm) { sm.add<heavy>(2); });
        CHECK(m.comes_true([&] { return m.titled(")").size() == 2; }));
        const std::vector<pid_t> all = m.everybody();
        send(find_descendant(m.pid(), stopped), SIGSTOP);
        m.signal(SIGTERM);
        std::this_thread::sleep_for(200ms);
        CHECK(is_running(m.pid()));
        m.signal(SIGTERM);
        CHECK(m.join() == 1);
        CHECK(have_ended(all, patiently(20s)));
    }
}

TEST_CASE(
    "SIGTERM at any moment of the start ends everything at once, with 0 (cotyledon#23, gunicorn#1910)") {
    const int tries = has_address_sanitizer || has_thread_sanitizer ? 30 : 200;
    for (int i = 0; i < tries; ++i) {
        CAPTURE(i);
        managed m([]() -> int {
            // What comes before run() waits for it.
            sigset_t these;
            ::sigemptyset(&these);
            ::sigaddset(&these, SIGTERM);
            ::pthread_sigmask(SIG_BLOCK, &these, nullptr);
            say("about to run");
            cairn::service_manager sm;
            sm.add<printer>(2);
            return sm.run();
        });
        REQUIRE(m.says("about to run"));
        std::this_thread::sleep_for(i * 100us);
        const std::vector<pid_t> all = m.everybody();
        m.signal(SIGTERM);
        REQUIRE(m.join() == 0);
        REQUIRE(have_ended(all, patiently(20s)));
        CHECK(m.count("killed") == 0);
    }
}

TEST_CASE("SIGTERM to a worker right after its fork is not lost, and its exit code is 0") {
    managed m([](cairn::service_manager& sm) {
        sm.add<printer>({.backoff = {1ms, 1ms}});
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int, int code) {
            say("dead " + std::to_string(code) + ".");
        }});
    });
    pid_t worker = 0;
    const pid_t nursery = [&] {
        pid_t found = 0;
        static_cast<void>(
            m.comes_true([&] { return (found = find_descendant(m.pid(), "cairn-nursery")) != 0; }));
        return found;
    }();
    int told = 0;
    while (told < 20) {
        REQUIRE(m.comes_true([&] {
            for (const pid_t each : children_of(nursery)) {
                if (each == worker || !is_running(each)) continue;
                worker = each;
                return true;
            }
            return false;
        }));
        send(worker, SIGTERM);
        ++told;
    }
    CHECK(m.says("dead 0.", 20));
    CHECK(m.end() == 0);
    CHECK(m.count("dead -") == 0);
}

TEST_CASE("SIGTERM in a constructor: run() is not called, terminate() is") {
    managed m([](cairn::service_manager& sm) { sm.add<slow>(1); });
    CHECK(m.says("constructing"));
    CHECK(m.end() == 0);
    CHECK(m.count("terminate slow") == 1);
    CHECK(m.count("run ") == 0);
}

TEST_CASE("a program that a worker starts has its signals: none is blocked, and SIGTERM ends it") {
    struct starter : cairn::service {
        void run() override {
            say("status " +
                std::to_string(std::system("grep -E 'Sig(Blk|Ign)' /proc/self/status; kill -TERM $$")));
        }
    };
    managed m([](cairn::service_manager& sm) { sm.add<starter>(1); });
    CHECK(m.says("status 15"));
    CHECK(m.count("SigBlk:\t0000000000000000") == 1);
    CHECK(m.end() == 0);
}

}  // namespace service_signals_test
