// SPDX-License-Identifier: BSL-1.0
#include "os/process_title.hpp"

#include <cstdlib>
#include <string>

#include <unistd.h>

#include <doctest/doctest.h>

#include "support/process_tree.hpp"
#include "support/scratch.hpp"

namespace process_title_test {

using namespace cairn_test;
namespace os = cairn::detail::os;

TEST_CASE("a title is what /proc says of the command line, is inherited, and can be taken back; argv and "
          "environ stay") {
    const std::string before = os::own_command_line();
    CHECK(before == title_of(::getpid()));
    ::setenv("CAIRN_TITLE_TEST", "stays", 1);
    CHECK(in_child([&] {
              CHILD_CHECK(!os::set_process_title("prog: printer worker(0)"));
              CHILD_CHECK(os::own_command_line() == "prog: printer worker(0)");
              CHILD_CHECK(in_child([] { CHILD_CHECK(title_of(::getpid()) == "prog: printer worker(0)"); }) ==
                          0);
              CHILD_CHECK(!os::set_process_title(""));
              CHILD_CHECK(os::own_command_line().empty());
              CHILD_CHECK(!os::set_process_title(std::string(10'000, 'x')));
              CHILD_CHECK(os::own_command_line() == std::string(4095, 'x'));
              CHILD_CHECK(std::string(std::getenv("CAIRN_TITLE_TEST")) == "stays");
              CHILD_CHECK(!os::restore_process_title());
              CHILD_CHECK(os::own_command_line() == before);
          }) == 0);
    CHECK(os::own_command_line() == before);
    CHECK_FALSE(os::restore_process_title());
    CHECK(before.find(os::program_name()) != std::string::npos);
}

}  // namespace process_title_test
