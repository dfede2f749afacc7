// process_nth_call_test.cpp - the life of a cairn::process, with each call that its parent makes to the system failing in
// turn. Single calls, and what is said of them: process_fault_test.cpp.
//
// SPDX-License-Identifier: BSL-1.0
#include <cerrno>
#include <chrono>
#include <csignal>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/faults.hpp"
#include "support/scratch.hpp"
#include <cairn/process.hpp>

namespace process_nth_call_test {

using namespace cairn_test;
using namespace std::chrono_literals;

namespace {

void wait_for_a_signal() {
    for (;;) ::pause();
}

// Children inherit the test runner's handlers, which do not end them.
class signals_end_children {
public:
    signals_end_children() {
        struct sigaction by_default = {};
        by_default.sa_handler = SIG_DFL;
        ::sigaction(SIGTERM, &by_default, &before_);
    }
    ~signals_end_children() { ::sigaction(SIGTERM, &before_, nullptr); }
    signals_end_children(const signals_end_children&) = delete;
    signals_end_children& operator=(const signals_end_children&) = delete;

private:
    struct sigaction before_ = {};
};

bool has_no_children() {
    return ::waitpid(-1, nullptr, WNOHANG) < 0 && errno == ECHILD;
}

// Makes what is made once.
void warm_up() {
    cairn::process([] {}).join();
}

}  // namespace

TEST_CASE("a process whose n-th call to the system fails is not started, or lives as any other") {
    for (const bool is_daemon : {false, true}) {
        CAPTURE(is_daemon);
        warm_up();
        const footprint usual = take_footprint();
        std::optional<cairn::process> p;
        const int thrown = fail_every_call(
            "process 'p'",
            [&] { p.emplace(cairn::process_options{.name = "p", .daemon = is_daemon}, [] { ::_exit(5); }); },
            [&](bool threw) {
                CHECK(p.has_value() == !threw);
                if (p) {
                    p->join();
                    CHECK(p->exitcode() == 5);
                    p.reset();
                }
                CHECK(has_no_children());
                CHECK(take_footprint() == usual);
            });
        CHECK(thrown >= 10);  // mmap and fork, by five errors
    }
}

TEST_CASE("an operation on a process whose n-th call fails says so, and the process is as before") {
    const signals_end_children as_usual;
    // Each says whether it came out as without a fault. No CHECK in them: it would catch what is thrown.
    using operation = std::function<bool(cairn::process&)>;
    const std::vector<std::pair<std::string, operation>> operations = {
        {"join_for", [](cairn::process& p) { return !p.join_for(1ms); }},
        {"exitcode", [](cairn::process& p) { return !p.exitcode(); }},
        {"alive", [](cairn::process& p) { return p.alive(); }},
        {"error", [](cairn::process& p) { return !p.error(); }},
        {"sentinel", [](cairn::process& p) { return p.sentinel() >= 0; }},
        {"kill and join",
         [](cairn::process& p) {
             p.kill();
             p.join();
             return p.exitcode() == -SIGKILL;
         }},
        {"terminate and join",
         [](cairn::process& p) {
             p.terminate();
             p.join();
             return p.exitcode() == -SIGTERM;
         }},
    };
    warm_up();
    const footprint usual = take_footprint();
    for (const auto& [what, run] : operations) {
        CAPTURE(what);
        std::optional<cairn::process> p;
        const auto start = [&p] { p.emplace(cairn::process_options{.name = "p"}, wait_for_a_signal); };
        start();
        bool came_out = false;
        const int thrown = fail_every_call(
            "process 'p'", [&, &run = run] { came_out = run(*p); },
            [&](bool threw) {
                if (!threw) CHECK(came_out);
                // It is still there to be ended and waited for, whatever was thrown.
                if (p->alive()) p->kill();
                p->join();
                CHECK(p->exitcode().value() < 0);
                p.reset();
                CHECK(has_no_children());
                CHECK(take_footprint() == usual);
                start();
            });
        CHECK(thrown > 0);
        p->kill();
    }
}

}  // namespace process_nth_call_test
