// static_manager.cpp - a program whose manager is made before main, and before the library's own static objects, since the
// library is linked in behind it. Its forked child is one process to the segment, not two.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdio>

#include <sys/wait.h>
#include <unistd.h>

#include <cairn/cairn.hpp>

namespace {

// NOLINTNEXTLINE(cert-err58-cpp): what it throws is to end the program
const cairn::manager made_before_main(cairn::segment_options{.max_size = 4 << 20, .initial_size = 256 << 10});

}  // namespace

int main() {
    const auto list = made_before_main.list<long>("l", {1});
    const pid_t child = ::fork();
    if (child == 0) {
        list.push_back(2);
        ::_exit(made_before_main.stats().process_count == 2 ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child || status != 0) {
        std::fprintf(stderr, "the child ended with %d: it is not the second process of the segment\n",
                     status);
        return 1;
    }
    const auto stats = made_before_main.stats();
    if (stats.process_count != 1 || list.size() != 2) {
        std::fprintf(stderr, "%u processes and %zu elements, expected 1 and 2\n",
                     static_cast<unsigned>(stats.process_count), list.size());
        return 1;
    }
    return 0;
}
