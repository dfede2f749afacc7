// service_death_test.cpp - workers, nursery, guardian and manager are killed or stopped: who is replaced, and who ends.
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "sample_services.hpp"
#include "support/managed.hpp"
#include "support/sanitizers.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace service_death_test {

using namespace cairn_test;
using namespace cairn_test::sample_services;
using namespace std::chrono_literals;

TEST_CASE("a worker that is killed is replaced, with its number and title; the others do not notice") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    const pid_t first = m.worker("printer", 0);
    const pid_t second = m.worker("printer", 1);
    for (pid_t victim = first, round = 0; round < 3; ++round) {
        send(victim, SIGKILL);
        const pid_t next = m.worker("printer", 0, victim);
        REQUIRE(next != 0);
        CHECK(m.says("run printer0 " + number(next)));
        CHECK(m.says("printer(0) [" + number(victim) + "] killed by signal 9"));
        victim = next;
    }
    CHECK(m.worker("printer", 1) == second);
    CHECK(m.end() == 0);
}

TEST_CASE(
    "the manager is killed: workers are told to end, and none is left, although others hold its pipes") {
    int pipe_of_program[2];
    REQUIRE(::pipe(pipe_of_program) == 0);
    managed m([](cairn::service_manager& sm) {
        sm.add<printer>(2);
        sm.add<idle>(1);
    });
    CHECK(m.says("run printer", 2));
    CHECK(m.comes_true([&] { return m.everybody().size() == 5; }));
    const std::vector<pid_t> all = m.everybody();
    const pid_t helper = ::fork();  // has all descriptors of this process
    if (helper == 0) {
        for (;;) ::pause();
    }
    m.signal(SIGKILL);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(m.join() == -SIGKILL);
    CHECK(m.count("terminate printer") == 2);
    CHECK(m.count("Parent process has died unexpectedly, graceful exiting of service printer(0)") <= 1);
    CHECK(m.count("made") == 2);  // none was replaced (uwsgi#1339)
    send(helper, SIGKILL);
    ::waitpid(helper, nullptr, 0);
    ::close(pipe_of_program[0]);
    ::close(pipe_of_program[1]);
}

TEST_CASE("manager, guardian and nursery are killed together: the workers see to their own end") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    const std::vector<pid_t> all = m.everybody();
    const pid_t guardian = find_descendant(m.pid(), "cairn-guardian");
    const pid_t nursery = find_descendant(m.pid(), "cairn-nursery");
    for (const pid_t each : {m.pid(), guardian, nursery}) send(each, SIGSTOP);
    for (const pid_t each : {m.pid(), guardian, nursery}) send(each, SIGKILL);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(m.join() == -SIGKILL);
    CHECK(m.count("terminate printer") == 2);
}

TEST_CASE("terminate() that takes longer than the timeout: exit code 1 for the worker, 0 for the manager") {
    managed m([](cairn::service_manager& sm) {
        sm.add<heavy>({.graceful_shutdown_timeout = 1s});
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int id, int code) {
            say("dead " + std::to_string(id) + " " + std::to_string(code));
        }});
    });
    const pid_t worker = m.worker("heavy", 0);
    const auto begin = std::chrono::steady_clock::now();
    CHECK(m.end() == 0);
    CHECK(std::chrono::steady_clock::now() - begin >= 1s);
    CHECK(m.count("Graceful shutdown timeout (1) exceeded, exiting heavy(0) [" + number(worker) + "] now.") ==
          1);
    CHECK(m.count("dead 0 1\n") == 1);
}

TEST_CASE("a worker that is stopped, and so cannot end by itself, is killed after the timeout") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>({.graceful_shutdown_timeout = 100ms}); });
    CHECK(m.says("run printer"));
    send(m.worker("printer", 0), SIGSTOP);
    CHECK(m.end() == 0);
    CHECK(m.count("does not end in time, killed") == 1);
}

TEST_CASE("what a worker leaves behind is killed with it: grandchildren, with setsid or without "
          "(supervisor#1101)") {
    struct leaver : cairn::service {
        static void leave(bool in_session) {
            const pid_t child = ::fork();
            if (child != 0) return;
            if (in_session) ::setsid();
            if (::fork() == 0) {
                say("left " + std::to_string(::getpid()) + " ");
                for (;;) ::pause();
            }
            for (;;) ::pause();
        }
        void run() override {
            leave(true);
            leave(false);
            say("worker " + std::to_string(pid()) + " ");
        }
    };
    managed m([](cairn::service_manager& sm) { sm.add<leaver>(1); });
    CHECK(m.says("left", 2));
    CHECK(m.says("worker"));
    const auto those = [&](const std::string& said) {
        std::vector<pid_t> all;
        std::istringstream text(m.output());
        for (std::string word; text >> word;)
            if (word == said && text >> word) all.push_back(std::stoi(word));
        return all;
    };
    const std::vector<pid_t> first = those("left");
    REQUIRE(first.size() == 2);
    send(those("worker").front(), SIGKILL);  // the others have its title
    CHECK(have_ended(first, patiently(20s)));
    CHECK(m.says("left", 4));
    const std::vector<pid_t> all = m.everybody();
    CHECK(m.end() == 0);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(have_ended(those("left"), patiently(20s)));
}

TEST_CASE(
    "the nursery is killed: no worker notices, and dead ones are still replaced, with their exit codes") {
    managed m([](cairn::service_manager& sm) {
        sm.add<printer>(2);
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int id, int code) {
            say("dead " + std::to_string(id) + " " + std::to_string(code));
        }});
    });
    CHECK(m.says("run printer", 2));
    const pid_t first = m.worker("printer", 0);
    const pid_t second = m.worker("printer", 1);
    send(find_descendant(m.pid(), "cairn-nursery"), SIGKILL);
    CHECK(m.says("the nursery was killed; its guardian goes on"));
    send(second, SIGALRM);
    CHECK(m.says("dead 1 1"));
    CHECK(m.worker("printer", 1, second) != 0);
    CHECK(m.worker("printer", 0) == first);
    const std::vector<pid_t> all = m.everybody();
    CHECK(m.end() == 0);
    CHECK(m.count("made printer0") == 1);
    CHECK(have_ended(all, patiently(20s)));
}

TEST_CASE("the guardian is killed: the nursery goes on alone; both are killed: so are the workers, and run() "
          "says 1") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    const pid_t nursery = find_descendant(m.pid(), "cairn-nursery");
    const pid_t first = m.worker("printer", 0);
    send(find_descendant(m.pid(), "cairn-guardian"), SIGKILL);
    CHECK(m.says("the guardian of the services was killed"));
    send(first, SIGKILL);
    CHECK(m.says("run printer0", 2));
    // They are nobody's descendants now.
    std::vector<pid_t> workers;
    std::istringstream text(m.output());
    for (std::string word; text >> word;)
        if (word == "run" && text >> word && text >> word) workers.push_back(std::stoi(word));
    CHECK(workers.size() == 3);
    send(nursery, SIGKILL);
    CHECK(m.join() == 1);
    CHECK(have_ended(workers, patiently(20s)));
    CHECK(m.count("guardian and nursery of the services were killed") == 1);
}

TEST_CASE("nursery or guardian are killed at any moment of the start: all is started, or all is ended; "
          "nothing is left") {
    const int tries = has_address_sanitizer || has_thread_sanitizer ? 10 : 60;
    for (int i = 0; i < tries; ++i) {
        CAPTURE(i);
        const bool is_nursery = i % 2 == 0;
        managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
        pid_t victim = 0;
        REQUIRE(m.comes_true([&] {
            victim = find_descendant(m.pid(), is_nursery ? "cairn-nursery" : "cairn-guardian");
            return victim != 0;
        }));
        std::this_thread::sleep_for(i * 20us);
        send(victim, SIGKILL);
        if (is_nursery) {
            REQUIRE(m.comes_true([&] { return m.worker("printer", 0) != 0 && m.worker("printer", 1) != 0; }));
            const std::vector<pid_t> all = m.everybody();
            REQUIRE(m.end() == 0);
            REQUIRE(have_ended(all, patiently(20s)));
        } else {
            // With it, before it has made the nursery: 1. The workers are not below the manager any more.
            m.signal(SIGTERM);
            const int code = m.join();
            CHECK((code == 0 || code == 1));
        }
        std::vector<pid_t> workers;
        std::istringstream text(m.output());
        for (std::string word; text >> word;)
            if (word == "made" && text >> word && text >> word) workers.push_back(std::stoi(word));
        REQUIRE(have_ended(workers, patiently(20s)));
    }
}

TEST_CASE("the guardian is stopped when its services end: run() returns, and leaves nobody") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    const std::vector<pid_t> all = m.everybody();
    send(find_descendant(m.pid(), "cairn-guardian"), SIGSTOP);
    CHECK(m.end() == 0);
    CHECK(have_ended(all, patiently(20s)));
    CHECK(m.count("terminate printer") == 2);
}

TEST_CASE("the guardian is killed: the manager ends its services as ever") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    CHECK(m.says("run printer", 2));
    const std::vector<pid_t> all = m.everybody();
    send(find_descendant(m.pid(), "cairn-guardian"), SIGKILL);
    CHECK(m.says("the guardian of the services was killed"));
    CHECK(m.end() == 0);
    CHECK(m.count("terminate printer") == 2);
    CHECK(have_ended(all, patiently(20s)));
}

TEST_CASE("workers are replaced while the manager is stopped, or a hook does not return") {
    managed m([](cairn::service_manager& sm) {
        sm.add<printer>(1);
        sm.register_hooks({.on_ready = [] {
            say("the hook waits");
            wait_for_signals();
        }});
    });
    CHECK(m.says("the hook waits"));
    pid_t worker = m.worker("printer", 0);
    send(worker, SIGKILL);
    const pid_t next = m.worker("printer", 0, worker);
    CHECK(next != 0);
    send(m.pid(), SIGSTOP);
    send(next, SIGKILL);
    CHECK(m.worker("printer", 0, next) != 0);
    send(m.pid(), SIGCONT);
    // The first signal waits for the hook, the second for nobody. Two that come while the manager is not scheduled are one.
    const std::vector<pid_t> all = m.everybody();
    auto next_signal = std::chrono::steady_clock::now();
    CHECK(m.comes_true([&] {
        if (const auto now = std::chrono::steady_clock::now(); now >= next_signal) {
            m.signal(SIGTERM);
            next_signal = now + 200ms;
        }
        return !is_running(m.pid());
    }));
    CHECK(m.join() == 1);
    CHECK(have_ended(all, patiently(20s)));
}

TEST_CASE("a child that the manager or a worker forks is not taken for it: SIGTERM ends that child, and "
          "nothing else") {
    struct parent : cairn::service {
        void run() override {
            const pid_t child = ::fork();
            if (child == 0) wait_for_signals();
            send(child, SIGTERM);
            int status = 0;
            ::waitpid(child, &status, 0);
            say("child of worker " + std::to_string(WIFSIGNALED(status) ? WTERMSIG(status) : -1));
        }
    };
    managed m([](cairn::service_manager& sm) {
        sm.add<parent>(1);
        sm.add<printer>(1);
        sm.register_hooks({.on_ready = [] {
            const pid_t child = ::fork();
            if (child == 0) wait_for_signals();
            send(child, SIGTERM);
            int status = 0;
            ::waitpid(child, &status, 0);
            say("child of manager " + std::to_string(WIFSIGNALED(status) ? WTERMSIG(status) : -1));
        }});
    });
    CHECK(m.says("child of worker 15"));
    CHECK(m.says("child of manager 15"));
    CHECK(m.says("run printer"));
    CHECK(m.count("terminate") == 0);
    CHECK(m.end() == 0);
}

}  // namespace service_death_test
