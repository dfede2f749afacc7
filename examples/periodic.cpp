// periodic.cpp - one function each second, and every four seconds what has been done so far.
//
// In Python:
//
//   @periodics.periodic(1)
//   def every_one(started_at):
//       print("1: %s" % (time.time() - started_at))
//
//   w = periodics.PeriodicWorker([
//       (every_one, (time.time(),), {}),
//   ])
//
//   @periodics.periodic(4)
//   def print_stats():
//       print("stats: %s" % list(w.iter_watchers()))
//
//   w.add(print_stats)
//   w.start()
//
// With an argument, it stops after so many seconds, and prints the table.
//
// SPDX-License-Identifier: BSL-1.0
#include <chrono>
#include <cstdlib>
#include <iostream>

#include <cairn/periodic.hpp>

using namespace std::chrono_literals;
using wall_clock = std::chrono::system_clock;

// Shows each second how far it has come.
void every_one(wall_clock::time_point started_at) {
    std::cout << "1: " << std::chrono::duration<double>(wall_clock::now() - started_at).count() << std::endl;
}

int main(int argc, char** argv) {
    cairn::periodic_worker w;
    w.add(cairn::periodic{1s, {.name = "every_one"}}, every_one, wall_clock::now());

    // Prints the statistics every four seconds.
    w.add(cairn::periodic{4s, {.name = "print_stats"}}, [&w] {
        std::cout << "stats: [";
        const char* between = "";
        for (const auto& watcher : w.watchers()) {
            std::cout << between << watcher;
            between = ", ";
        }
        std::cout << ']' << std::endl;
    });

    if (argc > 1) {
        const std::chrono::duration<double> limit(std::strtod(argv[1], nullptr));
        w.add(cairn::periodic{limit, {.name = "stop"}}, [&w] { w.stop(); });
    }
    w.start();
    std::cout << w << '\n';
}
