// futurist_reject.cpp - an executor that refuses tasks when too many are waiting.
//
// In Python:
//
//   def compute():
//       return sum([random.randint(1, 100) for i in range(1000000)])
//
//   with futurist.ThreadPoolExecutor(
//           max_workers=8,
//           check_and_reject=rejection.reject_when_reached(16)) as executor:
//       futures = [executor.submit(compute) for _ in range(20)]
//       print(executor.statistics)
//
//   results = [f.result() for f in futures]
//   print(executor.statistics)
//
//   print("Results: %s" % results)
//
// With an argument, that is the limit: with 2 the program ends by cairn::rejected_submission, after the tasks that were
// accepted before.
//
// SPDX-License-Identifier: BSL-1.0
#include <cstdlib>
#include <iostream>
#include <vector>

#include "random_sum.hpp"
#include <cairn/repr.hpp>
#include <cairn/thread_pool_executor.hpp>

int main(int argc, char** argv) {
    const std::size_t limit = argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 16;
    try {
        std::vector<cairn::future<long>> futures;
        cairn::thread_pool_executor executor{
            {.max_workers = 8, .check_and_reject = cairn::reject_when_reached(limit)}};
        try {
            for (int i = 0; i < 20; ++i) futures.push_back(executor.submit(compute, 1'000'000));
            std::cout << executor.statistics() << '\n';
        } catch (const cairn::rejected_submission&) {
            executor
                .shutdown();  // `with` finishes what was accepted; a destructor would cancel it while unwinding
            throw;
        }
        executor.shutdown();

        std::vector<long> results;
        for (const auto& f : futures) results.push_back(f.result());
        std::cout << executor.statistics() << '\n';

        std::cout << "Results: " << cairn::repr(results) << '\n';
    } catch (const cairn::rejected_submission& e) {
        std::cerr << "cairn::rejected_submission: " << e.what() << '\n';
        return 1;
    }
}
