// main.cpp - the main() of every test executable: doctest's, a guardian, and a net under forked children.
//
// Keep this file free of Cairn's internals: tests/api links it against the library as users see it.
//
// SPDX-License-Identifier: BSL-1.0
#define DOCTEST_CONFIG_IMPLEMENT
#include <cstdio>

#include <unistd.h>

#include <doctest/doctest.h>

#include "guardian.hpp"

// ThreadSanitizer does not see the count in std::exception_ptr, which the C++ library keeps: it takes the last release for a race
// with whoever looked at the exception before.
extern "C" const char* __tsan_default_suppressions() {
    return "race:std::__exception_ptr::exception_ptr::_M_release\n";
}

int main(int argc, char** argv) {
    const pid_t started_as = ::getpid();
    cairn_test::start_guardian();

    doctest::Context context;
    context.applyCommandLine(argc, argv);
    const int result = context.run();

    // A child that a test forked must end with _exit. One that came back here has run the rest of the tests a second
    // time; it says so, and leaves without flushing buffers and running destructors that belong to its parent.
    if (::getpid() != started_as) {
        static const char message[] = "a forked child came back to main(); end it with _exit\n";
        [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, message, sizeof message - 1);
        ::_exit(125);
    }
    return result;
}
