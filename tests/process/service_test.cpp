// service_test.cpp - services: starting, policies, hooks, numbers, names; what is told to whom.
//
// What cotyledon's programs were seen to do is the specification, where they are not broken.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "sample_services.hpp"
#include "support/managed.hpp"
#include "support/scratch.hpp"
#include <cairn/cairn.hpp>

namespace service_test {

using namespace cairn_test;
using namespace cairn_test::sample_services;
using namespace std::chrono_literals;

namespace {

struct thrower : cairn::service {
    static constexpr auto name = "thrower";
    void run() override { throw std::runtime_error("no paper"); }
};

struct exits : cairn::service {
    static constexpr auto name = "exits";
    explicit exits(int code) : code_(code) {}
    void run() override {
        say("exits");
        std::atexit([] { say("handler of the service"); });
        std::exit(code_);
    }
    int code_;
};

struct never_up : cairn::service {
    static constexpr bool says_ready = true;
    void run() override {
        say("runs");
        for (;;) ::pause();
    }
};

struct slow_start : cairn::service {
    static constexpr bool says_ready = true;
    void run() override {
        std::this_thread::sleep_for(300ms);
        say("up");
        ready();
    }
};

struct ready_at_end : printer {
    static constexpr auto name = "ready_at_end";
    static constexpr bool says_ready = true;
    void terminate() override {
        ready();
        std::this_thread::sleep_for(200ms);
        printer::terminate();
    }
};

struct nameless : cairn::service {
    static constexpr auto name = "";
};

struct of_two_lines : cairn::service {
    static constexpr auto name = "one\ntwo";
};

struct long_winded : cairn::service {
    inline static const std::string name = std::string(201, 'x');
};

}  // namespace

TEST_CASE("workers have the titles, names and numbers that are promised, and are the manager's to end") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    const pid_t first = m.worker("printer", 0);
    const pid_t second = m.worker("printer", 1);
    REQUIRE(first != 0);
    REQUIRE(second != 0);
    CHECK(m.says("run printer0 " + number(first)));
    CHECK(m.says("run printer1 " + number(second)));
    const std::string title = title_of(first);
    const std::string program = title.substr(0, title.find(':'));
    CHECK(title == program + ": printer worker(0)");
    CHECK(m.comes_true([&] { return title_of(m.pid()).starts_with(program + ": master process ["); }));
    CHECK(title_of(m.pid()).find(program + ": master process [" + title_of(::getpid())) == 0);
    CHECK(name_of_process(first) == "printer(0)");
    CHECK(::getpgid(first) == ::getpgid(m.pid()));
    const std::vector<pid_t> all = m.everybody();
    CHECK(all.size() == 4);
    CHECK(m.end() == 0);
    CHECK(m.count("terminate printer0 " + number(first)) == 1);
    CHECK(m.count("terminate printer1 " + number(second)) == 1);
    CHECK(m.count("made") == 2);
    CHECK(have_ended(all, patiently(20s)));
}

TEST_CASE(
    "the manager is PID 1 of a container: workers are replaced, orphans of others are reaped, and SIGTERM, "
    "which does nothing to a program there that has no handler, ends all") {
    constexpr int not_allowed = 77;
    managed m([]() -> int {
        if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return not_allowed;
        const pid_t first = ::fork();
        if (first == 0) {
            // Its own /proc, as in every container.
            if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::mount("proc", "/proc", "proc", 0, nullptr) != 0)
                ::_exit(not_allowed);
            cairn::service_manager sm;
            sm.add<printer>(2);
            sm.register_hooks({.on_ready = [] {
                // Of a parent that ends at once: it is the manager's from then on.
                const pid_t parent = ::fork();
                if (parent == 0) {
                    const pid_t orphan = ::fork();
                    if (orphan == 0) ::_exit(0);
                    say("orphan of " + number(orphan) + ".");
                    ::_exit(0);
                }
                ::waitpid(parent, nullptr, 0);
            }});
            ::_exit(::getpid() == 1 ? sm.run() : 98);
        }
        say("first " + number(first) + ".");
        int status = 0;
        ::waitpid(first, &status, 0);
        return WIFEXITED(status) ? WEXITSTATUS(status) : 99;
    });
    if (!m.comes_true([&] { return m.count("run printer") >= 2 || !is_running(m.pid()); }) ||
        !is_running(m.pid())) {
        REQUIRE(m.join() == not_allowed);
        MESSAGE("no pid namespace can be made here");
        return;
    }
    const std::vector<pid_t> first = children_of(m.pid());
    REQUIRE(first.size() == 1);
    send(find_descendant(m.pid(), "printer(1)"), SIGKILL);
    CHECK(m.says("run printer1", 2));
    // Beside the guardian; a zombie counts as a child.
    CHECK(m.says("orphan of "));
    CHECK(m.comes_true([&] { return children_of(first.front()).size() == 2; }));
    CHECK(m.comes_true([&] { return children_of(first.front()).size() == 1; }));
    send(first.front(), SIGTERM);
    CHECK(m.join() == 0);
    CHECK(m.count("terminate printer") == 2);
}

TEST_CASE("a worker that is told to end by itself ends gracefully, and is replaced") {
    managed m([](cairn::service_manager& sm) { sm.add<printer>(2); });
    const pid_t second = m.worker("printer", 1);
    CHECK(m.says("run printer1"));
    send(second, SIGTERM);
    CHECK(m.worker("printer", 1, second) != 0);
    CHECK(m.count("terminate printer1 " + number(second)) == 1);
    CHECK(m.count("Caught SIGTERM signal, graceful exiting of service printer(1) [" + number(second) + "]") ==
          1);
    CHECK(m.end() == 0);
}

TEST_CASE("nobody reads stderr any more: what the manager says there ends nobody") {
    managed m([]() -> int {
        int ends[2];
        if (::pipe2(ends, O_CLOEXEC) != 0) return 1;
        ::dup2(ends[1], 2);
        ::close(ends[0]);
        cairn::service_manager sm;
        sm.add<printer>(1);
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int, int code) {
            say("dead " + std::to_string(code));
            throw std::runtime_error("said on stderr");
        }});
        return sm.run();
    });
    CHECK(m.says("run printer"));
    send(m.worker("printer", 0), SIGTERM);  // says so, too
    CHECK(m.says("dead 0"));
    CHECK(m.says("run printer", 2));
    CHECK(m.end() == 0);
}

TEST_CASE("run() that throws is exit code 2; its back-off delays no other service, and no shutdown") {
    managed m([](cairn::service_manager& sm) {
        sm.add<thrower>({.backoff = {100s, 100s}});
        sm.add<printer>(1);
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int id, int code) {
            say("dead " + std::to_string(id) + " " + std::to_string(code));
        }});
    });
    CHECK(m.says("run() ended by std::runtime_error: no paper", 2));  // the first restart is at once
    CHECK(m.says("exited with status 2", 2));
    CHECK(m.says("run printer0"));
    const pid_t victim = m.worker("printer", 0);
    send(victim, SIGKILL);
    CHECK(m.worker("printer", 0, victim) != 0);
    CHECK(m.end() == 0);
    CHECK(m.count("dead 0 2\n") == 2);
    CHECK(m.count("no paper") == 2);
}

TEST_CASE("hooks are called in their processes, in order; one that throws stops nothing") {
    static pid_t manager = 0;
    managed m([]() -> int {
        manager = ::getpid();
        cairn::service_manager sm;
        const cairn::service_id id = sm.add<printer>(1);
        const auto where = [] {
            return ::getpid() == manager ? std::string(" in manager") : std::string(" in worker");
        };
        sm.register_hooks({.on_terminate = [=] { say("hook terminate" + where()); },
                           .on_reload = [=] { say("hook reload" + where()); },
                           .on_new_worker =
                               [=](cairn::service_id of, int worker, cairn::service& s) {
                                   say("hook new " + std::to_string(worker) +
                                       (of == id ? " same " : " other ") + s.name() + where());
                                   throw std::runtime_error("hook");
                               },
                           .on_dead_worker =
                               [=](cairn::service_id of, int worker, int code) {
                                   say("hook dead " + std::to_string(worker) +
                                       (of == id ? " same " : " other ") + std::to_string(code) + where());
                                   throw 5;
                               },
                           .on_ready = [=] { say("hook ready" + where()); }});
        sm.register_hooks(
            {.on_new_worker = [=](cairn::service_id, int, cairn::service&) { say("second new"); },
             .on_dead_worker = [=](cairn::service_id, int, int) { say("second dead"); }});
        return sm.run();
    });
    CHECK(m.says("hook ready in manager"));
    CHECK(m.count("hook new 0 same printer in worker") == 1);
    CHECK(m.says("run printer"));
    const pid_t first = m.worker("printer", 0);
    send(first, SIGKILL);
    CHECK(m.says("hook dead 0 same -9 in manager"));
    CHECK(m.says("second dead"));
    CHECK(m.says("run printer", 2));
    CHECK(m.count("second new") == 2);
    m.signal(SIGHUP);
    CHECK(m.says("hook reload in manager"));
    CHECK(m.says("terminate printer"));
    CHECK(m.says("second dead", 2));
    CHECK(m.end() == 0);
    CHECK(m.count("hook terminate in manager") == 1);
    CHECK(m.count("hook ready") == 1);
    CHECK(m.count("on_new_worker hook ended by std::runtime_error: hook") == 3);
    CHECK(m.count("on_dead_worker hook ended by") == 3);
    CHECK(m.output().find("hook new") < m.output().find("second new"));
}

TEST_CASE("the number of workers changes at once, up and down, from any thread; surplus ones are told to end "
          "and stay away") {
    int orders[2];
    REQUIRE(::pipe(orders) == 0);
    managed m([&]() -> int {
        ::close(orders[1]);
        static cairn::service_manager sm;
        static const cairn::service_id id = sm.add<printer>(2);
        const int from = orders[0];
        static std::thread thread;
        sm.register_hooks({.on_dead_worker =
                               [](cairn::service_id, int worker, int code) {
                                   say("dead " + std::to_string(worker) + " " + std::to_string(code));
                               },
                           .on_ready =
                               [from] {
                                   thread = std::thread([from] {
                                       char digit = 0;
                                       while (::read(from, &digit, 1) == 1) sm.reconfigure(id, digit - '0');
                                   });
                               }});
        const int code = sm.run();
        thread.join();
        return code;
    });
    ::close(orders[0]);
    const auto order = [&](char digit) { return ::write(orders[1], &digit, 1) == 1; };
    const auto has = [&](std::size_t count) {
        return m.comes_true([&] { return m.titled(")").size() == count; });
    };
    CHECK(m.says("run printer", 2));
    const pid_t first = m.worker("printer", 0);
    CHECK(order('4'));
    CHECK(m.says("run printer", 4));
    CHECK(has(4));
    CHECK(order('1'));
    CHECK(m.says("dead 1 0"));
    CHECK(m.says("dead 2 0"));
    CHECK(m.says("dead 3 0"));
    CHECK(has(1));
    CHECK(m.worker("printer", 0) == first);
    CHECK(m.count("terminate printer") == 3);
    // No surplus one comes back when one dies.
    send(first, SIGKILL);
    CHECK(m.worker("printer", 0, first) != 0);
    CHECK(has(1));
    CHECK(order('3'));
    CHECK(has(3));
    CHECK(m.says("run printer2", 2));
    CHECK(order('0'));
    CHECK(has(0));
    CHECK(is_running(m.pid()));
    CHECK(order('1'));
    CHECK(has(1));
    ::close(orders[1]);
    CHECK(m.end() == 0);
}

TEST_CASE(
    "exit() in a service is its end with that code: its own handlers run, those of the program do not") {
    managed m([]() -> int {
        std::atexit([] { say("handler of the program"); });
        cairn::service_manager sm;
        sm.add<exits>({.restart = cairn::restart::temporary}, 3);
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int id, int code) {
            say("dead " + std::to_string(id) + " " + std::to_string(code));
        }});
        return sm.run();
    });
    CHECK(m.join() == 0);  // nothing is left to be run
    CHECK(m.count("dead 0 3\n") == 1);
    CHECK(m.count("handler of the service") == 1);
    CHECK(m.count("handler of the program") == 0);
}

TEST_CASE("permanent, transient and temporary services: which ends have another worker started") {
    using cairn::restart;
    const auto starts = [](restart policy, int code, int wanted) {
        managed m([=](cairn::service_manager& sm) {
            sm.add<exits>({.restart = policy, .backoff = {1ms, 2ms}}, code);
            sm.add<printer>(1);
        });
        if (wanted > 1) CHECK(m.says("exits\n", wanted));
        else CHECK(m.says("exits\n"));
        CHECK(m.says("run printer"));
        const pid_t victim = m.worker("printer", 0);
        send(victim, SIGKILL);
        CHECK(m.worker("printer", 0, victim) != 0);
        CHECK(m.end() == 0);
        const int count = m.count("exits\n");
        if (wanted == 1) CHECK(count == 1);
        else CHECK(count >= wanted);
    };
    starts(restart::permanent, 0, 4);
    starts(restart::permanent, 1, 4);
    starts(restart::transient, 0, 1);
    starts(restart::transient, 1, 4);
    starts(restart::temporary, 0, 1);
    starts(restart::temporary, 1, 1);
}

TEST_CASE("run() that returns: the worker stays, or ends where that starts no other one") {
    managed m([](cairn::service_manager& sm) {
        sm.add<idle>({.restart = cairn::restart::transient});
        sm.add<idle>({.restart = cairn::restart::temporary});
    });
    CHECK(m.join() == 0);
    managed stays([](cairn::service_manager& sm) {
        sm.add<idle>(1);
        sm.register_hooks({.on_ready = [] { say("all are up"); }});
    });
    CHECK(stays.says("all are up"));
    const pid_t worker = stays.worker("idle", 0);  // named by its class
    CHECK(stays.end() == 0);
    CHECK(stays.count("[" + number(worker) + "]") == 0);
}

TEST_CASE("a service that restarts too often is given up; the others go on") {
    managed m([](cairn::service_manager& sm) {
        sm.add<thrower>({.max_restarts = 2, .within = 1000s, .backoff = {1ms, 1ms}});
        sm.add<printer>(1);
    });
    CHECK(m.says("service thrower is given up: more than 2 restarts"));
    CHECK(m.count("no paper") == 3);
    CHECK(m.says("run printer"));
    const pid_t victim = m.worker("printer", 0);
    send(victim, SIGKILL);
    CHECK(m.worker("printer", 0, victim) != 0);
    CHECK(m.end() == 0);
    CHECK(m.count("no paper") == 3);
    // Where none is left, the manager ends.
    managed alone([](cairn::service_manager& sm) { sm.add<thrower>({.max_restarts = 0, .within = 1000s}); });
    CHECK(alone.join() == 1);
    CHECK(alone.count("no paper") == 1);
}

TEST_CASE("on_terminate hooks that do not return hold the end up no longer than the timeout") {
    managed m(
        [](cairn::service_manager& sm) {
            sm.add<printer>(1);
            sm.register_hooks({.on_terminate = [] {
                for (;;) ::pause();
            }});
        },
        {.graceful_shutdown_timeout = 100ms});
    CHECK(m.says("run printer"));
    CHECK(m.end() == 1);
}

TEST_CASE("a constructor that throws is exit code 2, and one that never returns ends at the timeout") {
    struct broken : cairn::service {
        explicit broken(int how) {
            if (how == 0) throw std::runtime_error("no printer here");
            say("constructing");
            for (;;) ::pause();
        }
    };
    managed m([](cairn::service_manager& sm) {
        sm.add<broken>({.restart = cairn::restart::temporary}, 0);
        sm.add<broken>({.restart = cairn::restart::temporary, .graceful_shutdown_timeout = 200ms}, 1);
        sm.register_hooks({.on_dead_worker = [](cairn::service_id, int, int code) {
            say("dead " + std::to_string(code));
        }});
    });
    CHECK(m.says("constructor ended by std::runtime_error: no printer here"));
    CHECK(m.says("dead 2"));
    CHECK(m.says("constructing"));
    CHECK(m.end() == 0);
    CHECK(m.count("dead 1") == 1);
}

TEST_CASE("a worker that is not ready in time is killed, and started again") {
    managed m([](cairn::service_manager& sm) {
        sm.add<never_up>({.backoff = {1ms, 1ms}, .ready_timeout = 100ms});
    });
    CHECK(m.says("is not ready in time, killed", 2));
    CHECK(m.end() == 0);
}

TEST_CASE("on_ready waits for ready() of those that say it themselves") {
    managed m([](cairn::service_manager& sm) {
        sm.add<slow_start>(1);
        sm.add<printer>(1);
        sm.register_hooks({.on_ready = [] { say("all ready"); }});
    });
    CHECK(m.says("all ready"));
    CHECK(m.output().find("up") < m.output().find("all ready"));
    CHECK(m.end() == 0);
}

TEST_CASE("on_ready is not called for what gets ready only when it is told to end") {
    managed m([](cairn::service_manager& sm) {
        sm.add<ready_at_end>(1);
        sm.register_hooks({.on_ready = [] { say("all ready"); }});
    });
    CHECK(m.says("run ready_at_end"));
    CHECK(m.end() == 0);
    CHECK(m.count("all ready") == 0);
}

TEST_CASE("a worker whose heartbeat stops is killed and replaced; one that beats is not, nor one that was "
          "stopped with all others") {
    struct beater : cairn::service {
        void run() override {
            say("runs " + std::to_string(worker_id()));
            while (!stop_requested()) {
                if (worker_id() == 0 || !is_silent_) beat();
                if (worker_id() == 1 && ++beats_ == 20) is_silent_ = true;
                std::this_thread::sleep_for(10ms);
            }
        }
        int beats_ = 0;
        bool is_silent_ = false;
    };
    managed m([](cairn::service_manager& sm) {
        sm.add<beater>({.workers = 2, .backoff = {1ms, 1ms}, .heartbeat = patiently(3s)});
    });
    CHECK(m.says("runs 0"));
    const pid_t well = m.worker("beater", 0);
    const pid_t ill = m.worker("beater", 1);
    // ^Z, and fg.
    std::vector<pid_t> all = m.everybody();
    for (const pid_t each : all) send(each, SIGSTOP);
    std::this_thread::sleep_for(patiently(3s) + 500ms);
    for (const pid_t each : all) send(each, SIGCONT);
    CHECK(m.says("beater(1) [" + number(ill) + "] has no heartbeat, killed"));
    CHECK(m.says("runs 1", 2));
    CHECK(m.worker("beater", 0) == well);
    CHECK(m.end() == 0);
}

TEST_CASE("handles are arguments of services, also of anonymous segments; what a worker has done stays when "
          "it is killed") {
    struct adder : cairn::service {
        adder(const cairn::list<long>& to, std::string text) : to_(to), text_(std::move(text)) {}
        void run() override {
            to_.push_back(static_cast<long>(text_.size()));
            send(::getpid(), SIGKILL);
        }
        cairn::list<long> to_;
        std::string text_;
    };
    CHECK(in_child([] {
              const cairn::manager shared;
              const auto results = shared.list<long>("results");
              cairn::service_manager sm({.quiet = true});
              sm.add<adder>({.workers = 2, .max_restarts = 5, .within = 1000s, .backoff = {1ms, 1ms}},
                            results, "four");
              CHILD_CHECK(sm.run() == 1);
              // Each start is whole: two, and as many as there were restarts.
              CHILD_CHECK(results.size() >= 6);
              CHILD_CHECK(results.count(4) == results.size());
          }) == 0);
}

TEST_CASE("guardian and nursery are no participants: a segment goes with its last user") {
    const scratch_name name;
    CHECK(in_child([&] {
              cairn::service_manager sm({.quiet = true});
              sm.add<idle>(1);
              auto segment = std::make_unique<cairn::manager>(cairn::manager::open_or_create(name.get()));
              sm.register_hooks({.on_ready = [&] { sm.shutdown(); }});
              CHILD_CHECK(sm.run() == 0);
              segment.reset();
              CHILD_CHECK(!name.exists());
          }) == 0);
}

TEST_CASE("run() again after its end, shutdown() before it, and the title afterwards") {
    CHECK(in_child([] {
              const std::string title = title_of(::getpid());
              cairn::service_manager sm({.quiet = true});
              sm.add<idle>(2);
              const footprint before = take_footprint();
              int ready = 0;
              sm.register_hooks({.on_ready = [&] {
                  ++ready;
                  CHILD_CHECK(title_of(::getpid()) != title);
                  sm.shutdown();
              }});
              CHILD_CHECK(sm.run() == 0);
              CHILD_CHECK(sm.run() == 0);
              CHILD_CHECK(ready == 2);
              sm.shutdown();
              CHILD_CHECK(sm.run() == 0);
              CHILD_CHECK(ready == 2);
              CHILD_CHECK(take_footprint().descriptors == before.descriptors);
              CHILD_CHECK(title_of(::getpid()) == title);
              CHILD_CHECK(descendants_of(::getpid()).empty());
              struct sigaction now = {};
              ::sigaction(SIGHUP, nullptr, &now);
              CHILD_CHECK(now.sa_handler == SIG_DFL);
          }) == 0);
}

TEST_CASE("what makes no sense is refused, with the reason") {
    CHECK(
        in_child([] {
            using cairn::invalid_argument;
            using cairn::invalid_state;
            cairn::service_manager sm({.quiet = true});
            CHILD_CHECK(contains(thrown_by<invalid_state>([&] { sm.run(); }), "no service was added"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.add<printer>(0); }),
                                 "add service 'printer': workers is 0, expected 1 to 4096"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.add<printer>(4097); }), "4097"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.add<printer>({.max_restarts = -1}); }),
                                 "max_restarts is -1"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] {
                                     sm.add<printer>({.backoff = {2s, 1s}});
                                 }),
                                 "backoff"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.add<printer>({.heartbeat = 0s}); }),
                                 "heartbeat"));
            CHILD_CHECK(
                contains(thrown_by<invalid_argument>([&] { sm.add<printer>({.max_restarts = 1001}); }),
                         "max_restarts is 1001"));
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.add<nameless>(1); }), "its name"));
            CHILD_CHECK(
                contains(thrown_by<invalid_argument>([&] { sm.add<of_two_lines>(1); }), "on one line"));
            CHILD_CHECK(
                contains(thrown_by<invalid_argument>([&] { sm.add<long_winded>(1); }), "1 to 200 bytes"));
            const cairn::service_id id = sm.add<idle>(1);
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { sm.reconfigure(id, -1); }),
                                 "reconfigure service 'idle': workers is -1, expected 0 to 4096"));
            cairn::service_manager another;
            CHILD_CHECK(contains(thrown_by<invalid_argument>([&] { another.reconfigure(id, 1); }),
                                 "another manager"));
            another.add<idle>(1);
            sm.register_hooks({.on_ready = [&] {
                CHILD_CHECK(
                    contains(thrown_by<invalid_state>([&] { sm.add<printer>(1); }), "the manager runs"));
                CHILD_CHECK(
                    contains(thrown_by<invalid_state>([&] { sm.register_hooks({}); }), "the manager runs"));
                CHILD_CHECK(contains(thrown_by<invalid_state>([&] { another.run(); }),
                                     "runs in this process already"));
                CHILD_CHECK(in_child([&] {
                                CHILD_CHECK(contains(thrown_by<invalid_state>([&] { sm.shutdown(); }),
                                                     "forked child"));
                                CHILD_CHECK(contains(thrown_by<invalid_state>([&] { sm.reconfigure(id, 2); }),
                                                     "forked child"));
                            }) == 0);
                sm.shutdown();
            }});
            CHILD_CHECK(sm.run() == 0);
        }) == 0);
}

TEST_CASE("a service outside of a worker has no number, and may be asked everything") {
    idle s;
    CHECK(s.worker_id() == 0);
    CHECK(s.pid() == ::getpid());
    CHECK(s.name().empty());
    CHECK_FALSE(s.stop_requested());
    s.ready();
    s.beat();
    s.wait_for_run();
    s.run();
    s.terminate();
}

}  // namespace service_test
