// processes.cpp - eight forked workers append their sums to a shared list; the parent prints it.
//
// In Python:
//
//   def compute(results):
//       results.append(sum([random.randint(1, 100) for i in range(1000000)]))
//
//   with multiprocessing.Manager() as manager:
//       results = manager.list()
//       workers = [multiprocessing.Process(target=compute, args=(results,)) for x in range(8)]
//       for worker in workers: worker.start()
//       for worker in workers: worker.join()
//       print("Results: %s" % results)
//
// With --hold the segment is named "demo" and stays until standard input ends, so that shmctl can look at it.
//
// SPDX-License-Identifier: BSL-1.0
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "random_sum.hpp"
#include <cairn/cairn.hpp>

int main(int argc, char** argv) {
    const bool hold = argc > 1 && std::string_view(argv[1]) == "--hold";
    const cairn::manager manager = hold ? cairn::manager("demo") : cairn::manager();
    const auto results = manager.list<long>("results");

    std::vector<cairn::process> workers;
    for (int i = 0; i < 8; ++i) workers.emplace_back([&] { results.append(compute()); });
    for (cairn::process& worker : workers) worker.join();

    std::cout << "Results: " << results << std::endl;
    if (hold) {
        std::string line;
        std::getline(std::cin, line);
    }
}
