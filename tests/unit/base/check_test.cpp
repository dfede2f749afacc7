// check_test.cpp - an impossible state ends the process, with its words on stderr, in every kind of build.
// SPDX-License-Identifier: BSL-1.0
#include <csignal>
#include <functional>
#include <string>

#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "support/scratch.hpp"
#include <cairn/detail/base/check.hpp>

namespace check_test {

using namespace cairn_test;

namespace {

struct death {
    int code = 0;
    std::string words;
};

// Runs `body` in a child that leaves no core, with its stderr in a pipe.
death death_of(const std::function<void()>& body) {
    int ends[2] = {-1, -1};
    REQUIRE(::pipe(ends) == 0);
    child victim([&] {
        const rlimit none = {};
        ::setrlimit(RLIMIT_CORE, &none);
        ::dup2(ends[1], STDERR_FILENO);
        body();
    });
    ::close(ends[1]);
    death result;
    char part[512];
    for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;)
        result.words.append(part, static_cast<std::size_t>(got));
    ::close(ends[0]);
    result.code = victim.join();
    return result;
}

}  // namespace

TEST_CASE("CAIRN_CHECK of what does not hold aborts, and says what, in which file and in which line") {
    int line = 0;
    const death died = death_of([] { CAIRN_CHECK(1 + 1 == 3, "one and one are three"); });
    line = __LINE__ - 1;
    CHECK(died.code == -SIGABRT);
    CHECK(contains(died.words, "cairn: internal error: one and one are three ("));
    CHECK(contains(died.words, "check_test.cpp:" + std::to_string(line) + ")\n"));
}

TEST_CASE("CAIRN_CHECK of what holds does nothing, and looks once") {
    const death lived = death_of([] {
        int looked = 0;
        CAIRN_CHECK(++looked == 1, "looked once");
        ::_exit(looked);
    });
    CHECK(lived.code == 1);
    CHECK(lived.words.empty());
}

TEST_CASE("CAIRN_CHECK takes whatever an if takes") {
    const int value = 4;
    const int* const pointer = &value;
    CAIRN_CHECK(pointer, "a pointer that is not null");
    CAIRN_CHECK(value & 4, "a bit that is set");
    const death died = death_of([] { CAIRN_CHECK(static_cast<const int*>(nullptr), "a null pointer"); });
    CHECK(died.code == -SIGABRT);
}

}  // namespace check_test
