// service_nth_call_test.cpp - run() of a service manager, with each call that its process makes to the system failing in turn.
// SPDX-License-Identifier: BSL-1.0
#include <cerrno>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/faults.hpp"
#include "support/process_tree.hpp"
#include "support/scratch.hpp"
#include <cairn/inspect.hpp>
#include <cairn/service_manager.hpp>

namespace service_nth_call_test {

using namespace cairn_test;

namespace {

struct idle : cairn::service {};

}  // namespace

TEST_CASE(
    "run() whose n-th call to the system fails has started nothing, or runs as ever; it leaves nothing") {
    int code = -1;
    const auto run = [&code] {
        code = -1;
        cairn::service_manager sm({.quiet = true});
        sm.add<idle>(1);
        sm.register_hooks({.on_ready = [&sm] { sm.shutdown(); }});
        code = sm.run();
    };
    run();
    CHECK(code == 0);
    const footprint usual = take_footprint();
    const std::string title = title_of(::getpid());
    const int thrown = fail_every_call("run services", run, [&](bool threw) {
        CHECK(code == (threw ? -1 : 0));
        CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
        CHECK(errno == ECHILD);
        CHECK(descendants_of(::getpid()).empty());
        CHECK(take_footprint() == usual);
    });
    // mmap, two eventfds and a third, pidfd_open, pipe2, fork, by four errors at least.
    CHECK(thrown >= 24);
    run();
    CHECK(code == 0);
    CHECK(title_of(::getpid()) == title);
}

TEST_CASE("run() of a manager with a name whose n-th call fails leaves no segment, no process, and nothing "
          "attached") {
    const scratch_name name;
    int code = -1;
    const auto run = [&] {
        code = -1;
        cairn::service_manager sm({.quiet = true, .name = name});
        sm.add<idle>(1);
        sm.register_hooks({.on_ready = [&sm] { sm.shutdown(); }});
        code = sm.run();
    };
    run();
    CHECK(code == 0);
    const footprint usual = take_footprint();
    // What the segment refuses is said in its own words.
    const int thrown = fail_every_call("", run, [&](bool threw) {
        CHECK(code == (threw ? -1 : 0));
        CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
        CHECK(descendants_of(::getpid()).empty());
        // A name that could not be taken away when it was to be: the next one of the name has it.
        if (name.exists()) CHECK(cairn::collect_segment(cairn::locate_segment(name.get())).is_removed);
        CHECK(take_footprint() == usual);
    });
    CHECK(thrown >= 24);
    run();
    CHECK(code == 0);
    CHECK_FALSE(name.exists());
}

}  // namespace service_nth_call_test
